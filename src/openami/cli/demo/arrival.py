"""How the demo's DCUs arrive: expected, registered, configured, woken for a change, collecting.

All that is told of them here the head-end is asked for, over its REST API.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from openami.cli.api import PREFIX, checked, connected, get_json
from openami.cli.output import counted
from openami.core.errors import TransportTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from openami.cli.demo.chain import Chain
    from openami.headend.security.maker import MadeDevice
    from openami.transport.http import HttpClient

    Step = Callable[[HttpClient, str], Awaitable[str | None]]

MAKER: Final = "OpenAMI"
GROUP: Final = "all"
NOT_FOUND: Final = 404
CHANGED: Final = ("./AMI/Upload/RetryMost", "4")  # what the DCUs are woken for
LOOK_S: Final = 0.05
ARRIVE_S: Final = 90.0  # real time in which every DCU must have its configuration


async def expect(
    chain: Chain, anchor: str, devices: Sequence[MadeDevice], regions: Mapping[str, str]
) -> None:
    """Let the head-end trust a maker's anchor, and expect its devices where they are to stand."""
    lines = ["uid,manufacturer,model,fingerprint,region"]
    lines += [
        f"{made.uid},{made.manufacturer},{made.model},{made.fingerprint},{regions[made.uid]}"
        for made in devices
    ]
    assert chain.target is not None
    async with connected(chain.target) as client:
        body = {"manufacturer": MAKER, "certificate": anchor}
        checked(await client.post(f"{PREFIX}/pki/anchors", json_body=body))
        checked(await client.post(f"{PREFIX}/expected", content="\n".join(lines).encode()))


async def want(chain: Chain, settings: Mapping[str, object], streets: Mapping[str, str]) -> None:
    """Say what all DCUs are to be like, and where the meters of each region's lines are."""
    assert chain.target is not None
    async with connected(chain.target) as client:
        await _group(client, GROUP, None, settings)
        for region, stations in streets.items():
            name = region.lower().replace(" ", "-")
            await _group(client, name, region, {"./AMI/Segment/Addresses": stations})


async def _group(
    client: HttpClient, name: str, region: str | None, settings: Mapping[str, object]
) -> None:
    group = f"{PREFIX}/dm/groups/{name}"
    wish = {"filter": {"region": region}, "priority": 0 if region is None else 1}
    checked(await client.request("PUT", group, json_body=wish))
    await _settings(client, name, settings)


async def _settings(client: HttpClient, name: str, settings: Mapping[str, object]) -> None:
    wanted = [{"uri": uri, "value": str(value)} for uri, value in settings.items()]
    place = f"{PREFIX}/dm/groups/{name}/desired"
    checked(await client.request("PUT", place, json_body={"settings": wanted}))


@dataclass(slots=True)
class Arrival:
    """One DCU on its way, and the steps that it has not done yet."""

    uid: str
    steps: list[Step]

    async def look(self, client: HttpClient, say: Callable[[str], None]) -> bool:
        """Say which steps have been done since the last look; return whether all have."""
        while self.steps:
            words = await self.steps[0](client, self.uid)
            if words is None:
                return False
            del self.steps[0]
            say(f"{self.uid}: {words}")
        return True


async def arrived(chain: Chain, uids: Sequence[str]) -> None:
    """Return when every DCU is registered and configured, saying each step.

    Raises:
        TransportTimeoutError: ``demo.arrival``, one is not in time.
    """
    await _until(chain, [Arrival(uid, [_registered, _met, _configured]) for uid in uids])


async def woken(chain: Chain, uids: Sequence[str]) -> None:
    """Change what is wanted of all DCUs; return when each was woken for it and has it, saying so.

    Raises:
        TransportTimeoutError: ``demo.arrival``, one is not in time.
    """
    assert chain.target is not None
    uri, value = CHANGED
    async with connected(chain.target) as client:
        before = {uid: (await _sessions(client, uid))[0]["id"] for uid in uids}
        await _settings(client, GROUP, {uri: value})
        began = time.monotonic()
    chain.say(f"head-end: now wants {uri} to be {value}, and wakes its DCUs")
    await _until(
        chain, [Arrival(uid, [partial(_obeyed, after=before[uid], began=began)]) for uid in uids]
    )


async def _until(chain: Chain, waiting: list[Arrival]) -> None:
    """Return when all have done their steps."""
    assert chain.target is not None
    try:
        async with connected(chain.target) as client, asyncio.timeout(ARRIVE_S):
            while waiting:
                chain.processes.check()
                waiting = [each for each in waiting if not await each.look(client, chain.say)]
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        late = ", ".join(each.uid for each in waiting)
        raise TransportTimeoutError(
            f"not configured in time: {late}",
            hint="a machine with little to spare is slow: --dcus 1; --state DIR keeps the logs",
            code="demo.arrival",
        ) from None


def collecting(uids: Sequence[str]) -> list[Arrival]:
    """Return the last step of DCUs that are configured: readings of theirs are stored."""
    return [Arrival(uid, [_collects]) for uid in uids]


async def _registered(client: HttpClient, uid: str) -> str | None:
    answer = await client.get(f"{PREFIX}/registrations/{uid}")
    if answer.status == NOT_FOUND:
        return None
    known = checked(answer).json()
    if known["standing"] != "live":
        return None
    serial, days = known["certificate"]["serial"], known["certificate"]["days_left"]
    return f"registered by SSMP: operational certificate …{serial[-8:]} for {days:.0f} days"


async def _met(client: HttpClient, uid: str) -> str | None:
    done = [item for item in await _sessions(client, uid) if item["end"] == "done"]
    if not done:
        return None
    first = done[-1]
    woken = "woken by a notification" if first["notified"] else "of its own accord"
    return f"first session of device management, {woken}: {first['messages']} messages, {first['octets']:,} octets"


async def _configured(client: HttpClient, uid: str) -> str | None:
    tree: dict[str, Any] = await get_json(client, f"/dm/devices/{uid}/tree")
    wanted = [node for node in tree["nodes"] if node["wanted"] is not None]
    if tree["known_at"] is None or tree["pending"] or tree["refused"]:
        return None
    return f"configured: {len(wanted)} values of its tree are as wanted"


async def _obeyed(client: HttpClient, uid: str, *, after: int, began: float) -> str | None:
    done = [
        item
        for item in await _sessions(client, uid)
        if item["id"] > after and item["orders"] and item["end"] == "done"
    ]
    if not done:
        return None
    uri, value = CHANGED
    tree: dict[str, Any] = await get_json(client, f"/dm/devices/{uid}/tree", below=uri)
    if [node["value"] for node in tree["nodes"]] != [value]:
        return None
    how = "woken by a notification" if done[-1]["notified"] else "came of its own accord"
    return f"{how}: has it {time.monotonic() - began:.1f} s after it was wanted"


async def _sessions(client: HttpClient, uid: str) -> list[dict[str, Any]]:
    """Return the sessions of a DCU, the latest first."""
    items: list[dict[str, Any]] = (await get_json(client, "/dm/sessions", device=uid, limit=100))[
        "items"
    ]
    return items


async def _collects(client: HttpClient, uid: str) -> str | None:
    meters = (await get_json(client, "/devices", kind="meter", dcu=uid, limit=1000))["items"]
    read = [meter for meter in meters if meter["last_read"] is not None]
    if not read:
        return None
    first = min(read, key=lambda meter: str(meter["last_read"]))["serial"]
    return f"collects: {counted(len(meters), 'meter')} found, {first} read, its readings stored"
