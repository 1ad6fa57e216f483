"""What a transport runs: a node, a relay, a host, or what is all of them under one ApTitle.

A station takes messages and gives messages; sockets, names of hosts and the time are the
transport's. Nothing of a station's state hangs on a connection: an association outlives it
(RFC 6142, 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable
    from ipaddress import IPv4Address, IPv6Address

    from openami.c1222.native import NativeAddress


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a message came from: the ``source`` that a transport gives to a station.

    Attributes:
        address: its address, with port and transport.
        secure: it came inside TLS or DTLS.
        connection: which TCP connection; 0: none, it was a datagram.
    """

    address: NativeAddress
    secure: bool = False
    connection: int = 0

    @property
    def host(self) -> IPv4Address | IPv6Address:
        """Who answers for wrong tags and passwords: connections and ports are had for nothing."""
        return self.address.host

    def __str__(self) -> str:
        return str(self.address)


def blamed(source: Hashable) -> Hashable:
    """Return who is to blame for what came from ``source``: the host of a peer, or itself."""
    return source.host if isinstance(source, Peer) else source


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for somebody else than who has just spoken.

    Attributes:
        to: a native address (over TCP, unless it says UDP), or the ``source`` that somebody spoke
            from.
        message: a whole message; the transport cuts it where the network below takes no long ones.
    """

    to: NativeAddress | Hashable
    message: bytes = field(repr=False)


class Station(Protocol):
    """A sans-IO station. ``now`` is always seconds of UTC."""

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        """Take one message or segment; return what to send back, on the same transport.

        Args:
            data: as it came: cut out of the stream, or a datagram.
            source: where from; a ``Peer`` when a transport runs the station.
            now: seconds of UTC.
            largest: octets of the longest message to send; None: they may be of any length.
        """
        ...

    def outgoing(self) -> tuple[Outgoing, ...]:
        """Return the messages for others than who has just spoken, once."""
        ...

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        ...

    def handle_timer(self, *, now: float) -> None:
        """Do what is due."""
        ...
