"""A few heavy pages at a time, so that families who look leave room for meters and operators."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from openami.headend.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

# Each looks through up to two years of readings with all of DuckDB's threads.
AT_ONCE: Final = 4
# A page takes some tenths of a second: whoever is last waits for seconds, not for minutes.
WAITING: Final = 64
# A browser asks a host for six things at once; more is a program, which is in its own way alone.
OF_ONE: Final = 6
AGAIN_S: Final = 5.0


class Few:
    """Makes a few things at once; some wait, and whoever comes then is told to come again."""

    def __init__(self, *, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._here: Counter[str] = Counter()

    async def make(self, who: str, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``work`` makes, in a thread, when it is its turn.

        Raises:
            BusyError: ``busy.pages``, too many wait, or too many of ``who`` do.
        """
        if self._here.total() >= self._most or self._here[who] >= OF_ONE:
            raise BusyError("too many pages are asked for", retry_after=AGAIN_S, code="busy.pages")
        self._here[who] += 1
        try:
            async with self._free:
                return await asyncio.to_thread(work, *args, **kwargs)
        finally:
            self._here[who] -= 1
            self._here += Counter()  # whoever has gone is forgotten
