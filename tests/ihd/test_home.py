"""A real display of a real meter, both processes, over real sockets."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.support.ihd import connected, home

from openami.core.clock import isoformat, parse_utc
from openami.transport.clock import ClockSettings, SystemClock

if TYPE_CHECKING:
    from pathlib import Path

HISTORY_S = 40 * 86_400


def since(seconds: int = HISTORY_S) -> str:
    return isoformat(SystemClock().now() - seconds)


def filled(state: dict[str, Any]) -> bool:
    return connected(state) and not state["gaps"]["filling"] and state["energy"]["month_wh"] > 0


def test_what_the_meter_has_is_shown_and_outlives_kills(tmp_path: Path) -> None:
    with home(tmp_path, since=since()) as found:
        state = found.wait(filled)
        assert state["live"]["voltage_v"][0] > 200
        assert state["live"]["active_w"] > 0
        assert state["energy"]["total_wh"] >= state["energy"]["last_month_total_wh"] > 0
        assert int(state["bill"]["so_far"]) > 0
        assert state["bill"]["estimate"] is not None
        assert state["carbon"]["today_g"] >= 0
        columns = found.ask("energy", params={"by": "day", "from": since(30 * 86_400)}).json()
        assert all(wh > 0 for wh in columns["wh"][1:-1])

        # The graph of the last day is full already: it was filled from the profile, and says so.
        points = found.ask("points").json()
        assert sum(each is None for each in points["w"]) < 200  # the interval that runs
        assert points["filled"]

        found.display.stop(signal.SIGKILL)
        found.meter.stop(signal.SIGKILL)
        found.display.start()
        alone = found.state()
        assert alone["link"]["state"] == "lost"
        assert alone["energy"]["last_month_total_wh"] == state["energy"]["last_month_total_wh"]
        assert alone["live"] is not None
        assert alone["serial"] == state["serial"]

        lost = found.wait(lambda each: each["link"]["reason"])
        assert lost["link"]["code"].startswith("transport.")
        assert parse_utc(lost["link"]["since"]) <= parse_utc(lost["now"])
        found.meter.start()
        again = found.wait(filled)
        assert again["energy"]["total_wh"] >= state["energy"]["total_wh"]

        secrets = [found.code, *keys(tmp_path)]
        said = found.meter.log + found.display.log + found.ask().text
        assert not [each for each in secrets if each.lower() in said.lower()]


def test_what_was_missed_is_filled_exactly(tmp_path: Path) -> None:
    """A meter's clock runs 1,200 times as fast, 1,200 W always: 300 Wh in each quarter of an hour."""
    begun = isoformat(SystemClock().now() - HISTORY_S)
    clock = ClockSettings.parse(f"{begun},1200,{isoformat(SystemClock().now())}")
    shared = ("--clock", str(clock))
    with home(tmp_path, source="constant:1200", since=begun, meter=shared, display=shared) as found:
        found.wait(lambda state: state["energy"]["today_wh"] > 1000)
        found.display.stop(signal.SIGKILL)
        missed = clock.clock().now()
        while clock.clock().now() < missed + 3600:
            time.sleep(0.1)
        found.display.start()
        known = missed + 3 * 3600
        state = found.wait(
            lambda state: (
                connected(state)
                and parse_utc(state["now"]) > known
                and not state["gaps"]["filling"]
            )
        )
        span = {"from": isoformat(missed - 3600), "to": isoformat(missed + 2 * 3600 - 3599)}
        hours = found.ask("energy", params={"by": "hour", **span}).json()["wh"]
        assert hours[1:] == [1200] * (len(hours) - 1)
        points = found.ask("points", params={"from": span["from"], "to": span["to"]}).json()
        assert set(points["w"][720:]) == {1200}
        assert any(start <= missed + 1800 <= end for start, end in points["filled"])
        assert state["energy"]["total_wh"] >= sum(hours)


def keys(folder: Path) -> list[str]:
    """Return the keys that the display has of its meter."""
    paired = json.loads((folder / "display" / "paired.json").read_text())["paired"]
    return [paired["guek"], paired["gak"]]
