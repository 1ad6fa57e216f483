"""A conversation with the head-end: reports up, orders down, in one request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import structlog

from openami.core.errors import DecodeError, StoreError
from openami.dcu.headend import HeadEndAwayError, HeadEndRefusalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openami.dcu.flow import Patience, Stop

NEWS_S: Final = 5.0
"""How long news waits for more: what happens to one meter of a street happens to others."""

R = TypeVar("R")
T = TypeVar("T")

log = structlog.get_logger("dcu.conversation")


class Talker(Protocol):
    """What is said and heard."""

    news: asyncio.Event
    """Set when there is something to tell."""

    def rest(self) -> float:
        """Return for how many seconds nothing need be said."""
        ...

    async def exchange(self) -> bool:
        """Tell and ask; return whether what was told was refused.

        Raises:
            HeadEndAwayError, HeadEndRefusalError, StoreError, DecodeError: it is tried again.
        """
        ...


async def tell_and_ask(
    about: str, ask: Callable[[list[R]], Awaitable[T]], reports: list[R]
) -> tuple[T, bool]:
    """Ask with reports, and without them if these are refused.

    It may be that the DCU tells of meters which are somebody else's now: the answer says so.

    Returns:
        What was answered, and whether the reports were refused.

    Raises:
        HeadEndRefusalError: refused with nothing told.
        HeadEndAwayError, DecodeError: there is no answer, or none that can be read.
    """
    try:
        return await ask(reports), False
    except HeadEndRefusalError as error:
        if not reports:
            raise
        log.warning("reports refused", about=about, code=error.code, error=error.message)
        return await ask([]), True


class Conversation:
    """Tells and asks until the DCU ends, and tells once more then what was not told.

    Args:
        about: what it is about, for the log.
        talker: what is said and heard.
        patience: between tries.
        stop: ends it.
        news_s: see ``NEWS_S``.
        eager: ask at the start, though nobody said that there is something.
    """

    def __init__(
        self,
        about: str,
        talker: Talker,
        *,
        patience: Patience,
        stop: Stop,
        news_s: float = NEWS_S,
        eager: bool = True,
    ) -> None:
        self._about = about
        self._talker = talker
        self._patience = patience
        self._stop = stop
        self._news_s = news_s
        self._eager = eager
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()

    def ask(self) -> None:
        """Have it asked now; after a failure when the time for another try comes."""
        self._asked.set()

    def hurry(self) -> None:
        """Have it asked now, also after a failure."""
        self._hurried.set()
        self._asked.set()

    async def run(self) -> None:
        """Exchange until the DCU ends, and tell once more then what was not told."""
        news = self._talker.news
        wait = 0.0 if self._eager else None
        while not self._stop:
            if wait is None:
                await self._rest()
                if self._stop:
                    break
            self._asked.clear()
            self._hurried.clear()
            wait = await self._exchange() or None
            if wait:
                await self._stop.sleep(wait, self._hurried)
        if news.is_set():
            await self._exchange()

    async def _rest(self) -> None:
        news = self._talker.news
        await self._stop.sleep(self._talker.rest(), self._asked, news)
        if not self._asked.is_set() and news.is_set():
            await self._stop.sleep(self._news_s, self._asked)

    async def _exchange(self) -> float:
        """Tell and ask; return how long to wait if it failed."""
        talker = self._talker
        try:
            refused = await talker.exchange()
        except (HeadEndAwayError, HeadEndRefusalError, StoreError, DecodeError) as error:
            talker.news.set()  # it was not told
            wait = self._patience.failed(error)
            log.info("no word", about=self._about, error=str(error), wait_s=round(wait, 1))
            return wait
        if refused:
            talker.news.set()
            return self._patience.failed()
        self._patience.succeeded()
        return 0.0
