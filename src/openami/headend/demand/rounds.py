"""What time does to demand response: events begin and end, devices are woken, alarms are raised.

Each round does a bounded part: so many DCUs are had look again, so many are notified. To look again
and to be told takes 10 ms of a core for a DCU with 200 meters and three events, so an event for all
of 120,000 DCUs is with them after 20 minutes; one for a few is with them at once, and waits for no
other.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError
from openami.fleet.demand.machine import Act, EventState, due
from openami.fleet.demand.model import EventKind
from openami.fleet.ports import MAX_PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from openami.core.clock import Clock
    from openami.fleet.demand.records import EventRecord
    from openami.headend.demand.book import Book
    from openami.headend.demand.displays import Displays
    from openami.headend.demand.events import Events
    from openami.headend.demand.ports import DemandStore
    from openami.headend.demand.supply import SupplyOrders
    from openami.headend.security.alarms import Alarms

LOOKED_AT: Final = 100
"""DCUs that wait for work and are had look again in one round, a second: each then asks, and the
answers of a second take a core. Of fewer than these none waits for a round."""
NOTIFIED: Final = 500
"""DCUs that are notified in one round: as many as the quick lane of wake-ups begins."""
SOON_S: Final = 900.0
"""How long before its start DCUs that have not asked for an event are notified."""
GRACE_S: Final = 300.0
"""How long after its start an emergency may not be everywhere before somebody is told."""
SLOW_EVERY: Final = 10
"""Rounds between looks at what takes counting."""
REFRESH_EVERY: Final = 300
"""Rounds between looks at who is in a group, and at what nobody has done for long."""
DAY_S: Final = 86_400.0
KEEP_S: Final = 400 * DAY_S
"""How long it is kept how events stood at meters: so that a year can be set beside the last."""
FORGOTTEN: Final = 1000
"""Rows that are forgotten in one transaction."""
UNDELIVERED: Final = "demand.undelivered"
SUBJECT: Final = "event:"
"""Before an event's id, in the subject of an alarm."""


class Rounds:
    """Moves events on.

    Args:
        look: has DCUs that wait for work be looked at again; None: all.
        waiting: returns which DCUs wait for work.
    """

    def __init__(
        self,
        store: DemandStore,
        book: Book,
        events: Events,
        orders: SupplyOrders,
        displays: Displays,
        *,
        alarms: Alarms,
        clock: Clock,
        wall: Clock,
        look: Callable[[Collection[str]], None],
        waiting: Callable[[], Collection[str]],
    ) -> None:
        self._store, self._book = store, book
        self._events, self._orders, self._displays = events, orders, displays
        self._alarms, self._clock, self._wall = alarms, clock, wall
        self._look, self._waiting = look, waiting
        self._all = False
        self._some: dict[str, None] = {}
        self._to_notify: dict[str, None] = {}
        self._notified: set[str] = set()
        self._count = 0
        book.on_change(self._changed)

    def _changed(self, dcus: frozenset[str] | None) -> None:
        """Note, in any thread, who is to look again; few are had do so at once."""
        if dcus is None:
            self._all = True
        elif len(dcus) <= LOOKED_AT:
            self._look(dcus)
        else:
            self._some.update(dict.fromkeys(dcus))

    async def round(self) -> None:
        """Do what is due now."""
        self._look_again()
        await asyncio.to_thread(self._round)

    def _look_again(self) -> None:
        if self._all:
            self._all = False
            self._some.update(dict.fromkeys(self._waiting()))
        some = list(self._some)[:LOOKED_AT]
        for dcu in some:
            self._some.pop(dcu, None)
        if some:
            self._look(some)

    def _round(self) -> None:
        now = self._clock.now()
        for record in self._book.events().values():
            self._move(record, now)
        self._orders.pass_time()
        self._displays.pass_time()
        self._book.drop_over(now)
        self._notify(now)
        self._count += 1
        if self._count % SLOW_EVERY == 0:
            self._alarm(now)
        if self._count % REFRESH_EVERY == 0:
            self._book.refresh()
            self._displays.alarm()
            self._settle_cancelled()

    def _move(self, record: EventRecord, now: float) -> None:
        act = due(record.event, record.state, now)
        if act is None:
            return
        try:
            if act is Act.BEGIN:
                self._events.begin(record)
                return
            self._count_last(record)
            over = replace(record, state=EventState.COMPLETED, ended=now)
            self._events.end(record, over, "head-end", "completed")
        except ConflictError:  # an operator was first
            return

    def _notify(self, now: float) -> None:
        """Notify DCUs that have not asked although an event begins soon, once for each event."""
        live = self._book.events()
        self._notified &= live.keys()
        for id_, record in live.items():
            if id_ in self._notified or record.event.start - now > SOON_S:
                continue
            self._notified.add(id_)
            dcus = self._book.concerned(id_)
            late = self._book.late(id_, self._store.dcus() if dcus is None else dcus)
            self._to_notify.update(dict.fromkeys(late))
        some = list(self._to_notify)[:NOTIFIED]
        if some:
            self._store.wake(some, self._wall.now())
            for dcu in some:
                self._to_notify.pop(dcu, None)

    def _alarm(self, now: float) -> None:
        for record in self._book.events().values():
            emergency = record.event.kind is EventKind.EMERGENCY
            if emergency and now >= record.event.start + GRACE_S:
                self._count_last(record)

    def _count_last(self, record: EventRecord) -> None:
        """Raise the alarm of an emergency that is not everywhere; settle it where it is."""
        event = record.event
        if event.kind is not EventKind.EMERGENCY:
            return
        found, subject = self._store.counts(record.key), SUBJECT + event.id
        missing = record.meters - found.delivered
        if missing > 0:
            words = f"{missing} of {record.meters} meters do not have it"
            refused = f", {found.refused} of them refused it" if found.refused else ""
            self._alarms.about(subject, UNDELIVERED, f"{event.name}: {words}{refused}")
        else:
            self._alarms.settle(subject, UNDELIVERED, why="it stands in all of its meters")

    def _settle_cancelled(self) -> None:
        """Take back the alarms of emergencies that were cancelled: no meter is to have them."""
        for alarm in self._alarms.list(only_open=True, limit=MAX_PAGE).items:
            if alarm.code == UNDELIVERED:
                record = self._store.get(alarm.subject.removeprefix(SUBJECT))
                if record.state is EventState.CANCELLED:
                    self._alarms.settle(alarm.subject, UNDELIVERED, why="it was cancelled")

    async def forget(self) -> int:
        """Forget how old events stood at meters, a part of them; return of how many meters."""
        before = self._clock.now() - KEEP_S
        return await asyncio.to_thread(self._store.forget, before=before, limit=FORGOTTEN)
