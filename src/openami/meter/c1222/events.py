"""ST-76: the newest events of all logs of the meter, in the order of their times.

An event's number counts from the first that the meter ever wrote; those of one second stand in the
order of their logs. The codes are those of
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
    from openami.metrology.engine import MeterEngine

EVENT_RINGS: Final = tuple(sorted(set(LOGS.values())))
_EXCEPTION_RINGS: Final = frozenset(
    {Ring.FRAUD_LOG, Ring.POWER_LOG, Ring.DISCONNECT_LOG, Ring.SECURITY_LOG}
)
EXCEPTIONS: Final = frozenset(
    {event for event, ring in LOGS.items() if ring in _EXCEPTION_RINGS}
    | {Event.CLOCK_INVALID, Event.MEMORY_ERROR, Event.WATCHDOG_ERROR, Event.APPLICATION_FAILED}
    | {Event.FAILED_UPGRADE_PROCESS}
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


def newest(engine: MeterEngine) -> list[Logged]:
    """Return the newest events, at most ``EVENTS``, oldest first."""
    kept = merge(
        *(
            [(row.time, ring, row) for row in engine.rows[ring].since(0)[-EVENTS:]]
            for ring in EVENT_RINGS
        ),
        key=lambda each: each[0],
    )
    chosen = list(kept)[-EVENTS:]
    first = count(engine) - len(chosen) + 1
    return [
        Logged(first + place, at, row.data[-1], ring, row.sequence)
        for place, (at, ring, row) in enumerate(chosen)
    ]


def marks(engine: MeterEngine) -> dict[str, int]:
    """Return how many events each log has ever held, by its number."""
    return {str(int(ring)): engine.rows[ring].last for ring in EVENT_RINGS}


def event_log(engine: MeterEngine, read: int) -> dict[str, Any]:
    """Return ST-76; ``read``: the number of the last event that has been read."""
    events, total = newest(engine), count(engine)
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
