"""What every answer to a browser says, of whichever listener."""

from __future__ import annotations

from typing import Final

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script, style or frame that is not ours."""

# Nothing guessed, nothing told to other sites; and what is not said to be kept is stored nowhere.
_PLAIN: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_TLS: Final = {**_PLAIN, "Strict-Transport-Security": "max-age=31536000"}


def default_headers(*, tls: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Return what an answer has unless it says otherwise, as ASGI wants headers."""
    headers = _TLS if tls else _PLAIN
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())
