"""What holds for each DCU, in memory: events under way, notices, orders to supplies.

An event is one row, whoever it is for: whom its targets name is worked out for a DCU when that DCU
asks, of its own some hundred meters. So publishing for 18 million meters writes no row for each,
and costs one look at the registry for whom to wake.

A DCU's revision is a digest of what it would be told. It is remembered until something changes for
this DCU, since those that wait for work are looked at often.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from openami.core.recent import Recent
from openami.fleet.demand.machine import LIVE
from openami.fleet.demand.model import TargetKind, names_of
from openami.fleet.demand.told import Site, events_for, notices_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from openami.dlms.cosem.said import Comparison
    from openami.fleet.demand.model import Event, Notice, Targets
    from openami.fleet.demand.records import EventRecord, NoticeRecord
    from openami.fleet.demand.supply import SupplyOrder
    from openami.headend.demand.ports import DemandStore

REMEMBERED: Final = 2**18
"""DCUs whose revision is remembered: twice those of a country."""


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """An event as it is for a meter, with the name of its program."""

    key: int
    event: Event
    program: str
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What holds at a meter."""

    serial: str
    events: tuple[HeldEvent, ...]
    notices: tuple[Notice, ...]
    order: SupplyOrder | None
    forget: str | None = None
    comparison: Comparison | None = None

    @property
    def anything(self) -> bool:
        """Whether anything does."""
        told = self.events or self.notices or self.order or self.forget or self.comparison
        return bool(told)

    def shape(self) -> object:
        """Return what changes when this does."""
        events = [(one.event.id, one.event.version, one.opted_out) for one in self.events]
        order = None if self.order is None else self.order.id
        notices = [notice.id for notice in self.notices]
        return self.serial, events, notices, order, self.forget, self.comparison


class Similar(Protocol):
    """Knows comparisons; it is asked for each meter of each DCU that asks, so it remembers."""

    def of(self, serial: str) -> Comparison | None:
        """Return a meter's comparison; None: there is none."""
        ...


class Book:
    """Everything that is under way. Calls block; any thread may make them.

    Attributes:
        similar: knows how homes compare, and has ``changed`` called where they do otherwise than
            before; None: nobody does.
    """

    def __init__(self, store: DemandStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._events: dict[str, EventRecord] = {}
        self._concerned: dict[str, frozenset[str] | None] = {}
        self._programs: dict[str, str] = {}
        self._notices: dict[str, Notice] = {}
        self._orders: dict[str, SupplyOrder] = {}
        self._forget: Mapping[str, str] = {}
        self._groups: dict[str, frozenset[str]] = {}
        self._revisions: Recent[str, int] = Recent(REMEMBERED)
        self._asked: Recent[str, int] = Recent(REMEMBERED)
        self._changes = 0
        self._since: dict[str, int] = {}
        self._wakers: list[Callable[[frozenset[str] | None], None]] = []
        self.similar: Similar | None = None

    def open(self, now: float) -> None:
        """Read what is under way."""
        for record in self._store.in_states(LIVE):
            self.adopt(record, self._store.reach(record.event.targets).dcus)
        for notice in self._store.shown(now):
            self.show(notice, None)
        self._orders = {order.meter: order for order in self._store.waiting_orders()}
        self._forget = self._store.to_forget(now)

    def on_change(self, waker: Callable[[frozenset[str] | None], None]) -> None:
        """Have ``waker`` told, in any thread, for which DCUs something has changed; None: all."""
        self._wakers.append(waker)

    # What changes

    def adopt(self, record: EventRecord, dcus: frozenset[str] | None) -> None:
        """Take an event as it is now; one that is over is let go."""
        program = self._store.program(record.event.program)
        id_ = record.event.id
        with self._lock:
            self._programs[program.id] = program.name
            if record.state in LIVE:
                self._events[id_], self._concerned[id_] = record, dcus
                self._since[id_] = self._changes + 1
            else:
                self._events.pop(id_, None)
                self._concerned.pop(id_, None)
                self._since.pop(id_, None)
        self._learn_groups(record.event.targets)
        self.changed(dcus)

    def moved_on(self, record: EventRecord) -> None:
        """Take an event that has begun: nobody has to be told, all know when it does."""
        with self._lock:
            if record.event.id in self._events:
                self._events[record.event.id] = record

    def show(self, record: NoticeRecord, dcus: frozenset[str] | None) -> None:
        """Take a notice, or let it go that was taken back."""
        notice = record.notice
        with self._lock:
            if record.withdrawn:
                self._notices.pop(notice.id, None)
            else:
                self._notices[notice.id] = notice
        self._learn_groups(notice.targets)
        self.changed(dcus)

    def order(self, order: SupplyOrder, dcu: str | None, *, over: bool = False) -> None:
        """Take an order to the supply of a meter of a DCU, or let it go that is over."""
        with self._lock:
            if over:
                self._orders.pop(order.meter, None)
            else:
                self._orders[order.meter] = order
        self.changed(frozenset() if dcu is None else frozenset({dcu}))

    def waiting(self, serial: str) -> SupplyOrder | None:
        """Return the order that waits at a meter."""
        with self._lock:
            return self._orders.get(serial)

    def forget(self, orders: Mapping[str, str]) -> frozenset[str]:
        """Take the orders that meters forget their displays; return the meters with another."""
        with self._lock:
            before, self._forget = self._forget, orders
        return frozenset(meter for meter, _ in before.items() ^ orders.items())

    def orders_over(self, now: float) -> list[SupplyOrder]:
        """Return the orders that wait although their time is over."""
        with self._lock:
            return [order for order in self._orders.values() if order.until <= now]

    def drop_over(self, now: float) -> None:
        """Let go of notices that are over."""
        with self._lock:
            over = [id_ for id_, notice in self._notices.items() if notice.until <= now]
            for id_ in over:
                del self._notices[id_]
        if over:
            self.changed(None)

    def refresh(self) -> None:
        """Look again who is in the groups that events and notices name."""
        with self._lock:
            names = tuple(self._groups)
        found = {name: self._store.of_group(name) for name in names}
        with self._lock:
            joined = [self._groups[name] ^ found[name] for name in names]
            self._groups.update(found)
        news = frozenset[str]().union(*joined)
        if news:
            self.changed(news)

    def changed(self, dcus: frozenset[str] | None) -> None:
        """Forget the revisions of DCUs, and have them told; None: of all."""
        with self._lock:
            self._changes += 1
            if dcus is None:
                self._revisions.clear()
            else:
                for dcu in dcus:
                    self._revisions.pop(dcu, None)
        for waker in self._wakers:
            waker(dcus)

    def _learn_groups(self, targets: Targets) -> None:
        for name in names_of(targets, TargetKind.GROUP):
            found = self._store.of_group(name)
            with self._lock:
                self._groups[name] = found

    # What holds

    def events(self) -> Mapping[str, EventRecord]:
        """Return the events under way, by id."""
        with self._lock:
            return dict(self._events)

    def concerned(self, id_: str) -> frozenset[str] | None:
        """Return the DCUs that an event concerns; None: all."""
        with self._lock:
            return self._concerned.get(id_)

    def late(self, id_: str, dcus: frozenset[str]) -> list[str]:
        """Return those of some DCUs that have not asked since an event was published."""
        with self._lock:
            since = self._since.get(id_, 0)
            return [dcu for dcu in dcus if self._asked.get(dcu, 0) < since]

    def notices(self) -> Sequence[Notice]:
        """Return the notices under way."""
        with self._lock:
            return tuple(self._notices.values())

    def groups_of(self, dcu: str | None) -> frozenset[str]:
        """Return the groups that a DCU is in, of those that are named by anything."""
        with self._lock:
            return frozenset(name for name, dcus in self._groups.items() if dcu in dcus)

    def program(self, id_: str) -> str:
        """Return the name of a program of an event under way."""
        with self._lock:
            return self._programs.get(id_, "")

    def held(self, dcu: str, now: float) -> list[Held]:
        """Return what holds at the meters of a DCU, those at which anything does.

        Args:
            dcu: which.
            now: of the meters' clock.
        """
        with self._lock:
            events = tuple(self._events.values())
            notices, orders = tuple(self._notices.values()), dict(self._orders)
            forget, similar = self._forget, self.similar
        if not (events or notices or orders or forget or similar):
            return []
        groups = self.groups_of(dcu)
        meters = [Site(*each, groups) for each in self._store.behind(dcu)]
        found = [
            replace(
                self._at(site, events, notices, orders, now),
                forget=forget.get(site.serial),
                comparison=None if similar is None else similar.of(site.serial),
            )
            for site in meters
        ]
        return self._with_answers([one for one in found if one.anything])

    def _at(
        self,
        site: Site,
        records: Sequence[EventRecord],
        notices: Sequence[Notice],
        orders: Mapping[str, SupplyOrder],
        now: float,
    ) -> Held:
        keys = {record.event.id: record.key for record in records}
        events = events_for((record.event for record in records), site, now)
        held = (HeldEvent(keys[one.id], one, self.program(one.program)) for one in events)
        order = orders.get(site.serial)
        if order is not None and order.until <= now:
            order = None
        return Held(site.serial, tuple(held), tuple(notices_for(notices, site, now)), order)

    def _with_answers(self, held: list[Held]) -> list[Held]:
        keys = {one.key for each in held for one in each.events}
        if not keys:
            return held
        out = self._store.opted_out(keys, [one.serial for one in held if one.events])
        return [_answered(each, out) for each in held] if out else held

    # Revisions

    def revision(self, dcu: str, now: float) -> int:
        """Return a number that changes whenever what holds for a DCU does."""
        with self._lock:
            known, changes = self._revisions.get(dcu), self._changes
        if known is not None:
            return known
        found = revision_of(self.held(dcu, now))
        with self._lock:
            if changes == self._changes:
                self._revisions[dcu] = found
        return found

    def told(self, dcu: str, revision: int, changes: int) -> None:
        """Note that a DCU was told what holds."""
        with self._lock:
            self._asked[dcu] = changes
            if changes == self._changes:
                self._revisions[dcu] = revision

    def changes(self) -> int:
        """Return how many changes there were since the start."""
        with self._lock:
            return self._changes


def revision_of(held: Sequence[Held]) -> int:
    """Return the revision of what holds; 0: nothing does."""
    shape = sorted(repr(one.shape()) for one in held if one.anything)
    if not shape:
        return 0
    return int.from_bytes(hashlib.sha256(repr(shape).encode()).digest()[:6])


def _answered(held: Held, out: Collection[tuple[int, str]]) -> Held:
    events = tuple(
        HeldEvent(
            one.key,
            one.event,
            one.program,
            # Who may not opt out has not, whatever was said.
            one.event.optional and (one.key, held.serial) in out,
        )
        for one in held.events
    )
    return replace(held, events=events)
