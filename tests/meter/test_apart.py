"""A meter whose measuring part is apart: nothing is lost, whatever becomes of management or line.

The week of a real home, H01 of the recordings, half-hourly, goes through both front ends; a second
of samples stands for up to five minutes of a load that does not change. With
``OPENAMI_METROLOGY_WEEK=1`` each minute has its own, and a report too.
"""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.support.apart import Machine, ManagementBench, PartBench
from tests.support.metering import columns, events

from openami.core.errors import StoreError
from openami.dlms.cosem import Command
from openami.meter.device import Meter
from openami.meter.identity import generate_identity, seeded
from openami.meter.recordings import recording
from openami.meter.settings import MeterConfig
from openami.metrology.clock import SECOND
from openami.metrology.energy import PER_WH, Channel
from openami.metrology.events import Alarm, Event, Ring, RowStatus
from openami.metrology.sources import ConstantSource, LiveSource, Sample, Source
from openami.transport.medium import LineProfile, Medium
from openami.transport.memory import MemoryLine, VirtualTime

if TYPE_CHECKING:
    from openami.metrology.engine import MeterEngine

START = 1_774_742_400  # 2026-03-29T00:00:00Z
CONFIG = MeterConfig(generate_identity(7, seeded("apart")))
FINE = bool(os.environ.get("OPENAMI_METROLOGY_WEEK"))
WEEK = 7 * 86_400
STEP = 60 if FINE else 300
BEGIN = START + 500  # an interval ends after 400 seconds
LOAD = ConstantSource(Sample(3_600_000, 400_000))


def exact(management: ManagementBench, channel: Channel = Channel.IMPORT) -> int:
    assert management.meter is not None
    return management.meter.engine.state.energy.exact(channel)


def counted(part: PartBench, column: int = 0) -> int:
    return part.kept.whole[0][column] * 3_600_000


def integral(source: Source, begin: int, end: int) -> float:
    """Return the joules of a source."""
    total, at = 0, begin * SECOND
    while at < end * SECOND:
        segment = source.at(at)
        until = end * SECOND if segment.until is None else min(segment.until, end * SECOND)
        total += segment.sample.active * (until - at)
        at = until
    return total / 1e9


@pytest.mark.timeout(3600 if FINE else 300)
@pytest.mark.parametrize(("front", "limit"), [("paper-100a", 0.01), ("sigma-delta", 0.005)])
def test_a_week_of_a_home_is_counted_within_the_class_with_ten_restarts(
    front: str, limit: float
) -> None:
    home = recording("household", "H01").source(9 * 3600)
    part = PartBench(home, START, front=front, hold=STEP)
    management = ManagementBench(CONFIG, START)
    chance = random.Random(11)
    kills = sorted(chance.sample(range(STEP, WEEK - 40_000, STEP), 10))
    back = 0
    for second in range(STEP, WEEK + 1, STEP):
        told = part.step(START + second)
        if kills and second >= kills[0]:
            management.kill()
            back = max(back, kills.pop(0) + chance.choice([STEP, 1800, 7200, 30_000]))
        if second < back:
            continue
        if management.meter is None:
            management.begin()
        management.receive(told, START + second)
        part.part.receive_data(management.step(START + second))
    assert not kills
    # Management begins with the first report: from then on the two agree to the last nanojoule.
    first = management.meter
    assert first is not None
    missed = counted(part) - exact(management)
    assert 0 <= missed < 3 * STEP * 6_000_000 * 1_000_000
    flowed = integral(home, START + STEP, START + WEEK)
    assert exact(management) / 1e9 == pytest.approx(flowed, rel=limit)
    engine = first.engine
    rows = columns(engine, Ring.LOAD_PROFILE)
    assert sum(row.values[0] for row in rows) == first.captured(Channel.IMPORT)
    assert len(rows) == WEEK // 900
    marked = sum(bool(row.status & RowStatus.SPREAD) for row in rows)
    assert 0 < marked < len(rows) / 2
    assert not engine.state.counts.power_failures
    most = max(sample.active for sample in recording("household", "H01").samples) / 1000
    assert engine.state.demand.maximum[0].watts <= most * (1 + limit)


def bench(
    line: LineProfile, source: Source = LOAD
) -> tuple[VirtualTime, MemoryLine, Machine, Machine]:
    time = VirtualTime(BEGIN)
    carrier = MemoryLine(time, Medium(line, random.Random(5)), slice_octets=50)
    part = Machine(time, PartBench(source, BEGIN))
    management = Machine(time, ManagementBench(CONFIG, BEGIN), shift=0.5)
    carrier.head(part).pump()
    carrier.join(management).pump()
    return time, carrier, part, management


@pytest.mark.parametrize(
    "line",
    [
        LineProfile(bit_rate=9600, loss=0.2),
        LineProfile(bit_rate=9600, duplication=0.3),
        LineProfile(bit_rate=9600, corruption=0.3),
        LineProfile(reordering=0.3, reordering_s=2.5),
        LineProfile(bit_rate=9600, loss=0.1, duplication=0.1, corruption=0.1, reordering=0.1),
    ],
    ids=["loss", "duplication", "corruption", "reordering", "all"],
)
def test_energy_and_events_come_over_a_bad_line(line: LineProfile) -> None:
    live = LiveSource(Sample(3_600_000))
    for number in range(1, 11):
        power = 3_600_000 if number % 2 == 0 else -1_800_000
        live.push((BEGIN + 70 * number) * SECOND, Sample(power))
    time, _, part, management = bench(line, live)
    time.run(seconds=800)
    meter = management.bench.meter
    assert meter is not None
    behind = counted(part.bench) - exact(management.bench)
    assert 0 <= behind <= 20 * PER_WH  # a watt-hour each second
    rows = columns(meter.engine, Ring.LOAD_PROFILE)
    assert sum(row.values[0] for row in rows) == meter.captured(Channel.IMPORT)
    told = events(meter.engine, Ring.QUALITY_LOG)
    assert told == [Event.EXPORT_BEGAN, Event.EXPORT_ENDED] * 5
    assert not meter.engine.state.alarms & Alarm.FRAUD_ATTEMPT


def test_a_line_that_is_cut_leaves_registers_alone_and_all_is_there_when_it_is_mended() -> None:
    time, line, part, management = bench(LineProfile())
    time.run(seconds=100.7)
    base = counted(part.bench) - exact(management.bench)
    line.cut()
    before = exact(management.bench)
    time.run(seconds=1300)
    engine = management.bench.meter.engine
    assert exact(management.bench) == before
    assert engine.row_status & RowStatus.DATA_NOT_VALID
    assert engine.state.alarms & Alarm.MEASUREMENT_ERROR
    assert engine.instant().phases[0].voltage == 0
    line.mend()
    time.run(seconds=3)
    assert counted(part.bench) - exact(management.bench) == base
    assert not engine.state.alarms & Alarm.MEASUREMENT_ERROR
    assert engine.instant().active == pytest.approx(3_600_000, rel=0.01)
    assert engine.state.demand.maximum[0].watts <= 3650
    told = events(engine, Ring.STANDARD_LOG)
    assert told[-2:] == [Event.MEASUREMENT_ERROR, Event.MEASUREMENT_RESTORED]


def test_a_measuring_part_that_is_killed_has_all_that_it_told() -> None:
    time, _, part, management = bench(LineProfile())
    time.run(seconds=100.7)
    base = counted(part.bench) - exact(management.bench)
    for _ in range(3):
        part.on = False
        time.run(seconds=600)
        part.bench.restart(time.now())
        part.on = True
        time.run(seconds=10)
    meter = management.bench.meter
    assert counted(part.bench) - exact(management.bench) == base
    assert exact(management.bench) / PER_WH == pytest.approx(130, abs=5)
    assert not meter.engine.state.alarms & Alarm.FRAUD_ATTEMPT


def test_an_exchanged_part_counts_once_somebody_has_said_so() -> None:
    live = LiveSource(Sample(3_600_000))
    live.push((BEGIN + 30) * SECOND, Sample(-3_600_000))
    management = ManagementBench(CONFIG, BEGIN)
    old = PartBench(LOAD, BEGIN)
    for second in range(1, 11):
        management.receive(old.step(BEGIN + second), BEGIN + second)
        old.part.receive_data(management.step(BEGIN + second))
    new = PartBench(live, BEGIN, seed=8)
    for second in range(11, 21):
        management.receive(new.step(BEGIN + second), BEGIN + second)
        management.step(BEGIN + second)
    meter = management.meter
    assert meter is not None
    stands = exact(management)
    assert stands / PER_WH == pytest.approx(9, rel=0.01)
    assert events(meter.engine, Ring.FRAUD_LOG) == [Event.MEASURING_PART_EXCHANGED]
    assert meter.engine.state.alarms & Alarm.FRAUD_ATTEMPT
    assert meter.engine.instant().phases[0].voltage == 0
    meter.commit()
    management.kill()
    management.begin(accept=new.kept.part)
    for second in range(21, 41):
        management.receive(new.step(BEGIN + second), BEGIN + second)
        new.part.receive_data(management.step(BEGIN + second))
    assert (exact(management) - stands) / PER_WH == pytest.approx(9, rel=0.01)
    assert exact(management, Channel.EXPORT) / PER_WH == pytest.approx(10, rel=0.01)
    assert management.meter is not None
    assert events(management.meter.engine, Ring.QUALITY_LOG) == [Event.EXPORT_BEGAN]


def run(part: PartBench, management: ManagementBench, begin: int, end: int) -> None:
    """Let both do their seconds, from ``begin`` up to ``end``."""
    for second in range(begin, end):
        management.receive(part.step(BEGIN + second), BEGIN + second)
        part.part.receive_data(management.step(BEGIN + second))


def engine_of(management: ManagementBench) -> MeterEngine:
    assert management.meter is not None
    return management.meter.engine


def test_a_part_with_an_older_memory_of_the_same_life_is_refused_once_it_was_silent() -> None:
    part, management = PartBench(LOAD, BEGIN), ManagementBench(CONFIG, BEGIN)
    run(part, management, 1, 6)
    backup = part.kept
    run(part, management, 6, 31)
    stands, taken = exact(management), counted(part)
    part.restore(replace(backup, life=backup.life - 1), BEGIN + 31)
    assert part.part.record.life == backup.life
    with capture_logs() as logs:
        run(part, management, 31, 36)
    assert logs == []  # for all that is known, reports that were overtaken
    assert not engine_of(management).state.alarms & Alarm.MEASUREMENT_ERROR
    with capture_logs() as logs:
        run(part, management, 36, 45)
    (told,) = logs
    assert (told["code"], told["part"]) == ("metrology.backwards", backup.part)
    assert str(backup.part) in told["hint"]
    engine = engine_of(management)
    assert exact(management) == stands
    assert events(engine, Ring.FRAUD_LOG) == [Event.MEASURING_PART_EXCHANGED]
    assert engine.state.alarms & Alarm.FRAUD_ATTEMPT
    assert engine.state.alarms & Alarm.MEASUREMENT_ERROR
    run(part, management, 45, 80)  # now it has counted more than was taken of it
    more = counted(part) - taken
    assert more > 0
    assert exact(management) == stands + more
    assert not engine.state.alarms & Alarm.MEASUREMENT_ERROR
    assert len(events(engine, Ring.FRAUD_LOG)) == 1


def test_a_part_with_an_older_memory_counts_on_once_somebody_has_said_so() -> None:
    part, management = PartBench(LOAD, BEGIN), ManagementBench(CONFIG, BEGIN)
    run(part, management, 1, 31)
    part.restore(replace(part.kept, life=0, ran=0, whole=((0,) * 8,)), BEGIN + 31)
    run(part, management, 31, 40)
    stands = exact(management)
    engine_of(management)
    assert management.meter is not None
    management.meter.commit()
    management.kill()
    management.begin(accept=part.kept.part)
    # The first report is passed over, as one that waited in a buffer; the second begins.
    run(part, management, 41, 53)
    assert (exact(management) - stands) / PER_WH == pytest.approx(10, rel=0.01)


def test_events_of_a_part_that_was_restored_and_accepted_are_written_down() -> None:
    live = LiveSource(Sample(1_000_000))
    for number in range(1, 7):
        live.push((BEGIN + 4 * number) * SECOND, Sample((-1) ** number * 1_000_000))
    part, management = PartBench(live, BEGIN), ManagementBench(CONFIG, BEGIN)
    run(part, management, 1, 31)
    assert management.meter is not None
    management.meter.commit()
    both = [Event.EXPORT_BEGAN, Event.EXPORT_ENDED]
    assert events(engine_of(management), Ring.QUALITY_LOG) == both  # each once a minute, of six
    live.push((BEGIN + 130) * SECOND, Sample(-1_000_000))
    live.push((BEGIN + 140) * SECOND, Sample(1_000_000))
    part.restore(replace(part.kept, life=0, ran=0), BEGIN + 120)
    management.kill()
    management.begin(accept=part.kept.part)
    run(part, management, 121, 150)
    assert events(engine_of(management), Ring.QUALITY_LOG) == both * 2
    assert len(part.part.report()) < 200  # all of it was heard


def test_what_a_stranger_told_takes_no_event_from_the_meters_own_part() -> None:
    mine, theirs = LiveSource(Sample(1_000_000)), LiveSource(Sample(1_000_000))
    mine.push((BEGIN + 30) * SECOND, Sample(-1_000_000))
    for second in (12, 14, 16):
        theirs.push((BEGIN + second) * SECOND, Sample((-1) ** (second // 2 + 1) * 1_000_000))
    own, other = PartBench(mine, BEGIN), PartBench(theirs, BEGIN, seed=8)
    management = ManagementBench(CONFIG, BEGIN)
    run(own, management, 1, 11)
    run(other, management, 11, 21)
    assert events(engine_of(management), Ring.QUALITY_LOG) == []
    run(own, management, 21, 36)
    assert events(engine_of(management), Ring.QUALITY_LOG) == [Event.EXPORT_BEGAN]
    assert len(own.part.report()) < 200  # and it knows that it was heard


def test_a_meter_that_had_a_source_meanwhile_knows_its_part_and_counts_nothing_of_the_time() -> (
    None
):
    part, management = PartBench(LOAD, BEGIN), ManagementBench(CONFIG, BEGIN)
    run(part, management, 1, 11)
    assert management.meter is not None
    management.meter.commit()
    management.kill()
    for begin in (20, 40):  # begun twice: it still knows
        times = itertools.chain([BEGIN + begin], itertools.repeat(BEGIN + begin + 10))
        meter = Meter(CONFIG, memory=management.memory, source=LOAD, clock=times.__next__)
        meter.refresh()
        meter.commit()
    part.step(BEGIN + 60)
    other = PartBench(LOAD, BEGIN, seed=8)
    management.begin()
    run(other, management, 61, 71)
    engine = engine_of(management)
    stands = engine.state.energy.exact(Channel.IMPORT)
    assert stands / PER_WH == pytest.approx(9 + 2 * 10, rel=0.01)
    assert engine.state.counts.power_failures == 3  # each change of what measures is an outage
    assert events(engine, Ring.FRAUD_LOG) == [Event.MEASURING_PART_EXCHANGED]
    assert management.meter is not None
    management.meter.commit()
    management.kill()
    management.begin()
    before = counted(part)
    run(part, management, 71, 81)
    # Its first report brought a second and what it had missed; from then on it counts.
    gone = counted(part) - before
    engine = engine_of(management)
    assert 9 * PER_WH - PER_WH // 10 < exact(management) - stands < gone
    assert len(events(engine, Ring.FRAUD_LOG)) == 1
    rows = columns(engine, Ring.LOAD_PROFILE)
    assert sum(row.values[0] for row in rows) == management.meter.captured(Channel.IMPORT)
    management.kill()
    management.begin()
    run(part, management, 81, 83)  # and its energy while management is off counts again
    assert exact(management) - stands > 10 * PER_WH
    assert engine_of(management).state.counts.power_failures == 4


def test_the_disconnector_is_the_parts_relay() -> None:
    time, _, part, management = bench(LineProfile())
    time.run(seconds=10)
    meter = management.bench.meter
    meter.model.disconnector.command(Command.REMOTE_DISCONNECT)
    time.run(seconds=3)
    stands = exact(management.bench)
    time.run(seconds=10)
    assert exact(management.bench) == stands
    assert meter.engine.instant().phases[0].voltage > 200_000
    assert part.bench.kept.closed is False
    meter.model.disconnector.command(Command.REMOTE_RECONNECT)
    time.run(seconds=10)
    assert exact(management.bench) > stands


def test_events_are_told_again_until_they_are_in_the_memory() -> None:
    live = LiveSource(Sample(1_000_000))
    live.push((BEGIN + 20) * SECOND, Sample(-1_000_000))
    time, _, part, management = bench(LineProfile(), live)
    time.run(seconds=19)
    keep = management.bench.memory.commit

    def full(_: object) -> None:
        raise StoreError("no room")

    management.bench.memory.commit = full
    management.on = False
    time.run(seconds=3)
    for second in range(22, 30):
        management.bench.receive(part.bench.part.report(), BEGIN + second)
        with pytest.raises(StoreError):
            management.bench.step(BEGIN + second)
        part.bench.part.receive_data(management.bench.apart.data_to_send())
    assert events(management.bench.meter.engine, Ring.QUALITY_LOG) == [Event.EXPORT_BEGAN]
    management.bench.memory.commit = keep
    management.bench.kill()
    management.bench.begin()
    for second in range(30, 33):
        management.bench.receive(part.bench.part.report(), BEGIN + second)
        part.bench.part.receive_data(management.bench.step(BEGIN + second))
    assert events(management.bench.meter.engine, Ring.QUALITY_LOG) == [Event.EXPORT_BEGAN]
    assert len(part.bench.part.report()) < 200  # it tells no event any more


def test_a_meter_without_its_part_shows_and_counts_nothing() -> None:
    management = ManagementBench(CONFIG, START)
    for second in range(1, 3000, 2):
        management.step(START + second)
    meter = management.meter
    assert meter is not None
    assert exact(management) == 0
    assert meter.engine.instant().phases[0].voltage == 0
    rows = columns(meter.engine, Ring.LOAD_PROFILE)
    assert {row.status for row in rows} == {RowStatus.DATA_NOT_VALID}
    management.kill()
    management.begin()
    management.step(START + 4000)
    assert management.meter is not None
    assert management.meter.engine.instant().phases[0].voltage == 0
