"""Demand response from the operator's desk to the kitchen wall and back, by real processes.

The head-end, a DCU, a meter with a line and a home port, a display, and simulated appliances that
the display controls and the meter measures. Parts of it are killed on the way.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.home_chain import DCU, HEADEND, HomeChain, home_chain, until

from openami.metrology.events import Event

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.chain

MUCH_W: Final = 5000.0  # the car is charged
LITTLE_W: Final = 2500.0  # all that an event can switch off is off


@pytest.mark.timeout(300)
async def test_a_home_and_its_utility_through_an_evening(tmp_path: Path) -> None:
    async with home_chain(tmp_path) as chain:
        await chain.openami("demand", "program", "add", "evening")
        await until(lambda: draws(chain, MUCH_W))
        first = await an_accepted_event(chain)
        await two_that_nobody_takes_part_in(chain)
        await an_emergency(chain)
        await what_it_brought(chain, first)


async def draws(chain: HomeChain, watts: float) -> bool:
    return await chain.power() > watts


async def delivered(chain: HomeChain, event: str) -> bool:
    standing = await chain.standing(event)
    return bool(standing.get("delivered")) and bool(await chain.shown(event))


async def answered(chain: HomeChain, event: str) -> dict[str, Any] | None:
    standing = await chain.standing(event)
    return standing if standing.get("answer") not in {None, "acknowledged"} else None


async def an_accepted_event(chain: HomeChain) -> str:
    """The DCU is killed between the order and the answer."""
    event = await chain.event("one", "--start", "+8m", "--length", "30m", "--level", "3")
    await until(lambda: delivered(chain, event))
    before = await chain.standing(event)
    await chain.crew.kill(DCU)
    await chain.answer(event, "accepted")
    await chain.start_dcu()

    async def obeyed() -> bool:
        shown = await chain.shown(event)
        assert shown["state"] != "over"
        return shown["state"] == "active" and await chain.power() < LITTLE_W

    await until(obeyed)
    known = await until(lambda: answered(chain, event))
    assert (known["answer"], known["answeredBy"]) == ("accepted", None)
    assert known["delivered"] == before["delivered"]
    return event


async def two_that_nobody_takes_part_in(chain: HomeChain) -> None:
    """One is declined at the display, the other on the customer's page.

    The answer is at the DCU, and on its way no further, when that and the head-end are killed.
    """
    options = ("--start", "+5m", "--length", "3h", "--level", "3")
    here, away = [await chain.event(name, *options) for name in ("two", "three")]
    for event in (here, away):
        await until(partial(delivered, chain, event))
    await chain.crew.kill(HEADEND)
    await chain.answer(here, "opted-out")
    await chain.crew.says(DCU, f"what=opted-out about={here}")
    await chain.crew.kill(DCU)
    await asyncio.gather(chain.start_headend(), chain.start_dcu())
    known = await until(lambda: answered(chain, here))
    assert (known["answer"], known["answeredBy"]) == ("opted-out", None)
    await chain.answer_away(away, "opt-out")

    async def heard() -> bool:
        return bool((await chain.shown(away))["answer"] == "opted-out")

    async def goes_on() -> bool:
        states = {(await chain.shown(event))["state"] for event in (here, away)}
        return states == {"active"} and await chain.power() > MUCH_W

    await until(heard)
    standing = await chain.standing(away)
    assert (standing["answer"], standing["answeredBy"]) == ("opted-out", "kim@example.org")
    await until(goes_on)
    for event in (here, away):
        assert await chain.counts(event) == {
            "meters": 1, "delivered": 1, "acknowledged": 1, "optedOut": 1
        }  # fmt: skip
        await chain.cancel(event)


async def an_emergency(chain: HomeChain) -> None:
    """The household lets its car charge until the meter cuts it off."""
    car = next(one for one in await chain.appliances() if one["kind"] == "charger")
    await chain.touch("PATCH", f"appliances/{car['id']}", allow=False)
    limit = ("--kind", "emergency", "--limit", "3", "--no-opt-out")
    event = await chain.event("four", "--start", "+3m", "--length", "2h", *limit)
    await until(lambda: stands(chain, "ready-for-reconnection"))
    await until(lambda: knows(chain, event, "limited"))
    await chain.touch("PATCH", f"appliances/{car['id']}", allow=True)
    await until(lambda: obeys(chain, str(car["id"])))
    await chain.touch("POST", "reconnect")
    await until(lambda: stands(chain, "connected"))
    await chain.cancel(event)
    await until(lambda: knows(chain, event, "restored"))
    assert await stands(chain, "connected")
    assert await chain.counts(event) == {"meters": 1, "delivered": 1, "limited": 1, "restored": 1}


async def stands(chain: HomeChain, supply: str) -> bool:
    return bool((await chain.live())["supply"] == supply)


async def knows(chain: HomeChain, event: str, what: str) -> bool:
    return (await chain.standing(event)).get(what) is not None


async def obeys(chain: HomeChain, appliance: str) -> bool:
    found = next(one for one in await chain.appliances() if one["id"] == appliance)
    return bool(found["mode"] == "off" and found["power_w"] == 0)


async def what_it_brought(chain: HomeChain, event: str) -> None:
    """What was saved is measured, and what was done was done once."""

    async def measured() -> dict[str, Any] | None:
        found = await chain.openami("demand", "event", "results", event)
        return found if not found["missing"] else None

    found = await until(measured)
    assert found["meter"] == chain.home.serial
    assert found["savedWh"] == pytest.approx(found["baselineWh"] - found["usedWh"])
    assert 0 < found["usedWh"] < found["baselineWh"]
    assert await chain.counts(event) == {
        "meters": 1, "delivered": 1, "acknowledged": 1, "accepted": 1
    }  # fmt: skip
    switched = await until(chain.switched)
    assert switched == [Event.LIMIT_EXCEEDED, Event.MANUALLY_CONNECTED]

    async def whole() -> bool:
        return not await chain.missing()

    await until(whole)
    assert (await chain.ask("/store"))["duplicates"] == 0
