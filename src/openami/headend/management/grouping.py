"""Many who want the same at once: one thread does it for all of them together.

What comes while the thread is at work is its next group: a group grows with the load, and nobody
waits for a window to close.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")

MOST: Final = 256
"""Of a group: a commit of more takes longer than who waits for it should."""


class Grouped(Generic[T, R]):
    """Work on a thread of its own, in groups.

    Args:
        work: takes a group; returns a result or an error for each of it. What it raises, all get.
        name: of the thread.
        most: how many a group may have.
    """

    def __init__(
        self, work: Callable[[Sequence[T]], Sequence[R | Exception]], name: str, most: int = MOST
    ) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._task: asyncio.Task[None] | None = None

    async def do(self, item: T) -> R:
        """Return the result for one, or raise its error."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await answer

    async def stop(self) -> None:
        """Do what is waiting, then end."""
        while self._task is not None:
            await asyncio.wait([self._task])
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                count = min(len(self._waiting), self._most)
                group = [self._waiting.popleft() for _ in range(count)]
                items = [item for item, _ in group]
                outcomes = await loop.run_in_executor(self._thread, self._outcomes, items)
                for (_, answer), outcome in zip(group, outcomes, strict=True):
                    _give(answer, outcome)
        finally:
            self._task = None

    def _outcomes(self, items: Sequence[T]) -> Sequence[R | Exception]:
        try:
            return self._work(items)
        except Exception as error:  # noqa: BLE001 - who waits gets it, whatever it is
            return [error] * len(items)


def _give(answer: asyncio.Future[R], outcome: R | Exception) -> None:
    if answer.done():  # who asked has gone
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
