"""Usage out of interval energy: by period and day, with what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from openami.mdm.tariffs.calendar import interval_ends, period_places
from openami.mdm.tariffs.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Period

Longs = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

_HOUR: Final = 3600

NOT_VALID: Final = 0x04
"""AMR profile status, data not valid: the meter did not hear its measuring part all the time."""

SPREAD: Final = 0x10
"""Of our own meters: energy of several intervals, given out evenly; exact in sum."""


@dataclass(frozen=True, slots=True)
class Metered:
    """What a meter's intervals of a month say.

    ``doubtful`` is how many of those that are there the meter itself does not vouch for one by
    one: ``NOT_VALID`` or ``SPREAD``. Their energy counts all the same, since rows add up to the
    register.

    ``days`` has a row for each complete day of the month up to the last interval that is there,
    and a column for each period, in Wh; ``left`` is how many seconds of the month follow that
    interval.
    """

    usage: Usage
    expected: int
    present: int
    until: int
    left: int
    days: Longs = field(repr=False)
    doubtful: int = 0

    @property
    def missing(self) -> int:
        """How many intervals are not there though later ones are."""
        return self.expected - self.present


def metered(
    tariff: Tariff,
    month: Period,
    ends: Longs,
    wh: Longs,
    interval_s: int,
    *,
    status: Octets | None = None,
) -> Metered:
    """Return a month's usage out of the energy of its intervals.

    The demand is the mean power of the interval with the most energy. Intervals of other months
    and off the grid count for nothing.

    Args:
        tariff: whose time, hours and periods count.
        month: the month.
        ends: of the intervals that are there, in seconds UTC, each once.
        wh: the energy of each.
        interval_s: how long an interval is.
        status: profile status of each; none: nothing is known to be wrong.

    Raises:
        ConfigError: ``tariff.interval``, intervals do not fit the tariff's hours;
            ``tariff.not-valid``, ``tariff.season``.
    """
    grid = interval_ends(tariff, month, interval_s)
    place, good = _on_grid(grid, ends)
    energy, there = np.zeros(len(grid), np.int64), np.zeros(len(grid), np.bool_)
    energy[place] = wh[good]
    there[place] = True
    places = (
        period_places(tariff, grid, month, interval_s)
        if tariff.periods
        else np.zeros(len(grid), np.int64)
    )
    names = tariff.periods or ("",)
    until = int(grid[there][-1]) if there.any() else int(grid[0]) - interval_s
    days = [
        split(energy[mine][:, None], places[mine], len(names))[:, 0]
        for mine in _complete(month.midnights(tariff.zone), grid, there)
    ]
    sums = split(energy[:, None], places, len(names))[:, 0]
    return Metered(
        usage=Usage(
            {name: _kilo(value) for name, value in zip(names, sums.tolist(), strict=True)},
            _kilo(int(energy.max()) * _HOUR) / interval_s,
        ),
        expected=int((grid <= until).sum()),
        present=int(there.sum()),
        until=until,
        left=int(grid[-1]) - until,
        days=np.array(days, np.int64).reshape(len(days), len(names)),
        doubtful=0 if status is None else int((status[good] & (NOT_VALID | SPREAD) > 0).sum()),
    )


def split(energy: Longs, places: Longs, periods: int) -> Longs:
    """Return energy by period: of a row for each interval and a column for each meter, sums."""
    return np.stack([energy[places == place].sum(axis=0) for place in range(periods)])


def _on_grid(grid: Longs, ends: Longs) -> tuple[Longs, Flags]:
    """Return which of the ends are on the grid, and the places of those."""
    place = np.searchsorted(grid, ends).clip(max=len(grid) - 1)
    good = grid[place] == ends
    return place[good], good


def _complete(starts: Sequence[int], grid: Longs, there: Flags) -> Iterator[Flags]:
    """Yield for each day that has all of its intervals which of them those are."""
    for begin, end in pairwise(starts):
        mine = (grid > begin) & (grid <= end)
        if there[mine].all():
            yield mine


def _kilo(value: int) -> Decimal:
    return Decimal(value).scaleb(-3)
