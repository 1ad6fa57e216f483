from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.metrology.clock import DRIFT_LIMIT_PPB, SECOND, MeterClock, micros

DAY = 86_400 * SECOND


@given(
    st.integers(0, 2**52),
    st.integers(-DAY, DAY),
    st.integers(-DRIFT_LIMIT_PPB, DRIFT_LIMIT_PPB),
    st.integers(0, 400 * DAY),
)
def test_when_is_the_first_moment_that_shows_a_time(
    world: int, offset: int, ppb: int, ahead: int
) -> None:
    clock = MeterClock(world, world + offset, ppb)
    target = clock.meter + ahead
    moment = clock.when(target)
    assert clock.at(moment) >= target
    assert clock.at(moment - 1) < target


def test_drift_is_in_parts_per_billion() -> None:
    assert MeterClock(0, 0, 50_000).at(DAY) == DAY + 4_320_000  # 50 ppm: 4.32 s a day
    assert MeterClock(0, 0, -50_000).at(DAY) == DAY - 4_320_000


def test_a_clock_that_is_broken_is_refused() -> None:
    with pytest.raises(ValueError, match="drifts"):
        MeterClock(0, 0, DRIFT_LIMIT_PPB + 1)


def test_seconds_become_microseconds() -> None:
    assert micros(1.5) == 1_500_000
    assert micros(-0.25) == -250_000
