"""What carries APDUs: the ports that the HDLC and the wrapper links implement.

A machine takes octets and the time, and gives octets and events. The caller's loop is always::

    machine.receive_data(octets, now=now)      # or handle_timer(now=now), or a command
    for piece in machine.data_to_send(): ...   # each piece is one datagram or a part of a stream
    while (event := machine.next_event()): ...
    wait until machine.next_timer()            # absolute, same clock as ``now``; None: no timer

``now`` is seconds on any monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

E_co = TypeVar("E_co", covariant=True)


class Machine(Protocol[E_co]):
    """Any sans-IO protocol machine."""

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Take any slice of the stream, or one datagram. Never raises for what a peer sent."""

    def receive_eof(self, *, now: float) -> None:
        """Take note that the peer has closed the stream."""

    def data_to_send(self) -> tuple[bytes, ...]:
        """Return the octets to put on the wire now, and forget them."""
        ...

    def next_event(self) -> E_co | None:
        """Return the oldest event not yet taken."""
        ...

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` wants to be called."""
        ...

    def handle_timer(self, *, now: float) -> None:
        """Do what is due at ``now``; calling early does nothing."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The data link stands; ``max_apdu_octets`` is what one APDU may have, 0 for no limit."""

    max_apdu_octets: int = 0


@dataclass(frozen=True, slots=True)
class ApduReceived:
    """One whole APDU came from the peer."""

    apdu: bytes


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The data link is gone; ``code`` is stable: ``disconnected``, ``timeout``, ``refused``, …."""

    code: str
    message: str = ""


LinkEvent = LinkUp | ApduReceived | LinkDown


class ClientLink(Machine[LinkEvent], Protocol):
    """The client's end: one peer, at most one request under way."""

    def connect(self, *, now: float) -> None:
        """Set the link up; ``LinkUp`` or ``LinkDown`` follows."""

    def send(self, apdu: bytes, *, now: float) -> None:
        """Send one APDU and await the answer.

        Raises:
            LocalProtocolError: the link is not up, or an answer is still awaited.
        """

    def disconnect(self, *, now: float) -> None:
        """Take the link down; ``LinkDown`` follows."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who talks to whom: the client's SAP and the logical device's SAP on this connection."""

    client: int
    server: int


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A client has set its link up (for the wrapper: has sent its first APDU)."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerApduReceived:
    """One whole APDU came from ``peer``; ``broadcast``: to all stations, no answer wanted."""

    peer: Peer
    apdu: bytes
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    """The link of ``peer`` is gone: its association must be forgotten."""

    peer: Peer
    code: str


ServerLinkEvent = PeerConnected | PeerApduReceived | PeerDisconnected


class ServerLink(Machine[ServerLinkEvent], Protocol):
    """The server's end: any number of clients on one line or connection."""

    def send(self, peer: Peer, apdu: bytes, *, now: float) -> None:
        """Send one APDU to ``peer``; dropped if its link has gone in the meantime."""
