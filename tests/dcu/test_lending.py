"""The line is metering's: what it lends of it to the upgrade manager, and when it takes it back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from openami.core.clock import ManualClock
from openami.dcu.collector import AFTER_PROBE_S, AWAY_LOOK_S, REST_MOST_S, Collector
from openami.dcu.flow import Patience, Stop
from openami.dcu.modem import LineLostError
from openami.dcu.settings import DcuSettings
from openami.dcu.surroundings import Surroundings
from openami.fleet.collection import Line, Moment, Plan, Probe, Rest, Visit

START = 1_718_000_100.0
SERIAL = "OAM0000000000001"


class Guest:
    """Takes what it is given, and says that it wants more at once."""

    def __init__(self) -> None:
        self.lent: list[float] = []
        self.left: list[str | None] = []
        self.absent: set[str] = set()
        self.loses = False

    async def use(self, seconds: float) -> float:
        self.lent.append(seconds)
        if self.loses:
            raise LineLostError("lost")
        return 0.0

    async def leave(self, serial: str | None = None) -> None:
        self.left.append(serial)

    def away(self, serial: str) -> bool:
        return serial in self.absent


class Desk:
    """A line's task with nobody on the line, at a moment that does not pass."""

    def __init__(self) -> None:
        self.clock, self.guest = ManualClock(START), Guest()
        self.failed: list[str] = []
        self.line = Line([Plan("1.0.99.1.0.255")], addresses=(16, 17))
        self.line.add(SERIAL, 16, jitter=0.0)
        self.modem = SimpleNamespace(up=True, close=self._close)
        roster = SimpleNamespace(
            get=lambda _: SimpleNamespace(wary=False, fault=None),
            credentials=lambda _: (None, ("meter.no-credentials", "none")),
            wanting=set(),
        )
        self.around = Surroundings(
            line=self.line,
            roster=cast("Any", roster),
            modem=cast("Any", self.modem),
            gatherer=cast("Any", SimpleNamespace(ripe_at=None)),
            board=cast("Any", SimpleNamespace(get=lambda _: None, failed=self._fail)),
            clock=self.clock,
            tick=lambda: 1000.0,
            chance=lambda: 0.0,
            patience=Patience(0.001, 0.002, lambda: 0.0),
            stop=Stop(),
            news=lambda: None,
            guest=self.guest,
        )
        settings = DcuSettings.model_validate(
            {
                "id": "dcu-1",
                "state": Path(),
                "modem": "hdlc+tcp://127.0.0.1:1",
                "headend": "https://headend:8444",
            }
        )
        self.collector = Collector(settings, self.around)

    def _close(self) -> None:
        self.modem.up = False

    def _fail(self, job: str, code: str, _: str) -> None:
        self.failed.append(f"{job} {code}")

    def next(self) -> Visit | Probe | Rest:
        return self.line.next(Moment(self.clock.now(), 1000.0))


@pytest.mark.fums("UC1-reading")
@pytest.mark.parametrize(
    ("rest", "lent"),
    [
        (Rest(START + 20.0, None), 20.0),
        (Rest(START + 20.0, 1007.0), 7.0),
        (Rest(None, None), REST_MOST_S),
        (Rest(START + 900.0, None), REST_MOST_S),
        (Rest(START - 1.0, None), 0.0),
    ],
)
async def test_the_line_is_lent_until_metering_needs_it(rest: Rest, lent: float) -> None:
    desk = Desk()
    await desk.collector._do(rest)
    assert desk.guest.lent == [lent]


async def test_nothing_is_lent_when_there_is_something_new_to_do_or_no_line() -> None:
    desk = Desk()
    desk.collector.nudge.set()
    await desk.collector._do(Rest(START + 20.0, None))
    desk.collector.nudge.clear()
    desk.modem.up = False
    await desk.collector._do(Rest(START + 0.01, None))
    assert desk.guest.lent == []


async def test_a_reading_that_is_due_comes_first_and_has_the_meter_for_itself() -> None:
    desk = Desk()
    turn = desk.next()
    assert isinstance(turn, Visit)
    await desk.collector._do(turn)
    assert desk.guest.lent == []
    assert desk.guest.left == [SERIAL]


async def test_a_turn_is_lent_between_two_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()

    async def nobody(_: int) -> None:
        return

    monkeypatch.setattr(desk.collector, "_greet", nobody)
    await desk.collector._do(Probe(17))
    assert desk.guest.lent == [AFTER_PROBE_S]


async def test_a_meter_that_restarts_is_spared_unless_somebody_waits_for_it() -> None:
    desk = Desk()
    desk.guest.absent = {SERIAL}
    turn = desk.next()
    assert isinstance(turn, Visit)
    await desk.collector._do(turn)
    assert desk.guest.left == []
    assert not isinstance(desk.next(), Visit)
    rest = desk.line.next(Moment(START, 1000.0 + AWAY_LOOK_S))
    assert isinstance(rest, Visit)
    desk.line.demand("j1", SERIAL)
    asked = desk.next()
    assert isinstance(asked, Visit)
    assert asked.jobs == ("j1",)
    await desk.collector._do(asked)
    assert desk.guest.left == [SERIAL]
    assert desk.failed == ["j1 meter.no-credentials"]


async def test_a_line_that_is_lost_while_it_is_lent_is_opened_anew() -> None:
    desk = Desk()
    desk.guest.loses = True
    await desk.collector._do(Rest(START + 20.0, None))
    assert not desk.modem.up
    assert desk.around.patience.failures == 1
