"""``openami ihd`` as people type it, with a real meter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.test_options import Row, Started, options_of
from tests.support.ihd import connected, home

from openami.cli.main import main
from openami.core.clock import isoformat
from openami.mdm import tariffs
from openami.transport.clock import SystemClock, speed_of
from openami.transport.home import HomeTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RUN = "ihd run --state {tmp}/state"
PAIR = "--certificate {tmp}/c.pem --certificate-key {tmp}/k.pem"
OPTIONS: Mapping[str, Row] = {
    "state": Row("--state {tmp}/other", lambda s: s.settings.state.name, "other", "state"),
    "meter": Row(
        "--meter gateway://h:1/OAM00000001",
        lambda s: s.settings.target,
        HomeTarget.parse("gateway://h:1/OAM00000001"),
        None,
    ),
    "listen": Row("--listen [::1]:5", lambda s: s.settings.listen, ("::1", 5), ("127.0.0.1", 8480)),
    "tariff": Row(
        "--tariff gb-price-cap-average",
        lambda s: s.settings.tariff.name,
        "gb-price-cap-average",
        "kr-residential-low",
    ),
    "timezone": Row(
        "--timezone America/Toronto",
        lambda s: s.settings.zone and s.settings.zone.key,
        "America/Toronto",
        None,
    ),
    "carbon": Row("--carbon 0.5", lambda s: s.settings.carbon, Decimal("0.5"), None),
    "hosts": Row("--host a --host b.local", lambda s: s.settings.hosts, ("a", "b.local"), ()),
    "certificate": Row(
        PAIR, lambda s: s.settings.certificate and s.settings.certificate[0].name, "c.pem", None
    ),
    "certificate_key": Row(
        PAIR, lambda s: s.settings.certificate and s.settings.certificate[1].name, "k.pem", None
    ),
    "pin_file": Row("--pin-file {tmp}/pin", lambda s: s.settings.pin, "0123456", None),
    "name": Row("--name Kitchen", lambda s: s.settings.name, "Kitchen", "display"),
    "every": Row("--every 7.5", lambda s: s.settings.every_s, 7.5, 30.0),
    "clock": Row("--clock 2026-01-01T00:00Z,60", lambda s: speed_of(s.settings.clock), 60.0, 1.0),
    "log_level": Row("--log-level error", lambda s: s.log_level, "error", "info"),
    "as_json": Row("--json", lambda s: s.as_json, True, False),
}


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


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Started]:
    """Give a function that types `ihd run` and returns what it would have run."""
    caught: dict[str, Any] = {}

    def run(settings: Any, *, ready: Any) -> None:
        caught.update(settings=settings, as_json=ready.keywords["as_json"])

    def run_server(_: Any, *, log_level: str) -> None:
        caught["log_level"] = log_level

    monkeypatch.delenv("OPENAMI_LOG_LEVEL", raising=False)
    monkeypatch.setattr("openami.ihd.run.run_display", run)
    monkeypatch.setattr("openami.cli.run.run_server", run_server)
    (tmp_path / "pin").write_text("0123456\n")

    def typed(given: str) -> Started:
        assert main(f"{RUN} {given}".format(tmp=tmp_path).split()) == 0
        return Started(**caught)

    return typed


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_of_run_sets_up_the_display(option: str, start: Callable[[str], Started]) -> None:
    row = OPTIONS[option]
    assert row.place(start(row.given)) == row.expected


def test_a_display_without_options_has_the_defaults(start: Callable[[str], Started]) -> None:
    plain = start("")
    found = {name: row.place(plain) for name, row in OPTIONS.items()}
    assert found == {name: row.default for name, row in OPTIONS.items()}
    assert options_of("ihd", "run") == set(OPTIONS)


def test_the_tariff_of_a_file_is_typed_as_its_path(
    tmp_path: Path, start: Callable[[str], Started]
) -> None:
    shipped = Path(tariffs.__file__).parent / "data" / "gb-price-cap-average.toml"
    own = shipped.read_text().replace('"gb-price-cap-average"', '"ours"')
    (tmp_path / "own.toml").write_text(own)
    assert start("--tariff {tmp}/own.toml").settings.tariff.name == "ours"


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
