"""The port of live events, and the bus inside one process that serves it.

A live event is news, not a record: who was not listening reads the store. Nothing here may hold
up whoever publishes, so each subscriber has a bounded queue that drops its oldest event when it is
full and says how many it dropped.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from openami.core.errors import TransportError

if TYPE_CHECKING:
    from types import TracebackType

QUEUE: Final = 256  # a screen shows some tens of events a second; more than this is behind for good
SUBSCRIBERS: Final = 512  # operators' screens of one process, each with a queue of its own


class Topic(StrEnum):
    """What a live event is about."""

    READINGS = "readings"
    EVENTS = "events"
    DEVICE = "device"
    REPORT = "report"
    JOB = "job"
    BATCH = "batch"
    REGISTRATION = "registration"
    TREE = "tree"
    ALARM = "alarm"
    CAMPAIGN = "campaign"
    DEMAND = "demand"


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that happened just now.

    Attributes:
        subject: the meter's serial number, the DCU's id or the job's id.
        time: when, in seconds UTC.
        data: what, ready to be JSON.
        dcu: the DCU that it came from or that it is about.
        meters: the meters that it is about, if there are several.
    """

    topic: Topic
    subject: str
    time: float
    data: Mapping[str, Any] = field(default_factory=dict)
    dcu: str | None = None
    meters: frozenset[str] = frozenset()


Wanted = Callable[[LiveEvent], bool]
ALL: Final = frozenset(Topic)


class Subscription(Protocol):
    """A listener's end of the bus; leaving the ``with`` block ends it."""

    async def next(self, within: float) -> LiveEvent | None:
        """Return the next event, or None if none came for ``within`` seconds."""
        ...

    def dropped(self) -> int:
        """Return how many events were dropped since this was last asked."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the bus was closed and nothing is left to take."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Bus(Protocol):
    """Carries live events from who has them to who wants them."""

    def publish(self, event: LiveEvent) -> None:
        """Hand ``event`` to every subscriber that wants it, from any thread, without waiting."""
        ...

    def subscribe(
        self, wanted: Wanted, *, topics: Collection[Topic] = ALL, queue: int = QUEUE
    ) -> Subscription:
        """Start to listen to some topics, from a coroutine; ``wanted`` is asked of no other.

        Raises:
            TransportError: there are too many subscribers, or the bus is closed.
        """
        ...

    def listeners(self) -> int:
        """Return how many subscribers there are."""
        ...

    def wants(self, topics: Collection[Topic]) -> bool:
        """Say whether anybody listens to one of these, so that unheard news need not be made."""
        ...

    def close(self) -> None:
        """End every subscription."""
        ...


class LocalBus:
    """The bus of one process."""

    def __init__(self, *, subscribers: int = SUBSCRIBERS) -> None:
        self._limit = subscribers
        self._lock = threading.Lock()
        self._subscriptions: set[LocalSubscription] = set()
        self._closed = False

    def publish(self, event: LiveEvent) -> None:
        with self._lock:
            listening = tuple(self._subscriptions)
        for subscription in listening:
            subscription.offer(event)

    def subscribe(
        self, wanted: Wanted, *, topics: Collection[Topic] = ALL, queue: int = QUEUE
    ) -> LocalSubscription:
        with self._lock:
            if self._closed:
                raise TransportError("the head-end is stopping", code="busy.stopping")
            if len(self._subscriptions) >= self._limit:
                raise TransportError(
                    "too many live listeners", code="busy.listeners", hint="close some screens"
                )
            subscription = LocalSubscription(wanted, frozenset(topics), queue, self._forget)
            self._subscriptions.add(subscription)
        return subscription

    def listeners(self) -> int:
        with self._lock:
            return len(self._subscriptions)

    def wants(self, topics: Collection[Topic]) -> bool:
        with self._lock:
            return any(not one.topics.isdisjoint(topics) for one in self._subscriptions)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            listening = tuple(self._subscriptions)
        for subscription in listening:
            subscription.close()

    def _forget(self, subscription: LocalSubscription) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)


class LocalSubscription:
    """One listener's queue; made by ``LocalBus.subscribe``."""

    def __init__(
        self,
        wanted: Wanted,
        topics: frozenset[Topic],
        queue: int,
        forget: Callable[[LocalSubscription], None],
    ) -> None:
        self.topics = topics
        self._wanted = wanted
        self._queue: deque[LiveEvent] = deque(maxlen=queue)
        self._forget = forget
        self._lock = threading.Lock()
        self._dropped = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()

    def offer(self, event: LiveEvent) -> None:
        """Queue ``event`` if it is wanted."""
        if event.topic not in self.topics or not self._wanted(event):
            return
        with self._lock:
            self._dropped += len(self._queue) == self._queue.maxlen
            self._queue.append(event)
        self._wake()

    async def next(self, within: float) -> LiveEvent | None:
        try:
            async with asyncio.timeout(within):
                while True:
                    self._ready.clear()
                    event = self._take()
                    if event is not None or self._closed:
                        return event
                    await self._ready.wait()
        except TimeoutError:
            return self._take()

    def dropped(self) -> int:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    @property
    def closed(self) -> bool:
        with self._lock:
            return self._closed and not self._queue

    def close(self) -> None:
        """Let the listener have what is queued, and no more."""
        self._closed = True
        self._wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._forget(self)

    def _take(self) -> LiveEvent | None:
        with self._lock:
            return self._queue.popleft() if self._queue else None

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ready.set)
