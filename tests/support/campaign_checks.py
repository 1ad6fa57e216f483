"""What the meters of a town say after a campaign, and what the head-end has of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tests.support.chain_audit import LOGS, PROFILES, Side, side_of

from openami.cli.api import connected, get_json
from openami.cli.demo import audit
from openami.core.clock import parse_utc
from openami.dcu.discovery import FIRMWARE
from openami.metrology.events import Event

if TYPE_CHECKING:
    from tests.support.campaign_town import Town

    from openami.transport.session import DlmsSession

    Facts = dict[str, Any]
    Sums = dict[tuple[str, str], tuple[int, int, int, int]]

AGREE_S: Final = 90.0  # real time in which the last readings must have come
UPGRADES: Final = (Event.FIRMWARE_ACTIVATED, Event.FIRMWARE_CONFIRMED, Event.FIRMWARE_REVERTED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a meter says of itself."""

    firmware: str
    side: Side

    @property
    def upgrades(self) -> tuple[int, int, int]:
        """How often it activated, confirmed and took back an image, by its own log."""
        codes = Counter[int]()
        for (_, _, code), count in self.side.events.items():
            codes[code] += count
        activated, confirmed, reverted = (codes[event] for event in UPGRADES)
        return activated, confirmed, reverted


async def asked(town: Town) -> dict[str, Asked]:
    """Return by serial what each meter says, asked by its maintenance port."""
    streets: dict[str, list[Any]] = {}
    for url, meter in audit.shipped(town):
        streets.setdefault(str(url.port), []).append((url, meter))
    found: dict[str, Asked] = {}

    async def street(members: list[Any]) -> None:
        for url, meter in members:
            found[meter["serial"]] = await audit.ask(url, meter, _ask)

    async with asyncio.TaskGroup() as group:
        for members in streets.values():
            group.create_task(street(members))
    return found


async def _ask(session: DlmsSession) -> Asked:
    firmware = (await session.get(FIRMWARE)).octets().decode()
    return Asked(firmware, await side_of(session, PROFILES[:1], LOGS[:1]))


def metered(meters: dict[str, Asked]) -> Sums:
    """Return by meter and channel: count, sum, first and last time of the load profile."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for serial, meter in meters.items():
        for (_, channel, time), (value, _) in meter.side.readings.items():
            found.setdefault((serial, channel), []).append((time, value))
    return {
        key: (len(rows), sum(value for _, value in rows), min(rows)[0], max(rows)[0])
        for key, rows in found.items()
    }


async def stored(town: Town, meters: list[str]) -> Sums:
    """Return the same as the store has it."""
    assert town.target is not None
    async with connected(town.target) as client:
        rows = []
        for begin in range(0, len(meters), 100):
            query = "&".join(f"meter={quote(one)}" for one in meters[begin : begin + 100])
            rows += (await get_json(client, f"/sums?{query}"))["items"]
    return {
        (row["meter"], row["channel"]): (
            row["count"], row["sum"], int(parse_utc(row["first"])), int(parse_utc(row["last"])),
        )
        for row in rows
    }  # fmt: skip


async def disagreement(town: Town, meters: dict[str, Asked]) -> dict[Any, Any]:
    """Return where the store and the meters differ, once the last readings have had time."""
    ours = metered(meters)
    deadline = asyncio.get_running_loop().time() + AGREE_S
    while True:
        theirs = await stored(town, list(meters))
        keys = ours.keys() | theirs.keys()
        found = {
            key: (ours.get(key), theirs.get(key))
            for key in keys
            if ours.get(key) != theirs.get(key)
        }
        if not found or asyncio.get_running_loop().time() > deadline:
            return found
        town.crew.check()
        await asyncio.sleep(1)


async def duplicates(town: Town) -> int:
    """Return how many readings the store has twice."""
    assert town.target is not None
    async with connected(town.target) as client:
        count: int = (await get_json(client, "/store"))["duplicates"]
        return count
