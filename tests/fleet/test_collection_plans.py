"""When subjects are due, against a reference that walks through time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.clock import parse_utc
from openami.fleet.collection import Cadence, Plan, Progress, due_at, edges

LOAD = Plan("1.0.99.1.0.255", settle_s=10, spread_s=60, repeat_s=300)
DAY = Plan("1.0.99.2.0.255", Cadence.DAY, settle_s=60, spread_s=0, repeat_s=3600)
MONTH = Plan("0.0.98.1.0.255", Cadence.MONTH)
SEOUL, LISBON = ZoneInfo("Asia/Seoul"), ZoneInfo("Europe/Lisbon")
T0 = int(parse_utc("2024-05-15T10:00:00Z"))


def due(plan: Plan, wall: float, progress: Progress, jitter: float = 0.0) -> float:
    return due_at(plan, progress, wall=wall, around=edges(plan, wall), jitter=jitter)


@pytest.mark.parametrize(
    ("plan", "tz", "wall", "expected"),
    [
        (LOAD, UTC, "2024-05-15T10:14:59Z", ("T09:45:00", "T10:00:00", "T10:15:00")),
        (DAY, UTC, "2024-05-15T10:00:00Z", ("-14T00:00", "-15T00:00", "-16T00:00")),
        (DAY, SEOUL, "2024-05-15T15:00:00Z", ("-14T15:00", "-15T15:00", "-16T15:00")),
        (DAY, LISBON, "2024-03-31T12:00:00Z", ("-30T00:00", "-31T00:00", "-31T23:00")),
        (DAY, LISBON, "2024-10-27T12:00:00Z", ("-25T23:00", "-26T23:00", "-28T00:00")),
        (MONTH, UTC, "2024-03-01T00:00:00Z", ("02-01T00", "03-01T00", "04-01T00")),
        (MONTH, SEOUL, "2024-12-31T15:00:00Z", ("11-30T15", "12-31T15", "01-31T15")),
    ],
)
def test_boundaries(plan: Plan, tz: ZoneInfo, wall: str, expected: tuple[str, str, str]) -> None:
    found = edges(plan, parse_utc(wall), tz)
    texts = [
        datetime.fromtimestamp(t, UTC).isoformat()
        for t in (found.previous, found.current, found.following)
    ]
    for text, part in zip(texts, expected, strict=True):
        assert part in text


@given(
    st.floats(0, 4e9), st.sampled_from([LOAD, DAY, MONTH]), st.sampled_from([UTC, LISBON, SEOUL])
)
def test_boundaries_surround_the_moment_and_follow_one_another(
    wall: float, plan: Plan, tz: ZoneInfo
) -> None:
    found = edges(plan, wall, tz)
    assert found.previous < found.current <= wall < found.following
    assert edges(plan, found.current, tz).current == found.current
    assert edges(plan, found.following, tz).previous == found.current
    assert edges(plan, found.current - 1, tz).current == found.previous


def test_a_meter_whose_clock_is_fast_is_due_at_every_boundary() -> None:
    assert due(LOAD, T0 + 30, Progress(T0 + 7200, tried=T0 + 20.0)) == T0 + 910


def test_what_was_never_read_is_due() -> None:
    assert due(LOAD, T0, Progress(cursor=T0)) == 0


def test_a_clock_that_was_set_back_makes_everything_due() -> None:
    assert due(LOAD, T0, Progress(T0, tried=T0 + 86400.0)) == 0
    assert due(LOAD, T0 + 20, Progress(T0, tried=T0 + 21.0)) > T0 + 20


def test_due_after_the_boundary_with_settling_and_spread() -> None:
    progress = Progress(T0, tried=T0 + 20.0)
    assert due(LOAD, T0 + 30, progress) == T0 + 900 + 10
    assert due(LOAD, T0 + 30, progress, jitter=0.5) == T0 + 900 + 40
    assert due(LOAD, T0 + 950, progress, jitter=0.5) == T0 + 940


def test_an_entry_that_had_not_come_is_asked_for_again() -> None:
    progress = Progress(T0 - 900, tried=T0 + 20.0)
    assert due(LOAD, T0 + 30, progress) == T0 + 320
    assert due(DAY, T0, Progress(None, tried=T0 - 100.0)) == T0 - 100 + 10 * 3600 - 160


def test_an_entry_that_never_comes_is_asked_for_ever_more_rarely() -> None:
    midnight, tries = parse_utc("2024-05-15T00:00:00Z"), [60.0]
    while tries[-1] < 86_400 + 60:
        tried = midnight + tries[-1]
        tries.append(due(DAY, tried, Progress(None, tried=tried)) - midnight)
    assert tries == [60, 3660, 7260, 14460, 28860, 57660, 86_460]


def test_repeats_do_not_outlast_the_next_boundary() -> None:
    plan = Plan("x", settle_s=10, spread_s=0, repeat_s=5000)
    assert due(plan, T0 + 30, Progress(T0 - 900, tried=T0 + 20.0)) == T0 + 910


def test_a_log_that_made_no_entry_is_not_chased() -> None:
    plan = Plan("0.0.99.98.0.255", period_s=3600, settle_s=0, spread_s=0, chases=False)
    assert due(plan, T0 + 30, Progress(None, tried=T0 + 20.0)) == T0 + 3600


def test_more_to_come_is_due_when_it_says() -> None:
    assert due(LOAD, T0 + 30, Progress(T0, tried=T0 + 20.0, again=T0 + 20.0)) == T0 + 20


@given(
    tried=st.floats(T0, T0 + 5000),
    behind=st.integers(0, 6),
    jitter=st.floats(0, 1),
    later=st.floats(0, 3000),
)
def test_due_times_agree_with_walking_through_time(
    tried: float, behind: int, jitter: float, later: float
) -> None:
    """Once due, always due, until tried again: and never later than the next boundary's turn."""
    progress = Progress(int(tried) // 900 * 900 - behind * 900, tried=tried)
    first = due(LOAD, tried, progress, jitter)
    after = due(LOAD, tried + later, progress, jitter)
    assert first <= (tried // 900 + 2) * 900 + 10 + jitter * 60
    if first <= tried + later:
        assert after <= tried + later
    else:
        assert after > tried + later


@pytest.mark.parametrize(
    "bad", [{"period_s": 0}, {"settle_s": -1}, {"spread_s": -1}, {"repeat_s": 0}]
)
def test_plans_that_cannot_be(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Plan("x", **bad)  # type: ignore[arg-type] # wrong on purpose
