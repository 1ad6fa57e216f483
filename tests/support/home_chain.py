"""A home and its utility as processes: head-end, DCU, meter, display, appliances."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
from tests.support.chain_bench import ZONE, Crew
from tests.support.portal import PASSWORD, token_in
from tests.support.ports import free_ports

from openami.cli.api import PREFIX, checked, connected, get_json
from openami.cli.demo import arrival
from openami.cli.demo.chain import Chain, Plan
from openami.cli.demo.home import Home
from openami.core.clock import isoformat, parse_utc
from openami.meter.maker import Maker
from openami.metrology.events import Event
from openami.transport.clock import ClockSettings, SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Facts = dict[str, Any]

START: Final = parse_utc("2024-06-13T08:45:00Z")
"""A working day, half an hour before the car comes home: it takes most of the power."""
FACTOR: Final = 120.0
DCU_ID: Final = "DCU-1"
PAST_S: Final = 11 * 86_400
"""What the home has used before: seven days that are like this one."""
HEADEND, DCU, METER, DISPLAY = "headend", "dcu", "home", "display"
SWITCHES: Final = frozenset(
    {
        Event.LIMIT_EXCEEDED, Event.LIMIT_KEPT, Event.MANUALLY_CONNECTED,
        Event.REMOTELY_CONNECTED, Event.REMOTELY_DISCONNECTED,
    }
)  # fmt: skip
WAIT_S: Final = 60.0
"""Real seconds for any step: on a machine with much else to do."""


class _Chain(Chain):
    def _wanted(self) -> dict[str, object]:
        return {**super()._wanted(), "./AMI/Collection/LogPeriod": 900, "./AMI/Upload/RetryMost": 1}


class HomeChain:
    """What runs, and what is done there by whom.

    Args:
        folder: for everything.
        crew: the processes.
    """

    def __init__(self, folder: Path, crew: Crew) -> None:
        clock = ClockSettings(START, FACTOR, SystemClock().now())
        plan = Plan(0, 0, str(clock), START, START, FACTOR, 0, home=True)
        self.crew = crew
        self.clock = clock.clock()
        self._chain = _Chain(plan, folder, crew, print)
        self.home = self._chain.home = Home(self._chain, folder / "home", 1)
        self._folder = folder
        self._ports = dict(zip(("", "device-", "security-"), free_ports(), strict=False))
        self._customer: httpx.AsyncClient

    # Processes.

    async def start(self) -> None:
        """Start everything; returns when the DCU is configured and the display is paired."""
        chain = self._chain
        shipment, _ = await asyncio.gather(self._start_home(), self.start_headend())
        target = chain.target = await chain._login()
        async with connected(target) as client:
            checked(await client.post(f"{PREFIX}/shipments", content=shipment.read_bytes()))
        await chain._make_dcus()
        await self.start_dcu()
        await self.home.pair()
        await self.home.permit()
        await arrival.arrived(chain, [DCU_ID])

    async def _start_home(self) -> Path:
        """Start display, meter and appliances; return the meter's shipment."""
        chain, since = self._chain, START - PAST_S
        shipment = await asyncio.to_thread(self.home.build, ZONE, since, START)
        key, clock = self._folder / "meter-maker.pem", chain.plan.clock
        chain.maker = Maker.load(key)
        facts = await self.home.start(ZONE, clock, since=since, maker=key)
        chain.doorstep = facts["hdlc"][0], str(facts["address"])
        return shipment

    async def start_headend(self) -> None:
        places = [
            word for name, port in self._ports.items()
            for word in (f"--{name}listen", f"127.0.0.1:{port}")
        ]  # fmt: skip
        await self.crew.start(
            HEADEND, "headend", "run", "--json", "--state", str(self._folder / HEADEND), *places,
            "--timezone", ZONE, "--clock", self._chain.plan.clock, "--log-level", "info",
        )  # fmt: skip
        self._chain.headend = await self.crew.ready(HEADEND)

    async def start_dcu(self) -> None:
        modem, _ = self._chain.lines[0]
        await self.crew.start(
            DCU, "dcu", "run", "--factory", str(self._folder / "factory" / DCU_ID),
            "--modem", f"hdlc+tcp://{modem}", "--wake", "127.0.0.1:0",
            "--state", str(self._folder / DCU), "--clock", self._chain.plan.clock,
            "--log-level", "debug",
        )  # fmt: skip

    async def stop(self) -> None:
        """End everything: the meter in good order, since its appliances end with it."""
        if self.crew.runs(METER):
            await self.crew.stop(METER)
        for name in filter(self.crew.runs, (HEADEND, DCU, DISPLAY)):
            await self.crew.kill(name)

    # The utility.

    async def openami(self, *words: str) -> Facts:
        """Run a command as an operator does; return the object that it prints."""
        target = self._chain.target
        assert target is not None
        there = {
            "OPENAMI_URL": target.url,
            "OPENAMI_CA": str(target.ca),
            "OPENAMI_TOKEN": target.token,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "openami", *words, "--json",
            env={**os.environ, **{name: str(value) for name, value in there.items()}}, stdout=PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode == 0, words
        found: Facts = json.loads(out)
        return found

    async def ask(self, path: str, **query: Any) -> Any:
        """Return what the REST API answers."""
        assert self._chain.target is not None
        async with connected(self._chain.target) as client:
            return await get_json(client, path, **query)

    async def event(self, name: str, *options: str) -> str:
        """Make an event for the home; return its id."""
        made = await self.openami(
            "demand", "event", "make", "--program", "evening", "--name", name,
            "--region", "Home", "--text-en", "Please use less.", *options,
        )  # fmt: skip
        assert made["meters"] == 1
        return str(made["id"])

    async def counts(self, event: str) -> Facts:
        """Return at how many meters an event is how far, where it is so at any."""
        counts: Facts = (await self.ask(f"/demand/events/{event}"))["counts"]
        return {name: count for name, count in counts.items() if count}

    async def standing(self, event: str) -> Facts:
        """Return how an event stands at the meter, as the head-end knows."""
        items = (await self.ask(f"/demand/events/{event}/meters"))["items"]
        return dict(items[0]["standing"]) if items else {}

    async def switched(self) -> list[Event]:
        """Return what the meter's log says of its supply, in order, as the head-end has it."""
        serial = self.home.serial
        found = (await self.ask("/events", meter=serial, limit=1000))["items"]
        return [Event(one["code"]) for one in reversed(found) if one["code"] in SWITCHES]

    async def missing(self) -> list[Facts]:
        """Return which intervals the head-end has not, from before the evening up to now."""
        begin, end = isoformat(START - 3600), isoformat(self.clock.now() // 900 * 900)
        found: list[Facts] = (
            await self.ask("/gaps", meter=self.home.serial, start=begin, end=end)
        )["items"]
        return found

    async def cancel(self, event: str) -> None:
        """End an event."""
        await self.openami("demand", "event", "cancel", event, "--why", "it has been seen")

    # The household.

    async def shown(self, event: str) -> Facts:
        """Return an event as the display shows it; empty: it does not."""
        events = (await self.home.state())["events"]
        return next((dict(one) for one in events if one["id"] == event), {})

    async def power(self) -> float:
        """Return what flows, as the display shows it, in W."""
        return float((await self.live())["active_w"])

    async def live(self) -> Facts:
        return dict((await self.home.state())["live"])

    def _display(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.home.url, trust_env=False, timeout=WAIT_S)

    async def touch(self, method: str, path: str, **wish: object) -> None:
        """Do something at the display."""
        async with self._display() as display:
            answer = await display.request(method, f"/api/v1/{path}", json=wish)
        assert answer.is_success, answer.text

    async def answer(self, event: str, answer: str) -> None:
        """Answer an event at the display."""
        await self.touch("POST", f"events/{event}/answer", answer=answer)

    async def appliances(self) -> list[Facts]:
        """Return the appliances as the display knows them."""
        async with self._display() as display:
            found: list[Facts] = (await display.get("/api/v1/appliances")).json()["appliances"]
        return found

    async def answer_away(self, event: str, answer: str) -> None:
        """Answer an event on the customer's page of the head-end."""
        target = self._chain.target
        assert target is not None
        async with connected(target) as client:
            await self.home.invite(client, since=START - 86_400)
        code = self.home.link.partition("#")[2]
        trust = ssl.create_default_context(cafile=str(target.ca))
        async with httpx.AsyncClient(
            base_url=target.url, verify=trust, trust_env=False, timeout=WAIT_S
        ) as page:
            form = {"code": code, "password": PASSWORD, "again": PASSWORD}
            assert (await page.post("/my/welcome", data=form)).status_code == 303
            home = (await page.get("/my")).headers["location"]
            token = token_in(await page.get(f"{home}/news"))
            said = {"csrf_token": token, "answer": answer}
            sent = await page.post(f"{home}/events/{event}", data=said)
            assert sent.status_code == 303, sent.text


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """Return what ``look`` gives as soon as it is true."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await look()):
            await asyncio.sleep(0.1)
    return found


@asynccontextmanager
async def home_chain(folder: Path) -> AsyncIterator[HomeChain]:
    """Run a home and its utility."""
    async with Crew(folder / "logs") as crew:
        made = HomeChain(folder, crew)
        try:
            await made.start()
            yield made
        finally:
            await made.stop()
