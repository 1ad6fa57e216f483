"""REST API, device API and console."""
