"""What a converter measured, in a meter's registers and logs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.metering import events

from openami.meter.sources import parse_source
from openami.metrology.adc.disturbances import Disturbance, QualityEvent
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.clock import SECOND
from openami.metrology.config import EngineConfig
from openami.metrology.engine import MeterEngine
from openami.metrology.events import Alarm, Event, Ring
from openami.metrology.instant import instant
from openami.metrology.link.messages import PhaseReport, Report
from openami.metrology.measured import MeasuredSource
from openami.metrology.quality import ConverterWatch
from openami.metrology.showing import sample_of, shown
from openami.metrology.sources import ConstantSource, LiveSource, Sample, Source
from openami.metrology.state import Counts

START = 1_700_000_000
ONE = PhaseReport(229_500, 4_567, 1_000_000, 50_000, 1_048_000, 2_862, 954, 210, 3_150, 998_000, 0)
REPORT = Report(1, 1000, 59_987, (ONE,), ((0,) * 8,))


def measured(source: Source, phases: int) -> MeasuredSource:
    front = FRONT_ENDS["sigma-delta"]
    return MeasuredSource(source, front, np.random.default_rng(6), phases=phases)


def test_a_report_is_shown_as_it_was_measured() -> None:
    now = shown(REPORT)
    (phase,) = now.phases
    assert (now.apparent, now.factor, now.frequency) == (1_048_000, 954, 5999)
    assert (phase.voltage, phase.current, phase.apparent, phase.factor) == (
        229_500, 4_567, 1_048_000, 954,
    )  # fmt: skip
    assert (phase.angle, phase.fundamental, now.fundamental) == (2_862, 998_000, 998_000)
    assert (now.voltage_thd, now.current_thd) == (210, 3_150)
    assert now.neutral == 4_567


def test_three_phases_are_summed_up_and_meet_in_the_neutral() -> None:
    turns = (0, 120_000, -120_000)
    phases = tuple(replace(ONE, turn=turn, angle=0) for turn in turns)
    now = shown(replace(REPORT, phases=phases))
    assert (now.active, now.apparent) == (3_000_000, 3_144_000)
    assert now.factor == 954
    assert now.neutral <= 1
    assert [now.turn(place) for place in range(3)] == list(turns)
    alone = (phases[0], *(replace(one, current=0) for one in phases[1:]))
    assert shown(replace(REPORT, phases=alone)).neutral == 4_567


def test_a_model_is_a_plain_sine() -> None:
    now = instant(Sample(-1_000_000, 1_000_000), phases=3)
    assert [phase.angle for phase in now.phases] == [135_000] * 3
    assert (now.voltage_thd, now.current_thd, now.fundamental) == (0, 0, -1_000_000)
    assert [now.turn(place) for place in range(3)] == [0, 120_000, -120_000]
    assert now.unloaded.active == 0
    assert now.unloaded.phases[0].factor == 1000


def test_an_open_disconnector_leaves_the_voltage() -> None:
    off = sample_of(REPORT).unloaded
    assert (off.active, off.reactive, off.voltage) == (0, 0, 229_500)
    assert off.shown is not None
    assert (off.shown.phases[0].current, off.shown.apparent, off.shown.factor) == (0, 0, 1000)
    assert off.shown.voltage_thd == 210


@pytest.mark.parametrize("phases", [1, 3])
def test_an_engine_shows_what_its_converter_measured(phases: int) -> None:
    engine = MeterEngine.create(EngineConfig(phases=phases), START)
    engine.advance(START + 2, measured(ConstantSource(Sample(3_000_000, 400_000)), phases))
    now = engine.instant()
    assert now.active == pytest.approx(3_000_000, rel=0.005)
    assert now.reactive == pytest.approx(400_000, rel=0.01)
    assert now.apparent == pytest.approx(3_026_500, rel=0.005)
    assert now.factor == pytest.approx(991, abs=2)
    assert now.frequency == pytest.approx(6000, abs=1)
    for phase in now.phases:
        assert phase.voltage == pytest.approx(220_000, rel=0.002)
        assert phase.current == pytest.approx(phase.apparent / 220, rel=0.005)
        assert phase.angle == pytest.approx(7_595, abs=100)
        assert phase.current_thd < 300
    engine.disconnect()
    engine.advance(START + 3, measured(ConstantSource(Sample(3_000_000)), phases))
    assert engine.instant().active == 0
    assert engine.instant().phases[0].voltage == pytest.approx(220_000, rel=0.002)


def test_a_distorted_current_is_shown_as_it_is() -> None:
    sources = {name: parse_source(f"{name}:500*2").source for name in ("electronics", "motor")}
    found = {}
    for name, source in sources.items():
        engine = MeterEngine.create(EngineConfig(), START)
        engine.advance(START + 2, measured(source, 1))
        found[name] = engine.instant()
        assert found[name].active == pytest.approx(1_000_000, rel=0.005)
    screens, motor = found["electronics"], found["motor"]
    assert screens.current_thd == pytest.approx(10_900, rel=0.02)
    assert screens.factor == pytest.approx(669, abs=10)
    assert screens.phases[0].angle == pytest.approx(-8_000, abs=100)
    assert motor.current_thd == pytest.approx(390, abs=20)
    assert motor.factor == pytest.approx(749, abs=3)
    assert screens.voltage_thd == motor.voltage_thd < 50


def test_a_load_that_changes_is_shown_within_a_second() -> None:
    """The paper's heater: off, step 1, step 2."""
    live = LiveSource()
    engine = MeterEngine.create(EngineConfig(), START)
    source = measured(live, 1)
    found = []
    for second, watts in ((2, 600), (4, 1200), (6, 0)):
        live.push((START + second) * SECOND + SECOND // 3, Sample(watts * 1000))
        engine.advance(START + second, source)
        engine.advance(START + second + 1, source)
        found.append(engine.instant().active / 1000)
    assert found == pytest.approx([600, 1200, 0], rel=0.005, abs=1)


def test_what_a_converter_saw_is_in_the_meters_logs() -> None:
    engine = MeterEngine.create(EngineConfig(phases=3), START)

    def saw(kind: Disturbance, phase: int = 0, lasted: int | None = None) -> None:
        engine.observe((QualityEvent(0, phase, kind, 0, lasted),))

    saw(Disturbance.SAG, 1)
    saw(Disturbance.INTERRUPTION, 1, 80)
    saw(Disturbance.INTERRUPTION, 2)
    saw(Disturbance.INTERRUPTION, 2, 400)
    saw(Disturbance.SWELL)
    saw(Disturbance.SWELL, 0, 20)
    saw(Disturbance.REVERSE)
    saw(Disturbance.REVERSE, 0, 1000)
    assert events(engine, Ring.QUALITY_LOG) == [
        Event.UNDERVOLTAGE_L2, Event.MISSING_VOLTAGE_L2, Event.VOLTAGE_NORMAL_L2,
        Event.MISSING_VOLTAGE_L3, Event.VOLTAGE_NORMAL_L3,
        Event.OVERVOLTAGE_L1, Event.VOLTAGE_NORMAL_L1,
        Event.EXPORT_BEGAN, Event.EXPORT_ENDED,
    ]  # fmt: skip
    assert (engine.state.counts.sags, engine.state.counts.swells) == ([0, 1, 1], [1, 0, 0])
    assert not engine.state.alarms & Alarm.FRAUD_ATTEMPT
    for kind in (Disturbance.SEQUENCE, Disturbance.REVERSED_PHASE, Disturbance.NO_VOLTAGE):
        saw(kind, 1)
        saw(kind, 1, 1000)
    saw(Disturbance.MAGNET)
    saw(Disturbance.MAGNET, 0, 1000)
    assert events(engine, Ring.FRAUD_LOG) == [
        Event.PHASE_SEQUENCE_REVERSED, Event.CURRENT_REVERSED, Event.CURRENT_WITHOUT_VOLTAGE,
        Event.MAGNET_DETECTED, Event.MAGNET_GONE,
    ]  # fmt: skip
    assert engine.state.alarms & Alarm.FRAUD_ATTEMPT
    assert engine.state.counts.tampers == 4


def test_what_comes_and_goes_is_counted_each_time_and_written_once_a_minute() -> None:
    engine = MeterEngine.create(EngineConfig(), START)
    for second in range(0, 180, 10):
        engine.advance(START + second, ConstantSource(Sample()))
        engine.observe((QualityEvent(0, 0, Disturbance.SAG, 0),))
    assert engine.state.counts.sags[0] == 18
    assert events(engine, Ring.QUALITY_LOG) == [Event.UNDERVOLTAGE_L1] * 3


def told(watch: ConverterWatch, kind: Disturbance, second: int, *, ends: bool = False) -> list[int]:
    event = QualityEvent(0, 1, kind, 0, 500 if ends else None)
    return list(watch.look([event], Counts(), second))


def test_an_interruption_is_written_down_once_whether_or_not_it_began_as_one() -> None:
    watch, gone, sag = ConverterWatch(), Disturbance.INTERRUPTION, Disturbance.SAG
    missing, low, normal = (
        Event.MISSING_VOLTAGE_L2, Event.UNDERVOLTAGE_L2, Event.VOLTAGE_NORMAL_L2,
    )  # fmt: skip
    assert told(watch, gone, 1000) == [missing]
    assert told(watch, gone, 2000, ends=True) == [normal]
    assert told(watch, sag, 3000) == [low]
    assert told(watch, gone, 4000, ends=True) == [missing, normal]
    assert told(watch, gone, 4059, ends=True) == []
    assert told(watch, gone, 4060, ends=True) == [missing, normal]


def test_a_clock_that_was_set_back_hides_no_event() -> None:
    watch = ConverterWatch()
    assert told(watch, Disturbance.SWELL, 5000) == [Event.OVERVOLTAGE_L2]
    assert told(watch, Disturbance.SWELL, 4999) == [Event.OVERVOLTAGE_L2]
    assert told(watch, Disturbance.SWELL, 5000) == []


def test_the_converters_events_reach_the_engine_with_its_samples() -> None:
    live = LiveSource(Sample(500_000))
    engine = MeterEngine.create(EngineConfig(), START)
    source = measured(live, 1)
    live.push((START + 5) * SECOND, Sample(-500_000))
    live.push((START + 9) * SECOND, Sample(500_000, 0, 170_000))
    for second in range(1, 15):
        engine.advance(START + second, source)
        engine.connect() if second % 2 else engine.disconnect()
    assert events(engine, Ring.QUALITY_LOG) == [
        Event.EXPORT_BEGAN, Event.UNDERVOLTAGE_L1, Event.EXPORT_ENDED,
    ]  # fmt: skip
