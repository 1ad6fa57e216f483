"""``openami appliance simulate``: what it prints, and what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from openami.cli.main import main
from openami.meter.recordings import from_file

if TYPE_CHECKING:
    from pathlib import Path

SIMULATE = ("appliance", "simulate", "--appliance", "water-heater")


def test_each_second_has_a_line_until_it_is_stopped() -> None:
    words = [sys.executable, "-m", "openami", *SIMULATE, "--base", "constant:250,40"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        line = run.stdout.readline()
        run.terminate()
        assert run.wait(20) == 0
    active, reactive = map(float, line.split())
    assert active >= 250.0
    assert reactive == 40.0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--base", "command:true"), "config"),
        (("--base", "nothing"), "config"),
        (("--ihd", "ftp://x"), "config"),
        (("--clock", "now"), "config.clock"),
        (("--zone", "Mars"), "config"),
    ],
)
def test_options_that_are_none_are_told(
    options: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SIMULATE, *options]) == 2
    assert capsys.readouterr().err.startswith(f"error[{code}]: ")


def test_a_folder_that_holds_something_else_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "appliances.json").write_text("no")
    assert main([*SIMULATE, "--state", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error[config.file]: ")


def test_a_past_is_a_recording_that_a_meter_plays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "past.csv"
    words = ("appliance", "record", str(path), "--appliance", "water-heater", "--base")
    span = ("--since", "2026-07-01T00:02+09:00", "--until", "2026-07-03T00:00+09:00")
    assert main([*words, "constant:250,40", *span, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == 2 * 288
    assert told["first"] == "2026-07-01T00:00:00"
    assert told["last"] == "2026-07-02T23:55:00"
    assert 15 < told["kwh"] < 48  # the home's own 12, and two days of warm water
    recording = from_file(path)
    assert (recording.step, recording.start) == (300, 1_782_864_000)
    assert sum(sample.active for sample in recording.samples) / 12e6 == pytest.approx(
        told["kwh"], abs=0.01
    )
    assert {sample.reactive for sample in recording.samples} == {40_000}


def test_a_past_that_has_not_been_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["appliance", "record", str(tmp_path / "past.csv"), "--appliance", "charger", "--since"]
    assert main([*words, "2026-07-03T00:00Z", "--until", "2026-07-03T00:01Z"]) == 2
    assert main([*words, "2020-07-03T00:00Z", "--until", "2026-07-03T00:00Z"]) == 2
    assert main([*words, "soon"]) == 2
    assert capsys.readouterr().err.count("error[config") == 3
    assert not (tmp_path / "past.csv").exists()
