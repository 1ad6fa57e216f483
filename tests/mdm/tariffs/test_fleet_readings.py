"""Bills of many meters out of their intervals are those that one meter after another gets."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mdm.tariffs.support import charge, tariff

from openami.core.errors import ConfigError
from openami.mdm.spans import Energies
from openami.mdm.tariffs.catalog import tariff_named, tariff_names
from openami.mdm.tariffs.fleet_readings import FleetBill, Standing, bill_fleet
from openami.mdm.tariffs.month import Days, Month
from openami.mdm.tariffs.readings import bill_readings

if TYPE_CHECKING:
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Period

LOW = tariff_named("kr-residential-low")
MARCH = Month(2024, 3)
DAY = 86_400


def billed_alone(
    found: Tariff, period: Period, energies: Energies, discounts: list[str]
) -> FleetBill | str | None:
    """Return what ``openami bill --meter`` makes of the same intervals, in the fleet's form."""
    try:
        alone = bill_readings(found, period, energies.ends, energies.wh, discounts=discounts)
    except ConfigError as error:
        return error.code
    if alone is None:
        return None
    lines = {line.name: line.amount for line in alone.bill.lines}
    return FleetBill(
        usage=alone.found.usage,
        kwh=alone.bill.billed.kwh,
        charges=lines,
        total=alone.bill.total,
        whole=alone.found.expected + alone.found.left // interval(energies, period, found),
        expected=alone.found.expected,
        present=alone.found.present,
        until=alone.found.until,
    )


def interval(energies: Energies, period: Period, found: Tariff) -> int:
    steps = np.diff(energies.ends[energies.ends > period.span(found.zone)[0] - DAY])
    return int(min(steps)) if len(steps) else 900


@st.composite
def meters(draw: st.DrawFn, start: int, end: int) -> Energies:
    """Intervals of a quarter, a half or a whole hour, some missing, from before to the end."""
    interval_s = draw(st.sampled_from([900, 1800, 3600]))
    first = draw(st.sampled_from([start - 3 * DAY, start - DAY, start, start + 5 * DAY]))
    last = draw(st.sampled_from([end, end + DAY, end - 7 * DAY, start]))
    ends = np.arange(first + interval_s, last + 1, interval_s, dtype=np.int64)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    there = random.random(len(ends)) >= draw(st.sampled_from([0.0, 0.0, 0.002, 0.3]))
    highest = draw(st.sampled_from([0, 60, 900, 20_000]))
    return Energies(ends[there], random.integers(0, highest + 1, int(there.sum())))


PERIODS = {
    "gb-price-cap-average": [Month(2025, 2), Days(date(2024, 12, 20), date(2025, 1, 19))],
    "ca-ontario-tou": [Month(2025, 3), Days(date(2025, 4, 15), date(2025, 5, 14))],
    "kr-residential-tou-jeju": [Month(2024, 7), Days(date(2024, 7, 18), date(2024, 8, 17))],
}
KOREA = [Month(2024, 10), Days(date(2024, 6, 18), date(2024, 7, 17))]


@pytest.mark.parametrize("name", tariff_names())
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_fleet_is_billed_as_each_of_its_meters(name: str, data: st.DataObject) -> None:
    found = tariff_named(name)
    period = data.draw(st.sampled_from(PERIODS.get(name, KOREA)))
    start, end = period.span(found.zone)
    fleet = data.draw(st.lists(meters(start, end), min_size=1, max_size=5))
    known = [each.name for each in found.charges if not each.automatic]
    discounts = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    made = bill_fleet(found, period, fleet, discounts=discounts)
    for energies, bill in zip(fleet, made, strict=True):
        alone = billed_alone(found, period, energies, discounts)
        assert (bill.code if isinstance(bill, ConfigError) else bill) == alone
        if isinstance(bill, FleetBill):
            assert sum(bill.charges.values()) == bill.total


def quarters(intervals: int, *, missing: tuple[int, ...] = (), wh: int = 100) -> Energies:
    start = MARCH.span(LOW.zone)[0]
    ends = np.delete(np.arange(1, intervals + 1, dtype=np.int64) * 900 + start, list(missing))
    return Energies(ends, np.full(len(ends), wh, np.int64))


def only(found: Tariff, energies: Energies, period: Period = MARCH) -> FleetBill | None:
    (bill,) = bill_fleet(found, period, [energies])
    assert not isinstance(bill, ConfigError)
    return bill


@pytest.mark.parametrize(
    ("energies", "standing", "counts"),
    [
        (quarters(31 * 96), Standing.COMPLETE, (2976, 2976)),
        (quarters(31 * 96 - 1), Standing.PARTIAL, (2975, 2975)),
        (quarters(31 * 96, missing=(0,)), Standing.MISSING, (2976, 2975)),
        (quarters(31 * 96, missing=(7, 8, 1000)), Standing.MISSING, (2976, 2973)),
        (quarters(100, missing=(98,)), Standing.MISSING, (100, 99)),
        (quarters(32 * 96), Standing.COMPLETE, (2976, 2976)),
    ],
)
def test_what_is_missing_is_told(
    energies: Energies, standing: Standing, counts: tuple[int, int]
) -> None:
    bill = only(LOW, energies)
    assert bill is not None
    assert (bill.standing, (bill.expected, bill.present)) == (standing, counts)
    assert bill.whole == 2976
    assert bill.until == MARCH.span(LOW.zone)[0] + counts[0] * 900


def test_a_meter_without_readings_has_no_bill() -> None:
    nothing = Energies(np.array([], np.int64), np.array([], np.int64))
    assert only(LOW, nothing) is None
    assert bill_fleet(LOW, MARCH, [nothing, quarters(96)])[0] is None


def test_one_that_can_not_be_billed_holds_up_no_other() -> None:
    """A thousand million kWh and one more is what no bill takes."""
    much = quarters(31 * 96, wh=10**12 // 2976 + 1)
    nothing = Energies(np.array([], np.int64), np.array([], np.int64))
    over, good, none = bill_fleet(LOW, MARCH, [much, quarters(31 * 96), nothing])
    assert none is None
    assert isinstance(over, ConfigError)
    assert over.code == "bill.range"
    assert good == only(LOW, quarters(31 * 96))


def test_intervals_that_do_not_fit_hours_fail_alone() -> None:
    """Four hours lie across the industrial tariff's mid and peak; quarters do not."""
    found = tariff_named("kr-industrial-a2-high-a1")
    start, end = MARCH.span(found.zone)
    long = Energies(*(np.arange(start, end, 4 * 3600, dtype=np.int64) + 4 * 3600,) * 2)
    short = quarters(31 * 96)
    wrong, right = bill_fleet(found, MARCH, [long, short])
    assert isinstance(wrong, ConfigError)
    assert wrong.code == "tariff.interval"
    assert isinstance(right, FleetBill)


def test_intervals_of_less_than_a_minute_bill_nothing() -> None:
    """A device that makes rows a second apart can not have a head-end run out of memory."""
    start, _ = MARCH.span(LOW.zone)
    for length, code in ((59, "tariff.interval"), (60, None)):
        ends = start + np.arange(1, 4, dtype=np.int64) * length
        energies = Energies(-(-ends // length) * length, np.full(3, 1, np.int64))
        (found,) = bill_fleet(LOW, MARCH, [energies])
        assert getattr(found, "code", None) == code
        assert (billed_alone(LOW, MARCH, energies, []) == code) == (code is not None)


def test_demand_of_parts_of_a_watt_is_billed_exactly() -> None:
    """59 Wh in seven minutes are 505.714 W: up to the watt 506, not what is left of them, 505."""
    found = tariff(
        charges=[charge("demand", "demand", {"rate": "1000"})],
        demand={"step": "0.001", "rounding": "up"},
    )
    start, end = MARCH.span(found.zone)
    ends = np.arange(start // 420 + 1, end // 420 + 1, dtype=np.int64) * 420
    energies = Energies(ends, np.full(len(ends), 59, np.int64))
    bill = only(found, energies)
    assert bill is not None
    assert bill.charges["demand"] == 506
    alone = bill_readings(found, MARCH, energies.ends, energies.wh)
    assert alone is not None
    assert bill.total == alone.bill.total


@pytest.mark.parametrize(
    ("discounts", "month", "code"),
    [
        (["x"], MARCH, "bill.discount"),
        ([], Month(2023, 5), "tariff.not-valid"),
    ],
)
def test_what_no_meter_can_be_billed_by(discounts: list[str], month: Month, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bill_fleet(LOW, month, [quarters(1)], discounts=discounts)
    assert caught.value.code == code


def test_no_meters_have_no_bills() -> None:
    assert bill_fleet(LOW, MARCH, []) == []


def test_intervals_longer_than_the_period_bill_nothing() -> None:
    """Of 31 days and 17 hours none ends on the grid in January 2024: told, here as of one meter."""
    month = Month(2024, 1)
    start, end = month.span(LOW.zone)
    lone = Energies(np.array([start - 17 * 3600, end], np.int64), np.array([1, 1], np.int64))
    (found,) = bill_fleet(LOW, month, [lone])
    assert isinstance(found, ConfigError)
    assert found.code == "tariff.interval" == billed_alone(LOW, month, lone, [])
