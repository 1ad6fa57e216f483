"""Displays of households that moved out: their meters are told to forget them.

The order is kept with the end of the tenancy, goes to the meter's DCU with all else that holds, and
ends when the DCU says that it is done, or a person does. What no meter does in a day, since it
refuses, is silent, or no DCU looks after it, is an alarm: until then whoever moved out may still
read what the home uses.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from openami.core.errors import NotFoundError
from openami.fleet.demand.records import DisplayOrder
from openami.fleet.devices import DeviceKind, device_id
from openami.headend.registry import reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.fleet.ports import Page
    from openami.headend.demand.means import Means
    from openami.headend.security.alarms import Alarms

NOT_FORGOTTEN: Final = "displays.not-forgotten"
PATIENCE_S: Final = 86_400.0
"""How long an order may wait before it is an alarm: a meter may be out of reach for a day."""
ALARMED: Final = 100
"""Orders, the oldest, that are alarms at a time: more are one fault, and the list has them all."""
_DONE: Final = frozenset({None, "forgotten", "no-displays"})
"""What DCUs say of an order that is done; anything else is the code of a refusal."""


class Displays:
    """Follows the orders. Calls block."""

    def __init__(self, means: Means, *, alarms: Alarms) -> None:
        self._means, self._store, self._book = means, means.store, means.book
        self._registry, self._clock, self._alarms = means.registry, means.clock, alarms
        # An order that ends while it is looked at would leave an alarm that nobody takes back.
        self._alarming = threading.Lock()

    def pass_time(self) -> None:
        """Have those be told whose meters are to forget displays from now on."""
        news = self._book.forget(self._store.to_forget(self._clock.now()))
        dcus = self.dcus_of(news)
        if dcus:
            self._book.changed(dcus)

    def alarm(self) -> None:
        """Raise alarms of the orders that nobody has done for long."""
        with self._alarming:
            late = self._store.display_orders(self._clock.now() - PATIENCE_S, limit=ALARMED)
            for order in late.items:
                self._raise(order)

    def waiting(
        self, *, meter: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[DisplayOrder]:
        """Return the orders that are due and not done, the oldest first."""
        now = self._clock.now()
        return self._store.display_orders(now, meter=meter, after=after, limit=limit)

    def reported(
        self, serial: str, dcu: str, id_: str | None, *, code: str | None, reason: str = ""
    ) -> None:
        """Take that an order was done or refused; what is said of another is passed over."""
        if id_ is None:
            return
        if code in _DONE:
            self._done(serial, id_, f"dcu-{dcu}", code or "forgotten", "")
            return
        now, refused = self._clock.now(), code or ""
        with self._alarming:
            if self._store.not_forgotten(serial, id_, now, refused, reason):
                self._raise(DisplayOrder(id_, serial, now, dcu, now, refused, reason))

    def done(self, serial: str, *, who: str, why: str) -> DisplayOrder:
        """End the last order to a meter, which a person has seen to, and those before it.

        Raises:
            NotFoundError: there is no order to this meter.
            RequestError: ``request.why``.
        """
        words, waiting = reason(why), self.waiting(meter=serial).items
        if not waiting or not self._done(serial, waiting[-1].id, who, "seen to", words):
            raise NotFoundError(f"no displays are to be forgotten by meter {serial}")
        return waiting[-1]

    def _done(self, serial: str, id_: str, who: str, how: str, why: str) -> bool:
        subject = device_id(DeviceKind.METER, serial)
        what = f"meter.displays after a move-out: {how}"
        with self._alarming:
            if not self._store.forgotten(serial, id_, self._means.entry(who, what, subject, why)):
                return False
            self._alarms.settle(subject, NOT_FORGOTTEN, why=how)
        self.pass_time()
        return True

    def retired(self, serial: str) -> None:
        """Take back the alarm of a meter that is retired: it shows nobody anything any more."""
        with self._alarming:
            subject = device_id(DeviceKind.METER, serial)
            self._alarms.settle(subject, NOT_FORGOTTEN, why="the meter is retired")

    def _raise(self, order: DisplayOrder) -> None:
        subject = device_id(DeviceKind.METER, order.meter)
        words = f"the displays of who moved out are still paired: {why_waiting(order)}"
        self._alarms.about(subject, NOT_FORGOTTEN, words)

    def dcus_of(self, meters: Iterable[str]) -> frozenset[str]:
        """Return the DCUs that look after some meters."""
        return frozenset(dcu for meter in meters if (dcu := self._dcu(meter)) is not None)

    def _dcu(self, meter: str) -> str | None:
        try:
            return self._registry.meter(meter).dcu
        except NotFoundError:
            return None


def why_waiting(order: DisplayOrder) -> str:
    """Return in words why an order is not done."""
    if order.dcu is None:
        return "no DCU looks after the meter"
    if order.code is None:
        return f"nothing was heard of it through {order.dcu}"
    return f"the meter refuses it, {order.reason or 'without a word'} ({order.code})"
