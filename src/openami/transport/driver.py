"""Runs a sans-IO machine on a channel: the only event loop code that protocols need.

A driver's work happens inside the channel's own callback: octets in, machine, octets out, without
a task switch. One channel may have one driver after another, and several in turns: a modem that
talks to one meter after the other. Octets that nobody asked for in between are thrown away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from openami.core.errors import TransportError, TransportTimeoutError
from openami.transport.clock import monotonic
from openami.transport.failures import closed_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from openami.dlms.link import Machine
    from openami.transport.channel import Channel

E = TypeVar("E")

EVENT_LIMIT: Final = 256
"""Events that wait for a reader before the peer is held up; a link gives one to three a request."""

_SHORTEST_WAIT_S: Final = 0.001
"""A machine whose timer is due but does nothing must not spin the loop."""

_EVENTS: Final = "events"


class Driver(Generic[E]):
    """One machine on one channel.

    Events go to ``on_event``, called within the loop and free to give the machine commands; or,
    without it, wait for ``next_event`` and ``async for``. As a context manager it starts and stops.

    Args:
        machine: what is run.
        channel: where its octets go and come from; stays open when the driver stops.
        on_event: takes each event.
        finished: tells, after each step, that the channel is of no use any more and shall close.
        now: the monotonic clock that the machine's timers follow.
    """

    def __init__(
        self,
        machine: Machine[E],
        channel: Channel,
        *,
        on_event: Callable[[E], None] | None = None,
        finished: Callable[[], bool] | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.machine = machine
        self.channel = channel
        self.now = now
        self._on_event = on_event
        self._finished = finished
        self._events: deque[E] = deque()
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._pumping = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Take the channel, at first or again; what came since its last driver is thrown away."""
        self._paused = False
        if self.channel.served:
            self.channel.discard()
        self.channel.attach(self)
        self.pump()

    def pause(self) -> None:
        """Give the channel back until ``start``; the machine's timers are not looked at."""
        self._paused = True
        self.channel.detach(self)
        self.channel.release(_EVENTS)
        self._disarm()

    def stop(self) -> None:
        """Give the channel back, open as it is. May be called again."""
        self.pause()
        self._end()

    async def run(self) -> None:
        """Start, and return when the channel is closed or ``stop`` was called; cancellation stops.

        Raises:
            Exception: what the machine or ``on_event`` raised: a bug of ours.
        """
        self.start()
        try:
            await self._ended.wait()
        finally:
            self.stop()
        if self._failure is not None:
            raise self._failure

    def pump(self) -> None:
        """Send what the machine has to send, hand its events over, and set the timer.

        Call it after every command given to the machine from outside ``on_event``.
        """
        if self._pumping:
            return
        self._guard(self._pump)

    async def next_event(self, timeout_s: float | None = None) -> E:
        """Return the oldest event not yet taken, waiting for one; cancellation loses none.

        Raises:
            TransportTimeoutError: none came within ``timeout_s``.
            TransportError: the channel is closed and no event is left.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not self._events:
                    self._check()
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError as exc:
            raise TransportTimeoutError(
                f"{self.channel.name}: no answer within {timeout_s:g} s"
            ) from exc
        event = self._events.popleft()
        if len(self._events) <= EVENT_LIMIT // 2:
            self.channel.release(_EVENTS)
        return event

    async def __aiter__(self) -> AsyncIterator[E]:
        """Give each event, until the channel is closed in good order or the driver is stopped."""
        while True:
            try:
                event = await self.next_event()
            except TransportError:
                if self.channel.error is not None:
                    raise
                return
            yield event

    # What the channel calls.

    def data_received(self, data: bytes) -> None:
        """Take octets from the channel."""

        def take() -> None:
            self.machine.receive_data(data, now=self.now())
            self._pump()

        self._guard(take)

    def channel_closed(self, error: TransportError | None) -> None:  # noqa: ARG002 - kept by it
        """Take note that the channel is gone."""

        def take() -> None:
            self.machine.receive_eof(now=self.now())
            self._pump()

        self._guard(take)
        self._disarm()
        self._end()

    # The loop itself.

    def _guard(self, work: Callable[[], None]) -> None:
        """Do ``work``; what it raises is a bug of ours that ends this driver and is not lost."""
        nested, self._pumping = self._pumping, True
        try:
            work()
        except Exception as exc:  # noqa: BLE001 - handed to whoever waits for this driver
            self._failure = exc
            self.stop()
            self.channel.close()
        finally:
            self._pumping = nested

    def _pump(self) -> None:
        machine = self.machine
        busy = True
        while busy:
            busy = False
            for piece in machine.data_to_send():
                if not self.channel.closed:
                    self.channel.write(piece)
            while (event := machine.next_event()) is not None:
                busy = True
                self._deliver(event)
        if self._finished is not None and self._finished():
            self.channel.close()
        self._arm()

    def _deliver(self, event: E) -> None:
        if self._on_event is not None:
            self._on_event(event)
            return
        self._events.append(event)
        self._wake.set()
        if len(self._events) > EVENT_LIMIT:
            self.channel.hold(_EVENTS)

    def _arm(self) -> None:
        """Set the timer; one that is due too early is left to fire and be set anew."""
        when = self.machine.next_timer()
        if when is None or self._paused or self._ended.is_set():
            return
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        delay = max(when - self.now(), _SHORTEST_WAIT_S)
        self._timer = asyncio.get_running_loop().call_later(delay, self._fire)
        self._timer_at = when

    def _fire(self) -> None:
        self._timer = None

        def due() -> None:
            self.machine.handle_timer(now=self.now())
            self._pump()

        self._guard(due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._ended.set()
        self._wake.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended.is_set():
            raise self.channel.error or closed_error(self.channel.name)
