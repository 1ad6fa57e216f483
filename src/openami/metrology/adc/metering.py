"""The measuring part of many meters: samples in, measurements, energy and events out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openami.metrology.adc.disturbances import QualityEvent, ReverseWatch, VoltageWatch
from openami.metrology.adc.measure import Measurement, measure
from openami.metrology.adc.registers import Registers
from openami.metrology.adc.sums import Plan, add_up
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
    """

    plan: Plan
    voltage: float
    least: float

    @classmethod
    def of(cls, front: FrontEnd) -> Rating:
        """Return the rating of meters with a front end."""
        start = CLASSES[front.meter_class].start * front.basic * front.voltage
        return cls(Plan(front.rate, front.frequency), front.voltage, start / 2)


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

    @property
    def milliseconds(self) -> int:
        """How long has been measured."""
        return self._samples * 1000 // self.rating.plan.rate

    def process(self, samples: Codes) -> Pass:
        """Measure samples (2, meters, phases, count) that follow those before without a gap.

        A second at a time is what registers and displays are made for: energy that comes and goes
        within one pass is one sum.

        Raises:
            ValueError: they do not fit the plan.
        """
        sums = add_up(samples, self.rating.plan)
        found = measure(sums, self._constants)
        self.registers.add(found, self.rating.least)
        offset = sums.means[0][..., None]
        volts = np.sqrt((sums.squares - offset**2).clip(0)) * self._constants.volt[..., None]
        events = (
            *self._voltages.look(volts),
            *self._reverse.look(found.metered, self.rating.least, self.milliseconds),
        )
        self._samples += sums.samples
        return Pass(found, events)
