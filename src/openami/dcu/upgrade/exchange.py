"""The conversation with the head-end about upgrades: reports up, orders down, in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.dcu.conversation import tell_and_ask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openami.core.clock import Clock
    from openami.dcu.headend import HeadEnd
    from openami.dcu.upgrade.book import Book
    from openami.dcu.upgrade.orders import Instructions

EVERY_S: Final = 3600.0
"""The longest without a report: orders are given for hours, and are taken back in silence."""
LEAST_S: Final = 30.0
"""Between reports that nobody asked for: an order that is nearly over is no reason for more."""

log = structlog.get_logger("dcu.upgrade")


class Exchange:
    """What is said and heard of upgrades, as a ``Talker``.

    Args:
        headend: who is told.
        book: what is told, and where orders go.
        voided: called when the fleet's epoch has risen, before that is kept: it may be called
            again, and lets go of every package that is not being switched to. With the first epoch
            that is heard of, it lets go of those that were ordered in one before.
        taken: called when orders were taken.
        clock: the true time.
    """

    def __init__(
        self,
        headend: HeadEnd,
        book: Book,
        *,
        voided: Callable[[int | None], Awaitable[None]],
        taken: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._headend = headend
        self._book = book
        self._voided = voided
        self._taken = taken
        self._clock = clock
        self.news = book.news

    def rest(self) -> float:
        """Return how long nothing need be said: no order that is worked at may seem forgotten."""
        now = self._clock.now()
        steps = [s for t in self._book.tasks for s in (t.order.download, t.order.activate)]
        ends = [step.until - now for step in steps if step is not None and step.until > now]
        half = min(ends, default=2 * EVERY_S) / 2
        return min(max(half, LEAST_S), EVERY_S)

    async def exchange(self) -> bool:
        """Tell and ask; see ``Talker``."""
        refused = await self._tell_and_ask()
        self._taken()
        return refused

    async def _tell_and_ask(self) -> bool:
        """Return whether what was told was refused; orders were taken all the same."""
        async with self._book.lock:
            reports, sent = await self._book.reports()
        said, refused = await tell_and_ask("upgrades", self._ask, reports)
        async with self._book.lock:
            if self._book.rises(said.epoch):
                log.warning("everything before is void", epoch=said.epoch)
                await self._voided(None)
            elif not self._book.knows_epoch:
                await self._voided(said.epoch)
            await self._book.take(said)
            await self._book.told({} if refused else sent, said.taken)
        return refused

    async def _ask(self, reports: list[dict[str, Any]]) -> Instructions:
        return await self._headend.upgrade({"epoch": self._book.epoch, "reports": reports})
