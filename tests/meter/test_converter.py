"""A meter's own converter is calibrated once: its constants are in the meter's memory."""

from __future__ import annotations

import json
import random
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.support.killed import run_and_kill
from tests.support.meter_bench import KILOWATT, Bench
from tests.support.metering import events

from openami.meter.making import ensure_identity
from openami.metrology.adc.calibration import Calibration
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.events import Event, Ring
from openami.metrology.measured import MeasuredSource
from openami.metrology.memory import MeterCommit, VolatileMemory
from openami.store.nvm import SqliteMemory

if TYPE_CHECKING:
    from pathlib import Path

    from openami.metrology.memory import MeterMemory


def converter(seed: int, name: str = "sigma-delta", phases: int = 1) -> MeasuredSource:
    """Return a converter as a start makes it: with a chance of its own."""
    chance = np.random.default_rng(seed)
    return MeasuredSource(KILOWATT, FRONT_ENDS[name], chance, phases=phases)


def kept(memory: MeterMemory, serial: str) -> Any:
    image = memory.load(serial)
    assert image is not None
    return json.loads(image.snapshot).get("converter")


def put(bench: Bench, record: object) -> None:
    """Let the memory of a bench's meter hold another record."""
    serial = bench.meter.serial
    image = bench.memory.load(serial)
    assert image is not None
    snapshot = {**json.loads(image.snapshot), "converter": record}
    bench.memory.commit([MeterCommit(serial, json.dumps(snapshot).encode())])


def started(bench: Bench, source: Any) -> Any:
    """Start a bench's meter anew, with a source; return what its memory holds of a converter."""
    bench.source = source
    bench.restart(after=60)
    bench.meter.refresh()
    return kept(bench.memory, bench.meter.serial)


@pytest.mark.parametrize("phases", [1, 3])
def test_two_starts_measure_with_the_same_constants(phases: int) -> None:
    memory = VolatileMemory()
    bench = Bench(memory=memory, phases=phases, source=converter(1, phases=phases))
    bench.meter.refresh()
    first = kept(memory, bench.meter.serial)
    assert first["front"] == "sigma-delta"
    assert len(first["phases"]) == phases
    assert converter(2, phases=phases).fit(None) != first, "chance makes no difference"
    for seed in (2, 3):
        assert started(bench, converter(seed, phases=phases)) == first
    assert events(bench.meter.engine, Ring.STANDARD_LOG) == []


def test_what_is_measured_follows_from_the_constants_of_the_memory() -> None:
    source = converter(1)
    record = source.fit(None)
    found = Calibration.decode(bytes.fromhex(record["phases"][0]))
    doubled = replace(found, volt=2 * found.volt).encode().hex()
    again = converter(1)
    again.fit({**record, "phases": [doubled]})
    assert again.at(0).sample.voltage == pytest.approx(440_000, rel=0.002)
    assert source.at(0).sample.voltage == pytest.approx(220_000, rel=0.002)


def test_a_converter_without_a_memory_is_calibrated_when_it_begins_to_measure() -> None:
    alone, fitted = converter(4), converter(4)
    fitted.fit(None)
    assert alone.at(0).sample == fitted.at(0).sample


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: {**record, "phases": ["00" + record["phases"][0][2:]]},
        lambda record: {**record, "phases": [record["phases"][0][:-1]]},
        lambda record: {**record, "phases": record["phases"] * 3},
        lambda record: {**record, "phases": []},
        lambda record: {**record, "phases": 7},
        lambda record: {"front": record["front"]},
        lambda record: {"phases": record["phases"]},
        lambda _: 5,
        lambda _: "sigma-delta",
    ],
)
def test_a_damaged_record_is_calibrated_anew_and_told(damage: Any) -> None:
    bench = Bench(source=converter(1))
    bench.meter.refresh()
    first = kept(bench.memory, bench.meter.serial)
    put(bench, damage(first))
    with capture_logs() as logs:
        anew = started(bench, converter(2))
    assert [entry["event"] for entry in logs].count("calibrated anew") == 1
    assert events(bench.meter.engine, Ring.STANDARD_LOG) == [Event.MEMORY_ERROR]
    assert anew["front"] == "sigma-delta"
    assert anew == converter(2).fit(None)
    assert started(bench, converter(3)) == anew


def test_another_front_end_is_another_converter() -> None:
    bench = Bench(source=converter(1))
    bench.meter.refresh()
    other = started(bench, converter(2, "paper-100a"))
    assert other == converter(2, "paper-100a").fit(None)
    assert events(bench.meter.engine, Ring.STANDARD_LOG) == [Event.PARAMETERS_CHANGED]


def test_a_meter_that_has_no_converter_for_a_while_keeps_the_constants() -> None:
    bench = Bench(source=KILOWATT)
    bench.meter.refresh()
    assert kept(bench.memory, bench.meter.serial) is None
    first = started(bench, converter(1))
    assert started(bench, KILOWATT) == first
    assert started(bench, converter(2)) == first
    assert events(bench.meter.engine, Ring.STANDARD_LOG) == []


def test_a_killed_meter_starts_with_the_constants_that_it_had(tmp_path: Path) -> None:
    state = tmp_path / "meter"
    serial = ensure_identity(state, number=7).serial
    found = []
    for _ in range(2):
        run_and_kill(
            "openami", "meter", "run", "--json", "--state", str(state), "--adc", "sigma-delta",
            "--source", "constant:1000", "--wrapper", "127.0.0.1:0", "--hdlc", "127.0.0.1:0",
            after_lines=1, chance=random.Random(5),
        )  # fmt: skip
        with closing(SqliteMemory(state / "meter.db")) as memory:
            found.append(kept(memory, serial))
    assert found[0]["front"] == "sigma-delta"
    assert found[1] == found[0]
