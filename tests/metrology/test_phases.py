"""Energy of each phase: it sums to the total, and is what flowed on the phase."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import StoreError
from openami.meter.sources import parse_source
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.adc.loads import wave_of
from openami.metrology.adc.registers import CHANNELS
from openami.metrology.clock import SECOND
from openami.metrology.config import EngineConfig
from openami.metrology.energy import PER_WH, Channel
from openami.metrology.engine import MeterEngine
from openami.metrology.instant import instant
from openami.metrology.measured import MeasuredSource
from openami.metrology.phases import SHARES, on_phases, spread
from openami.metrology.sources import ConstantSource, LiveSource, Sample, Source

START = 1_700_000_100
THREE = EngineConfig(phases=3)
SHOWN = (Channel.IMPORT, Channel.EXPORT, Channel.REACTIVE_IMPORT, Channel.REACTIVE_EXPORT)
POWER = st.integers(-(10**9), 10**9)


def exact(engine: MeterEngine, channel: Channel) -> list[int]:
    return [energy.exact(channel) for energy in engine.state.phases]


def measured(source: Source, name: str = "sigma-delta") -> MeasuredSource:
    return MeasuredSource(source, FRONT_ENDS[name], np.random.default_rng(6), phases=3)


@given(POWER, st.sampled_from([1, 3]))
def test_a_power_is_spread_to_the_last_unit_and_nowhere_against_itself(
    power: int, phases: int
) -> None:
    parts = spread(power, phases)
    assert sum(parts) == power
    assert all(part * power >= 0 for part in parts)
    for part, share in zip(parts, SHARES[phases], strict=True):
        assert abs(part - power * share / 100) < phases


@given(POWER, POWER)
def test_what_is_shown_of_the_phases_is_the_whole(active: int, reactive: int) -> None:
    shown = instant(Sample(active, reactive), phases=3)
    assert sum(phase.active for phase in shown.phases) == active
    assert sum(phase.reactive for phase in shown.phases) == reactive
    flows = on_phases(Sample(active, reactive))
    assert [(each.active, each.reactive) for each in flows] == [
        (phase.active, phase.reactive) for phase in shown.phases
    ]


def test_phases_that_flow_against_each_other_are_counted_each_by_itself() -> None:
    """The total is of the sum of their powers, as one meter of the whole counts (vectorial)."""
    engine = MeterEngine.create(THREE, START)
    phases = (Sample(3_000_000, 100_000), Sample(-1_000_000, -400_000), Sample(-500_000, 0))
    sample = Sample(1_500_000, -300_000, phases=phases)
    engine.advance(START + 3600, ConstantSource(sample))
    assert exact(engine, Channel.IMPORT) == [3000 * PER_WH, 0, 0]
    assert exact(engine, Channel.EXPORT) == [0, 1000 * PER_WH, 500 * PER_WH]
    assert exact(engine, Channel.REACTIVE_IMPORT) == [100 * PER_WH, 0, 0]
    assert exact(engine, Channel.REACTIVE_EXPORT) == [0, 400 * PER_WH, 0]
    assert engine.register(Channel.IMPORT) == 1500
    assert engine.register(Channel.EXPORT) == 0
    assert engine.register(Channel.REACTIVE_EXPORT) == 300
    engine.disconnect()
    engine.advance(START + 7200, ConstantSource(sample))
    assert exact(engine, Channel.IMPORT) == [3000 * PER_WH, 0, 0]


def test_one_phase_has_no_counters_of_its_own() -> None:
    engine = MeterEngine.create(EngineConfig(), START)
    engine.advance(START + 3600, ConstantSource(Sample(1_000_000)))
    assert engine.state.phases == ()
    assert MeterEngine.restore(engine.config, engine.dump()).state.phases == ()


def test_a_memory_of_a_program_that_did_not_count_by_phase_opens_and_phases_begin() -> None:
    engine = MeterEngine.create(THREE, START)
    engine.advance(START + 3600, ConstantSource(Sample(1_000_000)))
    old = engine.dump()
    del old["phases"]
    again = MeterEngine.restore(THREE, old)
    assert again.register(Channel.IMPORT) == 1000
    assert exact(again, Channel.IMPORT) == [0, 0, 0]
    again.advance(START + 7200, ConstantSource(Sample(1_000_000)))
    assert exact(again, Channel.IMPORT) == [420 * PER_WH, 330 * PER_WH, 250 * PER_WH]
    del old["energy"]
    with pytest.raises(StoreError):
        MeterEngine.restore(THREE, old)


def test_a_memory_of_another_number_of_phases_is_refused() -> None:
    engine = MeterEngine.create(THREE, START)
    with pytest.raises(StoreError, match="damaged"):
        MeterEngine.restore(EngineConfig(), engine.dump())
    state = engine.dump()
    state["phases"] = state["phases"][:2]
    with pytest.raises(StoreError, match="damaged"):
        MeterEngine.restore(THREE, state)


@pytest.mark.parametrize(("name", "limit"), [("paper-100a", 0.01), ("sigma-delta", 0.005)])
def test_a_converter_counts_what_the_wave_of_each_phase_carries(name: str, limit: float) -> None:
    loads = [Sample(9_000_000, 2_000_000), Sample(-6_000_000, -1_500_000), Sample(12_000_000, 0)]
    live = LiveSource(loads[0])
    for number, load in enumerate(loads[1:], 1):
        live.push((START + 40 * number) * SECOND, load)
    front, source = FRONT_ENDS[name], measured(live, name)
    engine = MeterEngine.create(THREE, START)
    joules = np.zeros((2, 3))
    for second in range(120):
        engine.advance(START + second + 1, source)
        wave = wave_of(
            loads[second // 40], voltage=front.voltage, frequency=front.frequency, phases=3
        )
        joules += np.array([wave.active[0].clip(0), (-wave.active[0]).clip(0)])
    for channel, carried in zip((Channel.IMPORT, Channel.EXPORT), joules, strict=True):
        counted = np.array(exact(engine, channel)) / 1e9
        assert counted == pytest.approx(carried, rel=limit)
        assert engine.state.energy.exact(channel) == sum(exact(engine, channel))
    report = source.report
    assert report is not None
    for row, energy in zip(report.totals[1:], engine.state.phases, strict=True):
        told = row[CHANNELS.index(Channel.IMPORT)] * 3_600_000
        assert abs(energy.exact(Channel.IMPORT) - told) < 10**6  # less than a milliwatt's second


def test_phases_and_total_do_not_part_over_many_passes() -> None:
    source = measured(ConstantSource(Sample(1_234_567, -89_012)))
    engine = MeterEngine.create(THREE, START)
    engine.advance(START + 60 * 60, source)
    for channel in SHOWN:
        assert engine.state.energy.exact(channel) == sum(exact(engine, channel))
    assert source.report is not None
    totals = source.report.totals
    assert all(abs(totals[0][n] - sum(row[n] for row in totals[1:])) <= 3 for n in range(6))


def test_apparent_energy_is_of_volts_and_amperes_where_they_are_measured() -> None:
    """Pulses of current carry no power but of their fundamental: half as many VA again, about."""
    engine = MeterEngine.create(EngineConfig(), START)
    front = FRONT_ENDS["sigma-delta"]
    spec = parse_source("electronics:1000")
    source = MeasuredSource(spec.source, front, np.random.default_rng(6))
    for second in range(60):
        engine.advance(START + second + 1, source)
    assert source.report is not None
    (row,) = source.report.totals
    told = row[CHANNELS.index(Channel.APPARENT_IMPORT)] * 3_600_000
    counted = engine.state.energy.exact(Channel.APPARENT_IMPORT)
    assert abs(counted - told) < 10**6
    assert counted > 1.3 * engine.state.energy.exact(Channel.IMPORT)


@given(
    st.lists(
        st.tuples(POWER, POWER, st.integers(1, 10**10), st.booleans()), min_size=1, max_size=12
    )
)
def test_phases_sum_to_the_total_over_reloads(steps: list[tuple[int, int, int, bool]]) -> None:
    engine = MeterEngine.create(THREE, START)
    seen = [engine.state.energy.cells]
    for active, reactive, lasts, reload in steps:
        engine.state.add(Sample(active, reactive), lasts)
        if reload:
            engine = MeterEngine.restore(THREE, engine.dump())
        for channel in SHOWN:
            assert engine.state.energy.exact(channel) == sum(exact(engine, channel))
        seen.append(engine.state.energy.cells)
    assert all(
        new >= old
        for before, after in pairwise(seen)
        for old, new in zip(before, after, strict=True)
    )
