"""Events of C12.19 under the names that events of DLMS meters have."""

from __future__ import annotations

from typing import Final

from openami.metrology.events import LOGS, Event, Ring

OWN: Final = "OAM"
"""The maker whose own event codes are those of its DLMS event logs: ourselves."""
OTHERS: Final = "0.0.99.98.30.255"
"""The log of what has no name here: codes are C12.19's, or 2048 and the maker's own."""
_MANUFACTURER: Final = 0x0800
_NUMBERS: Final = {
    Ring.STANDARD_LOG: 0,
    Ring.FRAUD_LOG: 1,
    Ring.DISCONNECT_LOG: 2,
    Ring.COMMUNICATION_LOG: 4,
    Ring.QUALITY_LOG: 5,
    Ring.SECURITY_LOG: 6,
    Ring.POWER_LOG: 7,
    Ring.CLOCK_LOG: 8,
}
# C12.19, ST-72: events that DLMS meters write down, too.
_STANDARD: Final = {
    1: Event.POWER_DOWN,
    2: Event.POWER_UP,
    3: Event.CLOCK_OLD,
    4: Event.CLOCK_NEW,
}
_KNOWN: Final = frozenset(Event)


def named(maker: str, number: int, *, own: bool) -> tuple[str, int, str | None]:
    """Return the log, the code and the detail of an event.

    Args:
        maker: who made the meter.
        number: of the event.
        own: it is one of the maker's, not the standard's.
    """
    ours = own and maker.startswith(OWN) and number in _KNOWN
    event = Event(number) if ours else None if own else _STANDARD.get(number)
    if event is not None and LOGS[event] in _NUMBERS:
        return f"0.0.99.98.{_NUMBERS[LOGS[event]]}.255", int(event), None
    whose = f"of {maker.strip()}" if own else "of C12.19"
    return OTHERS, number | _MANUFACTURER if own else number, f"event {number} {whose}"
