"""A town for campaigns: streets of meters on lossy lines, a DCU at each, one head-end."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openami.cli.demo import arrival
from openami.cli.demo.chain import ZONE, Chain, Plan, read
from openami.core.clock import isoformat
from openami.meter.maker import Maker
from openami.transport.clock import ClockSettings, SystemClock

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable, Mapping

    from tests.support.chain_bench import Crew

LOSS: Final = "0.05"
QUARTER_S: Final = 900
HISTORY_S: Final = 3600
TO_QUARTER_S: Final = 90.0
"""From the start to the end of an interval: every meter is to be read while it is upgraded."""
HEADEND: Final = "headend"
NOWHERE: Final = "127.0.0.1:0"
LISTENERS: Final[Mapping[str, str]] = {
    "--listen": "console", "--device-listen": "devices", "--security-listen": "security",
}  # fmt: skip
PAUSE_S: Final = (30.0, 80.0)  # from one death of a DCU to its next, as they come on the average
DEATHS: Final = 2  # of each DCU, on the average: nothing comes to its end while all go on dying
OFF_S: Final = (0.0, 1.0)  # how long what was killed is away
WANTED: Final[Mapping[str, object]] = {
    "./AMI/Collection/LoadPeriod": QUARTER_S,
    "./AMI/Collection/DailyProfile": "",
    "./AMI/Collection/BillingProfile": "",
    "./AMI/Collection/EventLogs": "",
    "./AMI/Collection/Spread": 20,
    "./AMI/Collection/Settle": 5,
    "./AMI/Collection/Timezone": ZONE,
    "./AMI/Upload/ReportEvery": 5,
    "./AMI/Upload/BatchAge": 2,
    "./AMI/Upload/RetryFirst": 0.2,
    "./AMI/Upload/RetryMost": 2,
    "./AMI/Segment/BackoffFirst": 2,
    "./AMI/Segment/BackoffMost": 5,
    "./AMI/Segment/ProbeRest": 5,
    "./AMI/Segment/Introduction": 60,
    "./AMI/Link/ReconnectFirst": 0.2,
    "./AMI/Link/ReconnectMost": 1,
    # One of ten exchanges wants a repetition: few meters seem silent with so many of them.
    "./AMI/Link/Retries": 12,
    "./AMI/Link/ResponseTimeout": 0.15,
    "./AMI/Link/ProbeTimeout": 0.15,
}


@dataclass(slots=True, kw_only=True)
class Town(Chain):
    """The chain of the demo on worse lines, and parts of it are killed; ``make_town`` makes one.

    Attributes:
        crew: the processes.
        chance: of everything that happens.
    """

    crew: Crew
    chance: random.Random
    kills: int = field(default=0)

    async def start(self) -> None:
        """Start everything; returns when the DCUs are configured."""
        await self._start_headend()
        await self._start_streets()
        await self._import_shipments()
        await self._make_dcus()
        for uid in self.plan.uids:
            await self._run_dcu(uid)
        await arrival.arrived(self, self.plan.uids)

    def serials(self) -> list[list[str]]:
        """Return the serial numbers of each street's meters."""
        shipments = [json.loads(Path(facts["shipment"]).read_text()) for facts in self.streets]
        return [[meter["serial"] for meter in found["meters"]] for found in shipments]

    async def _start_headend(self) -> None:
        await self._run_headend(dict.fromkeys(LISTENERS, NOWHERE))
        self.target = await self._login("admin", read(self.headend["admin_password"]).strip())
        self.second = await self._hire()

    async def _run_headend(self, places: Mapping[str, str]) -> None:
        await self.crew.start(
            HEADEND, "headend", "run", "--json", "--state", str(self.state / HEADEND),
            *(word for option in places.items() for word in option),
            "--timezone", ZONE, "--clock", self.plan.clock, "--log-level", "info",
        )  # fmt: skip
        self.headend = await self.crew.ready(HEADEND)

    async def _start_streets(self) -> None:
        first, key = 1, self.state / "meter-maker.pem"
        self.maker = Maker.load(key)
        names = [f"street-{number}" for number, _ in enumerate(self.plan.streets, 1)]
        for name, meters in zip(names, self.plan.streets, strict=True):
            await self.crew.start(
                name, "street", "run", "--json", "--state", str(self.state / name),
                "--meters", str(meters), "--first", str(first),
                "--modem", NOWHERE, "--maintenance", NOWHERE, "--maker-key", str(key),
                "--zone", ZONE, "--loss", LOSS, "--seed", str(self.chance.getrandbits(32)),
                "--restart", "1", "--since", isoformat(self.plan.since),
                "--clock", self.plan.clock, "--log-level", "info",
            )  # fmt: skip
            first += meters
        self.streets = [await self.crew.ready(name) for name in names]

    async def _run_dcu(self, uid: str) -> None:
        modem = self.streets[self.plan.uids.index(uid)]["modem"]
        await self.crew.start(
            uid, "dcu", "run", "--factory", str(self.state / "factory" / uid),
            "--modem", f"hdlc+tcp://{modem}", "--wake", NOWHERE, "--state", str(self.state / uid),
            "--set", "stop_s=2", "--clock", self.plan.clock, "--log-level", "info",
        )  # fmt: skip

    def _wanted(self) -> dict[str, object]:
        return dict(WANTED)

    # What happens to it.

    @asynccontextmanager
    async def misfortune(self, *, headend: float) -> AsyncIterator[None]:
        """Let DCUs be killed while the block lasts; at its end all of them run.

        Args:
            headend: the share of kills that are the head-end's.
        """
        over = asyncio.Event()
        happens = asyncio.ensure_future(self._kill(over, headend))
        try:
            yield
        finally:
            over.set()
            await happens

    async def _kill(self, over: asyncio.Event, headend: float) -> None:
        dcus = self.plan.dcus
        while self.kills < DEATHS * dcus:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self.chance.uniform(*PAUSE_S) / dcus)
                return
            self.kills += 1
            if self.chance.random() < headend:
                await self._restart_headend()
            else:
                await self._restart_dcu(self.chance.choice(self.plan.uids))

    async def _restart_dcu(self, uid: str) -> None:
        await self._die(uid)
        await self._run_dcu(uid)

    async def _restart_headend(self) -> None:
        """Kill the head-end, and start it where it was."""
        await self._die(HEADEND)
        await self._run_headend(
            {
                option: self.headend[fact].removeprefix("https://")
                for option, fact in LISTENERS.items()
            }
        )

    async def _die(self, name: str) -> None:
        self.say(f"{name} is killed")
        await self.crew.kill(name)
        await asyncio.sleep(self.chance.uniform(*OFF_S))


def make_town(
    folder: Path,
    crew: Crew,
    chance: random.Random,
    plan: tuple[int, int],
    say: Callable[[str], None],
) -> Town:
    """Return a town with so many DCUs and meters; ``Town.start`` builds it."""
    dcus, meters = plan
    wall = SystemClock().now()
    start = (wall // QUARTER_S + 1) * QUARTER_S - TO_QUARTER_S
    clock = ClockSettings(start=start, factor=1.0, origin=wall)
    since = start // QUARTER_S * QUARTER_S - HISTORY_S
    return Town(
        Plan(dcus, meters, str(clock), start, since, 1.0, 0),
        folder,
        crew,
        say,
        crew=crew,
        chance=chance,
    )
