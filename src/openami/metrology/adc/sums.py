"""One pass over the samples of many meters: the sums that all measurement follows from.

Codes are whole numbers of 16 bits at most, so that every sum and product below is a whole number
under 2**53 and exact in float64, in whatever order a library adds it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from openami.metrology.adc.frontend import Codes
    from openami.metrology.adc.waves import Floats, Phasors

WINDOW: Final = Fraction(1, 10)
"""Seconds: whole cycles at 50 and at 60 Hz, half of the basic interval of IEC 61000-4-30."""

LONGEST: Final = 60
"""Seconds of one pass: products of 30 bits at 8,000 a second stay under 2**53 for longer."""

_CHUNK: Final = 1 << 18  # values worked on at a time: what stays in the reach of a core's cache


@dataclass(frozen=True, slots=True)
class Plan:
    """How samples are cut.

    Args:
        rate: samples per second.
        frequency: nominal, Hz.
    """

    rate: int = 4000
    frequency: int = 50

    def __post_init__(self) -> None:
        window = self.rate * WINDOW
        if window.denominator != 1 or self.window % self.step or self.rate > 8000:
            raise ValueError(f"{self.rate} samples a second do not fit {self.frequency} Hz")
        if self.rate < 20 * self.frequency or (self.frequency * WINDOW).denominator != 1:
            raise ValueError("a meter takes 20 samples of a cycle at least, at 50 or 60 Hz")

    @property
    def step(self) -> int:
        """Samples of the shortest whole number of half cycles, the voltage's r.m.s. steps."""
        return Fraction(self.rate, 2 * self.frequency).numerator

    @property
    def window(self) -> int:
        """Samples of a ``WINDOW``."""
        return int(self.rate * WINDOW)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Of one pass over ``samples``, in codes.

    Args:
        plan: how it was cut.
        samples: how many, of each channel.
        plain: sums of v, i, v², i², v·i, (5, meters, phases): exact whole numbers.
        means: the same as means that weigh the middle of every window more, so that no part of a
            cycle is left over.
        squares: means of v² of every step, (meters, phases, steps), with the offset in them.
        phasors: fundamental of every window, (2, meters, phases, windows), against the nominal
            frequency, of a wave of exactly that.
    """

    plan: Plan
    samples: int
    plain: Floats
    means: Floats
    squares: Floats
    phasors: Phasors


def _hann(size: int) -> Floats:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(size) + 0.5) / size))


def _basis(plan: Plan) -> Floats:
    """Return what a window is multiplied with: a cosine and a sine, weighed by Hann."""
    weights = _hann(plan.window)
    angles = 2 * np.pi * plan.frequency / plan.rate * np.arange(plan.window)
    pair = np.stack((np.cos(angles), -np.sin(angles)), axis=-1)
    return np.asarray(pair * (weights * np.sqrt(2) / weights.sum())[:, None])


def add_up(samples: Codes, plan: Plan) -> Sums:
    """Return the sums of samples (2, meters, phases, count).

    Raises:
        ValueError: they are not whole windows, two at least and ``LONGEST`` seconds at most.
    """
    two, meters, phases, count = samples.shape
    if two != 2 or count % plan.window or not 2 * plan.window <= count <= LONGEST * plan.rate:
        raise ValueError("samples are of volts and amperes, for whole tenths of a second")
    chunk = max(1, _CHUNK // (2 * phases * count))
    parts = [
        _pass(samples[:, at : at + chunk].astype(np.float64), plan)
        for at in range(0, meters, chunk)
    ]
    plain, means, squares, phasors = (
        np.concatenate(each, axis=axis)
        for each, axis in zip(zip(*parts, strict=True), (1, 1, 0, 1), strict=True)
    )
    return Sums(plan, count, plain, means, squares, phasors)


def _pass(values: Floats, plan: Plan) -> tuple[Floats, Floats, Floats, Phasors]:
    _, meters, phases, count = values.shape
    products = np.empty((5, *values.shape[1:]))
    products[:2] = values
    np.multiply(values, values, out=products[2:4])
    np.multiply(values[0], values[1], out=products[4])
    steps = products[2].reshape(meters, phases, count // plan.step, plan.step)
    windows = products.reshape(5, meters, phases, count // plan.window, plan.window)
    weights = _hann(plan.window)
    pairs = windows[:2] @ _basis(plan)
    return (
        products @ np.ones(count),
        (windows @ (weights / weights.sum())).mean(-1),
        steps @ np.full(plan.step, 1 / plan.step),
        pairs[..., 0] + 1j * pairs[..., 1],
    )
