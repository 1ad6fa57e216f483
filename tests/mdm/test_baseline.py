"""What a home would have used: by hand, and on recordings of real homes."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.mdm.baseline import (
    LOOK_BACK,
    METHOD,
    Rule,
    adjusting,
    back_test,
    baselines,
    savings,
)
from openami.mdm.tariffs.calendar import public_holidays
from openami.meter.recordings import household_energy

EVENT = np.array([10, 11])
AHEAD = np.array([0, 1, 2, 3, 4, 5, 6, 7])
STEP = 1800


def homes(*levels: float, days: int = 12, slots: int = 12) -> np.ndarray:
    """Return homes that use the same in each interval of each day."""
    return np.repeat(np.array(levels, float), days * slots).reshape(len(levels), days, slots)


def usable(energy: np.ndarray) -> np.ndarray:
    return np.ones(energy.shape[:2], bool)


def test_a_home_that_is_always_alike_has_itself_as_its_baseline() -> None:
    energy = homes(100.0, 250.0)
    found = baselines(energy, usable(energy), EVENT, AHEAD, energy[:, 0])
    assert found.wh.tolist() == [[100.0, 100.0], [250.0, 250.0]]
    assert found.days.tolist() == [10, 10]
    assert found.shift.tolist() == [0.0, 0.0]


def test_the_last_ten_days_that_are_whole_and_usable_count() -> None:
    energy = homes(100.0)
    energy[0, 0] = 9000.0  # the eleventh whole day before
    energy[0, 5, 10] = np.nan  # of the event's hours
    energy[0, 11] = 5000.0
    days = usable(energy)
    days[0, 11] = False  # had an event
    still = Rule(bound=0.0)
    found = baselines(energy, days, EVENT, AHEAD, homes(100.0)[:, 0], rule=still)
    assert found.days.tolist() == [10]
    assert found.wh[0, 0] == pytest.approx((9 * 100 + 9000) / 10, rel=1e-9)  # day 0 is the tenth


def test_the_day_itself_moves_it_by_half_and_within_bounds() -> None:
    energy = homes(100.0, 100.0, 100.0, 100.0)
    day = homes(100.0, 100.0, 100.0, 100.0)[:, 0]
    day[0, :8], day[1, :8], day[2, :8] = 120.0, 900.0, 0.0
    day[3, 2] = np.nan  # nobody knows how the day was
    found = baselines(energy, usable(energy), EVENT, AHEAD, day)
    assert found.wh[:, 0].tolist() == [110.0, 120.0, 80.0, 100.0]
    none = np.empty(0, np.int64)
    assert baselines(energy, usable(energy), EVENT, none, day).shift.tolist() == [0.0] * 4
    still = Rule(bound=0.0)
    assert baselines(energy, usable(energy), EVENT, AHEAD, day, rule=still).wh[0, 0] == 100.0


def test_the_highest_of_the_days_may_be_chosen() -> None:
    energy = homes(100.0)
    energy[0, -3:] = 400.0
    rule = Rule(best=5, bound=0.0)
    found = baselines(energy, usable(energy), EVENT, AHEAD, energy[:, 0], rule=rule)
    assert found.wh[0, 0] == pytest.approx((3 * 400 + 2 * 100) / 5)
    assert found.days.tolist() == [5]


def test_too_few_days_say_nothing_and_gaps_are_told() -> None:
    energy = homes(100.0, 100.0, 100.0)
    days = usable(energy)
    days[0, 4:] = False
    day = homes(70.0, 70.0, 70.0)[:, 0]
    day[:, :8] = 100.0
    day[1, 11] = day[2, 10] = day[2, 11] = np.nan
    found = baselines(energy, days, EVENT, AHEAD, day)
    none, part, nothing = savings(["A", "B", "C"], found, day, EVENT)
    assert (none.baseline, none.saved, none.used, none.days) == (None, None, 140.0, 0)
    assert none.why == "too few days like it before"
    assert (part.baseline, part.used, part.saved, part.missing) == (100.0, 70.0, 30.0, 1)
    assert part.why == ""
    assert (nothing.baseline, nothing.missing, nothing.why) == (None, 2, "nothing was measured")


def test_the_hours_ahead_end_an_hour_before() -> None:
    assert adjusting(np.array([34, 35]), STEP).tolist() == list(range(24, 32))
    assert adjusting(np.array([9]), STEP).tolist() == []


@pytest.mark.parametrize("wrong", [{"least": 0}, {"best": 11}, {"best": 4}, {"like": 46}])
def test_a_rule_counts_days_that_there_are(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="days"):
        Rule(**wrong)


@given(st.lists(st.floats(0, 10_000), min_size=12, max_size=12), st.floats(0, 10_000))
def test_a_baseline_is_within_a_fifth_of_the_days_that_it_is_made_of(
    levels: list[float], seen: float
) -> None:
    energy = np.repeat(np.array(levels), 12).reshape(1, 12, 12)
    day = np.full((1, 12), seen)
    found = baselines(energy, usable(energy), EVENT, AHEAD, day).wh
    last = levels[-METHOD.like :]
    assert 0.8 * min(last) - 1e-6 <= found.min()
    assert found.max() <= 1.2 * max(last) + 1e-6


def kinds(start: int, days: int) -> np.ndarray:
    dates = [datetime.fromtimestamp(start + day * 86_400, UTC).date() for day in range(days)]
    return np.array([d.weekday() > 4 or d in public_holidays("AU", "NSW", d.year) for d in dates])


def test_on_real_homes_nothing_is_found_where_nobody_was_asked() -> None:
    """The figures that docs/explanation/demand-response.md states."""
    start, energy = household_energy()
    like = kinds(start, energy.shape[1])
    event = np.arange(34, 40)  # 17:00 to 20:00
    error = back_test(energy, like, event, adjusting(event, STEP))
    assert error.trials > 2500
    assert abs(error.bias) < 0.03
    assert error.mean < 0.55
    assert error.total < 0.25
    high = back_test(energy, like, event, adjusting(event, STEP), rule=Rule(best=5))
    assert high.bias > 0.3  # why it is not the method
    with pytest.raises(ValueError, match="no day"):
        back_test(energy[:, :LOOK_BACK], like, event, AHEAD)
