"""Two meters that speak C12.22 and a head-end, each a process, killed in between.

Nothing that was measured is lost, nothing is stored twice, and who was registered stays so.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.chain_bench import Crew

from openami.cli.api import PREFIX, checked, connected, get_json
from openami.cli.demo.audit import IMPORTED, SWITCH_OFF, _newest, ask, stored_wh
from openami.cli.demo.chain import Chain, Plan
from openami.core.clock import isoformat
from openami.dlms.data import i8
from openami.meter.making import ensure_identity
from openami.transport.clock import ClockSettings, SystemClock
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from pathlib import Path

    from openami.transport.http import HttpClient

pytestmark = pytest.mark.chain

FACTOR: Final = 600.0
PERIOD: Final = 900
START: Final = 1_780_000_200
BACK_S: Final = 6 * 3600
NUMBERS: Final = (8437, 8438)
HEADEND: Final = (
    "c1222_spread_s=0", "c1222_settle_s=60", "c1222_timeout_s=1", "c1222_backoff_s=60",
    "c1222_clock_threshold_s=300", "c1222_history_days=1",
)  # fmt: skip


class Town:
    """The processes, and how each is started."""

    def __init__(self, folder: Path, crew: Crew) -> None:
        wall = SystemClock().now()
        self.folder = folder
        self.crew = crew
        self.settings = ClockSettings(start=START, factor=FACTOR, origin=wall)
        self.clock = self.settings.clock()
        self.chain = Chain(Plan(0, 0, str(self.settings), 0.0, 0.0, FACTOR, 0), folder, crew, print)
        self.c1222 = "127.0.0.1:0"
        self.meters: dict[int, dict[str, Any]] = {}

    async def start_headend(self) -> None:
        here = "127.0.0.1:0"
        options = [part for each in HEADEND for part in ("--set", each)]
        await self.crew.start(
            "headend", "headend", "run", "--json", "--state", str(self.folder / "headend"),
            "--listen", here, "--device-listen", here, "--security-listen", here,
            "--clock", str(self.settings), "--set", f"c1222_listen={self.c1222}", *options,
        )  # fmt: skip
        self.chain.headend = await self.crew.ready("headend")
        self.chain.target = await self.chain._login()
        self.c1222 = self.chain.headend["c1222"]

    async def start_meter(self, number: int, *, since: str | None = None) -> None:
        name, listen = f"meter-{number}", "127.0.0.1:0"
        if number in self.meters:
            listen = self.meters[number]["c1222"][0]
        begun = ("--since", since) if since else ()
        await self.crew.start(
            name, "meter", "run", "--json", "--state", str(self.folder / name),
            "--number", str(number), "--source", f"constant:{number}", "--persist", "60",
            "--wrapper", "127.0.0.1:0", "--c1222", listen,
            "--c1222-register", f"c1222+tcp://{self.c1222}", "--clock", str(self.settings), *begun,
        )  # fmt: skip
        self.meters[number] = await self.crew.ready(name)

    async def ship(self, client: HttpClient) -> None:
        for number in NUMBERS:
            ensure_identity(self.folder / f"meter-{number}", number=number, c1222=True)
            content = (self.folder / f"meter-{number}" / "shipment.json").read_bytes()
            checked(await client.post(f"{PREFIX}/shipments", content=content))

    def shipped(self, number: int) -> dict[str, Any]:
        """Return a meter's entry in its shipment, with its keys."""
        content = (self.folder / f"meter-{number}" / "shipment.json").read_text("utf-8")
        found: dict[str, Any] = json.loads(content)["meters"][0]
        return found

    def url(self, number: int) -> MeterUrl:
        """Return where a meter is asked over DLMS."""
        return MeterUrl.parse(f"dlms+tcp://{self.meters[number]['wrapper'][0]}")

    def serial(self, number: int) -> str:
        return str(self.meters[number]["serial"])

    async def read_up_to(self, client: HttpClient, end: float) -> None:
        async with asyncio.timeout(90):
            for number in NUMBERS:
                while await _newest(client, self.serial(number)) < end:
                    self.crew.check()
                    await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_readings_are_the_meters_own_whoever_is_killed(tmp_path: Path) -> None:
    async with Crew(tmp_path / "logs") as crew:
        town = Town(tmp_path, crew)
        await town.start_headend()
        since = isoformat(START - BACK_S)
        assert town.chain.target is not None
        async with connected(town.chain.target) as client:
            await town.ship(client)
            for number in NUMBERS:
                await town.start_meter(number, since=since)
            await registered(client, town)
            await town.read_up_to(client, town.clock.now() // PERIOD * PERIOD)
            await asked(client, town)
        await crew.kill("headend")
        await asyncio.sleep(2 * PERIOD / FACTOR)  # what is measured meanwhile
        await town.start_headend()
        assert town.chain.target is not None
        async with connected(town.chain.target) as client:
            await known(client, town)
            await town.read_up_to(client, town.clock.now() // PERIOD * PERIOD)
            await crew.kill(f"meter-{NUMBERS[0]}")
            await asyncio.sleep(2 * PERIOD / FACTOR)
            await town.start_meter(NUMBERS[0])
            end = (town.clock.now() // PERIOD + 2) * PERIOD
            await town.read_up_to(client, end)
            await agree(client, town)


async def registered(client: HttpClient, town: Town) -> None:
    """Return when both meters are registered and were read."""
    async with asyncio.timeout(60):
        for number in NUMBERS:
            while not (await node(client, town, number))["expires_at"]:
                town.crew.check()
                await asyncio.sleep(0.1)


async def node(client: HttpClient, town: Town, number: int) -> dict[str, Any]:
    found: dict[str, Any] = await get_json(client, f"/meters/{town.serial(number)}/node")
    return found


async def known(client: HttpClient, town: Town) -> None:
    """See that a head-end that was killed knows its meters as before."""
    for number in NUMBERS:
        found = await node(client, town, number)
        assert found["address"] == town.meters[number]["c1222"][0]
        assert found["ap_title"] == town.meters[number]["ap_title"]


async def asked(client: HttpClient, town: Town) -> None:
    """Read a register on demand, which is what its intervals add up to, and a little more."""
    serial = town.serial(NUMBERS[0])
    wish = {"attributes": [{"class_id": 3, "obis": "1.0.1.8.0.255", "attribute": 2}]}
    answer = checked(await client.post(f"{PREFIX}/meters/{serial}/reads", json_body=wish)).json()
    async with asyncio.timeout(30):
        while answer["state"] not in {"done", "failed", "expired"}:
            await asyncio.sleep(0.05)
            answer = await get_json(client, f"/jobs/{answer['id']}")
    assert answer["state"] == "done", answer
    stored = (await stored_wh(client, [serial]))[serial]
    assert answer["results"][0]["value"] >= stored > 0


async def agree(client: HttpClient, town: Town) -> None:
    """Switch both off, so that their registers stand still, and compare both sides."""
    ways = [(town.url(number), town.shipped(number)) for number in NUMBERS]
    for url, meter in ways:
        await ask(url, meter, lambda session: session.action(SWITCH_OFF, i8(0)))
    await town.read_up_to(client, (town.clock.now() // PERIOD + 2) * PERIOD)
    metered = {
        meter["serial"]: (await ask(url, meter, lambda session: session.get(IMPORTED))).integer()
        for url, meter in ways
    }
    assert await stored_wh(client, list(metered)) == metered
    assert all(value > number * 6 for number, value in zip(NUMBERS, metered.values(), strict=True))
    store = await get_json(client, "/store")
    assert store["duplicates"] == 0
    for number in NUMBERS:
        events = await get_json(client, "/events", meter=town.serial(number), limit=1000)
        told = [(each["log"], each["time"], each["code"]) for each in events["items"]]
        assert told
        assert len(set(told)) == len(told)
