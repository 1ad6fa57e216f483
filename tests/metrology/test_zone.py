"""Zones agree with the time zone database, and days begin and end where they should."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.metrology.zone import (
    LAST,
    SECOND_LAST,
    STATUS_INVALID,
    ZONES,
    SwitchRule,
    Zone,
)

BERLIN = ZONES["Europe/Berlin"]
HOUR = 3600


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize("name", sorted(ZONES))
@given(seconds=st.integers(at("2012-01-01"), at("2037-01-01")))
@settings(max_examples=100)
def test_zones_agree_with_the_time_zone_database(name: str, seconds: int) -> None:
    there = datetime.fromtimestamp(seconds, ZoneInfo(name))
    zone = ZONES[name]
    assert zone.offset(seconds) == there.utcoffset().total_seconds()  # type: ignore[union-attr]  # aware
    assert zone.is_dst(seconds) == bool(there.dst())
    assert zone.local(seconds).replace(tzinfo=None) == there.replace(tzinfo=None)
    start = zone.midnight_of(seconds)
    assert start <= seconds < zone.midnight_after(seconds)
    assert zone.local(start).date() == there.date()
    assert zone.day(start - 1) == zone.day(seconds) - 1


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
def test_a_day_of_the_switch_is_shorter_or_longer(day: str, hours: int) -> None:
    start = BERLIN.midnight_of(at(day) + 12 * HOUR)
    assert BERLIN.midnight_after(start) - start == hours * HOUR


@pytest.mark.parametrize(
    ("rule", "year", "expected"),
    [
        (SwitchRule(3, LAST, 7, 2), 2026, "2026-03-29T02:00"),
        (SwitchRule(3, SECOND_LAST, 7, 2), 2026, "2026-03-22T02:00"),
        (SwitchRule(2, LAST), 2028, "2028-02-29T00:00"),
        (SwitchRule(2, SECOND_LAST), 2027, "2027-02-27T00:00"),
        (SwitchRule(3, 8, 7, 2), 2026, "2026-03-08T02:00"),
        (SwitchRule(2, 31, 0, 1, 30), 2026, "2026-02-28T01:30"),
        (SwitchRule(2, 28, 7), 2026, "2026-02-22T00:00"),
    ],
)
def test_rules_name_a_moment_of_each_year(rule: SwitchRule, year: int, expected: str) -> None:
    assert rule.in_year(year) == at(expected)


def test_a_midnight_that_is_skipped_is_the_switch() -> None:
    zone = Zone(0, SwitchRule(3, 10), SwitchRule(11, 10))
    before = at("2026-03-09T20:00")
    assert zone.midnight_after(before) == at("2026-03-10T00:00")
    assert zone.local(at("2026-03-10T00:00")).hour == 1


def test_a_midnight_that_comes_twice_counts_once() -> None:
    zone = Zone(0, SwitchRule(3, 10), SwitchRule(11, 10))
    before = at("2026-11-09T20:00")
    assert zone.midnight_after(before) == at("2026-11-10T00:00")


def test_stamps_are_local_with_deviation_and_status() -> None:
    summer = BERLIN.stamp(at("2026-07-01T10:20:30"))
    assert summer.hex() == "07ea0701030c141e00ff8880"
    winter = BERLIN.stamp(at("2026-01-01T10:20:30"), STATUS_INVALID)
    assert winter.hex() == "07ea0101040b141e00ffc401"


@pytest.mark.parametrize(
    "make",
    [
        lambda: SwitchRule(13, 1),
        lambda: SwitchRule(1, 0),
        lambda: SwitchRule(1, 1, 8),
        lambda: SwitchRule(1, 1, 1, 24),
        lambda: Zone(7),
        lambda: Zone(900),
        lambda: Zone(0, dst_minutes=180),
    ],
)
def test_what_is_no_rule_or_zone_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"daylight|zone"):
        make()  # type: ignore[operator]  # a lambda


def test_daylight_saving_can_be_switched_off() -> None:
    off = Zone(60, BERLIN.begin, BERLIN.end, enabled=False)
    assert not off.is_dst(at("2026-07-01"))
    assert off.offset(at("2026-07-01")) == HOUR
