"""Real processes: management is killed ten times, its measuring part twice, and nothing is lost."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.killed import run_and_kill

from openami.meter.identity import generate_identity, seeded
from openami.meter.measuring import MEMORY_FILE
from openami.meter.run import MEMORY_FILE as METER_FILE
from openami.metrology.part import PartRecord
from openami.store.measuring import PartMemory
from openami.store.nvm import SqliteMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = "tests.support.measuring_child"
ROOT = Path(__file__).resolve().parents[2]
SERIAL = generate_identity(5, seeded("apart")).serial
KILLS = {"pty": (8, 2), "tcp:127.0.0.1:0": (1, 1)}
"""Of management, in the two lives of its measuring part."""


@contextmanager
def measuring(state: Path, line: str, end: signal.Signals) -> Iterator[str]:
    """Run a measuring part of 36 kW, ten watt-hours a second; yield where it is found."""
    command = [sys.executable, "-u", "-m", CHILD, "part", str(state), line]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(end)
            process.wait(20)


def kept(state: Path) -> tuple[int, int]:
    """Return what the meter's memory says: nanojoules counted, micro-watt-hours taken."""
    memory = SqliteMemory(state / METER_FILE)
    try:
        image = memory.load(SERIAL)
    finally:
        memory.close()
    assert image is not None
    found = json.loads(image.snapshot)
    assert not found["engine"]["alarms"] & 0x1800  # no fraud, no measurement error
    return sum(found["engine"]["energy"][:4]), found["taken"]["totals"][0][0]


def total(state: Path) -> int:
    memory = PartMemory(state / MEMORY_FILE)
    try:
        found = memory.load()
    finally:
        memory.close()
    assert found is not None
    return PartRecord.decode(found[1]).whole[0][0]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("line", KILLS)
def test_management_is_killed_and_counts_all_the_same(tmp_path: Path, line: str) -> None:
    part, meter = tmp_path / "part", tmp_path / "meter"
    part.mkdir()
    meter.mkdir()
    chance = random.Random(3)
    base: int | None = None
    before = 0
    for kills, end in zip(KILLS[line], (signal.SIGKILL, signal.SIGTERM), strict=True):
        with measuring(part, line, end) as found:
            for _ in range(kills):
                run_and_kill(
                    CHILD, "management", str(meter), found, "0.3", after_lines=2, chance=chance
                )
                energy, taken = kept(meter)
                base = taken - energy // 3_600_000 if base is None else base
                # To the last nanojoule what the part has told since the meter first heard of it.
                assert energy == (taken - base) * 3_600_000
                assert taken > before
                before = taken
        assert total(part) >= taken  # nothing was told that the part has forgotten
    with measuring(part, line, signal.SIGTERM) as found:
        run_and_kill(CHILD, "management", str(meter), found, "0.1", after_lines=4, chance=chance)
    assert base is not None
    energy, taken = kept(meter)
    assert energy == (taken - base) * 3_600_000
    assert total(part) >= taken  # it went on when management had died
