"""Demand response of a DCU, put together.

::

    head-end ◄── reports ── conversation ── what holds ──► book
                                                            │
              visits of the line ◄── errands ── desk ◄──────┘

What is wanted of a meter is carried to it in a visit: in whichever comes first, or in one of its
own when it is due. An emergency and an order to switch go before all that is read.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import structlog

from openami.core.errors import DecodeError
from openami.dcu.conversation import Conversation
from openami.dcu.demand.book import Book
from openami.dcu.demand.displays import carry_forgetting, forget_due
from openami.dcu.demand.exchange import Exchange
from openami.dcu.demand.limiting import carry_limit, fits, wanted_limit
from openami.dcu.demand.saying import carry_answers, carry_words, event_shown, stale
from openami.dcu.demand.state import Switched, report
from openami.dcu.demand.switching import LATE, carry_supply, late, pending
from openami.dcu.demand.talk import Talk
from openami.dlms.cosem.response import EventKind
from openami.store.demand import Demand
from openami.store.salvage import opened
from openami.transport.clock import SystemClock, speed_of
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.dcu.demand.orders import MeterOrders
    from openami.dcu.demand.state import MeterState
    from openami.dcu.errand import Shown
    from openami.dcu.flow import Patience, Stop
    from openami.dcu.headend import HeadEnd
    from openami.fleet.collection import Line
    from openami.transport.session import DlmsSession

STORE: Final = "demand.sqlite"
MICROSECONDS: Final = 1_000_000
LOOK_S: Final = 10.0
"""After a limit's begin and end by the meters' time, before it is looked at."""
AGAIN_S: Final = 60.0
"""Before something is tried again that a visit went well without."""
AGAIN_REAL_S: Final = 2.0
"""The same in real seconds: where the meters' time is fast, the line is not."""
NEWS_S: Final = 1.0
"""How long news for the head-end waits for more: whoever opted out looks at a screen."""
ANSWERS_S: Final = 300.0
"""The longest that an answer to an event which may be opted out of waits in a meter, from
``NEAR_S`` before the event on; before that answers come with whatever visits there are."""
ANSWERS_REAL_S: Final = 5.0
NEAR_S: Final = 3600.0

log = structlog.get_logger("dcu.demand")


class Pace(NamedTuple):
    """How long is waited, by the meters' time: see ``AGAIN_S`` and ``ANSWERS_S``."""

    again: float = AGAIN_S
    answers: float = ANSWERS_S

    @classmethod
    def of(cls, clock: Clock) -> Self:
        """Return what fits to a clock that may be faster than the line."""
        speed = speed_of(clock)
        return cls(max(AGAIN_S, AGAIN_REAL_S * speed), max(ANSWERS_S, ANSWERS_REAL_S * speed))


class Errand(NamedTuple):
    """When a meter is to be visited, by its time."""

    due: float
    urgent: bool


@dataclass(frozen=True, slots=True)
class Means:
    """What demand response on one line is done with.

    Attributes:
        folder: of the DCU's state.
        headend: who says what holds.
        line: is told of errands.
        clock: the meters' time.
        patience: between tries with the head-end.
        stop: ends what needs no line.
        nudge: lets the line's task look again for what to do.
    """

    folder: Path
    headend: HeadEnd
    line: Line
    clock: Clock
    patience: Patience
    stop: Stop
    nudge: Callable[[], None]


class Desk:
    """As an async context manager it opens and closes its store.

    Raises:
        StoreError: its state cannot be used, or another process has it.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._stack = AsyncExitStack()
        self.book: Book
        self._conversation: Conversation

    async def __aenter__(self) -> Self:
        means, file = self._means, self._means.folder / STORE
        number = int(SystemClock().now() * MICROSECONDS)  # above all that were ever told
        async with AsyncExitStack() as stack:
            store = opened(lambda: Demand(file, number=number), file)
            stack.callback(store.close)
            self.book = Book(store, means.clock)
            await self.book.load()
            self._stack = stack.pop_all()
        self._conversation = Conversation(
            "demand response",
            Exchange(means.headend, self.book, self._taken),
            patience=means.patience,
            stop=means.stop,
            news_s=NEWS_S,
            eager=False,
        )
        for serial in self.book.meters():
            self.settle(serial)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # The head-end.

    @property
    def revision(self) -> int:
        """Of what holds; 0: nothing was ever said."""
        return self.book.revision or 0

    def revised(self, revision: int) -> None:
        """Take the number that the head-end has, which is another."""
        log.debug("something else holds", revision=revision)
        self._conversation.ask()

    def woken(self) -> None:
        """Ask what holds: the head-end wants to be asked, and may have no long poll to say why."""
        self._conversation.hurry()

    def run(self) -> Coroutine[Any, Any, None]:
        """Return the task that goes on until ``Means.stop``."""
        return self._conversation.run()

    async def _taken(self) -> None:
        now = self._means.clock.now()
        for serial in self.book.meters():
            supply = pending(self.book.orders(serial), self.book.state(serial))
            if supply is not None and late(supply, self.book.state(serial), now):
                told = report(
                    serial, "supply", now, event=supply.order, code=LATE, reason="no visit in time"
                )
                done = Switched(order=supply.order, done=True)
                await self.book.keep(serial, self.book.state(serial).but(supply=done), [told])
            if (errand := self.settle(serial)) is not None and errand.urgent:
                self._means.line.wake(serial)
        self._means.nudge()

    # The line.

    def settle(self, serial: str, carrier: Carrier | None = None) -> Errand | None:
        """Tell the line when a meter is to be visited; return it.

        Args:
            serial: the meter.
            carrier: what was carried to it just now: what that has not done is tried later.
        """
        orders, now = self.book.orders(serial), self._means.clock.now()
        pace = Pace.of(self._means.clock)
        errand = errand_of(orders, self.book.state(serial), now, pace)
        if errand is None:
            self._means.line.settle(serial)
            return None
        if carrier is not None and carrier.orders is orders and errand.due <= now:
            errand = Errand(now + pace.again, errand.urgent)
        self._means.line.errand(serial, due=errand.due, urgent=errand.urgent)
        return errand

    def carrier(self, serial: str, firmware: str) -> Carrier | None:
        """Return what is to be carried to a meter in a visit that begins; None: nothing is."""
        orders, now = self.book.orders(serial), self._means.clock.now()
        errand = errand_of(orders, self.book.state(serial), now, Pace.of(self._means.clock))
        if errand is None and not orders.events:
            return None
        urgent = errand is not None and errand.urgent and errand.due <= now
        return Carrier(self.book, serial, firmware, orders, self._means.clock, urgent=urgent)


@dataclass(frozen=True, slots=True)
class Carrier:
    """What is carried to one meter in one visit.

    Attributes:
        book: what is wanted, and how far it is.
        serial: the meter.
        firmware: that it runs.
        orders: what is wanted of it.
        clock: the meters' time.
        urgent: it goes before anything is read.
    """

    book: Book
    serial: str
    firmware: str
    orders: MeterOrders
    clock: Clock
    urgent: bool

    async def carry(self, session: DlmsSession, shown: Shown) -> None:
        """Bring the meter where it shall be; a part that it refuses costs no other.

        Raises:
            StoreError: it cannot be kept.
            TransportError, RemoteProtocolError: the line or the meter failed.
        """
        talk = Talk(session, self.serial, self.firmware, self.book, self.orders, self.clock, shown)
        revision: int | None = None
        with _tolerant(talk) as answers:
            revision = await carry_answers(talk)
        with _tolerant(talk):
            await carry_limit(talk)
        with _tolerant(talk):
            await carry_supply(talk)
        with _tolerant(talk):
            await carry_forgetting(talk)
        if answers.good:
            with _tolerant(talk):
                await carry_words(talk, revision)
                await carry_limit(talk)  # by what was chosen elsewhere, if that was said now
        await talk.keep(talked=self.clock.now())


@dataclass(slots=True)
class _Part:
    good: bool = True


@contextmanager
def _tolerant(talk: Talk) -> Iterator[_Part]:
    part = _Part()
    try:
        yield part
    except (ServiceRefusedError, DecodeError) as error:
        part.good = False
        log.warning("not carried", meter=talk.serial, code=error.code, error=error.message)


def errand_of(
    orders: MeterOrders, state: MeterState, now: float, pace: Pace | None = None
) -> Errand | None:
    """Return when a meter is to be visited for what is wanted of it; None: nothing is."""
    errands = tuple(_errands(orders, state, now, pace or Pace()))
    if not errands:
        return None
    first = min(errands)
    return Errand(first.due, any(one.urgent for one in errands if one.due <= max(now, first.due)))


def _errands(orders: MeterOrders, state: MeterState, now: float, pace: Pace) -> Iterator[Errand]:
    yield from _of_limit(orders, state, now, pace)
    supply = pending(orders, state)
    if supply is not None:
        yield Errand(now, urgent=True)
    forget = forget_due(orders, state, now)
    if forget is not None:
        yield Errand(forget, urgent=False)
    emergency = any(e.kind is EventKind.EMERGENCY and e.end > now for e in orders.events)
    if stale(orders, state, now):
        yield Errand(now, emergency and state.plain is None)
    if state.plain is not None:
        shown = event_shown(orders, now)
        if shown is not None:
            yield Errand(shown.end, urgent=False)
        return
    # A clock that was set back is no reason to wait until it is there again.
    talked = now if state.talked is None else min(state.talked, now)
    for event in orders.events:
        if event.optional and event.end > now:
            yield Errand(max(talked + pace.answers, event.start - NEAR_S), urgent=False)


def _of_limit(orders: MeterOrders, state: MeterState, now: float, pace: Pace) -> Iterator[Errand]:
    limit, span = state.limit, wanted_limit(orders, state, now)
    over = limit is not None and limit.end <= now
    if not over and not fits(limit, span):
        held = limit is not None and limit.active
        yield Errand(now, held or (span is not None and span.urgent))
    if limit is None:
        return
    again = 0.0 if limit.looked is None else min(limit.looked, now) + pace.again
    if not limit.active:
        yield Errand(max(limit.start + LOOK_S, again), urgent=False)
    yield Errand(max(limit.end + LOOK_S, again if over else 0.0), urgent=False)
