"""What a head-end does by itself: jobs, the lake, its certificate and its health."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import structlog

from openami.core.errors import OpenAmiError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from openami.fleet.ports import ReadingStore
    from openami.headend.services import Services

log = structlog.get_logger(__name__)

T = TypeVar("T")
Work: TypeAlias = "Callable[[], Coroutine[Any, Any, object]]"

JOBS_EVERY_S: Final = 1.0  # an operator watches: an expired job should say so
HEALTH_EVERY_S: Final = 10.0
CAMPAIGNS_EVERY_S: Final = 1.0  # an operator watches; and so often at most a page is told
WAKE_EVERY_S: Final = 1.0  # an operator waits for the device
SESSIONS_EVERY_S: Final = 5.0  # of the two minutes that a device may be silent
FORGET_EVERY_S: Final = 3600.0
SIMILAR_EVERY_S: Final = 10.0  # after a move the last household's figure is told no longer
SEAL_EVERY_S: Final = 1.0  # for which what was taken out of the audit log would not be missed
SLICE_EVERY_S: Final = 1.0  # of what there is so much of that it is forgotten slice by slice
NOTHING_S: Final = 60.0  # of what is kept for days; when a chore that found none of it looks again
CERTIFICATE_EVERY_S: Final = 3600.0  # of the days that are left when one is renewed
RENEW_EVERY_S: Final = 300.0  # of the half day that a timestamp of releases has left by then
REVOKED_EVERY_S: Final = 2.0  # how long what another process has revoked is still let in


class Chores:
    """Tasks that come round; one that fails is noted in the health and tried again.

    One that says it has done 0 things is left alone for longer.
    """

    def __init__(self, services: Services, readings: ReadingStore, renew: Work) -> None:
        self._services = services
        self._readings = readings
        self._renew = renew
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, in the running loop."""
        settings = self._services.settings
        rounds: tuple[tuple[str, float, Work], ...] = (
            ("jobs", JOBS_EVERY_S, self._services.jobs.pass_time),
            ("device sessions", SESSIONS_EVERY_S, self._services.management.pass_time),
            ("wake-ups", WAKE_EVERY_S, self._services.management.wake.round),
            ("device jobs", JOBS_EVERY_S, self._services.management.tasks.pass_time),
            ("rounds of campaigns", CAMPAIGNS_EVERY_S, self._services.upgrades.rounds.round),
            ("demand response", CAMPAIGNS_EVERY_S, self._services.demand.rounds.round),
            ("old demand response", SLICE_EVERY_S, self._services.demand.rounds.forget),
            ("old campaigns", SLICE_EVERY_S, self._services.upgrades.rounds.forget),
            ("old device jobs", SLICE_EVERY_S, self._services.management.tasks.forget),
            ("old tree changes", SLICE_EVERY_S, self._services.management.trees.forget),
            ("old device sessions", SLICE_EVERY_S, self._services.management.log.forget),
            ("similar homes", SIMILAR_EVERY_S, self._services.similar.round),
            ("audit log", SEAL_EVERY_S, self._seal),
            ("health", HEALTH_EVERY_S, self._look),
            ("old jobs", FORGET_EVERY_S, self._services.jobs.forget),
            ("old uploads", FORGET_EVERY_S, self._services.ingest.forget),
            ("old certificates", FORGET_EVERY_S, self._forget),
            ("release repository", RENEW_EVERY_S, self._renew_releases),
            ("old files of releases", FORGET_EVERY_S, self._sweep),
            ("certificate", CERTIFICATE_EVERY_S, self._renew),
            ("revocations", REVOKED_EVERY_S, self._revocations),
            ("compaction", settings.compact_every_s, self._compact),
        )
        self._tasks = [
            asyncio.create_task(self._round(name, every, work), name=name)
            for name, every, work in rounds
        ]

    async def stop(self) -> None:
        """End; what runs in a thread is waited for."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _round(self, name: str, every: float, work: Work) -> None:
        health = self._services.health
        wait, failed = every, ""
        while True:
            await asyncio.sleep(wait)
            wait = every
            try:
                done = await whole(work())
            except OpenAmiError as error:
                if error.code != failed:  # what goes on is in the health, not in the log each time
                    log.warning("chore failed", chore=name, code=error.code, message=error.message)
                failed = error.code
                health.note(name, ok=False, detail=error.message)
            except Exception:
                log.exception("chore failed", chore=name, code="internal")
                health.note(name, ok=False, detail="see the log")
            else:
                failed = ""
                health.note(name, ok=True, detail="done")
                if done == 0:
                    wait = max(every, NOTHING_S)

    async def _look(self) -> None:
        self._services.health.note(
            "ingest", ok=self._services.ingest.running(), detail="commits uploads"
        )
        await asyncio.to_thread(self._services.health.look)

    async def _seal(self) -> None:  # says nothing of how much: the next entry waits no longer
        await asyncio.to_thread(self._services.audit.seal)

    async def _revocations(self) -> None:
        await asyncio.to_thread(self._services.pki.refresh)

    async def _forget(self) -> None:
        await asyncio.to_thread(self._services.pki.forget)

    async def _renew_releases(self) -> None:
        firmware = self._services.firmware
        await asyncio.to_thread(firmware.endings.look)
        await asyncio.to_thread(firmware.publisher.renew)

    async def _sweep(self) -> None:
        await asyncio.to_thread(self._services.firmware.shelf.sweep)

    async def _compact(self) -> None:
        await asyncio.to_thread(self._readings.compact)


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Finish ``work`` even when cancelled: no store may be closed under a thread that uses it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
