"""Datagram flows as channels: every piece written or read is one datagram."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from openami.transport.channel import Channel
from openami.transport.failures import transport_error
from openami.transport.server import Handler, Server
from openami.transport.sockets import bind
from openami.transport.tcp import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PEERS: Final = 1024
"""Peers that one port serves at a time: a source address is easily forged, a peer costs memory."""

PEER_IDLE_S: Final = 180.0
"""A peer that sends nothing for so long is forgotten: longer than an association stays open."""


class _DatagramChannel(Channel):
    """Datagrams that find their reader busy are lost, as the network loses them."""

    datagrams: ClassVar[bool] = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lost = 0

    def _feed(self, data: bytes) -> None:
        if self._holds:
            self.lost += 1
        else:
            super()._feed(data)


class UdpChannel(_DatagramChannel, asyncio.DatagramProtocol):
    """A socket connected to one peer; made by ``open_udp``."""

    def __init__(self) -> None:
        super().__init__("udp")
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.name = f"udp {endpoint(transport.get_extra_info('peername'))}"

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - connected
        self._feed(data)

    def error_received(self, exc: Exception) -> None:
        self._close()
        self._finish(transport_error(exc, self.name))

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(None if exc is None else transport_error(exc, self.name))

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.sendto(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class UdpPeer(_DatagramChannel):
    """One peer of a ``UdpServer``."""

    def __init__(
        self, name: str, send: Callable[[bytes], None], forget: Callable[[], None]
    ) -> None:
        super().__init__(name)
        self._sendto = send
        self._forget = forget
        self.heard_at = 0.0

    def take(self, data: bytes, *, now: float) -> None:
        """Take a datagram that the server received."""
        self.heard_at = now
        self._feed(data)

    def _send(self, data: bytes) -> None:
        self._sendto(data)

    def _close(self) -> None:
        self._forget()


class UdpServer(Server, asyncio.DatagramProtocol):
    """A UDP port; made by ``listen_udp``."""

    def __init__(self, handler: Handler, *, max_peers: int, idle_s: float) -> None:
        super().__init__(handler, max_peers=max_peers)
        self._idle_s = idle_s
        self._peers: OrderedDict[Any, UdpPeer] = OrderedDict()  # the longest silent first
        self._transport: asyncio.DatagramTransport | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; see ``listen_udp``."""
        bound = bind(host, port, socket.SOCK_DGRAM)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=bound)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.host, self.port = transport.get_extra_info("sockname")[:2]
        self._sweep()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        peer = self._peers.get(addr) or self._welcome(addr)
        if peer is not None:
            self._peers.move_to_end(addr)
            peer.take(data, now=asyncio.get_running_loop().time())

    def error_received(self, exc: Exception) -> None:
        """Ignore that some peer was not there: its own silence tells."""

    def _welcome(self, addr: Any) -> UdpPeer | None:
        def send(data: bytes) -> None:
            if self._transport is not None:
                self._transport.sendto(data, addr)

        def forget() -> None:
            self._peers.pop(addr, None)

        peer = UdpPeer(f"udp {endpoint(addr)}", send=send, forget=forget)
        if not self._serve(peer):
            return None
        self._peers[addr] = peer
        return peer

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        silent_since = loop.time() - self._idle_s
        for peer in [p for p in self._peers.values() if p.heard_at < silent_since]:
            peer.close()
        self._sweeper = loop.call_later(self._idle_s / 4, self._sweep)

    def _stop_listening(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._transport is not None:
            self._transport.close()


async def open_udp(host: str, port: int) -> UdpChannel:
    """Make a flow of datagrams to one peer; whether it is there shows when it answers.

    Raises:
        TransportError: ``transport.unreachable``, ``transport.unknown-host``.
    """
    loop = asyncio.get_running_loop()
    try:
        _, channel = await loop.create_datagram_endpoint(UdpChannel, remote_addr=(host, port))
    except OSError as exc:
        raise transport_error(exc, f"opening a datagram flow to {host}:{port}") from exc
    return channel


async def listen_udp(
    host: str,
    port: int,
    handler: Handler,
    *,
    max_peers: int = MAX_PEERS,
    idle_s: float = PEER_IDLE_S,
) -> UdpServer:
    """Listen at ``host`` and ``port`` (0: any free one), running ``handler`` for each peer.

    A peer is a source address; it is closed after ``idle_s`` without a datagram from it.

    Raises:
        TransportError: ``transport.in-use``, ``transport.denied``, ``transport.unreachable``.
    """
    server = UdpServer(handler, max_peers=max_peers, idle_s=idle_s)
    await server.start(host, port)
    return server
