"""What is wanted of a DCU's meters and how far it is: in memory as it is on the disk, never ahead.

Whoever changes it holds ``lock`` from reading to keeping.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.errors import DecodeError
from openami.dcu.demand.orders import NOTHING, MeterOrders, meter_orders
from openami.dcu.demand.state import FRESH, MeterState, report
from openami.store.demand import Changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openami.core.clock import Clock
    from openami.dcu.demand.orders import Instructions
    from openami.store.demand import Demand

MAX_REPORTS: Final = 1000
"""Told at a time: a street of 200 meters tells an event's whole life in one request."""
KEEP_S: Final = 7 * 86_400.0
"""How long it is remembered how far a meter was that nothing is wanted of."""

log = structlog.get_logger("dcu.demand")


class Book:
    """What is wanted, and how far each meter is.

    Args:
        store: where it is kept.
        clock: the meters' time.

    Attributes:
        lock: see above.
        news: set when there is something that the head-end should hear of.
        revision: of what is wanted; None: nothing was ever said.
    """

    def __init__(self, store: Demand, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._orders: dict[str, MeterOrders] = {}
        self._bodies: dict[str, bytes] = {}
        self._states: dict[str, MeterState] = {}
        self.lock = asyncio.Lock()
        self.news = asyncio.Event()
        self.revision: int | None = None

    async def load(self) -> None:
        """Take up what was kept; raises StoreError."""
        await asyncio.to_thread(self._load)

    def _load(self) -> None:
        self.revision = self._store.revision()
        self._bodies = self._store.wanted()
        self._orders = {serial: _orders(body) for serial, body in self._bodies.items()}
        for serial, octets in self._store.meters().items():
            try:
                self._states[serial] = MeterState.decode(octets)
            except DecodeError as error:  # everything is said and set anew
                log.warning("how far a meter is cannot be read", meter=serial, code=error.code)
        if self._store.reports(1):
            self.news.set()

    def orders(self, serial: str) -> MeterOrders:
        """Return what is wanted of a meter."""
        return self._orders.get(serial, NOTHING)

    def state(self, serial: str) -> MeterState:
        """Return how far a meter is."""
        return self._states.get(serial, FRESH)

    def meters(self) -> frozenset[str]:
        """Return the meters that something is wanted of, or that something was done with."""
        return frozenset(self._orders) | frozenset(self._states)

    async def take(self, said: Instructions) -> None:
        """Take the head-end's word; durable when this returns.

        Raises:
            StoreError: it cannot be kept, and nothing has changed.
        """
        bodies = {
            serial: json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
            for serial, body in said.meters.items()
        }
        await asyncio.to_thread(self._store.want, said.revision, bodies)
        changed = {s for s, body in bodies.items() if body != self._bodies.get(s)}
        gone = self._bodies.keys() - bodies.keys()
        self._orders = {
            s: _orders(body) if s in changed else self._orders[s] for s, body in bodies.items()
        }
        self._bodies, self.revision = bodies, said.revision
        if changed or gone:
            log.info("wanted", revision=said.revision, meters=len(bodies), changed=len(changed),
                     gone=len(gone))  # fmt: skip
        await self._tell_bad(changed)
        await self._forget(gone)

    async def _tell_bad(self, serials: Iterable[str]) -> None:
        now = self._clock.now()
        told = [
            report(s, "refused", now, event=event, code="demand.order", reason=why)
            for s in serials
            for event, why in self._orders[s].bad
        ]
        if told:
            await self._put({}, told)

    async def _forget(self, gone: Iterable[str]) -> None:
        """Forget how far meters are that nothing was wanted of for long."""
        oldest = self._clock.now() - KEEP_S
        old: dict[str, MeterState | None] = {
            serial: None
            for serial, state in self._states.items()
            if serial not in self._orders
            and serial not in gone
            and state.limit is None
            and (state.talked or 0.0) < oldest
        }
        if old:
            await self._put(old, ())

    async def keep(
        self, serial: str, state: MeterState, reports: Iterable[dict[str, Any]] = ()
    ) -> None:
        """Keep how far a meter is, with what is to be told of it; durable when this returns.

        Raises:
            StoreError: it cannot be kept.
        """
        told = tuple(reports)
        if told or state != self.state(serial):
            await self._put({serial: state}, told)

    async def _put(
        self, states: Mapping[str, MeterState | None], reports: Iterable[dict[str, Any]]
    ) -> None:
        told = tuple(reports)
        kept = {s: None if state is None else state.encode() for s, state in states.items()}
        bodies = [json.dumps(one, separators=(",", ":")).encode() for one in told]
        await asyncio.to_thread(self._store.keep, Changes(kept, bodies))
        for serial, state in states.items():
            if state is None:
                self._states.pop(serial, None)
            else:
                self._states[serial] = state
        for one in told:
            log.info("happened", meter=one["meter"], what=one["what"], about=one["event"],
                     code=one["code"], reason=one["reason"])  # fmt: skip
        if told:
            self.news.set()

    async def reports(self) -> list[dict[str, Any]]:
        """Return what is to be told; raises StoreError."""
        self.news.clear()
        kept = await asyncio.to_thread(self._store.reports, MAX_REPORTS)
        return [{"number": number, **json.loads(body)} for number, body in kept]

    async def told(self, sent: list[dict[str, Any]], taken: int) -> None:
        """Take note of what is durable at the head-end; raises StoreError."""
        latest = sent[-1]["number"] if sent else 0
        if taken > self._store.number():  # of us, before we lost our memory
            await asyncio.to_thread(self._store.number_above, taken)
            self.news.set()
            return
        if sent:
            await asyncio.to_thread(self._store.told, min(latest, taken))
        if await asyncio.to_thread(self._store.reports, 1):
            self.news.set()


def _orders(body: bytes) -> MeterOrders:
    return meter_orders(json.loads(body))
