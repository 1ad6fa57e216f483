"""Voltage quality: when a phase begins to lie beyond 10 % of nominal (EN 50160)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.metrology.instant import Phase
    from openami.metrology.state import Counts


class VoltageWatch:
    """Remembers which phases are low or high; forgets it with the power."""

    def __init__(self, nominal: int) -> None:
        self._nominal = nominal
        self._outside: dict[int, Event] = {}

    def look(self, phases: tuple[Phase, ...], counts: Counts) -> Iterator[Event]:
        """Count what begins now, and yield its event."""
        for place, phase in enumerate(phases):
            event = self._judge(place, phase.voltage)
            if event is None:
                self._outside.pop(place, None)
            elif self._outside.get(place) != event:
                self._outside[place] = event
                low = event < Event.OVERVOLTAGE_L1
                (counts.sags if low else counts.swells)[place] += 1
                yield event

    def _judge(self, place: int, voltage: int) -> Event | None:
        if voltage * 10 < self._nominal * 9:
            return Event(Event.UNDERVOLTAGE_L1 + place)
        if voltage * 10 > self._nominal * 11:
            return Event(Event.OVERVOLTAGE_L1 + place)
        return None
