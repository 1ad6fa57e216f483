"""When a meter's clock is set."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.fleet.collection import ClockAction, ClockReading, ClockRule, decide, measure

RULE = ClockRule(threshold_s=10, max_step_s=3600, margin_s=15, period_s=900)
OFFSETS = st.floats(-3600, 3600).filter(lambda x: abs(x) > 12)
TIMES = st.floats(1.7e9, 1.8e9)


def reading(offset: float, *, uncertainty: float = 0.5, valid: bool = True) -> ClockReading:
    return ClockReading(offset, uncertainty, 2 * uncertainty, valid)


def distance(time: float) -> float:
    return min(time % 900, 900 - time % 900)


def test_half_the_round_trip_is_taken_off() -> None:
    found = measure(sent=100.0, received=104.0, shown=109.0)
    assert found == ClockReading(7.0, 2.0, 4.0)


def test_a_reference_that_jumped_back_measures_nothing() -> None:
    with pytest.raises(ValueError, match="before the question"):
        measure(sent=10.0, received=9.0, shown=9.0)


@pytest.mark.parametrize(
    ("offset", "uncertainty", "valid", "action"),
    [
        (9.0, 0.0, True, ClockAction.KEEP),
        (-9.0, 0.0, True, ClockAction.KEEP),
        (14.0, 5.0, True, ClockAction.KEEP),
        (14.0, 3.0, True, ClockAction.SET),
        (-14.0, 3.0, True, ClockAction.SET),
        (3600.0, 0.0, True, ClockAction.SET),
        (3601.0, 0.0, True, ClockAction.REFUSE),
        (-9999999.0, 0.0, True, ClockAction.REFUSE),
        (-9999999.0, 0.0, False, ClockAction.SET),
        (1.0, 0.0, False, ClockAction.SET),
    ],
)
def test_the_size_of_an_offset_decides(
    offset: float, uncertainty: float, valid: bool, action: ClockAction
) -> None:
    now = 1_700_000_100.0 // 900 * 900 + 450
    decision = decide(reading(offset, uncertainty=uncertainty, valid=valid), now=now, rule=RULE)
    assert decision.action is action


def test_without_a_known_interval_any_moment_is_good() -> None:
    rule = ClockRule(period_s=0)
    assert decide(reading(60), now=900.0, rule=rule).action is ClockAction.SET


@pytest.mark.parametrize("into", [0.0, 14.9, 885.1, 899.0])
def test_nothing_is_set_near_a_boundary(into: float) -> None:
    decision = decide(reading(12.0), now=1_700_100_000.0 // 900 * 900 + into, rule=RULE)
    assert decision.action is ClockAction.DEFER


@given(offset=OFFSETS, now=TIMES)
def test_what_is_set_disturbs_no_interval(offset: float, now: float) -> None:
    if decide(reading(offset), now=now, rule=RULE).action is ClockAction.SET:
        assert distance(now) >= 15
        assert distance(now + offset) >= 15
        if abs(offset) <= 860:
            assert math.floor(now / 900) == math.floor((now + offset) / 900)


@given(offset=OFFSETS, now=TIMES)
def test_what_is_put_off_is_set_at_the_moment_named_within_an_interval(
    offset: float, now: float
) -> None:
    decision = decide(reading(offset), now=now, rule=RULE)
    if decision.action is ClockAction.DEFER:
        assert decision.again is not None
        assert now < decision.again <= now + 1801
        assert decide(reading(offset), now=decision.again, rule=RULE).action is ClockAction.SET
    else:
        assert decision.again is None


@pytest.mark.parametrize(
    "bad",
    [
        {"threshold_s": 0},
        {"threshold_s": 20, "max_step_s": 10},
        {"margin_s": -1},
        {"margin_s": 225},
    ],
)
def test_rules_that_cannot_be(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"threshold|margin"):
        ClockRule(**bad)  # type: ignore[arg-type] # wrong on purpose
