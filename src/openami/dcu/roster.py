"""The meters of the line: what is known of each, and what is told of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from openami.core.errors import StoreError
from openami.dcu.known import KnownMeter, MeterCounters, forget_meter, load_meters, save_meter
from openami.fleet.collection import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openami.dcu.discovery import Greeting
    from openami.dcu.headend import Credentials, HeadEnd
    from openami.dcu.keys import Keyring
    from openami.fleet.collection import Known, Line
    from openami.store.spool import Spool

log = structlog.get_logger("dcu.roster")


@dataclass(slots=True)
class Station:
    """What the DCU holds of one meter.

    Attributes:
        meter: as it is known.
        counters: invocation counters.
        cursors: how far each profile was read, as the meter names its entries.
        highest: the latest that each cursor ever was.
        known: the entries of each profile that came last.
        last_visit: when a visit last went well, by the DCU's clock.
        last_read: when it last brought something.
        clock_offset_s: how far ahead the meter's clock was then.
        fault: what is wrong: code and message.
        wary: the last visit failed: make sure first who is there.
    """

    meter: KnownMeter
    counters: MeterCounters
    cursors: dict[str, int] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    last_visit: float | None = None
    last_read: float | None = None
    clock_offset_s: float | None = None
    fault: tuple[str, str] | None = None
    wary: bool = False

    def moved_on(self, cursors: Mapping[str, int]) -> None:
        """Take note of how far profiles were read."""
        for profile, time in cursors.items():
            self.cursors[profile] = time
            self.highest[profile] = max(time, self.highest.get(profile, time))


class Roster:
    """The stations of one line.

    Args:
        line: is told of every meter that comes and goes.
        spool: where meters are remembered.
        keyring: what opens the meters.
        listed: the serials that belong here; None: all.
        titles: the system titles that meters must have, by serial, where that is said.

    Attributes:
        new: serials of meters that the head-end was not asked about yet.
        wanting: serials of meters that did not let us in.
        conflicts: addresses at which somebody answers who should not, and who.
    """

    def __init__(
        self,
        line: Line,
        spool: Spool,
        keyring: Keyring,
        *,
        listed: frozenset[str] | None = None,
        titles: Mapping[str, str] | None = None,
    ) -> None:
        self._line = line
        self._spool = spool
        self._keyring = keyring
        self._listed = listed
        self._titles = titles or {}
        self._stations: dict[str, Station] = {}
        self.new: set[str] = set()
        self.wanting: set[str] = set()
        self.conflicts: dict[int, str] = {}

    def __iter__(self) -> Iterator[Station]:
        """Go through the stations that are on the line, by address."""
        return iter([self._stations[serial] for serial in self._line.meters()])

    def __len__(self) -> int:
        return len(self._line.meters())

    def get(self, serial: str) -> Station | None:
        """Return a station."""
        return self._stations.get(serial)

    def belongs(self, serial: str) -> bool:
        """Tell whether a meter is one of those that are read here."""
        return self._listed is None or serial in self._listed

    def credentials(self, station: Station) -> tuple[Credentials | None, tuple[str, str]]:
        """Return what opens a station; where nothing does, why: code and message.

        A meter with another system title than the list says is not opened: a serial number is
        printed on its front, and the keys are those of the title.
        """
        meter = station.meter
        wanted = self._titles.get(meter.serial, meter.system_title)
        if meter.system_title is not None and wanted != meter.system_title:
            return None, ("meter.title", f"its system title is {meter.system_title}, not {wanted}")
        found = self._keyring.get(meter.system_title)
        return found, ("meter.no-credentials", "the head-end has none for us")

    async def load(self, *, free_at: float) -> None:
        """Take up what the spool remembers.

        A meter that nothing opens is new, as one that was just found: it is left alone until
        ``free_at``, or until it was introduced to the head-end.
        """
        for station in await asyncio.to_thread(self._load):
            opened = self._keyring.get(station.meter.system_title) is not None
            self._enlist(station, free_at=0.0 if opened else free_at)
            if not opened:
                self.new.add(station.meter.serial)

    def _load(self) -> list[Station]:
        cursors: dict[str, dict[str, int]] = {}
        for (serial, profile), time in self._spool.cursors().items():
            cursors.setdefault(serial, {})[profile] = time
        stations = []
        for meter in filter(lambda m: self.belongs(m.serial), load_meters(self._spool).values()):
            station = Station(meter, MeterCounters(self._spool, meter.serial))
            station.moved_on(cursors.get(meter.serial, {}))
            if meter.system_title:
                self._keyring.load(meter.system_title)
            stations.append(station)
        return stations

    async def enrol(self, address: int, greeting: Greeting, *, free_at: float) -> None:
        """Take up a meter that was found.

        One that is known already has moved to ``address``. A new one is left alone until
        ``free_at``, or until it was introduced to the head-end.
        """
        station = self._stations.get(greeting.serial)
        fresh = station is None
        if station is None:
            station = await asyncio.to_thread(self._make, address, greeting)
        station.meter = greeting.update(station.meter).model_copy(update={"address": address})
        if greeting.counter is not None:
            station.counters.resume(greeting.counter + 1)
        for other in [s for s in self._stations.values() if s.meter.address == address]:
            if other is not station:
                await self.drop(other.meter.serial)
        self._enlist(station, free_at=free_at if fresh else 0.0)
        if fresh:
            self.new.add(greeting.serial)
        await self.keep(station)

    def _make(self, address: int, greeting: Greeting) -> Station:
        """Return a new station; one that was on this line once goes on where it was."""
        station = Station(
            KnownMeter(serial=greeting.serial, address=address),
            MeterCounters(self._spool, greeting.serial),
        )
        cursors = self._spool.cursors().items()
        station.moved_on({p: time for (meter, p), time in cursors if meter == greeting.serial})
        if greeting.system_title:
            self._keyring.load(greeting.system_title)
        return station

    def _enlist(self, station: Station, *, free_at: float) -> None:
        meter = station.meter
        progress = {profile: Progress(time) for profile, time in station.cursors.items()}
        self._line.add(
            meter.serial, meter.address, jitter=meter.jitter, progress=progress, free_at=free_at
        )
        self._stations[meter.serial] = station

    async def keep(self, station: Station) -> None:
        """Remember a station. Without room for it, it is found again after a restart."""
        try:
            await asyncio.to_thread(save_meter, self._spool, station.meter)
        except StoreError as error:
            log.warning("a meter is not remembered", meter=station.meter.serial, error=str(error))

    async def runs(self, station: Station, firmware: str) -> None:
        """Take what a meter says that it runs; another firmware has other layouts."""
        if firmware and firmware != station.meter.firmware:
            update = {"firmware": firmware, "layouts": {}}
            station.meter = station.meter.model_copy(update=update)
            await self.keep(station)

    async def drop(self, serial: str) -> None:
        """Forget a meter that is not where it was. Its cursors and counters are kept."""
        self._line.forget(serial)
        self._stations.pop(serial, None)
        self.new.discard(serial)
        self.wanting.discard(serial)
        try:
            await asyncio.to_thread(forget_meter, self._spool, serial)
        except StoreError as error:
            log.warning("a meter is not forgotten", meter=serial, error=str(error))

    async def introduce(self, headend: HeadEnd) -> bool:
        """Ask the head-end what it has of new meters, and for credentials that are wanting.

        Returns:
            Whether a meter can be visited now that could not before.

        Raises:
            HeadEndAwayError, HeadEndRefusalError: it did not say; it is asked again.
        """
        serials = set(self.new)
        if serials:
            cursors = await headend.cursors()
            for serial in serials:
                self._learn(serial, cursors.get(serial, {}))
        woken = serials | {s for s in serials | self.wanting if await self._fetch(s)}
        for serial in woken:
            self._line.wake(serial)
        self.new -= serials
        self.wanting -= woken
        return bool(woken)

    async def _fetch(self, serial: str) -> bool:
        station = self._stations.get(serial)
        title = station.meter.system_title if station else None
        return title is not None and await self._keyring.fetch(title)

    def _learn(self, serial: str, cursors: Mapping[str, int]) -> None:
        """Begin where the head-end has a meter, as far as it was not read here."""
        station = self._stations.get(serial)
        if station is not None:
            station.moved_on({p: t for p, t in cursors.items() if p not in station.cursors})
