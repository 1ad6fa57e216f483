"""``openami firmware package-dcu`` as a maker types it; Python is the judge of what it builds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from openami.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

BUILD = ("firmware", "package-dcu", "--counter", "4", "--fits", "OA-DCU=rev A")


def test_what_is_built_runs_as_the_version_that_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.zip", "b.zip"):
        assert main([*BUILD, "--version", "1.4.0", "--out", name]) == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert main([*BUILD, "--version", "1.4.1", "--out", "c.zip"]) == 0
    assert main(["firmware", "delta", "a.zip", "c.zip", "--out", "d.delta"]) == 0
    assert (tmp_path / "d.delta").stat().st_size < 1000
    capsys.readouterr()
    assert main(["firmware", "inspect", "a.zip", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["counter"], told["fits"]) == ("1.4.0", 4, ["OA-DCU=rev A"])
    run = subprocess.run(
        [sys.executable, "-P", "-m", "openami", "dcu", "run", "--help"],
        env={**os.environ, "PYTHONPATH": "a.zip"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Run a DCU" in run.stdout
    version = subprocess.run(
        [sys.executable, "-P", "-m", "openami", "--version"],
        env={**os.environ, "PYTHONPATH": "a.zip"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert version.stdout.strip() == "openami, version 1.4.0"


@pytest.mark.parametrize(
    "options",
    [
        ("--version", "1"),
        ("--version", "1.4.0", "--fits", "OA-DCU"),
        ("--version", "1.4.0", "--source", "."),
    ],
)
def test_slips_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*BUILD, *options, "--out", "a.zip"]) == 2
    assert "config.image" in capsys.readouterr().err
    assert not (tmp_path / "a.zip").exists()
