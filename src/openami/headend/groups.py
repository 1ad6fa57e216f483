"""Group commit: many uploads, one transaction, each with an answer of its own.

A durable commit costs about the same for one batch as for fifty. The first batch that arrives
opens a group, which is committed when its window is over or it is full; what arrives meanwhile
is the next group. A group that the store refuses as a whole is committed one by one, so that
what is wrong with one batch costs no other its answer.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from openami.core.errors import StoreError, StoreFullError
from openami.headend.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.fleet.ports import Batch, BatchResult

log = structlog.get_logger(__name__)


class Committer(Protocol):
    """The part of a store that takes batches."""

    def commit(self, batches: Sequence[Batch]) -> Sequence[BatchResult]: ...


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How long a group waits for more, and how big it may become."""

    window_s: float
    batches: int


class GroupCommitter:
    """Commits what is submitted in groups, on one thread of its own.

    Args:
        store: where to.
        limits: of a group.
        committed: told of every group after its commit: how many batches, how many seconds.
    """

    def __init__(
        self, store: Committer, limits: GroupLimits, *, committed: Callable[[int, float], None]
    ) -> None:
        self._store = store
        self._limits = limits
        self._committed = committed
        self._queue: asyncio.Queue[tuple[Batch, asyncio.Future[BatchResult]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._task: asyncio.Task[None] | None = None
        self._open = False

    def start(self) -> None:
        """Begin to commit, in the running loop."""
        self._task = asyncio.create_task(self._run(), name="group commit")
        self._open = True

    async def stop(self) -> None:
        """Commit what is queued, then end."""
        if self._task is None:
            return
        self._open = False
        await self._queue.join()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._thread.shutdown()

    def waiting(self) -> int:
        """Return how many batches are queued for the next group."""
        return self._queue.qsize()

    def running(self) -> bool:
        """Whether somebody is there to commit what is queued."""
        return self._open and self._task is not None and not self._task.done()

    async def submit(self, batch: Batch) -> BatchResult:
        """Return what became of ``batch``, once that is durable.

        Raises:
            StoreError: nothing of it was kept.
            BusyError: the head-end is stopping.
        """
        if not self.running():
            raise BusyError("the head-end is stopping", retry_after=5.0, code="busy.stopping")
        answer: asyncio.Future[BatchResult] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((batch, answer))
        return await answer

    async def _run(self) -> None:
        while True:
            group = await self._gather()
            try:
                await self._commit(group)
            finally:
                for _ in group:
                    self._queue.task_done()

    async def _gather(self) -> list[tuple[Batch, asyncio.Future[BatchResult]]]:
        group = [await self._queue.get()]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.window_s
        while len(group) < self._limits.batches:
            try:
                async with asyncio.timeout_at(deadline):
                    group.append(await self._queue.get())
            except TimeoutError:
                break
        return group

    async def _commit(self, group: list[tuple[Batch, asyncio.Future[BatchResult]]]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        batches = [batch for batch, _ in group]
        outcomes = await loop.run_in_executor(self._thread, self._store_all, batches)
        self._committed(len(group), loop.time() - began)
        for (_, answer), outcome in zip(group, outcomes, strict=True):
            if answer.done():  # the DCU hung up; it will ask again and be told "repeated"
                continue
            if isinstance(outcome, StoreError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

    def _store_all(self, batches: list[Batch]) -> list[BatchResult | StoreError]:
        try:
            return list(self._store.commit(batches))
        except StoreFullError as error:
            return [error] * len(batches)
        except StoreError as error:
            if len(batches) == 1:
                log.warning("batch refused by the store", code=error.code, batch=batches[0].id)
                return [error]
        except Exception:
            log.exception("the store failed", batches=len(batches))
            if len(batches) == 1:
                return [StoreError("the store failed", code="store.failed")]
        return [outcome for batch in batches for outcome in self._store_all([batch])]
