"""A head-end with meters that are asked to use less, and a DCU that carries it: its own process."""

from __future__ import annotations

import asyncio
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.browser.children import child, say
from tests.support.demand import LEVEL, event, street
from tests.support.headend import PASSWORD, dcu_client, running_headend, upload

from openami.core.clock import isoformat
from openami.fleet.demand.machine import EventState
from openami.fleet.demand.model import (
    EventKind,
    Interval,
    Payload,
    PayloadType,
    Program,
    Target,
    TargetKind,
)
from openami.fleet.operators import Role
from openami.mdm.readings import ChannelValues, profile_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import httpx

    from openami.headend.server import Running

ROUND_S = 0.3
METERS = 8
DAY, STEP = 86_400, 900
NOW = 1_780_100_000 // DAY * DAY + 6 * 3600 + 40 * 60  # 15:40 in Seoul
BEGUN = NOW // STEP * STEP - 4 * STEP
FIRST = "b" * 16  # the event that is under way


class Wires:
    """A DCU that tells its meters what they are asked, and what became of it."""

    def __init__(self, dcu: httpx.AsyncClient) -> None:
        self._dcu, self._number = dcu, 0
        self._told: set[tuple[str, str]] = set()

    async def turn(self) -> None:
        """Ask once, and report of what is new."""
        found = (await self._dcu.post("/device/v1/demand", json={"reports": []})).json()
        reports = []
        for meter, held in found["meters"].items():
            for one in held["events"]:
                if (meter, one["id"]) not in self._told:
                    self._told.add((meter, one["id"]))
                    reports += list(self._reports(meter, one))
        if reports:
            await self._dcu.post("/device/v1/demand", json={"reports": reports})

    def _reports(self, meter: str, one: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for what in WHAT[int(meter.rpartition("-")[2]) % METERS]:
            self._number += 1
            refused = {"code": "response.none", "reason": "the meter has no response object"}
            yield {
                "number": self._number, "meter": meter, "event": one["id"], "what": what,
                "at": isoformat(NOW), **(refused if what == "refused" else {}),
            }  # fmt: skip


WHAT = (
    ("delivered", "accepted"), ("delivered", "accepted"), ("delivered", "acknowledged"),
    ("delivered", "opted-out"), ("delivered",), ("delivered", "accepted"), ("refused",), (),
)  # fmt: skip


async def _measured(dcu: httpx.AsyncClient) -> None:
    """Upload 40 days of each meter, with less in the event that is under way."""
    rng = np.random.default_rng(3)
    ends = np.arange(BEGUN - 40 * DAY, NOW // STEP * STEP + 1, STEP, dtype=np.int64)
    hour = (ends + 9 * 3600) % DAY / 3600
    usual = 90 + 60 * np.exp(-((hour - 20) ** 2) / 8) + 70 * np.exp(-((hour - 15) ** 2) / 6)
    for number in range(1, METERS):
        wh = usual * (0.7 + 0.1 * number) + rng.normal(0, 5, len(ends))
        if number not in {3, 6}:  # opted out, refused
            wh[ends > BEGUN] *= 0.55
        table = profile_table(
            f"D1-{number}", "1.0.99.1.0.255", time=ends, status=np.zeros(len(ends), np.uint8),
            channels=[ChannelValues("1.0.1.29.0.255", 0, 30, wh.astype(np.int64))],
        )  # fmt: skip
        assert (await upload(dcu, f"b-{number}", table)).status_code == 200


async def begun(running: Running, id_: str) -> None:
    """Wait until the head-end's own rounds have begun an event that is due."""
    async with asyncio.timeout(60):
        while running.services.demand.events.get(id_).record.state is not EventState.ACTIVE:
            await asyncio.sleep(0.05)


async def _ask(running: Running) -> None:
    """Publish one event that is under way, one for tomorrow, and keep a program's terms."""
    desk = running.services.demand.events
    desk.add_program(Program("p1", "Summer afternoons", "Hot days, when the grid is full"), who="t")
    area = (Target(TargetKind.REGION, frozenset({"Seoul"})),)
    price = (Payload(PayloadType.PRICE, Decimal("88.5")),)
    night = BEGUN + 10 * 3600
    for made in (
        event(FIRST, name="Hot afternoon", program="p1", targets=area, intervals=tuple(
            Interval(number, BEGUN + 1800 * number, 1800, (LEVEL,)) for number in range(3))),
        event("c" * 16, name="Cheap night", kind=EventKind.PRICE, start=night, program="p1",
              payloads=price, targets=area, texts={"en": "A good time to charge the car"}),
    ):  # fmt: skip
        desk.draft(made, who="anna")
        desk.publish(made.id, who="anna")
    await begun(running, FIRST)


async def _serve(folder: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_headend(folder) as running:
        clock: Any = running.services.clock
        clock.set(float(NOW))
        for name, role in (("boris", Role.OPERATOR), ("looker", Role.VIEWER)):
            running.services.operators.add(name, PASSWORD, role, who="test")
        devices: Any = running.services.registry._devices
        async with dcu_client(running, folder, "D1") as dcu:
            street(devices, "D1", METERS, region="Seoul")
            await _measured(dcu)
            await _ask(running)
            wires = Wires(dcu)
            await wires.turn()
            say(running.url)
            while not stop.is_set():
                await wires.turn()
                await asyncio.sleep(ROUND_S)


def demanding(folder: Path) -> AbstractContextManager[str]:
    """Run it; return the address of its console."""
    return child("demanding", folder)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
