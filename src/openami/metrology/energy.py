"""Exact energy: integers of nanojoules (milliwatts times microseconds) that never lose anything.

The counters are unbounded; a register shows them as whole watt-hours and rolls over by itself
without an interval noticing.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openami.metrology.sources import Sample

PER_WH: Final = 3_600_000_000_000
"""Nanojoules in a watt-hour."""

ROLLOVER: Final = 1_000_000_000
"""A register shows 999,999.999 kWh at most and goes on from 0, as a nine-digit display does."""

RATES: Final = 4


class Channel(IntEnum):
    """What is counted, by the value group C of its OBIS code."""

    IMPORT = 1
    EXPORT = 2
    REACTIVE_IMPORT = 3
    REACTIVE_EXPORT = 4
    QUADRANT_1 = 5
    QUADRANT_2 = 6
    QUADRANT_3 = 7
    QUADRANT_4 = 8
    APPARENT_IMPORT = 9
    APPARENT_EXPORT = 10
    ABSOLUTE = 15


_EXPORT: Final = RATES
_QUADRANTS: Final = 2 * RATES
_APPARENT: Final = _QUADRANTS + 4
_CELLS: Final = _APPARENT + 2

CELLS: Final[Mapping[Channel, tuple[int, ...]]] = {
    Channel.IMPORT: (0, 1, 2, 3),
    Channel.EXPORT: (4, 5, 6, 7),
    Channel.REACTIVE_IMPORT: (8, 9),
    Channel.REACTIVE_EXPORT: (10, 11),
    Channel.QUADRANT_1: (8,),
    Channel.QUADRANT_2: (9,),
    Channel.QUADRANT_3: (10,),
    Channel.QUADRANT_4: (11,),
    Channel.APPARENT_IMPORT: (12,),
    Channel.APPARENT_EXPORT: (13,),
    Channel.ABSOLUTE: (0, 1, 2, 3, 4, 5, 6, 7),
}
"""Which counters make up a channel: a total is the sum of its rates, so the two always agree."""


COUNTED: Final = tuple(
    channel
    for channel, cells in CELLS.items()
    if len(cells) == 1 or channel in {Channel.IMPORT, Channel.EXPORT}
)
"""Channels that together say all: the others are sums of their counters."""

_RATED: Final = frozenset({Channel.IMPORT, Channel.EXPORT})


def quadrant(sample: Sample) -> int:
    """Return the quadrant, 1 to 4, of a power (IEC 62053-23 annex C): 1 is import, inductive."""
    if sample.active >= 0:
        return 1 if sample.reactive >= 0 else 4
    return 2 if sample.reactive >= 0 else 3


def apparent(sample: Sample) -> int:
    """Return the apparent power in mVA: as it was measured, or of the powers, rounded down."""
    if sample.apparent is not None:
        return sample.apparent
    return math.isqrt(sample.active**2 + sample.reactive**2)


class Energy:
    """The counters of one meter."""

    __slots__ = ("_cells",)

    def __init__(self, cells: Iterable[int] = ()) -> None:
        self._cells = list(cells) or [0] * _CELLS
        if len(self._cells) != _CELLS or min(self._cells) < 0:
            raise ValueError(f"{_CELLS} counters wanted, none negative")

    @property
    def cells(self) -> tuple[int, ...]:
        """The counters in nanojoules, as the constructor takes them."""
        return tuple(self._cells)

    def add(self, sample: Sample, microseconds: int, rate: int) -> None:
        """Count ``sample`` for a time, its active energy under ``rate`` (1 to 4)."""
        cells = self._cells
        importing = sample.active >= 0
        cells[(0 if importing else _EXPORT) + rate - 1] += abs(sample.active) * microseconds
        if sample.reactive:
            cells[_QUADRANTS + quadrant(sample) - 1] += abs(sample.reactive) * microseconds
        cells[_APPARENT + (not importing)] += apparent(sample) * microseconds

    def count(self, amounts: Mapping[Channel, int], rate: int) -> None:
        """Count nanojoules that somebody else has measured, by ``COUNTED``."""
        for channel, amount in amounts.items():
            cells = CELLS[channel]
            self._cells[cells[rate - 1] if channel in _RATED else cells[0]] += amount

    def exact(self, channel: Channel, rate: int = 0) -> int:
        """Return nanojoules; ``rate`` 0 for the total, 1 to 4 for the active energy of a rate."""
        cells = CELLS[channel]
        if rate:
            return self._cells[cells[rate - 1]]
        return sum(self._cells[cell] for cell in cells)

    def whole(self, channel: Channel, rate: int = 0) -> int:
        """Return whole watt-hours (or varh, VAh) ever counted, without rollover."""
        return self.exact(channel, rate) // PER_WH

    def register(self, channel: Channel, rate: int = 0) -> int:
        """Return what the register shows."""
        return self.whole(channel, rate) % ROLLOVER
