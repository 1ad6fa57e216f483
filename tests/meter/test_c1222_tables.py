"""What a meter's tables say is what its registers, profiles and logs hold: to the watt-hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.support.c1222_meter import IDENTITY, PASSWORD, START, MeterBench

from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.services import (
    Failure,
    Read,
    ReadDefault,
    ReadIndex,
    ReadOffset,
    TableData,
)
from openami.c1222.tables import ProfileSet, TableId, locate, standard
from openami.core.obis import Obis
from openami.dlms.cosem import LOCAL
from openami.dlms.data import decode_data
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import AttributeRef
from openami.meter.c1222.sizes import EVENTS
from openami.metrology.energy import Channel
from openami.metrology.events import Event, Ring
from openami.metrology.sources import ConstantSource, Sample, SeriesSource
from openami.metrology.tariff import Switch, Tariff
from openami.metrology.zone import ZONES

if TYPE_CHECKING:
    from openami.dlms.data import Data

DAY = 86_400
ALL = [TableId(number, manufacturer=own) for own in (False, True) for number in range(80)]


def dlms(bench: MeterBench, class_id: int, name: str, attribute: int = 2) -> Data:
    """Return what a DLMS client reads."""
    ref = AttributeRef(class_id, Obis.parse(name), attribute)
    return decode_data(bench.meter.device.get(ref, None, LOCAL).encode())


def number_of(bench: MeterBench, name: str, class_id: int = 3, attribute: int = 2) -> int:
    return dlms(bench, class_id, name, attribute).integer()


def changing() -> SeriesSource:
    """Return a load that imports and exports, with odd numbers of watts."""
    values = [Sample(1_234_567, 98_765), Sample(-777_777, -12_345), Sample(3_210_987, -54_321)]
    return SeriesSource(values * 400, step=613, start=int(START))


@pytest.fixture
def lived() -> MeterBench:
    bench = MeterBench(source=changing())
    bench.advance(5 * DAY + 1234)
    return bench


def test_registers_are_those_that_dlms_gives(lived: MeterBench) -> None:
    values = lived.read(23)
    blocks = [values["TOT_DATA_BLOCK"], *values["TIER_DATA_BLOCK"]]
    for rate, block in enumerate(blocks):
        imported, exported = (number_of(lived, f"1.0.{group}.8.{rate}.255") for group in (1, 2))
        assert block["SUMMATIONS"] == [imported, exported]
        (demand,) = block["DEMANDS"]
        assert demand["DEMAND"] == [number_of(lived, f"1.0.1.6.{rate}.255", 4)]
        assert demand["DEMAND"][0] > 0
        when = CosemDateTime.decode(dlms(lived, 4, f"1.0.1.6.{rate}.255", 5).octets())
        assert demand["EVENT_TIME"][0].replace(tzinfo=UTC).timestamp() == when.timestamp()
    assert sum(block["SUMMATIONS"][0] for block in blocks[1:]) in range(
        blocks[0]["SUMMATIONS"][0] - 3, blocks[0]["SUMMATIONS"][0] + 1
    )  # each register drops its fraction


def test_present_values_are_those_that_dlms_gives(lived: MeterBench) -> None:
    values, selected, units = lived.read(28), lived.read(27), lived.read(12)["UOM_ENTRY"]
    found = dict(zip(selected["PRESENT_VALUE_SELECT"], values["PRESENT_VALUE"], strict=True))
    for place, channel in enumerate(Channel):
        assert found[place] == number_of(lived, f"1.0.{channel.value}.8.0.255")
    assert [demand["DEMAND_VALUE"] for demand in values["PRESENT_DEMAND"]] == [
        number_of(lived, "1.0.1.4.0.255", 5),
        number_of(lived, "1.0.2.4.0.255", 5),
    ]
    assert found[13] == number_of(lived, "1.0.16.7.0.255")
    volts = next(n for n, unit in enumerate(units) if unit["ID_CODE"] == 8)
    assert found[volts] // 100 == number_of(lived, "1.0.32.7.0.255")
    assert found[volts + 1] // 10 == number_of(lived, "1.0.31.7.0.255")
    assert (units[volts]["MULTIPLIER"], units[volts]["SEGMENTATION"]) == (6, 5)
    left = values["PRESENT_DEMAND"][0]["TIME_REMAINING"]
    assert left.minute * 60 + left.second == 900 - (int(lived.clock.now()) % 900)


def columns(bench: MeterBench) -> Any:
    tables = bench.tables
    status = bench.read(63)["SET1"]
    return ProfileSet.of(tables, 1).decode(bench.octets(standard(64)), status)


def rows(bench: MeterBench) -> list[tuple[float, int, list[int]]]:
    """Return the load profile as DLMS gives it: end, status, values."""
    found = []
    for row in dlms(bench, 7, "1.0.99.1.0.255").items():
        when, status, *values = row.items()
        end = CosemDateTime.decode(when.octets()).timestamp()
        found.append((end, status.integer(), [value.integer() for value in values]))
    return found


def test_the_load_profile_is_the_one_that_dlms_gives(lived: MeterBench) -> None:
    found, known = columns(lived), rows(lived)
    has = found.status[0] != 4
    ends = found.ends.astype("datetime64[s]").astype(np.int64)
    assert [int(end) for end in ends[has]] == [int(end) for end, _, _ in known]
    assert found.values[:, has].T.tolist() == [values for _, _, values in known]
    assert found.valid[has].all()
    assert not found.valid[~has].any()


def test_the_profile_is_a_ring_of_days() -> None:
    bench = MeterBench()
    bench.advance(70 * DAY)
    found, known = columns(bench), rows(bench)
    assert len(known) == 5760
    has = found.status[0] != 4
    assert found.values[:, has].T.tolist() == [values for _, _, values in known]
    status = bench.read(63)["SET1"]
    assert status["NBR_VALID_BLOCKS"] == 61
    assert status["FLAGS"]["OVERFLOW"]
    assert status["LAST_BLOCK_ELEMENT"] == status["LAST_BLOCK_SEQ_NBR"] % 61


def test_marks_of_rows_are_marks_of_intervals() -> None:
    bench = MeterBench()
    bench.advance(DAY)
    bench.meter.engine.set_clock(bench.clock.now() + 3600)  # over the ends of some intervals
    bench.advance(DAY)
    again = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    again.advance(40 * DAY)  # nothing was committed here
    again = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    found, known = columns(again), rows(again)
    ends = found.ends.astype("datetime64[s]").astype(np.int64).tolist()
    has = found.status[0] != 4
    assert [end for end, there in zip(ends, has, strict=True) if there] == [
        int(end) for end, _, _ in known
    ]
    for end, status, _ in known:
        place = ends.index(int(end))
        assert bool(found.common[place] & 0x2) == bool(status & 0x80)
        assert bool(found.common[place] & 0xC) == bool(status & 0x20)
        assert bool(found.valid[place]) == (not status & 0x07)


def test_a_clock_that_was_ahead_hides_nothing() -> None:
    bench = MeterBench()
    bench.advance(DAY)
    bench.meter.engine.set_clock(bench.clock.now() + 4000 * DAY)
    bench.advance(3600)
    bench.meter.engine.set_clock(bench.clock.now())
    bench.advance(2 * DAY)
    found = columns(bench)
    ends = found.ends.astype("datetime64[s]").astype(np.int64)
    known = [int(end) for end, _, _ in rows(bench) if end < START + 10 * DAY]
    assert [int(end) for end in ends[found.status[0] != 4]] == known


def test_a_profile_of_another_period() -> None:
    bench = MeterBench(period=300)
    bench.advance(3 * DAY)
    found = columns(bench)
    assert ProfileSet.of(bench.tables, 1).minutes == 5
    assert [row[2] for row in rows(bench)] == found.values[:, found.status[0] != 4].T.tolist()


def test_what_c1219_cannot_say_is_not_there() -> None:
    bench = MeterBench(period=75)
    bench.advance(3600)
    assert not {60, 61, 62, 63, 64} & bench.read(0)["STD_TBLS_USED"]
    assert bench.ask(Read(64)) == (Failure(ResponseCode.ONP),)
    assert bench.read(23)["TOT_DATA_BLOCK"]["SUMMATIONS"][0] == 1800


def test_logs_are_merged(lived: MeterBench) -> None:
    engine = lived.meter.engine
    for event in (Event.METER_COVER_OPENED, Event.REPLAY_DETECTED, Event.LIMIT_KEPT):
        lived.advance(1)
        engine.record(event)
    values = lived.read(76)
    entries = values["ENTRIES"][: values["NBR_VALID_ENTRIES"]]
    codes = [entry["EVENT_CODE"]["NUMBER"] for entry in entries]
    assert codes[0] == Event.POWER_UP
    assert codes[-3:] == [Event.METER_COVER_OPENED, Event.REPLAY_DETECTED, Event.LIMIT_KEPT]
    assert all(entry["EVENT_CODE"]["MANUFACTURER"] for entry in entries)
    assert [entry["EVENT_SEQ_NBR"] for entry in entries] == list(range(1, len(entries) + 1))
    assert values["LAST_ENTRY_SEQ_NBR"] == values["NBR_UNREAD_ENTRIES"] == len(entries)
    assert values["LAST_ENTRY_ELEMENT"] == len(entries) - 1
    last = entries[-1]["EVENT_TIME"].replace(tzinfo=UTC).timestamp()
    assert last == int(lived.clock.now())
    for _ in range(EVENTS + 50):
        engine.record(Event.PARAMETERS_CHANGED)
    values = lived.read(76)
    assert values["NBR_VALID_ENTRIES"] == EVENTS
    assert values["LAST_ENTRY_SEQ_NBR"] == len(entries) + EVENTS + 50
    assert values["EVENT_FLAGS"] == 2
    assert Event.PARAMETERS_CHANGED in lived.read(72)["MFG_EVENTS_SUPPORTED"]


def test_events_keep_their_numbers_when_the_clock_is_set_back() -> None:
    bench = MeterBench()
    bench.meter.engine.tamper(Event.METER_COVER_OPENED)
    bench.advance(60)
    bench.meter.record(Event.PARAMETERS_CHANGED)
    before = numbered(bench)
    bench.meter.engine.set_clock(START - 3600)
    bench.meter.engine.tamper(Event.METER_COVER_CLOSED)
    bench.advance(60)
    bench.meter.record(Event.PARAMETERS_CHANGED)
    after = numbered(bench)
    assert after[: len(before)] == before
    assert {code for _, code in after[len(before) :]} == {
        Event.CLOCK_OLD,
        Event.CLOCK_NEW,
        Event.METER_COVER_CLOSED,
        Event.PARAMETERS_CHANGED,
    }
    assert after[-1][0] == len(after)
    again = MeterBench(memory=bench.memory, board=bench.board, clock=bench.clock)
    again.advance(1)
    assert numbered(again)[: len(after)] == after
    again.meter.engine.clear(Ring.FRAUD_LOG)  # what is left of the others stays in its order
    fraud = {Event.METER_COVER_OPENED, Event.METER_COVER_CLOSED}
    left = [code for _, code in numbered(again)]
    assert left[: len(after) - 2] == [code for _, code in after if code not in fraud]


def numbered(bench: MeterBench) -> list[tuple[int, int]]:
    values = bench.read(76)
    entries = values["ENTRIES"][: values["NBR_VALID_ENTRIES"]]
    return [(entry["EVENT_SEQ_NBR"], entry["EVENT_CODE"]["NUMBER"]) for entry in entries]


def test_billing_periods_end_in_self_reads() -> None:
    bench = MeterBench(source=changing())
    assert bench.read(25)["REG_DATA"]["TOT_DATA_BLOCK"]["SUMMATIONS"] == [0, 0]
    bench.advance(65 * DAY)
    billing = dlms(bench, 7, "0.0.98.1.0.255").items()
    values = bench.read(26)
    assert values["NBR_VALID_ENTRIES"] == len(billing) == 2
    assert values["NBR_UNREAD_ENTRIES"] == values["LAST_ENTRY_SEQ_NBR"] == 2
    for entry, row in zip(values["SELF_READ_ENTRIES"], billing, strict=False):
        when, _, *registers = row.items()
        end = datetime.fromtimestamp(CosemDateTime.decode(when.octets()).timestamp(), UTC)
        assert entry["END_DATE_TIME"].replace(tzinfo=UTC) == end
        total = entry["REG_DATA"]["TOT_DATA_BLOCK"]
        tiers = entry["REG_DATA"]["TIER_DATA_BLOCK"]
        assert total["SUMMATIONS"] == [each.integer() for each in registers[:2]]
        assert [tier["SUMMATIONS"][0] for tier in tiers] == [
            each.integer() for each in registers[4:8]
        ]
        assert total["DEMANDS"][0]["DEMAND"] == [registers[8].integer()]
    newest = values["SELF_READ_ENTRIES"][1]
    assert bench.read(25) == {name: newest[name] for name in ("END_DATE_TIME", "REG_DATA")}


def test_the_clock_says_what_it_is() -> None:
    bench = MeterBench(zone=ZONES["Europe/Berlin"])
    bench.advance(60 * DAY)  # in summer time
    now = bench.clock.now()
    for table in (52, 55):
        values = bench.read(table)
        assert values["CLOCK_CALENDAR"].replace(tzinfo=UTC).timestamp() == int(now)
        assert values["TIME_DATE_QUAL"] == {
            "DAY_OF_WEEK": datetime.fromtimestamp(now, UTC).isoweekday() % 7,
            "DST": True,
            "GMT": True,
            "TM_ZN_APPLIED": False,
            "DST_APPLIED": False,
            "DST_SUPPORTED": True,
        }
    assert bench.read(55)["STATUS"]["TIER"] == bench.meter.engine.state.rate - 1
    offset = bench.read(53)
    assert (offset["TIME_ZONE_OFFSET"], offset["DST_TIME_AMT"]) == (60, 60)
    assert offset["DST_TIME_EFF"].hour == 2


def test_the_tariff_and_what_is_left_of_it(lived: MeterBench) -> None:
    engine = lived.meter.engine
    left, rate = lived.read(56), engine.state.rate
    local = engine.state.zone.local(engine.seconds)
    change = local.replace(second=0) + timedelta(minutes=left["TIER_TIME_REMAIN"])
    assert engine.config.tariff.rate(change) != rate
    assert engine.config.tariff.rate(change - timedelta(minutes=1)) == rate
    assert (local + timedelta(days=left["SELF_READ_DAYS_REMAIN"])).day == 1
    switches = lived.read(54)["TIER_SWITCHES"]
    assert [
        (each["TIER_SWITCH"]["HOUR"], each["TIER_SWITCH"]["TIER"], each["DAY_SCH_NUM"])
        for each in switches
    ] == [(0, 0, 0), (8, 1, 0), (16, 2, 0), (22, 0, 0), (0, 0, 1), (8, 3, 1), (22, 0, 1)]
    flat = MeterBench(tariff=Tariff((Switch(0, 1),), (Switch(0, 1),)))
    assert flat.read(56)["TIER_TIME_REMAIN"] == 7 * 24 * 60


def test_state_is_told(lived: MeterBench) -> None:
    engine = lived.meter.engine
    calm = lived.read(3)
    assert not any(calm["ED_STD_STATUS1"].values())
    assert calm["ED_MODE"]["METERING"]
    engine.tamper(Event.METER_COVER_OPENED)
    engine.disconnect(ready=True)
    status = lived.read(3)
    assert [name for name, on in status["ED_STD_STATUS1"].items() if on] == ["TAMPER_DETECT"]
    assert status["ED_MFG_STATUS"] == b"\x03"
    assert lived.read(TableId(2, manufacturer=True))["CONNECTED"] == 0


def test_who_the_meter_is(lived: MeterBench) -> None:
    values = lived.read(1)
    assert (values["MANUFACTURER"], values["ED_MODEL"]) == ("OAM", IDENTITY.model)
    assert values["MFG_SERIAL_NUMBER"] == lived.read(5)["IDENTIFICATION"] == "OAM00008437"
    assert lived.read(6)["DEVICE_ID"] == "OAM00008437"
    assert len(lived.read(16)["SOURCES_LINK"]) == 18


def test_a_meter_of_three_phases_shows_each_of_them() -> None:
    identity = replace(IDENTITY, phases=3, model="OA3-100")
    bench = MeterBench(source=ConstantSource(Sample(9_000_000, 1_000_000)), identity=identity)
    bench.advance(3600)
    units, values = bench.read(12)["UOM_ENTRY"], bench.read(28)["PRESENT_VALUE"]
    selected = bench.read(27)["PRESENT_VALUE_SELECT"]
    found = dict(zip(selected, values, strict=True))
    for phase in (1, 2, 3):
        volts = next(
            number
            for number, unit in enumerate(units)
            if (unit["ID_CODE"], unit["SEGMENTATION"]) == (8, 4 + phase)
        )
        first = 20 * phase
        assert found[volts] // 100 == number_of(bench, f"1.0.{first + 12}.7.0.255")
        assert found[volts + 1] // 10 == number_of(bench, f"1.0.{first + 11}.7.0.255")
    assert len(units) == len(bench.read(16)["SOURCES_LINK"]) == 22
    assert bench.read(1)["ED_MODEL"] == "OA3-100"


def test_what_is_said_to_be_there_is_there(lived: MeterBench) -> None:
    config = lived.read(0)
    used = {standard(number) for number in config["STD_TBLS_USED"]}
    used |= {TableId(number, manufacturer=True) for number in config["MFG_TBLS_USED"]}
    secret = {standard(42), standard(45)}
    written = {standard(7), TableId(1, manufacturer=True)}
    for table in ALL:
        (answer,) = lived.ask(ReadOffset(table.wire, 0, 1))
        if table not in used:
            assert answer == Failure(ResponseCode.ONP), table
        elif table in secret:
            assert answer == Failure(ResponseCode.ISC), table
        elif table in written:
            assert answer == Failure(ResponseCode.IAR), table
        elif table == standard(8):
            assert answer == Failure(ResponseCode.DNR)
        elif lived.tables.layout(table).size:
            assert isinstance(answer, TableData), table


def test_parts_of_tables_are_parts(lived: MeterBench) -> None:
    whole = lived.octets(standard(23))
    where = locate(lived.tables.layout(standard(23)), "TOT_DATA_BLOCK.SUMMATIONS[0]")
    (by_offset,) = lived.ask(ReadOffset(23, where.offset, where.size))
    (by_index,) = lived.ask(ReadIndex(23, (1, 0, 0), 1))
    assert by_offset == by_index == TableData(whole[where.offset : where.end])
    assert lived.ask(ReadDefault()) == (TableData(whole),)
    assert lived.ask(ReadOffset(23, len(whole), 1)) == (Failure(ResponseCode.IAR),)
    assert lived.ask(ReadIndex(23, (9,), 1)) == (Failure(ResponseCode.IAR),)
    assert lived.ask(Read(0x2000 | 23)) == (Failure(ResponseCode.ONP),)


def test_strangers_read_who_it_is_and_no_more(lived: MeterBench) -> None:
    stranger = lived.client_of(SecurityMode.CLEAR)
    for number in range(80):
        (answer,) = lived.ask(ReadOffset(number, 0, 1), client=stranger)
        assert isinstance(answer, TableData) == (number in {0, 1, 5}), number
    open_meter = MeterBench(SecurityMode.CLEAR, public_reads=True)
    assert isinstance(open_meter.ask(Read(23))[0], TableData)
    rights = open_meter.read(44)["ACCESS_CONTROL"]
    closed = {each["IDC"]["NUMBER"] for each in rights if not each["IDC"]["ANY_READ"]}
    assert closed - open_meter.read(0)["STD_PROC_USED"] == {42, 45, 2}  # MP-2 is a procedure
    for secret in (42, 45):
        assert open_meter.as_user(Read(secret)) == (Failure(ResponseCode.ISC),)


def test_rights_are_told_and_no_secret_is(lived: MeterBench) -> None:
    entries = lived.read(44)["ACCESS_CONTROL"]
    assert len(entries) == lived.read(41)["NBR_PERM_USED"]
    tables = {
        (entry["IDC"]["NUMBER"], entry["IDC"]["MANUFACTURER"]): entry
        for entry in entries
        if not entry["IDC"]["PROCEDURE"]
    }
    assert [number for (number, own), each in tables.items() if each["WRITE"] and not own] == [
        5,
        6,
        7,
    ]
    assert [number for (number, own), each in tables.items() if not each["READ"]] == [42, 45]
    shown = b"".join(
        lived.octets(standard(number))
        for number in sorted(lived.read(0)["STD_TBLS_USED"] - {7, 8, 42, 45})
    )
    assert PASSWORD.encode() not in shown
    assert bytes(range(16)) not in shown


def test_the_meter_is_not_worn_out_by_reading(lived: MeterBench) -> None:
    before = lived.meter.engine.rows[Ring.STANDARD_LOG].last
    for number in (23, 28, 52, 76):
        lived.read(number)
    assert lived.meter.engine.rows[Ring.STANDARD_LOG].last == before
