"""Rows as A-XDR structures (Green Book, annex A), put together once when they are captured."""

from __future__ import annotations

from typing import Final

_STRUCTURE: Final = 0x02
_U32: Final = b"\x06"
_OCTETS_12: Final = b"\x09\x0c"
_U8: Final = b"\x11"

_U32_MAX: Final = 0xFFFF_FFFF


def structure(*elements: bytes) -> bytes:
    """Return a structure of up to 127 encoded elements."""
    return bytes((_STRUCTURE, len(elements))) + b"".join(elements)


def clock(stamp: bytes) -> bytes:
    """Return a date-time as an octet-string, as the clock's time attribute is."""
    return _OCTETS_12 + stamp


def u8(value: int) -> bytes:
    """Return an unsigned."""
    return _U8 + value.to_bytes(1, "big")


def u32(value: int) -> bytes:
    """Return a double-long-unsigned; a value beyond its range gives the largest."""
    return _U32 + min(value, _U32_MAX).to_bytes(4, "big")


def cells(row: bytes) -> list[bytes]:
    """Return the encoded elements of a structure that these functions made."""
    found: list[bytes] = []
    offset = 2
    while offset < len(row):
        size = 2 + row[offset + 1] if row[offset] == _OCTETS_12[0] else _SIZES[row[offset]]
        found.append(row[offset : offset + size])
        offset += size
    return found


_SIZES: Final = {_U32[0]: 5, _U8[0]: 2}
