"""The end of the demo: what the meters count against what the store holds.

All supplies are switched off over DLMS, so that the registers stand still; then the last interval
is collected like every other, and both sides are asked: the meters by an association of their own,
the store by its own queries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from openami.cli.api import connected, get_json
from openami.core.clock import isoformat, parse_utc
from openami.core.errors import (
    ProtocolError,
    SecurityError,
    TransportError,
    TransportTimeoutError,
)
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig, SecurityLevel
from openami.dlms.data import i8
from openami.dlms.references import AttributeRef, MethodRef
from openami.dlms.security import Keys
from openami.transport.session import open_session
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from openami.cli.demo.chain import Chain
    from openami.dlms.data import Data
    from openami.transport.http import HttpClient
    from openami.transport.session import DlmsSession

T = TypeVar("T")

IMPORTED: Final = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
COUNTER: Final = AttributeRef(1, Obis.parse("0.0.43.1.0.255"), 2)
SWITCH_OFF: Final = MethodRef(70, Obis.parse("0.0.96.3.10.255"), 1)
LOAD_PROFILE: Final = "1.0.99.1.0.255"
CHANNEL: Final = "1.0.1.29.0.255"
AUDITOR: Final = SystemTitle.of("OAM", 0xFFFFFFFFFE)
PUBLIC, READER, MANAGEMENT = 16, 2, 1
PERIOD_S: Final = 900
ASK_S: Final = 30.0  # real time for which a meter may be away, with a new image and back
TRY_AGAIN_S: Final = 0.3
COLLECT_S: Final = 120.0  # real time in which the last intervals must have come


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of both sides; ``stored`` ones are the store's own."""

    meters: int
    meters_read: int
    metered_wh: int
    stored_wh: int
    readings: int
    duplicates: int
    gaps: int

    @property
    def agrees(self) -> bool:
        """Whether every meter was read and nothing is lost, invented or twice."""
        return (
            self.meters == self.meters_read
            and self.metered_wh == self.stored_wh
            and self.duplicates == 0
            and self.gaps == 0
        )


def shipped(chain: Chain) -> Iterator[tuple[MeterUrl, dict[str, Any]]]:
    """Yield each meter's maintenance address and its entry in the shipment."""
    for facts in chain.streets:
        content = json.loads(Path(facts["shipment"]).read_text("utf-8"))
        for meter in content["meters"]:
            url = MeterUrl.parse(f"dlms+tcp://{facts['maintenance']}?server={meter['address']}")
            yield url, meter
    for facts in chain.nodes:
        content = json.loads(Path(facts["shipment"]).read_text("utf-8"))
        yield MeterUrl.parse(f"dlms+tcp://{facts['wrapper'][0]}"), content["meters"][0]


async def ask(
    url: MeterUrl, meter: dict[str, Any], work: Callable[[DlmsSession], Awaitable[T]]
) -> T:
    """Do ``work`` in a management association with a meter; what it does may be done twice.

    The DCU uses the same keys, so each of the two may find that the other was ahead with its
    invocation counters: then it begins anew, as the DCU does. So it does where the meter restarts.
    """
    last = time.monotonic() + ASK_S
    while time.monotonic() < last:
        with contextlib.suppress(ProtocolError, SecurityError, TransportError):
            async with _manage(url, meter) as session:
                return await work(session)
        await asyncio.sleep(TRY_AGAIN_S)
    async with _manage(url, meter) as session:
        return await work(session)


@asynccontextmanager
async def _manage(url: MeterUrl, meter: dict[str, Any]) -> AsyncIterator[DlmsSession]:
    """Give a management association with a meter."""
    async with open_session(replace(url, client=PUBLIC), ClientConfig()) as session:
        counter = (await session.get(COUNTER)).integer() + 1
    keys = {name: bytes.fromhex(meter["keys"][name]) for name in ("guek", "gak")}
    config = ClientConfig(
        mechanism=Mechanism.HLS_GMAC,
        keys=Keys(**keys),
        title=AUDITOR,
        security=SecurityLevel.BOTH,
        invocation_counter=counter,
    )
    async with open_session(replace(url, client=MANAGEMENT), config) as session:
        yield session


async def look(url: MeterUrl, meter: dict[str, Any], what: AttributeRef) -> Data:
    """Return what a meter shows to its reader, whose password takes nobody's invocation counters."""
    config = ClientConfig(mechanism=Mechanism.LLS, secret=bytes.fromhex(meter["keys"]["lls"]))
    async with open_session(replace(url, client=READER), config) as session:
        return await session.get(what)


async def switch_off(chain: Chain) -> None:
    """Disconnect every meter's supply; OpenAmiError if one refuses."""
    for url, meter in shipped(chain):
        await ask(url, meter, lambda session: session.action(SWITCH_OFF, i8(0)))


async def metered(chain: Chain) -> dict[str, int]:
    """Return by serial number the watt-hours that each meter has counted."""
    return {
        meter["serial"]: (await ask(url, meter, lambda session: session.get(IMPORTED))).integer()
        for url, meter in shipped(chain)
    }


async def stored_wh(client: HttpClient, meters: Sequence[str]) -> dict[str, int]:
    """Return by serial number the watt-hours that the store's intervals add up to."""
    query = "&".join(f"meter={quote(meter)}" for meter in meters)
    found = await get_json(client, f"/sums?{query}")
    return {
        row["meter"]: int(row["sum"])
        for row in found["items"]
        if row["profile"] == LOAD_PROFILE and row["channel"] == CHANNEL
    }


async def _newest(client: HttpClient, serial: str) -> float:
    """Return the end of a meter's newest stored interval, 0 if there is none."""
    found = await get_json(client, f"/meters/{serial}/registers")
    times = [parse_utc(i["time"]) for i in found["items"] if i["profile"] == LOAD_PROFILE]
    return max(times, default=0.0)


async def collected(chain: Chain, until: float) -> None:
    """Return when the store has every meter's interval that ends at ``until``.

    Raises:
        TransportTimeoutError: ``demo.collect``, it has not in time.
    """
    assert chain.target is not None
    waiting = {meter["serial"] for _, meter in shipped(chain)}
    try:
        async with connected(chain.target) as client, asyncio.timeout(COLLECT_S):
            while waiting:
                chain.processes.check()
                for serial in sorted(waiting):
                    if await _newest(client, serial) >= until:
                        waiting.discard(serial)
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise TransportTimeoutError(
            f"the store lacks the last interval of {', '.join(sorted(waiting))}",
            code="demo.collect",
        ) from None


async def audit(chain: Chain, *, start: float, until: float) -> Outcome:
    """Return the figures of both sides, intervals after ``start`` up to ``until``."""
    assert chain.target is not None
    counted = await metered(chain)
    async with connected(chain.target) as client:
        store = await get_json(client, "/store", start=isoformat(start), end=isoformat(until))
        stored = await stored_wh(client, list(counted))
        missing = 0
        for serial in counted:
            found = await get_json(
                client, "/gaps", meter=serial, start=isoformat(start), end=isoformat(until)
            )
            missing += len(found["items"])
    return Outcome(
        meters=len(counted),
        meters_read=sum(1 for serial in counted if serial in stored),
        metered_wh=sum(counted.values()),
        stored_wh=sum(stored.values()),
        readings=store["readings"],
        duplicates=store["duplicates"],
        gaps=missing,
    )
