from __future__ import annotations

import pytest

from openami.core.clock import ManualClock, ScaledClock
from openami.core.errors import ConfigError
from openami.transport.clock import (
    ClockSettings,
    SystemClock,
    make_clock,
    monotonic,
    speed_of,
)


def test_processes_with_the_same_settings_see_the_same_time() -> None:
    settings = ClockSettings.parse("2024-07-01T00:00:00Z,600,1700000000.5")
    assert settings == ClockSettings(1719792000.0, 600.0, 1700000000.5)
    assert ClockSettings.parse(str(settings)) == settings
    ours, theirs = settings.clock(), ClockSettings.parse(str(settings)).clock()
    first, second, third = ours.now(), theirs.now(), ours.now()
    assert first <= second <= third
    assert speed_of(ours) == 600.0


def test_text_keeps_parts_of_a_second() -> None:
    settings = ClockSettings(1.25, 0.5, 2.0)
    assert str(settings) == "1.25,0.5,2.0"
    assert ClockSettings.parse(str(settings)) == settings


def test_origin_left_out_is_now() -> None:
    before = SystemClock().now()
    assert before <= ClockSettings.parse("0,2").origin <= SystemClock().now()


@pytest.mark.parametrize("text", ["", "1", "1,2,3,4", "x,1", "0,0", "0,-1", "nan,1", "0,inf"])
def test_not_a_clock(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClockSettings.parse(text)
    assert caught.value.code == "config.clock"


def test_make_clock() -> None:
    assert isinstance(make_clock(None), SystemClock)
    assert isinstance(make_clock(ClockSettings(0, 2, 0)), ScaledClock)
    assert speed_of(ManualClock()) == 1.0
    assert monotonic() <= monotonic()
