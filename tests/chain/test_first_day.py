"""The tutorial as its reader types it, command by command, with what it says comes out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.ports import free_ports

from openami.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.chain

PAGE: Final = Path(__file__).parents[2] / "docs/tutorial/first-day.md"
PORTS: Final = ("4059", "4060", "8443", "8444", "8445")
PASSED_OVER: Final = ("make demo", "export PATH")  # what the tests are about, and run in
# Where a part listens is left to its default on the page, and may be taken on this machine.
PLACES: Final = {"meter run": "--wrapper 127.0.0.1:4059", "street run": "--modem 127.0.0.1:4060"}
HASTE: Final = ("00:00:00Z,60,", "00:00:00Z,240,")  # a first interval in seconds
READY_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class Typed:
    """A command of the page, and the lines that it shows after it."""

    line: str
    shown: list[str] = field(default_factory=list)

    @property
    def stays(self) -> bool:
        """Whether it is a server, which has a terminal of its own."""
        return re.match(r"openami (meter|street|headend|dcu) run ", self.line) is not None


def page(text: str) -> list[Typed]:
    """Return what the page lets its reader type, in order."""
    found: list[Typed] = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append(Typed(line[2:]))
            else:
                found[-1].shown.append(line)
    return [typed for typed in found if not typed.line.startswith(PASSED_OVER)]


@contextmanager
def terminal(typed: Typed, log: Path) -> Iterator[None]:
    """Run a server until the end, from when it has said what the page shows.

    Then it is killed, as the page has its reader do.
    """
    words = [os.path.expandvars(word) for word in shlex.split(typed.line)[1:]]
    # The page's DCU shows nothing but its log.
    awaited = typed.shown[-1] if typed.shown else "event=collects"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "openami", *words], stdout=said, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: awaited in log.read_text("utf-8") or process.poll() is not None)
        assert process.poll() is None, log.read_text("utf-8")
        yield
    finally:
        process.kill()
        process.wait()


def wait_until(holds: object) -> None:
    """Return once something holds."""
    assert callable(holds)
    deadline = time.monotonic() + READY_S
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def test_the_page_says_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text("utf-8")
    for part, place in PLACES.items():
        text = text.replace(f"$ openami {part} ", f"$ openami {part} {place} ")
    for port, free in zip(PORTS, free_ports(), strict=False):
        text = text.replace(port, free)
        if port.startswith("844"):
            name = {"8443": "LISTEN", "8444": "DEVICE_LISTEN", "8445": "SECURITY_LISTEN"}[port]
            monkeypatch.setenv(f"OPENAMI_HEADEND_{name}", f"127.0.0.1:{free}")
    text = text.replace("/tmp/", f"{tmp_path}/").replace(*HASTE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    with ExitStack() as terminals:
        for number, typed in enumerate(page(text)):
            if typed.stays:
                terminals.enter_context(terminal(typed, tmp_path / f"{number}.log"))
            elif typed.line.startswith("export "):
                name = typed.line.split()[1].partition("=")[0]
                value = subprocess.check_output(["bash", "-c", f'{typed.line}; echo "${name}"'])
                monkeypatch.setenv(name, value.decode().strip())
            else:
                type_it(typed, capsys)


def type_it(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a command that ends, and compare."""
    line, _, into = typed.line.partition(">")
    _, *words = shlex.split(line)
    if words[0] == "readings":
        # "As soon as they have an interval to give."
        wait_until(lambda: main([*words[:2], "--latest"]) == 0 and "Wh" in capsys.readouterr().out)
    status = main([os.path.expandvars(word) for word in words])
    out, err = capsys.readouterr()
    assert status == 0, f"{typed.line}\n{out}{err}"
    missing = [shown for shown in typed.shown if shown not in (out + err).splitlines()]
    assert missing == [], f"{typed.line}\n{out}{err}"
    if into:
        Path(into.strip()).write_text(out, "utf-8")
