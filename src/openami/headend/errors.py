"""Errors of the head-end's services, beside those of the common tree.

OpenAmiError
├─ RequestError      what was asked for can not be asked for: the caller must change it
└─ BusyError         not now: the same request may succeed after ``retry_after`` seconds
"""

from __future__ import annotations

from openami.core.errors import OpenAmiError


class RequestError(OpenAmiError):
    """What was asked for can not be asked for."""

    code = "request"
    exit_status = 2


class BusyError(OpenAmiError):
    """Not now; the same request may succeed after ``retry_after`` seconds."""

    code = "busy"

    def __init__(
        self, message: str, *, retry_after: float, hint: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_after = retry_after
