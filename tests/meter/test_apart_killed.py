"""Real processes: management is killed ten times, its measuring part twice, and nothing is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.apart import meter_snapshot, part_record
from tests.support.killed import run_and_kill

from openami.meter.identity import generate_identity, seeded

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = "tests.support.measuring_child"
ROOT = Path(__file__).resolve().parents[2]
SERIAL = generate_identity(5, seeded("apart")).serial
KILLS = {"pty": (8, 2), "tcp:127.0.0.1:0": (1, 1)}
"""Of management, in the two lives of its measuring part."""

PHASES = {"pty": "1", "tcp:127.0.0.1:0": "3"}


@contextmanager
def measuring(state: Path, line: str, end: signal.Signals) -> Iterator[str]:
    """Run a measuring part of 36 kW, ten watt-hours a second; yield where it is found."""
    command = [sys.executable, "-u", "-m", CHILD, "part", str(state), line, PHASES[line]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(end)
            process.wait(20)


def kept(state: Path) -> tuple[list[int], list[int]]:
    """Return what the meter's memory says: nanojoules counted, micro-watt-hours taken.

    In total, then of each of three phases.
    """
    found = meter_snapshot(state, SERIAL)
    assert not found["engine"]["alarms"] & 0x1800  # no fraud, no measurement error
    counters = found["engine"]["energy"], *found["engine"]["phases"]
    return [sum(cells[:4]) for cells in counters], [row[0] for row in found["taken"]["totals"]]


def total(state: Path) -> list[int]:
    return [row[0] for row in part_record(state).whole]


def counted(energy: int) -> int:
    return energy // 3_600_000


def not_less(these: list[int], than: list[int]) -> bool:
    return all(one >= other for one, other in zip(these, than, strict=True))


def flowed(taken: list[int], base: list[int]) -> list[int]:
    return [(now - before) * 3_600_000 for now, before in zip(taken, base, strict=True)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("line", KILLS)
def test_management_is_killed_and_counts_all_the_same(tmp_path: Path, line: str) -> None:
    part, meter = tmp_path / "part", tmp_path / "meter"
    part.mkdir()
    meter.mkdir()
    chance = random.Random(3)
    base: list[int] = []
    before = [0]
    for kills, end in zip(KILLS[line], (signal.SIGKILL, signal.SIGTERM), strict=True):
        with measuring(part, line, end) as found:
            for _ in range(kills):
                run_and_kill(
                    CHILD, "management", str(meter), found, "0.3", PHASES[line],
                    after_lines=2, chance=chance,
                )  # fmt: skip
                energy, taken = kept(meter)
                base = base or [
                    told - counted(each) for told, each in zip(taken, energy, strict=True)
                ]
                # To the last nanojoule what the part has told since the meter first heard of it.
                assert energy == flowed(taken, base)
                assert taken[0] > before[0]
                before = taken
        assert not_less(total(part), taken)  # nothing was told that the part has forgotten
    with measuring(part, line, signal.SIGTERM) as found:
        run_and_kill(
            CHILD, "management", str(meter), found, "0.1", PHASES[line],
            after_lines=4, chance=chance,
        )  # fmt: skip
    energy, taken = kept(meter)
    assert energy == flowed(taken, base)
    assert len(energy) == (4 if PHASES[line] == "3" else 1)
    assert not_less(total(part), taken)  # it went on when management had died
    if len(energy) > 1:  # each total is told in whole micro-watt-hours, without what is less
        assert abs(energy[0] - sum(energy[1:])) <= 6 * 3_600_000
