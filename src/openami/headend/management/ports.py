"""What sessions ask of those who know what a device shall do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.omadm.messages.model import Alert
    from openami.omadm.session.events import Order, OrderDone, SessionEnded


class Planner(Protocol):
    """Gives the orders of sessions and takes what came of them.

    Calls block and are made in threads, those about one device one after another; only ``ended`` is
    made in the event loop, and asks no store. A call that raised is made again with the same
    arguments when the device repeats its message. ``session`` is the number of the session in the
    log; ``now`` is UTC seconds.
    """

    def plan(self, uid: str, *, now: float) -> Sequence[Order]:
        """Return what a device shall do; it has just proved who it is."""
        ...

    def done(
        self, uid: str, results: Sequence[OrderDone], *, session: int, now: float
    ) -> Sequence[Order]:
        """Take the ends of orders; return more, which the session sends unless it is over."""
        ...

    def told(
        self, uid: str, info: Mapping[str, str] | None, alerts: Sequence[Alert], *, now: float
    ) -> None:
        """Take what a device said of itself: DevInfo by URI, and its alerts."""
        ...

    def ended(self, uid: str, end: SessionEnded, *, session: int, now: float) -> None:
        """Learn that a session is over; the ends of its orders have been told before."""
        ...
