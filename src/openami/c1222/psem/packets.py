"""Packets of C12.18 on an optical port, and of C12.21 on a modem: octets that are checked.

``EE identity control sequence length:2 data crc:2``. The CRC is that of X.25 over all before it,
its low octet first. A packet is answered by one octet, ACK or NAK, before anything else is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from openami.core.errors import LocalProtocolError
from openami.wire.crc import crc16_x25

START: Final = 0xEE
ACK: Final = 0x06
NAK: Final = 0x15
HEAD: Final = 6
CRC: Final = 2
OVERHEAD: Final = HEAD + CRC
"""Octets of a packet that are no data."""
MAX_PACKET: Final = 8192
"""Octets of a packet: a length has sixteen bits, and no device of 9,600 bits a second sends one
that takes longer than the line may be silent."""
_MULTI: Final = 0x80
_FIRST: Final = 0x40
_TOGGLE: Final = 0x20
_MOST_SEQUENCE: Final = 0xFF


class Reply(Enum):
    """What a packet is answered with."""

    ACK = ACK
    NAK = NAK


class Broken(Enum):
    """What was begun as a packet, and is none."""

    CRC = "crc"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet.

    Attributes:
        data: what it carries.
        identity: of the device, on a line with several.
        toggle: changes from one packet to the next, so that one that is sent again is known.
        multi: it is one of several that carry one message.
        first: the first of them.
        sequence: how many follow.
    """

    data: bytes = field(repr=False)
    identity: int = 0
    toggle: bool = False
    multi: bool = False
    first: bool = False
    sequence: int = 0

    def encode(self) -> bytes:
        """Return the octets.

        Raises:
            LocalProtocolError: there are too many, or a number has no room.
        """
        if len(self.data) + OVERHEAD > MAX_PACKET or not 0 <= self.sequence <= _MOST_SEQUENCE:
            raise LocalProtocolError("too long a packet", code="c1222.psem-size")
        control = self.multi * _MULTI | self.first * _FIRST | self.toggle * _TOGGLE
        head = bytes((START, self.identity, control, self.sequence))
        body = head + len(self.data).to_bytes(2) + self.data
        return body + crc16_x25(body).to_bytes(CRC, "little")


Piece = Packet | Reply | Broken


class PacketReader:
    """Take any slices of the line, give what is on it. What is neither is skipped.

    Args:
        most: octets of the longest packet that is taken.
    """

    def __init__(self, most: int = MAX_PACKET) -> None:
        self._most = most
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a packet has begun and not ended."""
        return bool(self._buffer)

    def forget(self) -> None:
        """Throw away what has begun."""
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Piece]:
        """Return what ``data`` completes.

        After a packet that is broken the rest of ``data`` is thrown away: where the next one begins
        nobody can tell, and its sender waits for an answer.
        """
        self._buffer += data
        found: list[Piece] = []
        while self._buffer:
            piece = self._next()
            if piece is None:
                break
            found.append(piece)
            if isinstance(piece, Broken):
                self._buffer.clear()
        return found

    def _next(self) -> Piece | None:
        buffer = self._buffer
        while buffer and buffer[0] != START:
            octet = buffer.pop(0)
            if octet in {ACK, NAK}:
                return Reply(octet)
        if len(buffer) < HEAD:
            return None
        size = int.from_bytes(buffer[4:HEAD]) + OVERHEAD
        if size > self._most:
            return Broken.LENGTH
        if len(buffer) < size:
            return None
        octets = bytes(buffer[:size])
        del buffer[:size]
        if crc16_x25(octets[:-CRC]) != int.from_bytes(octets[-CRC:], "little"):
            return Broken.CRC
        control = octets[2]
        return Packet(
            octets[HEAD:-CRC],
            octets[1],
            bool(control & _TOGGLE),
            bool(control & _MULTI),
            bool(control & _FIRST),
            octets[3],
        )
