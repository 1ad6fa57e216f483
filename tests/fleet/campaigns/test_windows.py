"""Windows by the clock on the wall, through both changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.clock import isoformat, parse_utc
from openami.fleet.campaigns.windows import (
    HORIZON_DAYS,
    Window,
    after,
    is_open,
    open_seconds,
    opens_at,
    stretches,
)

BERLIN, SEOUL = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Seoul")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # by half an hour
HOUR = 3600.0


def night(opens: str, closes: str, days: str = "0123456") -> Window:
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (opens, closes)]
    return Window(minutes[0], minutes[1], frozenset(int(day) for day in days))


def of_night(window: Window, start: str, tz: ZoneInfo = BERLIN) -> list[tuple[str, str]]:
    """Return the stretches of the 24 hours from ``start``, in UTC, as hours and minutes."""
    begin = parse_utc(start)
    found = []
    for one, other in stretches((window,), begin, tz):
        if one >= begin + 24 * HOUR:
            break
        found.append((isoformat(one)[11:16], isoformat(other)[11:16]))
    return found


@pytest.mark.parametrize(
    ("window", "start", "expected"),
    [
        # an ordinary night: UTC+1
        (night("01:00", "04:00"), "2026-02-01T12:00Z", [("00:00", "03:00")]),
        # 2026-03-29: from 02:00 to 03:00 at 01:00 UTC
        (night("01:00", "04:00"), "2026-03-28T12:00Z", [("00:00", "02:00")]),
        (night("02:30", "04:00"), "2026-03-28T12:00Z", [("01:00", "02:00")]),
        (night("01:00", "02:30"), "2026-03-28T12:00Z", [("00:00", "01:00")]),
        (night("02:10", "02:50"), "2026-03-28T12:00Z", []),
        (night("23:00", "05:00"), "2026-03-28T12:00Z", [("22:00", "03:00")]),
        # 2026-10-25: from 03:00 back to 02:00 at 01:00 UTC
        (night("01:00", "04:00"), "2026-10-24T12:00Z", [("23:00", "03:00")]),
        (night("02:10", "02:50"), "2026-10-24T12:00Z", [("00:10", "00:50"), ("01:10", "01:50")]),
        (night("01:00", "02:30"), "2026-10-24T12:00Z", [("23:00", "00:30"), ("01:00", "01:30")]),
        (night("02:30", "04:00"), "2026-10-24T12:00Z", [("00:30", "01:00"), ("01:30", "03:00")]),
        (night("23:00", "05:00"), "2026-10-24T12:00Z", [("21:00", "04:00")]),
        # only on Sundays; only in the night that begins on Saturday
        (night("01:00", "02:00", "6"), "2026-10-24T12:00Z", [("23:00", "00:00")]),
        (night("23:00", "01:00", "5"), "2026-10-24T12:00Z", [("21:00", "23:00")]),
        (night("23:00", "01:00", "6"), "2026-10-24T12:00Z", []),
    ],
)
def test_a_window_is_open_while_the_wall_clock_shows_it(
    window: Window, start: str, expected: list[tuple[str, str]]
) -> None:
    assert of_night(window, start) == expected


WINDOW = st.builds(
    Window,
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.frozensets(st.integers(0, 6), min_size=1),
)
# Hours around the changes of clocks in Berlin and on Lord Howe, and others.
START = st.sampled_from(
    ["2026-03-28T00:00Z", "2026-10-24T00:00Z", "2026-04-04T00:00Z", "2026-10-03T00:00Z"]
).map(parse_utc)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(WINDOW, min_size=1, max_size=3),
    START,
    st.sampled_from([BERLIN, LORD_HOWE, SEOUL]),
    st.integers(0, 86_400),
)
def test_stretches_are_what_a_walk_through_the_minutes_finds(
    windows: list[Window], start: float, tz: ZoneInfo, offset: int
) -> None:
    first = start + offset
    several = tuple(windows)
    end = start + 3 * 86_400
    found = []
    for stretch in stretches(several, first, tz):
        if stretch[0] >= end:
            break
        found.append(stretch)
    assert all(one[1] < other[0] for one, other in pairwise(found))
    for minute in range(int(first // 60) + 1, int(end // 60), 7):
        moment = minute * 60.0
        inside = any(begin <= moment < close for begin, close in found)
        assert inside is is_open(several, moment, tz)
    total = sum(min(close, end) - begin for begin, close in found)
    assert open_seconds(several, first, end, tz) == pytest.approx(total)
    if total:
        assert after(several, first, total, tz) == pytest.approx(
            max(min(close, end) for begin, close in found)
        )


def test_without_windows_it_is_always_open() -> None:
    assert is_open((), 5.0, UTC)
    assert opens_at((), 5.0, UTC) == 5.0
    assert after((), 5.0, 10.0, UTC) == 15.0
    assert open_seconds((), 5.0, 15.0, UTC) == 10.0


def test_open_time_passes_over_nights() -> None:
    hours = (night("01:00", "03:00"),)
    start = parse_utc("2026-06-01T00:00Z")
    assert opens_at(hours, start, UTC) == start + HOUR
    assert opens_at(hours, start + 1.5 * HOUR, UTC) == start + 1.5 * HOUR
    assert after(hours, start, 3 * HOUR, UTC) == start + 26 * HOUR
    assert open_seconds(hours, start, start + 25.5 * HOUR, UTC) == 2.5 * HOUR


def test_a_whole_day_and_neighbours_are_one_stretch() -> None:
    assert list(stretches((Window(0, 0),), 0.0, UTC)) == [(0.0, inf)]
    pair = (night("01:00", "02:00"), night("02:00", "03:00"))
    assert next(stretches(pair, 0.0, UTC)) == (HOUR, 3 * HOUR)
    weekly = islice(stretches((Window(0, 1440, frozenset({3})),), 0.0, UTC), 2)
    assert list(weekly) == [(0.0, 86_400.0), (7 * 86_400.0, 8 * 86_400.0)]


def test_what_takes_longer_than_ten_years_never_ends() -> None:
    assert after((Window(0, 1),), 0.0, 1e9, UTC) == inf
    assert open_seconds((Window(0, 1),), 0.0, 1e9, UTC) == HORIZON_DAYS * 60.0


@pytest.mark.parametrize(
    "parts", [(-1, 5), (1440, 5), (5, -1), (5, 1441), (1, 2, frozenset()), (1, 2, frozenset({7}))]
)
def test_a_window_is_in_a_day_of_the_week(parts: tuple) -> None:
    with pytest.raises(ValueError, match="window opens"):
        Window(*parts)


def test_monday_is_the_first_day() -> None:
    monday = datetime(2026, 11, 16, 12, tzinfo=UTC)
    assert Window(0, 1440, frozenset({0})).shows(monday)
