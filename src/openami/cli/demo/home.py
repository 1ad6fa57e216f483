"""The demo's home: a display on the wall, appliances that it controls, a meter that measures them.

The appliances are simulated; the display, the meter with its home port, and the DCU between it and
the head-end are what others run. An event of demand response is made as an operator makes it, and
what it saved is what the head-end measures.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openami.cli.api import PREFIX, checked, connected, get_json
from openami.cli.demo.stories import Story
from openami.core.clock import isoformat
from openami.core.errors import TransportTimeoutError
from openami.ihd.appliance_rules import Kind
from openami.ihd.simulated.past import rows, write
from openami.ihd.simulated.run import HomeSettings
from openami.meter.identity import SHIPMENT_FILE, load_identity
from openami.meter.making import IDENTITY_FILE, ensure_identity
from openami.meter.settings import grid_of, zone_of
from openami.meter.sources import parse_source
from openami.transport.clock import SystemClock
from openami.transport.http import HttpClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from openami.cli.demo.chain import Chain
    from openami.core.clock import Clock

    Facts = dict[str, Any]

T = TypeVar("T")

REGION: Final = "Home"
APPLIANCES: Final = ("air-conditioner", "water-heater", "charger")
BASE: Final = "household:H08"
SEED: Final = 4
TARIFF: Final = "kr-residential-low"
CUSTOMER: Final = "kim@example.org"
GRID: Final = "220/60"
"""Korea's mains, as the zone, the tariff and the customer are Korea's."""

PAST_S: Final = 24 * 86_400
"""What the home has used before anybody reads it: five days and more that are like any day."""

AHEAD_S: Final = 6.0  # real seconds between the making of the event and its start
LENGTH_S: Final = 60.0  # real seconds of the event, if the demo's clock makes that whole intervals
INTERVAL_S: Final = 900
LEVEL: Final = 2
TEXTS: Final = {
    "en": "Much power is wanted tonight. Please use less.",
    "ko": "오늘 밤 전력 수요가 많습니다. 사용을 줄여 주세요.",
}
STEP_S: Final = 120.0  # real seconds in which each step must be done, beside the event's own length
LOOK_S: Final = 0.5


class Home:
    """The home's processes; they belong to the chain's.

    Args:
        chain: what it is a part of.
        folder: of all that is in it.
        number: the running number of its meter.

    Attributes:
        meter: what the meter says of itself, once it runs.
        url: of the display's page, once that runs.
        link: by which the customer chooses a password, once they are invited.
    """

    def __init__(self, chain: Chain, folder: Path, number: int) -> None:
        self._chain = chain
        self._folder = folder
        self._number = number
        self.meter: Facts = {}
        self.url = ""
        self.link = ""

    @property
    def serial(self) -> str:
        """The meter's."""
        return str(self.meter["serial"])

    def build(self, zone: str, since: float, until: float) -> Path:
        """Make the meter's identity, and what it has measured; return its shipment."""
        ensure_identity(self._folder / "meter", number=self._number, grid=grid_of(GRID))
        offset = zone_of(zone).offset(int(since))
        base = parse_source(BASE, offset=offset).source
        settings = HomeSettings(tuple(map(Kind, APPLIANCES)), SystemClock(), offset, SEED, base)
        write(self._past, rows(settings, since, until))
        return self._folder / "meter" / SHIPMENT_FILE

    @property
    def _past(self) -> Path:
        return self._folder / "past.csv"

    async def start(self, zone: str, clock: str, *, since: float, maker: Path) -> Facts:
        """Start display and meter; return where the meter's line is.

        Raises:
            TransportError: ``demo.process``, one did not start.
        """
        start, ready = self._chain.processes.start, self._chain.processes.ready
        await start(
            "display", "ihd", "run", "--json", "--state", str(self._folder / "display"),
            "--listen", "127.0.0.1:0", "--tariff", TARIFF, "--timezone", zone,
            "--clock", clock, "--log-level", "warning",
        )  # fmt: skip
        self.url = (await ready("display"))["url"].rstrip("/")
        await start(
            "home", "meter", "run", "--json", "--state", str(self._folder / "meter"),
            "--wrapper", "127.0.0.1:0", "--hdlc", "127.0.0.1:0", "--home", "127.0.0.1:0",
            "--source", f"file:{self._past} then command:{self._appliances(zone, clock)}",
            "--adc", "sigma-delta",
            "--zone", zone, "--since", isoformat(since), "--maker-key", str(maker),
            "--clock", clock, "--log-level", "warning",
        )  # fmt: skip
        self.meter = await ready("home")
        identity = load_identity(self._folder / "meter" / IDENTITY_FILE)
        self._chain.say(
            f"home: meter {self.serial} measures {len(APPLIANCES)} simulated appliances"
            f" and the rest of a home; a display is at {self.url}"
        )
        shipment = str(self._folder / "meter" / SHIPMENT_FILE)
        return {**self.meter, "shipment": shipment, "address": identity.address}

    def _appliances(self, zone: str, clock: str) -> str:
        chosen = [word for each in APPLIANCES for word in ("--appliance", each)]
        return shlex.join(
            [sys.executable, "-m", "openami", "appliance", "simulate", *chosen,
             "--ihd", self.url, "--state", str(self._folder / "appliances"), "--base", BASE,
             "--seed", str(SEED), "--zone", zone, "--clock", clock, "--log-level", "error"]
        )  # fmt: skip

    async def pair(self) -> None:
        """Pair the display by the code of the meter's label, as its page does."""
        code = load_identity(self._folder / "meter" / IDENTITY_FILE).home
        wish = {"code": code, "meter": f"tcp://{self.meter['home'][0]}"}
        async with HttpClient(self.url) as display:
            checked(await display.post("/api/v1/pair", json_body=wish))
        self._chain.say("home: the display is paired by the eight digits of the meter's label")

    async def permit(self) -> None:
        """Let the utility's events control the appliances, once they have registered."""
        async with HttpClient(self.url) as display:
            found = await self._registered(display)
            for each in found:
                path = f"/api/v1/appliances/{each['id']}"
                checked(await display.request("PATCH", path, json_body={"allow": True}))
        names = ", ".join(str(each["kind"]) for each in found)
        self._chain.say(f"home: the household lets events control {names}")

    async def _registered(self, display: HttpClient) -> list[Facts]:
        """Return the appliances when all have registered."""

        async def look() -> list[Facts] | None:
            answer = checked(await display.get("/api/v1/appliances")).json()
            items: list[Facts] = answer["appliances"]
            return items if len(items) == len(APPLIANCES) else None

        return await until(look, STEP_S)

    async def invite(self, client: HttpClient, *, since: float) -> None:
        """Make the meter a customer's, and keep the link by which they choose a password."""
        wish = {"login": CUSTOMER, "tariff": TARIFF}
        checked(await client.post(f"{PREFIX}/customers", json_body=wish))
        path = f"{PREFIX}/customers/{CUSTOMER}"
        tenancy = {"meter": self.serial, "starts": isoformat(since)}
        checked(await client.post(f"{path}/meters", json_body=tenancy))
        made = checked(await client.post(f"{path}/invitations", json_body={})).json()
        self.link = client.base_url.rstrip("/") + made["path"]
        self._chain.say(f"head-end: {CUSTOMER} is the customer at {self.serial}, and invited")

    async def state(self) -> Facts:
        """Return what the display shows."""
        async with HttpClient(self.url) as display:
            found: Facts = checked(await display.get("/api/v1/state")).json()
        return found


def living(chain: Chain, home: Home, clock: Clock) -> Story:
    """Return the story of the home's evening."""
    return Story(Evening(chain, home, clock).run)


class Evening:
    """An event of demand response in the home.

    Args:
        chain: what runs.
        home: where it is.
        clock: the demo's.
    """

    def __init__(self, chain: Chain, home: Home, clock: Clock) -> None:
        self._chain, self._home, self._clock = chain, home, clock
        self._factor = chain.plan.factor
        self._length = max(1, round(LENGTH_S * self._factor / INTERVAL_S)) * INTERVAL_S
        self._starts = 0.0

    async def run(self) -> Facts:
        """Make the event, see it through, and return what came of it."""
        assert self._chain.target is not None
        async with connected(self._chain.target) as client:
            await self._home.permit()
            made = await self._make(client)
            path = f"/demand/events/{made['id']}"
            await until(lambda: self._delivered(client, path), STEP_S)
            self._chain.say("home: the event stands in the meter, and on the display")
            before = await self._power()
            begins = (self._starts - self._clock.now()) / self._factor
            await until(self._active, begins + STEP_S)
            self._chain.say("home: the event has begun; the appliances do as they are told")
            least = before
            ends = self._starts + self._length
            while self._clock.now() < ends - self._factor:
                least = min(least, await self._power())
                await asyncio.sleep(LOOK_S)
            self._chain.say(f"home: {before:,.0f} W before the event, {least:,.0f} W in it")
            found = await until(lambda: self._measured(client, path), STEP_S)
        saved, baseline = found["savedWh"], found["baselineWh"]
        if saved is None:
            self._chain.say(f"head-end: what the home saved is not known: {found['why']}")
        else:
            of = f"of the {baseline:,.0f} Wh that {found['days']} like days had"
            self._chain.say(f"head-end: the home saved {saved:,.0f} Wh {of}")
        return {
            "event": made["id"], "before_w": before, "least_w": least, "length_s": self._length,
            "baseline_wh": baseline, "used_wh": found["usedWh"], "saved_wh": saved,
            "days": found["days"],
        }  # fmt: skip

    async def _make(self, client: HttpClient) -> Facts:
        payload = [{"payloadType": "SIMPLE"}]
        program = checked(
            await client.post(
                f"{PREFIX}/demand/programs",
                json_body={"programName": "evening", "payloadDescriptors": payload},
            )
        ).json()
        self._starts = self._clock.now() + AHEAD_S * self._factor
        period = {"start": isoformat(self._starts), "duration": f"PT{self._length}S"}
        wish = {
            "programID": program["id"],
            "eventName": "demo",
            "texts": TEXTS,
            "targets": [{"type": "SERVICE_AREA", "values": [REGION]}],
            "intervalPeriod": period,
            "intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [LEVEL]}]}],
        }
        made: Facts = checked(await client.post(f"{PREFIX}/demand/events", json_body=wish)).json()
        self._chain.say(
            f"head-end: asks the homes of {REGION} to use less for {self._length / 3600:.2g} h"
        )
        return made

    async def _delivered(self, client: HttpClient, path: str) -> bool:
        found = (await get_json(client, f"{path}/meters"))["items"]
        shown = (await self._home.state())["events"]
        return bool(shown) and any(one["standing"]["delivered"] for one in found)

    async def _active(self) -> bool:
        shown = (await self._home.state())["events"]
        return any(each["state"] == "active" for each in shown)

    async def _power(self) -> float:
        live = (await self._home.state())["live"]
        return float(live["active_w"]) if live else 0.0

    async def _measured(self, client: HttpClient, path: str) -> Facts | None:
        """Return the home's result once all of the event's intervals are stored."""
        found = (await get_json(client, f"{path}/results"))["items"]
        over = self._clock.now() > self._starts + self._length
        done = [one for one in found if over and not one["missing"]]
        return done[0] if done else None


async def until(look: Callable[[], Awaitable[T | None]], seconds: float) -> T:
    """Return what ``look`` gives as soon as it is true.

    Raises:
        TransportTimeoutError: ``demo.home``, it is not in so many real seconds.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                if found := await look():
                    return found
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise TransportTimeoutError(
            "the home's evening did not come to its end in time",
            hint="--no-home leaves it out; --state DIR keeps the logs",
            code="demo.home",
        ) from None
