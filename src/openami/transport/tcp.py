"""TCP connections as channels."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final, cast

from openami.transport.channel import Channel
from openami.transport.failures import transport_error
from openami.transport.server import Handler, Server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

CONNECT_TIMEOUT_S: Final = 10.0
"""Longer than a SYN repeated twice on a bad radio link."""

MAX_CONNECTIONS: Final = 1024
"""Connections that one listener holds: descriptors are a process's scarce good."""

_WRITE_LIMIT: Final = 256 * 1024
"""Octets unsent before the peer's questions are held up: a few of the largest APDUs."""

_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""A peer that lost its power is noticed after two minutes."""


class TcpChannel(Channel, asyncio.Protocol):
    """One TCP connection; made by ``open_tcp`` and ``listen_tcp``.

    Attributes:
        peer: the other end's address and port.
    """

    def __init__(self, on_open: Callable[[TcpChannel], None] | None = None) -> None:
        super().__init__("tcp", answers=on_open is not None)
        self._on_open = on_open
        self._transport: asyncio.Transport | None = None
        self.peer: tuple[str, int] = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_LIMIT)
        peer = transport.get_extra_info("peername")
        self.name = f"tcp {endpoint(peer)}"
        if isinstance(peer, tuple):
            self.peer = peer[:2]
        tune(transport.get_extra_info("socket"))
        if self._on_open is not None:
            self._on_open(self)

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def eof_received(self) -> None:
        self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(None if exc is None else transport_error(exc, self.name))

    def pause_writing(self) -> None:
        self._stall()

    def resume_writing(self) -> None:
        self._flow()

    @property
    def pending(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def abort(self) -> None:
        """Close at once; octets on their way out are lost."""
        if self._transport is not None:
            self._transport.abort()
        self._finish(None)

    def give_up_after(self, seconds: float) -> None:
        """Have the connection end when what was sent is not acknowledged for so long."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):  # not every system has it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))

    def hold_little(self, octets: int) -> None:
        """Have the system take few octets beyond those it can send: ``full`` tells soon."""
        if self._transport is None:
            return
        self._transport.set_write_buffer_limits(high=0)
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, octets)

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


async def open_tcp(
    host: str,
    port: int,
    *,
    timeout_s: float = CONNECT_TIMEOUT_S,
    tls: ssl.SSLContext | None = None,
) -> TcpChannel:
    """Connect to a TCP server.

    Raises:
        TransportError: ``transport.refused``, ``transport.unreachable``, ``transport.timeout``,
            ``transport.unknown-host``, ``transport.tls``.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, channel = await loop.create_connection(
                TcpChannel, host, port, ssl=tls, server_hostname=host if tls else None
            )
    except OSError as exc:
        raise transport_error(exc, f"connecting to {host}:{port}") from exc
    return channel


class TcpServer(Server):
    """A TCP listener; made by ``listen_tcp``."""

    def __init__(self, handler: Handler, *, max_peers: int) -> None:
        super().__init__(handler, max_peers=max_peers)
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Listen; see ``listen_tcp``."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._protocol, host, port, ssl=tls)
        except OSError as exc:
            raise transport_error(exc, f"listening on {host}:{port}") from exc
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()

    def _protocol(self) -> TcpChannel:
        return TcpChannel(self._opened)

    def _opened(self, channel: TcpChannel) -> None:
        if not self._serve(channel):
            channel.abort()


async def listen_tcp(
    host: str,
    port: int,
    handler: Handler,
    *,
    max_connections: int = MAX_CONNECTIONS,
    tls: ssl.SSLContext | None = None,
) -> TcpServer:
    """Listen at ``host`` and ``port`` (0: any free one), running ``handler`` for each connection.

    The handler's return closes its connection; closing the server cancels it. Connections beyond
    ``max_connections`` are closed at once.

    Raises:
        TransportError: ``transport.in-use``, ``transport.denied``, ``transport.unreachable``.
    """
    server = TcpServer(handler, max_peers=max_connections)
    await server.start(host, port, tls)
    return server


def endpoint(address: Any) -> str:
    """Return a socket's address as ``host:port``."""
    if not isinstance(address, tuple):
        return "?"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


def tune(sock: socket.socket | None) -> None:
    """Send small pieces at once, and notice a peer that has gone."""
    if sock is None:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # not every system has all three
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
