"""What clients write and let a meter do over C12.22, and what it really does then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.c1222_meter import HOST, PASSWORD, START, TITLE, MeterBench
from tests.support.c1222_services import REQUESTS
from tests.support.upgrades import FAULTS, image

from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.services import (
    Deregister,
    Disconnect,
    Done,
    Failure,
    Identified,
    Identify,
    LoggedOn,
    Logon,
    Read,
    Register,
    Request,
    Resolve,
    Security,
    TableData,
    Trace,
    Traced,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.tables import EntryList, Procedure, Result, TableId, standard
from openami.meter.c1222.device import ANSWERS
from openami.meter.management import NOTICE_S
from openami.metrology.events import Event, Ring
from openami.metrology.sources import NOTHING, ConstantSource

DAY = 86_400
CLEAR, _, SECRET = SecurityMode
PENDING = 0x1000
EVENT = bytes((0x02, 1, 2, 3, 4, 5))
EVENT_VALUES = {
    "SELECTOR": {"EVENT": 2, "SELF_READ": False, "DEMAND_RESET": False},
    "STORAGE": EVENT[1:],
}
LOAD_OFF: dict[str, Any] = {"LEVEL": 0, "ACTIONS": 0, "TIMING": b""}
LOAD_ON = {**LOAD_OFF, "LEVEL": 100}


def date_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def set_clock(seconds: float, *, qualifier: bool = False, **mask: bool) -> dict[str, Any]:
    names = ("DST", "GMT", "TM_ZN_APPLIED", "DST_APPLIED", "DST_SUPPORTED")
    return {
        "SET_MASK": {"SET_TIME": True, "SET_DATE": True, "SET_TIME_DATE_QUAL": qualifier, **mask},
        "DATE_TIME": date_time(seconds),
        "TIME_DATE_QUAL": {"DAY_OF_WEEK": 0, **dict.fromkeys(names, False)},
    }


# Who writes.


def test_names_are_kept() -> None:
    bench = MeterBench()
    name = b"8437 MAIN STREET".ljust(20)
    assert bench.as_user(Write(5, name)) == (Done(),)
    assert bench.as_user(WriteOffset(6, 0, b"OPENAMI")) == (Done(),)
    assert bench.as_user(WriteIndex(6, (1,), b"DISTRICT 4".ljust(20))) == (Done(),)
    assert bench.events(Ring.STANDARD_LOG) == [Event.PARAMETERS_CHANGED] * 3
    again = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    again.advance(1)  # the client's next message is of another second
    assert again.read(5)["IDENTIFICATION"] == "8437 MAIN STREET"
    values = again.read(6)
    assert (values["OWNER_NAME"], values["UTILITY_DIV"]) == ("OPENAMI", "DISTRICT 4")


@pytest.mark.parametrize("mode", SecurityMode)
def test_who_has_not_shown_the_password_writes_nothing(mode: SecurityMode) -> None:
    bench = MeterBench(mode)
    before = bench.meter.station, bench.meter.c1222.tables
    denied = (Failure(ResponseCode.ISC),)
    for request in (
        Write(5, bytes(20)),
        Write(PENDING | 5, EVENT + bytes(20)),
        Write(7, bytes(3)),
        WriteOffset(0x0801, 0, bytes(1024)),
        Disconnect(),
    ):
        assert bench.ask(request) == denied
    assert bench.ask(Security.of(b"wrong", 2), Write(5, bytes(20)))[1:] == denied
    assert bench.ask(Security.of(PASSWORD.encode(), 3), Write(5, bytes(20)))[1:] == denied
    assert (bench.meter.station, bench.meter.c1222.tables) == before


@pytest.mark.parametrize("mode", SecurityMode)
def test_a_session_writes_when_its_user_has_shown_the_password(mode: SecurityMode) -> None:
    bench, write = MeterBench(mode), Write(5, b"A".ljust(20))
    assert bench.ask(Logon.of(2, b"utility", 60)) == (LoggedOn(60),)
    assert bench.ask(write) == (Failure(ResponseCode.ISC),)
    assert bench.ask(Security.of(b"wrong"), write) == (Failure(ResponseCode.ISC),) * 2
    assert bench.ask(Security.of(PASSWORD.encode()), write) == (Done(), Done())
    assert bench.ask(write) == (Done(),)
    other = MeterBench(mode)
    other.ask(Logon.of(3, b"stranger", 60))
    assert other.ask(Security.of(PASSWORD.encode()), write) == (Failure(ResponseCode.ISC),) * 2


def test_what_cannot_be_written_is_not() -> None:
    bench = MeterBench()
    refused = (Failure(ResponseCode.IAR),)
    for table in (0, 1, 23, 52, 54, 44, 64, PENDING | 7, PENDING | 0x0801, PENDING | 23):
        assert bench.as_user(Write(table, bytes(100))) == refused, table
    for table in (2, 17, 42, 45, 79, 0x0804):
        assert bench.as_user(Write(table, bytes(10))) == (Failure(ResponseCode.ONP),), table
    assert bench.as_user(Write(5, bytes(19))) == refused
    assert bench.as_user(WriteOffset(5, 10, bytes(11))) == refused
    assert bench.as_user(WriteOffset(7, 0, bytes(3))) == refused
    assert bench.as_user(Write(7, bytes(2))) == refused
    assert bench.events(Ring.STANDARD_LOG) == []


def test_pending_tables_wait_for_their_activation() -> None:
    bench = MeterBench()
    name = b"LATER".ljust(20)
    assert bench.as_user(Write(PENDING | 5, EVENT + name)) == (Done(),)
    assert bench.read(5)["IDENTIFICATION"] == "OAM00008437"
    assert bench.ask(Read(PENDING | 5)) == (TableData(EVENT + name),)
    status = bench.read(4)
    assert status["STANDARD_PENDING"] == {5, 6}
    assert status["NBR_PENDING_ACTIVATION"] == 1
    again = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    again.advance(1)
    other = {**EVENT_VALUES, "STORAGE": bytes(5)}
    assert again.result(Procedure.ACTIVATE_PENDING, {"EVENT": other}) is Result.DONE
    assert again.read(4)["NBR_PENDING_ACTIVATION"] == 1
    assert again.result(Procedure.ACTIVATE_PENDING, {"EVENT": EVENT_VALUES}) is Result.DONE
    assert again.read(5)["IDENTIFICATION"] == "LATER"
    status = again.read(4)
    assert status["NBR_PENDING_ACTIVATION"] == 0
    assert status["LAST_ACTIVATION_DATE_TIME"] == date_time(int(again.clock.now()))
    assert again.ask(Read(PENDING | 5)) == (Failure(ResponseCode.ONP),)


def test_pending_tables_can_be_dropped_or_activated_all() -> None:
    bench = MeterBench()
    waiting = Write(PENDING | 5, EVENT + b"X".ljust(20))
    bench.as_user(waiting)
    assert bench.result(Procedure.CLEAR_PENDING, {"EVENT": EVENT_VALUES}) is Result.DONE
    assert bench.read(4)["NBR_PENDING_ACTIVATION"] == 0
    bench.as_user(waiting)
    assert bench.result(Procedure.CLEAR_ALL_PENDING) is Result.DONE
    assert bench.result(Procedure.ACTIVATE_ALL_PENDING) is Result.DONE
    assert bench.read(5)["IDENTIFICATION"] == "OAM00008437"
    bench.as_user(waiting)
    assert bench.result(Procedure.ACTIVATE_ALL_PENDING) is Result.DONE
    assert bench.read(5)["IDENTIFICATION"] == "X"
    # Written three times, dropped twice, activated once; what was empty changed nothing.
    assert bench.events(Ring.STANDARD_LOG) == [Event.PARAMETERS_CHANGED] * 6


def test_what_an_older_program_has_kept_and_is_no_table_is_forgotten() -> None:
    bench = MeterBench()
    bench.meter.c1222.tables = {"ST5": "00", "ST6": "zz"}
    bench.meter.commit()
    again = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    assert again.meter.c1222.tables == {}
    assert again.read(5)["IDENTIFICATION"] == "OAM00008437"


# Procedures.


def test_a_demand_reset_ends_the_billing_period() -> None:
    bench = MeterBench()
    bench.advance(DAY)
    before = bench.read(23)
    assert bench.result(Procedure.REMOTE_RESET, reset(demand=True)) is Result.DONE
    after = bench.read(23)
    assert after["NBR_DEMAND_RESETS"] == before["NBR_DEMAND_RESETS"] + 1
    assert after["TOT_DATA_BLOCK"]["DEMANDS"][0]["DEMAND"] == [0]
    assert after["TOT_DATA_BLOCK"]["SUMMATIONS"] == before["TOT_DATA_BLOCK"]["SUMMATIONS"]
    assert bench.read(25)["REG_DATA"] == before
    assert len(bench.meter.engine.rows[Ring.BILLING]) == 1
    assert bench.events(Ring.STANDARD_LOG) == [Event.DEMAND_RESET]
    bench.advance(10)
    assert bench.result(Procedure.REMOTE_RESET, reset(read=True)) is Result.DONE
    assert bench.read(26)["NBR_VALID_ENTRIES"] == 2
    assert len(bench.meter.engine.rows[Ring.BILLING]) == 1
    assert bench.result(Procedure.REMOTE_RESET, reset()) is Result.BAD_PARAMETER


def reset(*, demand: bool = False, read: bool = False) -> dict[str, Any]:
    return {"ACTION": {"DEMAND_RESET": demand, "SELF_READ": read}}


def test_the_clock_is_set() -> None:
    bench = MeterBench()
    bench.advance(100)
    now = int(bench.clock.now())
    answer = bench.do(Procedure.SET_DATE_TIME, set_clock(now + 50))
    assert (answer.result, answer.data) == (
        Result.DONE,
        {"BEFORE": date_time(now), "AFTER": date_time(now + 50)},
    )
    assert bench.read(52)["CLOCK_CALENDAR"] == date_time(now + 50)
    assert bench.events(Ring.CLOCK_LOG) == [Event.CLOCK_OLD, Event.CLOCK_NEW]
    bench.do(Procedure.SET_DATE_TIME, set_clock(now + 7 * DAY + 60, SET_DATE=False))
    assert bench.read(52)["CLOCK_CALENDAR"] == date_time(now + 60)
    bench.do(Procedure.SET_DATE_TIME, set_clock(now + 7 * DAY + 600, SET_TIME=False))
    assert bench.read(52)["CLOCK_CALENDAR"] == date_time(now + 7 * DAY + 60)
    for wrong in (set_clock(1000), set_clock(now, qualifier=True)):
        assert bench.result(Procedure.SET_DATE_TIME, wrong) is Result.BAD_PARAMETER
    right = set_clock(now, qualifier=True)
    right["TIME_DATE_QUAL"]["GMT"] = True
    assert bench.result(Procedure.SET_DATE_TIME, right) is Result.DONE


def test_blocks_are_unread_when_the_clock_was_ahead_of_them() -> None:
    bench = MeterBench()
    bench.result(Procedure.SET_DATE_TIME, set_clock(START + 3 * DAY))
    bench.advance(3600)
    unread = bench.read(63)["SET1"]["NBR_UNREAD_BLOCKS"]
    wanted = {"LIST": EntryList.LOAD_PROFILE_1, "ENTRIES_READ": unread}
    assert bench.result(Procedure.UPDATE_LAST_READ_ENTRY, wanted) is Result.DONE
    assert bench.read(63)["SET1"]["NBR_UNREAD_BLOCKS"] == 0
    bench.result(Procedure.SET_DATE_TIME, set_clock(START + 3600))
    bench.advance(3600)
    status = bench.read(63)["SET1"]
    assert status["NBR_UNREAD_BLOCKS"] == status["NBR_VALID_BLOCKS"] > 0


def test_a_clock_of_which_nothing_is_set_stays_as_it_is() -> None:
    bench = MeterBench()
    bench.meter.engine.state.clock_valid = False
    asked = set_clock(START + DAY, SET_TIME=False, SET_DATE=False)
    answer = bench.do(Procedure.SET_DATE_TIME, asked)
    assert answer.result == Result.DONE
    assert answer.data["BEFORE"] == answer.data["AFTER"] == date_time(START)
    assert bench.meter.engine.seconds == START
    assert not bench.meter.engine.state.clock_valid


def test_load_is_cut_off_and_let_on() -> None:
    bench = MeterBench()
    bench.advance(3600)
    assert bench.result(Procedure.DIRECT_LOAD_CONTROL, LOAD_OFF) is Result.DONE
    supply = TableId(2, manufacturer=True)
    assert bench.read(supply) == {"CONNECTED": 0, "STATE": 0, "MODE": 4}
    before = bench.read(23)
    bench.advance(3600)
    assert bench.read(23) == before
    assert bench.read(3)["ED_MFG_STATUS"] == b"\x01"
    assert bench.result(Procedure.DIRECT_LOAD_CONTROL, LOAD_OFF) is Result.DONE  # as it is
    assert bench.result(Procedure.DIRECT_LOAD_CONTROL, LOAD_ON) is Result.DONE
    bench.advance(3600)
    assert bench.read(23)["TOT_DATA_BLOCK"]["SUMMATIONS"] == [3600, 0]
    log = [Event.REMOTELY_DISCONNECTED, Event.REMOTELY_CONNECTED]
    assert bench.events(Ring.DISCONNECT_LOG) == log
    for wrong in ({"LEVEL": 50}, {"ACTIONS": 1}, {"TIMING": b"\x01"}):
        parameters = {**LOAD_OFF, **wrong}
        assert bench.result(Procedure.DIRECT_LOAD_CONTROL, parameters) is Result.BAD_PARAMETER
    bench.meter.model.disconnector.mode = 0  # nobody switches it
    assert bench.result(Procedure.DIRECT_LOAD_CONTROL, LOAD_OFF) is Result.CONFLICT
    assert bench.read(supply)["CONNECTED"] == 1


def test_data_are_cleared_and_registers_are_not() -> None:
    bench = MeterBench()
    bench.advance(40 * DAY)
    registers = bench.read(23)["TOT_DATA_BLOCK"]["SUMMATIONS"]
    assert bench.result(Procedure.CLEAR_DATA) is Result.DONE
    assert bench.read(63)["SET1"]["NBR_VALID_BLOCKS"] == 0
    assert bench.read(26)["NBR_VALID_ENTRIES"] == 0
    values = bench.read(23)["TOT_DATA_BLOCK"]
    assert values["SUMMATIONS"] == registers
    assert values["DEMANDS"][0]["DEMAND"] == [0]
    assert Event.LOAD_PROFILE_CLEARED in bench.events(Ring.STANDARD_LOG)
    bench.advance(DAY)
    assert bench.read(63)["SET1"]["NBR_VALID_BLOCKS"] == 2


def unread(bench: MeterBench) -> tuple[int, int, int]:
    profile = bench.read(63)["SET1"]
    return (
        bench.read(76)["NBR_UNREAD_ENTRIES"],
        bench.read(26)["NBR_UNREAD_ENTRIES"],
        profile["NBR_UNREAD_BLOCKS"],
    )


def taken(number: int, entries: int) -> dict[str, int]:
    return {"LIST": number, "ENTRIES_READ": entries}


def test_pointers_of_lists_move_on() -> None:
    bench = MeterBench()
    bench.advance(70 * DAY)
    assert unread(bench) == (1, 2, 61)
    update = Procedure.UPDATE_LAST_READ_ENTRY
    assert bench.result(update, taken(EntryList.LOAD_PROFILE_1, 60)) is Result.DONE
    assert bench.result(update, taken(EntryList.SELF_READS, 1)) is Result.DONE
    assert bench.result(update, taken(EntryList.EVENT_LOG, 1)) is Result.DONE
    again = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    again.advance(1)
    assert unread(again) == (2, 1, 1)  # the power was away: two more events
    for wrong in (
        taken(EntryList.LOAD_PROFILE_1, 2),
        taken(EntryList.LOAD_PROFILE_2, 0),
        taken(9, 0),
    ):
        assert again.result(update, wrong) is Result.BAD_PARAMETER
    clear = Procedure.RESET_LIST_POINTERS
    for number in (EntryList.LOAD_PROFILE_1, EntryList.SELF_READS, EntryList.EVENT_LOG):
        assert again.result(clear, {"LIST": number}) is Result.DONE
    log = again.read(76)
    kept = [entry["EVENT_CODE"]["NUMBER"] for entry in log["ENTRIES"][: log["NBR_VALID_ENTRIES"]]]
    assert set(kept) == {Event.LOG_CLEARED}
    assert unread(again)[1:] == (0, 0)
    assert again.result(clear, {"LIST": 4}) is Result.BAD_PARAMETER


def test_a_warm_start_restarts_management_and_no_more() -> None:
    bench = MeterBench()
    bench.as_user(Write(5, b"KEPT".ljust(20)))
    bench.ask(Logon.of(2, b"utility", 60))
    assert bench.ask(Read(5))
    restarts = bench.meter.management.restarts
    assert bench.result(Procedure.WARM_START) is Result.DONE
    bench.live(int(NOTICE_S) + 1)
    assert bench.meter.management.away
    assert bench.exchange(Read(5)) is None
    bench.live(6)
    assert bench.meter.management.restarts == restarts + 2
    assert bench.read(5)["IDENTIFICATION"] == "KEPT"
    assert bench.ask(Logon.of(2, b"utility", 60)) == (LoggedOn(60),)  # the other one is over
    assert Event.RESTARTED in bench.events(Ring.STANDARD_LOG)
    bench.advance(3600)
    wanted = int(bench.clock.now() - START) // 2  # 1,800 W all the time, to half a watt-hour
    assert bench.read(23)["TOT_DATA_BLOCK"]["SUMMATIONS"] == [wanted, 0]


def test_a_cold_start_forgets_what_was_written() -> None:
    bench = MeterBench()
    bench.advance(DAY)
    bench.as_user(Write(5, b"GONE".ljust(20)), Write(PENDING | 5, EVENT + bytes(20)))
    bench.do(Procedure.UPDATE_LAST_READ_ENTRY, taken(EntryList.EVENT_LOG, 1))
    registers = bench.read(23)
    assert bench.result(Procedure.COLD_START) is Result.DONE
    bench.live(10)
    assert bench.read(5)["IDENTIFICATION"] == "OAM00008437"
    assert bench.read(4)["NBR_PENDING_ACTIVATION"] == 0
    assert bench.meter.c1222.read == {}
    assert (
        bench.read(23)["TOT_DATA_BLOCK"]["SUMMATIONS"][0]
        >= (registers["TOT_DATA_BLOCK"]["SUMMATIONS"][0])
    )


def test_diagnostics_are_the_self_test_of_the_firmware_that_runs() -> None:
    bench = MeterBench()
    assert bench.result(Procedure.EXECUTE_DIAGNOSTICS) is Result.DONE
    assert bench.events(Ring.STANDARD_LOG) == [Event.DIAGNOSTICS_PASSED]


@pytest.mark.parametrize("fault", ["says-no", "never-ends", "self-test-raises"])
def test_diagnostics_that_fail_say_so(fault: str) -> None:
    bench = MeterBench()
    names: dict[str, Any] = {}
    exec("class ManagementApplication: pass\n" + FAULTS[fault], names)
    bench.meter.application = names["ManagementApplication"]()
    assert bench.result(Procedure.EXECUTE_DIAGNOSTICS) is Result.CONFLICT
    assert Event.DIAGNOSTICS_FAILED in bench.events(Ring.STANDARD_LOG)
    assert image  # the faults are those of images


def test_what_a_password_in_clear_does_not_do() -> None:
    bench = MeterBench(CLEAR)
    denied = Result.NO_AUTHORIZATION
    now = int(bench.clock.now())
    for number, parameters in (
        (Procedure.COLD_START, {}),
        (Procedure.WARM_START, {}),
        (Procedure.CLEAR_DATA, {}),
        (Procedure.RESET_LIST_POINTERS, {"LIST": 1}),
        (Procedure.REMOTE_RESET, reset(demand=True)),
        (Procedure.SET_DATE_TIME, set_clock(now)),
        (Procedure.DIRECT_LOAD_CONTROL, LOAD_OFF),
    ):
        assert bench.result(number, parameters) is denied, number
    assert bench.meter.engine.state.connected
    assert bench.result(Procedure.EXECUTE_DIAGNOSTICS) is Result.DONE
    assert bench.result(0, {"SIZE": 10, "IDENTIFIER": b""}, own=True) is denied


def test_what_the_meter_does_not_know_is_unrecognized() -> None:
    bench = MeterBench()
    for number in (2, 6, 16, 17, 22, 2047):
        assert bench.result(number) is Result.UNRECOGNIZED
    assert bench.result(3, own=True) is Result.UNRECOGNIZED
    used = bench.read(0)["STD_PROC_USED"]
    assert used == {0, 1, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 21}
    assert bench.as_user(Write(7, b"\x0a\x00\x07\x01"), Read(8))[1] == TableData(
        b"\x0a\x00\x07\x02"
    )  # parameters that are not those of the procedure


@pytest.mark.parametrize(
    ("selector", "good", "bad"), [(0, True, True), (1, False, True), (2, False, False)]
)
def test_the_selector_says_when_st08_is_written(selector: int, good: bool, bad: bool) -> None:
    bench = MeterBench()
    none = Failure(ResponseCode.DNR)
    for code, wanted in ((Procedure.EXECUTE_DIAGNOSTICS, good), (2, bad)):
        fresh = MeterBench()
        octets = (code | selector << 12).to_bytes(2, "little") + b"\x07"
        assert (fresh.as_user(Write(7, octets), Read(8))[1] != none) == wanted
    assert bench.ask(Read(8)) == (none,)


def test_everybody_reads_what_became_of_its_own_procedure() -> None:
    bench = MeterBench()
    bench.do(Procedure.EXECUTE_DIAGNOSTICS)
    other = bench.client_of(SECRET, title=TITLE)
    assert bench.ask(Read(8), client=other) == (Failure(ResponseCode.DNR),)
    for number in range(ANSWERS):
        bench.do(2, client=bench.client_of(SECRET, title=type(TITLE).parse(f".9.{number}")))
    assert bench.ask(Read(8)) == (Failure(ResponseCode.DNR),)


# The network.


def test_the_node_says_what_it_is() -> None:
    (found,) = MeterBench().ask(Identify())
    assert isinstance(found, Identified)
    features = found.features
    assert (found.standard, features.sessions, features.sessionless) == (3, 4, True)
    assert str(features.identity) == "OAM00008437"


def test_a_trace_ends_here_and_a_meter_is_no_relay() -> None:
    bench = MeterBench()
    assert bench.ask(Trace((HOST,))) == (Traced((HOST,)),)
    register = next(each for each, _ in REQUESTS if isinstance(each, Register))
    nothing = (Failure(ResponseCode.SNS),)
    requests: tuple[Request, ...] = (register, Resolve(TITLE), Deregister(TITLE))
    for request in requests:
        assert bench.ask(request) == nothing
    assert bench.as_user(Disconnect()) == (Done(),)


def test_nothing_is_counted_while_nothing_flows() -> None:
    bench = MeterBench(source=ConstantSource(NOTHING))
    bench.advance(DAY)
    assert bench.read(23)["TOT_DATA_BLOCK"]["SUMMATIONS"] == [0, 0]
    assert standard(23).wire == 23
