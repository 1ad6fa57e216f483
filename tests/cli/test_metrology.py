from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from openami.cli import metrology
from openami.cli.main import main
from openami.meter.measuring import MEMORY_FILE
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.part import PartRecord
from openami.store.measuring import PartMemory

if TYPE_CHECKING:
    from pathlib import Path

ARGUMENTS = ["metrology", "accuracy", "--seconds", "5", "--front-end", "sigma-delta"]


def test_the_table_has_every_point(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGUMENTS) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == [
        "front", "end", "class", "load", "PF", "current", "(A)", "limit", "(%)", "error", "(%)",
        "kept",
    ]  # fmt: skip
    assert len(lines) == 1 + 31 + 17
    assert sum(" 1 of 3 " in line for line in lines) == 17
    assert all(line.endswith("yes") for line in lines[1:])
    assert err == (
        "sigma-delta: 48 of 48 points kept, starts at its starting current,"
        " stands still without a load\n"
    )


def test_json_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "accuracy.svg"
    assert main([*ARGUMENTS, "--json", "--plot", str(picture)]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["front_end"], found["class"], found["kept"]) == ("sigma-delta", "0.5S", True)
    points, alone = found["points"], found["one_phase_loaded"]
    assert (len(points), len(alone)) == (31, 17)
    assert all(abs(point["error"]) <= point["limit"] for point in (*points, *alone))
    assert picture.read_text("utf-8").startswith("<svg")


def test_the_command_knows_every_front_end() -> None:
    assert set(metrology.FRONT_ENDS) == set(FRONT_ENDS)


def test_a_part_is_calibrated_and_keeps_its_registers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    front, chance = FRONT_ENDS["paper-100a"], np.random.default_rng(1)
    record = PartRecord.new(front, 3, chance)
    counted = replace(record, life=4, ran=99, whole=((7,) * 8, *record.whole[1:]))
    memory = PartMemory(tmp_path / MEMORY_FILE)
    memory.keep(front.name, counted.encode())
    memory.close()
    show = ["metrology", "calibrate", "--state", str(tmp_path), "--show", "--json"]
    assert main(show) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["front_end"] == "paper-100a"
    assert [each["volt"] for each in before["phases"]] == [c.volt for c in record.calibrations]
    assert main([*show[:4]]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    memory = PartMemory(tmp_path / MEMORY_FILE)
    found = memory.load()
    memory.close()
    assert found is not None
    after = PartRecord.decode(found[1])
    assert replace(after, calibrations=record.calibrations) == counted
    assert after.calibrations != record.calibrations
    for new, old in zip(after.calibrations, record.calibrations, strict=True):
        assert new.volt == pytest.approx(old.volt, rel=0.06)  # 230 V instead of 220


def test_where_no_part_is_there_is_nothing_to_calibrate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrology", "calibrate", "--state", str(tmp_path)]) == 2
    assert "holds no measuring part" in capsys.readouterr().err
    PartMemory(tmp_path / MEMORY_FILE).close()
    assert main(["metrology", "calibrate", "--state", str(tmp_path)]) == 2
