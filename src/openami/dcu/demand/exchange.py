"""The conversation with the head-end about demand response: reports up, what holds down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.dcu.conversation import tell_and_ask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openami.dcu.demand.book import Book
    from openami.dcu.demand.orders import Instructions
    from openami.dcu.headend import HeadEnd

EVERY_S: Final = 3600.0
"""The longest without a word: what holds comes with the long poll for work."""


class Exchange:
    """What is said and heard, as a ``Talker``.

    Args:
        headend: who is told.
        book: what is told, and where what holds goes.
        taken: called when it was taken, with the book locked.
    """

    def __init__(self, headend: HeadEnd, book: Book, taken: Callable[[], Awaitable[None]]) -> None:
        self._headend = headend
        self._book = book
        self._taken = taken
        self.news = book.news

    def rest(self) -> float:
        """Return how long nothing need be said."""
        return EVERY_S

    async def exchange(self) -> bool:
        """Tell and ask; see ``Talker``."""
        async with self._book.lock:
            reports = await self._book.reports()
        said, refused = await tell_and_ask("demand response", self._ask, reports)
        async with self._book.lock:
            await self._book.take(said)
            if not refused:
                await self._book.told(reports, said.taken)
            await self._taken()
        return refused

    async def _ask(self, reports: list[dict[str, Any]]) -> Instructions:
        return await self._headend.demand({"revision": self._book.revision, "reports": reports})
