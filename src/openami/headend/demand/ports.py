"""What demand response is kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from openami.fleet.demand.machine import EventState
    from openami.fleet.demand.model import Event, Notice, Program, Targets
    from openami.fleet.demand.records import (
        DisplayOrder,
        EventRecord,
        MeterNews,
        MeterStanding,
        NoticeRecord,
        Reach,
        Unheard,
    )
    from openami.fleet.demand.standing import Counts, Standing, What
    from openami.fleet.demand.supply import SupplyOrder
    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page
    from openami.fleet.tasks import Ticket


class DemandStore(Protocol):
    """Keeps programs, events, notices and orders with their audit entries."""

    def add_program(self, program: Program, entry: AuditEntry) -> None:
        """Keep a program; ConflictError, its name is taken."""
        ...

    def program(self, id_: str) -> Program:
        """Return a program; NotFoundError."""
        ...

    def programs(self, *, after: str | None = None, limit: int = 100) -> Page[Program]:
        """Return programs by their names."""
        ...

    def add(
        self,
        event: Event,
        *,
        who: str,
        created: float,
        entry: AuditEntry,
        ticket: Ticket | None = None,
    ) -> EventRecord:
        """Keep a draft; where the ticket has been here, return the event of before, as it is now.

        Raises:
            ConflictError: there is an event with this id already; ``demand.key``, the ticket's key
                was given to another request.
        """
        ...

    def get(self, id_: str) -> EventRecord:
        """Return an event; NotFoundError."""
        ...

    def list(
        self,
        *,
        state: EventState | None = None,
        program: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[EventRecord]:
        """Return events, the newest first."""
        ...

    def in_states(self, states: Collection[EventState]) -> Sequence[EventRecord]:
        """Return all events in some states, the oldest first."""
        ...

    def named(self, ids: Collection[str]) -> Mapping[str, EventRecord]:
        """Return events by their ids, those that there are."""
        ...

    def move(self, record: EventRecord, before: EventRecord, entries: Sequence[AuditEntry]) -> None:
        """Keep an event as it is now.

        Raises:
            ConflictError: ``demand.moved``, it has another state or version than ``before``.
        """
        ...

    def reach(self, targets: Targets) -> Reach:
        """Count the meters that targets name, and find their DCUs."""
        ...

    def behind(self, dcu: str) -> Sequence[tuple[str, str]]:
        """Return the meters of a DCU that are not retired, with their regions, else the DCU's."""
        ...

    def dcus(self) -> frozenset[str]:
        """Return the DCUs that are not retired."""
        ...

    def of_group(self, name: str) -> frozenset[str]:
        """Return the DCUs of a group; none where there is no such group."""
        ...

    def take(self, news: Sequence[MeterNews]) -> Sequence[tuple[int, str, Standing]]:
        """Keep news in one transaction; return what has changed."""
        ...

    def standings(
        self, events: Collection[int], meters: Collection[str]
    ) -> Mapping[tuple[int, str], Standing]:
        """Return how events stand at meters, by both."""
        ...

    def history(self, meter: str, *, limit: int = 100) -> Sequence[tuple[EventRecord, Standing]]:
        """Return the events of which anything is known at a meter, the newest first."""
        ...

    def opted_out(
        self, events: Collection[int], meters: Collection[str]
    ) -> Collection[tuple[int, str]]:
        """Return of which events which meters were opted out."""
        ...

    def page(
        self, event: int, *, only: What | None = None, after: str | None = None, limit: int = 100
    ) -> Page[MeterStanding]:
        """Return how an event stands at meters of which anything is known, by serial number.

        ``only``: at those of which this is known; of answers the one that holds.
        """
        ...

    def asked(
        self, record: EventRecord, *, after: str | None = None, limit: int = 100
    ) -> Page[MeterStanding]:
        """Return how an event stands at the meters that it is for, also where nothing is known."""
        ...

    def unheard(
        self, record: EventRecord, *, after: str | None = None, limit: int = 100
    ) -> Page[Unheard]:
        """Return the meters that an event is for and of which nothing is known, by serial."""
        ...

    def counts(self, event: int) -> Counts:
        """Return how many meters have which news of an event; ``meters`` is 0."""
        ...

    def forget(self, *, before: float, limit: int) -> int:
        """Forget how events that ended before a time stood at meters; return of how many."""
        ...

    def add_notice(
        self, notice: Notice, entry: AuditEntry, *, ticket: Ticket | None = None
    ) -> NoticeRecord:
        """Keep a notice; tickets are as with events."""
        ...

    def withdraw(self, id_: str, entry: AuditEntry) -> NoticeRecord:
        """Take back a notice; NotFoundError, ConflictError if it was taken back before."""
        ...

    def shown(self, now: float) -> Sequence[NoticeRecord]:
        """Return the notices that are not over or taken back."""
        ...

    def notices(self, *, after: str | None = None, limit: int = 100) -> Page[NoticeRecord]:
        """Return notices, the newest first."""
        ...

    def add_order(self, order: SupplyOrder, entry: AuditEntry) -> None:
        """Keep an order; ConflictError ``supply.waiting``, its meter has one that waits."""
        ...

    def order(self, id_: str) -> SupplyOrder:
        """Return an order; NotFoundError."""
        ...

    def orders(self, meter: str, *, limit: int = 10) -> Sequence[SupplyOrder]:
        """Return the orders to a meter's supply, the newest first."""
        ...

    def waiting_orders(self) -> Sequence[SupplyOrder]:
        """Return all orders that wait: people made them, one at most for a meter."""
        ...

    def end_orders(self, ended: Iterable[tuple[SupplyOrder, AuditEntry]]) -> Sequence[SupplyOrder]:
        """Keep orders that are over with their entries; return those that still waited."""
        ...

    def to_forget(self, now: float) -> Mapping[str, str]:
        """Return the orders that meters forget their displays, those that are due, by meter."""
        ...

    def display_orders(
        self,
        due: float,
        *,
        meter: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[DisplayOrder]:
        """Return such orders that were due by a moment and are not done, the oldest first.

        Those to meters that are retired are left out.
        """
        ...

    def not_forgotten(self, meter: str, id_: str, at: float, code: str, reason: str) -> bool:
        """Keep that a meter refuses such an order; False: there is none."""
        ...

    def forgotten(self, meter: str, id_: str, entry: AuditEntry) -> bool:
        """End such an order, and those of its meter that were due before; False: there is none."""
        ...

    def wake(self, dcus: Collection[str], now: float) -> int:
        """Have DCUs notified that there is something to ask for; return how many can be."""
        ...
