"""Orders to switch the supply of meters behind DCUs: made here, carried by the DCU, once.

An order waits until its DCU says what it found after, or until its time is over. What was asked for
is in the audit log before the meter is, and what came of it after.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError
from openami.fleet.demand.supply import MOST_S, OrderState, SupplyOrder, Wanted
from openami.fleet.devices import DeviceKind, LifecycleState, device_id
from openami.headend.errors import RequestError
from openami.headend.registry import reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.devices import AuditEntry
    from openami.headend.demand.means import Means

ID_OCTETS: Final = 8
PATIENCE_S: Final = 3600.0
"""For how long a DCU is waited for if nobody says otherwise: who stands at the meter will not wait
longer, and nobody wants a supply switched that was asked for yesterday."""
AUDITED: Final[dict[Wanted, str]] = {
    Wanted.CONNECTED: "on", Wanted.DISCONNECTED: "off", Wanted.READY: "ready",
}  # fmt: skip


class SupplyOrders:
    """Makes orders and follows them. Calls block."""

    def __init__(self, means: Means) -> None:
        self._means, self._store, self._book = means, means.store, means.book
        self._registry, self._clock = means.registry, means.clock

    def make(
        self, serial: str, wanted: Wanted, *, who: str, why: str, within: float = PATIENCE_S
    ) -> SupplyOrder:
        """Have a meter's DCU switch its supply.

        Args:
            serial: of the meter.
            wanted: what its supply is to be.
            who: wants it.
            why: for the audit log.
            within: seconds of the meters' clock, after which it is given up.

        Raises:
            NotFoundError: there is no such meter.
            RequestError: ``request.why`` or ``request.within``.
            ConflictError: ``supply.no-way``, no DCU looks after it or it is retired;
                ``supply.waiting``, another order waits.
        """
        words, device = reason(why), self._registry.meter(serial)
        if not 0 < within <= MOST_S:
            raise RequestError(f"wait for up to {MOST_S} s", code="request.within")
        if device.dcu is None or device.state is LifecycleState.RETIRED:
            raise ConflictError(f"no DCU looks after meter {serial}", code="supply.no-way")
        now = self._clock.now()
        order = SupplyOrder(
            secrets.token_hex(ID_OCTETS), serial, wanted, who, words, now, now + within
        )
        what = f"meter.supply {AUDITED[wanted]} asked for"
        self._store.add_order(order, self._entry(who, what, serial, words))
        self._book.order(order, device.dcu)
        self._tell(order)
        return order

    def get(self, id_: str) -> SupplyOrder:
        """Return an order; NotFoundError."""
        return self._store.order(id_)

    def of_meter(self, serial: str) -> Sequence[SupplyOrder]:
        """Return the last orders to a meter, the newest first; NotFoundError."""
        return self._store.orders(self._registry.meter(serial).serial)

    def reported(
        self, serial: str, dcu: str, id_: str | None, *, code: str | None, reason: str
    ) -> None:
        """Take what a DCU found after it did an order: that of an id, or the one that waits."""
        order = self._book.waiting(serial)
        if order is None or (id_ is not None and order.id != id_):
            return
        done = order.reported(code, reason, self._clock.now())
        said = done.found or "nothing was found"
        words = f"{said}, {done.reason}" if done.reason else said
        self._end(done, dcu, f"dcu-{dcu}", words)

    def pass_time(self) -> None:
        """Give up orders whose time is over."""
        now = self._clock.now()
        for order in self._book.orders_over(now):
            dcu = self._registry.meter(order.meter).dcu
            self._end(order.expired(now), dcu, "head-end", "no answer in time")

    def _end(self, order: SupplyOrder, dcu: str | None, who: str, words: str) -> None:
        what = f"meter.supply {AUDITED[order.wanted]}: {order.state}, {words}"
        entry = self._entry(who, what, order.meter, order.why)
        ended = self._store.end_orders([(order, entry)])
        self._book.order(order, dcu, over=True)
        for one in ended:  # whoever was second has nothing to tell
            self._tell(one)

    def _entry(self, who: str, what: str, serial: str, why: str) -> AuditEntry:
        return self._means.entry(who, what, device_id(DeviceKind.METER, serial), why)

    def _tell(self, order: SupplyOrder) -> None:
        data = {
            "order": order.id,
            "meter": order.meter,
            "wanted": order.wanted.value,
            "state": order.state.value,
            "found": order.found,
        }
        self._means.tell(order.meter, data, meters=frozenset({order.meter}))


def over(order: SupplyOrder) -> bool:
    """Say whether nothing more becomes of an order."""
    return order.state is not OrderState.WAITING
