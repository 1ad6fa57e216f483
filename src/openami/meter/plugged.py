"""Loads that are plugged in and used by a timetable, as what flows through a meter.

The models of ``openami.metrology.adc.loads`` say what a load draws second by second; a source says
until when a sample holds. So a load comes with the seconds of its timetable at which it is looked
at anew: each second where it starts, once where it runs evenly.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.metrology.adc.loads import Electronics, Heater, Motor, Solar, Vehicle
from openami.metrology.adc.waves import ORDERS, harmonics
from openami.metrology.clock import SECOND
from openami.metrology.sources import NOTHING, Sample, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.metrology.adc.loads import Load

_VOLTS: Final = 230.0
"""What the models are asked at: powers are then what was asked for, whatever the meter's grid."""

_DAY: Final = 86_400
_HOUR: Final = 3600
_STEP_S: Final = 60  # of the paper's heater
_CYCLE_S: Final = 30 * 60  # of a compressor or a pump
_RUNS_S: Final = 10 * 60
_START_S: Final = range(9)  # after which a motor draws what it draws
_RAMP_S: Final = range(10)
_CHARGE: Final = (22 * _HOUR, 4 * _HOUR)
_SUN: Final = (6 * _HOUR, 19 * _HOUR)
_LEAST_A: Final = 1e-6
_LEAST_PART: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Plugged:
    """A load and its timetable.

    Args:
        load: what it draws.
        period: seconds of local time after which its timetable begins again.
        moments: seconds of the period at which it is looked at anew, from 0 on, ascending.
    """

    load: Load
    period: int
    moments: tuple[int, ...]

    def piece(self, local: int) -> tuple[int, int]:
        """Return the moment that holds at a local microsecond, and how many it holds on."""
        position = local % (self.period * SECOND)
        place = bisect_right(self.moments, position // SECOND)
        end = self.moments[place] if place < len(self.moments) else self.period
        return self.moments[place - 1], end * SECOND - position


@dataclass(frozen=True, slots=True)
class PluggedSource:
    """Loads on one supply, at a place ``offset`` seconds ahead of UTC."""

    loads: tuple[Plugged, ...]
    offset: int = 0

    def at(self, world: int) -> Segment:
        local = world + self.offset * SECOND
        moments, lasts = zip(*(each.piece(local) for each in self.loads), strict=True)
        loads = tuple(each.load for each in self.loads)
        return Segment(_sample(loads, moments), world + min(lasts))


@lru_cache(maxsize=4096)
def _sample(loads: tuple[Load, ...], moments: tuple[int, ...]) -> Sample:
    """Return what loads draw together, each at a moment of its own timetable."""
    volts = harmonics(_VOLTS)
    pairs = zip(loads, moments, strict=True)
    amps = np.sum([load.amps(moment, volts) for load, moment in pairs], axis=0)
    size = abs(amps[0])
    if size < _LEAST_A:
        return NOTHING
    power = _VOLTS * 1000 * complex(amps[0])
    parts = amps[1:] / size * np.exp(-1j * np.angle(amps[0]) * np.array(ORDERS[1:]))
    shape = tuple(complex(part) for part in parts) if abs(parts).max() > _LEAST_PART else ()
    return Sample(round(power.real), round(-power.imag), shape=shape)


def _heater(watts: float) -> Plugged:
    steps = tuple((_STEP_S * step, step) for step in range(3))
    load = Heater((0.0, watts / 2, watts), steps, nominal=_VOLTS)
    return Plugged(load, 3 * _STEP_S, tuple(begin for begin, _ in steps))


def _motor(watts: float) -> Plugged:
    return Plugged(Motor(watts, runs=_RUNS_S), _CYCLE_S, (*_START_S, _RUNS_S))


def _solar(watts: float) -> Plugged:
    rise, fall = _SUN
    return Plugged(Solar(watts, rise, fall), _DAY, (0, *range(rise, fall + 1, 60)))


def _vehicle(watts: float) -> Plugged:
    begin, lasts = _CHARGE
    load = Vehicle(watts / _VOLTS / math.cos(math.radians(3)), begin, lasts)
    moments = chain([0, (begin + lasts) % _DAY], (begin + each for each in _RAMP_S))
    return Plugged(load, _DAY, tuple(moments))


LOADS: Final[Mapping[str, tuple[float, Callable[[float], Plugged]]]] = {
    "heater": (1200.0, _heater),
    "motor": (400.0, _motor),
    "electronics": (150.0, lambda watts: Plugged(Electronics(watts), _DAY, (0,))),
    "solar": (3000.0, _solar),
    "vehicle": (7000.0, _vehicle),
}
"""By name: the watts that a load has if nothing is said, and what makes one of so many watts."""
