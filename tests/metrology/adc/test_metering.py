"""Samples in, energy and events out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openami.metrology.accuracy import calibrated, sines
from openami.metrology.adc.calibration import Constants
from openami.metrology.adc.disturbances import Disturbance, QualityEvent
from openami.metrology.adc.frontend import PAPER, SIGMA_DELTA, FrontEnd
from openami.metrology.adc.loads import Electronics, Heater, Home, Motor, Solar
from openami.metrology.adc.metering import Metering, Rating
from openami.metrology.adc.registers import Registers
from openami.metrology.adc.waves import Wave, stack
from openami.metrology.energy import Channel


def meters(front: FrontEnd, count: int = 1, phases: int = 1) -> Metering:
    calibration = calibrated(front, np.random.default_rng(1))
    return Metering(Rating.of(front), Constants.of([[calibration] * phases] * count))


def test_the_papers_heater_is_measured_step_by_step() -> None:
    """220 V, off, 600 W, 1,200 W, through the paper's own front end."""
    front, chance = PAPER, np.random.default_rng(2)
    metering = meters(front)
    home = Home([[Heater(steps=((0, 0), (5, 1), (10, 2)))]], ohms=0.0, distortion=())
    shown = []
    for second in range(15):
        codes = front.sample(home.wave(second), start=second * 4000, count=4000, chance=chance)
        shown.append(metering.process(codes).measurement)
    watts = [float(each.active[0, 0]) for each in shown]
    assert watts[:5] == pytest.approx([0] * 5, abs=2)
    assert watts[5:10] == pytest.approx([600] * 5, rel=0.01)
    assert watts[10:] == pytest.approx([1200] * 5, rel=0.01)
    assert float(shown[-1].voltage[0, 0]) == pytest.approx(220, rel=0.002)
    assert float(shown[-1].current[0, 0]) == pytest.approx(1200 / 220, rel=0.01)
    assert float(shown[-1].factor[0, 0]) == pytest.approx(1, abs=0.01)
    counted = metering.registers.exact(Channel.IMPORT)[0] / 1e9
    assert counted == pytest.approx(5 * 600 + 5 * 1200, rel=0.01)


def test_homes_of_three_phases_are_measured_together() -> None:
    front, chance = SIGMA_DELTA, np.random.default_rng(3)
    homes = [
        Home([[Heater(steps=((0, 2),))], [Motor(starts=(-60,))], [Electronics()]]),
        Home([[Solar(rise=-3600, fall=7200)], [Motor(starts=(-60,))], []]),
    ]
    metering = meters(front, 2, 3)
    wave = stack([home.wave(0) for home in homes])
    for second in range(3):
        metering.process(front.sample(wave, start=second * 4000, count=4000, chance=chance))
    counted = np.array(
        [
            [metering.registers.exact(channel, row) for row in range(4)]
            for channel in (Channel.IMPORT, Channel.EXPORT)
        ]
    )
    net = (counted[0] - counted[1]).T / 3e9
    np.testing.assert_allclose(net[:, 1:], wave.active, rtol=0.005, atol=0.1)
    np.testing.assert_allclose(net[:, 0], wave.active.sum(-1), rtol=0.005)
    assert counted[1, 0, 1] > 0
    assert metering.milliseconds == 3000


def test_sags_and_feeding_in_are_told_with_their_times() -> None:
    front, chance = SIGMA_DELTA, np.random.default_rng(4)
    metering = meters(front)
    volts = [1.0, 0.7, 0.0, 1.0, 1.2, 1.0]
    events: list[QualityEvent] = []
    for number, part in enumerate(volts):
        wave = sines(front, np.array([5.0]), np.array([np.pi if number == 4 else 0.0]))
        wave = Wave(wave.frequency, wave.volts * part, wave.amps)
        codes = front.sample(wave, start=number * 800, count=800, chance=chance)
        events.extend(metering.process(codes).events)
    assert [(e.kind, e.at, e.lasted) for e in events] == [
        (Disturbance.SAG, 200, None),
        (Disturbance.NO_VOLTAGE, 400, None),
        (Disturbance.INTERRUPTION, 200, 400),
        (Disturbance.NO_VOLTAGE, 400, 200),
        (Disturbance.SWELL, 800, None),
        (Disturbance.REVERSE, 800, None),
        (Disturbance.SWELL, 800, 200),
        (Disturbance.REVERSE, 800, 200),
    ]
    assert events[1].extreme < 1000
    assert events[4].extreme == pytest.approx(264_000, rel=0.01)


def test_samples_that_stand_for_a_minute_are_a_minute_of_energy_and_of_time() -> None:
    front, chance = SIGMA_DELTA, np.random.default_rng(4)
    metering = meters(front)
    events: list[QualityEvent] = []
    for part, times in ((1.0, 60), (0.7, 30), (1.0, 1)):
        wave = sines(front, np.array([5.0]), np.zeros(1))
        wave = Wave(wave.frequency, wave.volts * part, wave.amps)
        codes = front.sample(wave, start=0, count=4000, chance=chance)
        events.extend(metering.process(codes, times=times).events)
    assert [(e.kind, e.at, e.lasted) for e in events] == [
        (Disturbance.SAG, 60_000, None),
        (Disturbance.SAG, 60_000, 30_000),
    ]
    assert metering.milliseconds == 91_000
    joules = metering.registers.exact(Channel.IMPORT)[0] / 1e9
    assert joules == pytest.approx(1100 * (61 + 0.7 * 30), rel=0.001)


def test_a_meter_goes_on_from_its_memory() -> None:
    front = SIGMA_DELTA
    first = meters(front)
    wave = sines(front, np.array([5.0]), np.zeros(1))
    codes = front.sample(wave, start=0, count=4000, chance=np.random.default_rng(5))
    first.process(codes)
    kept = first.registers
    calibration = calibrated(front, np.random.default_rng(1))
    again = Metering(
        Rating.of(front),
        Constants.of([[calibration]]),
        Registers(1, 1, kept.whole, kept.rest),
    )
    again.process(codes)
    assert again.registers.exact(Channel.IMPORT)[0] == 2 * kept.exact(Channel.IMPORT)[0]


def test_samples_of_another_grid_are_refused() -> None:
    metering = meters(replace(SIGMA_DELTA, frequency=50))
    with pytest.raises(ValueError, match="whole tenths"):
        metering.process(np.zeros((2, 1, 1, 1000), np.int16))
