"""What sessions ask of those who know what a device shall do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.omadm.messages.model import Alert
    from openami.omadm.session.events import Order, OrderDone, SessionEnded

    Asked = tuple[str, Callable[[], Sequence[Order]]]
    Answer = Sequence[Order] | Exception


class Planner(Protocol):
    """Gives the orders of sessions and takes what came of them.

    Calls block and are made in threads, within a question that ``together`` answers; only ``ended``
    is made in the event loop, and asks no store. A question that failed has changed nothing; it is
    asked again when the device repeats its message. ``session`` is the number of the session in the
    log; ``now`` is UTC seconds.
    """

    def together(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        """Answer questions of devices: UID, and what makes the calls about that device alone.

        What fails for one fails for no other; a store that cannot be used fails for all.

        Returns:
            for each its orders, or why there are none; what was said is durable by then.
        """
        ...

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
