"""A line with real meters behind a real socket, upgraded as the manager of a DCU does it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.support.upgrades import MAKER

from openami.core.clock import ManualClock
from openami.core.identifiers import SystemTitle
from openami.dcu.headend import BroadcastCredentials, Credentials
from openami.dcu.known import KnownMeter, MeterCounters
from openami.dcu.modem import Modem
from openami.dcu.roster import Station
from openami.dcu.settings import DcuSettings
from openami.dcu.upgrade.modem_line import ModemLine
from openami.fleet.upgrade import (
    Ask,
    Bits,
    Blocks,
    Do,
    MeterPolicy,
    Order,
    Rest,
    Segment,
    Send,
    Silent,
    Upgrade,
)
from openami.meter.identity import BroadcastKeys, generate_identity, seeded
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.meter.street import StreetMeter, StreetRunner, StreetSettings
from openami.store.spool import Spool
from openami.transport.medium import LineProfile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from openami.dcu.upgrade.line import MeterLine
    from openami.meter.identity import MeterIdentity
    from openami.meter.run import Listening

START = 1_774_742_400.0
TITLE = SystemTitle.of("DCU", 7)
LINE = BroadcastKeys(b"L" * 16, b"A" * 16)
POLICY = MeterPolicy(
    poll_s=0.6, poll_most_s=0.6, silence_first_s=0.3, silence_most_s=0.6, trial_s=5.0
)


def identities(count: int, broadcast: BroadcastKeys = LINE) -> list[MeterIdentity]:
    return [
        generate_identity(
            number, seeded(f"line {number}"), address=16 + number, broadcast=broadcast
        )
        for number in range(count)
    ]


def credentials_of(who: MeterIdentity) -> Credentials:
    keys = who.keys
    hears = None if keys.gbak is None else BroadcastCredentials(102, keys.gbek, keys.gbak)
    return Credentials(1, "hls5-gmac", keys.guek, keys.gak, hears)


@dataclass(frozen=True)
class Image:
    """Octets in memory; tells what was read of it."""

    octets: bytes

    def read(self, offset: int, size: int) -> bytes:
        return self.octets[offset : offset + size]


@dataclass
class Bench:
    """A DCU's end of a line: what it knows of the meters, and what was done."""

    settings: DcuSettings
    modem: Modem
    spool: Spool
    clock: ManualClock
    stations: dict[str, Station]
    credentials: dict[str, Credentials]
    done: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.line: MeterLine = self.again()

    def again(self) -> ModemLine:
        """Return another one, as after a restart."""
        return ModemLine(self.settings, self.modem, self.opener, spool=self.spool, clock=self.clock)

    def opener(self, station: Station) -> tuple[Credentials | None, tuple[str, str]]:
        return self.credentials.get(station.meter.serial), ("meter.no-credentials", "none")

    def deafen(self, *serials: str) -> None:
        """Let meters be such that take no broadcasts, as far as the DCU knows."""
        for serial in serials:
            self.credentials[serial] = replace(self.credentials[serial], broadcast=None)

    async def upgrade(self, order: Order, image: Image, *, seconds: float = 0.0) -> Segment:
        """Go on until every meter has come to its end; the world's clock goes on with each turn."""
        segment = Segment(
            order,
            [Upgrade.offer(serial, order, time.time()) for serial in self.stations],
            self.line.costs,
            deaf=self.line.tune(self.stations.values()),
            meters=POLICY,
        )
        while not segment.done:
            self.clock.advance(seconds)
            work = segment.next(time.time())
            self.done.append(work)
            await self._turn(segment, order, image, work)
        await self.line.release()
        return segment

    async def _turn(self, segment: Segment, order: Order, image: Image, work: Any) -> None:
        now = time.time
        match work:
            case Rest(until):
                assert until is not None
                await asyncio.sleep(max(until - now(), 0.0))
            case Do(serial, step):
                segment.begin(serial, step, now())
                answer = await self.line.do(self.stations[serial], step, order)
                segment.told(serial, answer, now())
            case Blocks(_, _):
                await self.line.broadcast(order, work, image)
                segment.sent(work, now())
            case Ask(serial):
                found = await self.line.bits(self.stations[serial], order)
                if isinstance(found, Bits):
                    segment.reported(serial, found, now())
                else:
                    self._ended(segment, serial, found)
            case Send(serial, _, _):
                taken = await self.line.send(self.stations[serial], order, work, image)
                for number in taken.numbers:
                    segment.delivered(serial, number, now())
                if taken.end is not None:
                    self._ended(segment, serial, taken.end)

    def _ended(self, segment: Segment, serial: str, end: Any) -> None:
        if isinstance(end, Silent):
            segment.silent(serial, time.time())
        else:
            segment.refused(serial, getattr(end, "why", "busy"), time.time())

    def count(self, kind: type) -> int:
        return sum(isinstance(work, kind) for work in self.done)


def settings_of(folder: Path, modem: str, **options: Any) -> DcuSettings:
    return DcuSettings.model_validate(
        {
            "id": "dcu-1",
            "state": folder,
            "modem": modem,
            "headend": "https://headend:8444",
            "response_timeout_s": 0.1,
            "retries": 6,
            **options,
        }
    )


@asynccontextmanager
async def bench_on(
    folder: Path, modem: str, who: list[MeterIdentity], clock: ManualClock, **options: Any
) -> AsyncIterator[Bench]:
    """A DCU's end of a line whose modem is there."""
    settings = settings_of(folder, modem, **options)
    spool = Spool(folder / "spool")
    stations = {
        one.serial: Station(
            KnownMeter(serial=one.serial, address=one.address, system_title=str(one.system_title)),
            MeterCounters(spool, one.serial),
        )
        for one in who
    }
    credentials = {one.serial: credentials_of(one) for one in who}
    bench = Bench(settings, Modem(settings, TITLE), spool, clock, stations, credentials)
    await bench.modem.open()
    try:
        yield bench
    finally:
        bench.modem.close()
        spool.close()


def street_settings(
    who: list[MeterIdentity],
    clock: ManualClock,
    *,
    line: LineProfile | None = None,
    pty: bool = False,
    **options: Any,
) -> StreetSettings:
    """A street whose meters take a constant load, and restart in no time."""
    config: dict[str, Any] = {"restart_s": 0.1, "check_s": 0.1, "started": START, **options}
    where: dict[str, Any] = {"pty": True} if pty else {"modem": ("127.0.0.1", 0)}
    return StreetSettings(
        tuple(
            StreetMeter(MeterConfig(one, **config), parse_source("constant:3600")) for one in who
        ),
        **where,
        line=line or LineProfile(),
        clock=clock,
        maker=MAKER,
    )


@asynccontextmanager
async def street_of(
    folder: Path,
    who: list[MeterIdentity],
    *,
    line: LineProfile | None = None,
    pty: bool = False,
    **options: Any,
) -> AsyncIterator[tuple[StreetRunner, Bench]]:
    """A street and a DCU at its modem, or at its serial line."""
    clock = ManualClock(START)
    async with StreetRunner(street_settings(who, clock, line=line, pty=pty)) as street:
        found = street.listening
        modem = f"hdlc+serial:{found.serial[0]}?baud=115200" if pty else _tcp(found)
        async with bench_on(folder, modem, who, clock, **options) as bench:
            yield street, bench


def _tcp(found: Listening) -> str:
    return f"hdlc+tcp://127.0.0.1:{found.hdlc[0][1]}"
