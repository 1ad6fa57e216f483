"""What carrying something to a meter takes: an association with it, and the book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openami.dcu.demand.state import report

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.dcu.demand.book import Book
    from openami.dcu.demand.orders import MeterOrders
    from openami.dcu.demand.state import MeterState
    from openami.dcu.errand import Shown
    from openami.transport.session import DlmsSession


@dataclass(frozen=True, slots=True)
class Talk:
    """One association with one meter.

    Attributes:
        session: the association.
        serial: the meter.
        firmware: that it runs.
        book: what is wanted, and how far it is.
        orders: what was wanted of the meter when the talk began.
        clock: the meters' time.
        shown: the meter's own clock.
    """

    session: DlmsSession
    serial: str
    firmware: str
    book: Book
    orders: MeterOrders
    clock: Clock
    shown: Shown

    @property
    def state(self) -> MeterState:
        return self.book.state(self.serial)

    @property
    def now(self) -> float:
        return self.clock.now()

    def report(
        self,
        what: str,
        *,
        event: str | None = None,
        code: str | None = None,
        reason: str | None = None,
        at: float | None = None,
    ) -> dict[str, Any]:
        """Return what is told of the meter; it is told once it is kept."""
        moment = self.now if at is None else at
        return report(self.serial, what, moment, event=event, code=code, reason=reason)

    async def keep(self, *reports: dict[str, Any], **changes: Any) -> None:
        """Keep what has changed of the meter's state, and what is told; raises StoreError."""
        async with self.book.lock:
            await self.book.keep(self.serial, self.state.but(**changes), reports)
