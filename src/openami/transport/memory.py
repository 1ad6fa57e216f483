"""Machines back to back in virtual time: hours of timeouts in milliseconds, the same every run.

No event loop, no thread and no clock: what happens next is the earliest thing that is due. A line
between the machines loses, delays, doubles, corrupts and reorders what it carries, as its
``Medium`` says, and may be cut and mended.

::

    time = VirtualTime()
    line = MemoryLine(time, Medium(LineProfile(loss=0.1), random.Random(1)))
    client = line.head(client_link)
    server = line.join(server_link, on_event=serve)
    client_link.connect(now=time.now())
    client.pump()
    time.run(until=lambda: client.events)
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.link import Machine
    from openami.transport.medium import Medium

E = TypeVar("E")

MOST_STEPS: Final = 1_000_000
"""Things that may happen in one run: two machines that excite each other for ever are a bug."""


class VirtualTime:
    """A clock that jumps to whatever is due next; implements ``openami.core.clock.Clock``."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now(self) -> float:
        return self._now

    def call_at(self, when: float, action: Callable[[], None]) -> None:
        """Do ``action`` at ``when``, or at once in the next step if that is past."""
        heapq.heappush(self._due, (max(when, self._now), next(self._order), action))

    def run(
        self, until: Callable[[], object] | None = None, *, seconds: float = float("inf")
    ) -> bool:
        """Let things happen until ``until`` holds, nothing is left to happen or time is up.

        Returns:
            Whether ``until`` holds.

        Raises:
            RuntimeError: a million things happened: the machines go round in circles.
        """
        end = self._now + seconds
        for _ in range(MOST_STEPS):
            if until is not None and until():
                return True
            if not self._due or self._due[0][0] > end:
                break
            self._now, _, action = heapq.heappop(self._due)
            action()
        else:
            raise RuntimeError("this never comes to an end")
        if end != float("inf"):
            self._now = end
        return until is not None and bool(until())


class Node(Generic[E]):
    """One machine in virtual time; made by a ``MemoryLine``.

    Attributes:
        machine: what is run.
        events: what it reported and ``on_event`` did not take.
    """

    def __init__(
        self,
        time: VirtualTime,
        machine: Machine[E],
        send: Callable[[bytes], None],
        on_event: Callable[[E], None] | None,
    ) -> None:
        self.machine = machine
        self.events: list[E] = []
        self._time = time
        self._send = send
        self._on_event = self.events.append if on_event is None else on_event
        self._pumping = False
        self._wakes: set[float] = set()

    def pump(self) -> None:
        """Send what the machine has to send, hand its events over, and set its timer."""
        if self._pumping:
            return
        self._pumping = True
        try:
            self._pump()
        finally:
            self._pumping = False

    def take(self, data: bytes) -> None:
        """Give the machine octets."""
        self.machine.receive_data(data, now=self._time.now())
        self.pump()

    def end(self) -> None:
        """Tell the machine that the stream has ended."""
        self.machine.receive_eof(now=self._time.now())
        self.pump()

    def _pump(self) -> None:
        busy = True
        while busy:
            busy = False
            for piece in self.machine.data_to_send():
                self._send(piece)
            while (event := self.machine.next_event()) is not None:
                busy = True
                self._on_event(event)
        when = self.machine.next_timer()
        if when is not None and when not in self._wakes:
            self._wakes.add(when)
            self._time.call_at(when, lambda: self._wake(when))

    def _wake(self, when: float) -> None:
        self._wakes.discard(when)
        self.machine.handle_timer(now=self._time.now())
        self.pump()


class MemoryLine:
    """A line between one machine at its head and any number of others.

    What the head sends reaches every other machine; what another sends reaches the head.

    Args:
        time: when things happen.
        medium: what happens to what is sent.
        slice_octets: the pieces in which a stream arrives, 0: as it was sent.
    """

    def __init__(self, time: VirtualTime, medium: Medium, *, slice_octets: int = 0) -> None:
        self._time = time
        self._medium = medium
        self._slice = slice_octets
        self._head: Node[Any] | None = None
        self._others: list[Node[Any]] = []
        self._mended = 0
        self.connected = True

    def head(self, machine: Machine[E], on_event: Callable[[E], None] | None = None) -> Node[E]:
        """Put ``machine`` at the head, in the place of the one that was there."""
        self._head = node = Node(self._time, machine, self._downward, on_event)
        return node

    def join(self, machine: Machine[E], on_event: Callable[[E], None] | None = None) -> Node[E]:
        """Add a machine at the other end."""
        node = Node(self._time, machine, self._upward, on_event)
        self._others.append(node)
        return node

    def cut(self, *, tell: bool = False) -> None:
        """Lose what is under way and whatever is sent from now on; ``tell``: both ends hear it."""
        self.connected = False
        self._mended += 1
        if tell:
            for node in (*([self._head] if self._head else []), *self._others):
                node.end()

    def mend(self) -> None:
        """Carry again what is sent from now on."""
        self.connected = True

    def _downward(self, data: bytes) -> None:
        self._carry(data, self._others, upward=False)

    def _upward(self, data: bytes) -> None:
        self._carry(data, [self._head] if self._head else [], upward=True)

    def _carry(self, data: bytes, receivers: list[Node[Any]], *, upward: bool) -> None:
        if not self.connected:
            return
        transmission = self._medium.transmit(data, now=self._time.now(), upward=upward)
        for node in receivers:
            for reception in self._medium.receptions(transmission):
                self._deliver(node, reception.at, reception.octets)

    def _deliver(self, node: Node[Any], at: float, octets: Callable[[], bytes]) -> None:
        generation = self._mended

        def arrive() -> None:
            if generation != self._mended:
                return
            data = octets()
            size = self._slice or max(len(data), 1)
            for start in range(0, len(data), size):
                node.take(data[start : start + size])

        self._time.call_at(at, arrive)
