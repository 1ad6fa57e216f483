"""Type, length, value: what MCUboot puts behind an image (its design document, "Image format")."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from openami.core.errors import DecodeError

PROTECTED: Final = 0x6908
UNPROTECTED: Final = 0x6907
MAX_AREA: Final = 0xFFFF  # its length is a field of two octets

_PAIR: Final = struct.Struct("<HH")
HEAD: Final = _PAIR.size


class TlvType(IntEnum):
    """The types that this room reads; a vendor's own begin at 00A0."""

    KEYHASH = 0x01
    SHA256 = 0x10
    ECDSA_SIG = 0x22
    DEPENDENCY = 0x40
    SEC_CNT = 0x50
    HARDWARE = 0x00A0  # ours, once for each hardware that the image fits: its name in ASCII


@dataclass(frozen=True, slots=True)
class Tlv:
    """One entry; the type may be one that ``TlvType`` does not know."""

    type: int
    value: bytes = field(repr=False)


def encode_area(magic: int, entries: tuple[Tlv, ...]) -> bytes:
    """Return an area with its head.

    Raises:
        ValueError: the entries are longer than an area can be.
    """
    body = b"".join(_PAIR.pack(entry.type, len(entry.value)) + entry.value for entry in entries)
    if HEAD + len(body) > MAX_AREA:
        raise ValueError("more entries than a TLV area holds")
    return _PAIR.pack(magic, HEAD + len(body)) + body


def area_magic(data: bytes, offset: int) -> int:
    """Return the magic of the area at ``offset``."""
    return _pair(data, offset, "the head of a TLV area")[0]


def decode_area(data: bytes, offset: int) -> tuple[tuple[Tlv, ...], int]:
    """Return the entries of the area at ``offset``, and where it ends.

    Raises:
        DecodeError: it is cut (``firmware.cut``), or entries do not fill it (``firmware.form``).
    """
    _, size = _pair(data, offset, "the head of a TLV area")
    end = offset + size
    if size < HEAD:
        raise malformed("a TLV area shorter than its head", offset)
    if end > len(data):
        raise cut("a TLV area", len(data))
    offset += HEAD
    entries = []
    while offset < end:
        if end - offset < HEAD:
            raise malformed("a TLV entry outside of its area", offset)
        kind, length = _PAIR.unpack_from(data, offset)
        offset += HEAD
        if length > end - offset:
            raise malformed("a TLV entry outside of its area", offset)
        entries.append(Tlv(kind, data[offset : offset + length]))
        offset += length
    return tuple(entries), end


def cut(what: str, offset: int) -> DecodeError:
    """Return (not raise) the error of an image that ends too early."""
    return DecodeError(f"{what} is cut", offset=offset, code="firmware.cut")


def malformed(message: str, offset: int) -> DecodeError:
    """Return (not raise) the error of an image that is not built as MCUboot's are."""
    return DecodeError(message, offset=offset, code="firmware.form")


def _pair(data: bytes, offset: int, what: str) -> tuple[int, int]:
    if len(data) - offset < HEAD:
        raise cut(what, len(data))
    first, second = _PAIR.unpack_from(data, offset)
    return first, second
