"""The REST API of the operators' listener, under ``/api/v1``."""
