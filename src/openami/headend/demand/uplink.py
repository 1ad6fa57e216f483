"""What DCUs and head-end tell each other of demand response.

Those who ask at one moment are answered together: what all of them report is kept in one
transaction, and only then is it said to be taken. A report may come again: it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.core.clock import isoformat
from openami.fleet.demand.records import MeterNews
from openami.fleet.demand.standing import MAX_REASON, News, What
from openami.headend.bus import LiveEvent, Topic
from openami.headend.demand.book import revision_of
from openami.headend.groups import Grouped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.dlms.cosem.said import Comparison
    from openami.fleet.demand.model import Notice
    from openami.fleet.demand.standing import Standing
    from openami.fleet.demand.supply import SupplyOrder
    from openami.headend.bus import Bus
    from openami.headend.demand.book import Book, Held, HeldEvent
    from openami.headend.demand.displays import Displays
    from openami.headend.demand.ports import DemandStore
    from openami.headend.demand.supply import SupplyOrders
    from openami.headend.metrics import Metrics
    from openami.headend.ownership import Ownership


_OF_ORDERS: Final = frozenset({What.SUPPLY, What.DISPLAYS})


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that a DCU says of a meter; nothing of it is checked yet."""

    number: int
    meter: str
    event: str | None
    what: What
    at: float
    code: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A DCU reports, and asks what holds."""

    dcu: str
    reports: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class ToldMeter:
    """What holds at a meter; ``comparison`` and what follows it are ready to be JSON."""

    serial: str
    events: tuple[HeldEvent, ...]
    notices: tuple[Notice, ...]
    comparison: Mapping[str, Any] | None
    supply: Mapping[str, Any] | None
    forget: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """All that holds for a DCU, and the highest number of its reports."""

    revision: int
    taken: int
    meters: tuple[ToldMeter, ...]


class Uplink:
    """Takes reports and tells what holds."""

    def __init__(
        self,
        store: DemandStore,
        book: Book,
        orders: SupplyOrders,
        displays: Displays,
        ownership: Ownership,
        *,
        bus: Bus,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store, self._book, self._orders = store, book, orders
        self._displays = displays
        self._ownership, self._bus, self._metrics = ownership, bus, metrics
        self._clock = clock
        self._grouped: Grouped[Asked, Told] = Grouped(self._together, "demand")

    async def exchange(self, asked: Asked) -> Told:
        """Keep what a DCU reports, and return what holds for it.

        A report that can not be, as one of a meter that is not the DCU's, is passed over.

        Raises:
            StoreError: it can not be kept now.
            BusyError: the head-end is stopping.
        """
        return await self._grouped.do(asked)

    async def stop(self) -> None:
        """Answer who is waiting, then end."""
        await self._grouped.stop()

    def revision(self, dcu: str) -> int:
        """Return a number that changes whenever what holds for a DCU does. Blocks."""
        return self._book.revision(dcu, self._clock.now())

    def _together(self, asked: Sequence[Asked]) -> Sequence[Told]:
        self._take(asked)
        return [self._tell(one) for one in asked]

    # Reports

    def _take(self, asked: Sequence[Asked]) -> None:
        mine = [(one, said) for one in asked for said in self._own(one)]
        self._switched([(one.dcu, said) for one, said in mine if said.what is What.SUPPLY])
        for one, said in mine:
            if said.what is What.DISPLAYS:
                why = line(said.reason)
                self._displays.reported(said.meter, one.dcu, said.event, code=said.code, reason=why)
        told = [said for _, said in mine if said.what not in _OF_ORDERS]
        if not told:
            return
        known = self._store.named({said.event for said in told if said.event is not None})
        keys = {id_: record.key for id_, record in known.items()}
        news = [
            MeterNews(keys[said.event], said.meter, self._news(said))
            for said in told
            if said.event is not None and said.event in keys
        ]
        self._metrics.demand_reports("stranger", len(told) - len(news))
        changed = self._store.take(news) if news else ()
        self._metrics.demand_reports("taken", len(news))
        self._publish({record.key: id_ for id_, record in known.items()}, changed)

    def _own(self, asked: Asked) -> Iterator[Said]:
        if not asked.reports:
            return
        meters = self._ownership.meters(asked.dcu)
        for said in asked.reports:
            if said.meter in meters:
                yield said
            else:
                self._metrics.demand_reports("stranger", 1)

    def _news(self, said: Said) -> News:
        # A clock that is ahead must not have later answers be passed over.
        at = min(max(said.at, 0.0), self._clock.now())
        return News(said.what, at, said.code, line(said.reason))

    def _switched(self, said: Sequence[tuple[str, Said]]) -> None:
        for dcu, one in said:
            self._orders.reported(one.meter, dcu, one.event, code=one.code, reason=line(one.reason))

    def _publish(
        self, ids: Mapping[int, str], changed: Sequence[tuple[int, str, Standing]]
    ) -> None:
        if not changed or not self._bus.wants({Topic.DEMAND}):
            return
        for key, id_ in ids.items():
            meters = frozenset(meter for event, meter, _ in changed if event == key)
            if meters:
                data = {"id": id_, "meters": len(meters)}
                self._bus.publish(
                    LiveEvent(Topic.DEMAND, id_, self._clock.now(), data, meters=meters)
                )

    # Orders

    def _tell(self, asked: Asked) -> Told:
        changes, now = self._book.changes(), self._clock.now()
        held = self._book.held(asked.dcu, now)
        revision = revision_of(held)
        told = tuple(_told(one) for one in held)
        self._book.told(asked.dcu, revision, changes)
        taken = max((said.number for said in asked.reports), default=0)
        return Told(revision, taken, told)


def _told(held: Held) -> ToldMeter:
    comparison = None if held.comparison is None else _comparison(held.comparison)
    supply = None if held.order is None else _supply(held.order)
    forget = None if held.forget is None else {"order": held.forget}
    return ToldMeter(held.serial, held.events, held.notices, comparison, supply, forget)


def line(words: str) -> str:
    """Return a device's words as a line: whatever does not print is no reason to lose a report."""
    return "".join(sign if sign.isprintable() else " " for sign in words)[:MAX_REASON].strip()


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "start": isoformat(found.start),
        "end": isoformat(found.end),
        "homes": found.homes,
        "mean_wh": found.mean_wh,
        "best_wh": found.best_wh,
        "own_wh": found.own_wh,
    }


def _supply(order: SupplyOrder) -> dict[str, Any]:
    return {"order": order.id, "wanted": order.wanted.value, "until": isoformat(order.until)}
