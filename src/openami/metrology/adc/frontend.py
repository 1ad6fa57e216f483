"""Front ends: from the mains to the codes of a converter, with the errors that real ones have.

The paper's front end is kept to the letter: 220 V stepped down and divided to 5 V peak to peak, a
current transformer that gives 55 mV for each ampere, ten bits for 0 to 5 V. To the letter it is
full at 220 V and at 32 A; its 100 A would be 15.6 V peak to peak. ``PAPER_100A`` is the same
converter behind dividers that leave room for 264 V and 100 A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.metrology.adc.waves import synthesise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from openami.metrology.adc.waves import Floats, Phasors, Wave

    Codes = NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """One input of the converter. Errors are numbers, or arrays over (meters, phases).

    Args:
        peak: V or A of the mains at the end of the converter's scale.
        bits: of a code, at most 16.
        noise: r.m.s., in codes.
        offset: codes at rest.
        gain: relative error.
        delay: seconds that it lags: the transformer's phase error and, where one converter takes
            its inputs in turn, the time between them.
    """

    peak: float
    bits: int
    noise: float = 0.0
    offset: float | Floats = 0.0
    gain: float | Floats = 0.0
    delay: float | Floats = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise ValueError("a converter has 2 to 16 bits")

    def convert(self, values: Floats, chance: np.random.Generator) -> Codes:
        """Return the codes of instantaneous values (meters, phases, samples), which it may alter.

        Beyond its scale the converter stays at its end.
        """
        half = 1 << (self.bits - 1)
        values *= (1 + np.asarray(self.gain)[..., None]) * (half / self.peak)
        values += np.asarray(self.offset)[..., None]
        if self.noise:
            values += self.noise * chance.standard_normal(values.shape, np.float32)
        np.rint(values, out=values)
        return values.clip(-half, half - 1, out=values).astype(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class FrontEnd:
    """A meter's input.

    Args:
        name: on the command line.
        title: what it is.
        meter_class: of IEC 62053 that a meter with it is meant to keep.
        volts: the voltage's channel.
        amps: the current's.
        voltage: nominal, V.
        frequency: nominal, Hz.
        basic: basic current (IEC 62053-21) or nominal one (IEC 62053-22), A.
        maximum: the largest current at which the class is meant to hold, A.
        rate: samples per second.
    """

    name: str
    title: str
    meter_class: str
    volts: Channel
    amps: Channel
    voltage: float = 220.0
    frequency: int = 60
    basic: float = 10.0
    maximum: float = 100.0
    rate: int = 4000

    def sample(self, wave: Wave, *, start: int, count: int, chance: np.random.Generator) -> Codes:
        """Return samples ``start`` to ``start + count`` of a wave, (2, meters, phases, count)."""

        def channel(which: Channel, phasors: Phasors) -> Codes:
            values = synthesise(
                phasors, wave.frequency, rate=self.rate, start=start, count=count, delay=which.delay
            )
            return which.convert(values, chance)

        return np.stack((channel(self.volts, wave.volts), channel(self.amps, wave.amps)))


_VOLTS: Final = 1.2 * 220 * math.sqrt(2)
_AMPS: Final = 1.05 * 100 * math.sqrt(2)
_MULTIPLEXED: Final = 30e-6  # s; the current is taken 25 µs after the voltage, 5 µs are the CT's

PAPER: Final = FrontEnd(
    "paper",
    "10 bits, 220 V at 5 V peak to peak, CT of 55 mV/A, to the letter",
    "1",
    Channel(220 * math.sqrt(2), 10, noise=0.5, offset=-1.5, gain=-0.01),
    Channel(2.5 / 0.055, 10, noise=0.5, offset=2.25, gain=0.015, delay=_MULTIPLEXED),
)
PAPER_100A: Final = FrontEnd(
    "paper-100a",
    "10 bits, divided for 264 V and 100 A",
    "1",
    Channel(_VOLTS, 10, noise=0.5, offset=-1.5, gain=-0.01),
    Channel(_AMPS, 10, noise=0.5, offset=2.25, gain=0.015, delay=_MULTIPLEXED),
)
PAPER_QUIET: Final = FrontEnd(
    "paper-quiet",
    "as paper-100a, without any noise to spread the codes",
    "1",
    Channel(_VOLTS, 10, offset=-1.5, gain=-0.01),
    Channel(_AMPS, 10, offset=2.25, gain=0.015, delay=_MULTIPLEXED),
)
SIGMA_DELTA: Final = FrontEnd(
    "sigma-delta",
    "16-bit sigma-delta, 85 dB, 264 V and 100 A",
    "0.5S",
    Channel(_VOLTS, 16, noise=1.3, offset=-37.5, gain=0.012),
    Channel(_AMPS, 16, noise=1.3, offset=21.25, gain=-0.02, delay=8e-6),
)

FRONT_ENDS: Final[Mapping[str, FrontEnd]] = {
    each.name: each for each in (PAPER, PAPER_100A, PAPER_QUIET, SIGMA_DELTA)
}
"""By name."""
