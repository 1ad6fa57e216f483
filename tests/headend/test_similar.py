"""Homes beside homes like them, and what is seen through a tenancy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.support.homes import profile

from openami.core.clock import ManualClock, parse_utc
from openami.core.errors import OpenAmiError
from openami.fleet.devices import DeviceKind, Sighting
from openami.fleet.ports import Batch
from openami.headend.customers import Details
from openami.headend.homes import MOST_S
from openami.store.lake import Lake

if TYPE_CHECKING:
    from openami.headend.services import Services, Stores

KIM = "kim@example.org"
DAY = 86_400
NOW = int(parse_utc("2026-05-28T12:00:00Z"))
MONTH = int(parse_utc("2026-04-01T00:00:00Z"))
MONTH_END = int(parse_utc("2026-05-01T00:00:00Z"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(float(NOW))


def measured(stores: Stores, *meters: str, start: int = MONTH - DAY, each: int = 10) -> None:
    """Store a load profile of each meter up to now; of each one more Wh than of the one before."""
    count = (NOW - start) // 900
    for place, meter in enumerate(meters):
        table = profile(meter, start, np.full(count, each + place))
        stores.readings.commit([Batch("D1", f"b-{meter}", b"digest", table)])
        stores.devices.sight([Sighting(DeviceKind.METER, meter, model="OA1")], now=1.0)


def test_eight_homes_are_compared_and_seven_are_not(services: Services, stores: Stores) -> None:
    measured(stores, *(f"M{place}" for place in range(7)))
    services.similar.look()
    assert services.similar.of("M0") is None
    assert services.similar.of("M9") is None


def test_a_month_of_homes(services: Services, stores: Stores, clock: ManualClock) -> None:
    meters = [f"M{place}" for place in range(10)]
    measured(stores, *meters)
    # Another model is another kind of home; a home of a few days is none yet.
    stores.devices.sight([Sighting(DeviceKind.METER, "X1", model="OA3")], now=1.0)
    measured(stores, "late", start=NOW - 3 * DAY)
    assert services.similar.of("M4") is None  # whoever asks does not wait for the sums
    services.similar.look()
    found = services.similar.of("M4")
    assert found is not None
    intervals = 30 * 96
    assert (found.start, found.end, found.homes) == (MONTH, MONTH_END, 10)
    assert found.mean_wh == round(14.5 * intervals / 100) * 100
    assert found.best_wh == round(10.5 * intervals / 100) * 100  # two of ten: never one alone
    assert found.own_wh == 14 * intervals
    assert services.similar.of("X1") is None
    late = services.similar.of("late")
    assert late is not None
    assert late.own_wh is None
    # Nothing is looked at again on the same day.
    measured(stores, "M10")
    services.similar.look()
    assert services.similar.of("M10") is None
    clock.advance(DAY)
    services.similar.look()
    again = services.similar.of("M10")
    assert again is not None
    assert again.homes == 11


def test_what_was_used_before_a_move_is_not_told(services: Services, stores: Stores) -> None:
    meters = [f"M{place}" for place in range(8)]
    measured(stores, *meters)
    services.customers.add(KIM, Details(), who="anna")
    services.customers.assign(KIM, "M1", starts=MONTH, who="anna")
    services.customers.assign(KIM, "M2", starts=MONTH + DAY, who="anna")
    services.similar.look()
    found, moved = services.similar.of("M1"), services.similar.of("M2")
    assert found is not None
    assert moved is not None
    assert found.own_wh is not None
    assert moved.own_wh is None


def test_a_move_on_the_same_day_is_seen(
    services: Services, stores: Stores, clock: ManualClock
) -> None:
    """What the household before used is told to nobody once it has left."""
    measured(stores, *(f"M{place}" for place in range(8)))
    services.customers.add(KIM, Details(), who="anna")
    services.customers.assign(KIM, "M1", starts=MONTH, who="anna")
    changed: list[frozenset[str] | None] = []
    services.similar.on_change = changed.append
    for _ in range(2):
        services.similar.look()
    assert changed == [None], "once for what was found of all"
    before = services.similar.of("M1")
    assert before is not None
    assert before.own_wh is not None
    services.customers.end(KIM, "M1", ends=NOW, who="anna")
    clock.advance(60)
    for _ in range(2):
        services.similar.look()
    assert changed[1:] == [frozenset({"M1"})], "once for who moved"
    after = services.similar.of("M1")
    assert after == replace(before, own_wh=None)
    other = services.similar.of("M2")
    assert other is not None
    assert other.own_wh is not None


def test_what_was_found_is_told_on_while_a_store_fails(
    services: Services, stores: Stores, clock: ManualClock
) -> None:
    measured(stores, *(f"M{place}" for place in range(8)))
    services.similar.look()
    before = services.similar.of("M1")
    assert isinstance(stores.readings, Lake)
    stores.readings.close()
    clock.advance(DAY)
    with pytest.raises(OpenAmiError):
        services.similar.look()
    assert services.similar.of("M1") == before is not None


def test_thirty_days_do_where_nobody_has_a_month(services: Services, stores: Stores) -> None:
    measured(stores, *(f"M{place}" for place in range(8)), start=NOW - 31 * DAY)
    services.similar.look()
    found = services.similar.of("M0")
    assert found is not None
    assert found.end - found.start == 30 * DAY


def test_a_tenancy_sees_its_own_time_alone(services: Services, stores: Stores) -> None:
    measured(stores, "M1")
    services.customers.add(KIM, Details(), who="anna")
    begin = MONTH + 5 * DAY
    services.customers.assign(KIM, "M1", starts=begin, who="anna")
    tenancy = services.customers.end(KIM, "M1", ends=begin + DAY, who="anna")
    seen = services.homes.measured(tenancy, MONTH, NOW)
    assert seen.within == (begin, begin + DAY)
    assert (int(seen.imported.ends[0]), seen.newest) == (begin + 900, begin + DAY)
    assert seen.imported.total == 960
    assert not seen.gives
    nothing = services.homes.measured(tenancy, MONTH, begin)
    assert (nothing.newest, nothing.imported.total, nothing.interval_s) == (None, 0, 900)
    most = services.homes.measured(tenancy, NOW - 10 * MOST_S, NOW)
    assert most.imported.total == 960
