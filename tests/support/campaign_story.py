"""What a town's operators do: a release for all meters, and a campaign that brings it to them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from openami.cli.api import connected, get_json, pages
from openami.cli.campaign_words import OVER
from openami.cli.demo.upgrades import Upgrades
from openami.cli.demo.vendor import Vendor
from openami.core.errors import TransportError
from openami.firmware.manifest import Change, ChangeKind
from openami.meter.maker import factory_payload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from tests.support.campaign_town import Town

    from openami.cli.demo.vendor import Release

    Facts = dict[str, Any]

LOOK_S: Final = 1.0

# What the new version has behind the factory's application: some meters it does not get on with.
BEHIND: Final = """

_before = start
_UNFIT = {serials!r}


class _Choosy(ManagementApplication):
    unfit = False

    def self_test(self):
        good = yield from super().self_test()
        return good and not self.unfit


def start(hardware):
    application = _Choosy(_before(hardware).model)
    application.unfit = hardware.config.identity.serial in _UNFIT
    return application
"""


def release_for(town: Town, unfit: Collection[str]) -> Release:
    """Return a release for meters, whose one image finds by its self-test that some are not fit."""
    assert town.kind is not None
    vendor = Vendor(town.maker, town.kind, datetime.now(UTC).date())
    about = factory_payload().about
    later = replace(
        about,
        version=replace(about.version, minor=about.version.minor + 1),
        self_test=replace(about.self_test, trial_s=1),
    )
    change = Change(ChangeKind.FEATURE, "REQ-1", "Looks at the hardware that it runs on.")
    behind = BEHIND.format(serials=tuple(sorted(unfit)))
    return vendor.meters(later, 1, change, behind)


class Story(Upgrades):
    """One campaign for all meters of a town, over the REST API."""

    async def discovered(self, meters: int, most_s: float) -> None:
        """Return when the DCUs have found so many meters."""
        found: Facts = {}
        async with asyncio.timeout(most_s):
            while found.get("unknown", meters) or sum(found.values()) < meters:
                await asyncio.sleep(LOOK_S)
                found = (await get_json(self._first, "/overview"))["meters"]["by_contact"]

    async def campaign(self, release: Release, groups: list[Facts]) -> str:
        """Let a release through, and start a campaign for all meters; return its id."""
        key = {"vendor": release.manifest.vendor, "key": self._chain.maker.public.pem().decode()}
        await self._post("/release-keys", key)
        item = await self._offer("a new", release)
        spec = {
            "name": "all meters", "release": item["number"], "groups": groups, "jitter_s": 0,
            "ahead": True, "retry": {"first_s": 5, "most_s": 30, "lease_s": 60},
        }  # fmt: skip
        made = await self._post("/campaigns", {"campaign": spec})
        id_: str = made["progress"]["id"]
        acts = ("plan", self._first), ("approve", self._second), ("start", self._first)
        for act, client in acts:
            wish = {"number": made["progress"]["next_number"]}
            made = await self._post(f"/campaigns/{id_}/{act}", wish, client=client)
        return id_

    async def over(self, id_: str, most_s: float) -> Facts:
        """Return how a campaign has ended; a head-end that is away for a moment is asked again."""
        progress: Facts = {"state": "unknown", "states": {}}
        try:
            async with asyncio.timeout(most_s):
                while progress["state"] not in OVER:
                    await asyncio.sleep(LOOK_S)
                    try:
                        found = await get_json(self._first, f"/campaigns/{id_}")
                    except TransportError as error:
                        self._say(f"no answer: {error.code}")
                        continue
                    if found["progress"]["states"] != progress["states"]:
                        self._say(f"campaign: {found['progress']['states']}")
                    progress = found["progress"]
        except TimeoutError:
            raise AssertionError(f"the campaign is not over: {progress}") from None
        return progress

    async def devices(self, id_: str) -> dict[str, Facts]:
        """Return all devices of a campaign by serial."""
        found = pages(self._first, f"/campaigns/{id_}/devices", most=None, limit=1000)
        return {one["serial"]: one async for one in found}

    async def marks(self, id_: str, serial: str) -> list[tuple[str, str | None]]:
        """Return the states that a device was in, in their order, each with its code."""
        found = await get_json(self._first, f"/campaigns/{id_}/devices/{serial}")
        return [(mark["state"], mark["code"]) for mark in found["marks"]]


@asynccontextmanager
async def operators(town: Town) -> AsyncIterator[Story]:
    """Give the two operators of a town."""
    assert town.target is not None
    assert town.second is not None
    async with connected(town.target) as first, connected(town.second) as second:
        yield Story(town, first, second)
