"""Real processes: a measuring part that is not what it was is refused, and said to be."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.support.apart import meter_snapshot, part_record
from tests.support.killed import run_and_kill

from openami.meter.identity import generate_identity, seeded
from openami.metrology.events import Alarm

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = "tests.support.measuring_child"
ROOT = Path(__file__).resolve().parents[2]
SERIAL = generate_identity(5, seeded("apart")).serial
CHANCE = random.Random(4)

pytestmark = pytest.mark.timeout(120)


class Kept(NamedTuple):
    """What a meter's memory says."""

    energy: int
    alarms: int
    part: int


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process of the measuring half; it is ended as by a power cut."""
    command = [sys.executable, "-u", "-m", CHILD, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def measuring(state: Path, link: Path) -> Iterator[None]:
    """Run a measuring part that is found at ``link``."""
    with child("part", str(state), "pty", "1") as process:
        assert process.stdout is not None
        link.symlink_to(process.stdout.readline().strip().removeprefix("serial:"))
        try:
            yield
        finally:
            link.unlink()  # before it ends: its terminal may be somebody else's then


def kept(state: Path) -> Kept:
    found = meter_snapshot(state, SERIAL)
    engine = found["engine"]
    return Kept(sum(engine["energy"][:4]), engine["alarms"], found["taken"]["part"])


def lines(process: subprocess.Popen[str], count: int) -> list[int]:
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(count)]


def refusal(process: subprocess.Popen[str]) -> str:
    """Return the line of the log that says that a part is refused."""
    assert process.stderr is not None
    return next(line for line in process.stderr if "metrology.backwards" in line)


def folders(path: Path, *names: str) -> list[Path]:
    found = [path / name for name in names]
    for each in found:
        each.mkdir()
    return found


def test_a_part_restored_from_a_backup_is_refused_while_management_runs(tmp_path: Path) -> None:
    part, meter = folders(tmp_path, "part", "meter")
    link, backup = tmp_path / "line", tmp_path / "backup"
    with measuring(part, link):
        pass
    shutil.copytree(part, backup)
    with child("management", str(meter), f"serial:{link}", "0.1", "1", "0", "1.5") as management:
        with measuring(part, link):
            assert lines(management, 24)[-1] > 0  # six seconds
        life = part_record(part).life
        shutil.rmtree(part)
        shutil.copytree(backup, part)
        with measuring(part, link):
            told = refusal(management)
            stands = lines(management, 8)[-1]
            assert lines(management, 4) == [stands] * 4
    number = part_record(part).part
    assert part_record(part).life == life
    assert f"part={number}" in told
    assert f"--metrology-part {number}" in told
    before = kept(meter)
    assert before.alarms & Alarm.FRAUD_ATTEMPT
    assert before.alarms & Alarm.MEASUREMENT_ERROR
    assert before.energy // 3_600_000_000_000 == stands
    with measuring(part, link):
        run_and_kill(
            CHILD, "management", str(meter), f"serial:{link}", "0.1", "1", str(number),
            after_lines=12, chance=CHANCE,
        )  # fmt: skip
    after = kept(meter)
    assert after.energy > before.energy
    assert not after.alarms & Alarm.MEASUREMENT_ERROR


def test_a_meter_that_had_a_source_in_between_takes_no_other_part(tmp_path: Path) -> None:
    part, other, meter = folders(tmp_path, "part", "other", "meter")
    link, strange = tmp_path / "line", tmp_path / "strange"
    management = "management", str(meter), f"serial:{link}", "0.1", "1"
    with measuring(part, link):
        run_and_kill(CHILD, *management, after_lines=8, chance=CHANCE)
        first = kept(meter)
        run_and_kill(
            CHILD, "management", str(meter), "none", "0.1", "1", after_lines=8, chance=CHANCE
        )
        sourced = kept(meter)
        assert sourced.energy > first.energy
        assert sourced.part == first.part
        with (
            measuring(other, strange),
            child("management", str(meter), f"serial:{strange}", "0.1", "1") as refusing,
        ):
            assert "part=" in refusal(refusing)
            lines(refusing, 4)
        refused = kept(meter)
        assert (refused.energy, refused.part) == (sourced.energy, first.part)
        assert refused.alarms & Alarm.FRAUD_ATTEMPT
        run_and_kill(CHILD, *management, after_lines=8, chance=CHANCE)
    again = kept(meter)
    assert again.part == first.part == part_record(part).part
    assert not again.alarms & Alarm.MEASUREMENT_ERROR
    assert again.energy > refused.energy
    # What the part counted while the meter had a source, and was refused another, is not in it.
    assert again.energy < part_record(part).whole[0][0] * 3_600_000
