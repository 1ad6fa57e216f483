"""A meter's registers and rows out of the reports of a measuring part that is apart."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from tests.support.metering import columns, events

from openami.core.errors import StoreError
from openami.metrology.config import EngineConfig
from openami.metrology.energy import PER_WH, Channel
from openami.metrology.engine import MeterEngine
from openami.metrology.events import Alarm, Event, Ring, RowStatus
from openami.metrology.link.messages import PhaseReport, Report
from openami.metrology.taking import Taken, Taking

START = 1_700_000_100  # a quarter hour begins
PHASE = PhaseReport(230_000, 15_652, 3_600_000, 0, 3_600_000, 0, 1000, 0, 0)
MICRO = 1_000_000


class Part:
    """A measuring part that counts a watt-hour each second: 3.6 kW."""

    def __init__(self, begin: float = START) -> None:
        self.begin = begin
        self.part, self.life, self.ran, self.counted = 7, 1, 0.0, 0.0

    def report(self, now: float) -> Report:
        at = now - self.begin
        ran = self.ran + at
        moved = round((self.counted + at) * MICRO)
        row = (moved, 0, moved // 3, 0, 0, 0, moved, 0)
        milli = round(at * 1000), round(ran * 1000)
        return Report(self.life, milli[0], 50_000, (PHASE,), (row,), self.part, milli[1])

    def fail(self, at: float, until: float) -> None:
        """Be without power for a time."""
        self.ran += at - self.begin
        self.counted += at - self.begin
        self.begin, self.life = until, self.life + 1


def new() -> tuple[MeterEngine, Taking, Part]:
    engine, taking, part = MeterEngine.create(EngineConfig(), START), Taking(), Part()
    taking.take(engine, part.report(START), START)
    return engine, taking, part


def restarted(engine: MeterEngine, taking: Taking) -> tuple[MeterEngine, Taking]:
    assert taking.kept is not None
    kept = Taken.load(taking.kept.dump())
    rows = [row for ring in engine.config.capacity for row in engine.rows[ring].since(0)]
    return MeterEngine.restore(engine.config, engine.dump(), rows), Taking(kept)


def wh(engine: MeterEngine) -> float:
    return engine.state.energy.exact(Channel.IMPORT) / PER_WH


def profile(engine: MeterEngine) -> list[tuple[int, int, int]]:
    rows = columns(engine, Ring.LOAD_PROFILE)
    return [(row.time - START, row.status, row.values[0]) for row in rows]


def balanced(engine: MeterEngine) -> bool:
    rows = sum(row.values[0] for row in columns(engine, Ring.LOAD_PROFILE))
    return rows == engine.state.base.whole(Channel.IMPORT)


def test_each_second_is_counted_where_it_belongs() -> None:
    engine, taking, part = new()
    for second in range(1, 2001):
        taking.take(engine, part.report(START + second), START + second)
    assert wh(engine) == engine.register(Channel.IMPORT) == 2000
    assert profile(engine) == [(900, 0, 900), (1800, 0, 900)]
    assert engine.instant().phases[0].current == 15_652
    assert engine.state.energy.exact(Channel.QUADRANT_1) // PER_WH == 666
    assert balanced(engine)


def test_a_part_that_is_new_brings_no_energy_of_its_past() -> None:
    engine, taking, part = MeterEngine.create(EngineConfig(), START), Taking(), Part(START - 500)
    taking.take(engine, part.report(START + 1), START + 1)
    taking.take(engine, part.report(START + 3), START + 3)
    assert wh(engine) == 2


def test_what_management_missed_is_spread_over_the_rows_of_the_time() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 450), START + 450)
    engine, taking = restarted(engine, taking)
    back = START + 450 + 3 * 3600
    taking.take(engine, part.report(back), back)
    assert wh(engine) == 450 + 3 * 3600
    marked = RowStatus.SPREAD
    assert profile(engine) == [(900 * n, marked, 900) for n in range(1, 13)]
    assert engine.row_status == marked
    assert engine.state.demand.maximum[0].watts == 3600
    assert balanced(engine)
    taking.take(engine, part.report(back + 450), back + 450)
    assert engine.row_status == 0
    assert engine.state.demand.maximum[0].watts == 3600
    assert not engine.state.counts.power_failures


def test_a_short_restart_marks_nothing() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 897), START + 897)
    engine, taking = restarted(engine, taking)
    taking.take(engine, part.report(START + 903), START + 903)
    assert profile(engine) == [(900, 0, 900)]
    assert wh(engine) == 903


def test_a_power_failure_of_both_is_an_outage() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 100), START + 100)
    part.fail(START + 109, START + 7209)
    engine, taking = restarted(engine, taking)
    taking.take(engine, part.report(START + 7300), START + 7300)
    assert wh(engine) == 200
    down = RowStatus.POWER_DOWN
    assert profile(engine)[0] == (900, down, 109)
    assert [row[1:] for row in profile(engine)[1:-1]] == [(down, 0)] * 6
    assert profile(engine)[-1] == (7200, down, 0)
    assert engine.state.counts.long_power_failures == 1
    assert events(engine, Ring.POWER_LOG)[-2:] == [Event.POWER_DOWN, Event.POWER_UP]
    assert balanced(engine)


def test_management_was_off_long_before_the_power_failed() -> None:
    engine, taking, part = new()
    part.fail(START + 3600, START + 7200)
    engine, taking = restarted(engine, taking)
    taking.take(engine, part.report(START + 9000), START + 9000)
    assert wh(engine) == 3600 + 1800
    spread, down = RowStatus.SPREAD, RowStatus.POWER_DOWN
    found = profile(engine)
    assert [row[1:] for row in found[:3]] == [(spread, 900)] * 3
    assert [row[2] for row in found] == [900] * 4 + [0] * 4 + [900] * 2
    assert all(row[1] & down for row in found[4:8])
    assert engine.state.demand.maximum[0].watts == 3600
    assert balanced(engine)


def test_a_part_that_restarts_by_itself_makes_no_outage_of_a_moment() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 10), START + 10)
    part.fail(START + 10.5, START + 11.5)
    taking.take(engine, part.report(START + 13), START + 13)
    assert wh(engine) == 12
    assert not engine.state.counts.power_failures


def test_a_silent_part_leaves_registers_alone_and_makes_no_demand_when_it_is_back() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 900), START + 900)
    for second in range(906, 3000, 2):
        taking.silent(engine, START + second)
    assert wh(engine) == 900
    assert engine.row_status == RowStatus.DATA_NOT_VALID
    assert engine.state.alarms & Alarm.MEASUREMENT_ERROR
    assert engine.instant().phases[0].voltage == 0
    assert (engine.instant().frequency, engine.instant().apparent) == (0, 0)
    taking.take(engine, part.report(START + 3000), START + 3000)
    assert wh(engine) == 3000
    assert not engine.state.alarms & Alarm.MEASUREMENT_ERROR
    told = [Event.MEASUREMENT_ERROR, Event.MEASUREMENT_RESTORED]
    assert events(engine, Ring.STANDARD_LOG)[-2:] == told
    assert engine.demand_so_far()[0] == 300 * 3600 // 900
    taking.take(engine, part.report(START + 3700), START + 3700)
    invalid = RowStatus.DATA_NOT_VALID
    assert profile(engine) == [
        (900, 0, 900), (1800, invalid, 0), (2700, invalid, 0),
        (3600, invalid | RowStatus.SPREAD, 1800 + 900),
    ]  # fmt: skip
    assert engine.state.demand.maximum[0].watts == 3600
    assert balanced(engine)


def test_the_row_that_late_energy_comes_into_is_marked() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 850), START + 850)
    for second in range(856, 960, 2):
        taking.silent(engine, START + second)
    for second in range(960, 1802):
        taking.take(engine, part.report(START + second), START + second)
    invalid, spread = RowStatus.DATA_NOT_VALID, RowStatus.SPREAD
    assert profile(engine) == [(900, invalid, 850), (1800, invalid | spread, 950)]
    assert balanced(engine)


def test_a_silence_within_a_row_leaves_no_mark() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 10), START + 10)
    for second in range(15, 60):
        taking.silent(engine, START + second)
    taking.take(engine, part.report(START + 60), START + 60)
    taking.take(engine, part.report(START + 901), START + 901)
    assert profile(engine)[0][1:] == (RowStatus.SPREAD, 900)  # not that it is not valid


def test_silence_and_restart_together_lose_nothing() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 100), START + 100)
    taking.silent(engine, START + 2000)
    engine, taking = restarted(engine, taking)
    taking.take(engine, part.report(START + 4000), START + 4000)
    assert wh(engine) == 4000
    assert balanced(engine)
    assert engine.state.demand.maximum[0].watts <= 3600


def test_the_clock_runs_between_reports_up_to_the_end_of_the_interval() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 898), START + 898)
    taking.wait(engine, START + 899)
    assert engine.seconds == START + 899
    taking.wait(engine, START + 903)
    assert engine.seconds == START + 899
    assert profile(engine) == []
    taking.take(engine, part.report(START + 903), START + 903)
    assert profile(engine) == [(900, 0, 900)]
    assert wh(engine) == 903


@pytest.mark.parametrize("change", ["part", "totals", "life", "ran", "jump"])
def test_another_part_counts_nothing_until_it_is_accepted(change: str) -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 100), START + 100)
    other = part.report(START + 200)
    other = {
        "part": replace(other, part=8),
        "totals": replace(other, totals=((0,) * 8,)),
        "life": replace(other, life=0),
        "ran": replace(other, ran=0),
        "jump": replace(other, totals=((1 << 60, *other.totals[0][1:]),)),
    }[change]
    for second in range(200, 210):
        taking.take(engine, other, START + second)
    assert wh(engine) == 100
    assert taking.refused == other.part
    assert events(engine, Ring.FRAUD_LOG) == [Event.MEASURING_PART_EXCHANGED]
    assert engine.state.alarms & Alarm.MEASUREMENT_ERROR
    assert engine.row_status == RowStatus.DATA_NOT_VALID
    engine, fresh = restarted(engine, taking)
    accepting = Taking(fresh.kept, accept=other.part)
    accepting.take(engine, other, START + 300)
    assert wh(engine) == 100
    assert accepting.refused is None
    ((moved, *rest),) = other.totals[:1]
    later = replace(other, totals=((moved + 5 * MICRO, *rest), *other.totals[1:]))
    accepting.take(engine, later, START + 305)
    assert wh(engine) == 105


def three(part: Part, now: float) -> Report:
    """Return a report of a part of three phases: twice its load on the first, the third gives."""
    report = part.report(now)
    ((moved, _, quadrant, *_, whole, _),) = report.totals
    rows = (
        report.totals[0],
        (2 * moved, 0, quadrant, 0, 0, 0, 2 * whole, 0),
        (0,) * 8,
        (0, moved, 0, 0, 0, 0, 0, whole),
    )
    return replace(report, phases=report.phases * 3, totals=rows)


def whole(engine: MeterEngine, channel: Channel) -> list[float]:
    return [phase.exact(channel) / PER_WH for phase in engine.state.phases]


def test_each_phase_is_counted_also_of_the_time_that_management_missed() -> None:
    engine, part = MeterEngine.create(EngineConfig(phases=3), START), Part()
    taking = Taking()
    taking.take(engine, three(part, START), START)
    taking.take(engine, three(part, START + 100), START + 100)
    assert whole(engine, Channel.IMPORT) == [200, 0, 0]
    assert whole(engine, Channel.EXPORT) == [0, 0, 100]
    engine, taking = restarted(engine, taking)
    taking.take(engine, three(part, START + 4000), START + 4000)
    taking.silent(engine, START + 6000)  # the late energy is of an interval before
    taking.take(engine, three(part, START + 8000), START + 8000)
    assert wh(engine) == 8000
    assert whole(engine, Channel.IMPORT) == [16_000, 0, 0]
    assert whole(engine, Channel.EXPORT) == [0, 0, 8000]
    assert engine.state.phases[0].exact(Channel.QUADRANT_1) // PER_WH == 8000 // 3
    rates = [engine.state.phases[0].exact(Channel.IMPORT, rate) for rate in (1, 2, 3, 4)]
    assert sum(rates) == engine.state.phases[0].exact(Channel.IMPORT)
    assert balanced(engine)


@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("column", [0, 7])
def test_a_jump_of_one_phase_is_a_jump(row: int, column: int) -> None:
    engine, part, taking = MeterEngine.create(EngineConfig(phases=3), START), Part(), Taking()
    taking.take(engine, three(part, START), START)
    report = three(part, START + 10)
    rows = [list(each) for each in report.totals]
    rows[row][column] += 1 << 50
    taking.take(engine, replace(report, totals=tuple(map(tuple, rows))), START + 10)
    assert (taking.refused, taking.reason) == (7, "metrology.backwards")
    assert whole(engine, Channel.IMPORT) == [0, 0, 0]
    taking.take(engine, three(part, START + 11), START + 11)
    assert (taking.refused, whole(engine, Channel.IMPORT)[0]) == (None, 22)


@pytest.mark.parametrize("accept", [None, 7])
@pytest.mark.parametrize("phases", [1, 3])
def test_a_part_of_another_number_of_phases_is_refused_whoever_it_is(
    phases: int, accept: int | None
) -> None:
    engine, part = MeterEngine.create(EngineConfig(phases=phases), START), Part()
    taking = Taking(accept=accept)
    for second in range(1, 10):
        now = START + second
        report = part.report(now) if phases == 3 else three(part, now)
        taking.take(engine, report, now)
    assert (taking.refused, taking.reason, taking.kept) == (7, "metrology.phases", None)
    assert wh(engine) == 0
    assert len(engine.instant().phases) == phases
    assert engine.instant().phases[-1].voltage == 0
    assert events(engine, Ring.FRAUD_LOG) == [Event.MEASURING_PART_EXCHANGED]


def test_a_part_that_comes_back_goes_on() -> None:
    engine, taking, part = new()
    other = replace(part.report(START + 5), part=8)
    taking.take(engine, other, START + 5)
    taking.take(engine, part.report(START + 20), START + 20)
    assert wh(engine) == 20
    assert taking.refused is None


def test_a_clock_that_is_set_back_loses_no_energy() -> None:
    engine, taking, part = new()
    taking.take(engine, part.report(START + 5000), START + 5000)
    taking.take(engine, part.report(START + 5002), START + 1000)
    assert wh(engine) == 5002
    taking.silent(engine, START + 500)
    taking.take(engine, part.report(START + 5010), START + 600)
    assert wh(engine) == 5010
    assert balanced(engine)


@pytest.mark.parametrize("data", [{}, {"totals": 3}, {"totals": [["x"]], "part": 1}])
def test_a_damaged_record_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(StoreError):
        Taken.load(data)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_register_is_the_parts_total(seed: int) -> None:
    chance = random.Random(seed)
    engine, taking, part = new()
    now = float(START)
    for _ in range(120):
        now += chance.choice([0.7, 1, 5, 40, 400, 4000])
        match chance.randrange(8):
            case 0:
                engine, taking = restarted(engine, taking)
            case 1:
                part.fail(now, now + chance.choice([1, 100, 5000]))
                now = part.begin + 1
            case 2 | 3:
                taking.silent(engine, now)
            case 4:
                taking.wait(engine, now)
            case 5:
                engine.set_clock(engine.seconds + chance.choice([-2000, -5, 5, 2000]))
            case _:
                taking.take(engine, part.report(now), now)
        assert balanced(engine)
        assert engine.state.demand.maximum[0].watts <= 3601
    taking.take(engine, part.report(now), now)
    assert engine.state.energy.exact(Channel.IMPORT) == part.report(now).totals[0][0] * 3_600_000
