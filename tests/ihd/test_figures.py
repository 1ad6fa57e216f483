"""Points, prices, bills and carbon."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.ihd.test_ledger import QUARTER, SEOUL, at, intervals, steady
from tests.support.ihd import live_at

from openami.dlms.cosem.response import Event, EventKind, Interval, Payload
from openami.ihd import billing, carbon, when
from openami.ihd.ledger import Ledger, Running, columns
from openami.ihd.points import PowerPoints, filling, slots, spread
from openami.mdm.tariffs.billing import make_bill
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.month import Month
from openami.mdm.tariffs.usage import Usage
from openami.store.home import Points

if TYPE_CHECKING:
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.pricing import Price

KOREA = tariff_named("kr-residential-low")
ONTARIO = tariff_named("ca-ontario-tou")
NOTHING = Points(*(np.zeros(0, np.int64) for _ in range(3)))


def priced(tariff: Tariff, seconds: int, wh: int) -> Price:
    """Return the price of a time that the tariff knows."""
    found = billing.price(tariff, seconds, wh)
    assert found is not None
    return found


def reason(found: dict[str, Any] | None) -> str:
    assert found is not None
    return str(found["reason"])


def amounts(found: list[str | None]) -> list[Decimal]:
    return [Decimal(each or "NaN") for each in found]


# Points


def test_a_point_is_the_mean_of_its_pushes() -> None:
    points = PowerPoints()
    for second, watts in enumerate([100, 200, 300, 400, 500, 1000]):
        points.saw(live_at(1000 + second, watts=watts))
    assert points.pending() == [(1000, 300)]
    assert points.shown(1000, 1010) == [(1000, 300), (1005, 1000)]
    points.kept([(1000, 300)])
    assert points.pending() == []


def test_power_is_held_between_pushes_of_one_link_and_not_over_a_gap() -> None:
    points = PowerPoints()
    points.saw(live_at(1000, watts=100))
    points.saw(live_at(1015, watts=200))
    points.lost()
    points.saw(live_at(1060, watts=300))
    assert dict(points.shown(0, 2000)) == {1000: 100, 1005: 100, 1010: 100, 1015: 200, 1060: 300}


def test_a_clock_that_jumps_by_days_fills_nothing() -> None:
    points = PowerPoints()
    points.saw(live_at(1000, watts=100))
    points.saw(live_at(1000 + 86_400, watts=200))
    assert len(points.shown(0, 10**6)) == 2


def test_unknown_is_null_and_what_was_filled_is_marked() -> None:
    kept = Points(np.array([1005, 1010, 1020]), np.array([7, 8, 9]), np.array([1, 1, 0]))
    assert slots(1003, 1024) == (1000, 5)
    assert spread(1000, 5, kept, [(1010, 80)]) == ([None, 7, 80, None, 9], [[1005, 1010]])


def test_an_interval_fills_with_its_mean() -> None:
    ends = np.array([900, 1800])
    found = filling(ends, np.array([250, 100]), np.array([0, 200]), 900, since=900)
    assert len(found) == 180
    assert found[0] == (900, -400)


# Prices and bills


def test_the_bill_so_far_is_the_tariffs_own_with_what_came_since() -> None:
    """1,000 Wh a quarter since 1 October, 7 days: 672 kWh, and 900 Wh since."""
    start = at("2025-10-01")
    until = start + 7 * 86_400
    ledger = steady(at("2025-09-01"), until, 1000)
    found = billing.bill(KOREA, ledger, Running(until, until + 600, 1900), QUARTER, until + 600)
    expected = make_bill(KOREA, Month(2025, 10), Usage({"": Decimal("673.9")})).total
    assert found["so_far"] == str(expected)
    likely = make_bill(KOREA, Month(2025, 10), Usage({"": Decimal(31 * 96)})).total
    assert found["estimate"]["likely"] == found["estimate"]["low"] == str(likely)  # all days alike


def test_the_estimate_has_a_range() -> None:
    start = at("2025-09-20")
    energy = intervals(start, [100 + (each // 96) % 4 * 30 for each in range(96 * 20)])
    found = billing.bill(KOREA, Ledger(energy), None, QUARTER, start + 20 * 86_400)
    low, likely, high = (int(found["estimate"][name]) for name in ("low", "likely", "high"))
    assert low < likely < high


def test_on_the_first_days_of_a_month_those_before_it_count() -> None:
    """A day of October alone tells nothing; with September's days it does."""
    start, now = at("2025-10-01"), at("2025-10-02")
    alone = billing.bill(KOREA, steady(start, now, 100), None, QUARTER, now)
    assert (alone["estimate"], int(alone["so_far"]) > 0) == (None, True)
    found = billing.bill(KOREA, steady(at("2025-09-20"), now, 100), None, QUARTER, now)
    likely = make_bill(KOREA, Month(2025, 10), Usage({"": Decimal("297.6")})).total
    assert found["estimate"]["likely"] == str(likely)
    assert found["estimate"]["days"] == 12
    assert found["so_far"] == alone["so_far"]


def test_nothing_known_is_no_bill_of_nothing() -> None:
    found = billing.bill(KOREA, Ledger(), None, QUARTER, at("2025-10-07"))
    assert (found["so_far"], found["estimate"]) == (None, None)


def test_a_month_that_the_tariff_does_not_know_says_so() -> None:
    now = at("2020-05-05")
    found = billing.bill(KOREA, steady(at("2020-05-01"), now, 10), None, QUARTER, now)
    assert found["so_far"] is None
    assert found["problem"]["code"] == "tariff.not-valid"


def test_the_price_now_is_that_of_the_step_or_of_the_time() -> None:
    now = at("2025-10-15T12:00")
    second = priced(KOREA, now, 250_000)
    assert billing.price_now(second, (), now) == {
        "per_kwh": billing.text(second.rate),
        "reason": "step 2",
    }
    assert billing.step(second, 250_000) == {
        "index": 2,
        "of": 3,
        "from_kwh": "200",
        "until_kwh": "400",
        "used_kwh": "250",
        "rate": billing.text(second.rate),
    }
    noon = priced(ONTARIO, now, 0)
    assert reason(billing.price_now(noon, (), now)) == noon.period
    assert billing.step(noon, 0) is None


def test_a_price_event_under_way_counts_more() -> None:
    now = at("2025-10-15T12:00")
    event = Event(
        "dr-1",
        1,
        "peaks",
        EventKind.PRICE,
        (Interval(0, now - 60, 3600, (Payload("PRICE", Decimal("512.5")),)),),
        currency="KRW",
    )
    usual = billing.price(KOREA, now, 0)
    assert billing.price_now(usual, [event], now) == {"per_kwh": "512.5", "reason": "dr-1"}
    assert reason(billing.price_now(usual, [event], now - 120)) == "step 1"
    assert reason(billing.price_now(usual, [event], now + 4000)) == "step 1"


def test_costs_of_hours_sum_to_those_of_days() -> None:
    start = at("2025-10-01")
    ledger = steady(start, start + 8 * 86_400, 1000)  # through both ends of steps
    hours = when.hours(start, start + 8 * 86_400, SEOUL)
    days = when.days(start, start + 8 * 86_400, SEOUL)
    by_hour = amounts(billing.costs(KOREA, ledger, None, hours))
    by_day = amounts(billing.costs(KOREA, ledger, None, days))
    assert [sum(by_hour[24 * day : 24 * day + 24]) for day in range(8)] == by_day
    rates = [priced(KOREA, start, kwh * 1000).rate for kwh in (0, 200, 401)]
    assert by_hour[0] == 4 * rates[0]
    assert by_hour[50] == 4 * rates[1]
    assert by_hour[-1] == 4 * rates[2]


def test_costs_by_time_of_use() -> None:
    start = at("2025-10-15")
    ledger = steady(start, start + 86_400, 250)
    hours = when.hours(start, start + 86_400, SEOUL)
    found = billing.costs(ONTARIO, ledger, None, hours)
    rates = [priced(ONTARIO, hour, 0).rate for hour in hours[:-1]]
    assert found == [billing.text(rate) for rate in rates]
    assert len(set(found)) > 1


def test_months_cost_their_bills() -> None:
    start, end = at("2025-09-01"), at("2025-11-01")
    ledger = steady(start, end, 100)
    months = when.months(start, end, SEOUL)
    found = billing.month_totals(KOREA, ledger, None, QUARTER, months[:-1])
    assert found == [
        str(make_bill(KOREA, Month(2025, month), Usage({"": Decimal(wh) / 1000})).total)
        for month, wh in zip((9, 10), columns(ledger, None, months)[0], strict=True)
    ]


# Carbon


def test_carbon_is_that_of_the_country_or_what_was_given() -> None:
    wh = {"today_wh": 2000, "month_wh": 100_000}
    found = carbon.shown(carbon.factor_of("KR", None, date(2026, 5, 1)), wh)
    assert found is not None
    assert (found["today_g"], found["month_g"], found["g_per_kwh"]) == (835, 41_730, 417.3)
    assert "2023" in found["source"]
    given = carbon.shown(carbon.factor_of("KR", Decimal(50), date(2026, 5, 1)), wh)
    assert given is not None
    assert (given["today_g"], given["source"]) == (100, carbon.GIVEN)
    assert carbon.shown(carbon.factor_of("CA", None, date(2026, 5, 1)), wh) is None


@pytest.mark.parametrize(("amount", "text"), [("214.60000", "214.6"), ("200", "200"), ("0", "0")])
def test_amounts_have_no_more_places_than_they_need(amount: str, text: str) -> None:
    assert billing.text(Decimal(amount)) == text
