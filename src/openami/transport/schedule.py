"""Things to do at their times, with one timer of the event loop for all of them."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import TYPE_CHECKING, Final

from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable

_SOON_S: Final = 0.0005
"""What is due so soon is done at once: loops do not wait more exactly than a millisecond."""


class Schedule:
    """Actions in the order of their times, and of being given where those are the same.

    Args:
        now: the monotonic clock of the times.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self.now = now
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._running = False

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do ``action`` at ``when``; within this call if it is due and nothing is before it."""
        heapq.heappush(self._due, (when, next(self._order), action))
        if not self._running:
            self._run()

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._running = True
        try:
            while self._due and self._due[0][0] <= self.now() + _SOON_S:
                heapq.heappop(self._due)[2]()
        finally:
            self._running = False
            self._arm()

    def _arm(self) -> None:
        if not self._due:
            return
        when = self._due[0][0]
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        delay = max(when - self.now(), 0.0)
        self._timer = asyncio.get_running_loop().call_later(delay, self._fire)
        self._timer_at = when

    def _fire(self) -> None:
        self._timer = None
        self._run()
