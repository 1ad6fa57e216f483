"""A managed DCU with a factory's root of packages, and slots whose launcher is the test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.dcu_managed import Live, Made, ask_often, make
from tests.support.dcu_releases import HARDWARE, MODEL, offer
from tests.support.slots import SMALL, about

from openami.dcu.managed import ManagedDcu
from openami.dcu.repository import ROOT_FILE, address
from openami.dcu.slots.package import build
from openami.dcu.slots.store import RESERVE, TwoSlots
from openami.omadm.messages.model import Exec, Item, Location, Replace
from openami.omadm.session.events import Order
from openami.store.device_memory import DeviceMemory
from openami.store.folder import Folder
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.support.dcu_managed import Registered
    from tests.support.management import ListPlanner

    from openami.core.clock import Clock
    from openami.firmware.packages import PackageId
    from openami.headend.server import Running
    from openami.omadm.messages.model import Alert

UID = "D1"
NODE = "./FUMO/1"


def equip(running: Running, folder: Path, uid: str = UID) -> Made:
    """Make a DCU of a head-end, with what its factory gave it."""
    made = make(running, folder, uid)
    made.state.mkdir(parents=True, exist_ok=True)
    root = running.services.firmware.publisher.document(ROOT_FILE)
    (made.state / ROOT_FILE).write_bytes(root)
    return made


def slots_in(folder: Path) -> TwoSlots:
    return TwoSlots(Folder(folder, reserve=RESERVE), lambda: (MODEL, HARDWARE))


def offer_firmware(
    running: Running,
    folder: Path,
    version: str = "1.0.0",
    *,
    counter: int = 1,
    files: Mapping[str, bytes] = SMALL,
    **others: Any,
) -> PackageId:
    """Offer a DCU's firmware as its slots take it."""
    image = build(about(version, counter), files)
    return offer(running, folder, image, version, counter=counter, **others)


def put(uri: str, value: str) -> Order:
    return Order(f"put {uri}", Replace(0, (Item(Location(uri), data=value),)))


def execute(uri: str, correlator: str | None = "job-1") -> Order:
    return Order(f"exec {uri}", Exec(0, Item(Location(uri)), correlator=correlator))


def ordered(url: str, operation: str, correlator: str = "job-1") -> list[Order]:
    """Return what begins an operation of FUMO: Replace PkgURL, Exec."""
    return [
        put(f"{NODE}/{operation}/PkgURL", url),
        execute(f"{NODE}/{operation}", correlator),
    ]


def url_of(running: Running, package: PackageId) -> str:
    return address(running.device_url, package)


def told(
    alerts: list[Alert], correlator: str = "job-1"
) -> list[tuple[str | None, str | None, str, str]]:
    """Return type, format, result and words of the alerts with a correlator."""
    found = []
    for alert in alerts:
        if alert.correlator == correlator:
            first, *others = alert.items
            assert first.meta is not None
            words = next((str(item.data) for item in others), "")
            found.append((first.meta.type, first.meta.format, str(first.data), words))
    return found


@dataclass
class Device:
    """One DCU over its restarts."""

    made: Made
    registration: type[Registered]
    slots: TwoSlots | None = None
    wall: Clock = field(default_factory=SystemClock)

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Live]:
        """Run the DCU as long as the block lasts, and end it in good order if it has not ended."""
        async with ManagedDcu(
            self.made.installation(**options),
            SystemClock(),
            self.made.identity,
            self.registration(self.made.block),
            slots=self.slots,
            wall=self.wall,
        ) as dcu:
            ask_often(dcu.tree)
            live = Live(dcu, asyncio.ensure_future(dcu.run()))
            try:
                yield live
            finally:
                dcu.stop()
                await live.task


async def obey(live: Live, planner: ListPlanner, orders: list[Order], uid: str = UID) -> list[int]:
    """Have a DCU do orders once; return their statuses."""
    names = [order.id for order in orders]
    before = len(planner.results)
    planner.orders[uid] = orders
    live.dcu.manager.nudge()

    def done() -> bool:
        return set(names) <= {one.id for _, one in planner.results[before:]}

    await live.until(done)
    planner.orders[uid] = []
    statuses = {one.id: one.status for _, one in planner.results[before:]}
    return [statuses[name] for name in names]


class CutError(BaseException):
    """The power is gone."""


class Cutting(DeviceMemory):
    """Loses its power at one write of what is under way: before it is durable, or after."""

    which = "fumo"
    left = 0
    after = False

    def put_fact(self, name: str, value: str) -> None:
        if name != Cutting.which:
            super().put_fact(name, value)
            return
        Cutting.left -= 1
        if Cutting.left == 0 and not Cutting.after:
            raise CutError
        super().put_fact(name, value)
        if Cutting.left == 0:
            raise CutError
