"""Demand response at a meter: events kept, limits with emergencies, and who reconnects."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from tests.support.meter_bench import MANAGEMENT, PUBLIC, READER, START, Bench, FailingMemory
from tests.support.metering import events

from openami.core.errors import StoreError
from openami.dlms import data as d
from openami.dlms.cosem import (
    ActionError,
    ClientKind,
    Command,
    ControlState,
    MethodMode,
    ScriptRef,
)
from openami.dlms.cosem.base import Context
from openami.dlms.cosem.disconnect import MODES, TRANSITIONS
from openami.dlms.cosem.response import (
    ANSWERS,
    RESPONSE_OBIS,
    Answer,
    Event,
    EventKind,
    Interval,
    Said,
    profile_id,
)
from openami.dlms.cosem.schedule import NO_SCRIPT
from openami.dlms.data import decode_data
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import MethodRef
from openami.dlms.results import ActionResult, DataAccessResult
from openami.meter.limiting import SCRIPTS
from openami.metrology.events import Event as Logged
from openami.metrology.events import Ring
from openami.metrology.sources import LiveSource, Sample

if TYPE_CHECKING:
    from openami.dlms.cosem import DisconnectControl

LIMITER, DISCONNECTOR, RESPONSE = "71/0.0.17.0.0.255", "70/0.0.96.3.10.255", "8193/0.0.96.51.0.255"
HOME = Context(kind=ClientKind.HOME)
AHEAD = 600
ID = profile_id("e1")
OFF, ON, READY = ControlState


def heater() -> Bench:
    """Return a meter of 3 kW with 5 kW of leave."""
    bench = Bench(limit_w=5000, source=LiveSource(Sample(3_000_000)))
    bench.run(1)
    return bench


def said(revision: int = 1, **more: object) -> Said:
    intervals = (Interval(0, int(START) + AHEAD, 3600),)
    values = {"optional": True, "kind": EventKind.SHED, **more}
    return Said(revision, (Event("e1", 1, "peak", intervals=intervals, **values),))  # type: ignore[arg-type]  # as the test names them


def limited(bench: Bench, *, watts: int = 1000, start: float = START + AHEAD) -> None:
    """Say an event and set the limiter for it, as a DCU does."""
    session = bench.client(MANAGEMENT).opened()
    assert session.invoke(RESPONSE, 1, said().data()).ok
    begin = d.octets(CosemDateTime.from_utc(start, -540).encode())
    assert session.set(LIMITER, 5, d.u32(watts)).ok
    assert session.set(LIMITER, 9, d.array(d.u16(ID))).ok
    assert session.set(LIMITER, 8, d.structure(d.u16(ID), begin, d.u32(3600))).ok


def answer(bench: Bench, which: Answer, event: str = "e1") -> None:
    parameter = d.structure(d.visible(event), d.enum(ANSWERS.index(which)))
    bench.meter.device.invoke(MethodRef(8193, RESPONSE_OBIS, 2), parameter, HOME)


def reconnect(bench: Bench) -> None:
    bench.meter.device.invoke(MethodRef(8193, RESPONSE_OBIS, 4), None, HOME)


def held(bench: Bench) -> tuple[int, bool]:
    """Return threshold_active and emergency_profile_active."""
    limiter = bench.meter.model.limiter
    return decode_data(limiter.read(3).encode()).integer(), limiter.active


def supply(bench: Bench) -> ControlState:
    return bench.meter.model.disconnector.state


# -- the disconnector ----------------------------------------------------------------------------


def at(control: DisconnectControl, mode: int, state: ControlState) -> None:
    control.mode, control.state = mode, state


@pytest.mark.parametrize(("mode", "command", "state"), [*product(MODES, Command, ControlState)])
def test_every_command_in_every_mode_does_to_the_relay_what_the_blue_book_says(
    mode: int, command: Command, state: ControlState
) -> None:
    bench = BENCH
    engine, control = bench.meter.engine, bench.meter.model.disconnector
    at(control, mode, state)
    engine.state.connected, engine.state.ready = state is ON, state is READY
    letters = {
        letter
        for letter, (by, before, _) in TRANSITIONS.items()
        if (by, before) == (command, state) and letter in MODES[mode]
    }
    after = TRANSITIONS[min(letters)][2] if letters else state
    assert control.command(command) == bool(letters)
    assert (control.state, control.output) == (after, after is ON)
    assert (engine.state.connected, engine.state.ready) == (after is ON, after is READY)


BENCH = Bench()


def test_mode_0_is_for_a_supply_that_is_connected() -> None:
    bench = heater()
    session = bench.client(MANAGEMENT).opened()
    assert session.invoke(DISCONNECTOR, 1, d.i8(0)).ok
    assert session.set(DISCONNECTOR, 4, d.enum(0)).result == DataAccessResult.OTHER_REASON
    assert session.invoke(DISCONNECTOR, 2, d.i8(0)).ok
    assert session.set(DISCONNECTOR, 4, d.enum(0)).ok
    assert session.invoke(DISCONNECTOR, 1, d.i8(0)).result == ActionResult.READ_WRITE_DENIED


# -- the limiter ---------------------------------------------------------------------------------


def test_an_emergency_comes_and_goes_by_itself_and_a_person_reconnects() -> None:
    bench = heater()
    limited(bench)
    bench.run(AHEAD - 10)
    assert held(bench) == (5000, False)
    bench.run(10)
    assert held(bench) == (1000, True)
    assert supply(bench) is ON, "motors start in less than min_over_threshold_duration"
    bench.run(60)
    assert supply(bench) is READY
    bench.run(3600)
    assert held(bench) == (5000, False)
    assert supply(bench) is READY, "mode 4: nobody but a person reconnects"
    reconnect(bench)
    assert supply(bench) is ON
    with pytest.raises(ActionError):
        reconnect(bench)
    assert events(bench.meter.engine, Ring.DISCONNECT_LOG) == [
        Logged.LIMIT_CHANGED, Logged.LIMIT_EXCEEDED, Logged.LIMIT_CHANGED,
        Logged.MANUALLY_CONNECTED,
    ]  # fmt: skip


def test_who_reconnects_with_too_much_on_is_off_again() -> None:
    bench = heater()
    limited(bench)
    for seconds in (AHEAD, 60, 60):
        bench.run(seconds)
    reconnect(bench)
    bench.run(1)
    bench.run(59)
    assert supply(bench) is ON
    bench.run(2)
    assert supply(bench) is READY


@pytest.mark.parametrize("mode", [5, 6])
def test_in_modes_with_local_reconnection_the_meter_reconnects_even_after_a_restart(
    mode: int,
) -> None:
    bench = heater()
    session = bench.client(MANAGEMENT).opened()
    assert session.set(DISCONNECTOR, 4, d.enum(mode)).ok
    limited(bench)
    bench.run(AHEAD)
    bench.run(60)
    assert supply(bench) is READY
    bench.restart(after=5)  # the power went: nothing was said in good order
    assert supply(bench) is READY
    bench.run(1)
    bench.run(60)
    assert supply(bench) is ON, "transition h, after min_under_threshold_duration"


def test_a_disconnection_by_hand_is_not_undone_by_a_restart() -> None:
    bench = heater()
    control = bench.meter.model.disconnector
    assert bench.client(MANAGEMENT).opened().set(DISCONNECTOR, 4, d.enum(5)).ok
    assert control.command(Command.MANUAL_DISCONNECT)
    bench.run(61)
    bench.restart()
    bench.run(1)
    bench.run(120)
    assert supply(bench) is READY


def test_a_restart_in_the_middle_of_an_emergency_goes_on_with_it() -> None:
    bench = heater()
    limited(bench)
    bench.run(AHEAD + 30)
    bench.restart(after=1)
    bench.run(1)
    assert held(bench) == (1000, True)
    bench.run(59)
    assert supply(bench) is ON, "the duration is counted from the restart"
    bench.run(2)
    assert supply(bench) is READY
    bench.restart(after=7200)
    bench.run(1)
    assert held(bench) == (5000, False)


def test_a_clock_that_jumps_moves_the_emergency_and_no_duration() -> None:
    bench = heater()
    limited(bench)
    engine = bench.meter.engine
    engine.set_clock(START + AHEAD + 100)
    bench.run(1)
    assert held(bench) == (1000, True)
    engine.set_clock(START + AHEAD + 3000)
    bench.run(1)
    assert supply(bench) is ON, "the clock has jumped, a second has passed"
    engine.set_clock(START + AHEAD + 3600)
    bench.run(1)
    assert held(bench) == (5000, False)
    engine.set_clock(START + AHEAD)
    bench.run(1)
    assert held(bench) == (1000, True)
    bench.run(60)
    assert supply(bench) is READY


def test_actions_are_what_their_scripts_say() -> None:
    bench = heater()
    limited(bench)
    session = bench.client(MANAGEMENT).opened()
    none = NO_SCRIPT.encode()
    assert session.set(LIMITER, 11, d.structure(none, none)).ok
    bench.run(AHEAD)
    bench.run(120)
    assert supply(bench) is ON
    cut, back = (script.encode() for script in SCRIPTS)
    unknown = ScriptRef(RESPONSE_OBIS, 1).encode()
    assert session.set(LIMITER, 11, d.structure(unknown, back)).ok
    bench.run(3600)
    assert session.set(LIMITER, 11, d.structure(cut, none)).ok
    bench.meter.engine.set_clock(START + AHEAD)
    bench.run(1)
    bench.run(61)
    assert supply(bench) is READY


def test_a_profile_of_a_group_that_is_not_ours_does_nothing() -> None:
    bench = heater()
    limited(bench)
    session = bench.client(MANAGEMENT).opened()
    assert session.set(LIMITER, 9, d.array(d.u16(ID ^ 1))).ok
    bench.run(AHEAD + 10)
    assert held(bench) == (5000, False)


# -- what is said and answered -------------------------------------------------------------------


def test_an_opt_out_lets_go_of_the_emergency_at_once_and_is_kept() -> None:
    bench = heater()
    limited(bench)
    bench.run(AHEAD)
    assert held(bench) == (1000, True)
    answer(bench, Answer.OPTED_OUT)
    bench.run(0.5)
    assert held(bench) == (5000, False)
    bench.restart(after=1)
    bench.run(1)
    assert held(bench) == (5000, False)
    begin = d.octets(CosemDateTime.from_utc(START, -540).encode())
    session = bench.client(MANAGEMENT).opened()
    assert session.set(LIMITER, 8, d.structure(d.u16(ID), begin, d.u32(7200))).ok
    bench.run(1)
    assert held(bench) == (5000, False), "a DCU that does not know yet sets it in vain"
    answer(bench, Answer.ACCEPTED)
    bench.run(1)
    assert held(bench) == (1000, True)


def test_an_event_that_is_not_optional_is_not_let_go() -> None:
    bench = heater()
    limited(bench)
    session = bench.client(MANAGEMENT).opened()
    assert session.invoke(RESPONSE, 1, said(2, optional=False).data()).ok
    with pytest.raises(ActionError):
        answer(bench, Answer.OPTED_OUT)
    bench.run(AHEAD)
    assert held(bench) == (1000, True)


def test_what_is_said_and_answered_survives_a_power_cut() -> None:
    bench = heater()
    limited(bench)
    answer(bench, Answer.ACKNOWLEDGED)
    answer(bench, Answer.ACCEPTED)
    before = bench.meter.model.response.standing
    bench.restart(after=60)
    assert bench.meter.model.response.standing == before
    assert [given.number for given in before.answers] == [1, 2]
    session = bench.client(MANAGEMENT).opened()
    assert session.invoke(RESPONSE, 3, d.u32(2)).ok
    bench.restart()
    assert bench.meter.model.response.standing.answers == ()
    assert bench.meter.model.response.said.choices == {"e1": Answer.ACCEPTED}


def test_an_answer_that_cannot_be_kept_is_none() -> None:
    memory = FailingMemory()
    bench = Bench(memory=memory, limit_w=5000)
    limited(bench)
    memory.full = True
    with pytest.raises(StoreError):
        answer(bench, Answer.OPTED_OUT)
    assert bench.meter.model.response.said.choices == {}
    memory.full = False
    answer(bench, Answer.OPTED_OUT)
    assert bench.meter.model.response.standing.opted_out() == {"e1"}


def test_the_utility_says_the_household_answers_and_others_see_nothing() -> None:
    item = Bench().meter.model.response
    calls = {
        kind: {n for n in range(1, 5) if item.method_mode(n, kind) is not MethodMode.NO_ACCESS}
        for kind in ClientKind
    }
    assert calls == {
        ClientKind.PUBLIC: set(), ClientKind.READER: set(), ClientKind.BROADCAST: set(),
        ClientKind.MANAGEMENT: {1, 3}, ClientKind.HOME: {2, 4},
    }  # fmt: skip
    assert not any(item.visible(k) for k in (ClientKind.PUBLIC, ClientKind.READER))
    bench = Bench()
    for sap in (PUBLIC, READER):
        assert not bench.client(sap).opened().get(RESPONSE).ok
