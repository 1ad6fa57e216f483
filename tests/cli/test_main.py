from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import pytest

from openami import __version__
from openami.cli.main import COLLECT_EACH, cli, main
from openami.cli.output import counted, table
from openami.dcu.installation import Installation
from openami.headend.settings import HeadendSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.core.settings import Settings

# As a user's Python writes: what could not be written is tried again at the end.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

PRINTS_NO_DATA: Final = {
    "openami appliance simulate": "prints what a meter reads",
    "openami audit export": "writes lines of JSON anyway",
    "openami audit head": "prints a line of JSON anyway",
    "openami audit key": "prints a key in PEM",
    "openami c1222 write": "tells how much it wrote, and no more",
    "openami dcu boot": "runs until it is stopped",
    "openami dcu run": "runs until it is stopped",
    "openami firmware build": "writes a file",
    "openami firmware package-component": "writes a file",
    "openami firmware package-dcu": "writes a file",
    "openami firmware sign": "writes a file",
    "openami headend account": "what it makes has the name that was given",
    "openami headend enroll": "writes files",
    "openami login": "keeps the token, and shows it to nobody",
    "openami pki crl": "writes a file",
    "openami pki maker": "writes files",
    "openami release draft": "writes a file",
    "openami release keys remove": "there is nothing left to tell of",
    "openami release repository draft-root": "writes a file",
    "openami release repository root": "writes a file",
    "openami release sign": "writes a file",
}
"""The commands without --json, and why."""


def commands(
    command: click.Command = cli, name: str = "openami", parent: click.Context | None = None
) -> Iterator[tuple[str, click.Context]]:
    """Yield every command's path, and a context in which it says how it is used."""
    settings = {} if parent else command.context_settings
    context = click.Context(command, parent, info_name=name, terminal_width=80, **settings)
    yield context.command_path, context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            child = command.get_command(context, each)
            assert child is not None
            yield from commands(child, each, context)


def test_every_command_and_all_that_it_takes_has_a_help() -> None:
    for path, context in commands():
        command, text = context.command, context.command.help or ""
        assert text, path
        assert command.get_short_help_str(), path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)
                continue
            # An argument is told of by its name in capitals, in the words about the command.
            words = re.findall(r"[A-Z][A-Z_]*", parameter.metavar or str(parameter.name).upper())
            assert words, (path, parameter.name)
            assert any(re.search(rf"\b{word}\b", text) for word in words), (path, parameter.name)


def test_every_command_that_prints_data_prints_json() -> None:
    without = {
        path
        for path, context in commands()
        if not isinstance(context.command, click.Group)
        and "--json" not in {option for each in context.command.params for option in each.opts}
    }
    assert without == PRINTS_NO_DATA.keys()


def test_wrong_use_of_any_command_has_status_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, context in commands():
        _, *names = path.split()
        assert main([*names, "--no-such-option"]) == 2, path
        err = capsys.readouterr().err
        assert err.startswith("error[usage]: No such option"), path
        assert err.endswith(f"hint: {path} --help\n"), path
        needed = any(each.required for each in context.command.params)
        if needed or isinstance(context.command, click.Group):
            assert main(names) == 2, path
            begin = "error[usage]: Missing" if needed else f"Usage: {path} "
            assert capsys.readouterr().err.startswith(begin), path
    assert not list(tmp_path.iterdir())


# In a process of its own: click keeps a command's help option, as it was when it was first asked.
HELP_OF_ALL: Final = """
import sys
from openami.cli.main import WIDTH, main
for path in sys.argv[1:]:
    print(f"## {path}\\n\\n```text", flush=True)
    assert main([*path.split()[1:], "--help"], terminal_width=WIDTH) == 0
    print("```\\n", flush=True)
"""


def test_what_help_prints_is_in_the_reference() -> None:
    paths = [path for path, _ in commands()]
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_ALL, *paths], capture_output=True, text=True, check=True
    )
    reference = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
    _, head, sections = reference.read_text("utf-8").partition("## openami\n")
    assert (head + sections).splitlines() == done.stdout.rstrip().splitlines()


def test_help_is_whole_and_has_examples_of_its_own_command() -> None:
    for path, context in commands():
        text = context.command.get_help(context)
        assert "..." not in text.partition("Commands:")[2], path
        assert "\\b" not in text, path
        if "Examples:" in text:
            typed = text.partition("Examples:\n")[2].splitlines()
            assert typed[0].strip().startswith(path), path


def test_help_names_the_defaults_that_settings_have() -> None:
    shown = {path: context.command.get_help(context) for path, context in commands()}
    fields: dict[str, tuple[type[Settings], tuple[str, ...]]] = {
        "openami headend run": (
            HeadendSettings,
            ("state", "listen", "device_listen", "security_listen", "timezone"),
        ),
        "openami dcu run": (Installation, ("state",)),
    }
    for path, (settings, names) in fields.items():
        text = "".join(shown[path].split())
        for name in names:
            assert f"[default:{settings.model_fields[name].default}]" in text, (path, name)


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
        (["demo", "--meters", "1", "--dcus", "2"], "config.option", 2),
        (["meter", "run", "--state", "x", "--wrapper", "here"], "config", 2),
        (["headend", "run", "--set", "rows"], "config", 2),
        (["device", "read", "M1", "not/a"], "config.name", 2),
        (["device", "read", "M1", "65536/0.0.1.0.0.255/2"], "config.name", 2),
        (["read", "dlms+tcp://127.0.0.1:4059", "3/1.0.1.8.0.255/128"], "config.name", 2),
        (["meter", "run", "--state", "/proc/none/x"], "config", 2),
        (["scan", "hdlc+tcp://127.0.0.1:1?server=1:17", "--client", "128"], "config", 2),
        (["scan", "dlms+tcp://127.0.0.1:1", "--client", "128"], "transport.refused", 5),
        (["demo", "--port", "0", "--state", "/proc/none"], "config.file", 2),
        (["headend", "import", "/proc/version", "--state", "x"], "config.installation", 2),
        (["headend", "enroll", "D1", "--out", "x", "--state", "x"], "config.installation", 2),
        (["headend", "run", "--timezone", "Mars"], "config.setting", 2),
        (["headend", "run", "--set", "nonsense=1"], "config.setting", 2),
        (["dcu", "run"], "config.setting", 2),
        (["login", "https://127.0.0.1:1"], "config", 2),
        (["login", "https://127.0.0.1:1", "--password-file", "absent"], "config", 2),
        (["readings", "M1", "--channel", "1.2"], "config.name", 2),
        (
            ["readings", "M1", "--url", "https://127.0.0.1:1", "--format", "csv", "--latest"],
            "config",
            2,
        ),
        (
            ["readings", "M1", "--url", "https://127.0.0.1:1", "--format", "arrow", "--most", "1"],
            "config",
            2,
        ),
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


@pytest.mark.parametrize(
    "options",
    [
        ["--from", "2026-01-02", "--to", "2026-01-01"],
        ["--from", "2026-13-01"],
        ["--entries", "0:5"],
        ["--entries", "5:2"],
        ["--entries", "1:4294967296"],
        ["--entries", "first"],
        ["--entries", "1", "--to", "2026-01-01"],
    ],
)
def test_rows_that_there_can_not_be(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    profile = ["read", "dlms+tcp://127.0.0.1:1", "--profile", "1.0.99.1.0.255"]
    assert main([*profile, *options]) == 2
    assert "error[config]" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--wrapper", "x"], ["--source", "x"], ["--zone", "x"]])
def test_a_mistake_leaves_no_new_meter_behind(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["meter", "run", "--state", str(tmp_path / "meter"), *options]) == 2
    assert "error[config]" in capsys.readouterr().err
    options = ["--modem" if option == "--wrapper" else option for option in options]
    assert main(["street", "run", "--state", str(tmp_path / "street"), *options]) == 2
    assert not list(tmp_path.iterdir())


def test_a_folder_that_can_not_be_is_told_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openami", "headend", "run", "--state", "/proc/none"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error[config.file]: /proc/none: No such file or directory")


def test_a_full_disk_under_the_output_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "openami", "decode", "dlms", "C001C100080000010000FF0200"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=BUFFERED,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error[config.file]: output: No space left on device")
    assert "Traceback" not in done.stderr


def test_nothing_listening_is_a_transport_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "dlms+tcp://127.0.0.1:1", "3/1.0.1.8.0.255/2"]) == 5
    err = capsys.readouterr().err
    assert "error[transport.refused]" in err
    assert "hint:" in err
    keys = [f"--key={name}={'00' * 16}" for name in ("guek", "gak")]
    assert main(["scan", "dlms+tcp://127.0.0.1:1", "--auth", "hls5-gmac", *keys]) == 5
    assert "error[transport.refused]" in capsys.readouterr().err


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openami", "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout


def test_only_in_a_process_of_its_own_garbage_is_looked_for_more_seldom(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = gc.get_threshold()
    monkeypatch.setattr(sys, "argv", ["openami", "--version"])
    try:
        assert main(["--version"]) == 0
        assert gc.get_threshold() == before
        assert main() == 0
        assert gc.get_threshold() == (COLLECT_EACH, *before[1:])
    finally:
        gc.set_threshold(*before)
    assert capsys.readouterr().out.count(__version__) == 2


def test_a_reader_that_has_gone_is_no_error() -> None:
    program = f"{sys.executable} -m openami --help | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""


def test_one_thing_is_not_things() -> None:
    assert [counted(number, "row") for number in (0, 1, 2880)] == ["0 rows", "1 row", "2,880 rows"]


def test_tables_put_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    table(["name", "count"], [["a", 5], ["bcd", 1234], ["", None]])
    assert capsys.readouterr().out.splitlines() == [
        "name  count",
        "a         5",
        "bcd    1234",
        "",
    ]
