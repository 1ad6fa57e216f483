"""Demand response as the rest of the head-end knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.fleet.devices import DeviceKind, LifecycleState
from openami.headend.demand.book import Book
from openami.headend.demand.displays import Displays
from openami.headend.demand.events import Events
from openami.headend.demand.means import Means
from openami.headend.demand.results import Measurement
from openami.headend.demand.rounds import Rounds
from openami.headend.demand.supply import SupplyOrders
from openami.headend.demand.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.demand.model import Notice
    from openami.fleet.demand.standing import Answer
    from openami.fleet.devices import Device
    from openami.headend.demand.results import Results
    from openami.headend.demand.views import MeterEvent
    from openami.headend.jobs import Jobs
    from openami.headend.ownership import Ownership
    from openami.headend.registry import Registry
    from openami.headend.security.alarms import Alarms
    from openami.headend.services import Context, Stores


@dataclass(frozen=True, slots=True)
class Demand:
    """All of it.

    Attributes:
        book: what is under way.
        events: programs, events and notices, for operators.
        orders: to meters' supplies.
        displays: of households that moved out.
        uplink: for DCUs.
        rounds: what time does.
        measurement: what events have brought.
    """

    book: Book
    events: Events
    orders: SupplyOrders
    displays: Displays
    uplink: Uplink
    rounds: Rounds
    measurement: Measurement

    def for_meter(self, serial: str) -> Sequence[MeterEvent]:
        """Return a meter's events, the latest first; NotFoundError. Blocks."""
        return self.events.for_meter(serial)

    def answer(self, serial: str, event: str, answer: Answer, *, who: str) -> MeterEvent:
        """Take an answer that was given elsewhere than at the meter; see ``Events.answer``."""
        return self.events.answer(serial, event, answer, who=who)

    def notices_for(self, serial: str) -> Sequence[Notice]:
        """Return what a meter is shown now, the newest first; NotFoundError. Blocks."""
        return self.events.notices_for(serial)

    def results(self, event: str, *, after: str | None = None) -> Results:
        """Return what an event has brought at meters; see ``Measurement.results``."""
        return self.measurement.results(event, after=after)

    def moved(self, device: Device, before: str | None) -> None:
        """Have the DCUs told that a meter went from and to, or is retired."""
        if device.kind is DeviceKind.METER and device.state is LifecycleState.RETIRED:
            self.displays.retired(device.serial)
        self.book.changed(frozenset(dcu for dcu in (before, device.dcu) if dcu is not None))

    def compared(self, meters: frozenset[str] | None) -> None:
        """Have the DCUs told of meters whose homes compare otherwise; None: all."""
        self.book.changed(None if meters is None else self.displays.dcus_of(meters))

    def open(self, now: float) -> None:
        """Read what is under way. Blocks."""
        self.book.open(now)


def build_demand(
    context: Context,
    stores: Stores,
    registry: Registry,
    ownership: Ownership,
    jobs: Jobs,
    *,
    alarms: Alarms,
) -> Demand:
    """Return demand response over the stores; nothing runs yet."""
    clock, wall, bus, store = context.clock, context.wall, context.bus, stores.demand
    book = Book(store)
    means = Means(store, book, registry, bus, clock, wall)
    events, orders = Events(means), SupplyOrders(means)
    displays = Displays(means, alarms=alarms)
    uplink = Uplink(
        store, book, orders, displays, ownership, bus=bus, clock=clock, metrics=context.metrics
    )
    rounds = Rounds(
        store, book, events, orders, displays, alarms=alarms, clock=clock, wall=wall,
        look=jobs.wake, waiting=jobs.waiting,
    )  # fmt: skip
    measurement = Measurement(
        store, stores.readings, clock=clock, timezone=context.settings.timezone,
        holidays=context.settings.holidays,
    )  # fmt: skip
    return Demand(book, events, orders, displays, uplink, rounds, measurement)
