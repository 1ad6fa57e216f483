"""What makes a bill: discounts, minimum, quantities, refusals; rounding; two bills compared."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from tests.mdm.tariffs.support import charge, tariff, usage

from openami.core.errors import ConfigError
from openami.mdm.tariffs.billing import make_bill
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.fleet import FleetUsage, make_bills
from openami.mdm.tariffs.month import Month
from openami.mdm.tariffs.rebilling import rebill
from openami.mdm.tariffs.rounding import Rounding
from openami.mdm.tariffs.statement import statement
from openami.mdm.tariffs.usage import Usage, parse_quantity

LOW = tariff_named("kr-residential-low")
INDUSTRY = tariff_named("kr-industrial-a2-high-a1")
MARCH = Month(2024, 3)


@pytest.mark.parametrize(
    ("mode", "value", "rounded"),
    [
        ("down", "2.5", 2),
        ("down", "-2.5", -2),
        ("up", "2.1", 3),
        ("up", "-2.1", -3),
        ("half-up", "2.5", 3),
        ("half-up", "-2.5", -3),
        ("half-up", "2.4", 2),
        ("half-even", "2.5", 2),
        ("half-even", "3.5", 4),
        ("half-even", "2.6", 3),
    ],
)
def test_rounding_is_the_same_one_by_one_and_at_once(mode: str, value: str, rounded: int) -> None:
    rounding = Rounding(mode, Decimal(1))
    assert rounding.apply(Decimal(value)) == rounded
    assert rounding.apply(Fraction(Decimal(value))) == rounded
    tenths = np.array([int(Decimal(value) * 10)], np.int64)
    assert rounding.divide(tenths, 10).tolist() == [rounded]
    assert Rounding(mode, Decimal("0.5")).apply(Decimal(value) / 2) == Decimal(rounded) / 2


def test_a_minimum_tops_up_what_is_below_it() -> None:
    found = tariff(
        charges=[
            charge("energy", "energy", {"rate": "100"}),
            charge("least", "minimum", {"amount": "1000"}, of=["energy"]),
            charge("vat", "share", {"percent": "10"}, of=["energy", "least"]),
        ]
    )
    bills = [make_bill(found, MARCH, usage(kwh)) for kwh in (0, 4, 10, 11)]
    assert [bill.lines[1].amount for bill in bills] == [1000, 600, 0, 0]
    assert [bill.total for bill in bills] == [1100, 1100, 1100, 1210]


def test_a_discount_takes_no_more_than_there_is() -> None:
    found = make_bill(LOW, Month(2024, 8), usage(10), discounts=["disability"])
    assert [line.amount for line in found.lines] == [910, 1200, 90, 50, -2250, 0, 0]
    assert found.lines[4].rule == "all of it"
    assert found.total == 0


def test_a_tariff_may_have_a_credit_for_each_kwh() -> None:
    found = tariff(
        charges=[
            charge("energy", "energy", {"rate": "100"}),
            charge("fuel", "energy", {"rate": "-3.5"}, rounding="down"),
            charge("vat", "share", {"percent": "10"}, of=["energy", "fuel"]),
        ]
    )
    bill = make_bill(found, MARCH, usage(3))
    assert [line.amount for line in bill.lines] == [300, -10, 29]
    fleet = make_bills(found, MARCH, FleetUsage(np.array([[3000]])))
    assert fleet.totals.tolist() == [319]


def test_demand_is_rounded_before_it_is_billed() -> None:
    energy = dict.fromkeys(["off-peak", "mid", "peak"], Decimal(0))
    bill = make_bill(INDUSTRY, MARCH, Usage(energy, Decimal("99.5")))
    assert bill.billed.demand_kw == 100
    assert bill.lines[0].amount == 649_000


def refused(name: str, found: Usage, month: Month = MARCH, discounts: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        make_bill(tariff_named(name), month, found, discounts=discounts)
    return caught.value.code


def test_what_can_not_be_billed() -> None:
    low, jeju, industry = LOW.name, "kr-residential-tou-jeju", INDUSTRY.name
    by_time = Usage(dict.fromkeys(["off-peak", "mid", "peak"], Decimal(1)))
    assert refused(low, by_time) == "bill.usage"
    assert refused(jeju, usage(1), Month(2024, 7)) == "bill.usage"
    assert refused(industry, by_time) == "bill.demand"
    assert refused(low, usage(-1)) == "bill.range"
    assert refused(low, usage("1e10")) == "bill.range"
    assert refused(low, usage(1), Month(2023, 5)) == "tariff.not-valid"
    assert refused("gb-price-cap-average", usage(1), Month(2025, 4)) == "tariff.not-valid"
    assert refused(jeju, by_time, MARCH) == "tariff.season"
    assert refused(low, usage(1), discounts=("gift",)) == "bill.discount"
    assert refused(industry, by_time, discounts=("gift",)) == "bill.discount"


def test_what_can_not_be_billed_for_a_fleet() -> None:
    def code(found: Any, fleet: FleetUsage) -> str:
        with pytest.raises(ConfigError) as caught:
            make_bills(found, MARCH, fleet)
        return caught.value.code

    assert code(LOW, FleetUsage(np.array([1]))) == "bill.usage"
    assert code(LOW, FleetUsage(np.array([[1], [1]]))) == "bill.usage"
    assert code(LOW, FleetUsage(np.array([[-1]]))) == "bill.range"
    assert code(LOW, FleetUsage(np.array([[2 * 10**12]]))) == "bill.range"
    assert code(INDUSTRY, FleetUsage(np.array([[1], [1], [1]]))) == "bill.demand"
    three = np.array([[1], [1], [1]])
    assert code(INDUSTRY, FleetUsage(three, np.array([1, 2]))) == "bill.usage"
    with pytest.raises(TypeError):
        make_bills(LOW, MARCH, FleetUsage(np.array([[1.5]])))
    dear = tariff(charges=[charge("energy", "energy", {"rate": "900000000000"})])
    assert code(dear, FleetUsage(np.array([[10**12]]))) == "bill.range"


def test_narrow_integers_are_billed_as_wide_ones() -> None:
    narrow = FleetUsage(np.array([[2_000_000_000]], np.uint32))
    wide = FleetUsage(np.array([[2_000_000_000]], np.int64))
    assert make_bills(LOW, MARCH, narrow).totals == make_bills(LOW, MARCH, wide).totals


def test_a_fleet_may_be_empty() -> None:
    for found, rows in ((LOW, 1), (INDUSTRY, 3)):
        nothing = FleetUsage(np.empty((rows, 0), np.int64), np.empty(0, np.int64))
        assert make_bills(found, MARCH, nothing).totals.tolist() == []


@pytest.mark.parametrize(
    "text", ["", "2024", "2024-13", "2024-1", "1999-12", "24-01", "\uff12024-01"]
)
def test_a_month_has_one_form(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Month.parse(text)
    assert caught.value.code == "bill.month"


def test_months_follow_each_other() -> None:
    assert Month.parse("2024-12").following == Month(2025, 1).first
    assert Month(2024, 2).days == 29
    assert Month(2024, 1).before == Month(2023, 12)
    assert str(Month(2024, 2)) == "2024-02"


@pytest.mark.parametrize("text", ["", "x", "NaN", "inf"])
def test_a_quantity_is_a_number(text: str) -> None:
    assert parse_quantity("350.5") == Decimal("350.5")
    with pytest.raises(ConfigError) as caught:
        parse_quantity(text)
    assert caught.value.code == "bill.usage"


def test_a_bill_made_anew_shows_what_is_different() -> None:
    before = statement(make_bill(LOW, MARCH, usage(350)))
    after = statement(make_bill(LOW, MARCH, usage(401)))
    found = rebill(json.loads(json.dumps(before, default=float)), after)
    assert found.reasons == ("350 kWh is now 401 kWh",)
    assert {change.name: change.difference for change in found.changes}["basic"] == 5700
    assert sum(change.difference for change in found.changes) == found.total.difference
    assert found.total.before == 71_260


def test_a_bill_by_another_tariff_says_so() -> None:
    bills = [
        statement(make_bill(tariff_named(f"kr-residential-{name}"), MARCH, usage(350)))
        for name in ("low", "high")
    ]
    found = rebill(*bills)
    assert found.reasons == ("tariff kr-residential-low is now kr-residential-high",)
    assert found.total.difference == 60_550 - 71_260


def test_a_bill_by_changed_data_says_so() -> None:
    before, after = (
        make_bill(
            tariff(revision=revision, charges=[charge("energy", "energy", {"rate": rate})]),
            MARCH,
            usage(10),
        )
        for revision, rate in ((1, "100"), (2, "110"))
    )
    old, new = statement(before), statement(after) | {"digest": "1" * 64}
    assert rebill(old, new).reasons == ("the tariff's data has changed: revision 1 is now 2",)
    assert rebill(old, new).total.difference == 100


def test_discounts_and_periods_are_reasons_too() -> None:
    plain = statement(make_bill(LOW, MARCH, usage(350)))
    less = statement(make_bill(LOW, MARCH, usage(350), discounts=["large-family"]))
    found = rebill(plain, less)
    assert found.reasons == ("other discounts",)
    assert [change.before for change in found.changes if change.name == "large-family"] == [0]
    assert rebill(plain, plain).reasons == ()
    energy = {"off-peak": Decimal(1), "mid": Decimal(2), "peak": Decimal(0)}
    other = {"off-peak": Decimal(2), "mid": Decimal(1), "peak": Decimal(0)}
    bills = [
        statement(make_bill(INDUSTRY, MARCH, Usage(each, Decimal(1)))) for each in (energy, other)
    ]
    assert rebill(*bills).reasons == ("the usage by period, or the demand, has changed",)


@pytest.mark.parametrize(
    "before",
    [
        {},
        [],
        {"month": "2024-04", "currency": "KRW"},
        {"month": "2024-03", "currency": "KRW", "lines": [1], "total": 0},
        {"month": "2024-03", "currency": "KRW", "lines": [{"id": "x", "amount": "y", "title": ""}]},
    ],
)
def test_only_a_bill_of_the_same_month_is_compared(before: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        rebill(before, statement(make_bill(LOW, MARCH, usage(350))))
    assert caught.value.code == "bill.against"
