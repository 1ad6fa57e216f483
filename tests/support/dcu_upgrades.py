"""An upgrade manager on a line of meters that are only values, with its state on a real disk."""

from __future__ import annotations

import hashlib
import math
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from tests.support.upgrade_meters import COSTS, SimMeter, serial_of

from openami.core.clock import ManualClock
from openami.core.errors import NotFoundError
from openami.dcu.download import Loaded
from openami.dcu.flow import Patience as Retry
from openami.dcu.flow import Stop
from openami.dcu.known import KnownMeter
from openami.dcu.modem import LineLostError
from openami.dcu.roster import Roster, Station
from openami.dcu.upgrade.book import Book
from openami.dcu.upgrade.fetching import Fetcher
from openami.dcu.upgrade.line import Taken
from openami.dcu.upgrade.manager import Manager
from openami.dcu.upgrade.orders import Instructions
from openami.dcu.upgrade.parts import Patience
from openami.firmware.manifest import Attachment, Fit, Manifest, ReleaseKind
from openami.firmware.packages import Package, PackageId
from openami.firmware.target import TargetFile
from openami.firmware.version import Version
from openami.fleet.upgrade import (
    Bits,
    Busy,
    Initiate,
    MeterPolicy,
    Refused,
    RoundPolicy,
    Silent,
    Stage,
    Status,
)
from openami.omadm.download.ends import End
from openami.store.upgrades import Upgrades

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from pathlib import Path

    from openami.dcu.upgrade.line import ImageReader
    from openami.fleet.upgrade import Answer, Blocks, Costs, Order, Send, Step
    from openami.store.partial import PartialFile

START = 1_718_000_100.0
MODEL, OTHER_MODEL = "OA1-100", "OA3-100"
NAME, VERSION = "openami", "1.1.0"
IMAGE, OTHER_IMAGE = b"\x01\x02\x03\x04\x05" * 100, b"\x06\x07\x08" * 150


def attachment(name: str, octets: bytes) -> Attachment:
    return Attachment(name, len(octets), hashlib.sha256(octets).hexdigest())


def manifest(images: Mapping[str, bytes], fits: Iterable[tuple[str, str]], **more: Any) -> Manifest:
    """Return the manifest of a release; ``fits`` are models and names of images."""
    values: dict[str, Any] = {
        "kind": ReleaseKind.METER_IMAGE,
        "vendor": "openami",
        "name": NAME,
        "version": Version.parse(VERSION),
        "counter": 2,
        "fits": tuple(Fit(model, model, image) for model, image in fits),
        "images": tuple(attachment(name, octets) for name, octets in images.items()),
    }
    return Manifest(**{**values, **more})


@dataclass
class Shop:
    """Packages that are at hand; see ``openami.dcu.ports.Packages``.

    Attributes:
        fault: raised by whoever asks for a package, once for each.
        end: how every download ends.
        asked: names of images, as often as they were fetched; rates.
        gate: downloads wait for it.
    """

    images: dict[str, bytes] = field(default_factory=lambda: {"one.img": IMAGE})
    fits: tuple[tuple[str, str], ...] = ((MODEL, "one.img"),)
    more: dict[str, Any] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)
    end: End = End.OK
    asked: list[tuple[str, int | None]] = field(default_factory=list)
    gate: asyncio.Event | None = None

    @property
    def manifest(self) -> Manifest:
        return manifest(self.images, self.fits, **self.more)

    async def find(self, package: PackageId) -> tuple[Package, Manifest]:
        if self.faults:
            raise self.faults.pop(0)
        found = self.manifest
        if package != PackageId.of(found):
            raise NotFoundError("no such package", code="dcu.package")
        full = {
            image.name: TargetFile(image.name, image.size, image.sha256) for image in found.images
        }
        return Package(package, TargetFile("manifest.json", 1, "0" * 64), full, {}), found

    async def load(
        self,
        package: Package,
        image: Attachment,
        place: PartialFile,
        stop: Stop,
        *,
        rate: int | None = None,
        installed: Path | None = None,
    ) -> Loaded:
        assert installed is None
        assert image.name in package.full
        self.asked.append((image.name, rate))
        if self.gate is not None:
            await self.gate.wait()
        if stop:
            return Loaded(None, None)
        if self.end is not End.OK:
            return Loaded(self.end, None)
        place.note(b"")
        place.cut(0)
        place.keep(self.images[image.name])
        return Loaded(End.OK, place.path)


class SimLine:
    """The meters of a line that are values; see ``MeterLine``.

    Attributes:
        deaf: who lacks the broadcast key.
        refusing: who does not let us in.
        lost: the line breaks at the next thing that is done.
        loss: how many frames of a hundred are lost, by ``chance``.
        acted: called before and after whatever is done with meters.
    """

    def __init__(self, meters: Iterable[SimMeter], acted: Callable[[], None] | None = None) -> None:
        self.loss = 0
        self.chance = random.Random(1)
        self.meters = {meter.serial: meter for meter in meters}
        self.deaf: frozenset[str] = frozenset()
        self.refusing: set[str] = set()
        self.lost = False
        self.acted = acted or (lambda: None)
        self.log: list[object] = []
        self.released: list[str | None] = []
        self.orders: dict[bytes, Order] = {}

    def tune(self, stations: Iterable[Station]) -> frozenset[str]:
        return self.deaf & {station.meter.serial for station in stations}

    def costs(self, block_size: int) -> Costs:
        assert block_size > 0
        hears = self.meters.keys() - self.deaf
        return COSTS if hears else replace(COSTS, broadcast=math.inf)

    def _meter(self, station: Station) -> SimMeter:
        if self.lost:
            self.lost = False
            raise LineLostError("lost")
        return self.meters[station.meter.serial]

    async def do(self, station: Station, step: Step, order: Order) -> Answer:
        self.log.append((station.meter.serial, step))
        meter = self._meter(station)
        self.acted()
        if meter.serial in self.refusing:
            return Refused("it does not let us in")
        if self._loses():  # the question
            return Silent()
        if isinstance(step, Initiate):
            meter.order = order
        answer = meter.step(step)
        self.acted()
        return Silent() if self._loses() else answer

    def _loses(self) -> bool:
        return self.chance.randrange(100) < self.loss

    async def bits(self, station: Station, order: Order) -> Bits | Silent | Busy | Refused:
        assert order.size
        self.log.append((station.meter.serial, "bits"))
        meter = self._meter(station)
        away = bool(meter.faults & {"silent", "silent-bitmap"}) or self._loses()
        return Silent() if away or self._loses() else meter.bits()

    async def send(self, station: Station, order: Order, turn: Send, image: ImageReader) -> Taken:
        self.log.append(turn)
        meter = self._meter(station)
        if "silent" in meter.faults:
            return Taken((), Silent())
        for place, number in enumerate(turn.numbers):
            assert self._block(order, turn.block_size, number, image)
            if self._loses():
                return Taken(turn.numbers[:place], Silent())
            meter.take(number, turn.block_size)
            self.acted()
        return Taken(turn.numbers)

    async def broadcast(self, order: Order, turn: Blocks, image: ImageReader) -> None:
        self.log.append(turn)
        if self.lost:
            self.lost = False
            raise LineLostError("lost")
        for meter in self.meters.values():
            for number in turn.numbers:
                assert self._block(order, turn.block_size, number, image)
                taking = meter.status == Status.INITIATED and meter.serial not in self.deaf
                if (
                    taking
                    and not self._loses()
                    and "silent" not in meter.faults
                    and meter.take(number, turn.block_size)
                ):
                    # A block is not of any image: whoever takes blocks takes it.
                    assert meter.identifier == order.identifier, "a block of another image"
            self.acted()

    def _block(self, order: Order, size: int, number: int, image: ImageReader) -> bytes:
        octets = image.read(number * size, size)
        assert len(octets) == min(size, order.size - number * size)
        return octets

    async def release(self, station: Station | None = None) -> None:
        self.released.append(None if station is None else station.meter.serial)


class SimRoster:
    """Who is on the line."""

    def __init__(self, models: Mapping[str, str]) -> None:
        self.stations = {
            serial: Station(
                KnownMeter(serial=serial, address=16 + number, model=model), cast("Any", None)
            )
            for number, (serial, model) in enumerate(models.items())
        }

    def get(self, serial: str) -> Station | None:
        return self.stations.get(serial)

    async def runs(self, station: Station, firmware: str) -> None:
        station.meter = station.meter.model_copy(update={"firmware": firmware})


def order_body(serials: Iterable[str], now: float, **more: Any) -> dict[str, Any]:
    """Return an order that may be fetched and activated at once."""
    step = {"attempt": 1, "begin": now - 10, "end": now + 86_400, "until": now + 7200}
    return {
        "campaign": "c1",
        "epoch": 1,
        "release": f"meter-image/{NAME}/{VERSION}",
        "meters": list(serials),
        "directive": "go",
        "until": None,
        "download": {**step, "rate": 50_000},
        "activate": step,
        **more,
    }


def answer_body(*orders: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"epoch": 1, "revision": 1, "taken": {}, "orders": list(orders), **more}


class Bench:
    """The manager with its book, its store and its images."""

    def __init__(
        self,
        folder: Path,
        line: SimLine,
        models: Mapping[str, str],
        shop: Shop,
        clock: ManualClock,
    ) -> None:
        self.folder, self.line, self.shop, self.clock = folder, line, shop, clock
        self.roster = SimRoster(models)
        self.store = Upgrades(folder / "upgrades.sqlite")
        self.book = Book(self.store, clock)
        self.back: list[str] = []
        self.stop = Stop()
        self.manager = Manager(
            self.book,
            line,
            cast("Roster", self.roster),
            clock=clock,
            back=self.back.append,
            patience=Patience(MeterPolicy(), RoundPolicy(chunk=3300.0, sample=2)),
        )
        self.fetcher = Fetcher(
            self.book,
            shop,
            folder / "images",
            clock=clock,
            stop=self.stop,
            patience=Retry(0.001, 0.002, lambda: 0.0),
            fetched=lambda: None,
            floor=0,
        )

    async def take(self, *orders: dict[str, Any], **more: Any) -> None:
        said = Instructions.model_validate(answer_body(*orders, **more))
        async with self.book.lock:
            await self.book.take(said)

    async def order(self, **more: Any) -> None:
        await self.take(order_body(self.roster.stations, self.clock.now(), **more))

    async def fetch(self) -> None:
        """Fetch whatever is wanted, as the fetcher does."""
        await self.manager.use(0.1)
        while (task := self.fetcher._next()) is not None:
            await self.fetcher._attempt(task)
            await self.manager.use(0.1)

    async def run(self, until: Callable[[], bool] | None = None, most: int = 3000) -> None:
        """Take turns until nothing is left to do, or something is so; waiting is no matter."""
        for _ in range(most):
            if until is not None and until():
                return
            wait = await self.manager.use(1e9)
            if wait == float("inf"):
                assert until is None, self.stages()
                return
            self.clock.advance(max(wait, 0.01))
        raise AssertionError(self.stages())

    async def upgrade(self, **more: Any) -> None:
        """Give an order and see it through."""
        await self.order(**more)
        await self.fetch()
        await self.run()

    def stages(self, campaign: str = "c1") -> dict[str, Stage]:
        rows = self.book.task(campaign).rows
        return {serial: row.upgrade.stage for serial, row in rows.items()}

    def codes(self, campaign: str = "c1") -> dict[str, str]:
        rows = self.book.task(campaign).rows
        return {s: row.upgrade.code for s, row in rows.items() if row.upgrade.code}

    async def report(self, campaign: str = "c1") -> dict[str, Any]:
        """Return what is told now, which nobody takes."""
        async with self.book.lock:
            bodies, _ = await self.book.reports()
        return next(body for body in bodies if body["campaign"] == campaign)


def meters_of(*faults: str, clean: int = 2, **more: Any) -> list[SimMeter]:
    bad = [SimMeter(serial_of(n), faults=frozenset({fault}), **more)
           for n, fault in enumerate(faults)]  # fmt: skip
    return bad + [SimMeter(serial_of(100 + n), **more) for n in range(clean)]


@asynccontextmanager
async def bench(
    folder: Path,
    meters: Iterable[SimMeter] | SimLine,
    *,
    models: Mapping[str, str] | None = None,
    shop: Shop | None = None,
    clock: ManualClock | None = None,
) -> AsyncIterator[Bench]:
    line = meters if isinstance(meters, SimLine) else SimLine(meters)
    made = Bench(
        folder,
        line,
        dict.fromkeys(line.meters, MODEL) if models is None else models,
        shop or Shop(),
        clock or ManualClock(START),
    )
    await made.book.load()
    try:
        yield made
    finally:
        made.store.close()
