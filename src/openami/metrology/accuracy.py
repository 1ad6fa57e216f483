"""What accuracy meters with a front end have, found as a test bench finds it.

A bench feeds sines of known power for a time and compares what the energy register moved on with
what was fed. The meter under test is calibrated first, once, at basic current.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.metrology.adc.calibration import Constants, calibrate
from openami.metrology.adc.metering import Metering, Rating
from openami.metrology.adc.waves import Wave, harmonics
from openami.metrology.classes import ANGLES, CLASSES, UNITY
from openami.metrology.energy import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.metrology.adc.calibration import Calibration
    from openami.metrology.adc.frontend import FrontEnd
    from openami.metrology.adc.waves import Floats

SECONDS: Final = 60
"""How long a point is measured: what noise is left of it then is a tenth of a limit or less."""

_CALIBRATION: Final = 20  # seconds of each of the calibration's two steps
_OVERVOLTAGE: Final = 1.15  # of nominal, without a current (IEC 62053-21 and -22, 8.3.2)
_NANO: Final = 1e9
_PHASES: Final = 3


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a test.

    Args:
        factor: power factor, as the standard names it.
        current: A.
        part: of the basic current.
        limit: per cent.
        error: per cent.
    """

    factor: str
    current: float
    part: float
    limit: float
    error: float

    @property
    def kept(self) -> bool:
        """Tell whether the error is within its limit."""
        return abs(self.error) <= self.limit


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What was found of a front end.

    Args:
        front: the front end.
        points: every point of a single-phase meter, by power factor and current.
        alone: every point of a three-phase meter with a load on its first phase alone.
        starts: whether the meter counts at its starting current.
        stands_still: whether it counts nothing at 115 % of nominal voltage without a current.
    """

    front: FrontEnd
    points: tuple[Point, ...]
    alone: tuple[Point, ...]
    starts: bool
    stands_still: bool

    @property
    def kept(self) -> bool:
        """Tell whether all of its class is kept."""
        points = (*self.points, *self.alone)
        return self.starts and self.stands_still and all(point.kept for point in points)


def sines(front: FrontEnd, amps: Floats, angles: Floats, *, overvoltage: float = 1.0) -> Wave:
    """Return the wave of single-phase meters, each with a current (A) that lags by an angle."""
    volts = harmonics(complex(front.voltage * overvoltage))
    rows = [harmonics(complex(each)) for each in amps * np.exp(-1j * angles)]
    return Wave(float(front.frequency), np.tile(volts, (len(rows), 1, 1)), np.stack(rows)[:, None])


def calibrated(front: FrontEnd, chance: np.random.Generator) -> Calibration:
    """Return the calibration of a single-phase meter, made at basic current."""
    rating, count = Rating.of(front), _CALIBRATION * front.rate
    no_load, reference = (
        front.sample(
            sines(front, np.array([amps]), np.zeros(1)), start=0, count=count, chance=chance
        )
        for amps in (0.0, front.basic)
    )
    ((found,),) = calibrate(rating.plan, no_load, reference, volts=front.voltage, amps=front.basic)
    return found


def verify(front: FrontEnd, chance: np.random.Generator, *, seconds: int = SECONDS) -> Accuracy:
    """Test a meter with a front end at all points of its class.

    Args:
        front: the front end, with the errors it has.
        chance: where its noise comes from.
        seconds: how long each point is measured.
    """
    wanted = CLASSES[front.meter_class]
    calibration = calibrated(front, chance)
    places = list(wanted.points(_most(front)))
    parts = np.array([*(part for _, part in places), wanted.start])
    angles = np.array([ANGLES[factor] for factor in (*(each for each, _ in places), UNITY)])
    fed = sines(front, parts * front.basic, angles)
    still = sines(front, np.zeros(1), np.zeros(1), overvoltage=_OVERVOLTAGE)
    counted = _count(front, calibration, fed, seconds, chance)
    return Accuracy(
        front,
        _points(front, places, counted[:-1] / (fed.active[:-1, 0] * seconds)),
        _alone(front, calibration, seconds, chance),
        starts=bool(counted[-1] > 0),
        stands_still=not _count(front, calibration, still, seconds, chance).any(),
    )


def _most(front: FrontEnd) -> float:
    """Return the maximum current as a multiple of the basic one."""
    return front.maximum / front.basic


def _alone(
    front: FrontEnd, calibration: Calibration, seconds: int, chance: np.random.Generator
) -> tuple[Point, ...]:
    """Test a three-phase meter with a load on one phase, at all points of its class."""
    places = list(CLASSES[front.meter_class].points(_most(front), alone=True))
    amps = np.array([part * front.basic for _, part in places])
    one = sines(front, amps, np.array([ANGLES[factor] for factor, _ in places]))
    turns = np.exp(-2j * np.pi * np.arange(_PHASES) / _PHASES)[None, :, None]
    loaded = np.arange(_PHASES)[None, :, None] == 0
    fed = Wave(one.frequency, one.volts * turns, one.amps * loaded)
    counted = _count(front, calibration, fed, seconds, chance)
    return _points(front, places, counted / (fed.active[:, 0] * seconds), alone=True)


def _points(
    front: FrontEnd, places: Sequence[tuple[str, float]], parts: Floats, *, alone: bool = False
) -> tuple[Point, ...]:
    """Return points, with what was counted as a part of what was fed."""
    limit = CLASSES[front.meter_class].limit
    found = []
    for (factor, part), counted in zip(places, parts.tolist(), strict=True):
        percent = limit(factor, part, alone=alone)
        assert percent is not None  # points are where there is a limit
        found.append(Point(factor, part * front.basic, part, percent, 100 * (counted - 1)))
    return tuple(found)


def _count(
    front: FrontEnd,
    calibration: Calibration,
    wave: Wave,
    seconds: int,
    chance: np.random.Generator,
) -> Floats:
    """Return the joules that each meter counted, imported and exported together."""
    meters: Sequence[Sequence[Calibration]] = [[calibration] * wave.volts.shape[1]] * len(
        wave.volts
    )
    metering = Metering(Rating.of(front), Constants.of(meters))
    for second in range(seconds):
        start = second * front.rate
        metering.process(front.sample(wave, start=start, count=front.rate, chance=chance))
    exact = metering.registers.exact
    pairs = zip(exact(Channel.IMPORT), exact(Channel.EXPORT), strict=True)
    return np.array([(taken + given) / _NANO for taken, given in pairs])
