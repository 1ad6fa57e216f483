"""The chain that the demo runs: two streets, two DCUs, a head-end, meters that need no DCU."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from openami.cli.api import PREFIX, Target, checked, connected
from openami.cli.demo import arrival
from openami.cli.demo.home import GRID, PAST_S, REGION, Home
from openami.cli.output import counted
from openami.core.clock import isoformat
from openami.headend.files import write_whole
from openami.headend.security.maker import DeviceType, make_device, make_maker
from openami.meter.identity import SHIPMENT_FILE
from openami.meter.maker import Maker
from openami.meter.making import ensure_identity
from openami.meter.settings import grid_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.cli.demo.processes import Processes

ZONE: Final = "Asia/Seoul"
# A street's line, like an RS-485 bus with a good modem: fast enough that the line is not what the
# demo shows, slow and lossy enough that frames are lost and repeated.
LINE: Final = ("--bit-rate", "230400", "--delay", "0.001", "--loss", "0.002", "--seed", "7")
DRIFT_PPM: Final = 900.0
RECORDED: Final = ("H01", "H02", "H03", "H04", "H05", "H06", "H07", "H08")
REVIEWER: Final = "reviewer"
"""Who approves what the first account wants: no operator approves what is his own."""
TRIAL_S: Final = 120  # real seconds in which a DCU's new software must hold a session and collect


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the demo is and how fast its clock runs.

    ``start`` is what its clock shows at first, ``since`` when its meters began to measure.
    ``meters`` are all but the home's; ``nodes`` of these speak C12.22 and stand on no street.
    """

    dcus: int
    meters: int
    clock: str
    start: float
    since: float
    factor: float
    port: int
    nodes: int = 0
    home: bool = False

    @property
    def uids(self) -> list[str]:
        """The serial numbers of the DCUs: one for each street, and one for the home."""
        return [f"DCU-{number}" for number in range(1, self.dcus + self.home + 1)]

    @property
    def regions(self) -> dict[str, str]:
        """Where each DCU stands."""
        streets = [f"Street {number}" for number in range(1, self.dcus + 1)]
        return dict(zip(self.uids, [*streets, REGION], strict=False))

    @property
    def total(self) -> int:
        """How many meters there are, the home's among them."""
        return self.meters + self.home

    @property
    def streets(self) -> list[int]:
        """How many meters each street has: those of C12.22 are missing in the last ones."""
        base, more = divmod(self.meters, self.dcus)
        sizes = [base + (index < more) for index in range(self.dcus)]
        left = self.nodes
        for index in reversed(range(self.dcus)):
            taken = min(left, sizes[index] - 1)
            sizes[index] -= taken
            left -= taken
        return sizes

    @property
    def numbers(self) -> range:
        """The running numbers of the meters that speak C12.22."""
        return range(self.meters - self.nodes + 1, self.meters + 1)

    @property
    def load_period(self) -> int:
        """Seconds of the demo's clock between two readings: about 2.5 real ones, in whole periods."""
        return max(1, round(2.5 * self.factor / 900)) * 900


@dataclass(slots=True)
class Chain:
    """What runs, once it does.

    Attributes:
        maker: of the meters.
        kind: of the DCUs.
        home: the home, if there is one.
        doorstep: its line; see ``lines``.
        target: the head-end, with the first account's token.
        second: the same, with the reviewer's.
    """

    plan: Plan
    state: Path
    processes: Processes
    say: Callable[[str], None]
    headend: dict[str, Any] = field(default_factory=dict)
    streets: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    home: Home | None = None
    doorstep: tuple[str, str] | None = None
    maker: Maker = field(default_factory=Maker.generate)
    kind: DeviceType | None = None
    target: Target | None = None
    second: Target | None = None

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The modem of each DCU's line, and the station addresses on it."""
        streets = [
            (str(each["modem"]), f"{each['stations'][0]}-{each['stations'][-1]}")
            for each in self.streets
        ]
        return streets if self.doorstep is None else [*streets, self.doorstep]

    @property
    def reviewer_password(self) -> Path:
        """The file that holds it."""
        return self.state / "headend" / f"{REVIEWER}-password"

    async def start(self) -> None:
        """Start everything; returns when the DCUs are configured, and were woken once.

        Raises:
            OpenAmiError: a process did not start.
        """
        if self.plan.home:
            self.home = Home(self, self.state / "home", self.plan.meters + 1)
        await self._start_headend()
        await self._start_streets()
        await self._import_shipments()
        await self._start_nodes()
        await self._start_home()
        await self._make_dcus()
        await self._start_dcus()
        await arrival.arrived(self, self.plan.uids)
        await arrival.woken(self, self.plan.uids)
        assert self.target is not None
        if self.home is not None:
            await self.home.pair()
            async with connected(self.target) as client:
                await self.home.invite(client, since=self.plan.since - PAST_S)

    async def _start_headend(self) -> None:
        self.say("head-end: making certificates, database, lake and an account")
        await self.processes.start(
            "headend", "headend", "run", "--json", "--state", str(self.state / "headend"),
            "--listen", f"127.0.0.1:{self.plan.port}", "--device-listen", "127.0.0.1:0",
            "--security-listen", "127.0.0.1:0",
            "--timezone", ZONE, "--clock", self.plan.clock, "--log-level", "warning",
            "--set", "compact_every_s=60", *self._metering(),
        )  # fmt: skip
        self.headend = await self.processes.ready("headend")
        self.target = await self._login()
        self.second = await self._hire()

    def _metering(self) -> list[str]:
        """Return what the head-end does for its meters of C12.22, as DCUs do for theirs."""
        if not self.plan.nodes:
            return []
        period, collection = self.plan.load_period, "./AMI/Collection/"
        wanted = self._wanted()
        settings = {
            "listen": "127.0.0.1:0",
            "read_every_s": period,
            "settle_s": wanted[f"{collection}Settle"],
            "spread_s": wanted[f"{collection}Spread"],
            "backoff_s": self.plan.factor,  # a real second
            "clock_threshold_s": wanted["./AMI/Time/Threshold"],
            "clock_margin_s": wanted["./AMI/Time/Margin"],
            "test_allowed": "127.0.0.1:*",
        }
        return [part for key in settings for part in ("--set", f"c1222_{key}={settings[key]}")]

    async def _hire(self) -> Target:
        """Make a second operator; return the head-end with a token of this account."""
        assert self.target is not None
        password = secrets.token_urlsafe(12)
        write_whole(self.reviewer_password, f"{password}\n".encode())
        async with connected(self.target) as client:
            wish = {"name": REVIEWER, "password": password, "role": "operator"}
            checked(await client.post(f"{PREFIX}/operators", json_body=wish))
        return await self._login(REVIEWER, password)

    async def _login(self, name: str = "admin", password: str | None = None) -> Target:
        """Return the head-end with a token of an account, the first one if none is named."""
        password = password or read(self.headend["admin_password"]).strip()
        url, ca = self.headend["console"], Path(self.headend["ca"])
        async with connected(Target(url, None, ca)) as client:
            entered = checked(
                await client.post(f"{PREFIX}/login", json_body={"name": name, "password": password})
            ).json()
            made = checked(
                await client.post(
                    f"{PREFIX}/tokens",
                    json_body={"label": "demo", "days": 1},
                    headers={"X-CSRF-Token": entered["csrf_token"]},
                )
            ).json()
        return Target(url, made["token"], ca)

    async def _start_streets(self) -> None:
        first, key = 1, self.state / "meter-maker.pem"
        self.maker = Maker.load(key)
        for index, meters in enumerate(self.plan.streets):
            await self.processes.start(
                f"street-{index + 1}", "street", "run", "--json",
                "--state", str(self.state / f"street-{index + 1}"), "--meters", str(meters),
                "--first", str(first), "--modem", "127.0.0.1:0", "--maintenance", "127.0.0.1:0",
                "--maker-key", str(key), "--zone", ZONE, "--grid", GRID,
                "--drift-ppm", str(DRIFT_PPM), *LINE,
                "--since", isoformat(self.plan.since),
                "--clock", self.plan.clock, "--log-level", "warning",
            )  # fmt: skip
            first += meters
        for index, meters in enumerate(self.plan.streets):
            facts = await self.processes.ready(f"street-{index + 1}")
            self.streets.append(facts)
            self.say(
                f"street {index + 1}: {counted(meters, 'meter')} on one HDLC line,"
                f" modem {facts['modem']}"
            )

    async def _import_shipments(self) -> None:
        assert self.target is not None
        shipments = [facts["shipment"] for facts in self.streets]
        for number in self.plan.numbers:
            folder = self._node(number)
            ensure_identity(folder, number=number, c1222=True, grid=grid_of(GRID))
            shipments.append(str(folder / SHIPMENT_FILE))
        if self.home is not None:
            since, clock = self.plan.since - PAST_S, self.plan.start
            shipments.append(str(await asyncio.to_thread(self.home.build, ZONE, since, clock)))
        async with connected(self.target) as client:
            for shipment in shipments:
                checked(await client.post(f"{PREFIX}/shipments", content=read(shipment).encode()))
        self.say(f"head-end: expects {counted(self.plan.total, 'meter')}, keys in its vault")

    def _node(self, number: int) -> Path:
        return self.state / f"meter-{number}"

    async def _start_nodes(self) -> None:
        """Start the meters that have their own way to the head-end."""
        for number in self.plan.numbers:
            home = RECORDED[number % len(RECORDED)]
            await self.processes.start(
                f"meter-{number}", "meter", "run", "--json", "--state", str(self._node(number)),
                "--wrapper", "127.0.0.1:0", "--c1222", "127.0.0.1:0",
                "--c1222-register", f"c1222+tcp://{self.headend['c1222']}",
                "--source", f"household:{home}", "--zone", ZONE, "--drift-ppm", str(DRIFT_PPM),
                "--since", isoformat(self.plan.since),
                "--clock", self.plan.clock, "--log-level", "warning",
            )  # fmt: skip
        for number in self.plan.numbers:
            facts = await self.processes.ready(f"meter-{number}")
            self.nodes.append({**facts, "shipment": str(self._node(number) / SHIPMENT_FILE)})
            self.say(
                f"meter {number}: speaks C12.22 and needs no DCU: {facts['ap_title']} at"
                f" {facts['c1222'][0]} registers with {self.headend['c1222']}"
            )

    async def _start_home(self) -> None:
        """Start the home's display and meter, whose line has a DCU of its own."""
        if self.home is None:
            return
        since, key = self.plan.since - PAST_S, self.state / "meter-maker.pem"
        facts = await self.home.start(ZONE, self.plan.clock, since=since, maker=key)
        self.nodes.append(facts)
        self.doorstep = facts["hdlc"][0], str(facts["address"])

    async def _make_dcus(self) -> None:
        """Make the DCUs in a factory, and let the head-end know of them and what it wants."""
        factory = self.state / "factory"
        now = time.time()
        make_maker(factory / "maker", arrival.MAKER, now=now)
        self.kind = kind = DeviceType(
            self.headend["security"], read(self.headend["ca"]).encode(), packages=await self._root()
        )
        made = [
            make_device(factory / "maker", uid, kind, factory / uid, now=now)
            for uid in self.plan.uids
        ]
        made_of = f"an identity of its own and the address {self.headend['security']}"
        self.say(f"factory: makes {counted(len(made), 'DCU')}, each with {made_of}")
        regions = self.plan.regions
        anchor = read(str(factory / "maker" / "anchor.pem"))
        await arrival.expect(self, anchor, made, regions)
        stations = [stations for _, stations in self.lines]
        lines = dict(zip(regions.values(), stations, strict=True))
        await arrival.want(self, self._wanted(), lines)
        self.say("head-end: trusts the maker, expects its DCUs, knows how they are to work")

    async def _root(self) -> bytes:
        """Return by whom DCUs know packages."""
        assert self.target is not None
        async with connected(self.target) as client:
            path = f"{PREFIX}/repository/documents/1.root.json"
            return checked(await client.get(path)).body

    async def _start_dcus(self) -> None:
        for uid, (modem, _) in zip(self.plan.uids, self.lines, strict=True):
            await self.processes.start(
                uid.lower(), "dcu", "boot", "--slots", str(self.state / f"{uid.lower()}-slots"),
                "--trial", str(TRIAL_S), "--factory", str(self.state / "factory" / uid),
                "--modem", f"hdlc+tcp://{modem}", "--wake", "127.0.0.1:0",
                "--state", str(self.state / uid.lower()),
                "--clock", self.plan.clock, "--log-level", "info",
            )  # fmt: skip
            self.say(
                f"{uid}: starts with its factory identity, that address and its line:"
                " no accounts, no meters, no settings"
            )

    def _wanted(self) -> dict[str, object]:
        """Return what DCUs do otherwise because a day passes in minutes."""
        # A real millisecond is about a second of the demo's: a clock that is set over the line is
        # some ten seconds wrong, so smaller offsets are left alone.
        threshold = max(10.0, 0.15 * self.plan.factor)
        margin = min(max(15.0, 0.1 * self.plan.factor), self.plan.load_period / 5)
        return {
            "./AMI/Collection/LoadPeriod": self.plan.load_period,
            "./AMI/Collection/LogPeriod": 6 * 3600,
            "./AMI/Collection/Settle": max(20.0, 0.1 * self.plan.factor),
            "./AMI/Collection/Spread": self.plan.load_period / 6,
            "./AMI/Collection/Timezone": ZONE,
            "./AMI/Time/Threshold": threshold,
            "./AMI/Time/Margin": min(margin, 150.0),
            "./AMI/Upload/ReportEvery": 2,
            "./AMI/Upload/BatchAge": 0.5,
            "./AMI/Upload/RetryMost": 5,
            "./AMI/Segment/BackoffFirst": 1,
            "./AMI/Segment/BackoffMost": 10,
            "./AMI/Segment/ProbeRest": 5,
            "./AMI/Link/ResponseTimeout": 0.5,
            "./AMI/Link/ProbeTimeout": 0.5,
        }


def read(path: str) -> str:
    """Return the text of a small file of the demo's own."""
    return Path(path).read_text("utf-8")
