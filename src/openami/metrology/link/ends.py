"""The two ends of the line: the measuring part, and management. Neither waits for the other."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from openami.core.errors import DecodeError, RemoteProtocolError
from openami.metrology.link.framing import NUMBERS, Deframer, Frame
from openami.metrology.link.messages import KINDS, EventReport, Heard, Relay, Report, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from openami.metrology.adc.disturbances import QualityEvent
    from openami.metrology.link.messages import Message, Totals

KEPT: Final = 64
"""Events that the measuring part keeps for a management that is off; the oldest go first."""

_TOLD: Final = 4  # events sent again with each report: what a second of a slow line carries


class _End:
    """What both ends do: number frames, find the peer's, pass over what is none."""

    def __init__(self) -> None:
        self.deframer = Deframer()
        self.unknown = 0
        self._number = 0

    def _frame(self, message: Message) -> bytes:
        self._number = (self._number + 1) % NUMBERS
        return Frame(KINDS[type(message)], self._number, message.encode()).encode()

    def _messages(self, data: bytes) -> Iterator[Message]:
        self.deframer.receive_data(data)
        while (frame := self.deframer.next_frame()) is not None:
            try:
                yield decode(frame.kind, frame.body)
            except DecodeError:
                self.unknown += 1  # of a newer peer, perhaps: the others still count


class MeasuringEnd(_End):
    """The measuring part's end.

    Args:
        life: how often the measuring part has begun, as its memory counts it.
    """

    def __init__(self, life: int) -> None:
        super().__init__()
        self.life = life
        self.dropped = 0
        self.relay: bool | None = None
        """How management last wanted the relay; None: it has not said."""
        self._events: deque[QualityEvent] = deque()
        self._oldest = 1

    def happened(self, event: QualityEvent) -> None:
        """Keep an event until management has heard it."""
        self._events.append(event)
        if len(self._events) > KEPT:
            self._forget()
            self.dropped += 1

    def report(self, report: Report) -> bytes:
        """Return what goes on the line: the report, and the oldest events not yet heard."""
        waiting = (
            EventReport(self.life, self._oldest + place, self._oldest, event)
            for place, event in enumerate(islice(self._events, _TOLD))
        )
        return self._frame(report) + b"".join(map(self._frame, waiting))

    def receive_data(self, data: bytes) -> None:
        """Take any slice of what management sends."""
        for message in self._messages(data):
            if isinstance(message, Relay):
                self.relay = message.closed
            elif isinstance(message, Heard) and message.life == self.life:
                while self._events and self._oldest <= message.number:
                    self._forget()

    def _forget(self) -> None:
        self._events.popleft()
        self._oldest += 1


class ManagementEnd(_End):
    """Management's end.

    Args:
        heard: the newest event that its memory holds.
    """

    def __init__(self, heard: Heard | None = None) -> None:
        super().__init__()
        self.heard = heard or Heard(0, 0)
        self._waiting: deque[Report | EventReport] = deque()

    def receive_data(self, data: bytes) -> None:
        """Take any slice of what the measuring part sends."""
        self._waiting.extend(self._fresh(self._messages(data)))

    def next_message(self) -> Report | EventReport | None:
        """Return the oldest report or event that is new, once; None: none waits."""
        return self._waiting.popleft() if self._waiting else None

    def acknowledge(self, heard: Heard | None = None) -> bytes:
        """Return what goes on the line once events are kept: up to ``heard``, or all taken."""
        return self._frame(self.heard if heard is None else heard)

    def switch(self, *, closed: bool) -> bytes:
        """Return what goes on the line to have the relay closed or open."""
        return self._frame(Relay(closed))

    def _fresh(self, messages: Iterable[Message]) -> Iterator[Report | EventReport]:
        for message in messages:
            if isinstance(message, Report):
                yield message
            elif isinstance(message, EventReport) and self._is_next(message):
                self.heard = Heard(message.life, message.number)
                yield message

    def _is_next(self, event: EventReport) -> bool:
        """Tell whether an event is the first that is missing of those that still can be had."""
        last = self.heard.number if event.life == self.heard.life else 0
        return event.number == max(last + 1, event.oldest)


class EnergyFollower:
    """Turns running totals into what was added since management last looked.

    Args:
        last: the totals that management's memory holds; None: it is new, and begins with the
            first report.
    """

    def __init__(self, last: Totals | None = None) -> None:
        self.last = last

    def take(self, totals: Totals) -> Totals:
        """Return what each total moved on, in micro-watt-hours.

        Raises:
            RemoteProtocolError: ``metrology.backwards``: a total went back or has gone, as when
                a measuring part was exchanged. Nothing is taken; a new follower begins anew.
        """
        last = self.last or totals
        if [len(row) for row in last] != [len(row) for row in totals]:
            raise RemoteProtocolError("other totals than before", code="metrology.backwards")
        moved = tuple(
            tuple(new - old for new, old in zip(*rows, strict=True))
            for rows in zip(totals, last, strict=True)
        )
        if min(min(row) for row in moved) < 0:
            raise RemoteProtocolError("a running total went back", code="metrology.backwards")
        self.last = totals
        return moved
