"""Voltage quality and tampering: what of it goes into a meter's logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.metrology.adc.disturbances import Disturbance
from openami.metrology.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from openami.metrology.adc.disturbances import QualityEvent
    from openami.metrology.instant import Phase
    from openami.metrology.state import Counts


REPEAT_S: Final = 60
"""Seconds within which an event of a converter is written down once: what comes and goes with each
cloud does not push all else out of a log. It is counted each time."""

_BEGINS: Final[Mapping[Disturbance, Event]] = {
    Disturbance.SAG: Event.UNDERVOLTAGE_L1,
    Disturbance.SWELL: Event.OVERVOLTAGE_L1,
    Disturbance.INTERRUPTION: Event.MISSING_VOLTAGE_L1,
    Disturbance.REVERSE: Event.EXPORT_BEGAN,
    Disturbance.SEQUENCE: Event.PHASE_SEQUENCE_REVERSED,
    Disturbance.REVERSED_PHASE: Event.CURRENT_REVERSED,
    Disturbance.NO_VOLTAGE: Event.CURRENT_WITHOUT_VOLTAGE,
    Disturbance.MAGNET: Event.MAGNET_DETECTED,
}
_ENDS: Final[Mapping[Disturbance, Event]] = {
    Disturbance.SAG: Event.VOLTAGE_NORMAL_L1,
    Disturbance.SWELL: Event.VOLTAGE_NORMAL_L1,
    Disturbance.INTERRUPTION: Event.VOLTAGE_NORMAL_L1,
    Disturbance.REVERSE: Event.EXPORT_ENDED,
    Disturbance.MAGNET: Event.MAGNET_GONE,
}
_OF_PHASES: Final = frozenset(_ENDS) - {Disturbance.REVERSE, Disturbance.MAGNET}


class ConverterWatch:
    """Turns what a converter saw into a meter's events; forgets with the power what it has told."""

    def __init__(self) -> None:
        self._last: dict[Event, int] = {}
        self._missing: set[int] = set()

    def look(self, events: Iterable[QualityEvent], counts: Counts, second: int) -> Iterator[Event]:
        """Count what begins, and yield the events of the meter.

        Args:
            events: of a converter.
            counts: of the meter.
            second: its clock.
        """
        for found in events:
            for event in self._named(found):
                last = self._last.get(event)
                if last is None or not 0 <= second - last < REPEAT_S:
                    self._last[event] = second
                    yield event
            if found.lasted is None and found.kind in {Disturbance.SAG, Disturbance.INTERRUPTION}:
                counts.sags[found.phase] += 1
            elif found.lasted is None and found.kind is Disturbance.SWELL:
                counts.swells[found.phase] += 1

    def _named(self, found: QualityEvent) -> Iterator[Event]:
        phase, begins = found.phase, found.lasted is None
        shift = phase if found.kind in _OF_PHASES else 0
        deep = found.kind is Disturbance.INTERRUPTION  # which most were not when they began
        if begins or (deep and phase not in self._missing):
            yield Event(_BEGINS[found.kind] + shift)
        if deep and begins:
            self._missing.add(phase)
        elif deep:
            self._missing.discard(phase)
        if not begins and found.kind in _ENDS:
            yield Event(_ENDS[found.kind] + shift)


class VoltageWatch:
    """Remembers which phases lie beyond 10 % of nominal (EN 50160); forgets it with the power."""

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
