"""The server's end of a connection with wrapper headers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, LocalProtocolError
from openami.dlms.link import (
    Peer,
    PeerApduReceived,
    PeerConnected,
    PeerDisconnected,
    ServerLinkEvent,
)
from openami.dlms.wrapper.packet import (
    BROADCAST,
    NO_STATION,
    NOTIFICATIONS,
    Packet,
    PacketReader,
    WrapperParameters,
)

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_PEERS: Final = 8
"""Clients on one connection: each is another SAP, and a meter knows a handful."""

# AARQ; the requests with global and dedicated keys; general-glo, -ded, -ciphering and -signing
_SAME_MEANS_REPEATED: Final = frozenset((0x60, *range(0xC8, 0xD8), 0xDB, 0xDC, 0xDD, 0xDF))


@dataclass(slots=True)
class _Client:
    """What the server keeps of one client."""

    heard_at: float
    request: bytes = field(default=b"", repr=False)
    answer: bytes | None = field(default=None, repr=False)


class WrapperServerLink:
    """The server's end of one connection; implements ``openami.dlms.link.ServerLink``.

    With datagrams there is one of these for each remote address and port. ``PeerDisconnected``
    codes: ``inactivity``, ``closed``, ``protocol``.

    Args:
        devices: the wPorts of the logical devices.
        parameters: stream or datagrams, and times.
        opened_at: when the connection was opened: silence counts from then on.

    Attributes:
        finished: the connection is of no use any more: close it, and forget this object.
    """

    def __init__(
        self,
        devices: Collection[int] = (1,),
        parameters: WrapperParameters | None = None,
        *,
        opened_at: float | None = None,
    ) -> None:
        self.devices = frozenset(devices)
        self.parameters = parameters or WrapperParameters()
        self.finished = False
        self._reader = PacketReader(self.parameters)
        self._events: deque[ServerLinkEvent] = deque()
        self._out: list[bytes] = []
        self._clients: dict[Peer, _Client] = {}
        self._heard_at = opened_at

    def send(self, peer: Peer, apdu: bytes, *, now: float) -> None:  # noqa: ARG002 - the port's
        """Send one APDU to ``peer``; dropped if it has gone in the meantime.

        Raises:
            LocalProtocolError: the APDU is empty or too long.
        """
        if not 1 <= len(apdu) <= self.parameters.largest_sent:
            raise LocalProtocolError(f"an APDU of {len(apdu)} octets does not fit the wrapper")
        client = self._clients.get(peer)
        if client is None:
            return
        if self.parameters.datagrams and apdu[0] not in NOTIFICATIONS:
            client.answer = apdu
        self._put(peer, apdu)

    def forget(self) -> None:
        """Lose every client and all that is under way, as a server does that restarts."""
        self._clients.clear()
        self._events.clear()
        self._out.clear()

    def receive_data(self, data: bytes, *, now: float) -> None:
        if self.finished:
            return
        try:
            packets = self._reader.feed(data)
        except DecodeError:
            self._finish("protocol")
            return
        for packet in packets:
            self._heard_at = now
            self._receive(packet, now)

    def receive_eof(self, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        self._finish("closed")

    def data_to_send(self) -> tuple[bytes, ...]:
        out = tuple(self._out)
        self._out.clear()
        return out

    def next_event(self) -> ServerLinkEvent | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        limit = self.parameters.inactivity_timeout
        heard = [client.heard_at for client in self._clients.values()]
        oldest = min(heard, default=self._heard_at)
        return None if self.finished or not limit or oldest is None else oldest + limit

    def handle_timer(self, *, now: float) -> None:
        due = self.next_timer()
        if due is None or now < due:
            return
        for peer, client in tuple(self._clients.items()):
            if now >= client.heard_at + self.parameters.inactivity_timeout:
                self._drop(peer, "inactivity")
        if not self._clients:
            self._finish("inactivity")

    def _receive(self, packet: Packet, now: float) -> None:
        if packet.source in (NO_STATION, BROADCAST):
            return
        if packet.destination == BROADCAST:
            for device in sorted(self.devices):
                peer = Peer(packet.source, device)
                self._events.append(PeerApduReceived(peer, packet.apdu, broadcast=True))
        elif packet.destination in self.devices:
            self._serve(Peer(packet.source, packet.destination), packet.apdu, now)

    def _serve(self, peer: Peer, apdu: bytes, now: float) -> None:
        client = self._clients.get(peer)
        if client is None:
            if len(self._clients) >= MAX_PEERS:
                return
            client = self._clients[peer] = _Client(now)
            self._events.append(PeerConnected(peer))
        client.heard_at = now
        if self.parameters.datagrams:
            if apdu == client.request and apdu[0] in _SAME_MEANS_REPEATED:
                self._repeat(peer, client)
                return
            client.request = apdu
            client.answer = None
        self._events.append(PeerApduReceived(peer, apdu))

    def _repeat(self, peer: Peer, client: _Client) -> None:
        if client.answer is not None:  # else it is still being worked on
            self._put(peer, client.answer)

    def _put(self, peer: Peer, apdu: bytes) -> None:
        self._out.append(Packet(peer.server, peer.client, apdu).encode())

    def _drop(self, peer: Peer, code: str) -> None:
        del self._clients[peer]
        self._events.append(PeerDisconnected(peer, code))

    def _finish(self, code: str) -> None:
        self.finished = True
        for peer in tuple(self._clients):
            self._drop(peer, code)
