"""The whole chain as processes of the command line, and what can happen to it."""

from __future__ import annotations

import asyncio
import json
import resource
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.support.chain_relay import Relay
from tests.support.small_disk import small_disk

from openami.cli.api import PREFIX, Target, checked, connected
from openami.cli.demo import arrival
from openami.cli.demo.chain import Chain, Plan
from openami.cli.demo.processes import START_S, Processes
from openami.core.clock import isoformat
from openami.core.errors import TransportError
from openami.headend.security.maker import DeviceType, make_device, make_maker
from openami.transport.clock import ClockSettings, SystemClock

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from openami.core.clock import Clock

ZONE: Final = "Asia/Seoul"
DAY: Final = 86_400
HEADEND, STREET, DCU = PARTS = ("headend", "street", "dcu")
DCU_ID: Final = "DCU-1"
DISK: Final = 48 * 2**20
FEW_OCTETS: Final = 65_536  # the smallest spool there may be
NO_ROOM: Final = 6  # exit status of a store error
ROOM_FOR_LOGS: Final = 256 * 1024
LINE: Final = ("--loss", "0.003", "--corruption", "0.002", "--duplication", "0.002")

DCU_SETTINGS: Final = ("--set", "stop_s=5", "--set", f"spool_octets={FEW_OCTETS}")
WANTED: Final[Mapping[str, object]] = {
    "./AMI/Collection/LoadPeriod": 900,
    "./AMI/Collection/LogPeriod": 3600,
    "./AMI/Collection/Spread": 120,
    "./AMI/Collection/Repeat": 300,
    "./AMI/Collection/Timezone": ZONE,
    "./AMI/Time/Margin": 60,
    "./AMI/Upload/ReportEvery": 2,
    "./AMI/Upload/BatchAge": 0.3,
    "./AMI/Upload/RetryFirst": 0.2,
    "./AMI/Upload/RetryMost": 1,
    "./AMI/Upload/LongPoll": 2,
    "./AMI/Segment/BackoffFirst": 1,
    "./AMI/Segment/BackoffMost": 3,
    "./AMI/Segment/ProbeRest": 5,
    "./AMI/Link/ReconnectFirst": 0.2,
    "./AMI/Link/ReconnectMost": 1,
    "./AMI/Link/ResponseTimeout": 0.5,
    "./AMI/Link/ProbeTimeout": 0.5,
}


class Crew(Processes):
    """Processes that are killed, and of which one may be away for a while."""

    def __init__(self, logs: Path) -> None:
        super().__init__(logs)
        self._read: dict[str, int] = {}

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    async def start(self, name: str, *arguments: str) -> None:
        self._read[name] = self.log(name).stat().st_size if self.log(name).exists() else 0
        await super().start(name, *arguments)

    def said(self, name: str) -> str:
        """Return what a process has logged since it was started last."""
        return self.log(name).read_bytes()[self._read[name] :].decode(errors="replace")

    async def says(self, name: str, what: str) -> None:
        """Return once a process has logged something; TransportError if it ends before."""
        async with asyncio.timeout(START_S):
            while what not in self.said(name):
                if not self.runs(name):
                    raise self._failure(name, "ended")
                await asyncio.sleep(0.05)

    def ended(self, name: str) -> int:
        """Forget a process that has ended by itself; return its exit status."""
        status = self._running.pop(name).returncode
        assert status is not None
        return status

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def runs(self, name: str) -> bool:
        return name in self._running and self._running[name].returncode is None

    async def kill(self, name: str) -> None:
        """End a process as a power failure does."""
        process = self._running.pop(name)
        assert process.returncode is None, f"{name} ended by itself: {process.returncode}"
        process.kill()
        await process.wait()

    async def kill_all(self) -> None:
        """End all processes at once: what many of them do to end in good order takes its time."""
        for name in list(self._running):
            await self.kill(name)


@dataclass
class Bench:
    """One street, one DCU, one head-end, with relays between them; as a context manager.

    Args:
        folder: for everything.
        meters: on the street.
        speed: of the clock that all share.
        chance: of everything that happens.
        disk: ``tmpfs`` gives each part a disk that can be full, ``limit`` files that cannot grow.
    """

    folder: Path
    meters: int
    speed: float
    chance: random.Random
    disk: str
    modem: Relay = field(default_factory=Relay)
    wan: Relay = field(default_factory=Relay)
    desk: Relay = field(default_factory=Relay)
    history: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        wall = SystemClock().now()
        start = wall // DAY * DAY
        settings = ClockSettings(start=start, factor=self.speed, origin=wall)
        self.clock: Clock = settings.clock()
        self.since = start - DAY
        self.crew = Crew(self.folder / "logs")
        plan = Plan(1, self.meters, str(settings), start, self.since, self.speed, 0)
        self.chain = Chain(plan, self.folder, self.crew, self.note)
        self._stack = AsyncExitStack()

    def note(self, what: str) -> None:
        """Remember what happened, for whoever must find out why."""
        self.history.append(f"{isoformat(self.clock.now())} {what}")

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for part in PARTS:
                if self.disk == "tmpfs":
                    stack.enter_context(small_disk("tmpfs", self.folder / part, DISK))
                else:
                    (self.folder / part).mkdir()
            await stack.enter_async_context(self.modem)
            await stack.enter_async_context(self.wan)
            await stack.enter_async_context(self.desk)
            await stack.enter_async_context(self.crew)
            await self.start(HEADEND)
            password = Path(self.chain.headend["admin_password"]).read_text("utf-8").strip()
            self.chain.target = await self.chain._login("admin", password)
            await self.start(STREET)
            await self._make_dcu()
            await self.start(DCU)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # Processes.

    async def start(self, part: str) -> None:
        """Start a part, and return once it can be reached."""
        self.note(f"{part} starts")
        await {HEADEND: self._headend, STREET: self._street, DCU: self._dcu}[part]()

    async def kill(self, part: str) -> None:
        self.note(f"{part} is killed")
        await self.crew.kill(part)
        if part == HEADEND:
            self.wan.target = self.desk.target = None
        elif part == STREET:
            self.modem.target = None

    async def restart(self, part: str) -> None:
        """Kill a part, leave it off for a moment, start it."""
        await self.kill(part)
        await asyncio.sleep(self.chance.uniform(0, 0.5))
        await self.start(part)

    async def start_in_vain(self, part: str) -> bool:
        """Start a part that may find no room to start; return whether it runs nevertheless."""
        try:
            await self.start(part)
        except TransportError:
            while self.crew.runs(part):  # it has said nothing more, and is about to end
                await asyncio.sleep(0.05)
            self.note(f"{part} does not start")
            assert "error[store.full]" in self.crew.said(part)
            assert self.crew.ended(part) == NO_ROOM
            return False
        return True

    async def _run(self, part: str, *arguments: str) -> None:
        state = "--state", str(self.folder / part)
        clock = "--clock", self.chain.plan.clock, "--log-level", "info"
        await self.crew.start(part, part, "run", *state, *clock, *arguments)

    async def _headend(self) -> None:
        here = "127.0.0.1:0"
        await self._run(
            HEADEND, "--json", "--listen", here, "--device-listen", here,
            "--security-listen", here, "--timezone", ZONE,
            "--set", "compact_every_s=5", "--set", "retry_after_s=1",
            "--set", f"dm_url=https://127.0.0.1:{self.wan.port}/dm",
        )  # fmt: skip
        self.chain.headend = await self.crew.ready(HEADEND)
        if self.chain.target is not None:
            self.chain.target = replace(self.chain.target, url=self.chain.headend["console"])
        self.wan.target = _place(self.chain.headend["devices"].removeprefix("https://"))
        self.desk.target = _place(self.chain.headend["security"].removeprefix("https://"))

    async def _street(self) -> None:
        here = "127.0.0.1:0"
        await self._run(
            STREET, "--json", "--meters", str(self.meters), "--modem", here, "--maintenance", here,
            "--zone", ZONE, "--drift-ppm", "1000", "--since", isoformat(self.since), *LINE,
            "--seed", str(self.chance.getrandbits(32)),
        )  # fmt: skip
        facts = await self.crew.ready(STREET)
        self.chain.streets[:] = [facts]
        self.modem.target = _place(facts["modem"])

    async def _dcu(self) -> None:
        await self._run(
            DCU, "--factory", str(self.folder / "factory" / DCU_ID),
            "--modem", f"hdlc+tcp://127.0.0.1:{self.modem.port}", *DCU_SETTINGS,
        )  # fmt: skip
        await self.crew.says(DCU, "event=begins")

    async def _make_dcu(self) -> None:
        """Make a DCU that the head-end expects, and give that one the keys of the meters."""
        target = self.chain.target
        assert isinstance(target, Target)
        shipment = Path(self.chain.streets[0]["shipment"]).read_bytes()
        async with connected(target) as client:
            checked(await client.post(f"{PREFIX}/shipments", content=shipment))
        now, factory = SystemClock().now(), self.folder / "factory"
        make_maker(factory / "maker", arrival.MAKER, now=now)
        trust = Path(self.chain.headend["ca"]).read_bytes()
        kind = DeviceType(f"https://127.0.0.1:{self.desk.port}", trust)
        made = make_device(factory / "maker", DCU_ID, kind, factory / DCU_ID, now=now)
        anchor = (factory / "maker" / "anchor.pem").read_text("utf-8")
        await arrival.expect(self.chain, anchor, [made], {DCU_ID: "Street 1"})
        stations = self.chain.streets[0]["stations"]
        # A clock is set over the line within some tens of milliseconds of real time.
        times = {
            "./AMI/Time/Threshold": max(10.0, 0.15 * self.speed),
            "./AMI/Collection/Settle": max(20.0, 0.1 * self.speed),
        }
        await arrival.want(
            self.chain, {**WANTED, **times}, {"Street 1": f"{stations[0]}-{stations[-1]}"}
        )

    async def reopen(self) -> None:
        """Let another DCU register in the place of the one that is."""
        target = self.chain.target
        assert isinstance(target, Target)
        async with connected(target) as client:
            path = f"{PREFIX}/registrations/{DCU_ID}/reopen"
            checked(await client.post(path, json_body={"why": "it broke"}))

    # Disks.

    def fill(self, part: str) -> None:
        """Leave no room on the disk of a part."""
        self.note(f"the disk of {part} is full")
        if self.disk == "tmpfs":
            with (self.folder / part / "ballast").open("ab", buffering=0) as ballast:
                for octets in (2**20, 2**16, 2**12):
                    with suppress(OSError):  # the part itself takes and frees room meanwhile
                        while ballast.write(bytes(octets)) == octets:
                            continue
            return
        files = (file.stat().st_size for file in (self.folder / part).rglob("*") if file.is_file())
        most = max(*files, self.crew.log(part).stat().st_size + ROOM_FOR_LOGS)
        resource.prlimit(self.crew.pid(part), resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def empty(self, part: str) -> None:
        """Give a part room again."""
        self.note(f"the disk of {part} has room")
        if self.disk == "tmpfs":
            (self.folder / part / "ballast").unlink(missing_ok=True)
        elif self.crew.runs(part):
            none = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(self.crew.pid(part), resource.RLIMIT_FSIZE, none)

    def story(self) -> str:
        """Return what happened, and how the parts' logs end."""
        lines = [*self.history]
        for part in PARTS:
            log = self.crew.log(part)
            if log.exists():
                lines += [f"--- {part}", *log.read_text(errors="replace").splitlines()[-40:]]
        return "\n".join(lines)

    def shipped(self) -> list[dict[str, Any]]:
        """Return the street's meters with their keys."""
        content = json.loads(Path(self.chain.streets[0]["shipment"]).read_text())
        meters: list[dict[str, Any]] = content["meters"]
        return meters


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
