"""Interruptions and tampering, played by a file, in the logs of a meter with a converter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.meter_bench import START, Bench
from tests.support.metering import columns, events

from openami.cli.meter_options import measured
from openami.meter.identity import generate_identity, seeded
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.metrology.energy import Channel
from openami.metrology.events import Alarm, Event, Ring

if TYPE_CHECKING:
    from pathlib import Path

STEP = 60
"""Seconds of a row."""


def played(folder: Path, *rows: str) -> str:
    """Return the source of rows ``kW,V`` of a minute each, from the bench's start on."""
    path = folder / "played.csv"
    lines = (f"2026-03-29T00:{minute:02},{row}" for minute, row in enumerate(rows))
    path.write_text("\n".join(("timestamp,active_power_kw,voltage_v", *lines)))
    return f"file:{path}"


def ran(source: str, *, minutes: int, phases: int = 1, adc: str | None = "sigma-delta") -> Bench:
    """Return a meter as ``--adc`` makes it, after so many minutes of a source."""
    config = MeterConfig(generate_identity(7, seeded("bench"), phases=phases))
    bench = Bench(phases=phases, source=measured(parse_source(source), adc, config).source)
    run(bench, minutes)
    return bench


def run(bench: Bench, minutes: int) -> None:
    """Let a meter run, looked at every ten seconds."""
    for _ in range(minutes * 6):
        bench.run(STEP / 6)


@pytest.mark.parametrize("phases", [1, 3])
def test_an_interruption_is_in_the_log_with_its_begin_and_end(tmp_path: Path, phases: int) -> None:
    source = played(tmp_path, "1,", "0,0", "1,230", "1,", "1,", "1,")
    bench = ran(source, minutes=1, phases=phases)
    engine = bench.meter.engine
    assert events(engine, Ring.QUALITY_LOG) == []
    run(bench, 1)
    assert [phase.voltage // 1000 for phase in engine.instant().phases] == [0] * phases
    counted = engine.state.energy.exact(Channel.IMPORT)
    run(bench, 1)
    assert engine.state.energy.exact(Channel.IMPORT) > counted
    assert [phase.voltage // 1000 for phase in engine.instant().phases] == [
        pytest.approx(230, abs=1)
    ] * phases
    assert events(engine, Ring.QUALITY_LOG) == [
        *(Event.MISSING_VOLTAGE_L1 + place for place in range(phases)),
        *(Event.VOLTAGE_NORMAL_L1 + place for place in range(phases)),
    ]
    times = [line.time - START for line in columns(engine, Ring.QUALITY_LOG, status=False)]
    assert times == [STEP] * phases + [2 * STEP] * phases
    assert events(engine, Ring.FRAUD_LOG) == []
    assert not engine.state.alarms & Alarm.FRAUD_ATTEMPT


def test_an_empty_field_is_no_interruption(tmp_path: Path) -> None:
    engine = ran(played(tmp_path, "1,", "1,", "0,"), minutes=3).meter.engine
    assert engine.instant().phases[0].voltage == pytest.approx(230_000, rel=0.002)
    assert events(engine, Ring.QUALITY_LOG) == []


@pytest.mark.parametrize("phases", [1, 3])
def test_a_current_without_a_voltage_is_a_sign_of_tampering(tmp_path: Path, phases: int) -> None:
    """The link to the voltage was opened: the load still has its current, nothing is counted."""
    source = played(tmp_path, "3,230", "3,0", "3,0", "3,230", "3,230", "3,230")
    bench = ran(source, minutes=1, phases=phases)
    engine = bench.meter.engine
    before = engine.state.energy.exact(Channel.IMPORT)
    assert before > 0
    assert events(engine, Ring.FRAUD_LOG) == []
    run(bench, 1)
    now = engine.instant()
    assert abs(now.active) < 100, "more than noise, mW"
    assert sum(phase.current for phase in now.phases) == pytest.approx(3000 / 0.230, rel=0.01)
    assert events(engine, Ring.FRAUD_LOG) == [Event.CURRENT_WITHOUT_VOLTAGE]
    assert engine.state.counts.tampers >= 1
    assert engine.state.alarms & Alarm.FRAUD_ATTEMPT
    assert engine.state.energy.exact(Channel.IMPORT) == before
    assert Event.MISSING_VOLTAGE_L1 in events(engine, Ring.QUALITY_LOG)


def test_a_meter_without_a_converter_shows_no_voltage_either(tmp_path: Path) -> None:
    engine = ran(played(tmp_path, "1,", "0,0", "1,"), minutes=2, adc=None).meter.engine
    (phase,) = engine.instant().phases
    assert (phase.voltage, phase.current) == (0, 0)
    assert events(engine, Ring.QUALITY_LOG) == [Event.UNDERVOLTAGE_L1]
