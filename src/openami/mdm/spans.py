"""Days, weeks, months and years of a time zone, and energy summed over their parts.

A day is shown by its hours, a week and a month by their days, a year by its months. Parts are
those of the calendar: a day in which clocks change has 23 or 25 hours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

Longs = npt.NDArray[np.int64]

HOUR_S: Final = 3600
# As for readings: nothing was measured before 2000 or will be after 2100.
FIRST: Final = date(2000, 1, 1)
LAST: Final = date(2099, 12, 31)


class Length(StrEnum):
    """How long a span is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


_BEGINS: Final[Mapping[Length, Callable[[date], date]]] = {
    Length.DAY: lambda day: day,
    Length.WEEK: lambda day: day - timedelta(days=day.weekday()),  # ISO 8601: Monday
    Length.MONTH: lambda day: day.replace(day=1),
    Length.YEAR: lambda day: day.replace(month=1, day=1),
}
_FOLLOWS: Final[Mapping[Length, Callable[[date], date]]] = {
    Length.DAY: lambda day: day + timedelta(days=1),
    Length.WEEK: lambda day: day + timedelta(days=7),
    Length.MONTH: lambda day: (day.replace(day=28) + timedelta(days=4)).replace(day=1),
    Length.YEAR: lambda day: day.replace(year=day.year + 1),
}
_PARTS: Final[Mapping[Length, Length]] = {
    Length.WEEK: Length.DAY,
    Length.MONTH: Length.DAY,
    Length.YEAR: Length.MONTH,
}


@dataclass(frozen=True, slots=True)
class Span:
    """A day, week, month or year of a time zone; ``first`` is its first day."""

    length: Length
    first: date
    zone: ZoneInfo

    @classmethod
    def holding(cls, length: Length, day: date, zone: ZoneInfo) -> Span:
        """Return the span that a day is in.

        Raises:
            ConfigError: ``span``, the day is not of the years 2000 to 2099.
        """
        if not FIRST <= day <= LAST:
            raise ConfigError(f"{day} is too long ago or too far ahead", code="span")
        return cls(length, _BEGINS[length](day), zone)

    @property
    def last(self) -> date:
        """Its last day."""
        return _FOLLOWS[self.length](self.first) - timedelta(days=1)

    @property
    def before(self) -> Span:
        """The span before it."""
        return Span(self.length, _BEGINS[self.length](self.first - timedelta(days=1)), self.zone)

    @property
    def after(self) -> Span:
        """The span after it."""
        return Span(self.length, _FOLLOWS[self.length](self.first), self.zone)

    @property
    def start(self) -> int:
        """When it begins, in seconds UTC."""
        return midnight(self.first, self.zone)

    @property
    def end(self) -> int:
        """When it ends, in seconds UTC."""
        return midnight(_FOLLOWS[self.length](self.first), self.zone)

    def edges(self) -> list[int]:
        """Return when its parts begin and, last, when it ends."""
        if self.length is Length.DAY:
            return list(range(self.start, self.end + 1, HOUR_S))
        part = _FOLLOWS[_PARTS[self.length]]
        days, beyond = [self.first], _FOLLOWS[self.length](self.first)
        while days[-1] < beyond:
            days.append(part(days[-1]))
        return [midnight(day, self.zone) for day in days]


def midnight(day: date, zone: ZoneInfo) -> int:
    """Return when a day begins in a time zone, in seconds UTC."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(local.astimezone(UTC).timestamp())


def day_of(seconds: float, zone: ZoneInfo) -> date:
    """Return the day that a moment is in."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).date()


@dataclass(frozen=True, slots=True)
class Energies:
    """The energy of intervals that are there: ends in seconds UTC, in order, each once; Wh."""

    ends: Longs = field(repr=False)
    wh: Longs = field(repr=False)

    def within(self, start: int, end: int) -> Energies:
        """Return those of ``start`` < t ≤ ``end``."""
        low, high = np.searchsorted(self.ends, [start, end], side="right")
        return Energies(self.ends[low:high], self.wh[low:high])

    @property
    def total(self) -> int:
        """Their sum in Wh."""
        return int(self.wh.sum())


@dataclass(frozen=True, slots=True)
class Part:
    """What was used in a part of a span; ``expected`` and ``present`` count its intervals.

    ``wh`` is None where no interval is there; ``expected`` counts no interval of the future, none
    that is somebody else's.
    """

    start: int
    end: int
    wh: int | None
    expected: int
    present: int

    @property
    def missing(self) -> int:
        """How many intervals are not there."""
        return self.expected - self.present


def parts(
    edges: Sequence[int], energies: Energies, *, within: tuple[int, int], interval_s: int
) -> list[Part]:
    """Return energy summed over the parts between edges.

    Args:
        edges: when parts begin and, last, when the last one ends.
        energies: of the intervals that are there.
        within: what is looked at: intervals of ``start`` < t ≤ ``end`` are expected.
        interval_s: how long an interval is.
    """
    seen = energies.within(*within)
    places = np.searchsorted(seen.ends, np.array(edges, np.int64), side="right")
    sums = np.concatenate([[0], np.cumsum(seen.wh)])[places]
    found = []
    for number, (start, end) in enumerate(pairwise(edges)):
        present = int(places[number + 1] - places[number])
        begin, stop = max(start, within[0]), min(end, within[1])
        expected = max(stop // interval_s - begin // interval_s, 0)
        wh = int(sums[number + 1] - sums[number]) if present else None
        found.append(Part(start, end, wh, max(expected, present), present))
    return found


def gaps(energies: Energies, *, within: tuple[int, int], interval_s: int) -> list[tuple[int, int]]:
    """Return from when to when intervals are not there, though they should be."""
    start, end = (moment // interval_s * interval_s for moment in within)
    there = energies.within(start, end).ends
    stops = np.concatenate([there - interval_s, [end]])
    starts = np.concatenate([[start], there])
    return [
        (int(begin), int(stop)) for begin, stop in zip(starts, stops, strict=True) if begin < stop
    ]
