"""A real home through converter, registers and a line that is cut: all of its energy arrives.

Each recorded minute is played for a second, so that a day takes 1,440. With
``OPENAMI_METROLOGY_DAYS=7`` a week is played in full, minute for minute, the two recorded days over
and over.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from openami.meter.recordings import recording
from openami.metrology.accuracy import calibrated
from openami.metrology.adc.calibration import Constants
from openami.metrology.adc.frontend import FRONT_ENDS
from openami.metrology.adc.loads import wave_of
from openami.metrology.adc.metering import Metering, Rating
from openami.metrology.adc.registers import CHANNELS, PER_MICRO_WH
from openami.metrology.link.ends import EnergyFollower, ManagementEnd, MeasuringEnd
from openami.metrology.link.messages import Report

DAYS = int(os.environ.get("OPENAMI_METROLOGY_DAYS", "0"))
STEP = 1 if DAYS else 60  # seconds of the recording in one that is played
SECONDS = DAYS * 86_400 or 1440
CUTS = 10


class Management:
    """Follows the energy, and remembers nothing but what it has committed."""

    def __init__(self) -> None:
        self.end = ManagementEnd()
        self.follower = EnergyFollower(((0,) * len(CHANNELS),))  # since the meter's birth
        self.counted = 0

    def restart(self) -> None:
        self.end = ManagementEnd(self.end.heard)
        self.follower = EnergyFollower(self.follower.last)

    def receive(self, octets: bytes) -> None:
        self.end.receive_data(octets)
        while (message := self.end.next_message()) is not None:
            if isinstance(message, Report):
                self.counted += self.follower.take(message.totals)[0][0]


@pytest.mark.timeout(3600 if DAYS else 300)
@pytest.mark.parametrize(("name", "limit"), [("paper-100a", 1.0), ("sigma-delta", 0.5)])
def test_energy_is_the_integral_of_the_wave_although_the_line_is_cut(
    name: str, limit: float
) -> None:
    front, chance = FRONT_ENDS[name], np.random.default_rng(20)
    minutes = recording("minute").samples
    metering = Metering(
        Rating.of(front), Constants.of([[calibrated(front, np.random.default_rng(21))]])
    )
    measuring, management = MeasuringEnd(1), Management()
    fed, off = 0.0, 0
    for second in range(SECONDS):
        minute = minutes[second * STEP // 60 % len(minutes)]
        wave = wave_of(minute, voltage=front.voltage, frequency=front.frequency)
        fed += float(wave.active[0, 0])
        start = second * front.rate
        done = metering.process(front.sample(wave, start=start, count=front.rate, chance=chance))
        for event in done.events:
            measuring.happened(event)
        octets = measuring.report(
            Report.of(done.measurement, metering.registers.whole, life=1, at=metering.milliseconds)
        )
        if second % (SECONDS // CUTS) == SECONDS // CUTS - 30:
            management.receive(octets[:100])  # cut within a report, for twenty seconds
            off = second + 20
            management.restart()
        elif second >= off:
            management.receive(octets)
            measuring.receive_data(management.end.acknowledge())
    counted = management.counted * PER_MICRO_WH / 1e9
    assert counted == pytest.approx(fed, rel=limit / 100)
    assert management.counted == int(metering.registers.whole[0, 0, 0])
    assert not metering.registers.whole[0, 0, 1]
