"""The clock, summer time, and single action schedules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from openami.core.clock import ManualClock
from openami.dlms import data as d
from openami.dlms.cosem import (
    AccessError,
    ActionError,
    Clock,
    CosemObject,
    Daylight,
    Execution,
    ScheduleType,
    ScriptRef,
    SingleActionSchedule,
    next_execution,
)
from openami.dlms.cosem.daylight import occurrence
from openami.dlms.datetime import (
    NO_DEVIATION,
    NO_STATUS,
    ClockStatus,
    CosemDate,
    CosemDateTime,
    CosemTime,
)
from openami.dlms.results import ActionResult, DataAccessResult

EUROPE = Daylight(
    -60,
    CosemDateTime(month=3, day=0xFE, weekday=7, hour=2, minute=0, second=0),
    CosemDateTime(month=10, day=0xFE, weekday=7, hour=3, minute=0, second=0),
    60,
    enabled=True,
)
NEW_ZEALAND = Daylight(
    -720,
    CosemDateTime(month=9, day=0xFE, weekday=7, hour=2, minute=0),
    CosemDateTime(month=4, day=1, weekday=7, hour=3, minute=0),
    60,
    enabled=True,
)
NEW_YORK = Daylight(
    300,
    CosemDateTime(month=3, day=8, weekday=7, hour=2, minute=0),
    CosemDateTime(month=11, day=1, weekday=7, hour=2, minute=0),
    60,
    enabled=True,
)


@pytest.mark.parametrize(
    ("rules", "zone"),
    [
        (EUROPE, "Europe/Berlin"),
        (NEW_ZEALAND, "Pacific/Auckland"),
        (NEW_YORK, "America/New_York"),
        (Daylight(-540), "Asia/Seoul"),
    ],
)
def test_summer_time_is_that_of_the_tz_database(rules: Daylight, zone: str) -> None:
    start = datetime(2024, 1, 1, 0, 30, tzinfo=UTC)
    for hours in range(3 * 8784):
        moment = start + timedelta(hours=hours)
        offset = moment.astimezone(ZoneInfo(zone)).utcoffset()
        assert offset == timedelta(minutes=-rules.minutes(moment.timestamp())), moment


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (CosemDateTime(2024, 3, 10, 255, 1, 2, 3), datetime(2024, 3, 10, 1, 2, 3, tzinfo=UTC)),
        (CosemDateTime(2025, 3, 10), None),
        (CosemDateTime(month=2, day=0xFE), datetime(2024, 2, 29, tzinfo=UTC)),
        (CosemDateTime(month=2, day=0xFD), datetime(2024, 2, 28, tzinfo=UTC)),
        (CosemDateTime(month=5), datetime(2024, 5, 1, tzinfo=UTC)),
        (CosemDateTime(month=5, weekday=1), datetime(2024, 5, 6, tzinfo=UTC)),
        (CosemDateTime(month=2, day=29, weekday=1), None),
        (CosemDateTime(month=2, day=30), None),
        (CosemDateTime(month=13), None),
        (CosemDateTime(), None),
        (CosemDateTime(month=2, day=1, hour=24), None),
        (CosemDateTime(month=2, day=1, minute=60), None),
    ],
)
def test_occurrences(pattern: CosemDateTime, found: datetime | None) -> None:
    assert occurrence(pattern, 2024) == found


def test_rules_without_a_date_are_none() -> None:
    assert not Daylight(enabled=True).active(0)
    assert Daylight(-60, enabled=True, end=EUROPE.end).minutes(0) == -60


def refused(item: CosemObject, index: int, value: d.Data) -> DataAccessResult:
    with pytest.raises(AccessError) as raised:
        item.write(index, value)
    return raised.value.result


def denied(item: CosemObject, index: int, parameter: d.Data | None = None) -> ActionResult:
    with pytest.raises(ActionError) as raised:
        item.invoke(index, parameter)
    return raised.value.result


WINTER = datetime(2026, 1, 15, 12, 0, 7, tzinfo=UTC).timestamp()
SUMMER = datetime(2026, 7, 15, 12, 0, 7, tzinfo=UTC).timestamp()


def make(now: float = WINTER, **fields: Any) -> tuple[Clock, ManualClock]:
    wall = ManualClock(now)
    return Clock("0.0.1.0.0.255", wall, zone=-60, daylight=EUROPE, **fields), wall


def test_attributes() -> None:
    clock, wall = make(status=lambda: ClockStatus.DOUBTFUL)
    assert clock.read(2) == d.octets(bytes.fromhex("07EA010F040D000700FFC402"))
    assert clock.read(3) == d.i16(-60)
    assert clock.read(4) == d.u8(2)
    assert clock.read(5) == d.octets(EUROPE.begin.encode())
    assert clock.read(6) == d.octets(EUROPE.end.encode())
    assert [clock.read(i) for i in (7, 8, 9)] == [d.i8(60), d.boolean(True), d.enum(1)]
    wall.set(SUMMER)
    assert clock.read(2) == d.octets(bytes.fromhex("07EA070F030E000700FF8882"))
    assert clock.read(4) == d.u8(0x82)
    assert clock.minutes() == -120
    assert clock.minutes(WINTER) == -60


@pytest.mark.parametrize("moment", [WINTER, SUMMER])
def test_the_time_is_set_in_every_form(moment: float) -> None:
    clock, wall = make(0)
    local = clock.local(moment)
    bare = replace(local, deviation=NO_DEVIATION, status=NO_STATUS)
    utc = CosemDateTime.from_utc(moment, 0)
    korea = CosemDateTime.from_utc(moment, -540)
    for value in (local, bare, utc, korea):
        for encoded in (d.octets(value.encode()), d.date_time(value)):
            wall.set(0)
            clock.write(2, encoded)
            assert wall.now() == moment


def test_the_hour_that_comes_twice_is_told_apart_by_the_status() -> None:
    clock, wall = make(0)
    first = CosemDateTime(2026, 10, 25, 7, 2, 30, 0, 0, status=ClockStatus.DST)
    clock.write(2, d.octets(first.encode()))
    earlier = wall.now()
    second = CosemDateTime(2026, 10, 25, 7, 2, 30, 0, 0, status=0)
    clock.write(2, d.octets(second.encode()))
    assert wall.now() - earlier == 3600


def test_what_is_no_time_is_refused() -> None:
    clock, wall = make()
    assert refused(clock, 2, d.octets(bytes(11))) is DataAccessResult.TYPE_UNMATCHED
    assert refused(clock, 2, d.u8(1)) is DataAccessResult.TYPE_UNMATCHED
    assert refused(clock, 2, d.octets(b"\xff" * 12)) is DataAccessResult.OTHER_REASON
    never = CosemDateTime(2026, 2, 30, 255, 0, 0, 0, 0, 0, 0)
    assert refused(clock, 2, d.octets(never.encode())) is DataAccessResult.OTHER_REASON
    assert refused(clock, 3, d.i16(900)) is DataAccessResult.OTHER_REASON
    assert refused(clock, 4, d.u8(0)) is DataAccessResult.READ_WRITE_DENIED
    assert refused(clock, 5, d.octets(b"")) is DataAccessResult.TYPE_UNMATCHED
    assert wall.now() == WINTER


def test_rules_are_written() -> None:
    clock, wall = make(SUMMER)
    clock.write(8, d.boolean(False))
    assert clock.minutes() == -60
    clock.write(8, d.boolean(True))
    clock.write(7, d.i8(30))
    assert clock.minutes() == -90
    clock.write(3, d.i16(-540))
    clock.write(5, d.octets(NEW_ZEALAND.begin.encode()))
    clock.write(6, d.octets(NEW_ZEALAND.end.encode()))
    assert clock.minutes() == -540
    wall.set(WINTER)
    assert clock.minutes() == -570


@pytest.mark.parametrize(
    ("method", "before", "after"),
    [(1, 449, 0), (1, 451, 900), (1, 900, 900), (3, 29, 0), (3, 31, 60), (2, 70, 0), (2, 200, 300)],
)
def test_adjustments(method: int, before: int, after: int) -> None:
    clock, wall = make(36000.0 + before, period=lambda: 300)
    clock.invoke(method, d.i8(0))
    assert wall.now() == 36000 + after


def test_shifts() -> None:
    clock, wall = make(1000.0)
    clock.invoke(6, d.i16(-900))
    assert wall.now() == 100
    clock.invoke(6, d.i16(7))
    assert wall.now() == 107
    assert denied(clock, 6, d.i16(901)) is ActionResult.OTHER_REASON
    assert denied(clock, 6, d.i16(-901)) is ActionResult.OTHER_REASON
    assert denied(clock, 6, d.u8(1)) is ActionResult.TYPE_UNMATCHED
    assert denied(clock, 6) is ActionResult.TYPE_UNMATCHED


def test_a_preset_time() -> None:
    clock, wall = make(WINTER)

    def at(seconds: float) -> d.Data:
        return d.octets(CosemDateTime.from_utc(WINTER + seconds).encode())

    assert denied(clock, 4, d.i8(0)) is ActionResult.OTHER_REASON
    clock.invoke(5, d.structure(at(500), at(10), at(20)))
    assert denied(clock, 4, d.i8(0)) is ActionResult.OTHER_REASON
    wall.advance(15)
    clock.invoke(4, d.i8(0))
    assert wall.now() == WINTER + 500
    assert denied(clock, 4, d.i8(0)) is ActionResult.OTHER_REASON
    assert denied(clock, 5, d.structure(at(1))) is ActionResult.TYPE_UNMATCHED
    wild = d.octets(CosemDateTime().encode())
    assert denied(clock, 5, d.structure(wild, wild, wild)) is ActionResult.OTHER_REASON


# -- schedules -----------------------------------------------------------------------------------


def execution(hour: int = 0, minute: int = 0, **date: int) -> Execution:
    return Execution(CosemTime(hour, minute, 0, 0), CosemDate(**date))


NOW = datetime(2026, 5, 15, 10, 30, 0)  # noqa: DTZ001 - a local time, a Friday


@pytest.mark.parametrize(
    ("executions", "wanted"),
    [
        ([execution(11)], (2026, 5, 15, 11, 0)),
        ([execution(10, 30)], (2026, 5, 16, 10, 30)),
        ([execution(9)], (2026, 5, 16, 9, 0)),
        ([execution(9, day=1)], (2026, 6, 1, 9, 0)),
        ([execution(0, 0, weekday=7)], (2026, 5, 17, 0, 0)),
        ([execution(0, 0, day=0xFE)], (2026, 5, 31, 0, 0)),
        ([execution(0, 0, month=2, day=29)], (2028, 2, 29, 0, 0)),
        ([execution(0, 0, year=2026, month=5, day=14)], None),
        ([execution(12), execution(11, 15)], (2026, 5, 15, 11, 15)),
        ([], None),
        ([execution(25)], None),
    ],
)
def test_when_a_schedule_executes_next(
    executions: list[Execution], wanted: tuple[int, ...] | None
) -> None:
    expected = None if wanted is None else datetime(*wanted)  # type: ignore[arg-type]  # noqa: DTZ001 - a local time
    assert next_execution(executions, NOW) == expected


def test_a_schedule_is_written() -> None:
    changes: list[int] = []
    item = SingleActionSchedule("0.0.15.0.0.255", on_change=lambda: changes.append(1))
    assert item.read(4) == d.array()
    script = ScriptRef(item.obis, 3)
    item.write(2, script.encode())
    item.write(3, d.enum(ScheduleType.TIMES))
    item.write(4, d.array(execution(3, 15, day=1).encode()))
    assert (item.script, item.kind, len(changes)) == (script, 4, 2)
    assert item.read(2) == script.encode()
    assert item.read(4) == d.array(
        d.structure(d.octets(bytes((3, 15, 0, 0))), d.octets(bytes.fromhex("FFFFFF01FF")))
    )
    assert item.next_execution(NOW) == datetime(2026, 6, 1, 3, 15)  # noqa: DTZ001 - a local time
    wild = d.structure(d.octets(b"\xff" * 4), d.octets(b"\xff" * 5))
    mismatch = DataAccessResult.TYPE_UNMATCHED
    assert refused(item, 4, d.array(wild)) is mismatch
    assert refused(item, 4, d.array(d.structure(d.octets(b""), d.octets(b"")))) is mismatch
    assert refused(item, 4, d.u8(1)) is mismatch
    assert refused(item, 2, d.structure(d.octets(b"short"), d.u16(1))) is mismatch
    many = d.array(*(execution().encode(),) * 97)
    assert refused(item, 4, many) is DataAccessResult.OTHER_REASON
    assert refused(item, 3, d.enum(6)) is DataAccessResult.OTHER_REASON
