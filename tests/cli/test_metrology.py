from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from openami.cli.main import main
from openami.cli.meter_options import FRONT_ENDS as NAMES
from openami.core.errors import ConfigError
from openami.meter.calibrating import grid_in
from openami.meter.measuring import MEMORY_FILE
from openami.meter.settings import grid_of
from openami.metrology.accuracy import calibrated
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.part import PartRecord
from openami.store.measuring import PartMemory

if TYPE_CHECKING:
    from pathlib import Path

    from openami.metrology.adc.calibration import Calibration
    from openami.metrology.adc.frontend import FrontEnd
    from openami.metrology.config import Grid

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
    assert set(NAMES) == set(FRONT_ENDS)


def test_a_part_is_calibrated_and_keeps_its_registers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    front, chance = FRONT_ENDS["paper-100a"], np.random.default_rng(1)
    record = PartRecord.new(front, 3, chance)
    counted = replace(record, life=4, ran=99, whole=((7,) * 8, *record.whole[1:]))
    memory = PartMemory(tmp_path / MEMORY_FILE)
    memory.keep(front.name, counted.encode(), "220/60")
    memory.close()
    show = ["metrology", "calibrate", "--state", str(tmp_path), "--show", "--json"]
    assert main(show) == 0
    before = json.loads(capsys.readouterr().out)
    assert (before["front_end"], before["grid"]) == ("paper-100a", "220/60")
    assert [each["volt"] for each in before["phases"]] == [c.volt for c in record.calibrations]
    assert main([*show[:4]]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert err == "paper-100a, at 220/60\n"
    memory = PartMemory(tmp_path / MEMORY_FILE)
    found = memory.load()
    memory.close()
    assert found is not None
    assert (found.front, found.grid) == (front.name, "220/60")
    after = PartRecord.decode(found.record)
    assert replace(after, calibrations=record.calibrations) == counted
    assert after.calibrations != record.calibrations
    for new, old in zip(after.calibrations, record.calibrations, strict=True):
        assert new.volt == pytest.approx(old.volt, rel=0.01)


@pytest.mark.parametrize("grid", ["220/60", "120/60"])
def test_a_part_is_calibrated_on_the_mains_that_it_is_made_for(
    tmp_path: Path, grid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, benches = FRONT_ENDS["sigma-delta"], []

    def bench(at: FrontEnd, chance: np.random.Generator) -> Calibration:
        benches.append((at.name, at.voltage, at.frequency))
        return calibrated(at, chance)

    memory = PartMemory(tmp_path / MEMORY_FILE)
    record = PartRecord.new(front, 1, np.random.default_rng(1))
    memory.keep(front.name, record.encode(), grid)
    memory.close()
    monkeypatch.setattr("openami.meter.calibrating.calibrated", bench)
    assert main(["metrology", "calibrate", "--state", str(tmp_path)]) == 0
    assert benches == [("sigma-delta", float(grid[:3]), 60)]
    assert str(grid_in(tmp_path)) == grid


def test_a_part_keeps_its_grid_and_refuses_another(tmp_path: Path) -> None:
    assert str(grid_in(tmp_path)) == "230/50"
    assert str(grid_in(tmp_path, grid_of("120/60"))) == "120/60"  # nothing is kept yet
    memory = PartMemory(tmp_path / MEMORY_FILE)
    assert str(_while_closed(memory, tmp_path)) == "230/50"  # it has never begun
    memory = PartMemory(tmp_path / MEMORY_FILE)
    memory.keep("sigma-delta", b"", "120/60")
    assert str(_while_closed(memory, tmp_path)) == "120/60"
    with pytest.raises(ConfigError, match="made for 120/60, not for 220/60") as caught:
        grid_in(tmp_path, grid_of("220/60"))
    assert caught.value.code == "config.grid"


def _while_closed(memory: PartMemory, state: Path) -> Grid:
    memory.close()
    return grid_in(state)


def test_where_no_part_is_there_is_nothing_to_calibrate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrology", "calibrate", "--state", str(tmp_path)]) == 2
    assert "holds no measuring part" in capsys.readouterr().err
    PartMemory(tmp_path / MEMORY_FILE).close()
    assert main(["metrology", "calibrate", "--state", str(tmp_path)]) == 2
