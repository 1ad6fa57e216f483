"""Energy by days and months, beside what is computed by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.ihd import when
from openami.ihd.ledger import Ledger, Running, columns, figures
from openami.store.home import Energy

SEOUL = ZoneInfo("Asia/Seoul")
BERLIN = ZoneInfo("Europe/Berlin")
NEPAL = ZoneInfo("Asia/Kathmandu")
QUARTER = 900


def at(text: str, zone: ZoneInfo = SEOUL) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC).timestamp())


def intervals(start: int, wh: list[int], exported: list[int] | None = None) -> Energy:
    starts = start + QUARTER * np.arange(len(wh))
    out = np.array(exported or [0] * len(wh), np.int64)
    return Energy(starts, starts + QUARTER, np.array(wh, np.int64), out)


def steady(start: int, end: int, wh: int) -> Ledger:
    return Ledger(intervals(start, [wh] * ((end - start) // QUARTER)))


def test_figures_of_a_day_in_the_middle_of_a_month() -> None:
    """10 Wh a quarter since 1 September; on 15 October at 09:37:30 by the wall's clock."""
    now = at("2026-10-15T09:37:30")
    ledger = steady(at("2026-09-01"), at("2026-10-15T09:30"), 10)
    found = figures(ledger, Running(at("2026-10-15T09:30"), now, 4, 1), now, SEOUL)
    assert found == {
        "today_wh": 38 * 10 + 4,
        "yesterday_wh": 38 * 10 + 5,  # and half a quarter
        "yesterday_total_wh": 960,
        "month_wh": 14 * 960 + 384,
        "last_month_wh": 14 * 960 + 385,
        "last_month_total_wh": 30 * 960,
        "today_exported_wh": 1,
    }


def test_new_year_has_no_yesterday_of_its_own_year_missing() -> None:
    now = at("2027-01-01T00:15")
    ledger = steady(at("2026-12-01"), now, 10)
    found = figures(ledger, None, now, SEOUL)
    assert (found["today_wh"], found["yesterday_wh"], found["yesterday_total_wh"]) == (10, 10, 960)
    assert (found["month_wh"], found["last_month_wh"], found["last_month_total_wh"]) == (
        10,
        10,
        31 * 960,
    )


def test_the_31st_is_compared_with_all_of_a_shorter_month() -> None:
    now = at("2026-03-31T12:00")
    found = figures(steady(at("2026-02-01"), now, 10), None, now, SEOUL)
    assert found["last_month_wh"] == found["last_month_total_wh"] == 28 * 960


@pytest.mark.parametrize(
    ("day", "quarters"), [("2026-03-29", 92), ("2026-10-25", 100), ("2026-06-01", 96)]
)
def test_days_on_which_the_clocks_change(day: str, quarters: int) -> None:
    start = at(day, BERLIN)
    ledger = steady(start - 40 * 86_400, start + 40 * 86_400, 10)
    bounds = when.days(start, start + 1, BERLIN)
    assert columns(ledger, None, bounds) == ([10 * quarters], [0])
    assert len(when.hours(bounds[0], bounds[1], BERLIN)) == quarters // 4 + 1


def test_yesterday_at_an_hour_that_it_did_not_have() -> None:
    """02:30 of the day before did not exist: summer time began there at 02:00."""
    now = at("2026-03-30T02:30", BERLIN)
    found = figures(steady(at("2026-03-01", BERLIN), now, 10), None, now, BERLIN)
    assert found["yesterday_wh"] == 10 * 10  # as if the clocks had gone on: 02:30 in winter time
    assert found["yesterday_total_wh"] == 92 * 10


def test_hours_of_a_zone_that_is_off_by_parts_of_an_hour() -> None:
    start = at("2026-10-15T03:10", NEPAL)
    bounds = when.hours(start, start + 3600, NEPAL)
    assert [when.local(each, NEPAL).strftime("%H:%M") for each in bounds] == [
        "03:00",
        "04:00",
        "05:00",
    ]


def test_a_gap_counts_for_nothing_and_is_known() -> None:
    energy = intervals(at("2026-10-15"), [10] * 8)
    kept = np.array([0, 1, 2, 6, 7])
    ledger = Ledger(
        Energy(energy.starts[kept], energy.ends[kept], energy.imported[kept], energy.exported[kept])
    )
    start = at("2026-10-15")
    assert ledger.between(start, start + 7200)[0] == 50
    assert ledger.covers(start, start + 2700)
    assert not ledger.covers(start, start + 7200)


def test_days_of_what_is_older_are_followed_by_intervals() -> None:
    first = at("2026-10-14")
    days = Energy.of([(first, first + 86_400, 960, 5)])
    ledger = Ledger(intervals(first + 86_400, [10] * 96), days)
    assert ledger.between(first, first + 2 * 86_400) == (1920, 5)
    assert ledger.since == first


def test_what_is_measured_anew_wins_when_ledgers_are_merged() -> None:
    start = at("2026-10-15")
    merged = Ledger(intervals(start, [1, 2, 3])).merged(intervals(start + QUARTER, [20, 30, 40]))
    assert merged.energy.imported.tolist() == [1, 20, 30, 40]


def test_nothing_is_known_at_first() -> None:
    ledger = Ledger()
    assert ledger.since is None
    assert ledger.until is None
    assert ledger.between(0, 10**9) == (0, 0)
    assert ledger.between(0, 100, Running(50, 100, 7)) == (7, 0)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    zone=st.sampled_from([SEOUL, BERLIN, NEPAL]),
    month=st.integers(0, 23),
    running=st.integers(0, 500),
)
def test_hours_sum_to_days_and_days_to_months(
    seed: int, zone: ZoneInfo, month: int, running: int
) -> None:
    start = at(f"{2025 + month // 12}-{month % 12 + 1:02}-01", zone)
    bounds = when.months(start, start + 1, zone)
    chance = np.random.default_rng(seed)
    count = (bounds[1] - bounds[0]) // QUARTER + 200
    ledger = Ledger(intervals(start - 100 * QUARTER, chance.integers(0, 3000, count).tolist()))
    until = ledger.until or 0
    now = Running(until, until + 600, running)
    days = when.days(bounds[0], bounds[1], zone)
    hours = when.hours(bounds[0], bounds[1], zone)
    assert days[-1] == hours[-1] == bounds[-1]
    by_month, by_day = columns(ledger, now, bounds), columns(ledger, now, days)
    by_hour = columns(ledger, now, hours)
    assert sum(by_hour[0]) == sum(by_day[0]) == by_month[0][0]
    for begin, end, wh in zip(days[:-1], days[1:], by_day[0], strict=True):
        inside = [
            each for each, hour in zip(by_hour[0], hours, strict=False) if begin <= hour < end
        ]
        assert sum(inside) == wh
