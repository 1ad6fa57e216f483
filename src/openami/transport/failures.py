"""What the operating system's errors are called here."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING, Final

from openami.core.errors import TransportError, TransportTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODES: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "transport.refused",
    errno.ECONNRESET: "transport.closed",
    errno.ECONNABORTED: "transport.closed",
    errno.EPIPE: "transport.closed",
    errno.ESHUTDOWN: "transport.closed",
    errno.ENOTCONN: "transport.closed",
    errno.EBADF: "transport.closed",
    errno.EIO: "transport.closed",  # a pty whose other side has gone; a serial adapter pulled out
    errno.ENODEV: "transport.closed",
    errno.ENXIO: "transport.closed",
    errno.EHOSTUNREACH: "transport.unreachable",
    errno.ENETUNREACH: "transport.unreachable",
    errno.ENETDOWN: "transport.unreachable",
    errno.EHOSTDOWN: "transport.unreachable",
    errno.EADDRNOTAVAIL: "transport.unreachable",
    errno.EADDRINUSE: "transport.in-use",
    errno.EBUSY: "transport.in-use",
    errno.EAGAIN: "transport.in-use",  # the lock of a serial device
    errno.EACCES: "transport.denied",
    errno.EPERM: "transport.denied",
    errno.ENOENT: "transport.missing",
}

_HINTS: Final[Mapping[str, str]] = {
    "transport.refused": "nothing listens there: check host and port, and that the peer runs",
    "transport.unreachable": "check the network and the address",
    "transport.in-use": "another process uses it",
    "transport.denied": "the user running this may not use it",
    "transport.missing": "check the name of the device",
    "transport.unknown-host": "check the spelling of the host and the name service",
    "transport.tls": "check both sides' certificates, their dates and the authority",
}


def transport_error(exc: BaseException, what: str) -> TransportError:
    """Return the error of ours for an error of the system's.

    Args:
        exc: what was caught; an error of ours comes back as it is.
        what: what was being done, for the message: ``"connecting to 127.0.0.1:4059"``.
    """
    if isinstance(exc, TransportError):
        return exc
    if isinstance(exc, TimeoutError):
        return TransportTimeoutError(f"{what}: nothing came in time")
    code, reason = _code(exc), _reason(exc)
    return TransportError(f"{what}: {reason}", code=code, hint=_HINTS.get(code))


def closed_error(what: str) -> TransportError:
    """Return the error for a line that has gone."""
    return TransportError(f"{what}: the connection is closed", code="transport.closed")


def _code(exc: BaseException) -> str:
    if isinstance(exc, ssl.SSLError):
        return "transport.tls"
    if isinstance(exc, socket.gaierror):
        return "transport.unknown-host"
    if isinstance(exc, OSError) and exc.errno is not None:
        return _CODES.get(exc.errno, "transport")
    if isinstance(exc, ConnectionError):
        return "transport.closed"
    return "transport"


def _reason(exc: BaseException) -> str:
    reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return str(reason).lower() if isinstance(exc, OSError) else str(reason)
