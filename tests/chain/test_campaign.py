"""A campaign for all meters of a town, with lost frames, killed DCUs and meters that are not fit.

``OPENAMI_CAMPAIGN_METERS`` and ``OPENAMI_CAMPAIGN_DCUS`` say how large the town is,
``OPENAMI_CAMPAIGN_HEADEND`` which share of the kills are the head-end's, and
``OPENAMI_CAMPAIGN_SEED`` repeats the choices of a failed run.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.campaign_checks import asked, disagreement, duplicates
from tests.support.campaign_story import operators, release_for
from tests.support.campaign_town import make_town
from tests.support.chain_bench import Crew

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.campaign_story import Story
    from tests.support.campaign_town import Town

pytestmark = pytest.mark.chain

METERS: Final = int(os.environ.get("OPENAMI_CAMPAIGN_METERS", "200"))
DCUS: Final = int(os.environ.get("OPENAMI_CAMPAIGN_DCUS", "4"))
HEADEND: Final = float(os.environ.get("OPENAMI_CAMPAIGN_HEADEND", "0.1"))
UNFIT: Final = 0.02
OVER_S: Final = 300 + 0.6 * METERS  # a machine that does much else is slow
GROUPS: Final = [
    {"name": "canary", "canary": True, "areas": ["Street 1"], "error": 25, "success": 75},
    {"name": "rest", "error": 25, "success": 75},
]
WAY: Final = [
    "offered", "downloaded", "transferred", "verified", "activated", "self-tested", "confirmed",
    "reverted",
]  # fmt: skip
GOOD: Final = ("confirmed", None)


@pytest.mark.fums("UMS-1", "UMS-2", "UMS-3", "UC1-end", "UC1-readings", "UC1-reading")
@pytest.mark.fums("UC6-at-once", "DES-2", "DES-3")
@pytest.mark.timeout(600 + 2 * METERS)
async def test_good_meters_are_upgraded_once_and_the_others_are_as_before(tmp_path: Path) -> None:
    seed = int(os.environ.get("OPENAMI_CAMPAIGN_SEED", str(secrets.randbits(32))))
    chance = random.Random(seed)
    began, history = time.monotonic(), []

    def say(what: str) -> None:
        history.append(f"{time.monotonic() - began:7.1f} {what}")

    try:
        async with Crew(tmp_path / "logs") as crew:
            town = make_town(tmp_path, crew, chance, (DCUS, METERS), say)
            await town.start()
            async with operators(town) as story:
                await upgrade(town, story)
            await crew.kill_all()
    except BaseException:
        size = f"OPENAMI_CAMPAIGN_METERS={METERS} OPENAMI_CAMPAIGN_DCUS={DCUS}"
        print(f"OPENAMI_CAMPAIGN_SEED={seed} {size}")
        raise
    finally:
        print("\n".join(history))


def in_order(marks: list[tuple[str, str | None]]) -> bool:
    """Tell whether each state came once, in its order; what a DCU that died did not see may lack."""
    states = [state for state, _ in marks]
    return states == [state for state in WAY if state in states] and "activated" in states


async def upgrade(town: Town, story: Story) -> None:
    """See the campaign through, and ask both sides what came of it."""
    await story.discovered(METERS, OVER_S)
    streets = town.serials()
    unfit = {
        serial
        for street in streets
        for serial in town.chance.sample(street, max(1, round(len(street) * UNFIT)))
    }
    release = release_for(town, unfit)
    id_ = await story.campaign(release, GROUPS)
    async with town.misfortune(headend=HEADEND):
        ended = await story.over(id_, OVER_S)
    town.say(f"{town.kills} kills")
    # What the campaign says.
    devices = await story.devices(id_)
    assert {serial for serial, one in devices.items() if one["state"] == "reverted"} == unfit
    assert {devices[serial]["code"] for serial in unfit} == {"upgrade.reverted"}
    assert ended["states"] == {"confirmed": METERS - len(unfit), "reverted": len(unfit)}
    good = {next(serial for serial in street if serial not in unfit) for street in streets}
    for serial in good | unfit:
        marks = await story.marks(id_, serial)
        assert in_order(marks), (serial, marks)
        assert marks[-1] == (("reverted", "upgrade.reverted") if serial in unfit else GOOD)
    town.say("the campaign says so")
    # What the meters say: which version runs, and that it was activated once.
    meters = await asked(town)
    new = f"{release.manifest.name}-{release.manifest.version}"
    assert {serial for serial, meter in meters.items() if meter.firmware != new} == unfit
    assert {meter.upgrades for serial, meter in meters.items() if serial in unfit} == {(1, 0, 1)}
    assert {meter.upgrades for serial, meter in meters.items() if serial not in unfit} == {
        (1, 1, 0)
    }
    town.say("the meters say so")
    # No reading is lost, invented or twice.
    assert await disagreement(town, meters) == {}
    assert await duplicates(town) == 0
    town.say("the readings agree")
