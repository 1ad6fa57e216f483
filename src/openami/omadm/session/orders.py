"""The orders of a session: which command of which message is whose, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from openami.omadm.codes import Status
from openami.omadm.messages.model import Atomic, Sequence
from openami.omadm.session.events import NO_ANSWER, OrderDone, Part
from openami.omadm.session.numbering import name_of, walk

if TYPE_CHECKING:
    from collections.abc import Collection

    from openami.omadm.messages.model import Command, Item, StatusReport
    from openami.omadm.session.outbox import Sent


@dataclass(slots=True)
class _Open:
    """An order that was sent, in whole or in part."""

    id: str
    parts: list[Part] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    waiting: set[tuple[int, int]] = field(default_factory=set)

    def done(self) -> OrderDone:
        # A Sequence is begun with 200, whatever then becomes of the commands in it.
        answered = [*self.own, *(part.status for part in self.parts)]
        status = NO_ANSWER if self.waiting or not self.own else max(answered)
        return OrderDone(self.id, status, tuple(self.items), tuple(self.parts))


@dataclass(frozen=True, slots=True)
class _Place:
    order: str
    command: Command
    top: bool


class Orders:
    """What was sent to the device, and what it has said of it."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._places: dict[tuple[int, int], _Place] = {}

    def sent(self, msg_id: int, entries: tuple[Sent, ...]) -> None:
        """Note what went out in a message."""
        for entry in entries:
            order = self._order(entry.pending.order)
            for command in walk(entry.command):
                place = (msg_id, command.cmd_id)
                top = command is entry.command
                self._places[place] = _Place(order.id, command, top)
                order.waiting.add(place)

    def forget(self, msg_id: int) -> None:
        """Forget what went out in a message that the device has not looked at."""
        for place in [place for place in self._places if place[0] == msg_id]:
            self._open[self._places.pop(place).order].waiting.discard(place)

    def status(self, status: StatusReport) -> str | None:
        """Note a Status; return the order of an object whose chunk was refused."""
        place = self._places.get((status.msg_ref, status.cmd_ref))
        order = self._open.get(place.order) if place else None
        if place is None or order is None:
            return None
        order.waiting.discard((status.msg_ref, status.cmd_ref))
        if status.data == Status.CHUNK_ACCEPTED:
            return None
        target = status.target_refs[0] if status.target_refs else None
        order.items.extend(status.items)
        if not isinstance(place.command, Atomic | Sequence):
            order.parts.append(Part(name_of(place.command), target, status.data, status.items))
        if place.top:
            order.own.append(status.data)
        return order.id

    def found(self, msg_ref: int | None, cmd_ref: int, items: tuple[Item, ...]) -> None:
        """Note what a Get has found; without a MsgRef it is the latest with that number."""
        if msg_ref is None:
            msg_ref = max((msg for msg, cmd in self._places if cmd == cmd_ref), default=0)
        place = self._places.get((msg_ref, cmd_ref))
        order = self._open.get(place.order) if place else None
        if order is not None:
            order.items.extend(items)

    def fail(self, order_id: str) -> None:
        """Note that a command of an order fits no message of the device's."""
        self._order(order_id).own.append(Status.ENTITY_TOO_LARGE)

    def finish(self, waiting: Collection[str] = ()) -> list[OrderDone]:
        """Return every order that was sent: nothing more will be said of them.

        Args:
            waiting: the orders of which something has not been sent, and will not be.
        """
        done = [order.done() for order in self._open.values()]
        self._open.clear()
        self._places.clear()
        return [replace(end, status=NO_ANSWER) if end.id in waiting else end for end in done]

    def _order(self, order_id: str) -> _Open:
        return self._open.setdefault(order_id, _Open(order_id))
