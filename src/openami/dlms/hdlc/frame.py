"""HDLC frames of format type 3 (IEC 62056-46, 6.4.1).

::

    7E | format 2 | destination 1, 2, 4 | source 1, 2, 4 | control 1 | HCS 2 | info | FCS 2 | 7E

A frame without information has no HCS. The length in the format field counts what stands between
the flags; flags may occur inside, since there is no bit stuffing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from openami.core.errors import DecodeError
from openami.dlms.hdlc.address import HdlcAddress
from openami.wire.crc import crc16_x25
from openami.wire.reader import Reader

FLAG: Final = 0x7E
FLAG_OCTET: Final = b"\x7e"
FORMAT_TYPE: Final = 0xA000
SEGMENTED: Final = 0x0800
LENGTH_MASK: Final = 0x07FF
CHECK_SIZE: Final = 2
MIN_LENGTH: Final = 7  # format 2, addresses 1 + 1, control 1, FCS 2
MAX_LENGTH: Final = LENGTH_MASK
MAX_INFO: Final = 2030  # IEC 62056-46, 6.4.4.4.3.2: what fits a frame with the longest addresses

POLL_FINAL: Final = 0x10
SEQUENCE_MODULUS: Final = 8


class FrameKind(StrEnum):
    """What a frame's control field says (6.4.3)."""

    I = "I"  # noqa: E741 - the standard's own name
    RR = "RR"
    RNR = "RNR"
    SNRM = "SNRM"
    DISC = "DISC"
    UA = "UA"
    DM = "DM"
    FRMR = "FRMR"
    UI = "UI"
    UNKNOWN = "unknown"


# Control octets with P/F and sequence numbers cleared.
_BASE: Final = {
    FrameKind.I: 0x00,
    FrameKind.RR: 0x01,
    FrameKind.RNR: 0x05,
    FrameKind.SNRM: 0x83,
    FrameKind.DISC: 0x43,
    FrameKind.UA: 0x63,
    FrameKind.DM: 0x0F,
    FrameKind.FRMR: 0x87,
    FrameKind.UI: 0x03,
}
_UNNUMBERED: Final = {base: kind for kind, base in _BASE.items() if base & 3 == 3}
_SUPERVISORY: Final = {_BASE[kind]: kind for kind in (FrameKind.RR, FrameKind.RNR)}


def _kind_of(octet: int) -> FrameKind:
    if not octet & 1:
        return FrameKind.I
    if octet & 3 == 3:
        return _UNNUMBERED.get(octet & ~POLL_FINAL, FrameKind.UNKNOWN)
    return _SUPERVISORY.get(octet & 0x0F, FrameKind.UNKNOWN)


_KINDS: Final = tuple(_kind_of(octet) for octet in range(256))


@dataclass(frozen=True, slots=True)
class Control:
    """A control field: its octet, and what it means."""

    octet: int

    @classmethod
    def of(cls, kind: FrameKind, *, final: bool = True, ns: int = 0, nr: int = 0) -> Self:
        """Return the control field of ``kind``; numbers that the kind lacks must be 0."""
        return cls(_BASE[kind] | final * POLL_FINAL | ns << 1 | nr << 5)

    @property
    def kind(self) -> FrameKind:
        return _KINDS[self.octet]

    @property
    def final(self) -> bool:
        """The P bit of a command, the F bit of a response."""
        return bool(self.octet & POLL_FINAL)

    @property
    def ns(self) -> int:
        """N(S) of an I frame."""
        return self.octet >> 1 & 7

    @property
    def nr(self) -> int:
        """N(R) of an I, RR or RNR frame."""
        return self.octet >> 5


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame between its flags."""

    destination: HdlcAddress
    source: HdlcAddress
    control: Control
    info: bytes = b""
    segmented: bool = False

    def encode(self) -> bytes:
        """Return the frame with its checks and both flags.

        Raises:
            ValueError: the information is too long for a frame.
        """
        head = self.destination.encode() + self.source.encode() + bytes((self.control.octet,))
        checks = 2 * CHECK_SIZE if self.info else CHECK_SIZE
        length = 2 + len(head) + len(self.info) + checks
        if length > MAX_LENGTH:
            raise ValueError(f"a frame of {length} octets is longer than {MAX_LENGTH}")
        head = (FORMAT_TYPE | self.segmented * SEGMENTED | length).to_bytes(2, "big") + head
        if self.info:
            head = head + _check(head) + self.info
        return FLAG_OCTET + head + _check(head) + FLAG_OCTET

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read one frame, flags included.

        Raises:
            DecodeError: it is not exactly one frame with right checks.
        """
        r = Reader(data)
        r.expect(FLAG, "opening flag")
        length, segmented = read_format(r)
        if r.remaining != length - 1:  # the two octets of the format are read, a flag follows
            raise r.error(f"{length} octets between the flags wanted")
        destination = HdlcAddress.decode(r)
        source = HdlcAddress.decode(r)
        control = Control(r.u8())
        body = r.remaining - CHECK_SIZE - 1
        info = _read_info(r, data, body) if body else b""
        _read_check(r, data, "FCS")
        r.expect(FLAG, "closing flag")
        return cls(destination, source, control, info, segmented)


def read_format(r: Reader) -> tuple[int, bool]:
    """Read a format field; return the frame's length and whether more segments follow."""
    start = r.offset
    value = r.u16()
    if value & 0xF000 != FORMAT_TYPE:
        raise DecodeError("frame format type 3 wanted", offset=start)
    length = value & LENGTH_MASK
    if length < MIN_LENGTH:
        raise DecodeError("a frame has 7 octets at least", offset=start)
    return length, bool(value & SEGMENTED)


def _check(data: bytes) -> bytes:
    return crc16_x25(data).to_bytes(CHECK_SIZE, "little")


def _read_info(r: Reader, data: bytes, body: int) -> bytes:
    if body <= CHECK_SIZE:  # 6.4.1: no HCS without information
        raise r.error("information after the HCS wanted")
    _read_check(r, data, "HCS")
    return r.take(body - CHECK_SIZE)


def _read_check(r: Reader, data: bytes, what: str) -> None:
    """Compare the next two octets with the check of all before them but the opening flag."""
    start = r.offset
    if r.take(CHECK_SIZE) != _check(data[1:start]):
        raise DecodeError(f"{what} is wrong", offset=start, code=f"hdlc.{what.lower()}")
