"""A relay from a unix socket to a TLS server, so that who speaks HTTP needs no private key.

Each connection to the socket becomes one to the server, with the identity of the relay's TLS
context. What can not be carried is answered in HTTP, with the error's code in ``FAILURE``, since
the caller's end is a plain socket that has no other way to learn it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final, cast

from openami.core.errors import TransportError
from openami.transport.failures import transport_error
from openami.transport.tcp import tune

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Iterator


FAILURE: Final = "openami-relay"
"""The header that only a relay's own answer has; its value is an error's code."""

MAX_LINKS: Final = 64
"""Connections of one relay; a DCU has about eight to one server."""

CONNECT_S: Final = 20.0
"""For TCP and TLS together: less than a caller waits for its answer."""

_LINGER_S: Final = 5.0  # for the caller to read why it failed
_SHUTDOWN_S: Final = 2.0  # for the server's close_notify, which it need not send
_WORDS: Final = 300
_WRITE_LIMIT: Final = 256 * 1024  # octets unsent before the other side is held up


class Relay:
    """One unix socket and the server behind it.

    Args:
        host: of the server; its certificate must name it.
        port: of the server.
        context: gives the TLS context of the next connection.
    """

    def __init__(self, host: str, port: int, context: Callable[[], ssl.SSLContext]) -> None:
        self.host = host
        self.port = port
        self._context = context
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._path: str = ""

    def __len__(self) -> int:
        """Return how many connections there are."""
        return len(self._links)

    async def listen(self, path: str) -> None:
        """Listen at a unix socket that only its owner may use; one that is left over goes.

        Args:
            path: of a folder that nobody else may write to.

        Raises:
            TransportError: it can not be made.
        """
        self._path = path
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove(path)
            listener.bind(path)
            os.chmod(path, 0o600)  # noqa: PTH101 -- before listen: nobody connects in between
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(self._accepted, sock=listener)
        except OSError as exc:
            listener.close()
            raise transport_error(exc, f"listening on {path}") from exc

    async def drop(self) -> None:
        """End every connection and return when they have ended; the next have another identity."""
        links = tuple(self._links)
        for link in links:
            link.abort()
        if links:
            await asyncio.wait([link.ended for link in links], timeout=_SHUTDOWN_S)

    async def close(self) -> None:
        """End every connection and the socket."""
        if self._server is not None:
            self._server.close()
            _remove(self._path)
        await self.drop()

    def _accepted(self) -> _Side:
        link = _Link()
        link.ended.add_done_callback(lambda _: self._links.discard(link))
        if len(self._links) >= MAX_LINKS:
            error = TransportError("the relay has too many connections", code="transport.busy")
            link.near.on_open = lambda: link.refuse(error)
        else:
            link.near.on_open = lambda: link.begin(self._open(link))
        self._links.add(link)
        return link.near

    async def _open(self, link: _Link) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.create_connection(
                    lambda: link.far, self.host, self.port, ssl=self._context(),
                    server_hostname=self.host, ssl_handshake_timeout=CONNECT_S,
                    ssl_shutdown_timeout=_SHUTDOWN_S,
                )  # fmt: skip
        except (OSError, ValueError) as exc:  # ValueError: a name that can be none
            link.refuse(transport_error(exc, f"connecting to {self.host}:{self.port}"))
        else:
            link.flow()


class _Side(asyncio.Protocol):
    """One end of a link: hands on what comes, as it comes."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        self.on_open: Callable[[], None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_LIMIT)
        if self.on_open is not None:
            self.on_open()
        else:
            tune(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        self._link.carry(self, data)

    def eof_received(self) -> None:
        """Let the transport close: neither TLS nor HTTP is half closed here."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.lost(self, exc)

    def pause_writing(self) -> None:
        self._link.hold(self, still=True)

    def resume_writing(self) -> None:
        self._link.hold(self, still=False)


class _Link:
    """A caller's connection, and the one that is made for it."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.near = _Side(self)
        self.far = _Side(self)
        self._opening: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._answered = False
        self._refused = False

    def begin(self, work: Coroutine[None, None, None]) -> None:
        self._opening = asyncio.ensure_future(work)

    def flow(self) -> None:
        """Both ends are there."""
        near, far = self.near.transport, self.far.transport
        if near is None or far is None or near.is_closing():
            self.abort()
            return
        near.resume_reading()  # first: what is written now may hold it up again
        for data in self._early:
            far.write(data)
        self._early.clear()

    def carry(self, side: _Side, data: bytes) -> None:
        other = self._other(side)
        if self._refused:
            return  # what the caller still sends is not wanted
        if other.transport is None:
            self._early.append(data)  # one piece: no more is read until there is a server
            self.hold(other, still=True)
            return
        self._answered = self._answered or side is self.far
        other.transport.write(data)

    def hold(self, side: _Side, *, still: bool) -> None:
        """Read no more from the other side while this one can not take it."""
        transport = self._other(side).transport
        if transport is not None and not transport.is_closing() and not self._refused:
            (transport.pause_reading if still else transport.resume_reading)()

    def refuse(self, error: TransportError) -> None:
        """Tell the caller why there is no answer of the server's."""
        transport = self.near.transport
        if transport is None or transport.is_closing():
            return
        self._refused = True
        text = error.message[:_WORDS].encode("ascii", "replace")
        transport.write(
            b"HTTP/1.1 502 Bad Gateway\r\n%b: %b\r\ncontent-type: text/plain\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b"
            % (FAILURE.encode(), error.code.encode(), len(text), text)
        )
        # A socket that closes with octets unread takes back what it has sent: read them.
        transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)

    def lost(self, side: _Side, exc: Exception | None) -> None:
        if side is self.near:
            self._near_lost()
        elif not self._answered:
            # With TLS 1.3 a server refuses our certificate only after the handshake.
            self.refuse(_unanswered() if exc is None else transport_error(exc, "the server"))
        elif self.near.transport is not None and not self._refused:
            self.near.transport.close()

    def abort(self) -> None:
        """End at once; octets on their way are lost."""
        for transport in self._transports():
            transport.abort()

    def _near_lost(self) -> None:
        self.ended.set_result(None)
        if self._opening is not None:
            self._opening.cancel()
        if self.far.transport is not None:
            self.far.transport.close()

    def _other(self, side: _Side) -> _Side:
        return self.far if side is self.near else self.near

    def _transports(self) -> Iterator[asyncio.Transport]:
        return (side.transport for side in (self.far, self.near) if side.transport is not None)


def _unanswered() -> TransportError:
    message = "the server closed without an answer: it may not trust our certificate"
    return TransportError(message, code="transport.closed")


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108 -- the path may lead through /proc/self/fd
    except FileNotFoundError:
        return
