"""``openami ihd`` as people type it, with a real meter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.ihd import connected, home

from openami.cli.main import main
from openami.core.clock import isoformat
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


def openami(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "openami", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_pair_by_the_label_and_take_a_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    since = isoformat(SystemClock().now() - 40 * 86_400)
    with home(tmp_path, paired=False, since=since) as found:
        found.display.stop(signal.SIGKILL)  # it leaves behind where it answered
        folder = str(tmp_path / "display")
        url = f"tcp://{found.meter.said['home'][0]}"
        assert main(["meter", "label", "--state", str(tmp_path / "meter")]) == 0
        label = capsys.readouterr().out
        pairing = ("ihd", "pair", "--state", folder, "--meter", url, "--code-file", "-", "--json")
        done = openami(*pairing, typed=label)
        assert json.loads(done.stdout)["serial"] == found.meter.said["serial"], done.stderr
        assert found.code not in done.stdout + done.stderr

        once = openami("ihd", "show", "--state", folder)
        assert once.returncode == 0, once.stderr
        lines = dict(line.split("  ", 1) for line in once.stdout.splitlines())
        assert {"voltage", "active power", "today", "this month", "bill so far"} <= set(lines)
        assert found.meter.said["serial"] in once.stdout

        found.display.start()
        found.wait(connected)
        twice = json.loads(openami("ihd", "show", "--state", folder, "--json").stdout)
        assert twice["energy"]["last_month_total_wh"] > 0


def test_without_a_pairing_there_is_nothing_to_see(tmp_path: Path) -> None:
    done = openami("ihd", "show", "--state", str(tmp_path))
    assert done.returncode == 2
    assert "error[home.unpaired]" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--tariff", "none"), "tariff.unknown"),
        (("--timezone", "Moon/Base"), "config"),
        (("--carbon", "-3"), "config"),
        (("--carbon", "much"), "config"),
        (("--meter", "http://127.0.0.1"), "config.url"),
        (("--certificate", "c.pem"), "config"),
        (("--pin-file", "missing"), "config.file"),
        (("--listen", "nowhere"), "config"),
    ],
)
def test_options_are_checked(
    tmp_path: Path, arguments: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ihd", "run", "--state", str(tmp_path / "home"), *arguments]) == 2
    assert f"error[{code}]" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["1234", "123456a", "correct horse", "\uff11" * 6, "1" * 17])
def test_a_pin_that_is_short_or_no_tablet_can_type_is_refused(
    tmp_path: Path, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pin = tmp_path / "pin"
    pin.write_text(f"{given}\n")
    assert main(["ihd", "run", "--state", str(tmp_path / "home"), "--pin-file", str(pin)]) == 2
    said = capsys.readouterr().err
    assert "error[config.pin]" in said
    assert given not in said


def test_beyond_this_machine_it_wants_more(tmp_path: Path) -> None:
    done = openami("ihd", "run", "--state", str(tmp_path / "home"), "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert "error[home.open]" in done.stderr
