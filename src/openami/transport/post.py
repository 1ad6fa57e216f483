"""One HTTP request to one of very many: a message goes out, a status comes back.

Whoever sends to a hundred thousand devices one after another has no use for kept connections,
and nothing of an answer but its first line is read.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final
from urllib.parse import urlsplit

from openami.core.errors import RemoteProtocolError, TransportTimeoutError
from openami.transport.failures import transport_error

_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LINE_OCTETS: Final = 1024  # of a status line: a reason is a few words
_URL: Final = re.compile(r"http://[!-~]+", re.IGNORECASE)  # a blank would end what it is part of
_HTTP_PORT: Final = 80


async def post_once(url: str, body: bytes, content_type: str, *, within: float) -> int:
    """Send a body to an ``http:`` URL and return the status.

    Args:
        url: as in ``http://192.0.2.1:7000/wake``.
        body: of the request.
        content_type: its media type.
        within: seconds, for all of it.

    Raises:
        TransportError: there is nobody, or no answer came: ``transport.timeout``, ….
        RemoteProtocolError: what answers is not HTTP; or the URL is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _HTTP_PORT
    except ValueError:
        host, port = None, 0
    if host is None or not _URL.fullmatch(url):
        raise _no_url(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(within):
            line = await _exchange(host, port, head.encode("ascii") + body)
    except TimeoutError:
        raise TransportTimeoutError(f"POST {url}: no answer in time") from None
    except OSError as error:
        raise transport_error(error, f"POST {url}") from error
    except UnicodeError as error:  # a part of the host's name is empty, or too long for one
        raise _no_url(url) from error
    found = _LINE.fullmatch(line)
    if found is None:
        raise RemoteProtocolError(f"POST {url}: the answer is not HTTP", code="http")
    return int(found[1])


def _no_url(url: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"{url[:100]!r} is no http: URL", code="http.url")


async def _exchange(host: str, port: int, request: bytes) -> bytes:
    """Return the first line of the answer, or as much of it as came."""
    exchange = _Exchange(request)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: exchange, host, port)
    try:
        return await exchange.line
    finally:
        transport.abort()


class _Exchange(asyncio.Protocol):
    """Sends a request; ``line`` is the first of the answer, or empty if it is none of HTTP's."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._came = b""
        self.line: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # of TCP
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._came += data
        end = self._came.find(b"\n", 0, _LINE_OCTETS) + 1
        if not self.line.done() and (end or len(self._came) >= _LINE_OCTETS):
            self.line.set_result(self._came[:end])

    def connection_lost(self, error: Exception | None) -> None:
        if self.line.done():
            return
        if error is None:
            self.line.set_result(self._came)
        else:
            self.line.set_exception(error)
