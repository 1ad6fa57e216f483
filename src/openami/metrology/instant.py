"""What a meter shows at a moment: voltage, current, power, power factor and frequency per phase.

Everything follows from the present sample by integer arithmetic; only the parts that a source does
not give (how a load spreads over three phases, how the feeder's voltage sags and moves) come from
a small model of the street.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from openami.metrology.sources import Sample

SHARES: Final = {1: (100,), 3: (42, 33, 25)}
"""Per cent of the load on each phase."""

_DROP: Final = 400  # mV for each kW drawn on a phase: a feeder of 0.1 ohm at 230 V, about
_SKEW: Final = (0, -700, 500)  # mV, how far the phases of a street lie apart
_MOVES: Final = 400  # mV either way, from one ten seconds to the next
_HASH: Final = 2_654_435_761  # Knuth's multiplier: spreads neighbouring moments


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase.

    Args:
        voltage: mV to neutral.
        current: mA.
        active: mW, negative when exported.
        reactive: mvar.
    """

    voltage: int
    current: int
    active: int
    reactive: int

    @property
    def factor(self) -> int:
        """Power factor in thousandths, signed as the active power; 1000 without a load."""
        return _factor(self.active, self.reactive)


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
        """Return mVA."""
        return math.isqrt(self.active**2 + self.reactive**2)

    @property
    def factor(self) -> int:
        """Power factor in thousandths."""
        return _factor(self.active, self.reactive)

    @property
    def neutral(self) -> int:
        """Current in the neutral in mA: the sum of the phases' currents at 120 degrees."""
        if len(self.phases) == 1:
            return self.phases[0].current
        a, b, c = (phase.current for phase in self.phases)
        return math.isqrt(a * a + b * b + c * c - a * b - b * c - c * a)


def _factor(active: int, reactive: int) -> int:
    power = math.isqrt(active**2 + reactive**2)
    return 1000 if power == 0 else int(active * 1000 / power)


def _noise(moment: int, salt: int, width: int) -> int:
    spread = ((moment + salt * 977) * _HASH) >> 7
    return spread % (2 * width + 1) - width


def instant(
    sample: Sample, *, phases: int, nominal: int = 230_000, frequency: int = 5000, second: int = 0
) -> Instant:
    """Return what a meter with 1 or 3 ``phases`` shows for ``sample``.

    Args:
        sample: the power that flows, over all phases.
        phases: 1 or 3.
        nominal: the feeder's voltage in mV.
        frequency: the grid's, in hundredths of a hertz.
        second: the moment, for the movement of voltage and frequency.
    """
    moment = second // 10
    shown = tuple(
        _phase(sample, share, sample.voltage or nominal + _noise(moment, place, _MOVES), place)
        for place, share in enumerate(SHARES[phases])
    )
    return Instant(shown, sample.active, sample.reactive, frequency + _noise(moment, 7, 2))


def _phase(sample: Sample, share: int, voltage: int, place: int) -> Phase:
    active, reactive = sample.active * share // 100, sample.reactive * share // 100
    if not sample.voltage:
        voltage += _SKEW[place] - active * _DROP // 1_000_000
    power = math.isqrt(active**2 + reactive**2)
    return Phase(voltage, power * 1000 // voltage if voltage > 0 else 0, active, reactive)
