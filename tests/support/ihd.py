"""In-home displays: pushes for tests, a meter that stands in, and real ones in processes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np

from openami.core.errors import OpenAmiError
from openami.core.identifiers import SystemTitle
from openami.dlms.cosem.response import Answer, Said
from openami.dlms.home import Live
from openami.dlms.security import Keys
from openami.ihd.pairing import Pairing, PairingFile
from openami.transport.home import HomeTarget, IntervalEnergy, Paired

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

PATIENCE_S: Final = 120.0
"""After this long nobody waits any more, and the test fails."""


def live_at(
    at: int, *, watts: int = 500, imported: int = 0, exported: int = 0, revision: int = 0
) -> Live:
    """Return a push."""
    return Live(
        at=at,
        voltage=(220_100,),
        current=(watts * 1000 // 220,),
        active=watts * 1000,
        reactive=30_000,
        apparent=abs(watts) * 1000 + 1000,
        factor=990,
        frequency=6000,
        imported=imported,
        exported=exported,
        rate=0,
        supply=1,
        limit=None,
        emergency=False,
        status=0,
        revision=revision,
    )


PAIRED: Final = Paired(
    "OAM00000001",
    SystemTitle.parse("4F414D0000000001"),
    0x30,
    SystemTitle.parse("4F414D0000000002"),
    Keys(guek=bytes(range(16)), gak=bytes(range(16, 32))),
)


class StandIn:
    """A meter that stands in for a link to one: what it gives is set by the test.

    Attributes:
        pushes: given one after another; an error among them breaks the link.
        rows: of its load profile: end, imported and exported Wh.
        asked: what was read of the profile.
        answers: what it was told.
        refused: raised for the next answer.
    """

    serial = PAIRED.serial

    def __init__(self, rows: Sequence[tuple[int, int, int]] = (), period: int = 900) -> None:
        self.period = period
        self.rows = list(rows)
        self.pushes: asyncio.Queue[Live | OpenAmiError] = asyncio.Queue()
        self.now_said = Said()
        self.asked: list[tuple[int, int]] = []
        self.answers: list[tuple[str, Answer]] = []
        self.refused: OpenAmiError | None = None
        self.unreachable: OpenAmiError | None = None
        self.opened = 0

    @asynccontextmanager
    async def link(self, _pairing: Pairing, _keep: Callable[[int], None]) -> AsyncIterator[Any]:
        """Be what ``Display`` calls ``connect``."""
        if self.unreachable is not None:
            raise self.unreachable
        self.opened += 1
        yield self

    async def lives(self, _every_s: float) -> AsyncIterator[Live]:
        while True:
            push = await self.pushes.get()
            if isinstance(push, OpenAmiError):
                raise push
            yield push

    async def energy(self, start: int, end: int) -> IntervalEnergy:
        self.asked.append((start, end))
        rows = [each for each in self.rows if start <= each[0] <= end]
        columns = np.array(rows, np.int64).reshape(len(rows), 3)
        status = np.zeros(len(rows), np.uint8)
        return IntervalEnergy(columns[:, 0], columns[:, 1], columns[:, 2], status)

    async def said(self) -> Said:
        return self.now_said

    async def answer(self, event: str, answer: Answer) -> None:
        refused, self.refused = self.refused, None
        if refused is not None:
            raise refused
        self.answers.append((event, answer))

    async def reconnect(self) -> None:
        self.answers.append(("reconnect", Answer.ACCEPTED))


def pair_folder(folder: Path) -> None:
    """Make a display's folder as one that is paired with a stand-in."""
    folder.mkdir(exist_ok=True)
    PairingFile(folder).keep(Pairing(HomeTarget("127.0.0.1", 1), PAIRED))


async def until(holds: Callable[[], Any]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


class Child:
    """A server of ours in a process of its own, with the arguments of ``openami``.

    Attributes:
        said: what it printed when it was ready.
    """

    said: dict[str, Any]

    def __init__(self, log: Path, *arguments: str) -> None:
        self._arguments = arguments
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "openami", *self._arguments, "--json"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        self.said = json.loads(line)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it: in order, or with ``signal.SIGKILL`` without warning."""
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.send_signal(how)
            self._process.stdout.close()
            self._process.wait(PATIENCE_S)
            self._process = None

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self._log.read_text()


@dataclass(frozen=True, slots=True)
class Home:
    """A real meter and a real display of it, each a process of its own.

    Attributes:
        folder: theirs; ``display`` in it is the display's state.
        meter: to be stopped and started again: it keeps its port.
        display: to be killed and started again: it keeps its port.
        code: of the meter's label.
    """

    folder: Path
    meter: Child
    display: Child
    code: str

    @property
    def url(self) -> str:
        """Of the display's page."""
        return str(self.display.said["url"])

    def ask(self, path: str = "state", **options: Any) -> httpx.Response:
        """Ask the display's API."""
        with httpx.Client(base_url=f"{self.url}/api/v1/", trust_env=False) as client:
            return client.request(options.pop("method", "GET"), path, timeout=PATIENCE_S, **options)

    def state(self) -> dict[str, Any]:
        """Return the API's ``state``."""
        found: dict[str, Any] = self.ask().json()
        return found

    def wait(self, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Return a ``state`` for which something holds."""
        end = time.monotonic() + PATIENCE_S
        while not holds(found := self.state()):
            assert time.monotonic() < end, found
            time.sleep(0.1)
        return found

    def pair(self) -> None:
        """Pair the display with the meter, as its page does."""
        answer = self.ask("pair", method="POST", json={"code": self.code})
        assert answer.status_code == 204, answer.text
        self.wait(connected)


def connected(state: dict[str, Any]) -> bool:
    """Tell whether a display's link stands."""
    return bool(state["link"]["state"] == "connected" and state["live"])


@contextmanager
def home(
    folder: Path,
    *,
    paired: bool = True,
    source: str = "household:H02",
    since: str | None = None,
    meter: Sequence[str] = (),
    display: Sequence[str] = (),
) -> Iterator[Home]:
    """Run a meter and a display of it.

    Args:
        folder: for what they keep.
        paired: whether they are paired.
        source: what the meter measures, as ``openami meter run`` takes it.
        since: since when it has; it has a history then.
        meter: other arguments of its own.
        display: other arguments of its own.
    """
    begun = () if since is None else ("--since", since)
    ports = tuple(f"127.0.0.1:{free_port()}" for _ in range(2))
    meter_child = Child(
        folder / "meter.log",
        *("meter", "run", "--state", str(folder / "meter"), "--home", ports[0]),
        *("--source", source, *begun, *meter),
    )
    display_child = Child(
        folder / "display.log",
        *("ihd", "run", "--state", str(folder / "display"), "--listen", ports[1]),
        *("--meter", f"tcp://{ports[0]}", *display),
    )
    try:
        meter_child.start()
        display_child.start()
        code = json.loads((folder / "meter" / "meter.json").read_text())["home"]["code"]
        made = Home(folder, meter_child, display_child, code)
        if paired:
            made.pair()
        yield made
    finally:
        display_child.stop()
        meter_child.stop()


def free_port() -> int:
    """Return a port that nobody listens on: it has to be the same after a restart."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
