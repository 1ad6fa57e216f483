from __future__ import annotations

import json
from typing import TYPE_CHECKING

from openami.cli import metrology
from openami.cli.main import main
from openami.metrology.adc.frontend import FRONT_ENDS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ARGUMENTS = ["metrology", "accuracy", "--seconds", "5", "--front-end", "sigma-delta"]


def test_the_table_has_every_point(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGUMENTS) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == [
        "front", "end", "class", "power", "factor", "current", "(A)", "limit", "(%)", "error",
        "(%)", "kept",
    ]  # fmt: skip
    assert len(lines) == 32
    assert all(line.endswith("yes") for line in lines[1:])
    assert err == (
        "sigma-delta: 31 of 31 points kept, starts at its starting current,"
        " stands still without a load\n"
    )


def test_json_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "accuracy.svg"
    assert main([*ARGUMENTS, "--json", "--plot", str(picture)]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["front_end"], found["class"], found["kept"]) == ("sigma-delta", "0.5S", True)
    assert len(found["points"]) == 31
    assert all(abs(point["error"]) <= point["limit"] for point in found["points"])
    assert picture.read_text("utf-8").startswith("<svg")


def test_the_command_knows_every_front_end() -> None:
    assert set(metrology.FRONT_ENDS) == set(FRONT_ENDS)
