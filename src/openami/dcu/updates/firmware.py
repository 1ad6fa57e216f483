"""FUMO: the DCU's own firmware, fetched and put in the place of what runs (OMA-TS-DM-FUMO 1.0).

::

    Exec Download ──────────► fetch ──► concluded, with the image kept
    Exec DownloadAndUpdate ─► fetch ──► install ──► trial ──► concluded
    Exec Update ──────────────────────► install ──► trial ──► concluded

What is next is on the disk before it begins. An update ends after the restart that it takes: when
the new software has shown that it works, or the old one is back.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from openami import __version__
from openami.core.errors import (
    ConflictError,
    DecodeError,
    OpenAmiError,
    StoreError,
    StoreFullError,
)
from openami.dcu.ports import Running
from openami.dcu.updates.fetching import Fetching
from openami.dcu.updates.firmware_book import FirmwareBook, Step
from openami.dcu.updates.works import UNKNOWN, Works
from openami.firmware.fits import Installed, why_not
from openami.firmware.manifest import Finding, ReleaseKind
from openami.firmware.version import Version
from openami.omadm.download.ends import RESULTS, End
from openami.omadm.objects.updates import FumoResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openami.dcu.ports import Outcome, Slots
    from openami.dcu.updates.fetching import Fetched
    from openami.dcu.updates.ledger import Order
    from openami.dcu.updates.works import Bench
    from openami.firmware.manifest import Attachment, Manifest

TRIALS_MOST: Final = 3
"""Restarts for one trial: a device that is not started as what was armed stays what it is."""
LOOK_S: Final = 2.0
"""Between two looks at how a trial goes: who waits for the end hears of it soon enough."""

_SAME: Final = "firmware.fit.same"
_MISFITS: Final = frozenset({"firmware.fit.model", "firmware.fit.hardware", "firmware.fit.kind"})
_STAGING: Final = {
    **dict.fromkeys(_MISFITS, FumoResult.DEVICE_MISMATCH),
    "firmware.fit.counter": FumoResult.NOT_ACCEPTABLE,
    "firmware.package.image": FumoResult.CORRUPT_PACKAGE,
    _SAME: FumoResult.OK,
}

log = structlog.get_logger("dcu.updates")


class Firmware:
    """Carries out what the server has done with the firmware; ``book`` takes its orders.

    Args:
        bench: what it is done with.
        slots: where the software is; None: it cannot be exchanged here.
        restart: ends this process in good order, to be started again.
    """

    def __init__(self, bench: Bench, slots: Slots | None, restart: Callable[[], None]) -> None:
        self._bench = bench
        self._slots = slots
        self._restart = restart
        self.book = FirmwareBook(bench)
        self._fetching = Fetching(
            bench.packages, self.book.place, bench.origin, bench.stop, bench.chance
        )
        self._steps: dict[str, Callable[[Order], Awaitable[None]]] = {
            Step.FETCH: self._fetch,
            Step.INSTALL: self._install,
            Step.TRIAL: self._try,
        }
        self._works = Works(self.book.ledger, bench.stop, self._do)
        self.book.wake = self._works.wake

    async def run(self) -> None:
        """Carry out what is ordered, until the DCU ends."""
        await self._bench.disk.do(self._settle)
        await self._works.run()

    async def void(self, below: int | None = None) -> None:
        """Give up what is under way and forget what was fetched: see ``FirmwareBook.is_void``."""
        if self.book.is_void(below):
            await self._works.give_up(partial(self._give_up, below))

    async def _give_up(self, below: int | None) -> None:
        if not await self._bench.thread.do(self.book.give_up, below):
            return
        await self._bench.disk.do(self.book.place.clear)
        if self._slots is not None:
            await self._bench.disk.do(self._slots.drop)

    def _settle(self) -> None:
        """Forget how a trial ended that nobody waits for: its end was kept before this was told."""
        if self._slots is None or self.book.ledger.order is not None or not self._slots.outcome:
            return
        try:
            self._slots.told()
        except StoreError as error:  # it is found again at the next start
            log.warning("not noted", code=error.code, error=error.message)

    async def _do(self, order: Order) -> None:
        if order.step in self._steps:
            await self._steps[order.step](order)
        else:
            result = FumoResult.NOT_IMPLEMENTED
            await self._bench.thread.do(self.book.updated, order, result, UNKNOWN)

    async def _fetch(self, order: Order) -> None:
        do = self._bench.thread.do
        url = await do(self.book.begin_fetch, order)
        fetched = await self._fetching.fetch(url, self._choose, self._running.image)
        if fetched.manifest is not None and fetched.image is not None:
            await do(self.book.fetched, order, fetched.manifest, fetched.image)
        elif fetched.end is not None:
            await do(self.book.not_fetched, order, _result_of(fetched), fetched.words)

    async def _install(self, order: Order) -> None:
        do = self._bench.thread.do
        if self._slots is None:
            words = "slots.none this software was not started from a slot"
            await do(self.book.updated, order, FumoResult.NOT_IMPLEMENTED, words)
            return
        await do(self.book.enter, order)
        if self._running.sha256 != self.book.image:
            try:
                await self._bench.disk.do(self._stage, self._slots)
            except OpenAmiError as error:
                words = f"{error.code} {error.message}"
                await do(self.book.updated, order, _unstaged(error), words)
                return
        await do(self.book.enter, replace(order, step=Step.TRIAL))

    def _stage(self, slots: Slots) -> None:
        slots.stage(self.book.place.path, self.book.manifest())

    async def _try(self, order: Order) -> None:
        """Have what is staged tried, and conclude when it was."""
        do, slots = self._bench.thread.do, self._slots
        outcome = None if slots is None else await self._bench.disk.do(_outcome_of, slots)
        image, running = self.book.image, self._running
        if slots is not None and outcome is not None and outcome.sha256 == image:
            await do(self.book.updated, order, *_ended(outcome))
            await self._bench.disk.do(slots.told)
        elif running.sha256 == image and running.on_trial:
            await self._bench.stop.sleep(LOOK_S)
        elif running.sha256 == image:
            await do(self.book.updated, order, FumoResult.OK, "")
        elif slots is None or order.tries >= TRIALS_MOST:
            words = "slots.not-tried this device was not started as what was installed"
            await do(self.book.updated, order, FumoResult.UPDATE_FAILED, words)
        else:
            await self._switch(replace(order, tries=order.tries + 1), slots)

    async def _switch(self, order: Order, slots: Slots) -> None:
        """End this process, to be started again as what is staged."""
        await self._bench.thread.do(self.book.enter, order)
        try:
            await self._bench.disk.do(slots.arm)
        except ConflictError:  # it is not staged any more
            again = replace(order, step=Step.INSTALL)
            await self._bench.thread.do(self.book.enter, again)
            return
        log.info("restarts to try what was installed", package=order.package)
        self._restart()
        await self._bench.stop.wait()

    @property
    def _running(self) -> Running:
        return Running(__version__, 0) if self._slots is None else self._slots.running

    def _choose(self, manifest: Manifest) -> Attachment | Finding:
        """Return the image that this device takes of a release, or why it takes none."""
        bench, running = self._bench, self._running
        if manifest.kind is not ReleaseKind.DCU_FIRMWARE:
            return Finding("firmware.fit.kind", f"{manifest.kind} is no firmware of a DCU")
        device = Installed(bench.model, bench.hardware, _version(running), running.counter)
        problem = why_not(manifest, device)
        image = manifest.image_for(bench.model, bench.hardware)
        if image is not None and (problem is None or problem.code == _SAME):
            return image
        return problem or Finding("firmware.fit.hardware", f"not for {bench.hardware}")


def _version(running: Running) -> Version | None:
    try:
        return Version.parse(running.version)
    except DecodeError:
        return None


def _outcome_of(slots: Slots) -> Outcome | None:
    return slots.outcome


def _ended(outcome: Outcome) -> tuple[FumoResult, str]:
    """Return what the server is told of a trial."""
    if outcome.confirmed:
        return FumoResult.OK, ""
    return FumoResult.UPDATE_FAILED, f"{outcome.code} {outcome.words}".strip()


def _result_of(fetched: Fetched) -> FumoResult:
    if fetched.misfit is not None:
        mismatch = fetched.misfit.code in _MISFITS
        return FumoResult.DEVICE_MISMATCH if mismatch else FumoResult.NOT_ACCEPTABLE
    return RESULTS[fetched.end or End.ABORTED].fumo


def _unstaged(error: OpenAmiError) -> FumoResult:
    """Return the result of an update whose image did not come into its slot."""
    if isinstance(error, StoreFullError):
        return FumoResult.NO_MEMORY_FOR_UPDATE
    return _STAGING.get(error.code, FumoResult.UPDATE_FAILED)
