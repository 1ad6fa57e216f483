"""What events have brought: each meter's baseline beside what it used.

The days before an event are taken from five hours before its start to its end, by local time, so
that an event past midnight needs no other rule; a day on which the clocks changed is not like any.
The lake is asked for some meters at a time, as many as fit a page of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from openami.core.errors import ConflictError
from openami.fleet.demand.machine import EventState
from openami.headend.readings import PERIOD_S, PROFILE
from openami.mdm.baseline import (
    ADJUST_S,
    APART_S,
    LOOK_BACK,
    Floats,
    Saved,
    adjusting,
    baselines,
    savings,
)
from openami.mdm.tariffs.calendar import public_holidays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from openami.core.clock import Clock
    from openami.fleet.demand.model import Event
    from openami.fleet.demand.records import EventRecord
    from openami.fleet.demand.standing import Standing
    from openami.fleet.ports import ReadingStore
    from openami.headend.demand.ports import DemandStore

IMPORTED: Final = "1.0.1.29.0.255"
WATT_HOUR: Final = 30
"""The unit's code."""
PAGE: Final = 200
"""Meters of a page: a million rows of the lake."""
PIECE: Final = 20
"""Meters of one query: 45 days and an event's are some 90,000 rows."""
NOT_REACHED: Final = "not reached"
"""At meters that an event was for, and of which nothing was ever said."""
AHEAD_S: Final = ADJUST_S + APART_S


@dataclass(frozen=True, slots=True)
class MeterResult:
    """What an event has brought at a meter, and whether it took part."""

    saved: Saved
    standing: Standing


@dataclass(frozen=True, slots=True)
class Course:
    """The energy of meters together, interval by interval, from hours before an event on.

    Attributes:
        meters: how many have a baseline; only they are in it.
        first: how many intervals before the event.
        step_s: length of an interval.
        used: Wh; of the event's own intervals ``baseline`` beside it, from ``first`` on.
    """

    meters: int
    first: int
    step_s: int
    used: tuple[float, ...]
    baseline: tuple[float, ...]


NO_COURSE: Final = Course(0, 0, PERIOD_S, (), ())


@dataclass(frozen=True, slots=True)
class Results:
    """A page of results, and the course of those on it that have a baseline.

    Attributes:
        start: of what was looked at at meters whose start was not put off.
        end: of the same.
        meters: by serial number.
        next: for the page that follows.
        course: of the meters of the page together.
    """

    start: int
    end: int
    meters: tuple[MeterResult, ...]
    next: str | None
    course: Course = NO_COURSE


class Measurement:
    """Measures events against baselines. Calls block."""

    def __init__(
        self,
        store: DemandStore,
        readings: ReadingStore,
        *,
        clock: Clock,
        timezone: str,
        holidays: str | None,
    ) -> None:
        self._store, self._readings, self._clock = store, readings, clock
        self._zone, self._holidays = ZoneInfo(timezone), holidays

    def results(self, id_: str, *, after: str | None = None, limit: int = PAGE) -> Results:
        """Return what an event has brought at the meters that it was for.

        Those of which nothing was ever said are ``NOT_REACHED``, and not measured.

        Raises:
            NotFoundError: there is no such event.
            ConflictError: ``demand.not-begun``; ``demand.short``, no whole interval of the load
                profile lies in it; ``store.readings``, of some of its meters there are too many.
        """
        record = self._store.get(id_)
        if record.published is None or self._clock.now() <= record.event.start:
            raise ConflictError("the event has not begun", code="demand.not-begun")
        end = self._end(record)
        count = _intervals(record.event, end)
        if count < 1:
            raise ConflictError(
                f"no whole interval of {PERIOD_S // 60} minutes lies in the event",
                code="demand.short",
            )
        page = self._store.asked(record, after=after, limit=min(limit, PAGE))
        meters = [one.meter for one in page.items if one.standing.reached]
        measured, course = self._measured(record, meters, end) if meters else ([], NO_COURSE)
        found = {saved.meter: saved for saved in measured}
        results = tuple(
            MeterResult(found.get(one.meter) or _not_reached(one.meter, count), one.standing)
            for one in page.items
        )
        return Results(record.event.start, end, results, page.next, course)

    def _end(self, record: EventRecord) -> int:
        """Return until when an event held: it may have been cancelled, or still go on."""
        now = int(self._clock.now())
        ended = record.ended if record.state is EventState.CANCELLED else None
        return min(record.event.end, now if ended is None else int(ended))

    def _measured(
        self, record: EventRecord, meters: Sequence[str], end: int
    ) -> tuple[Sequence[Saved], Course]:
        count = _intervals(record.event, end)
        width = AHEAD_S // PERIOD_S + count
        event = np.arange(AHEAD_S // PERIOD_S, width, dtype=np.int64)
        before = np.full((len(meters), LOOK_BACK, width), np.nan)
        day = np.full((len(meters), width), np.nan)
        usable = np.zeros((len(meters), LOOK_BACK), bool)
        starts: list[Sequence[int]] = []
        for row, meter in enumerate(meters):
            begins, likes = self._days(_aligned(record.event.for_meter(meter).start) - AHEAD_S)
            starts.append(begins)
            usable[row] = likes & ~self._asked(meter, record.key, begins, width * PERIOD_S)
        for first in range(0, len(meters), PIECE):
            some = slice(first, first + PIECE)
            before[some], day[some] = self._energy(meters[some], starts[some], width)
        found = baselines(before, usable, event, adjusting(event, PERIOD_S), day)
        return savings(meters, found, day, event), _course(found.wh, day, int(event[0]))

    def _days(self, start: int) -> tuple[list[int], np.ndarray]:
        """Return when each day begins, the event's last, and which days before are like it."""
        local = datetime.fromtimestamp(start, UTC).astimezone(self._zone)
        days = [local - timedelta(days=back) for back in range(LOOK_BACK, -1, -1)]
        kinds = [self._free(each.date()) for each in days]
        even = [each.utcoffset() == local.utcoffset() for each in days]
        like = np.array([kind == kinds[-1] for kind in kinds[:-1]]) & np.array(even[:-1])
        return [int(each.timestamp()) for each in days], like

    def _free(self, day: date) -> bool:
        if day.weekday() > 4:
            return True
        return self._holidays is not None and day in _holidays(self._holidays, day.year)

    def _asked(self, meter: str, key: int, starts: Sequence[int], length: int) -> np.ndarray:
        """Return on which of the days before a meter had another event."""
        spans = [
            (record.event.start, record.event.over)
            for record, _ in self._store.history(meter)
            if record.key != key and record.published is not None
        ]
        return np.array([
            any(begin < start + length and end > start for begin, end in spans)
            for start in starts[:-1]
        ])  # fmt: skip

    def _energy(
        self, meters: Sequence[str], starts: Sequence[Sequence[int]], width: int
    ) -> tuple[Floats, Floats]:
        """Return the Wh of the days before, and of the event's: NaN where none was measured.

        Args:
            meters: of which.
            starts: when the days of each begin.
            width: how many intervals of a day.
        """
        first = min(each[0] for each in starts)
        last = max(each[-1] for each in starts) + width * PERIOD_S
        lines = np.full((len(meters), (last - first) // PERIOD_S), np.nan)
        table = self._readings.of_meters(meters, IMPORTED, profile=PROFILE, start=first, end=last)
        _place(lines, meters, table, first)
        rows = np.array([
            [line[(at - first) // PERIOD_S :][:width] for at in each]
            for line, each in zip(lines, starts, strict=True)
        ])  # fmt: skip
        return rows[:, :-1], rows[:, -1]


def _not_reached(meter: str, intervals: int) -> Saved:
    return Saved(meter, None, 0.0, 0, intervals, NOT_REACHED)


def _place(lines: Floats, meters: Sequence[str], table: pa.Table, first: int) -> None:
    """Put readings where they belong, a row for each meter: an interval is named by its end."""
    good = np.asarray(table["unit"]) == WATT_HOUR
    ends = np.asarray(table["time"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()))
    place, off = np.divmod(ends - first, PERIOD_S)
    good &= off == 0
    wh = np.asarray(table["value"]) * 10.0 ** np.asarray(table["scaler"])
    row = np.asarray(pc.index_in(table["meter"].cast(pa.utf8()), pa.array(meters, pa.utf8())))
    lines[row[good], place[good] - 1] = wh[good]


def _course(baseline: Floats, day: Floats, first: int) -> Course:
    """Return what meters with a baseline used together, beside it where both are known."""
    known = ~np.isnan(baseline).any(axis=1) & ~np.isnan(day[:, first:]).all(axis=1)
    used, base = day[known], np.where(np.isnan(day[known, first:]), 0.0, baseline[known])
    return Course(
        int(known.sum()), first, PERIOD_S,
        tuple(np.nansum(used, axis=0).tolist()), tuple(base.sum(axis=0).tolist()),
    )  # fmt: skip


def _aligned(start: int) -> int:
    return -(-start // PERIOD_S) * PERIOD_S


def _intervals(event: Event, end: int) -> int:
    """Return how many whole intervals of the load profile are in an event at every meter."""
    even = not event.random_s and event.start % PERIOD_S == 0
    return (end - event.start) // PERIOD_S - (0 if even else 1)


@lru_cache(maxsize=64)
def _holidays(place: str, year: int) -> frozenset[date]:
    country, _, part = place.partition("-")
    return public_holidays(country, part or None, year)
