"""How the DCU's tasks wait, and how they end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from openami.core.backoff import backoff
from openami.dcu.headend import HeadEndAwayError

if TYPE_CHECKING:
    from collections.abc import Callable


class Stop:
    """The wish that the DCU ends; every wait of its tasks is cut short by it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Ask every task to finish what it has in hand."""
        self._event.set()

    async def wait(self) -> None:
        """Return when the DCU is to end."""
        await self._event.wait()

    async def sleep(self, seconds: float, *wakers: asyncio.Event) -> None:
        """Return after ``seconds``, when one of ``wakers`` is set, or when the DCU is to end."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._event, *wakers)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class Patience:
    """How long to wait after failures in a row, with chance so that many do not come at once.

    Args:
        first: after one failure, in seconds.
        most: after many.
        chance: returns a number from 0 to 1.
    """

    def __init__(self, first: float, most: float, chance: Callable[[], float]) -> None:
        self._first = first
        self._most = most
        self._chance = chance
        self.failures = 0

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0

    def failed(self, error: Exception | None = None) -> float:
        """Return how long to wait now; at least as long as the head-end asked for, if it did."""
        self.failures += 1
        wait = backoff(self.failures, first=self._first, most=self._most, jitter=self._chance())
        asked = error.retry_after if isinstance(error, HeadEndAwayError) else None
        if asked is None:
            return wait
        return max(wait, asked * (1 + self._chance() / 4))
