"""The measuring part of many meters: samples in, measurements, energy and events out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from openami.metrology.adc.disturbances import QualityEvent, ReverseWatch, VoltageWatch
from openami.metrology.adc.measure import Measurement, measure
from openami.metrology.adc.registers import Registers
from openami.metrology.adc.sums import Plan, add_up
from openami.metrology.adc.tampering import TamperWatch
from openami.metrology.classes import CLASSES

if TYPE_CHECKING:
    from openami.metrology.adc.calibration import Constants
    from openami.metrology.adc.frontend import Codes, FrontEnd


@dataclass(frozen=True, slots=True)
class Rating:
    """What a meter is made for.

    Args:
        plan: how its samples are cut.
        voltage: nominal, V.
        least: W of a phase below which nothing is counted: half of what it must start at.
        full: codes from the middle of a channel's scale to its end.
    """

    plan: Plan
    voltage: float
    least: float
    full: int = 1 << 15

    @classmethod
    def of(cls, front: FrontEnd) -> Rating:
        """Return the rating of meters with a front end."""
        start = CLASSES[front.meter_class].start * front.basic * front.voltage
        full = 1 << (min(front.volts.bits, front.amps.bits) - 1)
        return cls(Plan(front.rate, front.frequency), front.voltage, start / 2, full)


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass gave."""

    measurement: Measurement
    events: tuple[QualityEvent, ...]


class Metering:
    """Some meters' measuring parts, in step.

    Args:
        rating: of all of them.
        constants: their calibrations.
        registers: what their memories kept; none: they are new.
    """

    def __init__(
        self, rating: Rating, constants: Constants, registers: Registers | None = None
    ) -> None:
        self.rating = rating
        self._constants = constants
        self.registers = registers or Registers(*constants.volt.shape)
        self._samples = 0
        step = 1000 * rating.plan.step / rating.plan.rate
        self._voltages = VoltageWatch(rating.voltage, step)
        self._reverse = ReverseWatch()
        self._tampering = TamperWatch(rating.voltage, rating.least, rating.full)

    @property
    def milliseconds(self) -> int:
        """How long has been measured."""
        return self._samples * 1000 // self.rating.plan.rate

    def process(self, samples: Codes, *, times: int = 1) -> Pass:
        """Measure samples (2, meters, phases, count) that follow those before without a gap.

        A second at a time is what registers and displays are made for: energy that comes and goes
        within one pass is one sum.

        Args:
            samples: of volts and amperes.
            times: how often they follow each other: samples of what does not change may stand for
                a longer time.

        Raises:
            ValueError: they do not fit the plan.
        """
        sums = add_up(samples, self.rating.plan)
        found = measure(sums, self._constants)
        found = replace(found, seconds=found.seconds * times)
        self.registers.add(found, self.rating.least)
        offset = sums.means[0][..., None]
        volts = np.sqrt((sums.squares - offset**2).clip(0)) * self._constants.volt[..., None]
        events = (
            *self._voltages.look(volts),
            *self._reverse.look(found.metered, self.rating.least, self.milliseconds),
            *self._tampering.look(found, sums.means[:2], self.milliseconds),
        )
        self._samples += sums.samples * times
        self._voltages.skip(volts.shape[-1] * (times - 1))
        return Pass(found, events)
