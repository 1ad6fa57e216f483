"""Headers, packets, and packets out of a stream or datagrams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from openami.core.errors import DecodeError
from openami.wire.reader import Reader

PORT: Final = 4059
VERSION: Final = 0x0001
NO_STATION: Final = 0x0000
BROADCAST: Final = 0x007F
HEADER_SIZE: Final = 8
MAX_APDU: Final = 0xFFFF
MAX_DATAGRAM_APDU: Final = 65507 - HEADER_SIZE
"""What IPv4 leaves of a datagram after its own header, UDP's and ours."""

NOTIFICATIONS: Final = frozenset((0x0F, 0xC2, 0xCA, 0xD2))
"""Tags of what a server sends unasked: data-notification; event-notification plain, with the
global and with the dedicated key."""

GENERAL: Final = frozenset((0xDB, 0xDC, 0xDD))
"""Tags of the general forms of ciphering, which do not tell what is in them."""


@dataclass(frozen=True, slots=True)
class WrapperParameters:
    """How one end behaves. Times are in seconds.

    Args:
        datagrams: UDP; else a stream.
        response_timeout: client: how long an answer may take.
        retries: client, UDP: how often a request that may be repeated is sent again.
        inactivity_timeout: server: without an APDU for so long the client is gone; 0: never.
        max_apdu: octets of the longest APDU that is taken.
        pushes: client: the server pushes by the general forms of ciphering, and answers by none
            of them, since it is asked by none.

    Raises:
        ValueError: a value out of range.
    """

    datagrams: bool = False
    response_timeout: float = 10.0
    retries: int = 2
    inactivity_timeout: float = 180.0
    max_apdu: int = MAX_APDU
    pushes: bool = False

    def __post_init__(self) -> None:
        if self.response_timeout <= 0 or self.retries < 0 or self.inactivity_timeout < 0:
            raise ValueError("times and retries are not negative, and an answer takes some time")
        if not 1 <= self.max_apdu <= MAX_APDU:
            raise ValueError(f"an APDU has 1 to {MAX_APDU} octets")

    @property
    def largest_sent(self) -> int:
        """Octets of the longest APDU that can be sent."""
        return MAX_DATAGRAM_APDU if self.datagrams else MAX_APDU


@dataclass(frozen=True, slots=True)
class Packet:
    """A header and its APDU."""

    source: int
    destination: int
    apdu: bytes

    def encode(self) -> bytes:
        """Return the octets.

        Raises:
            OverflowError: a number does not fit its 16 bits.
        """
        numbers = (VERSION, self.source, self.destination, len(self.apdu))
        return b"".join(number.to_bytes(2, "big") for number in numbers) + self.apdu

    @classmethod
    def decode(cls, data: bytes, *, max_apdu: int = MAX_APDU) -> Self:
        """Read exactly one packet.

        Raises:
            DecodeError: it is none, or its APDU is empty, too long or cut off.
        """
        r = Reader(data)
        source, destination, length = _read_header(r, max_apdu)
        packet = cls(source, destination, r.take(length))
        r.finish()
        return packet


def _read_header(r: Reader, max_apdu: int) -> tuple[int, int, int]:
    start = r.offset
    if r.u16() != VERSION:
        raise DecodeError("wrapper version 1 wanted", offset=start)
    source = r.u16()
    destination = r.u16()
    start = r.offset
    length = r.u16()
    if not 1 <= length <= max_apdu:
        raise DecodeError(f"an APDU of 1 to {max_apdu} octets wanted", offset=start)
    return source, destination, length


class PacketReader:
    """Take any slices of a stream, or datagrams, give packets.

    Never more than one packet's octets are kept.

    Attributes:
        packets: good packets so far.
        errors: datagrams that were no packet, or the one place where a stream went wrong.
    """

    def __init__(self, parameters: WrapperParameters) -> None:
        self._parameters = parameters
        self._buffer = bytearray()
        self.packets = 0
        self.errors = 0

    @property
    def pending(self) -> bool:
        """Whether a packet has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that ``data`` completes.

        Raises:
            DecodeError: a stream's next header is wrong; the packets before it are lost too.
        """
        try:
            found = self._datagram(data) if self._parameters.datagrams else self._stream(data)
        except DecodeError:
            self.errors += 1
            if not self._parameters.datagrams:
                raise
            return []
        self.packets += len(found)
        return found

    def _datagram(self, data: bytes) -> list[Packet]:
        return [Packet.decode(data, max_apdu=self._parameters.max_apdu)]

    def _stream(self, data: bytes) -> list[Packet]:
        self._buffer += data
        found = []
        while len(self._buffer) >= HEADER_SIZE:
            header = Reader(self._buffer[:HEADER_SIZE])
            source, destination, length = _read_header(header, self._parameters.max_apdu)
            end = HEADER_SIZE + length
            if len(self._buffer) < end:
                break
            found.append(Packet(source, destination, bytes(self._buffer[HEADER_SIZE:end])))
            del self._buffer[:end]
        return found
