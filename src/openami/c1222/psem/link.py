"""The data link of C12.18: messages over a line that loses, doubles and damages octets.

Each packet is answered by ACK, and sent again after NAK or silence; one that comes again has the
toggle bit and all else of the last one, is answered by ACK, and is not taken twice. A message that
is longer than a packet goes in several, whose numbers count down to 0.

      send             ACK of the last packet
IDLE ──────► SENDING ──────────────────────► IDLE
                │  no ACK, too often
                └──────────────────────────► IDLE, with ``LinkFailed``
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

from openami.c1222.psem.packets import (
    ACK,
    MAX_PACKET,
    NAK,
    OVERHEAD,
    Broken,
    Packet,
    PacketReader,
    Reply,
)
from openami.core.errors import LocalProtocolError

_LEAST_PACKET: Final = OVERHEAD + 1
_MOST_PACKETS: Final = 256


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """How a link behaves, from the first octet on; times in seconds (C12.18, defaults).

    Attributes:
        packet: octets of the longest packet.
        packets: of one message, at most.
        reply_s: how long ACK may take.
        between_s: the longest silence within a packet.
        silence_s: the longest silence of the line, after which everything begins anew.
        retries: how often a packet is sent again.
        identity: of the device.
    """

    packet: int = 64
    packets: int = 1
    reply_s: float = 2.0
    between_s: float = 0.5
    silence_s: float = 6.0
    retries: int = 3
    identity: int = 0

    @property
    def most(self) -> int:
        """Octets of the longest message."""
        return (self.packet - OVERHEAD) * self.packets

    def limited(self, packet: int, packets: int) -> LinkParameters:
        """Return these with what two ends agreed on."""
        size = min(max(packet, _LEAST_PACKET), MAX_PACKET)
        return replace(self, packet=size, packets=min(max(packets, 1), _MOST_PACKETS))


@dataclass(frozen=True, slots=True)
class Received:
    """A message came, whole."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other end has all of what was sent."""


@dataclass(frozen=True, slots=True)
class LinkFailed:
    """The other end does not answer, or not as it should; ``code`` says what."""

    code: str


LinkEvent = Received | Delivered | LinkFailed


class Link:
    """One end of a line; ``now`` is a clock that never runs backwards.

    Args:
        parameters: how it behaves; they may be replaced between messages.
    """

    def __init__(self, parameters: LinkParameters | None = None) -> None:
        self.parameters = parameters or LinkParameters()
        self._reader = PacketReader()
        self._out: list[bytes] = []
        self._events: deque[LinkEvent] = deque()
        self._packets: deque[bytes] = deque()
        self._toggle = True  # so that the first packet has none
        self._tries = 0
        self._reply_at: float | None = None
        self._between_at: float | None = None
        self._last: Packet | None = None
        self._parts = bytearray()
        self._wanted: int | None = None

    @property
    def sending(self) -> bool:
        """Whether a message is on its way."""
        return bool(self._packets)

    def send(self, message: bytes, *, now: float) -> None:
        """Send a message; ``Delivered`` or ``LinkFailed`` follows.

        Raises:
            LocalProtocolError: another one is on its way, or it is too long
                (``c1222.psem-size``).
        """
        if self._packets:
            raise LocalProtocolError("one message at a time")
        if len(message) > self.parameters.most:
            raise LocalProtocolError(
                f"{self.parameters.most} octets at most", code="c1222.psem-size"
            )
        size = self.parameters.packet - OVERHEAD
        slices = [message[at : at + size] for at in range(0, len(message), size)] or [b""]
        for number, data in enumerate(slices):
            self._toggle = not self._toggle
            packet = Packet(
                data,
                self.parameters.identity,
                self._toggle,
                len(slices) > 1,
                len(slices) > 1 and not number,
                len(slices) - 1 - number,
            )
            self._packets.append(packet.encode())
        self._tries = 0
        self._put(now)

    def receive(self, data: bytes, *, now: float) -> None:
        """Take any slice of what came."""
        for piece in self._reader.feed(data):
            if isinstance(piece, Packet):
                self._take(piece, now)
            elif isinstance(piece, Broken):
                self._out.append(bytes((NAK,)))
            elif self._packets:
                self._replied(piece, now)
        self._between_at = now + self.parameters.between_s if self._reader.pending else None

    def data_to_send(self) -> bytes:
        """Return the octets to send, once."""
        out, self._out = b"".join(self._out), []
        return out

    def next_event(self) -> LinkEvent | None:
        """Return what happened, or None."""
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        """Return when ``handle_timer`` has something to do."""
        timers = [at for at in (self._reply_at, self._between_at) if at is not None]
        return min(timers, default=None)

    def handle_timer(self, *, now: float) -> None:
        """Send again what was not answered, and ask for a packet again that does not end."""
        if self._between_at is not None and now >= self._between_at:
            self._between_at = None
            self._reader.forget()
            self._out.append(bytes((NAK,)))
        if self._reply_at is not None and now >= self._reply_at:
            self._again("c1222.psem-silence", now)

    def reset(self) -> None:
        """Forget everything that is under way, as at a new beginning."""
        self._packets.clear()
        self._reply_at = self._between_at = None
        self._reader.forget()
        self._parts.clear()
        self._wanted = None
        self._last = None

    def _put(self, now: float) -> None:
        self._out.append(self._packets[0])
        self._reply_at = now + self.parameters.reply_s

    def _replied(self, reply: Reply, now: float) -> None:
        if reply is Reply.NAK:
            self._again("c1222.psem-nak", now)
            return
        self._packets.popleft()
        self._reply_at, self._tries = None, 0
        if self._packets:
            self._put(now)
        else:
            self._events.append(Delivered())

    def _again(self, code: str, now: float) -> None:
        self._tries += 1
        if self._tries > self.parameters.retries:
            self.reset()
            self._events.append(LinkFailed(code))
        else:
            self._put(now)

    def _take(self, packet: Packet, now: float) -> None:
        if packet.identity != self.parameters.identity:
            return  # for another device of this line
        self._out.append(bytes((ACK,)))
        if packet == self._last:
            return
        self._last = packet
        if len(self._packets) == 1:  # an answer says, too, that what it answers has come
            self._replied(Reply.ACK, now)
        self._join(packet)

    def _join(self, packet: Packet) -> None:
        begins = packet.first or not packet.multi
        if begins:
            self._parts.clear()
        elif packet.sequence != self._wanted:
            self._parts.clear()
            self._wanted = None
            self._events.append(LinkFailed("c1222.psem-sequence"))
            return
        self._parts += packet.data
        if packet.multi and packet.sequence:
            self._wanted = packet.sequence - 1
            return
        self._wanted = None
        self._events.append(Received(bytes(self._parts)))
        self._parts.clear()
