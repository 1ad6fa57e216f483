"""``openami meter run``, ``scan`` and ``read`` as a user types them, on real sockets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from openami.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANAGEMENT = ["--client", "1", "--auth", "hls5-gmac"]
READER = ["--client", "2", "--auth", "lls"]


@contextmanager
def running(*words: str) -> Iterator[dict[str, Any]]:
    """Run a server; give what it announces."""
    command = [sys.executable, "-m", "openami", *words, "--json", "--log-level", "warning"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.fixture(scope="module")
def meter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A meter that has measured 1,200 W for two days, and where it can be reached."""
    state = tmp_path_factory.mktemp("meter") / "state"
    words = [
        "meter", "run", "--state", str(state),
        "--wrapper", "127.0.0.1:0", "--hdlc", "127.0.0.1:0", "--number", "42", "--address", "17",
        "--source", "constant:1200", "--clock", "2026-01-05T00:00:00Z,1",
        "--since", "2026-01-03T00:00:00Z",
    ]  # fmt: skip
    with running(*words) as facts:
        yield {**facts, "keys": ["--key-file", str(state / "meter.json")]}


def rows(out: str) -> Any:
    return [json.loads(line) for line in out.splitlines()]


def urls(meter: dict[str, Any]) -> list[str]:
    wrapper, hdlc = meter["wrapper"][0], meter["hdlc"][0]
    return [
        f"dlms+tcp://{wrapper}",
        f"dlms+udp://{wrapper}",
        f"hdlc+tcp://{hdlc}?server=1:17&address_size=4",
        f"hdlc+tcp://{hdlc}?server=1:17&address_size=2",
    ]


def test_a_stranger_sees_little_and_a_manager_everything(
    meter: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    url = urls(meter)[0]
    assert main(["scan", url, "--json"]) == 0
    public = {row["logical_name"] for row in json.loads(capsys.readouterr().out)}
    assert main(["scan", url, "--json", *MANAGEMENT, *meter["keys"]]) == 0
    managed = {row["logical_name"] for row in json.loads(capsys.readouterr().out)}
    assert "1.0.1.8.0.255" not in public
    assert {"0.0.1.0.0.255", "0.0.42.0.0.255"} <= public < managed
    assert len(managed) >= 108


@pytest.mark.parametrize("how", range(4))
def test_a_register_is_read_exactly_over_every_link(
    meter: dict[str, Any], how: int, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["3/1.0.1.8.0.255/2", "0.0.96.1.0.255"]
    assert main(["read", urls(meter)[how], "--json", *MANAGEMENT, *meter["keys"], *names]) == 0
    energy, serial = json.loads(capsys.readouterr().out)
    assert serial["value"] == meter["serial"]
    assert (energy["scaler"], energy["symbol"]) == (0, "Wh")
    assert energy["value"] - 2 * 24 * 1200 in range(100)


def test_a_password_reads_too_and_is_never_shown(
    meter: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = urls(meter)[0]
    assert main(["read", url, *READER, *meter["keys"], "1.0.1.8.0.255"]) == 0
    assert "Wh" in capsys.readouterr().out
    monkeypatch.setenv("OPENAMI_METER_PASSWORD", "certainly-wrong")
    assert main(["read", url, *READER, "1.0.1.8.0.255"]) == 4
    err = capsys.readouterr().err
    assert "error[association.authentication-failure]" in err
    assert "hint: wrong password" in err
    assert "certainly-wrong" not in err


def test_a_profile_by_range_and_by_entry(
    meter: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    profile = [
        "read",
        urls(meter)[0],
        "--json",
        *MANAGEMENT,
        *meter["keys"],
        "--profile",
        "1.0.99.1.0.255",
    ]
    assert main([*profile, "--from", "2026-01-03T00:15:00Z", "--to", "2026-01-04T00:00:00Z"]) == 0
    day = rows(capsys.readouterr().out)
    assert len(day) == 96
    assert [day[0]["clock"], day[-1]["clock"]] == ["2026-01-03T00:15:00Z", "2026-01-04T00:00:00Z"]
    assert sum(row["1.0.1.29.0.255 [Wh]"] for row in day) == 24 * 1200
    assert main([*profile, "--entries", "1:4"]) == 0
    assert rows(capsys.readouterr().out) == day[:4]


def test_what_may_not_be_read_says_so(
    meter: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", urls(meter)[0], "1.0.1.8.0.255"]) == 2
    assert "error[meter.unknown-object]" in capsys.readouterr().err
    assert main(["read", urls(meter)[0], "3/1.0.1.8.0.255/2", "--json"]) == 3
    (value,) = json.loads(capsys.readouterr().out)
    assert value["error"].startswith("dlms.")


def test_a_wrong_key_is_refused(
    meter: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["--key", f"guek={'00' * 16}", "--key", f"gak={'11' * 16}"]
    assert main(["read", urls(meter)[0], *MANAGEMENT, *keys, "3/1.0.1.8.0.255/2"]) in {3, 4}
    err = capsys.readouterr().err
    assert err.startswith("error[")
    assert "0000000000000000" not in err


def test_a_meter_is_read_on_the_terminal_that_it_announces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    with running("meter", "run", "--pty", "--address", "17", "--state", str(state)) as facts:
        assert facts["wrapper"] == facts["hdlc"] == []
        (line,) = facts["serial_lines"]
        url = f"hdlc+serial:{line}?server=1:17"
        keys = ["--key-file", str(state / "meter.json")]
        assert main(["read", url, "--json", *MANAGEMENT, *keys, "0.0.96.1.0.255"]) == 0
    (serial,) = json.loads(capsys.readouterr().out)
    assert serial["value"] == facts["serial"]


def test_a_meter_counts_what_its_converter_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    words = [
        "meter", "run", "--state", str(state), "--wrapper", "127.0.0.1:0", "--phases", "3",
        "--source", "constant:3000,-600", "--adc", "sigma-delta", "--grid", "220/60",
        "--clock", "2026-01-05T00:00:00Z,1", "--since", "2026-01-04T23:00:00Z",
    ]  # fmt: skip
    with running(*words) as facts:
        url = f"dlms+tcp://{facts['wrapper'][0]}"
        keys = ["--key-file", str(state / "meter.json")]
        registers = ["1.0.1.8.0.255", "1.0.4.8.0.255", "1.0.1.7.0.255", "1.0.32.7.0.255"]
        registers += ["1.0.14.7.0.255", "1.0.0.6.0.255", "1.0.0.6.2.255"]
        assert main(["read", url, "--json", *MANAGEMENT, *keys, *registers]) == 0
    energy, reactive, power, volts, hertz, *rated = (
        float(row["value"]) for row in json.loads(capsys.readouterr().out)
    )
    assert energy == pytest.approx(3000, rel=0.005)
    assert reactive == pytest.approx(600, rel=0.01)
    assert power == pytest.approx(3000, rel=0.005)
    assert volts == pytest.approx(2200, rel=0.005)  # with a scaler of -1
    assert hertz == pytest.approx(6000, abs=1)
    assert rated == [220, 60]


def test_a_meter_counts_what_its_measuring_part_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = ["metrology", "run", "--state", str(tmp_path / "part"), "--line", "tcp:127.0.0.1:0"]
    clock = "2026-01-05T00:00:00Z,60,2026-01-05T00:00:00Z"
    words = ["meter", "run", "--state", str(tmp_path / "meter"), "--wrapper", "127.0.0.1:0"]
    with (
        running(
            *part, "--source", "constant:3000,-600", "--grid", "220/60", "--clock", clock
        ) as told,
        running(*words, "--metrology", told["line"], "--clock", clock) as facts,
    ):
        assert (told["life"], told["part"] > 0) == (1, True)
        url = f"dlms+tcp://{facts['wrapper'][0]}"
        keys = ["--key-file", str(tmp_path / "meter" / "meter.json")]
        registers = ["1.0.1.7.0.255", "1.0.32.7.0.255", "1.0.81.7.4.255", "1.0.31.7.124.255"]
        assert main(["read", url, "--json", *MANAGEMENT, *keys, *registers]) == 0
    power, volts, angle, distortion = (
        float(row["value"]) for row in json.loads(capsys.readouterr().out)
    )
    assert power == pytest.approx(3000, rel=0.005)
    assert volts == pytest.approx(2200, rel=0.005)
    assert angle == pytest.approx(-113, abs=3)
    assert distortion < 300


def test_a_measuring_part_keeps_its_front_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = ["metrology", "run", "--state", str(tmp_path), "--line", "tcp:127.0.0.1:0"]
    with running(*part, "--adc", "paper-100a"):
        pass
    assert main(part) == 2
    assert "calibrated with the front end paper-100a" in capsys.readouterr().err


def test_a_street_is_scanned_on_the_terminal_that_it_announces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["street", "run", "--pty", "--meters", "1", "--first", "7"]
    with running(*words, "--state", str(tmp_path / "street")) as facts:
        (station,) = facts["stations"]
        assert main(["scan", f"hdlc+serial:{facts['modem']}?server=1:{station}", "--json"]) == 0
    assert station == 16 + 7
    found = {row["logical_name"] for row in json.loads(capsys.readouterr().out)}
    assert {"0.0.1.0.0.255", "0.0.42.0.0.255"} <= found


def test_the_public_client_reads_all_where_it_is_let(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["meter", "run", "--public-access", "full", "--wrapper", "127.0.0.1:0"]
    with running(*words, "--state", str(tmp_path / "state")) as facts:
        assert main(["read", f"dlms+tcp://{facts['wrapper'][0]}", "1.0.1.8.0.255"]) == 0
    assert "Wh" in capsys.readouterr().out


def test_a_dedicated_key_and_general_forms_read_the_same(
    meter: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    reading = ["read", urls(meter)[0], "--json", *MANAGEMENT, *meter["keys"], "0.0.96.1.0.255"]
    for how in ([], ["--dedicated"], ["--general"], ["--dedicated", "--general"]):
        assert main([*reading, *how]) == 0
        assert json.loads(capsys.readouterr().out)[0]["value"] == meter["serial"]
