"""The REST API of the operators' listener, under ``/api/v1``."""

from __future__ import annotations

from typing import Final

API: Final = "/api/v1"
