"""What a meter shows at a moment: voltage, current, power, power factor and frequency per phase.

Everything follows from the present sample by integer arithmetic; only the parts that a source does
not give (how a load spreads over three phases, how the feeder's voltage sags and moves) come from
a small model of the street.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.metrology.config import EUROPE
from openami.metrology.phases import spread

if TYPE_CHECKING:
    from openami.metrology.config import Grid
    from openami.metrology.sources import Sample

_TURNS: Final = (0, 120_000, -120_000)
_DROP: Final = 400  # mV for each kW drawn on a phase: a feeder of 0.1 ohm at 230 V, about
_SKEW: Final = (0, -700, 500)  # mV, how far the phases of a street lie apart
_MOVES: Final = 400  # mV either way, from one ten seconds to the next
_HASH: Final = 2_654_435_761  # Knuth's multiplier: spreads neighbouring moments


@dataclass(frozen=True, slots=True)
class Known:
    """What a converter knows of a phase besides.

    Args:
        apparent: mVA, of all harmonics.
        factor: power factor in thousandths, signed as the active power.
        angle: thousandths of a degree that the current lags.
        fundamental: mW of the fundamental.
        voltage_thd: ten-thousandths.
        current_thd: ten-thousandths.
        turn: thousandths of a degree that the voltage lags the first phase's.
    """

    apparent: int
    factor: int
    angle: int
    fundamental: int
    voltage_thd: int
    current_thd: int
    turn: int


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase.

    Args:
        voltage: mV to neutral.
        current: mA.
        active: mW, negative when exported.
        reactive: mvar.
        known: what was measured besides; None: the load is a model's, a plain sine.
    """

    voltage: int
    current: int
    active: int
    reactive: int
    known: Known | None = None

    @property
    def apparent(self) -> int:
        """Return mVA."""
        known = self.known
        return math.isqrt(self.active**2 + self.reactive**2) if known is None else known.apparent

    @property
    def factor(self) -> int:
        """Power factor in thousandths, signed as the active power; 1000 without a load."""
        known = self.known
        return _factor(self.active, self.reactive) if known is None else known.factor

    @property
    def angle(self) -> int:
        """Thousandths of a degree that the current lags, -180000 to 180000."""
        if self.known is not None:
            return self.known.angle
        return round(math.degrees(math.atan2(self.reactive, self.active)) * 1000)

    @property
    def fundamental(self) -> int:
        """Return mW of the fundamental."""
        return self.active if self.known is None else self.known.fundamental

    @property
    def voltage_thd(self) -> int:
        """All of the voltage but its fundamental, in ten-thousandths of that."""
        return 0 if self.known is None else self.known.voltage_thd

    @property
    def current_thd(self) -> int:
        """All of the current but its fundamental, in ten-thousandths of that."""
        return 0 if self.known is None else self.known.current_thd

    @property
    def unloaded(self) -> Phase:
        """The same voltage without any current."""
        known = self.known
        if known is not None:
            known = Known(0, 1000, 0, 0, known.voltage_thd, 0, known.turn)
        return Phase(self.voltage, 0, 0, 0, known)


@dataclass(frozen=True, slots=True)
class Instant:
    """All phases, and what concerns them together."""

    phases: tuple[Phase, ...]
    active: int
    reactive: int
    frequency: int
    """Hundredths of a hertz."""

    @property
    def apparent(self) -> int:
        """Return mVA; where phases were measured, their sum."""
        if self._measured:
            return sum(phase.apparent for phase in self.phases)
        return math.isqrt(self.active**2 + self.reactive**2)

    @property
    def factor(self) -> int:
        """Power factor in thousandths."""
        if self._measured:
            whole = self.apparent
            return int(max(-1000, min(1000, self.active * 1000 / whole))) if whole else 1000
        return _factor(self.active, self.reactive)

    @property
    def fundamental(self) -> int:
        """Return mW of the fundamental."""
        return sum(phase.fundamental for phase in self.phases)

    @property
    def voltage_thd(self) -> int:
        """The most distorted voltage, in ten-thousandths."""
        return max(phase.voltage_thd for phase in self.phases)

    @property
    def current_thd(self) -> int:
        """The most distorted current, in ten-thousandths."""
        return max(phase.current_thd for phase in self.phases)

    @property
    def unloaded(self) -> Instant:
        """The same voltages without any current."""
        return Instant(tuple(phase.unloaded for phase in self.phases), 0, 0, self.frequency)

    def turn(self, place: int) -> int:
        """Return how far a phase's voltage lags the first one's, in thousandths of a degree."""
        known = self.phases[place].known
        return _TURNS[place] if known is None else known.turn

    @property
    def _measured(self) -> bool:
        return all(phase.known is not None for phase in self.phases)

    @property
    def neutral(self) -> int:
        """Current in the neutral in mA: the sum of the phases' currents.

        Where phases were not measured, their currents lie 120 degrees apart.
        """
        if len(self.phases) == 1:
            return self.phases[0].current
        if self._measured:
            return round(abs(sum(self._phasor(place) for place in range(3))))
        a, b, c = (phase.current for phase in self.phases)
        return math.isqrt(a * a + b * b + c * c - a * b - b * c - c * a)

    def _phasor(self, place: int) -> complex:
        phase = self.phases[place]
        return cmath.rect(phase.current, -math.radians((self.turn(place) + phase.angle) / 1000))


def _factor(active: int, reactive: int) -> int:
    power = math.isqrt(active**2 + reactive**2)
    return 1000 if power == 0 else int(active * 1000 / power)


def _noise(moment: int, salt: int, width: int) -> int:
    spread = ((moment + salt * 977) * _HASH) >> 7
    return spread % (2 * width + 1) - width


def instant(sample: Sample, *, phases: int, grid: Grid = EUROPE, second: int = 0) -> Instant:
    """Return what a meter with 1 or 3 ``phases`` shows for ``sample``.

    Args:
        sample: the power that flows, over all phases.
        phases: 1 or 3.
        grid: the feeder's voltage and frequency.
        second: the moment, for the movement of voltage and frequency.
    """
    moment = second // 10
    powers = zip(spread(sample.active, phases), spread(sample.reactive, phases), strict=True)
    shown = tuple(
        _phase(
            power,
            grid.nominal + _noise(moment, place, _MOVES) + _SKEW[place] - _dropped(power[0])
            if sample.voltage is None
            else sample.voltage,
        )
        for place, power in enumerate(powers)
    )
    return Instant(shown, sample.active, sample.reactive, grid.frequency + _noise(moment, 7, 2))


def _dropped(active: int) -> int:
    return active * _DROP // 1_000_000


def _phase(power: tuple[int, int], voltage: int) -> Phase:
    active, reactive = power
    apparent = math.isqrt(active**2 + reactive**2)
    return Phase(voltage, apparent * 1000 // voltage if voltage > 0 else 0, active, reactive)
