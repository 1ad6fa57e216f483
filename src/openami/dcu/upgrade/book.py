"""What the DCU knows of its meters' upgrades: in memory as it is on the disk, never ahead of it.

Whoever changes it holds ``lock`` from reading to keeping, so that an order which is taken back is
not overtaken by a step that was decided before.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.errors import DecodeError
from openami.dcu.upgrade.orders import MAX_ORDERS
from openami.dcu.upgrade.reports import (
    MAX_MARKS,
    has_told,
    marks_of,
    name_of,
    readable,
    report,
    state_of,
)
from openami.dcu.upgrade.tasks import Task, follow, overdue, placed, recalled, voided
from openami.firmware import manifest_codec
from openami.fleet.campaigns.machine import void
from openami.fleet.campaigns.model import DeviceState
from openami.store.upgrades import Changes, KeptMark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from openami.core.clock import Clock
    from openami.dcu.upgrade.orders import Instructions, MeterOrder
    from openami.dcu.upgrade.reports import Mark, StepFailure
    from openami.dcu.upgrade.tasks import Row
    from openami.firmware.manifest import Manifest
    from openami.fleet.upgrade import Upgrade
    from openami.store.upgrades import Upgrades

MICROSECONDS: Final = 1_000_000
KEEP_S: Final = 7 * 86_400.0
"""How long an order that does not hold any more is remembered: if it comes back, meters are not
tried again that were, and the tries with others are counted on."""
MOST_OVER: Final = 64
"""Such orders: as many as an answer has of those that hold."""

log = structlog.get_logger("dcu.upgrade")


class Book:
    """The orders of one DCU, and how far its meters are.

    Args:
        store: where it is kept.
        clock: the true time, by which orders and marks are.

    Attributes:
        lock: see above.
        news: set when there is something that the head-end should hear of.
        changed: set when there may be something else to do.
        generation: another number whenever tasks have changed but by ``keep``.
        revision: of the head-end's orders as they came last; None: not since the start.
        images: by SHA-256, the files of images that are whole.
    """

    def __init__(self, store: Upgrades, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tasks: dict[str, Task] = {}
        self._epoch: int | None = None
        self._closed: set[str] = set()
        self.lock = asyncio.Lock()
        self.news = asyncio.Event()
        self.changed = asyncio.Event()
        self.generation = 0
        self.revision: int | None = None
        self.images: dict[str, Path] = {}

    @property
    def epoch(self) -> int:
        """The highest epoch that the fleet ever had, as far as is known here."""
        return self._epoch or 0

    @property
    def knows_epoch(self) -> bool:
        """Whether the head-end ever said one that is remembered here."""
        return self._epoch is not None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All orders, in the order in which they are carried out."""
        return tuple(sorted(self._tasks.values(), key=lambda task: (task.place, task.campaign)))

    def task(self, campaign: str) -> Task:
        """Return an order; KeyError: there is none of that campaign."""
        return self._tasks[campaign]

    def fetched(self, task: Task, row: Row) -> bool:
        """Tell whether the image that a meter takes is on the DCU."""
        image = task.image(row)
        return image is not None and image.sha256 in self.images

    async def load(self) -> None:
        """Take up what was kept.

        Raises:
            StoreError: it cannot be read.
        """
        await asyncio.to_thread(self._load)
        self.news.set()
        self.changed.set()

    def _load(self) -> None:
        self._epoch = self._store.epoch()
        self.images = {sha256: Path(file) for sha256, file in self._store.images().items()}
        now = self._clock.now()
        for kept in self._store.tasks():
            try:
                task = recalled(kept, self._store.meters(kept.campaign), now)
            except DecodeError as error:  # the head-end says it anew
                log.warning("an order cannot be read", campaign=kept.campaign, code=error.code)
                continue
            manifest = self._manifest(task.order.release)
            self._tasks[task.campaign] = replace(task, manifest=manifest)

    def _manifest(self, release: str) -> Manifest | None:
        octets = self._store.manifest(release)
        try:
            return None if octets is None else manifest_codec.decode(octets)
        except DecodeError:
            return None

    # Orders.

    def rises(self, epoch: int) -> bool:
        """Tell whether the fleet's epoch is higher than any before; the first is no rise."""
        return self._epoch is not None and epoch > self._epoch

    async def take(self, said: Instructions) -> None:
        """Take the head-end's word; durable when this returns.

        Raises:
            StoreError: it cannot be kept, and nothing has changed.
        """
        now = self._clock.now()
        epoch = max(self.epoch, said.epoch)
        orders = {o.campaign: o for o in said.orders if not void(o.epoch, epoch)}
        after = [self._followed(order, now) for order in orders.values()]
        after += [
            voided(task, now)
            for task in self._tasks.values()
            if task.void is None and task.campaign not in orders
        ]
        changed = [task for task in after if task != self._tasks.get(task.campaign)]
        await self._put(changed, epoch=epoch)
        self._closed -= {task.campaign for task in changed}
        self.revision = said.revision
        for task in changed:
            log.info("order", campaign=task.campaign, release=task.order.release,
                     meters=len(task.order.meters), void=task.void is not None,
                     directive=task.order.directive.value)  # fmt: skip
        if changed:
            self._turned()

    def _turned(self) -> None:
        self.generation += 1
        self.changed.set()

    def _followed(self, order: MeterOrder, now: float) -> Task:
        task = self._tasks.get(order.campaign)
        if task is None:
            place = max((one.place for one in self._tasks.values()), default=0) + 1
            # Above all numbers that were ever told, if this DCU has lost its memory.
            task = Task(order, place, max(1, int(now * MICROSECONDS)))
        task = follow(task, order, now)
        return task if task.manifest else replace(task, manifest=self._manifest_of(order.release))

    def _manifest_of(self, release: str) -> Manifest | None:
        known = (t.manifest for t in self._tasks.values() if t.order.release == release)
        return next((manifest for manifest in known if manifest is not None), None)

    async def _put(self, tasks: Iterable[Task], *, epoch: int | None = None) -> None:
        """Keep tasks whole, with the marks of meters that are elsewhere than before."""
        after, meters, marks = [], [], []
        for task in tasks:
            before = self._tasks.get(task.campaign)
            old = before.rows if before is not None else {}
            rows = dict(task.rows)
            for serial, row in task.rows.items():
                if row == old.get(serial):
                    continue
                rows[serial], new = self._marked(task, row)
                meters.append(rows[serial].kept(task.campaign))
                marks += [KeptMark(task.campaign, mark.encode()) for mark in new]
            after.append(replace(task, rows=rows))
        if not after and (epoch is None or epoch == self._epoch):
            return
        changes = Changes(epoch, [task.kept() for task in after], meters, marks)
        await asyncio.to_thread(self._store.keep, changes)
        self._epoch = epoch if epoch is not None else self._epoch
        self._tasks.update({task.campaign: task for task in after})
        if marks:
            self.news.set()

    def _marked(self, task: Task, row: Row, *, tested: bool = False) -> tuple[Row, list[Mark]]:
        state, now = self._state(task, row, tested=tested), self._clock.now()
        marks, told = marks_of(row.upgrade, state, attempt=row.attempt, told=row.told, now=now)
        return replace(row, told=told), marks

    def _state(self, task: Task, row: Row, *, tested: bool = False) -> DeviceState:
        tested = tested or has_told(row.told, DeviceState.SELF_TESTED)
        return state_of(row.upgrade.stage, fetched=self.fetched(task, row), tested=tested)

    # Meters.

    async def keep(
        self, campaign: str, upgrades: Iterable[Upgrade], *, tested: bool = False
    ) -> None:
        """Keep how far meters are; durable when this returns.

        Args:
            campaign: whose order it is.
            upgrades: how far they are.
            tested: they have said that the new image passed its self-test.

        Raises:
            StoreError: it cannot be kept.
        """
        task = self._tasks[campaign]
        rows: dict[str, Row] = {}
        for upgrade in upgrades:
            old = task.rows[upgrade.serial]
            if upgrade != old.upgrade:
                rows[upgrade.serial] = replace(old, upgrade=upgrade)
        await self._keep_rows(task, rows, tested=tested)

    async def _keep_rows(
        self, task: Task, rows: Mapping[str, Row], *, tested: bool = False
    ) -> None:
        changed, marks = [], []
        after = dict(task.rows)
        for serial, row in rows.items():
            after[serial], new = self._marked(task, row, tested=tested)
            kept = after[serial].kept(task.campaign)
            if kept != task.rows[serial].kept(task.campaign):
                changed.append(kept)
            marks += new
        if changed:
            kept_marks = [KeptMark(task.campaign, mark.encode()) for mark in marks]
            await asyncio.to_thread(self._store.keep, Changes(meters=changed, marks=kept_marks))
        self._tasks[task.campaign] = replace(task, rows=after)
        for mark in marks:
            log.info("meter", campaign=task.campaign, meter=mark.meter, state=mark.state,
                     code=mark.code, reason=mark.reason)  # fmt: skip
            self.news.set()

    async def tend(self, model_of: Callable[[str], str | None]) -> None:
        """Let meters that are new have their images, and those whose time is over fail.

        Raises:
            StoreError: it cannot be kept.
        """
        now = self._clock.now()
        for task in self.tasks:
            rows = {row.upgrade.serial: row for row in placed(task, model_of, now)}
            for upgrade in overdue(task, now):
                old = rows.get(upgrade.serial, task.rows[upgrade.serial])
                rows[upgrade.serial] = replace(old, upgrade=upgrade)
            if rows:
                await self._keep_rows(task, rows)
                self._turned()

    # Images.

    async def learn(self, release: str, manifest: Manifest) -> None:
        """Keep what the vendor says of a release; raises StoreError."""
        octets = manifest_codec.encode(manifest)
        await asyncio.to_thread(self._store.keep_manifest, release, octets)
        for task in self.tasks:
            if task.order.release == release:
                self._tasks[task.campaign] = replace(task, manifest=manifest)
        self._turned()

    async def have(self, sha256: str, file: Path) -> None:
        """Take note that an image is whole; raises StoreError."""
        await asyncio.to_thread(self._store.keep_image, sha256, str(file))
        self.images[sha256] = file
        self._turned()  # it is here, even if what follows cannot be kept
        for task in self.tasks:
            image = {i.name for i in task.wanted() if i.sha256 == sha256}
            rows = {serial: row for serial, row in task.rows.items() if row.image in image}
            await self._keep_rows(task, rows)
        self.news.set()

    async def lack(self, sha256: str) -> None:
        """Take note that an image is not there, or not what it was; raises StoreError."""
        self.images.pop(sha256, None)
        await asyncio.to_thread(self._store.forget_image, sha256)
        self._turned()

    async def fail(self, campaign: str, failure: StepFailure) -> None:
        """Keep that the DCU could not do a step of an order, if there is one; StoreError."""
        task = self._tasks.get(campaign)
        if task is None:
            return
        await self._put([replace(task, failed=failure)])
        log.warning("step failed", campaign=campaign, step=failure.step, code=failure.code)
        self.news.set()

    # What is told.

    async def reports(self) -> tuple[list[dict[str, Any]], dict[str, tuple[int, int]]]:
        """Return what is to be told, and by campaign its number and the last mark in it.

        Raises:
            StoreError: the number cannot be kept, without which nothing may be told.
        """
        self.news.clear()
        open_ = [task for task in self.tasks if task.campaign not in self._closed]
        open_ = sorted(open_, key=lambda task: task.void is not None)[:MAX_ORDERS]
        await self._put([replace(task, number=task.number + 1) for task in open_])
        told: dict[str, tuple[int, int]] = {}
        bodies, room = [], MAX_MARKS
        for task in (self._tasks[task.campaign] for task in open_):
            kept = await asyncio.to_thread(self._store.marks, task.campaign, room)
            room -= len(kept)
            told[task.campaign] = task.number, kept[-1].id if kept else 0
            named = [row for row in task.rows.values() if row.named]
            bodies.append(
                report(
                    task.campaign,
                    task.number,
                    [(row.upgrade, self._state(task, row)) for row in named],
                    failed=task.failed,
                    marks=readable(mark.body for mark in kept),
                )
            )
        return bodies, told

    async def told(self, sent: Mapping[str, tuple[int, int]], taken: Mapping[str, int]) -> None:
        """Take note of what of ``reports`` is durable at the head-end; forget what is over.

        Raises:
            StoreError: it cannot be kept, and is told again.
        """
        acknowledged = {
            campaign: last for campaign, (number, last) in sent.items()
            if taken.get(campaign) == number
        }  # fmt: skip
        await asyncio.to_thread(self._store.acknowledge, acknowledged.items())
        # A head-end that knows a higher number heard of us before we lost our memory.
        ahead = [
            replace(task, number=number)
            for task in self.tasks
            if (number := taken.get(task.campaign, 0)) > task.number
        ]
        await self._put(ahead)
        if ahead:
            self.news.set()
        await self._forget(acknowledged)

    async def _forget(self, acknowledged: Mapping[str, int]) -> None:
        """Tell no more of what is over and told; forget it when it is long over."""
        for campaign in acknowledged.keys() & self._tasks.keys():
            task = self._tasks[campaign]
            if await asyncio.to_thread(self._store.marks, campaign, 1):
                self.news.set()  # more than one report holds
            elif task.void is not None and task.over:
                self._closed.add(campaign)
        ended = sorted(
            ((task.void, task.campaign) for task in self.tasks if task.void and task.over),
            reverse=True,
        )
        oldest = self._clock.now() - KEEP_S
        gone = [c for n, (void_at, c) in enumerate(ended) if n >= MOST_OVER or void_at < oldest]
        if not gone:
            return
        await asyncio.to_thread(self._store.keep, Changes(forgotten=gone))
        for campaign in gone:
            del self._tasks[campaign]
            self._closed.discard(campaign)
        releases = [task.order.release for task in self.tasks]
        await asyncio.to_thread(self._store.keep_only, releases)
        self._turned()

    def progress(self) -> dict[str, int]:
        """Return how many meters of orders that hold are in each state."""
        counts: dict[str, int] = {}
        for task in self.tasks:
            for row in task.rows.values():
                if row.named and task.void is None:
                    name = name_of(self._state(task, row))
                    counts[name] = counts.get(name, 0) + 1
        return counts
