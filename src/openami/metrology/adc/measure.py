"""From sums to what a meter shows: r.m.s. values, powers, frequency, distortion.

Active power is that of all harmonics. Reactive power is of the fundamental (IEC 62053-24). The
front end's delay is undone at the fundamental, where nearly all power is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from openami.metrology.adc.calibration import Constants
    from openami.metrology.adc.sums import Sums
    from openami.metrology.adc.waves import Floats, Phasors

_QUIET: Final = 0.01  # square codes; less than any converter's noise
_AUDIBLE: Final = 16.0  # codes of voltage, r.m.s.; below them noise would make the frequency


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What was measured in one pass; arrays (meters, phases).

    Args:
        voltage: V, r.m.s.
        current: A, r.m.s.
        active: W, negative when exported.
        reactive: var of the fundamental, positive when inductive.
        fundamental: W of the fundamental.
        angle: degrees that the current lags, -180 to 180.
        voltage_thd: all but the fundamental, as a part of it.
        current_thd: likewise; 0 where the current is below the noise.
        turn: degrees that the voltage lags the first phase's, -180 to 180.
        frequency: Hz, (meters,); nominal where there is no voltage.
        metered: W as energy counts them: over exactly the samples of the pass, where ``active``
            weighs them so that no part of a cycle shows.
        seconds: that the pass took.
    """

    voltage: Floats
    current: Floats
    active: Floats
    reactive: Floats
    fundamental: Floats
    angle: Floats
    voltage_thd: Floats
    current_thd: Floats
    turn: Floats
    frequency: Floats
    metered: Floats
    seconds: float

    @property
    def apparent(self) -> Floats:
        """VA."""
        return self.voltage * self.current

    @property
    def factor(self) -> Floats:
        """Power factor, with the active power's sign; 1 without a load."""
        return _ratio(self.active, self.apparent, 1.0).clip(-1, 1)


def _ratio(part: Floats, whole: Floats, otherwise: float) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 0)


def measure(sums: Sums, constants: Constants) -> Measurement:
    """Return what sums mean, by the meters' calibrations."""
    scale = constants.volt * constants.amp
    hertz, phasors = _fundamental(sums)
    cross = (phasors[0] * phasors[1].conj()).mean(-1) * scale
    turned = cross * np.exp(-2j * np.pi * hertz[:, None] * constants.delay)
    undone = turned.real - cross.real
    offsets, squares = sums.means[:2], sums.means[2:4]
    noise = np.stack((constants.volt_noise, constants.amp_noise))
    both = (squares - offsets**2 - noise).clip(0)
    first = (np.abs(phasors) ** 2).mean(-1)
    heard = np.where(first > noise + _QUIET, first, 0.0)
    distortion = np.sqrt(_ratio((both - first).clip(0), heard, 0.0))
    return Measurement(
        voltage=np.sqrt(both[0]) * constants.volt,
        current=np.sqrt(both[1]) * constants.amp,
        active=(sums.means[4] - offsets[0] * offsets[1]) * scale + undone,
        reactive=turned.imag,
        fundamental=turned.real,
        angle=np.degrees(np.angle(turned)),
        voltage_thd=distortion[0],
        current_thd=distortion[1],
        turn=_turn(phasors[0]),
        frequency=hertz,
        metered=_covariance(sums) * scale + undone,
        seconds=sums.samples / sums.plan.rate,
    )


def _turn(volts: Phasors) -> Floats:
    behind = (volts[:, :1] * volts.conj()).mean(-1)
    return np.asarray(np.degrees(np.angle(behind)))


def _covariance(sums: Sums) -> Floats:
    """Return the mean of v·i of exactly the samples, less what the offsets make of it."""
    v, i, _, _, product = sums.plain
    volt, amp = sums.means[:2]
    return np.asarray((product - volt * i - amp * v) / sums.samples + volt * amp)


def _fundamental(sums: Sums) -> tuple[Floats, Phasors]:
    """Return the frequency, and the phasors as they would be if the windows were made for it.

    A voltage that turns against the nominal frequency from window to window shows the difference;
    a window of Hann passes less of what is beside its middle, by a known amount.
    """
    volts = sums.phasors[0]
    loud = (np.abs(volts) ** 2).mean((-1, -2)) > _AUDIBLE**2
    turn = (volts[..., 1:] * volts[..., :-1].conj()).sum((-1, -2))
    bins = np.where(loud, np.angle(turn) / (2 * np.pi), 0.0)  # of a window, 10 Hz wide
    per_bin = sums.plan.rate / sums.plan.window
    passed = np.sinc(bins) / (1 - bins**2)
    return sums.plan.frequency + bins * per_bin, sums.phasors / passed[:, None, None]
