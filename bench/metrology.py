"""Samples through metrology, against a plain loop and against the memory they lie in.

One core measures a second of 1,000 single-phase meters at 4,000 samples: r.m.s. values, powers,
frequency, distortion, energy, sags and swells. The loop computes the r.m.s. values and the active
power of one meter, which is less. The bound is a copy of the same samples, the least that any
program does that reads them once and writes as much. Both are timed in the same run.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openami.metrology.accuracy import calibrated, sines
from openami.metrology.adc.calibration import Constants
from openami.metrology.adc.frontend import SIGMA_DELTA
from openami.metrology.adc.metering import Metering, Rating

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.metrology.adc.frontend import Codes

METERS = 1000
RATE = SIGMA_DELTA.rate
ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Found:
    """Seconds of processor time: a second of all meters, one meter's by the loop, a copy."""

    ours: float
    loop: float
    copy: float

    @property
    def samples(self) -> float:
        """Samples a second: a voltage and a current are two."""
        return 2 * METERS * RATE / self.ours


def second_of_samples(chance: np.random.Generator) -> Codes:
    """Return a second of meters with loads of all sizes and angles."""
    wave = sines(SIGMA_DELTA, chance.uniform(0.1, 60, METERS), chance.uniform(-1, 1, METERS))
    return SIGMA_DELTA.sample(wave, start=0, count=RATE, chance=chance)


def plain(volts: Sequence[int], amps: Sequence[int]) -> tuple[float, float, float]:
    """Return r.m.s. values and active power, as one would write it down."""
    v_sum = i_sum = squares_v = squares_i = products = 0
    for v, i in zip(volts, amps, strict=True):
        v_sum += v
        i_sum += i
        squares_v += v * v
        squares_i += i * i
        products += v * i
    count = len(volts)
    v_mean, i_mean = v_sum / count, i_sum / count
    return (
        math.sqrt(squares_v / count - v_mean**2),
        math.sqrt(squares_i / count - i_mean**2),
        products / count - v_mean * i_mean,
    )


def check(metering: Metering, codes: Codes, constants: Constants) -> None:
    """Raise ``AssertionError`` unless the loop finds what metrology finds."""
    found = metering.process(codes).measurement
    for meter in range(0, METERS, 100):
        volts, amps, power = plain(codes[0, meter, 0].tolist(), codes[1, meter, 0].tolist())
        volt, amp = float(constants.volt[meter, 0]), float(constants.amp[meter, 0])
        np.testing.assert_allclose(found.voltage[meter], volts * volt, rtol=1e-3)
        np.testing.assert_allclose(found.current[meter], amps * amp, rtol=1e-2)
        # The loop does not undo the front end's delay.
        np.testing.assert_allclose(
            found.active[meter], power * volt * amp, rtol=1e-2, atol=volts * volt * 0.01
        )


def timed(work: Callable[[], object]) -> float:
    """Return the processor time of ``work``."""
    start = time.process_time()
    work()
    return time.process_time() - start


def run() -> Found:
    """Measure all three in turn, a number of rounds, and take the medians."""
    chance = np.random.default_rng(1)
    codes = second_of_samples(chance)
    constants = Constants.of([[calibrated(SIGMA_DELTA, chance)]] * METERS)
    metering = Metering(Rating.of(SIGMA_DELTA), constants)
    check(metering, codes, constants)
    lists = codes[0, 0, 0].tolist(), codes[1, 0, 0].tolist()
    room = np.empty_like(codes)

    def copy() -> None:
        for _ in range(10):
            np.copyto(room, codes)

    rounds = [
        (
            timed(lambda: metering.process(codes)),
            timed(lambda: [plain(*lists) for _ in range(20)]) / 20,
            timed(copy) / 10,
        )
        for _ in range(ROUNDS)
    ]
    return Found(*(float(np.median(times)) for times in zip(*rounds, strict=True)))


def main() -> None:
    """Print the table, measured on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # so that no library takes a second one
    try:
        found = run()
    finally:
        os.sched_setaffinity(0, cores)
    print(f"a second of {METERS:,} meters at {RATE:,} Hz: {found.ours * 1000:.1f} ms of one core")
    print(f"samples a second and core: {found.samples:,.0f}")
    print(f"meters in real time on a core: {METERS / found.ours:,.0f} (goal {METERS:,})")
    print(f"times as fast as a plain loop: {found.loop * METERS / found.ours:,.0f}")
    print(f"times as long as a copy of the samples: {found.ours / found.copy:.1f}")
