"""A bill out of a meter's readings: as plain data, with what is foreseen, in whole Wh."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.estimate import CONFIDENCE, METHOD
from openami.mdm.tariffs.month import Month, Period
from openami.mdm.tariffs.readings import (
    PERIOD_S,
    MeteredBill,
    bill_readings,
    interval_of,
    watt_hours,
)

LOW = tariff_named("kr-residential-low")
MARCH = Month(2024, 3)
DAY = 86_400


def billed(period: Period, days: float, *, before: int = 0, wh: int = 100) -> MeteredBill | None:
    """Return the bill of so many days of quarters of an hour, and of days before them."""
    start = period.span(LOW.zone)[0]
    first, last = start - before * DAY + 900, start + int(days * DAY)
    ends = np.arange(first, last + 1, 900, dtype=np.int64)
    return bill_readings(LOW, period, ends, np.full(len(ends), wh, np.int64))


def test_all_of_it_as_plain_data() -> None:
    """Ten of 31 days, 96 kWh; 9.6 a day for 21 days more make 297.6 kWh, billed as 297."""
    made = billed(MARCH, 10)
    assert made is not None
    plain = made.plain()
    counts = {"expected": 960, "present": 960, "missing": 0, "until": "2024-03-10T15:00:00Z"}
    assert plain["intervals"].items() >= counts.items()
    assert plain["usage"]["kwh"] == 96
    foreseen = plain["estimate"]
    assert foreseen["kwh"] == foreseen["low"]["kwh"] == foreseen["high"]["kwh"] == 297
    assert foreseen["total"] == foreseen["low"]["total"] == foreseen["high"]["total"]
    assert (foreseen["confidence"], foreseen["method"]) == (CONFIDENCE, METHOD)
    assert foreseen["days"] == 10
    assert plain["total"] < foreseen["total"]


@pytest.mark.parametrize(
    ("days", "before", "of"), [(2, 0, None), (3, 0, 3), (2, 1, 3), (2, 40, 14)]
)
def test_an_estimate_needs_three_days_and_takes_fourteen(
    days: int, before: int, of: int | None
) -> None:
    made = billed(MARCH, days, before=before)
    assert made is not None
    assert (None if made.estimate is None else made.estimate.days) == of
    if of is None:
        assert made.plain()["estimate"] is None


def test_a_whole_month_needs_no_estimate_and_an_empty_one_no_bill() -> None:
    made = billed(MARCH, 31)
    assert made is not None
    assert (made.estimate, made.found.left) == (None, 0)
    assert billed(MARCH, 0, before=5) is None


def test_days_by_whose_hours_nothing_is_known_tell_nothing() -> None:
    """The industrial tariff holds from 2024-01-01; its hours of December are not known."""
    industrial = tariff_named("kr-industrial-a2-high-a1")
    for month, days in ((Month(2024, 1), None), (Month(2024, 2), 14)):
        start = month.span(industrial.zone)[0]
        ends = np.arange(start - 20 * DAY + 900, start + 2 * DAY + 1, 900, dtype=np.int64)
        made = bill_readings(industrial, month, ends, np.full(len(ends), 100, np.int64))
        assert made is not None
        assert (None if made.estimate is None else made.estimate.days) == days


def test_a_demand_that_is_given_takes_the_place_of_what_was_measured() -> None:
    industrial = tariff_named("kr-industrial-a2-high-a1")
    start, end = MARCH.span(industrial.zone)
    ends = np.arange(start + 900, end + 1, 900, dtype=np.int64)
    wh = np.full(len(ends), 1000, np.int64)
    wh[7] = 2500
    for kw, billed_kw in ((None, Decimal(10)), (Decimal("41.5"), Decimal(42))):
        made = bill_readings(industrial, MARCH, ends, wh, kw=kw)
        assert made is not None
        assert made.bill.billed.demand_kw == billed_kw


@pytest.mark.parametrize(
    ("values", "scalers", "wh"),
    [
        ([5, 7], [0, 0], [5, 7]),
        ([5, 7], [3, 0], [5000, 7]),
        ([14, 14, 14, 8], [-1, -1, -1, -1], [1, 1, 2, 1]),
        ([999, 1], [-3, -3], [0, 1]),
        ([1, 5, 5], [1, -1, -1], [10, 0, 1]),
        ([], [], []),
    ],
)
def test_parts_of_a_watt_hour_go_on_to_the_next(
    values: list[int], scalers: list[int], wh: list[int]
) -> None:
    assert watt_hours(values, scalers).tolist() == wh


@pytest.mark.parametrize(
    ("ends", "interval_s"),
    [
        ([], PERIOD_S),
        ([900], PERIOD_S),
        ([1800, 3600], 1800),
        ([900, 1800, 2700, 10_800], 900),
        ([3600, 7200, 8100, 8100 + 3600], 3600),
    ],
)
def test_an_interval_is_what_lies_most_often_between_two(ends: list[int], interval_s: int) -> None:
    assert interval_of(np.array(ends, np.int64)) == interval_s
