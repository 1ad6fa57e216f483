from __future__ import annotations

import subprocess
import sys

import click
import pytest

from openami import __version__
from openami.cli.main import COMMANDS, cli, main
from openami.cli.output import table


def test_every_command_says_what_it_does() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None, name
        assert command.get_short_help_str(), name


def test_a_mistake_is_an_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "dlms+tcp://127.0.0.1:1"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error[usage]: give logical names, or --profile")
    assert "hint: openami read --help" in err
    assert main(["no-such-command"]) == 2
    assert "error[usage]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (["read", "http://127.0.0.1", "1.0.1.8.0.255"], "config.url", 2),
        (["read", "dlms+tcp://127.0.0.1:4059", "nonsense"], "config.name", 2),
        (["scan", "dlms+tcp://127.0.0.1:4059", "--auth", "lls"], "config", 2),
        (["scan", "dlms+tcp://127.0.0.1:4059", "--auth", "hls5-gmac"], "config", 2),
        (["demo", "--for", "soon"], "config", 2),
        (["meter", "run", "--state", "x", "--wrapper", "here"], "config", 2),
        (["headend", "run", "--set", "rows"], "config", 2),
        (["device", "read", "M1", "not/a"], "config", 2),
    ],
)
def test_errors_have_a_code_and_a_status(
    arguments: list[str],
    code: str,
    status: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    monkeypatch.delenv("OPENAMI_PASSWORD", raising=False)
    assert main(arguments) == status
    assert f"error[{code}]" in capsys.readouterr().err


def test_nothing_listening_is_a_transport_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "dlms+tcp://127.0.0.1:1", "3/1.0.1.8.0.255/2"]) == 5
    err = capsys.readouterr().err
    assert "error[transport.refused]" in err
    assert "hint:" in err


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openami", "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout


def test_a_reader_that_has_gone_is_no_error() -> None:
    program = f"{sys.executable} -m openami --help | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""


def test_tables_put_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    table(["name", "count"], [["a", 5], ["bcd", 1234], ["", None]])
    assert capsys.readouterr().out.splitlines() == [
        "name  count",
        "a         5",
        "bcd    1234",
        "",
    ]
