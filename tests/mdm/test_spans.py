"""Days, weeks, months and years, and energy over their parts."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import ConfigError
from openami.mdm.spans import Energies, Length, Part, Span, day_of, gaps, midnight, parts

SEOUL, BERLIN = ZoneInfo("Asia/Seoul"), ZoneInfo("Europe/Berlin")
QUARTER = 900


def energies(start: int, count: int, wh: int = 100) -> Energies:
    ends = start + QUARTER * np.arange(1, count + 1, dtype=np.int64)
    return Energies(ends, np.full(count, wh, np.int64))


@pytest.mark.parametrize(
    ("length", "day", "first", "last", "count"),
    [
        (Length.DAY, date(2026, 5, 28), date(2026, 5, 28), date(2026, 5, 28), 24),
        (Length.WEEK, date(2026, 5, 28), date(2026, 5, 25), date(2026, 5, 31), 7),
        (Length.MONTH, date(2026, 2, 28), date(2026, 2, 1), date(2026, 2, 28), 28),
        (Length.MONTH, date(2026, 12, 31), date(2026, 12, 1), date(2026, 12, 31), 31),
        (Length.YEAR, date(2026, 5, 28), date(2026, 1, 1), date(2026, 12, 31), 12),
    ],
)
def test_a_span_holds_a_day(length: Length, day: date, first: date, last: date, count: int) -> None:
    span = Span.holding(length, day, SEOUL)
    assert (span.first, span.last) == (first, last)
    assert span.before.end == span.start
    assert span.after.start == span.end
    edges = span.edges()
    assert (edges[0], edges[-1], len(edges)) == (span.start, span.end, count + 1)
    assert all(early < late for early, late in pairwise(edges))


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_a_day_in_which_clocks_change(day: date, hours: int) -> None:
    assert len(Span.holding(Length.DAY, day, BERLIN).edges()) == hours + 1


@given(st.dates(date(2000, 2, 1), date(2099, 11, 1)), st.sampled_from(Length))
def test_spans_follow_each_other(day: date, length: Length) -> None:
    span = Span.holding(length, day, BERLIN)
    assert span.first <= day <= span.last
    assert span.before.after == span == span.after.before


@pytest.mark.parametrize("day", [date(1999, 12, 31), date(2100, 1, 1)])
def test_no_span_is_out_of_bounds(day: date) -> None:
    with pytest.raises(ConfigError):
        Span.holding(Length.DAY, day, SEOUL)


def test_a_moment_is_in_a_day() -> None:
    assert day_of(midnight(date(2026, 5, 28), SEOUL), SEOUL) == date(2026, 5, 28)
    assert day_of(midnight(date(2026, 5, 28), SEOUL) - 1, SEOUL) == date(2026, 5, 27)


def test_energy_is_summed_over_parts_and_what_is_missing_counted() -> None:
    all_of_it = energies(0, 12)
    kept = np.delete(np.arange(12), [5])
    some = Energies(all_of_it.ends[kept], all_of_it.wh[kept])
    found = parts([0, 3600, 7200, 10800], some, within=(900, 8100), interval_s=QUARTER)
    assert found == [
        Part(0, 3600, 300, 3, 3),
        Part(3600, 7200, 300, 4, 3),
        Part(7200, 10800, 100, 1, 1),
    ]
    assert [part.missing for part in found] == [0, 1, 0]
    empty = parts([0, 3600], energies(0, 0), within=(0, 0), interval_s=QUARTER)
    assert empty == [Part(0, 3600, None, 0, 0)]
    assert some.total == 1100


def test_gaps_say_from_when_to_when() -> None:
    there = energies(3600, 2)
    assert gaps(there, within=(1800, 9000), interval_s=QUARTER) == [(1800, 3600), (5400, 9000)]
    assert gaps(there, within=(3600, 5400), interval_s=QUARTER) == []
    assert gaps(energies(0, 0), within=(0, 1800), interval_s=QUARTER) == [(0, 1800)]
