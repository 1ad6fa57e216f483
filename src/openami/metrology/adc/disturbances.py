"""Sags, swells, interruptions and reverse energy of many meters, from one pass to the next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.metrology.adc.waves import Floats

SAG: Final = 0.90  # of nominal (EN 50160, IEC 61000-4-30)
SWELL: Final = 1.10
INTERRUPTION: Final = 0.05
HYSTERESIS: Final = 0.02  # IEC 61000-4-30, 5.4.2: of nominal, so that an end is an end


class Disturbance(IntEnum):
    """What begins or ends."""

    SAG = 1
    SWELL = 2
    INTERRUPTION = 3
    REVERSE = 4
    SEQUENCE = 5
    """Three phases turn the wrong way round."""
    REVERSED_PHASE = 6
    """One phase gives while the others take: its current is connected the wrong way round, or
    somebody feeds in there."""
    NO_VOLTAGE = 7
    """A phase has a current and no voltage."""
    MAGNET = 8
    """A channel's zero lies far from where it belongs, as a strong field shifts it."""


@dataclass(frozen=True, slots=True)
class QualityEvent:
    """A disturbance begins, or has ended.

    Args:
        meter: its number in the arrays.
        phase: from 0.
        kind: a sag that falls below 5 % ends as an interruption.
        at: milliseconds from the meter's first sample on to its begin.
        lasted: milliseconds; None if it begins.
        extreme: millivolts furthest from nominal until now; 0 for reverse energy.
    """

    meter: int
    phase: int
    kind: Disturbance
    at: int
    lasted: int | None = None
    extreme: int = 0


@dataclass(slots=True)
class _Begun:
    kind: Disturbance
    at: int
    extreme: float


class VoltageWatch:
    """Follows every phase's voltage step by step.

    Args:
        nominal: V.
        step: milliseconds, as a fraction's value.
    """

    def __init__(self, nominal: float, step: float) -> None:
        self._nominal = nominal
        self._step = step
        self._steps = 0
        self._begun: dict[tuple[int, int], _Begun] = {}

    def look(self, volts: Floats) -> Iterator[QualityEvent]:
        """Yield what begins and ends in the steps of one pass.

        Args:
            volts: V, r.m.s. of every step, (meters, phases, steps).
        """
        low, high = volts.min(-1), volts.max(-1)
        odd = (low < SAG * self._nominal) | (high > SWELL * self._nominal)
        places = {*map(tuple, np.argwhere(odd).tolist()), *self._begun}
        for meter, phase in sorted(places):
            yield from self._follow(meter, phase, volts[meter, phase].tolist())
        self._steps += volts.shape[-1]

    def skip(self, steps: int) -> None:
        """Take note that so many steps were as those before."""
        self._steps += steps

    def _follow(self, meter: int, phase: int, volts: list[float]) -> Iterator[QualityEvent]:
        for number, value in enumerate(volts, self._steps):
            part, begun = value / self._nominal, self._begun.get((meter, phase))
            if begun is not None and _over(begun.kind, part):
                del self._begun[meter, phase]
                yield self._event(meter, phase, begun, number)
                begun = None
            if begun is not None:
                worse = min if begun.kind is Disturbance.SAG else max
                begun.extreme = worse(begun.extreme, value)
            elif part < SAG or part > SWELL:
                kind = Disturbance.SAG if part < SAG else Disturbance.SWELL
                begun = self._begun[meter, phase] = _Begun(kind, number, value)
                yield self._event(meter, phase, begun)

    def _event(
        self, meter: int, phase: int, begun: _Begun, ended: int | None = None
    ) -> QualityEvent:
        deep = begun.extreme < INTERRUPTION * self._nominal
        kind = Disturbance.INTERRUPTION if deep else begun.kind
        lasted = None if ended is None else round((ended - begun.at) * self._step)
        at, extreme = round(begun.at * self._step), round(begun.extreme * 1000)
        return QualityEvent(meter, phase, kind, at, lasted, extreme)


def _over(kind: Disturbance, part: float) -> bool:
    if kind is Disturbance.SAG:
        return part >= SAG + HYSTERESIS
    return part <= SWELL - HYSTERESIS


class ReverseWatch:
    """Tells where energy begins to flow back into the grid, and where that ends."""

    def __init__(self) -> None:
        self._since: dict[tuple[int, int], int] = {}

    def look(self, active: Floats, least: float, at: int) -> Iterator[QualityEvent]:
        """Yield what begins and ends with a pass that began at millisecond ``at``.

        Args:
            active: W, (meters, phases).
            least: W; less counts as neither direction.
            at: when the pass began.
        """
        backward = {*map(tuple, np.argwhere(active <= -least).tolist())}
        for meter, phase in sorted(backward - self._since.keys()):
            self._since[meter, phase] = at
            yield QualityEvent(meter, phase, Disturbance.REVERSE, at)
        for meter, phase in sorted(self._since.keys() - backward):
            since = self._since.pop((meter, phase))
            yield QualityEvent(meter, phase, Disturbance.REVERSE, since, at - since)
