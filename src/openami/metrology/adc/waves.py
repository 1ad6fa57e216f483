"""Voltages and currents as phasors of their harmonics, and as what a converter would see of them.

One frequency holds for all: the meters are on one grid. A phasor's length is the r.m.s. value, its
angle that of a cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Phasors = NDArray[np.complex128]

ORDERS: Final = (1, 3, 5, 7, 9, 11, 13, 15)
"""The harmonics that a wave has; even ones are next to none in what people plug in."""

_H: Final = np.array(ORDERS)


def harmonics(fundamental: complex, parts: Sequence[complex] = ()) -> Phasors:
    """Return the phasors of ``ORDERS``: the fundamental, and parts of it from the 3rd on.

    The angle of a part is that between the harmonic and its order times the fundamental's angle, so
    that the form of the wave is the same whatever its phase.
    """
    row = np.zeros(len(ORDERS), complex)
    row[0] = 1
    row[1 : 1 + len(parts)] = parts
    return np.asarray(row * abs(fundamental) * np.exp(1j * _H * np.angle(fundamental)), complex)


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """What is on the lines of some meters, for as long as it does not change.

    Args:
        frequency: Hz.
        volts: phasors in V, (meters, phases, orders).
        amps: phasors in A, of the same shape.
    """

    frequency: float
    volts: Phasors
    amps: Phasors

    @property
    def active(self) -> Floats:
        """W of each phase, all harmonics together."""
        return np.asarray((self.volts * self.amps.conj()).real.sum(-1))

    @property
    def fundamental(self) -> Floats:
        """W of each phase at the grid's frequency."""
        return np.asarray((self.volts[..., 0] * self.amps[..., 0].conj()).real)

    @property
    def reactive(self) -> Floats:
        """Var of each phase, of the fundamental; positive when inductive."""
        return np.asarray((self.volts[..., 0] * self.amps[..., 0].conj()).imag)

    @property
    def rms(self) -> Floats:
        """V and A of each phase, (2, meters, phases)."""
        return np.asarray(np.linalg.norm(np.stack((self.volts, self.amps)), axis=-1))


def stack(waves: Sequence[Wave]) -> Wave:
    """Return the waves of some meters, all of one frequency, as one.

    Raises:
        ValueError: there are none, or of several frequencies.
    """
    if len({wave.frequency for wave in waves}) != 1:
        raise ValueError("meters of one pass are on one grid, with one frequency")
    volts = np.concatenate([wave.volts for wave in waves])
    return Wave(waves[0].frequency, volts, np.concatenate([wave.amps for wave in waves]))


def synthesise(
    phasors: Phasors,
    frequency: float,
    *,
    rate: int,
    start: int,
    count: int,
    delay: ArrayLike = 0.0,
) -> Floats:
    """Return ``count`` instantaneous values at ``rate`` per second, from sample ``start`` on.

    Args:
        phasors: (meters, phases, orders).
        frequency: Hz; constant since sample 0.
        rate: samples per second.
        start: number of the first sample.
        count: how many.
        delay: seconds that the values lag, broadcast to (meters, phases).
    """
    late = np.exp(-2j * np.pi * frequency * np.asarray(delay)[..., None] * _H)
    turned = phasors * late * np.sqrt(2)
    there = np.flatnonzero(turned.reshape(-1, len(ORDERS)).any(axis=0))
    turned = turned[..., there]
    turns = (start * frequency / rate) % 1 + np.arange(count) * (frequency / rate)
    angles = 2 * np.pi * _H[there, None] * turns
    basis = np.concatenate((np.cos(angles), -np.sin(angles)))
    parts = np.concatenate((turned.real, turned.imag), axis=-1)
    return np.asarray(parts @ basis)
