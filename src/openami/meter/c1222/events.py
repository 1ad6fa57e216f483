"""ST-76: the newest events of all logs of the meter, in the order in which they were written.

An event's number counts from the first that the meter ever wrote. The codes are those of
docs/reference/meter-events.md, as codes of the manufacturer.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

from openami.meter.c1222.moments import shown
from openami.meter.c1222.sizes import EVENTS
from openami.metrology.events import LOGS, Event, Ring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.meter.device import Meter
    from openami.metrology.engine import MeterEngine
    from openami.metrology.memory import Row

EVENT_RINGS: Final = tuple(sorted(set(LOGS.values())))
_EXCEPTION_RINGS: Final = frozenset(
    {Ring.FRAUD_LOG, Ring.POWER_LOG, Ring.DISCONNECT_LOG, Ring.SECURITY_LOG}
)
EXCEPTIONS: Final = frozenset(
    {event for event, ring in LOGS.items() if ring in _EXCEPTION_RINGS}
    | {Event.CLOCK_INVALID, Event.MEMORY_ERROR, Event.WATCHDOG_ERROR, Event.APPLICATION_FAILED}
    | {Event.FAILED_UPGRADE_PROCESS, Event.MEASUREMENT_ERROR}
)
"""Events that a host is told of when they happen."""

_U16: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Logged:
    """One event; ``number`` counts all of them from 1, ``sequence`` those of its log."""

    number: int
    at: int
    code: int
    ring: Ring
    sequence: int

    def entry(self) -> dict[str, Any]:
        """Return it as an entry of ST-76."""
        return {
            "EVENT_TIME": shown(self.at),
            "EVENT_SEQ_NBR": self.number & _U16,
            "USER_ID": 0,
            "EVENT_CODE": {"NUMBER": self.code, "MANUFACTURER": True, "SELECTOR": 0},
            "EVENT_ARGUMENT": b"",
        }


def count(engine: MeterEngine) -> int:
    """Return how many events the meter has ever written."""
    return sum(engine.rows[ring].last for ring in EVENT_RINGS)


def marks(engine: MeterEngine) -> dict[str, int]:
    """Return how many events each log has ever held, by its number."""
    return {str(int(ring)): engine.rows[ring].last for ring in EVENT_RINGS}


class EventLog:
    """The newest events of one meter, of all its logs.

    What was written since the last call stands behind what was known then, whatever its times say:
    an event that was read keeps its number when the clock is set back.

    Args:
        meter: the meter.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def follow(self) -> None:
        """Take note of what was written; it is kept with the next commit."""
        record, now = self._meter.c1222, marks(self._meter.engine)
        if now != record.ordered:
            new = merge(*self._rows(record.ordered), key=lambda row: row.time)
            record.order = [*record.order, *(row.ring for row in new)][-EVENTS:]
            record.ordered = now
            self._meter.opened()

    def _rows(self, known: Mapping[str, int]) -> list[list[Row]]:
        """Return the newest rows of each log after those that are known."""
        rows = self._meter.engine.rows
        return [rows[ring].since(known.get(str(int(ring)), 0))[-EVENTS:] for ring in EVENT_RINGS]

    def newest(self) -> list[Logged]:
        """Return the newest events, at most ``EVENTS``, oldest first."""
        self.follow()
        kept = [iter(reversed(rows)) for rows in self._rows({})]
        last = dict(zip(EVENT_RINGS, kept, strict=True))
        found = [next(last[Ring(ring)], None) for ring in reversed(self._meter.c1222.order)]
        chosen = [row for row in reversed(found) if row is not None]  # logs are cleared
        first = count(self._meter.engine) - len(chosen) + 1
        return [
            Logged(first + place, row.time, row.data[-1], Ring(row.ring), row.sequence)
            for place, row in enumerate(chosen)
        ]

    def values(self, read: int) -> dict[str, Any]:
        """Return ST-76; ``read``: the number of the last event that has been read."""
        events, total = self.newest(), count(self._meter.engine)
        entries = [event.entry() for event in events]
        unread = total - read
        return {
            "EVENT_FLAGS": 0x02 if unread > len(events) else 0,  # OVERFLOW
            "NBR_VALID_ENTRIES": len(events),
            "LAST_ENTRY_ELEMENT": max(len(events) - 1, 0),
            "LAST_ENTRY_SEQ_NBR": total,
            "NBR_UNREAD_ENTRIES": min(unread, len(events)),
            "ENTRIES": [*entries, *[_NO_ENTRY] * (EVENTS - len(events))],
        }


_NO_ENTRY: Final = {
    "EVENT_TIME": None,
    "EVENT_SEQ_NBR": 0,
    "USER_ID": 0,
    "EVENT_CODE": {"NUMBER": 0, "MANUFACTURER": False, "SELECTOR": 0},
    "EVENT_ARGUMENT": b"",
}
