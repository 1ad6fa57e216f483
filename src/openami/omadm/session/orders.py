"""The orders of a session: which command of which message is whose, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from openami.omadm.codes import Status
from openami.omadm.messages.model import Atomic, Sequence
from openami.omadm.session.budget import Share, cost_of
from openami.omadm.session.events import NO_ANSWER, OrderDone, Part
from openami.omadm.session.numbering import items_of, name_of, walk

if TYPE_CHECKING:
    from collections.abc import Collection

    from openami.omadm.messages.model import Command, Item, StatusReport
    from openami.omadm.session.budget import Budget
    from openami.omadm.session.outbox import Sent


@dataclass(slots=True)
class _Open:
    """An order that was sent, in whole or in part.

    Attributes:
        own: the statuses of its commands themselves.
        waiting: its commands without a Status, and those whose Results are not complete.
    """

    id: str
    parts: list[Part] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    own: set[int] = field(default_factory=set)
    waiting: set[tuple[int, int]] = field(default_factory=set)
    unfinished: set[tuple[int, int]] = field(default_factory=set)

    def done(self) -> OrderDone:
        # A Sequence is begun with 200, whatever then becomes of the commands in it.
        answered = [*self.own, *(part.status for part in self.parts)]
        unknown = self.waiting or self.unfinished or not self.own
        status = NO_ANSWER if unknown else max(answered)
        return OrderDone(self.id, status, tuple(self.items), tuple(self.parts))


@dataclass(slots=True)
class _Place:
    """A command that was sent; ``left``: how many statuses may come for it."""

    order: str
    command: Command
    top: bool
    left: int


class Orders:
    """What was sent to the device, and what it has said of it.

    Args:
        budget: for what it has said.
    """

    def __init__(self, budget: Budget) -> None:
        self._share = Share(budget)
        self._open: dict[str, _Open] = {}
        self._places: dict[tuple[int, int], _Place] = {}

    def sent(self, msg_id: int, entries: tuple[Sent, ...]) -> None:
        """Note what went out in a message."""
        for entry in entries:
            order = self._order(entry.pending.order)
            for command in walk(entry.command):
                place = (msg_id, command.cmd_id)
                # A Status is of a command, or of one item of it (RepPro 1.2, 5.4.16).
                left = max(1, len(items_of(command)))
                self._places[place] = _Place(order.id, command, command is entry.command, left)
                order.waiting.add(place)

    def forget(self, msg_id: int) -> None:
        """Forget what went out in a message that the device has not looked at."""
        for place in [place for place in self._places if place[0] == msg_id]:
            self._open[self._places.pop(place).order].waiting.discard(place)

    def status(self, status: StatusReport) -> str | None:
        """Note a Status; return the order of an object whose chunk was refused."""
        at = (status.msg_ref, status.cmd_ref)
        place = self._places.get(at)
        if place is None or not place.left:
            return None
        place.left -= 1
        order = self._open[place.order]
        order.waiting.discard(at)
        if status.data == Status.CHUNK_ACCEPTED:
            return None
        target = status.target_refs[0] if status.target_refs else None
        items = status.items if self._hold(status.items) else ()
        order.items.extend(items)
        if not isinstance(place.command, Atomic | Sequence):
            order.parts.append(Part(name_of(place.command), target, status.data, items))
        if place.top:
            order.own.add(status.data)
        return order.id

    def found(self, msg_ref: int | None, cmd_ref: int, items: tuple[Item, ...]) -> bool:
        """Note what a Get has found; False: there is no room for it, and the order has failed."""
        at = self._at(msg_ref, cmd_ref)
        order = self._of(at)
        if order is None:
            return True
        order.unfinished.discard(at)
        if not self._hold(items):
            order.own.add(Status.ENTITY_TOO_LARGE)
            return False
        order.items.extend(items)
        return True

    def unfinished(self, msg_ref: int | None, cmd_ref: int) -> None:
        """Note that a Get has found more than has come so far."""
        at = self._at(msg_ref, cmd_ref)
        order = self._of(at)
        if order is not None:
            order.unfinished.add(at)

    def refused(self, msg_ref: int | None, cmd_ref: int, status: int) -> None:
        """Note that what a Get has found was not taken."""
        at = self._at(msg_ref, cmd_ref)
        order = self._of(at)
        if order is not None:
            order.unfinished.discard(at)
            order.own.add(status)

    def fail(self, order_id: str) -> None:
        """Note that a command of an order fits no message of the device's."""
        self._order(order_id).own.add(Status.ENTITY_TOO_LARGE)

    def finish(self, waiting: Collection[str] = ()) -> list[OrderDone]:
        """Return every order that was sent: nothing more will be said of them.

        What is nobody's is told to nobody.

        Args:
            waiting: the orders of which something has not been sent, and will not be.
        """
        done = [order.done() for order in self._open.values() if order.id]
        self._open.clear()
        self._places.clear()
        self._share.give_back()
        return [replace(end, status=NO_ANSWER) if end.id in waiting else end for end in done]

    def _hold(self, items: tuple[Item, ...]) -> bool:
        return not items or self._share.take(sum(map(cost_of, items)))

    def _at(self, msg_ref: int | None, cmd_ref: int) -> tuple[int, int]:
        """Return the place that is meant; without a MsgRef it is the latest with that number."""
        if msg_ref is None:
            msg_ref = max((msg for msg, cmd in self._places if cmd == cmd_ref), default=0)
        return msg_ref, cmd_ref

    def _of(self, at: tuple[int, int]) -> _Open | None:
        place = self._places.get(at)
        return self._open[place.order] if place else None

    def _order(self, order_id: str) -> _Open:
        return self._open.setdefault(order_id, _Open(order_id))
