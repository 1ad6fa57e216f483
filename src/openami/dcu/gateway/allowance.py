"""How much of a line displays may have: so much line time and so many requests an hour.

What is not used up is there for a burst, at most an hour's worth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

HOUR_S: Final = 3600.0

STRANGERS: Final = 0.5
"""What may be used up by clients that their meter has not let in: who has no keys, and asks for
all there is, takes nothing from displays that are at work."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What displays may have in an hour.

    Attributes:
        line_s: seconds of the line, for all of them together: a quarter.
        meter_s: seconds of the line for the displays of one meter: a twentieth.
        requests: of the displays of one meter: two of them that look every 30 seconds, and that
            fetch a month of a load profile in blocks.
    """

    line_s: float = 900.0
    meter_s: float = 180.0
    requests: int = 1200


@dataclass(slots=True)
class _Bucket:
    most: float
    level: float
    at: float

    def fill(self, tick: float) -> None:
        self.level = min(self.most, self.level + (tick - self.at) * self.most / HOUR_S)
        self.at = tick

    def empties(self, tick: float, least: float, *, known: bool) -> bool:
        self.fill(tick)
        return self.level < least + (0.0 if known else self.most * (1.0 - STRANGERS))


@dataclass(slots=True)
class _Meter:
    time: _Bucket
    requests: _Bucket


@dataclass(slots=True)
class Allowance:
    """What is left of it.

    Args:
        limits: of an hour.
        tick: now, by a clock that only goes on.
    """

    limits: Limits
    tick: float
    _line: _Bucket = field(init=False)
    _meters: dict[str, _Meter] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._line = _Bucket(self.limits.line_s, self.limits.line_s, self.tick)

    def admits(self, serial: str, tick: float, *, known: bool = True) -> bool:
        """Tell whether another request may be carried to a meter now, and count it if it may.

        Args:
            serial: the meter's.
            tick: now.
            known: the meter has let the client in: it has keys.
        """
        meter = self._meter(serial, tick)
        if any(each.empties(tick, 0.0, known=known) for each in (self._line, meter.time)):
            return False
        if meter.requests.empties(tick, 1.0, known=known):
            return False
        meter.requests.level -= 1
        return True

    def spend(self, serial: str, seconds: float, tick: float) -> None:
        """Take what a request has cost of the line's time: it may cost more than there was."""
        self._line.fill(tick)
        self._line.level -= seconds
        time = self._meter(serial, tick).time
        time.fill(tick)
        time.level -= seconds

    def _meter(self, serial: str, tick: float) -> _Meter:
        if serial not in self._meters:
            time, requests = self.limits.meter_s, float(self.limits.requests)
            self._meters[serial] = _Meter(
                _Bucket(time, time, tick), _Bucket(requests, requests, tick)
            )
        return self._meters[serial]
