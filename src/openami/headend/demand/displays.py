"""Displays of households that moved out: their meters are told to forget them.

The order is kept with the end of the tenancy, goes to the meter's DCU with all else that holds, and
ends when the DCU says that it is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.core.errors import NotFoundError
from openami.fleet.devices import AuditEntry, DeviceKind, device_id

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.headend.demand.book import Book
    from openami.headend.demand.ports import DemandStore
    from openami.headend.registry import Registry


class Displays:
    """Follows the orders. Calls block."""

    def __init__(
        self, store: DemandStore, book: Book, registry: Registry, *, clock: Clock, wall: Clock
    ) -> None:
        self._store, self._book, self._registry = store, book, registry
        self._clock, self._wall = clock, wall

    def pass_time(self) -> None:
        """Have those be told whose meters are to forget displays from now on."""
        news = self._book.forget(self._store.to_forget(self._clock.now()))
        dcus = frozenset(dcu for meter in news if (dcu := self._dcu(meter)) is not None)
        if dcus:
            self._book.changed(dcus)

    def reported(self, serial: str, dcu: str, id_: str | None, *, code: str | None) -> None:
        """Take that an order was done; what is said of another is passed over."""
        if id_ is None:
            return
        subject = device_id(DeviceKind.METER, serial)
        what = f"meter.displays after a move-out: {code or 'forgotten'}"
        entry = AuditEntry(f"dcu-{dcu}", self._wall.now(), what, subject)
        if self._store.forgotten(serial, id_, entry):
            self.pass_time()

    def _dcu(self, meter: str) -> str | None:
        try:
            return self._registry.meter(meter).dcu
        except NotFoundError:
            return None
