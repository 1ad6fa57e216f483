"""What holds for every tariff and usage: a bill never falls, parts sum, the fleet's path is equal."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mdm.tariffs.support import documents, loaded

from openami.mdm.tariffs.billing import make_bill
from openami.mdm.tariffs.catalog import tariff_named, tariff_names
from openami.mdm.tariffs.fleet import FleetUsage, make_bills
from openami.mdm.tariffs.month import Days, Month
from openami.mdm.tariffs.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Period

# The last two lie in two seasons each; the rates of ``support`` change within the first of them.
DAYS = [Days(date(2024, 4, 18), date(2024, 5, 17)), Days(date(2024, 9, 10), date(2024, 10, 12))]
MONTHS = st.sampled_from([*(Month(2024, number) for number in (2, 5, 6, 8, 12)), *DAYS])
WH = st.one_of(st.integers(0, 1_300_000), st.integers(0, 1300).map(lambda kwh: kwh * 1000))


def of_wh(tariff: Tariff, wh: Sequence[int], watts: int) -> Usage:
    energy = zip(tariff.periods or ("",), wh, strict=True)
    return Usage({name: Decimal(each) / 1000 for name, each in energy}, Decimal(watts) / 1000)


def draw_usage(data: st.DataObject, tariff: Tariff, meters: int) -> FleetUsage:
    rows = max(len(tariff.periods), 1)
    wh = data.draw(
        st.lists(st.lists(WH, min_size=meters, max_size=meters), min_size=rows, max_size=rows)
    )
    watts = data.draw(st.lists(WH, min_size=meters, max_size=meters))
    return FleetUsage(np.array(wh, np.int64), np.array(watts, np.int64))


def check_equal(tariff: Tariff, month: Period, usage: FleetUsage, discounts: list[str]) -> None:
    assert usage.demand_w is not None
    fleet = make_bills(tariff, month, usage, discounts=discounts)
    for meter, watts in enumerate(usage.demand_w.tolist()):
        used = of_wh(tariff, usage.wh[:, meter].tolist(), watts)
        bill = make_bill(tariff, month, used, discounts=discounts)
        assert bill.total == int(fleet.totals[meter]) * tariff.unit
        lines = {line.name: line.amount for line in bill.lines if line.name != "rounding"}
        assert lines == {name: int(each[meter]) * tariff.unit for name, each in fleet.lines.items()}


@settings(max_examples=150, deadline=None)
@given(documents(), MONTHS, st.data())
def test_a_fleets_bills_are_the_exact_ones(
    document: dict[str, Any], month: Period, data: st.DataObject
) -> None:
    tariff = loaded(document)
    known = [charge.name for charge in tariff.charges if not charge.automatic]
    discounts = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    check_equal(tariff, month, draw_usage(data, tariff, 3), discounts)


@pytest.mark.parametrize("name", tariff_names())
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_shipped_tariffs_bill_a_fleet_as_they_bill_one(name: str, data: st.DataObject) -> None:
    tariff = tariff_named(name)
    month = Month(2025, 2) if name.startswith(("gb", "ca")) else Month(2024, 7)
    known = [charge.name for charge in tariff.charges if not charge.automatic]
    discounts = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    check_equal(tariff, month, draw_usage(data, tariff, 20), discounts)


@settings(max_examples=150, deadline=None)
@given(documents(), MONTHS, st.data())
def test_a_bill_never_falls_and_its_parts_sum(
    document: dict[str, Any], month: Period, data: st.DataObject
) -> None:
    tariff = loaded(document)
    known = [charge.name for charge in tariff.charges if not charge.automatic]
    rows = max(len(tariff.periods), 1)
    less = data.draw(st.lists(WH, min_size=rows, max_size=rows))
    more = [wh + data.draw(WH) for wh in less]
    bills = [
        make_bill(tariff, month, of_wh(tariff, wh, 5000), discounts=known) for wh in (less, more)
    ]
    assert bills[0].total <= bills[1].total
    for bill in bills:
        assert sum(line.amount for line in bill.lines) == bill.total
        charges = {charge.name: charge for charge in tariff.charges}
        for line in bill.lines:
            charge = charges.get(line.name)
            if charge is not None and not charge.of:
                exact = sum((item.exact for item in line.items), Fraction(0))
                assert charge.rounding.apply(exact) == line.amount


SHIPPED = {
    "gb-price-cap-average": [Month(2025, 2), Days(date(2024, 12, 20), date(2025, 1, 19))],
    "ca-ontario-tou": [Month(2025, 3), Days(date(2025, 4, 15), date(2025, 5, 14))],
    "kr-residential-tou-jeju": [Month(2024, 7), Days(date(2024, 7, 18), date(2024, 8, 17))],
}
KOREA = [
    *(Month(2024, number) for number in (2, 3, 6, 8, 10, 12)),
    Days(date(2024, 6, 18), date(2024, 7, 17)),
    Days(date(2024, 11, 20), date(2024, 12, 19)),
]


@pytest.mark.parametrize("name", tariff_names())
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_shipped_tariff_charges_less_for_more(name: str, data: st.DataObject) -> None:
    """Whatever the period, the discounts, and where a kWh is added; parts sum in each."""
    tariff = tariff_named(name)
    period = data.draw(st.sampled_from(SHIPPED.get(name, KOREA)))
    known = [charge.name for charge in tariff.charges if not charge.automatic]
    discounts = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    rows = max(len(tariff.periods), 1)
    less = data.draw(st.lists(WH, min_size=rows, max_size=rows))
    more = list(less)
    more[data.draw(st.integers(0, rows - 1))] += data.draw(st.sampled_from([1, 1000, 10**6]))
    kw = data.draw(st.integers(0, 10**6))
    bills = [
        make_bill(tariff, period, of_wh(tariff, wh, watts), discounts=discounts)
        for wh, watts in ((less, kw), (more, kw), (more, kw + 1000))
    ]
    totals = [bill.total for bill in bills]
    assert totals == sorted(totals)
    for bill in bills:
        assert sum(line.amount for line in bill.lines) == bill.total >= 0


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["kr-residential-low", "kr-residential-high"]),
    MONTHS,
    st.integers(0, 1_200_000),
)
def test_a_household_pays_no_less_for_a_kwh_more(name: str, month: Period, wh: int) -> None:
    tariff = tariff_named(name)
    here, above = (
        make_bill(tariff, month, of_wh(tariff, [each], 0)).total for each in (wh, wh + 1000)
    )
    assert above > here
