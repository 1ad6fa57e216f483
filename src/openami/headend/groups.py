"""Many who want the same of a store: one thread does it for all of them together.

A durable commit costs about the same for one as for fifty. What comes while the thread is at work
is its next group, so that groups grow with the load; a window makes the first of a group wait for
others even when there is none at work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog

from openami.core.errors import StoreError
from openami.headend.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

MOST: Final = 256
"""Of a group: a commit of more takes longer than who waits for it should."""
RETRY_S: Final = 5.0
"""What who comes too late is told to wait: as long as a head-end takes to start again."""

_ALL_ALIKE: Final = frozenset({"store.full", "store.busy", "store.away"})
"""Errors that are about the store, not about what was asked of it: asking anew changes nothing."""


class Grouped(Generic[T, R]):
    """Work on a thread of its own, in groups.

    Args:
        work: takes a group; returns a result or an error for each of it. What it raises, all get.
        name: of the thread.
        most: how many a group may have.
        window_s: how long the first of a group waits for others.
        done: told of every group after its work: how many, how many seconds.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Sequence[R | Exception]],
        name: str,
        *,
        most: int = MOST,
        window_s: float = 0.0,
        done: Callable[[int, float], None] = lambda _count, _seconds: None,
    ) -> None:
        self._work = work
        self._most = most
        self._window_s = window_s
        self._done = done
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._full = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._task: asyncio.Task[None] | None = None
        self._open = True

    def waiting(self) -> int:
        """Return how many wait for the next group."""
        return len(self._waiting)

    def running(self) -> bool:
        """Whether more is taken."""
        return self._open

    async def do(self, item: T) -> R:
        """Return the result for one, or raise its error.

        Raises:
            BusyError: ``busy.stopping``, no more is taken.
        """
        if not self._open:
            raise BusyError("the head-end is stopping", retry_after=RETRY_S, code="busy.stopping")
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if len(self._waiting) >= self._most:
            self._full.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="group")
        return await answer

    async def stop(self) -> None:
        """Do what is waiting, then end."""
        self._open = False
        self._full.set()
        while self._task is not None:
            await asyncio.wait([self._task])
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group = await self._gather()
                items = [item for item, _ in group]
                began = loop.time()
                outcomes = await loop.run_in_executor(self._thread, self._outcomes, items)
                self._done(len(group), loop.time() - began)
                for (_, answer), outcome in zip(group, outcomes, strict=True):
                    _give(answer, outcome)
        finally:
            self._task = None

    async def _gather(self) -> list[tuple[T, asyncio.Future[R]]]:
        if self._window_s and self._open and len(self._waiting) < self._most:
            self._full.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._window_s):
                    await self._full.wait()
        count = min(len(self._waiting), self._most)
        return [self._waiting.popleft() for _ in range(count)]

    def _outcomes(self, items: Sequence[T]) -> Sequence[R | Exception]:
        try:
            return [one for _, one in zip(items, self._work(items), strict=True)]
        except Exception as error:  # noqa: BLE001 - who waits gets it, whatever it is
            return [error] * len(items)


def apart(
    work: Callable[[Sequence[T]], Sequence[R | Exception]], items: Sequence[T]
) -> list[R | Exception]:
    """Do a group, or each of it alone when the store refuses it as a whole.

    What is wrong with one then costs no other its answer. A store that is full, away or in
    use by somebody else is not asked again.
    """
    try:
        return list(work(items))
    except StoreError as error:
        if len(items) == 1 or error.code in _ALL_ALIKE:
            log.warning("refused by the store", code=error.code, count=len(items))
            return [error] * len(items)
    except Exception:
        log.exception("the store failed", count=len(items))
        if len(items) == 1:
            return [StoreError("the store failed", code="store.failed")]
    return [outcome for item in items for outcome in apart(work, [item])]


def _give(answer: asyncio.Future[R], outcome: R | Exception) -> None:
    if answer.done():  # who asked has gone; it will ask again
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
