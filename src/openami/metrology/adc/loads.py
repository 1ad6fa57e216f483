"""What is plugged in: loads that make currents out of a voltage, second by second.

The forms of currents are those that measurements of such appliances commonly show; they are models
for tests and demos, not data of a certain product.
"""

from __future__ import annotations

import cmath
import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from openami.metrology.adc.disturbances import INTERRUPTION
from openami.metrology.adc.waves import ORDERS, Wave, harmonics
from openami.metrology.phases import SHARES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.metrology.adc.waves import Phasors
    from openami.metrology.sources import Sample

_NOTHING: Final = np.zeros(len(ORDERS), complex)
_DAY: Final = 86_400

PULSES: Final = (-0.81, 0.61, -0.37, 0.16, -0.02, -0.06, 0.08)
"""Harmonics of what a rectifier with a capacitor draws, from the 3rd on."""

PULSE_LEAD: Final = math.radians(8)
"""How far its fundamental leads the voltage."""

MOTOR: Final = (0.02, 0.03, 0.015)
"""Harmonics of what an induction motor draws."""


class Load(Protocol):
    """What draws a current."""

    def amps(self, second: float, volts: Phasors) -> Phasors:
        """Return the phasors of its current in a second, at the voltage (orders,)."""
        ...


@dataclass(frozen=True, slots=True)
class Heater:
    """The paper's heater: a resistance with steps.

    Args:
        watts: of each step at ``nominal``; step 0 is off.
        steps: from which second on which step holds.
        nominal: V.
    """

    watts: Sequence[float] = (0.0, 600.0, 1200.0)
    steps: Sequence[tuple[float, int]] = ((0, 0), (60, 1), (120, 2))
    nominal: float = 220.0

    def amps(self, second: float, volts: Phasors) -> Phasors:
        place = bisect_right([begin for begin, _ in self.steps], second) - 1
        step = self.steps[place][1] if place >= 0 else 0
        return volts * (self.watts[step] / self.nominal**2)


@dataclass(frozen=True, slots=True)
class Motor:
    """An induction motor: lags, and draws several times as much while it starts.

    Args:
        watts: running.
        factor: power factor, running; a third of it when it starts.
        starts: seconds at which it is switched on.
        runs: for how many seconds.
    """

    watts: float = 400.0
    factor: float = 0.75
    starts: Sequence[float] = (0,)
    runs: float = math.inf

    def amps(self, second: float, volts: Phasors) -> Phasors:
        since = min((second - each for each in self.starts if each <= second), default=math.inf)
        if since >= self.runs or math.isinf(since):
            return _NOTHING
        inrush = 5 * math.exp(-2 * since)
        factor = self.factor * (1 - 2 / 15 * inrush)
        size = self.watts * (1 + inrush) / (abs(volts[0]) * self.factor)
        return harmonics(cmath.rect(size, cmath.phase(volts[0]) - math.acos(factor)), MOTOR)


@dataclass(frozen=True, slots=True)
class Electronics:
    """A rectifier with a capacitor, as in lamps, screens and chargers: pulses at the crests."""

    watts: float = 150.0

    def amps(self, second: float, volts: Phasors) -> Phasors:  # noqa: ARG002 - the port's argument
        turn = cmath.phase(volts[0]) + PULSE_LEAD
        size = self.watts / (abs(volts[0]) * math.cos(PULSE_LEAD))
        return harmonics(cmath.rect(size, turn), PULSES)


@dataclass(frozen=True, slots=True)
class Solar:
    """Panels behind an inverter: feed in between sunrise and sunset, most at noon.

    Args:
        watts: at noon.
        rise: second of the day.
        fall: second of the day.
    """

    watts: float = 3000.0
    rise: float = 6 * 3600
    fall: float = 19 * 3600

    def amps(self, second: float, volts: Phasors) -> Phasors:
        part = (second % _DAY - self.rise) / (self.fall - self.rise)
        if not 0 < part < 1:
            return _NOTHING
        size = self.watts * math.sin(math.pi * part) ** 2 / abs(volts[0])
        return harmonics(-cmath.rect(size, cmath.phase(volts[0])), (0.015, 0.02, 0.01))


@dataclass(frozen=True, slots=True)
class Vehicle:
    """An electric vehicle's charger: rises to its current within ten seconds and stays there.

    Args:
        current: A.
        begin: second of the day.
        lasts: seconds.
    """

    current: float = 32.0
    begin: float = 22 * 3600
    lasts: float = 4 * 3600

    def amps(self, second: float, volts: Phasors) -> Phasors:
        since = (second - self.begin) % _DAY
        if since >= self.lasts:
            return _NOTHING
        size = self.current * min(1.0, (since + 1) / 10)
        return harmonics(
            cmath.rect(size, cmath.phase(volts[0]) - math.radians(3)), (0.03, 0.02, 0.01)
        )


def wave_of(sample: Sample, *, voltage: float, frequency: float, phases: int = 1) -> Wave:
    """Return one meter's wave of a sample; the current follows from powers, voltage and shape.

    Where there is no voltage it is that which the powers have at the nominal one: so looks a load
    to a meter whose link to the voltage was opened.

    Args:
        sample: active and reactive power, and the voltage where it is known.
        voltage: nominal, V: also where it is not.
        frequency: Hz.
        phases: 1 or 3, which share the power as the meter's own model does.
    """
    size = voltage if sample.voltage is None else sample.voltage / 1000
    loaded = size if size >= INTERRUPTION * voltage else voltage
    turns = np.exp(-2j * np.pi / 3 * np.arange(phases))
    power = complex(sample.active, -sample.reactive) / 1000
    rows = [
        (harmonics(size * turn), harmonics(power * share / 100 / loaded * turn, sample.shape))
        for share, turn in zip(SHARES[phases], turns.tolist(), strict=True)
    ]
    volts, amps = (np.stack(each)[None] for each in zip(*rows, strict=True))
    return Wave(frequency, volts, amps)


@dataclass(frozen=True, slots=True)
class Home:
    """A meter with loads on its phases.

    Args:
        phases: the loads of each phase; three lie 120 degrees apart.
        voltage: V to neutral without a load.
        frequency: Hz.
        ohms: of the line to it: loads pull the voltage down.
        distortion: parts of the voltage's harmonics from the 3rd on.
    """

    phases: Sequence[Sequence[Load]]
    voltage: float = 220.0
    frequency: float = 60.0
    ohms: float = 0.1
    distortion: Sequence[complex] = (0.005, 0.02, 0.01)

    def wave(self, second: float) -> Wave:
        """Return the wave of a second, of one meter."""
        pairs = [self._phase(number, second) for number in range(len(self.phases))]
        volts, amps = (np.stack(each)[None] for each in zip(*pairs, strict=True))
        return Wave(self.frequency, volts, amps)

    def _phase(self, number: int, second: float) -> tuple[Phasors, Phasors]:
        free = harmonics(cmath.rect(self.voltage, -number * 2 * math.pi / 3), self.distortion)
        volts = free - self.ohms * self._amps(number, second, free)
        return volts, self._amps(number, second, volts)

    def _amps(self, number: int, second: float, volts: Phasors) -> Phasors:
        return np.asarray(sum((load.amps(second, volts) for load in self.phases[number]), _NOTHING))
