"""Usage out of intervals: days of the calendar, hours, daylight saving, gaps; the estimate."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.mdm.tariffs.support import charge, tariff

from openami.core.errors import ConfigError
from openami.mdm.tariffs.billing import make_bill
from openami.mdm.tariffs.calendar import day_type, hours_on, interval_ends, period_places
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.estimate import WINDOW, estimate
from openami.mdm.tariffs.intervals import metered, split
from openami.mdm.tariffs.model import DayType, HolidayRule
from openami.mdm.tariffs.month import Month
from openami.mdm.tariffs.pricing import Price, price_at

if TYPE_CHECKING:
    from openami.mdm.tariffs.model import Tariff

LOW = tariff_named("kr-residential-low")
INDUSTRY = tariff_named("kr-industrial-a2-high-a1")
ONTARIO = tariff_named("ca-ontario-tou")


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        (date(2024, 10, 1), DayType.HOLIDAY),  # decreed for this year alone
        (date(2024, 2, 12), DayType.HOLIDAY),  # in lieu of the New Year on a Sunday
        (date(2025, 10, 6), DayType.HOLIDAY),  # Chuseok, by the moon
        (date(2024, 10, 5), DayType.SATURDAY),
        (date(2024, 10, 6), DayType.SUNDAY),
        (date(2024, 10, 2), DayType.WEEKDAY),
    ],
)
def test_the_korean_calendar(day: date, kind: DayType) -> None:
    assert day_type(day, INDUSTRY.holidays) is kind


def test_holidays_are_added_and_dropped() -> None:
    rule = HolidayRule("KR", None, frozenset({date(2024, 10, 2)}), frozenset({date(2024, 10, 1)}))
    assert day_type(date(2024, 10, 2), rule) is DayType.HOLIDAY
    assert day_type(date(2024, 10, 1), rule) is DayType.WEEKDAY
    assert day_type(date(2024, 10, 1), None) is DayType.WEEKDAY


def test_the_regulators_list_of_holidays_of_ontario_in_2025() -> None:
    rule = ONTARIO.holidays
    listed = {
        (1, 1),
        (2, 17),
        (4, 18),
        (5, 19),
        (7, 1),
        (8, 4),
        (9, 1),
        (10, 13),
        (12, 25),
        (12, 26),
    }
    days = [date(2025, 1, 1) + timedelta(days=each) for each in range(365)]
    found = {(day.month, day.day) for day in days if day_type(day, rule) is DayType.HOLIDAY}
    assert found == listed


def hours_in(found: Tariff, day: date) -> Counter[str]:
    hours = hours_on(found, found.season_of(day), day)
    return Counter(hours.period_at(60 * hour) for hour in range(24))


@pytest.mark.parametrize(
    ("day", "off_peak", "mid", "peak"),
    [
        (date(2024, 7, 1), 10, 8, 6),
        (date(2024, 12, 2), 10, 8, 6),
        (date(2024, 7, 6), 10, 14, 0),
        (date(2024, 7, 7), 24, 0, 0),
        (date(2024, 8, 15), 24, 0, 0),
    ],
)
def test_the_hours_of_industry(day: date, off_peak: int, mid: int, peak: int) -> None:
    assert hours_in(INDUSTRY, day) == Counter({"off-peak": off_peak, "mid": mid, "peak": peak})
    summer, winter = (hours_on(INDUSTRY, name, date(2024, 7, 1)) for name in ("summer", "winter"))
    assert summer.period_at(12 * 60) == "mid"
    assert summer.period_at(13 * 60) == "peak"
    assert winter.period_at(9 * 60) == "peak"
    assert winter.period_at(7 * 60 + 59) == "off-peak"


@pytest.mark.parametrize(("month", "hours"), [(Month(2025, 3), 743), (Month(2024, 11), 721)])
def test_a_month_in_which_the_clocks_change(month: Month, hours: int) -> None:
    ends = interval_ends(ONTARIO, month, 3600)
    assert len(ends) == hours
    places = period_places(ONTARIO, ends, month, 3600)
    on_peak = ONTARIO.periods.index("on-peak")
    weekdays = 21
    assert np.count_nonzero(places == on_peak) == weekdays * 6


def test_intervals_that_do_not_fit_the_hours() -> None:
    month = Month(2025, 2)
    with pytest.raises(ConfigError) as caught:
        period_places(ONTARIO, interval_ends(ONTARIO, month, 10_800), month, 10_800)
    assert caught.value.code == "tariff.interval"


def test_hours_may_change_within_a_month() -> None:
    changed = {"from": date(2024, 3, 16), "source": "test", "rest": "night"}
    found = tariff(
        periods=["night", "day"],
        hours=[{"source": "test", "rest": "day"}, changed],
        charges=[charge("energy", "time-of-use", {"prices": {"night": "1", "day": "2"}})],
    )
    month = Month(2024, 3)
    places = period_places(found, interval_ends(found, month, 900), month, 900)
    assert places.tolist() == [1] * 15 * 96 + [0] * 16 * 96


def test_a_whole_month_of_a_meter() -> None:
    month = Month(2024, 7)
    ends = interval_ends(INDUSTRY, month, 900)
    wh = np.full(len(ends), 250, np.int64)
    wh[7] = 500
    found = metered(INDUSTRY, month, ends, wh, 900)
    assert found.usage.kwh == Decimal(int(wh.sum())) / 1000
    assert found.usage.demand_kw == 2
    assert (found.expected, found.missing, found.left) == (2976, 0, 0)
    assert found.days.shape == (31, 3)
    assert found.days.sum() == wh.sum()


def test_what_is_missing_is_counted_and_what_is_elsewhere_is_not() -> None:
    month = Month(2024, 3)
    grid = interval_ends(LOW, month, 900)
    ends = np.concatenate(
        [[grid[0] - 900, grid[0] + 1], grid[:96], grid[100:192], [grid[-1] + 900]]
    )
    found = metered(LOW, month, ends, np.full(len(ends), 10, np.int64), 900)
    assert (found.expected, found.present, found.missing) == (192, 188, 4)
    assert found.usage.kwh == Decimal("1.88")
    assert len(found.days) == 1
    assert found.until == grid[191]
    assert found.left == 29 * 86_400


def test_a_month_without_readings() -> None:
    nothing = np.empty(0, np.int64)
    found = metered(LOW, Month(2024, 3), nothing, nothing, 900)
    assert (found.expected, found.present, found.left) == (0, 0, 31 * 86_400)
    assert found.usage.kwh == 0
    assert found.days.shape == (0, 1)


def test_many_meters_are_split_at_once() -> None:
    month = Month(2024, 7)
    ends = interval_ends(INDUSTRY, month, 900)
    energy = np.random.default_rng(7).integers(0, 500, (len(ends), 5))
    sums = split(energy, period_places(INDUSTRY, ends, month, 900), 3)
    one = metered(INDUSTRY, month, ends, energy[:, 2], 900)
    assert [int(kwh * 1000) for kwh in one.usage.energy.values()] == sums[:, 2].tolist()


def running(days: int, noise: int, before: int = 0) -> tuple[Month, tuple[int, ...]]:
    """Return an estimate's usages in kWh, low, likely and high, of a meter that takes 9.6 kWh."""
    month = Month(2024, 3)
    ends = interval_ends(LOW, month, 900)[: 96 * days + 40]
    wh = np.full(len(ends), 100, np.int64)
    wh[::96] += np.random.default_rng(1).integers(-noise, noise + 1, len(wh[::96]))
    found = metered(LOW, month, ends, wh, 900)
    earlier = np.full((before, 1), 9600, np.int64)
    bill = make_bill(LOW, month, found.usage)
    foreseen = estimate(bill, found, earlier if before else None)
    if foreseen is None:
        return month, ()
    assert foreseen.days == min(days + before, WINDOW)
    bills = (foreseen.low, foreseen.likely, foreseen.high)
    assert [bill.total for bill in bills] == sorted(bill.total for bill in bills)
    return month, tuple(int(bill.billed.kwh) for bill in bills)


def test_an_estimate_of_days_that_are_alike_is_sure() -> None:
    assert running(10, 0)[1] == (297, 297, 297)


def test_an_estimate_of_days_that_differ_has_a_range() -> None:
    low, likely, high = running(10, 5000)[1]
    assert low < likely < high
    narrow = running(25, 5000)[1]
    assert narrow[2] - narrow[0] < high - low


def test_days_of_the_month_before_help() -> None:
    assert running(1, 0)[1] == ()
    assert running(1, 0, before=28)[1] == (297, 297, 297)


def test_an_estimate_is_what_the_rest_of_the_month_brings() -> None:
    month = Month(2024, 3)
    ends = interval_ends(LOW, month, 900)[: 96 * 10]
    found = metered(LOW, month, ends, np.zeros(len(ends), np.int64), 900)
    foreseen = estimate(make_bill(LOW, month, found.usage), found)
    assert foreseen is not None
    assert foreseen.high.billed.kwh == 0


def at(month: Month, day: int, hour: int, found: Tariff) -> float:
    return month.midnights(found.zone)[day - 1] + 3600.0 * hour


@pytest.mark.parametrize(
    ("month", "kwh", "price"),
    [
        # The rate of the step, 9 and 5 won, and 13.7 or 13.2 percent of that.
        (Month(2024, 3), 0, Price(Decimal(134) * Decimal("1.137"), None, 1, 3, Decimal(200))),
        (
            Month(2024, 3),
            200,
            Price(Decimal("228.6") * Decimal("1.137"), None, 2, 3, Decimal(400), Decimal(200)),
        ),
        (Month(2024, 8), 200, Price(Decimal(134) * Decimal("1.132"), None, 1, 4, Decimal(300))),
        (
            Month(2024, 8),
            1000,
            Price(Decimal("750.2") * Decimal("1.132"), None, 4, 4, None, Decimal(1000)),
        ),
    ],
)
def test_the_price_of_the_next_kwh_by_step(month: Month, kwh: int, price: Price) -> None:
    assert price_at(LOW, at(month, 5, 12, LOW), Decimal(kwh)) == price


@pytest.mark.parametrize(
    ("day", "hour", "period", "rate"),
    [(1, 12, "mid", "121.5"), (1, 13, "peak", "155"), (6, 13, "off-peak", "95.7")],
)
def test_the_price_of_the_next_kwh_by_hour(day: int, hour: int, period: str, rate: str) -> None:
    """The 6th of July 2025 is a Sunday."""
    found = price_at(INDUSTRY, at(Month(2025, 7), day, hour, INDUSTRY), Decimal(5))
    assert found.period == period
    assert found.rate == (Decimal(rate) + 14) * Decimal("1.127")
    assert (found.step, found.steps, found.until) == (1, 1, None)
