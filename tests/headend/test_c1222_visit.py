"""Visits to a meter of another maker, table by table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.c1222_foreign import PASSWORD, PERIOD, USER, ForeignMeter

from openami.c1222.services import ReadOffset
from openami.c1222.tables import Result
from openami.core.clock import ManualClock
from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.fleet.collection import ClockRule
from openami.fleet.jobs import Target
from openami.headend.c1222.errors import LayoutError, NodeRefusedError
from openami.headend.c1222.models import Models
from openami.headend.c1222.ondemand import read_targets
from openami.headend.c1222.talk import Talk
from openami.headend.c1222.visit import Cursors, Report, Visit
from openami.mdm.readings import EVENTS_SCHEMA, join, validate_events, validate_readings

if TYPE_CHECKING:
    from openami.headend.c1222.models import Model

NOW = 1_780_000_200.0 + 10 * PERIOD + 400
DAY = 86_400


def visit(
    meter: ForeignMeter,
    cursors: Cursors | None = None,
    *,
    rule: ClockRule | None = None,
    **talk: Any,
) -> Visit:
    clock = ManualClock(meter.now)
    return Visit(
        Talk(meter.ask, **talk),
        "F42",
        Models(),
        clock=clock,
        rule=rule,
        cursors=cursors or Cursors(),
        history=DAY,
    )


def channel(report: Report, name: str) -> dict[int, tuple[int, int]]:
    """Return the values and scalers of a channel by the ends of its intervals."""
    table = join(report.readings)
    validate_readings(table)
    return {
        int(row["time"].timestamp()): (row["value"], row["scaler"])
        for row in table.to_pylist()
        if row["channel"] == name
    }


async def test_intervals_stand_newest_first_in_local_time_and_decimals() -> None:
    meter = ForeignMeter(NOW)
    report = await visit(meter).run(None)
    assert report.serial == "F-42"
    energy = channel(report, "1.0.1.29.0.255")
    ends = [end * PERIOD for end in range(meter.first + 1, meter.last + 1)]
    assert list(energy) == ends
    # 5 over 2 of hundreds of watt-hours, in tenths of those.
    assert list(energy.values()) == [(25 * n, 1) for n in range(1, 15)]
    assert report.offset_s == pytest.approx(0, abs=1)
    assert report.reached == Cursors(ends[-1], int(NOW))
    assert not {row["channel"] for row in join(report.readings).to_pylist()} - {
        "1.0.1.29.0.255", "1.0.1.8.0.255", "1.0.1.8.1.255", "1.0.1.6.0.255",
    }  # fmt: skip


async def test_registers_have_decimals_and_come_once_a_day() -> None:
    meter = ForeignMeter(NOW)
    report = await visit(meter).run(None)
    registers = channel(report, "1.0.1.8.0.255")
    assert list(registers.values()) == [(123_456_789, 2 - 4)]
    assert list(channel(report, "1.0.1.6.0.255").values()) == [(15_005, -1)]
    again = await visit(meter, Cursors(registers=int(NOW) - 60)).run(None)
    assert channel(again, "1.0.1.8.0.255") == {}
    tomorrow = await visit(meter, Cursors(registers=int(NOW) - DAY)).run(None)
    assert len(channel(tomorrow, "1.0.1.8.0.255")) == 1


@pytest.mark.parametrize("behind", range(1, 22))
async def test_only_what_is_not_stored_comes_wherever_the_ring_begins(behind: int) -> None:
    meter = ForeignMeter(NOW + 5 * PERIOD, intervals=behind + 7)
    stored = (meter.last - behind) * PERIOD
    report = await visit(meter, Cursors(interval=stored, registers=int(meter.now))).run(None)
    energy = channel(report, "1.0.1.29.0.255")
    most = (meter.last - meter.first - 1) % 4 + 1 + 4 * 4  # what the ring holds
    assert len(energy) == min(behind, most)
    assert max(energy) == meter.last * PERIOD
    for end, (value, _) in energy.items():
        assert value == 25 * (end // PERIOD - meter.first)
    sizes = [each.count for asked in meter.asked for each in asked if isinstance(each, ReadOffset)]
    block = meter.memory.tables.layout(next(t for t in meter.memory.contents if t.number == 64))
    assert max(sizes) <= block.size


async def test_nothing_new_is_nothing_read() -> None:
    meter = ForeignMeter(NOW)
    cursors = Cursors(meter.last * PERIOD, int(NOW), 0)
    report = await visit(meter, cursors).run(None)
    assert (report.readings, report.events, report.again) == ([], [], None)
    assert report.reached == cursors
    assert not any(isinstance(e, ReadOffset) and e.table == 64 for a in meter.asked for e in a)


async def test_what_is_not_valid_is_a_gap() -> None:
    meter = ForeignMeter(NOW)
    meter.invalid = {meter.last - 2, meter.last - 7}
    meter.refresh()
    energy = channel(await visit(meter).run(None), "1.0.1.29.0.255")
    assert len(energy) == 12
    assert not {end * PERIOD for end in meter.invalid} & set(energy)


async def test_a_meter_that_goes_on_meanwhile_is_read_again() -> None:
    meter = ForeignMeter(NOW)
    moves = iter((PERIOD, 4 * PERIOD))

    def before(requests: Any) -> None:
        if any(isinstance(each, ReadOffset) and each.table == 64 for each in requests):
            meter.now += next(moves, 0)
            meter.refresh()

    meter.before = before
    energy = channel(await visit(meter).run(None), "1.0.1.29.0.255")
    assert max(energy) == meter.last * PERIOD
    assert [value for value, _ in energy.values()] == [25 * n for n in range(1, 20)][-len(energy) :]
    assert len(energy) >= 17


async def test_events_come_once_under_names_that_are_known() -> None:
    meter = ForeignMeter(NOW)
    meter.events = [(NOW - 500, 1, False), (NOW - 400, 2, False), (NOW - 300, 77, False)]
    meter.events += [(NOW - 200, 5, True), (NOW - 200, 5, True)]
    meter.refresh()
    report = await visit(meter).run(None)
    found = join(report.events, EVENTS_SCHEMA)
    validate_events(found)
    assert [(r["log"], r["code"], r["ordinal"], r["detail"]) for r in found.to_pylist()] == [
        ("0.0.99.98.7.255", 1, 0, None),
        ("0.0.99.98.7.255", 2, 0, None),
        ("0.0.99.98.30.255", 77, 0, "event 77 of C12.19"),
        ("0.0.99.98.30.255", 2053, 0, "event 5 of FRGN"),
        ("0.0.99.98.30.255", 2053, 1, "event 5 of FRGN"),
    ]
    assert report.reached.events == 5
    meter.events += [(NOW - 100 + n, 78, False) for n in range(8)]
    meter.refresh()
    report = await visit(meter, Cursors(events=5)).run(None)
    rows = join(report.events, EVENTS_SCHEMA).to_pylist()
    assert [row["code"] for row in rows] == [78] * 6  # the ring holds no more
    assert report.reached.events == 13


async def test_a_clock_is_set_by_the_rule_and_what_refuses_is_a_fault() -> None:
    rule = ClockRule(threshold_s=10, max_step_s=3600, margin_s=15, period_s=PERIOD)
    meter = ForeignMeter(NOW)
    meter.skew = 60
    meter.refresh()
    report = await visit(meter, rule=rule).run(None)
    assert report.offset_s == 60
    assert meter.set_to == meter.local(NOW)
    meter.result = Result.NO_AUTHORIZATION
    report = await visit(meter, rule=rule).run(None)
    assert report.fault == ("meter.clock", "the clock can not be set: no authorization")
    meter.now = NOW - 390
    meter.refresh()
    report = await visit(meter, rule=rule).run(None)
    assert report.again is not None
    assert report.again > meter.now


async def test_a_clock_far_off_is_left_to_people() -> None:
    rule = ClockRule(threshold_s=10, max_step_s=100, margin_s=15, period_s=PERIOD)
    meter = ForeignMeter(NOW)
    meter.skew = 200
    meter.refresh()
    report = await visit(meter, rule=rule).run(None)
    assert report.fault == ("meter.clock", "the clock is 200 s off: set it by hand")
    assert meter.set_to is None


async def test_a_password_goes_out_only_where_it_is_wanted() -> None:
    meter = ForeignMeter(NOW)
    await visit(meter, user=USER, password=PASSWORD).run(None)
    assert not any(type(each).__name__ == "Security" for asked in meter.asked for each in asked)
    meter = ForeignMeter(NOW)
    meter.closed = True
    report = await visit(meter, user=USER, password=PASSWORD).run(None)
    assert len(channel(report, "1.0.1.29.0.255")) == 14
    with pytest.raises(NodeRefusedError) as caught:
        await visit(meter).run(None)
    assert caught.value.code == "c1222.isc"
    with pytest.raises(NodeRefusedError, match="the password"):
        await visit(meter, user=USER, password=b"guessed").run(None)


async def test_a_meter_with_another_firmware_is_learnt_anew() -> None:
    meter = ForeignMeter(NOW)
    first = (await visit(meter).run(None)).model
    assert first is not None
    assert (await visit(meter).run(first)).model is first
    meter.version = 2
    meter.refresh()
    second = (await visit(meter).run(first)).model
    assert second is not None
    assert (first.firmware, second.firmware, second.maker) == ("1.0", "2.0", "FRGN")


async def test_one_model_is_kept_for_all_meters_of_a_kind() -> None:
    models, meters = Models(), (ForeignMeter(NOW), ForeignMeter(NOW + 100))
    one, other = [await models.learn(Talk(meter.ask)) for meter in meters]
    assert one is other


async def test_what_contradicts_itself_is_an_error_of_the_layout() -> None:
    meter = ForeignMeter(NOW)
    cut = next(table for table in meter.memory.contents if table.number == 61)
    meter.memory.contents[cut] = meter.memory.contents[cut][:-1]
    with pytest.raises(LayoutError, match="its dimension tables"):
        await visit(meter).run(None)
    meter = ForeignMeter(NOW)
    model = (await visit(meter).run(None)).model
    status = next(table for table in meter.memory.contents if table.number == 63)
    meter.memory.contents[status] = b"\xff" * len(meter.memory.contents[status])
    with pytest.raises(DecodeError):
        await visit(meter).run(model)


async def test_a_meter_without_a_profile_has_the_rest() -> None:
    meter = ForeignMeter(NOW, used=frozenset({61, 62, 63, 64}))
    report = await visit(meter).run(None)
    assert report.model is not None
    assert report.model.period == 0
    assert len(channel(report, "1.0.1.8.0.255")) == 1


async def test_attributes_are_found_in_tables_or_are_not_there() -> None:
    meter = ForeignMeter(NOW)
    model: Model = await Models().learn(Talk(meter.ask))
    names = ("1.0.1.8.0.255", "1.0.1.8.9.255", "0.0.96.1.0.255", "1.0.0.2.0.255")
    classes = (3, 3, 1, 1)
    targets = [Target(c, Obis.parse(n), 2) for c, n in zip(classes, names, strict=True)]
    targets += [replace(targets[0], attribute=3), Target(8, Obis.parse("0.0.1.0.0.255"), 2)]
    found = await read_targets(Talk(meter.ask), model, targets, clock=ManualClock(NOW))
    assert [(r.value, r.scaler, r.unit, r.error) for r in found] == [
        (123_456_789, -2, 30, None),
        (None, None, None, "c1222.not-here"),
        ("F-42", None, None, None),
        ("1.0", None, None, None),
        (None, None, None, "c1222.not-here"),
        ("2026-05-28T23:06:40Z", None, None, None),
    ]
