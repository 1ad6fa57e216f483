"""Programs, events and notices as operators deal with them."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError, OpenAmiError
from openami.fleet.demand.machine import Act, EventState, moved
from openami.fleet.demand.model import EventKind
from openami.fleet.demand.records import MeterNews
from openami.fleet.demand.standing import ANSWERS, Answer, News, Standing
from openami.fleet.demand.told import Site, is_for, notices_for
from openami.fleet.devices import DeviceKind, device_id
from openami.headend.demand.unreached import unreached
from openami.headend.demand.views import EventView, MeterEvent, phase
from openami.headend.registry import reason
from openami.headend.tickets import check_ticket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.demand.model import Event, Notice, Program, Targets
    from openami.fleet.demand.records import EventRecord, MeterStanding, NoticeRecord, Reach
    from openami.fleet.demand.standing import What
    from openami.fleet.devices import Device
    from openami.fleet.ports import Page
    from openami.fleet.tasks import Ticket
    from openami.headend.demand.means import Means
    from openami.headend.demand.unreached import Unreached

ID_OCTETS: Final = 8
MOST_LIVE: Final = 500
"""Events that are scheduled or active at a time: each is looked at for every DCU that asks."""
_WHATS: Final = {answer: what for what, answer in ANSWERS.items()}


def new_id() -> str:
    """Return an id that nothing has yet."""
    return secrets.token_hex(ID_OCTETS)


def takes_admin(event: Event) -> bool:
    """Say whether only an administrator may have it carried out.

    An emergency, and any limit that nobody can opt out of: it can leave a home in the dark. A
    second pair of eyes would cost minutes that an emergency does not have.
    """
    return event.kind is EventKind.EMERGENCY or (event.limits and not event.optional)


class Events:
    """Programs and events. Calls block."""

    def __init__(self, means: Means) -> None:
        self._means, self._store, self._book = means, means.store, means.book
        self._registry, self._clock, self._wall = means.registry, means.clock, means.wall

    # Programs

    def add_program(self, program: Program, *, who: str) -> Program:
        """Keep a new program; ConflictError ``demand.program-name``."""
        program = replace(program, created=self._wall.now())
        entry = self._means.entry(
            who, f"demand.program added: {program.name}", f"program:{program.id}"
        )
        self._store.add_program(program, entry)
        return program

    def programs(self, *, after: str | None = None, limit: int = 100) -> Page[Program]:
        """Return programs by name."""
        return self._store.programs(after=after, limit=limit)

    def program(self, id_: str) -> Program:
        """Return a program; NotFoundError."""
        return self._store.program(id_)

    # Events

    def dry_run(self, event: Event) -> tuple[Event, Reach]:
        """Return an event as it would be published, and whom it would reach; nothing is kept.

        Raises:
            NotFoundError: there is no such program.
            ConflictError: ``demand.program``, ``demand.past``.
        """
        event = self._fitted(event)
        self._check_future(event)
        return event, self._store.reach(event.targets)

    def draft(
        self, event: Event, *, who: str, why: str = "", ticket: Ticket | None = None
    ) -> EventView:
        """Keep a new event, which nobody is told yet.

        Args:
            event: what it is.
            who: the operator.
            why: in the operator's words.
            ticket: of the request; one that has been here gives the event of before, as it is now.

        Raises:
            NotFoundError: there is no such program.
            ConflictError: ``demand.program``, events of this program do not say such things;
                ``demand.key``, the ticket's key was given to another request.
            RequestError: ``request.key``, no key of a ticket.
        """
        check_ticket(ticket)
        event = self._fitted(event)
        entry = self._means.entry(
            who, f"demand.event drafted: {event.name}", f"event:{event.id}", why
        )
        now = self._wall.now()
        record = self._store.add(event, who=who, created=now, entry=entry, ticket=ticket)
        if record.event.id == event.id:
            self._tell(record)
        return self._view(record)

    def revise(
        self, event: Event, *, who: str, why: str = "", version: int | None = None
    ) -> EventView:
        """Replace what an event is, before it begins; its meters are told again.

        Args:
            event: what it is to be.
            who: the operator.
            why: for the audit log.
            version: that was looked at; None: whatever it is by now.

        Raises:
            NotFoundError: there is no such event or program.
            ConflictError: ``demand.transition``, ``demand.past``, ``demand.program``;
                ``demand.nobody``, its targets name no meter; ``demand.moved``, it has another
                version by now.
        """
        before = self._store.get(event.id)
        state = moved(before.state, Act.REVISE)
        if version is not None and version != before.event.version:
            raise ConflictError("somebody else was first: look again", code="demand.moved")
        event = self._fitted(replace(event, version=before.event.version + 1))
        record = replace(before, event=event, state=state)
        if state is EventState.DRAFT:
            return self._moved(before, record, who, "revised", why)
        self._check_future(event)
        reach = self._reach(event)
        record = replace(record, meters=reach.meters)
        old = self._book.concerned(event.id)
        view = self._moved(before, record, who, "revised", why)
        both = None if old is None or reach.dcus is None else old | reach.dcus
        self._book.adopt(record, reach.dcus)
        self._book.changed(both)
        return view

    def publish(self, id_: str, *, who: str, why: str = "") -> EventView:
        """Have an event carried to its meters.

        Raises:
            NotFoundError: there is no such event.
            ConflictError: ``demand.transition``; ``demand.past``, it is over already;
                ``demand.nobody``, its targets name no meter; ``demand.many``, too many are live.
        """
        before = self._store.get(id_)
        state = moved(before.state, Act.PUBLISH)
        self._check_future(before.event)
        if len(self._book.events()) >= MOST_LIVE:
            raise ConflictError(f"{MOST_LIVE} events are live already", code="demand.many")
        reach = self._reach(before.event)
        record = replace(before, state=state, published=self._clock.now(), meters=reach.meters)
        view = self._moved(before, record, who, f"published for {reach.meters} meters", why)
        self._book.adopt(record, reach.dcus)
        return view

    def publish_new(self, before: EventRecord, *, who: str, why: str = "") -> EventView:
        """Publish what was just drafted; a draft that can not be published is cancelled.

        What somebody else has published meanwhile, as the same request at the same time, stays.

        Raises:
            OpenAmiError: as ``publish``.
        """
        try:
            return self.publish(before.event.id, who=who, why=why)
        except OpenAmiError:
            gone = replace(before, state=EventState.CANCELLED, ended=self._clock.now())
            with suppress(ConflictError):
                self._moved(before, gone, who, "cancelled", "it could not be published")
            raise

    def cancel(self, id_: str, *, who: str, why: str) -> EventView:
        """End an event at once, at each meter with the next exchange of its DCU.

        Raises:
            NotFoundError: there is no such event.
            RequestError: ``request.why``.
            ConflictError: ``demand.transition``.
        """
        words, before = reason(why), self._store.get(id_)
        record = replace(before, state=moved(before.state, Act.CANCEL), ended=self._clock.now())
        return self.end(before, record, who, "cancelled", words)

    def end(
        self, before: EventRecord, record: EventRecord, who: str, what: str, why: str = ""
    ) -> EventView:
        """Keep an event that is over, and have its DCUs told."""
        dcus = self._book.concerned(before.event.id)
        was_live = before.event.id in self._book.events()
        view = self._moved(before, record, who, what, why)
        if was_live:
            self._book.adopt(record, dcus)
        return view

    def begin(self, before: EventRecord) -> None:
        """Keep an event that has begun."""
        record = replace(before, state=moved(before.state, Act.BEGIN))
        self._moved(before, record, "head-end", "began", "")
        self._book.moved_on(record)

    def get(self, id_: str) -> EventView:
        """Return an event with its counts; NotFoundError."""
        return self._view(self._store.get(id_))

    def list(
        self,
        *,
        state: EventState | None = None,
        program: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[EventRecord]:
        """Return events, the newest first, without counts."""
        return self._store.list(state=state, program=program, after=after, limit=limit)

    def standings(
        self, id_: str, *, only: What | None = None, after: str | None = None, limit: int = 100
    ) -> Page[MeterStanding]:
        """Return how an event stands at meters of which anything is known; NotFoundError.

        ``only``: at those of which this is known.
        """
        return self._store.page(self._store.get(id_).key, only=only, after=after, limit=limit)

    def unreached(self, id_: str, *, after: str | None = None, limit: int = 100) -> Page[Unreached]:
        """Return the meters of an event of which nothing was heard; see ``unreached``."""
        now = self._clock.now()
        return unreached(self._store, self._book, id_, now, after=after, limit=limit)

    def late(self, id_: str) -> Sequence[str]:
        """Return the DCUs that have not asked since an event that is live was published."""
        if id_ not in self._book.events():
            return []
        concerned = self._book.concerned(id_)
        return sorted(self._book.late(id_, self._store.dcus() if concerned is None else concerned))

    def reach(self, targets: Targets) -> Reach:
        """Return how many meters targets name, and their DCUs."""
        return self._store.reach(targets)

    # One meter

    def for_meter(self, serial: str, *, limit: int = 100) -> Sequence[MeterEvent]:
        """Return the events of a meter: those under way, and before them those that were.

        Raises:
            NotFoundError: there is no such meter.
        """
        site, now = self._site(self._registry.meter(serial)), self._clock.now()
        live = [
            record for record in self._book.events().values() if is_for(record.event.targets, site)
        ]
        known = self._store.standings([record.key for record in live], [serial])
        found = {r.key: (r, known.get((r.key, serial), Standing())) for r in live}
        for record, standing in self._store.history(serial, limit=limit):
            if record.state is not EventState.DRAFT:
                found.setdefault(record.key, (record, standing))
        views = [self._meter_event(serial, *each, now) for each in found.values()]
        return sorted(views, key=lambda view: (-view.event.start, view.event.id))[:limit]

    def answer(self, serial: str, id_: str, answer: Answer, *, who: str) -> MeterEvent:
        """Take an answer that was given elsewhere than at the meter; it goes down to there.

        Raises:
            NotFoundError: there is no such meter, or no such event for it.
            ConflictError: ``demand.over``; ``demand.not-optional``, it can not be opted out of.
        """
        record, device = self._book.events().get(id_), self._registry.meter(serial)
        record = record or self._store.get(id_)
        event = record.event.for_meter(serial)
        now = self._clock.now()
        if not is_for(event.targets, self._site(device)) or record.state is EventState.DRAFT:
            raise ConflictError(f"the event is not for meter {serial}", code="demand.not-yours")
        if id_ not in self._book.events() or event.end <= now:
            raise ConflictError("the event is over", code="demand.over")
        if answer is Answer.OPTED_OUT and not event.optional:
            raise ConflictError("the event can not be opted out of", code="demand.not-optional")
        news = News(_WHATS[answer], now, who=who)
        self._store.take([MeterNews(record.key, serial, news)])
        standing = self._store.standings([record.key], [serial])[record.key, serial]
        if answer is not Answer.ACKNOWLEDGED:  # of which a meter is told nothing
            self._book.changed(frozenset() if device.dcu is None else frozenset({device.dcu}))
        whom = {"dcu": device.dcu, "meters": frozenset({serial})}
        self._means.tell(id_, {"id": id_, "meters": 1}, **whom)
        return self._meter_event(serial, record, standing, now)

    # Notices

    def send(self, notice: Notice, *, who: str, ticket: Ticket | None = None) -> NoticeRecord:
        """Show a notice to whom it is for; one whose ticket has been here was shown before.

        Raises:
            ConflictError: ``demand.key``; RequestError: ``request.key``: see ``draft``.
        """
        check_ticket(ticket)
        entry = self._means.entry(who, f"demand.notice sent: {notice.kind}", f"notice:{notice.id}")
        record = self._store.add_notice(notice, entry, ticket=ticket)
        if record.notice.id == notice.id:
            self._book.show(record, self._store.reach(notice.targets).dcus)
        return record

    def withdraw(self, id_: str, *, who: str, why: str) -> NoticeRecord:
        """Take back a notice; NotFoundError, ConflictError ``demand.withdrawn``."""
        entry = self._means.entry(who, "demand.notice withdrawn", f"notice:{id_}", reason(why))
        record = self._store.withdraw(id_, entry)
        self._book.show(record, self._store.reach(record.notice.targets).dcus)
        return record

    def notices(self, *, after: str | None = None, limit: int = 100) -> Page[NoticeRecord]:
        """Return notices, the newest first."""
        return self._store.notices(after=after, limit=limit)

    def notices_for(self, serial: str) -> Sequence[Notice]:
        """Return the notices that a meter is shown now, the newest first; NotFoundError."""
        site = self._site(self._registry.meter(serial))
        return notices_for(self._book.notices(), site, self._clock.now())

    # Parts

    def _site(self, device: Device) -> Site:
        region = device.region
        if not region and device.dcu is not None:
            region = self._registry.device(device_id(DeviceKind.DCU, device.dcu)).region
        return Site(device.serial, region, self._book.groups_of(device.dcu))

    def _meter_event(
        self, serial: str, record: EventRecord, standing: Standing, now: float
    ) -> MeterEvent:
        event = record.event.for_meter(serial)
        program = self._book.program(event.program) or self._store.program(event.program).name
        return MeterEvent(event, program, phase(record.state, event, now), standing)

    def _fitted(self, event: Event) -> Event:
        """Return an event as its program has it: with its targets and currency."""
        program = self._store.program(event.program)
        types = {payload.type for each in event.intervals for payload in each.payloads}
        if not types <= program.payloads:
            wrong = ", ".join(sorted(types - program.payloads))
            raise ConflictError(f"{program.name} has no {wrong}", code="demand.program")
        if program.binding and event.optional:
            raise ConflictError(
                f"{program.name} is binding: its events are not optional", code="demand.program"
            )
        return replace(event, targets=event.targets or program.targets, currency=program.currency)

    def _check_future(self, event: Event) -> None:
        if event.end <= self._clock.now():
            raise ConflictError(
                "the event is over before it begins", code="demand.past",
                hint="its times are of the meters' clock",
            )  # fmt: skip

    def _reach(self, event: Event) -> Reach:
        """Return whom an event reaches; ConflictError ``demand.nobody``."""
        reach = self._store.reach(event.targets)
        if not reach.meters:
            raise ConflictError(
                "its targets name no meter", code="demand.nobody",
                hint="a meter has its region, else that of its DCU; a group is one of DCUs",
            )  # fmt: skip
        return reach

    def _moved(
        self, before: EventRecord, record: EventRecord, who: str, what: str, why: str
    ) -> EventView:
        entry = self._means.entry(who, f"demand.event {what}", f"event:{record.event.id}", why)
        self._store.move(record, before, [entry])
        self._tell(record)
        return self._view(record)

    def _view(self, record: EventRecord) -> EventView:
        counts = replace(self._store.counts(record.key), meters=record.meters)
        return EventView(record, self._store.program(record.event.program).name, counts)

    def _tell(self, record: EventRecord) -> None:
        self._means.tell(record.event.id, {"id": record.event.id, "state": record.state.value})
