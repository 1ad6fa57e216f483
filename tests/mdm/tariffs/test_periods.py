"""Bills of the days between two readings: seasons and rates that change within them."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from tests.mdm.tariffs.support import charge, tariff, usage

from openami.core.errors import ConfigError
from openami.mdm.tariffs.billing import Bill, make_bill
from openami.mdm.tariffs.calendar import interval_ends, period_places
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.month import Days, Month, Period, parse_period
from openami.mdm.tariffs.readings import bill_readings, interval_in
from openami.mdm.tariffs.rebilling import rebill
from openami.mdm.tariffs.statement import statement
from openami.mdm.tariffs.usage import Usage

LOW = tariff_named("kr-residential-low")
INTO_SUMMER = Days.parse("2024-06-18", "2024-07-17")


def amounts(bill: Bill) -> dict[str, Decimal]:
    return {line.name: line.amount for line in bill.lines}


def test_a_period_that_goes_into_summer() -> None:
    """350 kWh of 30 days, 13 of June and 17 of July, the fund lower from July on.

    Energy: (24,000 + 32,190) x 13/30 + (36,000 + 10,730) x 17/30 = 24,349 + 26,480.3. Fund: of
    57,329, 3.7 % x 13/30 + 3.2 % x 17/30 = 1,958.7.
    """
    bill = make_bill(LOW, INTO_SUMMER, usage(350))
    assert amounts(bill) == {
        "basic": 1600,
        "energy": 50_829,
        "climate": 3150,
        "fuel": 1750,
        "vat": 5733,
        "fund": 1950,
        "rounding": -2,
    }
    assert bill.total == 65_010
    assert [(item.days, item.of_days) for item in bill.lines[1].items] == [(13, 30)] * 2 + [
        (17, 30)
    ] * 2


def test_a_step_is_reached_in_one_season_and_not_in_the_other() -> None:
    """420 kWh: over 400 in June, not over 450 in July; 7,300 x 13/30 + 1,600 x 17/30 = 4,070."""
    bill = make_bill(LOW, INTO_SUMMER, usage(420))
    assert amounts(bill)["basic"] == 4070


def test_months_of_one_season_are_one_stretch() -> None:
    period = Days.parse("2024-07-18", "2024-08-17")
    bill = make_bill(LOW, period, usage(350))
    assert [item.days for item in bill.lines[1].items] == [31, 31]
    august = make_bill(LOW, Month(2024, 8), usage(350))
    assert (bill.total, amounts(bill)) == (august.total, amounts(august))


def test_days_of_a_whole_month_are_billed_as_the_month() -> None:
    days, month = Days.parse("2024-10-01", "2024-10-31"), Month(2024, 10)
    industrial = tariff_named("kr-industrial-a2-high-a1")
    used = Usage({name: Decimal(777) for name in industrial.periods}, Decimal(31))
    one, other = (make_bill(industrial, each, used) for each in (days, month))
    assert (one.lines, one.total) == (other.lines, other.total)
    assert days.span(LOW.zone) == month.span(LOW.zone)
    assert days.midnights(LOW.zone) == month.midnights(LOW.zone)


def test_the_turn_of_the_year() -> None:
    """Of 31 days 13 are of winter's December and 18 of January: one season, one stretch."""
    assert [
        (each.season, (each.end - each.begin).days)
        for each in LOW.stretches(Days.parse("2024-12-19", "2025-01-18"))
    ] == [("winter", 31)]
    assert [
        (each.season, (each.end - each.begin).days)
        for each in LOW.stretches(Days.parse("2024-11-25", "2024-12-24"))
    ] == [("other", 6), ("winter", 24)]


def test_a_charge_of_each_day() -> None:
    found = tariff(charges=[charge("standing", "fixed", {"rate": "10", "per": "day"})])
    period = Days.parse("2024-03-05", "2024-04-06")
    assert make_bill(found, period, usage(0)).total == 330


def test_hours_are_those_of_each_days_season() -> None:
    """The industrial peak is 11-12 and 13-18 in autumn, 09-12 and 16-19 in winter, on weekdays."""
    found, period = tariff_named("kr-industrial-a2-high-a1"), Days.parse("2024-10-18", "2024-11-17")
    ends = interval_ends(found, period, 3600)
    places = period_places(found, ends, period, 3600)
    assert len(ends) == 31 * 24
    peaks = Counter(
        (int(end) + 9 * 3600 - 1) // 3600 % 24
        for end, place in zip(ends.tolist(), places.tolist(), strict=True)
        if found.periods[place] == "peak"
    )
    autumn, winter = 10, 11  # weekdays that are no holidays
    assert peaks[13] == autumn
    assert peaks[9] == peaks[18] == winter
    assert peaks[16] == peaks[11] == autumn + winter


def test_readings_of_the_days_are_billed_and_the_rest_is_foreseen() -> None:
    """Twenty of thirty days at 10 kWh each, and ten before: 300 kWh likely."""
    start, end = INTO_SUMMER.span(LOW.zone)
    ends = np.arange(start - 10 * 86_400 + 3600, start + 20 * 86_400 + 1, 3600, dtype=np.int64)
    wh = np.full(len(ends), 10_000 // 24, np.int64)
    found = bill_readings(LOW, INTO_SUMMER, ends, wh)
    assert found is not None
    assert (found.found.expected, found.found.missing, found.found.left) == (480, 0, 10 * 86_400)
    assert found.bill.usage.kwh == Decimal(416 * 480).scaleb(-3)
    assert found.estimate is not None
    assert found.estimate.days == 14
    assert found.estimate.likely.usage.kwh == Decimal(416 * 720).scaleb(-3)
    assert end - start == 30 * 86_400


def test_an_interval_is_as_long_as_it_has_been_of_late() -> None:
    """Half hours all May, quarters since June: those of May are not what June's are like."""
    june = Month(2024, 6).span(LOW.zone)[0]
    half = np.arange(june - 31 * 86_400 + 1800, june + 1, 1800, dtype=np.int64)
    quarters = np.arange(june + 900, june + 5 * 86_400 + 1, 900, dtype=np.int64)
    ends = np.concatenate([half, quarters])
    assert interval_in(ends, june) == 900
    assert interval_in(half, june) == 1800
    found = bill_readings(LOW, Month(2024, 6), ends, np.full(len(ends), 100, np.int64))
    assert found is not None
    assert (found.found.present, found.found.missing) == (480, 0)
    assert found.bill.usage.kwh == 48


def test_a_bill_of_days_is_told_by_its_days() -> None:
    bill = statement(make_bill(LOW, INTO_SUMMER, usage(350)))
    assert (bill["month"], bill["from"], bill["to"]) == (
        "2024-06-18/2024-07-17",
        "2024-06-18",
        "2024-07-17",
    )
    month = statement(make_bill(LOW, Month(2024, 7), usage(350)))
    assert (month["month"], month["from"], month["to"]) == ("2024-07", "2024-07-01", "2024-07-31")
    with pytest.raises(ConfigError) as caught:
        rebill(bill, month)
    assert caught.value.code == "bill.against"


def test_what_came_before() -> None:
    assert INTO_SUMMER.before == Days(date(2024, 5, 19), date(2024, 6, 17))
    assert (INTO_SUMMER.days, INTO_SUMMER.before.days) == (30, 30)


@pytest.mark.parametrize(("begin", "end", "days"), [
    ("2024-06-01", "2024-06-25", 25), ("2024-06-01", "2024-07-06", 36),
])  # fmt: skip
def test_the_shortest_and_the_longest(begin: str, end: str, days: int) -> None:
    assert parse_period(None, begin, end).days == days


@pytest.mark.parametrize(
    ("month", "begin", "end"),
    [
        (None, "2024-06-01", "2024-06-24"),
        (None, "2024-06-01", "2024-07-07"),
        (None, "2024-07-17", "2024-06-18"),
        (None, "2024-06-18", None),
        (None, None, "2024-06-18"),
        (None, None, None),
        ("2024-06", "2024-06-01", "2024-06-30"),
        ("2024-06", None, "2024-06-30"),
        (None, "20240601", "2024-06-30"),
        (None, "1999-12-20", "2000-01-19"),
        (None, "2024-06-01", "2024-06-31"),
        (None, "tomorrow", "2024-06-30"),
    ],
)
def test_what_is_no_period(month: str | None, begin: str | None, end: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_period(month, begin, end)
    assert caught.value.code == "bill.period"


@pytest.mark.parametrize(
    ("period", "code"),
    [
        (Days.parse("2023-10-20", "2023-11-19"), "tariff.not-valid"),
        (Days.parse("2024-08-20", "2024-09-19"), "tariff.season"),
        (Days.parse("2024-05-20", "2024-06-19"), "tariff.season"),
    ],
)
def test_what_a_tariff_does_not_know_of_all_days_is_refused(period: Period, code: str) -> None:
    found = tariff_named("kr-residential-tou-jeju")
    with pytest.raises(ConfigError) as caught:
        make_bill(found, period, Usage({name: Decimal(1) for name in found.periods}))
    assert caught.value.code == code


def test_a_credit_of_one_season_is_not_paid_for_by_another() -> None:
    """Shares of both are rounded by themselves: only what never falls in either can be told."""
    with pytest.raises(ConfigError) as caught:
        tariff(
            seasons={"hot": [6, 7, 8], "cold": [1, 2, 3, 4, 5, 9, 10, 11, 12]},
            charges=[
                charge("energy", "energy", {"rate": "1", "seasons": ["hot"]},
                       {"rate": "9", "seasons": ["cold"]}),
                charge("credit", "energy", {"rate": "0", "seasons": ["hot"]},
                       {"rate": "-5", "seasons": ["cold"]}),
            ],
        )  # fmt: skip
    assert caught.value.code == "tariff.falls"
