"""A meter's engine that counts what its converter measured."""

from __future__ import annotations

import numpy as np
import pytest

from openami.meter.recordings import recording
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.clock import SECOND
from openami.metrology.config import EngineConfig
from openami.metrology.energy import PER_WH, Channel
from openami.metrology.engine import MeterEngine
from openami.metrology.measured import REFRESH, MeasuredSource
from openami.metrology.sources import ConstantSource, LiveSource, Sample, Source

START = 1_700_000_000


def measured(source: Source, name: str = "sigma-delta", phases: int = 1) -> MeasuredSource:
    return MeasuredSource(source, FRONT_ENDS[name], np.random.default_rng(6), phases=phases)


def engine() -> MeterEngine:
    return MeterEngine.create(EngineConfig(), START)


@pytest.mark.parametrize(("name", "limit"), [("paper-100a", 0.01), ("sigma-delta", 0.005)])
def test_the_engine_counts_a_real_home_within_the_class(name: str, limit: float) -> None:
    home = recording("minute").source(0)
    seen, known = engine(), engine()
    source = measured(home, name)
    for minute in range(1, 6 * 60 + 1):
        seen.advance(START + 60 * minute, source)
        known.advance(START + 60 * minute, home)
    counted, flowed = (each.state.energy.exact(Channel.IMPORT) for each in (seen, known))
    assert counted == pytest.approx(flowed, rel=limit)
    assert counted != flowed


def test_a_change_is_measured_at_once_and_rest_only_now_and_then() -> None:
    live = LiveSource(Sample(600_000))
    source = measured(live)
    world = START * SECOND
    first = source.at(world)
    assert first.sample.active == pytest.approx(600_000, rel=0.005)
    assert first.sample.voltage == pytest.approx(220_000, rel=0.005)
    assert first.until == world + REFRESH * SECOND
    assert source.at(world + SECOND // 2).sample is first.sample
    assert source.report is not None
    assert source.report.at == 1000
    assert source.at(world + SECOND).sample is not first.sample  # asked each second, each second
    assert source.report.at == 2000
    live.push(world + 2 * SECOND, Sample(1_200_000, 90_000))
    assert source.at(world + 3 * SECOND // 2).until == world + 2 * SECOND
    second = source.at(world + 2 * SECOND).sample
    assert second.active == pytest.approx(1_200_000, rel=0.005)
    assert second.reactive == pytest.approx(90_000, rel=0.01)
    again = source.at(world + (2 + REFRESH) * SECOND).sample
    assert again is not second
    assert source.report.at == 4000


def test_three_phases_are_measured_and_their_sum_is_counted() -> None:
    source = measured(ConstantSource(Sample(-3_000_000, -600_000)), phases=3)
    sample = source.at(START * SECOND).sample
    assert sample.active == pytest.approx(-3_000_000, rel=0.005)
    assert sample.reactive == pytest.approx(-600_000, rel=0.01)
    assert source.report is not None
    active = [phase.active for phase in source.report.phases]
    assert active == pytest.approx([-1_260_000, -990_000, -750_000], rel=0.005)


def test_powers_over_many_passes_are_the_registers() -> None:
    source = measured(ConstantSource(Sample(1_234_567, 89_012)))
    samples = [source.at((START + REFRESH * n) * SECOND).sample for n in range(20)]
    assert source.report is not None
    told = source.report.totals[0][0] * PER_WH // 10**6
    assert sum(sample.active for sample in samples) == told // 10**6


def test_a_home_without_a_load_stands_still() -> None:
    meter = engine()
    meter.advance(START + 3600, measured(ConstantSource(Sample()), "paper-100a"))
    assert meter.state.energy.exact(Channel.IMPORT) == 0
    assert meter.state.energy.exact(Channel.EXPORT) == 0
