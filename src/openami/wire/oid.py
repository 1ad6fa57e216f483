"""Object identifiers and relative ones (ITU-T X.690, 8.19 and 8.20)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_OCTETS: Final = 64
"""Of one identifier: those of networks and devices have about twenty; nobody's list shall be long.
"""
_ARC_BITS: Final = 64  # a UUID as one arc (2.25) is the only longer one, and names no device


def check(content: bytes, offset: int = 0) -> None:
    """Raise ``DecodeError`` unless ``content`` is one or more whole arcs."""
    if not 1 <= len(content) <= MAX_OCTETS:
        raise DecodeError(f"an identifier of 1 to {MAX_OCTETS} octets wanted", offset=offset)
    if content[-1] & 0x80:
        raise DecodeError("the last arc is cut off", offset=offset)
    arcs(content, offset)


def arcs(content: bytes, offset: int = 0) -> tuple[int, ...]:
    """Return the arcs of a relative identifier, or the numbers that an absolute one is made of.

    Raises:
        DecodeError: an arc has zeros before it, or more than 64 bits.
    """
    found = []
    value = begun = 0
    for at, octet in enumerate(content):
        if not begun and octet == 0x80:  # X.690, 8.19.2: the fewest octets
            raise DecodeError("an arc begins with zeros", offset=offset + at)
        value, begun = value << 7 | octet & 0x7F, octet & 0x80
        if value >> _ARC_BITS:
            raise DecodeError(f"an arc of more than {_ARC_BITS} bits", offset=offset + at)
        if not begun:
            found.append(value)
            value = 0
    return tuple(found)


def encode(numbers: Sequence[int]) -> bytes:
    """Return what ``arcs`` reads.

    Raises:
        ValueError: an arc is negative or has more than 64 bits.
    """
    out = bytearray()
    for number in numbers:
        if number < 0 or number >> _ARC_BITS:
            raise ValueError(f"an arc has 0 to {_ARC_BITS} bits")
        size = max((number.bit_length() + 6) // 7, 1)
        groups = [number >> 7 * at & 0x7F for at in reversed(range(size))]
        out += bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])
    return bytes(out)


def absolute(content: bytes) -> tuple[int, ...]:
    """Return the arcs of an object identifier: its first number holds two of them.

    Raises:
        DecodeError: as ``arcs``.
    """
    first, *others = arcs(content)
    root = min(first // 40, 2)
    return root, first - 40 * root, *others


def encode_absolute(numbers: Sequence[int]) -> bytes:
    """Return what ``absolute`` reads.

    Raises:
        ValueError: there are no such arcs.
    """
    if len(numbers) < 2 or not 0 <= numbers[0] <= 2 or (numbers[0] < 2 and numbers[1] > 39):
        raise ValueError("an identifier begins with 0 to 2, and 0 to 39 after 0 and 1")
    return encode((40 * numbers[0] + numbers[1], *numbers[2:]))
