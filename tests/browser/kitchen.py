"""A real meter and a real display in processes of their own, and a load that tests steer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, ViewportSize

ROOT = Path(__file__).resolve().parents[2]
WALL: ViewportSize = {"width": 1280, "height": 800}
PATIENCE_S = 60.0

# What a `command:` source runs: it prints the load as often as a meter looks at it.
HEATER = """
import pathlib, signal, sys, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
while True:
    print(pathlib.Path(sys.argv[1]).read_text().strip(), flush=True)
    time.sleep(0.25)
"""


@dataclass
class Kitchen:
    """A meter with its heater, and where it answers."""

    folder: Path
    home: str = "127.0.0.1:0"
    wrapper: str = "127.0.0.1:0"
    counter: int = 0  # of the management client
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.load(0)
        (self.folder / "heater.py").write_text(HEATER)

    def load(self, watts: float, var: float = 0) -> None:
        """Turn the heater's knob."""
        fresh = self.folder / "load.new"
        fresh.write_text(f"{watts} {var}\n")
        fresh.replace(self.folder / "load")

    @property
    def identity(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "meter" / "meter.json").read_text())
        return found

    @property
    def code(self) -> str:
        """The code on the meter's label."""
        return str(self.identity["home"]["code"])

    @contextmanager
    def meter(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """Run the meter; the next one that is run answers at the same places."""
        source = f"command:{sys.executable} {self.folder}/heater.py {self.folder}/load"
        links = ("--home", self.home, "--wrapper", self.wrapper)
        state = ("--state", str(self.folder / "meter"))
        with _openami("meter", "run", *state, *links, "--source", source, *options) as child:
            self.facts = _first(child)
            self.home, self.wrapper = self.facts["home"][0], self.facts["wrapper"][0]
            yield child

    @contextmanager
    def display(self, *options: str) -> Iterator[str]:
        """Run a display of this meter; yields its page's address."""
        listen = ("--listen", "127.0.0.1:0", "--meter", f"tcp://{self.home}")
        state = ("--state", str(self.folder / "display"))
        with _openami("ihd", "run", *state, *listen, *options) as child:
            yield str(_first(child)["url"])


def _first(child: subprocess.Popen[str]) -> dict[str, Any]:
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, "it ended before it said where it answers"
    found: dict[str, Any] = json.loads(line)
    return found


@contextmanager
def _openami(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "openami", *words, "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


@contextmanager
def at_home(
    folder: Path, options: tuple[str, ...], *, clock: tuple[str, ...] = ()
) -> Iterator[tuple[Kitchen, str]]:
    """Run a meter with such options and its display until the block ends."""
    kitchen = Kitchen(folder)
    with kitchen.meter(*options, *clock), kitchen.display(*clock) as url:
        yield kitchen, url


@contextmanager
def look(browser: Browser, url: str, path: str = "/", **options: Any) -> Iterator[Page]:
    """Open a display's page; at the end nothing has gone wrong in it, and no other host was asked.

    Options beside those of a browser's context: ``expected``, what of the console's messages is
    meant to be there.
    """
    expected = (*options.pop("expected", ()), "registration blocked by Playwright")
    context = browser.new_context(**{"viewport": WALL, "locale": "en-US", **options})
    context.set_default_timeout(PATIENCE_S * 1e3)
    page, wrong, hosts = context.new_page(), [], set()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
    page.goto(url + path)
    yield page
    assert [text for text in wrong if not any(part in text for part in expected)] == []
    assert hosts <= {url}
    context.close()


def pair_in(page: Page, code: str) -> None:
    """Press the code's keys as a person does, and the last one."""
    for figure in code:
        page.locator(".keypad").get_by_role("button", name=figure, exact=True).click()
    page.locator(".keypad .go").click()


def shown_within(page: Page, watts: float, *, off_by: float) -> float:
    """Wait until the page shows such a power; return after how many seconds it did."""
    began = time.monotonic()
    page.wait_for_function(
        """([wanted, off]) => {
            const shown = Number(document.getElementById('power').textContent.replace(/,/g, ''));
            const unit = document.getElementById('power-unit').textContent;
            return unit && Math.abs(shown * (unit === 'kW' ? 1000 : 1) - wanted) <= off;
        }""",
        arg=[watts, off_by],
        timeout=PATIENCE_S * 1e3,
    )
    return time.monotonic() - began


def live(page: Page) -> None:
    """Wait until the page shows what the meter pushes."""
    expect(page.locator("#link")).to_have_attribute("data-state", "connected")
