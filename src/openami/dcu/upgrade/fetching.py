"""Brings images onto the DCU, each once for all meters, and removes those that nobody takes."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import (
    DecodeError,
    NotFoundError,
    OpenAmiError,
    RemoteProtocolError,
    StoreError,
    StoreFullError,
    TransportError,
    TransportTimeoutError,
)
from openami.dcu.upgrade.reports import StepFailure
from openami.firmware.manifest import ReleaseKind
from openami.fleet.campaigns.model import StepKind
from openami.fleet.upgrade.state import MAX_IMAGE
from openami.omadm.download.ends import End
from openami.store.partial import PartialFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.dcu.flow import Patience, Stop
    from openami.dcu.ports import Packages
    from openami.dcu.upgrade.book import Book
    from openami.dcu.upgrade.tasks import Task
    from openami.firmware.manifest import Attachment, Manifest
    from openami.firmware.packages import Package

FLOOR_OCTETS: Final = 64 * 2**20
"""Octets that an image leaves free on the disk: months of readings of a street."""
LOOK_S: Final = 60.0
"""The longest that is waited without a look: clocks are set, and disks are emptied."""

TRIES: Final = 8
"""Of finding a release while the head-end is out of reach, in one attempt: half an hour."""

_CODES: Final = (
    (NotFoundError, End.MISSING),
    (StoreFullError, End.NO_ROOM),
    (StoreError, End.ABORTED),
    (TransportTimeoutError, End.TIMEOUT),
    (TransportError, End.NETWORK),
    (RemoteProtocolError, End.SERVER),
)

log = structlog.get_logger("dcu.upgrade")


class Fetcher:
    """Fetches what orders want, one image at a time.

    Args:
        book: the orders.
        packages: where images come from.
        folder: where they are kept.
        clock: the true time.
        stop: ends it.
        patience: between tries to find a release.
        fetched: called when there is something new for the meters.
        floor: octets that stay free on the disk.
    """

    def __init__(
        self,
        book: Book,
        packages: Packages,
        folder: Path,
        *,
        clock: Clock,
        stop: Stop,
        patience: Patience,
        fetched: Callable[[], None],
        floor: int = FLOOR_OCTETS,
    ) -> None:
        self._book = book
        self._packages = packages
        self._folder = folder
        self._clock = clock
        self._stop = stop
        self._patience = patience
        self._fetched = fetched
        self._floor = floor

    async def run(self) -> None:
        """Fetch until the DCU ends."""
        while not self._stop:
            self._book.changed.clear()
            try:
                await self._tidy()
                task = self._next()
                if task is None:
                    await self._stop.sleep(self._wait(), self._book.changed)
                else:
                    await self._attempt(task)
            except StoreError as error:
                log.warning("no place for an image", code=error.code, error=error.message)
                await self._stop.sleep(LOOK_S)

    def _next(self) -> Task | None:
        now = self._clock.now()
        return next((task for task in self._book.tasks if self._wants(task, now)), None)

    def _wants(self, task: Task, now: float) -> bool:
        if not task.may_fetch(now):
            return False
        return task.manifest is None or self._lacking(task) is not None

    def _lacking(self, task: Task) -> Attachment | None:
        images = (image for image in task.wanted() if image.sha256 not in self._book.images)
        return next(images, None)

    def _wait(self) -> float:
        """Return for how long nothing can be to do, unless something changes."""
        now = self._clock.now()
        steps = (task.order.download for task in self._book.tasks)
        begins = [step.begin - now for step in steps if step is not None and step.begin > now]
        return min([LOOK_S, *begins])

    async def _attempt(self, task: Task) -> None:
        """Fetch one thing; cut it short when the order does not allow it any more."""
        work = asyncio.ensure_future(self._fetch(task))
        try:
            while not work.done() and self._holds(task):
                changed = asyncio.ensure_future(self._book.changed.wait())
                stopped = asyncio.ensure_future(self._stop.wait())
                await asyncio.wait((work, changed, stopped), return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                stopped.cancel()
                self._book.changed.clear()
                if self._stop:
                    break
        finally:
            work.cancel()
            await asyncio.wait((work,))
        with suppress(asyncio.CancelledError):
            work.result()

    def _holds(self, task: Task) -> bool:
        now = {one.campaign: one for one in self._book.tasks}.get(task.campaign)
        return now is not None and now.going and now.order.release == task.order.release

    async def _fetch(self, task: Task) -> None:
        try:
            code = await self._load(task)
        except OpenAmiError as error:
            code = _code_of(error)
            log.warning("not fetched", campaign=task.campaign, code=error.code, error=error.message)
        if code is None:
            return
        step = task.order.download
        attempt = 1 if step is None else step.attempt
        async with self._book.lock:
            await self._book.fail(task.campaign, StepFailure(StepKind.DOWNLOAD, attempt, code))

    async def _load(self, task: Task) -> str | None:
        """Fetch the manifest or one image; return why it cannot be had, if it cannot."""
        package, manifest = await self._find(task)
        if manifest.kind is not ReleaseKind.METER_IMAGE:
            return End.BAD_TYPE.value
        if task.manifest != manifest:
            async with self._book.lock:
                await self._book.learn(task.order.release, manifest)
            self._fetched()
            return None
        image = self._lacking(task)
        if image is None:
            return None
        if image.size > MAX_IMAGE:
            return End.BAD_TYPE.value
        step = task.order.download
        rate = step.rate if step is not None and step.rate else None
        place = PartialFile(self._folder / image.sha256, floor=self._floor)
        loaded = await self._packages.load(package, image, place, self._stop, rate=rate)
        if loaded.end is End.OK and loaded.path is not None:
            async with self._book.lock:
                await self._book.have(image.sha256, loaded.path)
            log.info("image fetched", campaign=task.campaign, image=image.name, octets=image.size)
            self._fetched()
            return None
        return None if loaded.end is None else loaded.end.value

    async def _find(self, task: Task) -> tuple[Package, Manifest]:
        while True:
            try:
                found = await self._packages.find(task.order.package)
            except TransportError as error:
                wait = self._patience.failed()
                if self._patience.failures >= TRIES:
                    self._patience.succeeded()
                    raise
                log.info("no release", release=task.order.release, error=error.message)
                await self._stop.sleep(wait)
            else:
                self._patience.succeeded()
                return found

    async def _tidy(self) -> None:
        """Remove images that no order needs, and what is left of others."""
        needed = {image.sha256 for task in self._book.tasks for image in task.wanted()}
        async with self._book.lock:
            for sha256 in self._book.images.keys() - needed:
                await self._book.lack(sha256)
        await asyncio.to_thread(self._remove, needed)

    def _remove(self, needed: set[str]) -> None:
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            if folder.name not in needed:
                shutil.rmtree(folder, ignore_errors=True)  # what stays is tried again


def _code_of(error: OpenAmiError) -> str:
    """Return the code of a failure: that of a download, or what was not believed."""
    if isinstance(error, DecodeError):
        return error.code
    return next((end.value for kind, end in _CODES if isinstance(error, kind)), error.code)
