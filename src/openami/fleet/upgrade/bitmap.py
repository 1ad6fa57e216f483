"""Bitmaps of blocks, as meters give them and as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openami.fleet.upgrade.answers import Bits

MAX_BLOCKS: Final = 1 << 17
"""16 MiB in blocks of 128 octets: the largest image in the smallest blocks that are in use."""


def present(bits: Bits | None, blocks: int, *, suspect: bool = False) -> NDArray[np.bool_]:
    """Return which blocks a meter has, by its own bitmap.

    Bits that a short bitmap lacks are blocks that the meter lacks; bits beyond the last block say
    nothing.

    Args:
        bits: block 0 is the leftmost bit (Blue Book 4.4.6, attribute 3).
        blocks: how many there are.
        suspect: the meter may count the bits of each octet from the right, as some do: it has
            only what it has in either order, and everything if either order says so.
    """
    if bits is None:
        return np.zeros(blocks, dtype=np.bool_)
    octets = np.frombuffer(bits.octets[: -(-blocks // 8)], dtype=np.uint8)
    there = _fitted(np.unpackbits(octets, bitorder="big"), blocks)
    if suspect:
        other = _fitted(np.unpackbits(octets, bitorder="little"), blocks)
        there = np.ones_like(there) if there.all() or other.all() else there & other
    there[max(bits.count, 0) :] = False
    return there


def _fitted(bits: NDArray[np.uint8], blocks: int) -> NDArray[np.bool_]:
    there = np.zeros(blocks, dtype=np.bool_)
    there[: len(bits)] = bits[:blocks]
    return there


def first_gap(there: NDArray[np.bool_]) -> int:
    """Return the number of the first block that is missing; their number if none is."""
    return int(np.argmin(there)) if not there.all() else len(there)
