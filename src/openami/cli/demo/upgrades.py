"""The demo's upgrades: meters that take a faulty image back, a good one, and a DCU's own software.

Everything is done as operators do it, over the REST API: one uploads, plans and starts, another
approves. Readings go on meanwhile; that nothing of them is lost, the end of the demo shows.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from openami.cli.api import PREFIX, checked, connected, get_json
from openami.cli.campaign_words import OVER, states_words
from openami.cli.demo import audit
from openami.cli.demo.chain import REVIEWER
from openami.cli.demo.stories import Story
from openami.cli.demo.vendor import NOTICE, VENDOR, Vendor
from openami.cli.output import counted
from openami.core.errors import TransportTimeoutError
from openami.core.obis import Obis
from openami.dlms.references import AttributeRef

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from openami.cli.demo.chain import Chain
    from openami.cli.demo.vendor import Release
    from openami.transport.http import HttpClient

    Facts = dict[str, Any]

TAR: Final = "application/x-tar"
STEP_S: Final = 300.0  # real time in which each of the campaigns must come to its end,
METER_S: Final = 3.0  # and so much more for each meter
LOOK_S: Final = 0.25
SWITCHING: Final = ("activated", "self-tested")
MOST_NAMED: Final = 3  # in a line; the result has all
NOTICE_TEXT: Final = AttributeRef(1, Obis.parse(NOTICE), 2)


def upgrading(chain: Chain) -> Story:
    """Return the story of the upgrades of the first DCU and its meters."""
    return Story(partial(_upgrade, chain))


async def _upgrade(chain: Chain) -> dict[str, Facts]:
    assert chain.target is not None
    assert chain.second is not None
    async with connected(chain.target) as first, connected(chain.second) as second:
        return await Upgrades(chain, first, second).run()


class Upgrades:
    """The three campaigns, one after another.

    Args:
        chain: what runs.
        first: the head-end, as the operator sees it who uploads, plans and starts.
        second: as the one sees it who approves.
    """

    def __init__(self, chain: Chain, first: HttpClient, second: HttpClient) -> None:
        self._chain = chain
        self._first, self._second = first, second
        self._say = chain.say
        assert chain.kind is not None
        self._vendor = Vendor(chain.maker, chain.kind, datetime.now(UTC).date())
        self._uid = chain.plan.uids[0]
        self._street = chain.plan.regions[self._uid]
        self._most_s = STEP_S + METER_S * chain.plan.meters
        self._told: set[tuple[str, str, str]] = set()

    async def run(self) -> dict[str, Facts]:
        """Do all of it."""
        key = {"vendor": VENDOR, "key": self._chain.maker.public.pem().decode()}
        await self._post("/release-keys", key)
        vendor = self._vendor
        faulty = await self._offer("a faulty", vendor.faulty_meters())
        came = {"faulty": await self._faulty(faulty)}
        came["good"] = await self._good(await self._offer("a good", vendor.good_meters()))
        new = await asyncio.to_thread(vendor.dcus)
        came["dcu"] = await self._dcu(await self._offer("a new", new))
        self._say("console: Upgrades has the campaigns, the releases and each device's timeline")
        return came

    # The shelf

    async def _offer(self, what: str, release: Release) -> Facts:
        """Bring a release to where devices may have it: uploaded, verified, approved, released."""
        answer = await self._first.post(
            f"{PREFIX}/releases",
            content=release.tar(),
            headers={"Content-Type": TAR},
            params={"why": "for the demo"},
        )
        path = f"/releases/{checked(answer).json()['number']}"
        await self._post(f"{path}/verify")
        await self._post(f"{path}/approve", {"why": "read its manifest"}, client=self._second)
        item = await self._post(f"{path}/release", {"why": "for the demo"})
        octets = release.manifest.images[0].size
        self._say(
            f"vendor: hands over {what} {item['name']} {item['version']}, {octets:,} octets;"
            f" verified, approved by {REVIEWER}, {item['state']}"
        )
        return item

    # Campaigns

    async def _faulty(self, item: Facts) -> Facts:
        """Let all meters have the faulty release: the first street finds out."""
        canary = {"name": "canary", "canary": True, "areas": [self._street]}
        id_ = await self._start(item, "all meters", {}, [canary, {"name": "rest"}])
        paused = await self._until(id_, lambda progress: progress["state"] == "paused")
        cause = paused["cause"]
        self._say(f"campaign: paused by itself: {cause['cause']}")
        await self._post(f"/campaigns/{id_}/stop", {"why": "the release is faulty"})
        ended = await self._until(id_, _settled)
        devices = await self._devices(id_)
        bad = {one["serial"]: one["code"] for one in devices if one["state"] == "reverted"}
        asked = sum(one["state"] != "waiting" for one in devices)
        spared = len(devices) - asked
        rest = f"; {counted(spared, 'meter')} of other streets never heard of it"
        self._say("campaign: stopped" + (rest if spared else ""))
        gone = await self._post(f"/releases/{item['number']}/withdraw", {"why": "it is faulty"})
        runs = await self._run(bad, f"{item['name']}-{item['manifest']['previous']}")
        self._say(
            f"{self._street.lower()}: {counted(len(bad), 'meter')} took it back and run"
            f" {runs} again: {_named(bad)}"
        )
        self._say(f"head-end: {gone['name']} {gone['version']} is {gone['state']}")
        return {
            **_facts(item, ended),
            "cause": cause["code"],
            "release_is": gone["state"],
            "asked": asked,
            "reverted": bad,
            "runs": runs,
        }

    async def _good(self, item: Facts) -> Facts:
        """Let the first street have the good release."""
        began = time.monotonic()
        every = [{"name": "all", "canary": False}]
        id_ = await self._start(item, self._street, {"dcu": self._uid}, every)
        ended = await self._until(id_, _over)
        good = [one["serial"] for one in await self._devices(id_) if one["state"] == "confirmed"]
        took = time.monotonic() - began
        runs = await self._run(good, f"{item['name']}-{item['version']}")
        url, meter = next(iter(audit.shipped(self._chain)))
        said = (await audit.look(url, meter, NOTICE_TEXT)).octets()
        self._say(
            f"{self._street.lower()}: {counted(len(good), 'meter')} confirmed {item['version']}"
            f" {took:.0f} s after the start, read all the while"
        )
        self._say(
            f"{self._street.lower()}: {meter['serial']} has a new object, 1/{NOTICE}:"
            f" {said.decode()!r}"
        )
        return {
            **_facts(item, ended),
            "confirmed": len(good),
            "runs": runs,
            "new_object": said.decode(),
        }

    async def _dcu(self, item: Facts) -> Facts:
        """Let the first DCU have its own new software, by OMA DM."""
        began = time.monotonic()
        every = [{"name": "all"}]
        id_ = await self._start(item, f"the DCU of {self._street}", {"region": self._street}, every)
        ended = await self._until(id_, _over)
        took = time.monotonic() - began
        version = await self._version()
        self._say(
            f"{self._uid}: upgraded over FUMO: slot switched, tried, confirmed;"
            f" it says it is {version}, {took:.0f} s after the start"
        )
        return {**_facts(item, ended), "reports": version}

    async def _start(
        self, item: Facts, whom: str, which: Mapping[str, str], groups: list[dict[str, Any]]
    ) -> str:
        """Write, plan, approve and start a campaign; return its id."""
        name = f"{item['name']} {item['version']} for {whom}"
        spec = {
            "name": name, "release": item["number"], "filter": which, "groups": groups,
            "jitter_s": 0,
        }  # fmt: skip
        made = await self._post("/campaigns", {"campaign": spec, "why": "for the demo"})
        id_: str = made["progress"]["id"]
        for act, client in (
            ("plan", self._first), ("approve", self._second), ("start", self._first),
        ):  # fmt: skip
            wish = {"number": made["progress"]["next_number"], "why": "for the demo"}
            made = await self._post(f"/campaigns/{id_}/{act}", wish, client=client)
        progress = made["progress"]
        kind = {"meter": "meter", "dcu": "DCU"}[progress["kind"]]
        self._say(f"campaign: {name}, {counted(progress['devices'], kind)}: started")
        return id_

    async def _until(self, id_: str, reached: Callable[[Facts], bool]) -> Facts:
        """Return how far a campaign is as soon as something is so, telling how its groups go."""
        progress: Facts = {}

        async def look() -> bool:
            progress.update((await get_json(self._first, f"/campaigns/{id_}"))["progress"])
            self._tell(progress)
            return reached(progress)

        await self._soon(look, f"campaign {id_} does not come to its end")
        return progress

    async def _soon(self, reached: Callable[[], Awaitable[bool]], trouble: str) -> None:
        """Return when something is so.

        Raises:
            TransportTimeoutError: ``demo.upgrade``, it is not in time.
        """
        try:
            async with asyncio.timeout(self._most_s):
                while True:
                    if await reached():
                        return
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise TransportTimeoutError(
                trouble,
                hint="--state DIR keeps the logs; --no-upgrades leaves the upgrades out",
                code="demo.upgrade",
            ) from None

    def _tell(self, progress: Facts) -> None:
        for group in progress["groups"]:
            step = (progress["id"], group["name"], group["state"])
            if step not in self._told and group["state"] != "waiting":
                self._say(f"campaign: {group['name']} {group['state']}: {states_words(group)}")
            self._told.add(step)

    # What is asked

    async def _devices(self, id_: str) -> list[Facts]:
        found: list[Facts] = (await get_json(self._first, f"/campaigns/{id_}/devices", limit=1000))[
            "items"
        ]
        return found

    async def _run(self, serials: Collection[str], firmware: str) -> str:
        """Return ``firmware`` as soon as the head-end knows that some meters run it."""
        wanted = frozenset(serials)

        async def all_run() -> bool:
            found = await get_json(self._first, "/devices", kind="meter", dcu=self._uid, limit=1000)
            runs = {one["serial"] for one in found["items"] if one["firmware"] == firmware}
            return wanted <= runs

        await self._soon(all_run, f"{firmware} does not run on all meters that should")
        return firmware

    async def _version(self) -> str:
        tree: Facts = await get_json(
            self._first, f"/dm/devices/{self._uid}/tree", below="./DevDetail/SwV"
        )
        return str(tree["nodes"][0]["value"])

    async def _post(
        self, path: str, wish: object | None = None, *, client: HttpClient | None = None
    ) -> Facts:
        answer = await (client or self._first).post(PREFIX + path, json_body=wish)
        done: Facts = checked(answer).json()
        return done


def _over(progress: Facts) -> bool:
    return progress["state"] in OVER


def _settled(progress: Facts) -> bool:
    """Tell whether no device of a campaign that was stopped is switching any more."""
    return _over(progress) and not any(progress["states"].get(name) for name in SWITCHING)


def _facts(item: Facts, ended: Facts) -> Facts:
    return {
        "campaign": ended["id"],
        "release": item["number"],
        "version": item["version"],
        "state": ended["state"],
        "devices": ended["devices"],
    }


def _named(bad: Mapping[str, str]) -> str:
    """Return the first of some meters, each with the code of why."""
    said = [f"{serial} {code}" for serial, code in list(bad.items())[:MOST_NAMED]]
    more = len(bad) - len(said)
    return ", ".join(said) + (f" and {more} more" if more else "")
