"""Loads by a timetable: what they draw, until when, and as what form of a current."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from openami.core.errors import ConfigError
from openami.meter.plugged import LOADS
from openami.meter.sources import parse_source
from openami.metrology.adc.frontend import SIGMA_DELTA
from openami.metrology.adc.loads import PULSES, Motor, wave_of
from openami.metrology.adc.waves import harmonics
from openami.metrology.clock import SECOND
from openami.metrology.config import EngineConfig
from openami.metrology.energy import PER_WH, Channel
from openami.metrology.engine import MeterEngine
from openami.metrology.measured import MeasuredSource

if TYPE_CHECKING:
    from openami.metrology.sources import Sample, Source

HOUR = 3600


def watts(source: Source, second: float) -> float:
    return source.at(round(second * SECOND)).sample.active / 1000


def changes(source: Source, begin: int, end: int) -> list[tuple[int, float]]:
    """Return from which seconds on a source gives which watts."""
    found, at = [], begin * SECOND
    while at < end * SECOND:
        segment = source.at(at)
        assert segment.until is not None
        found.append((at // SECOND, segment.sample.active / 1000))
        at = segment.until
    return found


def test_the_heater_of_the_paper_switches_each_minute() -> None:
    source = parse_source("load:heater").source
    assert changes(source, 0, 300) == [(0, 0), (60, 600), (120, 1200), (180, 0), (240, 600)]
    assert source.at(90 * SECOND + 7).until == 120 * SECOND
    sample = source.at(130 * SECOND).sample
    assert (sample.reactive, sample.shape) == (0, ())  # a resistance draws a plain sine
    assert watts(parse_source("load:heater:3000").source, 61) == 1500


def test_a_motor_draws_several_times_as_much_while_it_starts() -> None:
    source = parse_source("load:motor:250").source
    found = dict(changes(source, 0, 1800))
    assert list(found) == [*range(9), 600]
    assert found[600] == 0
    assert found[8] == pytest.approx(250, rel=1e-5)
    starting = [found[second] for second in range(9)]
    assert starting == sorted(starting, reverse=True)
    start, even = (apparent(source.at(second * SECOND).sample) for second in (0, 8))
    assert start == pytest.approx(6 * even, rel=1e-3)
    sample = source.at(100 * SECOND).sample
    assert sample.active / (1000 * apparent(sample)) == pytest.approx(0.75, abs=1e-3)
    assert sample.reactive > 0
    assert watts(source, 1803) == found[3]  # the next half hour


def apparent(sample: Sample) -> float:
    return math.hypot(sample.active, sample.reactive) / 1000


def test_the_sun_and_the_vehicle_go_by_local_time() -> None:
    seoul = 9 * HOUR
    source = parse_source("load:solar:5000+vehicle:3600", offset=seoul).source

    def local(hour: float) -> float:
        return watts(source, hour * HOUR - seoul)

    assert local(12.5) == pytest.approx(-5000, abs=1)
    assert local(5.9) == local(19.1) == 0
    assert local(6.5) == pytest.approx(local(18.5), rel=0.02)
    assert local(22 + 20 / HOUR) == pytest.approx(3600, abs=0.5)
    assert local(22) == pytest.approx(360, abs=0.5)
    assert local(25.9) == pytest.approx(3600, abs=0.5)
    assert local(26) == 0


def test_what_is_plugged_in_together_adds_up() -> None:
    parts = [parse_source(f"load:{name}:{usual:g}").source for name, (usual, _) in LOADS.items()]
    both = parse_source("load:" + "+".join(LOADS)).source
    for second in range(0, 86_400, 1801):
        whole, pieces = both.at(second * SECOND), [each.at(second * SECOND) for each in parts]
        assert whole.sample.active == pytest.approx(sum(p.sample.active for p in pieces), abs=3)
        assert whole.sample.reactive == pytest.approx(sum(p.sample.reactive for p in pieces), abs=3)
        assert whole.until == min(p.until or 0 for p in pieces)


def test_the_form_of_the_current_is_the_models() -> None:
    """The harmonics that a converter gets are those of the load at that voltage."""
    sample = parse_source("load:motor:400").source.at(300 * SECOND).sample
    wave = wave_of(sample, voltage=230.0, frequency=50.0)
    expected = Motor(400.0).amps(300, harmonics(230.0))
    assert np.allclose(wave.amps[0, 0], expected, atol=1e-5)


def test_harmonics_of_loads_that_lag_otherwise_meet_in_phase() -> None:
    """Currents add, not their parts: a motor and a rectifier together."""
    together = parse_source("load:motor:400+electronics:300").source.at(300 * SECOND).sample
    apart: Any = 0
    for name in ("motor:400", "electronics:300"):
        sample = parse_source(f"load:{name}").source.at(300 * SECOND).sample
        apart = apart + wave_of(sample, voltage=230.0, frequency=50.0).amps
    whole = wave_of(together, voltage=230.0, frequency=50.0).amps
    assert np.allclose(whole, apart, atol=1e-4)


def test_a_day_is_counted_to_the_watt_hour() -> None:
    """The heater's mean is 600 W; the sun's energy is half of its noon over its thirteen hours."""
    begin = 20_000 * 86_400
    for text, taken, given in (("load:heater", 14_400, 0), ("load:solar", 0, 19_500)):
        engine = MeterEngine.create(EngineConfig(), begin)
        engine.advance(begin + 86_400, parse_source(text).source)
        energy = [
            engine.state.energy.exact(each) / PER_WH for each in (Channel.IMPORT, Channel.EXPORT)
        ]
        assert energy == pytest.approx([taken, given], rel=1e-4)


def test_a_converter_sees_the_distortion() -> None:
    chance = np.random.default_rng(3)
    source = MeasuredSource(parse_source("load:electronics:500").source, SIGMA_DELTA, chance)
    source.at(0)
    assert source.report is not None
    pulses = math.sqrt(sum(part**2 for part in PULSES))
    assert source.report.phases[0].current_thd == pytest.approx(1e4 * pulses, rel=0.01)
    heater = MeasuredSource(parse_source("load:heater*2").source, SIGMA_DELTA, chance)
    heater.at(120 * SECOND)
    assert heater.report is not None
    assert heater.report.phases[0].current_thd < 50


@pytest.mark.parametrize(
    "text",
    [
        "load:", "load:kettle", "load:heater+", "load:heater:", "load:heater:0", "load:heater:-5",
        "load:heater:100001", "load:heater:1e9", "load:heater:5,5", "load:heater:nan", "load",
    ],
)  # fmt: skip
def test_loads_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_source(text)


def test_the_largest_load_is_taken() -> None:
    assert watts(parse_source("load:electronics:1e5").source, 0) == 100_000
