"""What is measured of waves whose values are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openami.metrology.adc.calibration import Calibration, Constants
from openami.metrology.adc.frontend import Channel, FrontEnd
from openami.metrology.adc.measure import Measurement, measure
from openami.metrology.adc.sums import Plan, add_up
from openami.metrology.adc.waves import Wave, harmonics

VOLT, AMP = 0.0125, 0.0045
FRONT = FrontEnd(
    "exact",
    "sixteen bits without errors",
    "0.5S",
    Channel(VOLT * 32768, 16, offset=40.0),
    Channel(AMP * 32768, 16, offset=-25.0, delay=8e-6),
)
DELAYED = Calibration(round(VOLT * 1e9), round(AMP * 1e9), 8000)


def measured(wave: Wave, front: FrontEnd = FRONT, *, frequency: int = 60) -> Measurement:
    meters, phases, _ = wave.volts.shape
    codes = front.sample(wave, start=777, count=4000, chance=np.random.default_rng(5))
    return measure(
        add_up(codes, Plan(4000, frequency)), Constants.of([[DELAYED] * phases] * meters)
    )


@pytest.mark.parametrize("nominal", [50, 60])
@pytest.mark.parametrize("off", [-2.5, -0.3, 0.0, 0.11, 2.0])
@pytest.mark.parametrize("angle", [0.0, 1.2, -0.7, 2.5, -2.9])
def test_a_sine_has_its_values_at_any_frequency(nominal: int, off: float, angle: float) -> None:
    wave = Wave(
        nominal + off,
        harmonics(231 * np.exp(0.3j))[None, None],
        harmonics(7 * np.exp(1j * (0.3 - angle)))[None, None],
    )
    found = measured(wave, replace(FRONT, frequency=nominal), frequency=nominal)
    power = 231 * 7
    assert found.voltage[0, 0] == pytest.approx(231, rel=2e-4)
    assert found.current[0, 0] == pytest.approx(7, rel=2e-4)
    assert found.frequency[0] == pytest.approx(nominal + off, abs=1e-3)
    assert found.active[0, 0] == pytest.approx(power * np.cos(angle), abs=5e-4 * power)
    assert found.reactive[0, 0] == pytest.approx(power * np.sin(angle), abs=5e-4 * power)
    assert found.apparent[0, 0] == pytest.approx(power, rel=4e-4)
    assert found.factor[0, 0] == pytest.approx(np.cos(angle), abs=1e-3)
    assert found.angle[0, 0] == pytest.approx(np.degrees(angle), abs=0.05)
    assert found.seconds == 1


def test_distortion_is_told_and_reactive_power_is_of_the_fundamental() -> None:
    wave = Wave(
        60.0,
        harmonics(220 + 0j, (0.01, 0.03, 0.02))[None, None],
        harmonics(3 * np.exp(-0.2j), (-0.8, 0.6, -0.36, 0.15))[None, None],
    )
    found = measured(wave)
    assert found.voltage_thd[0, 0] == pytest.approx(np.hypot(np.hypot(0.01, 0.03), 0.02), rel=0.02)
    assert found.current_thd[0, 0] == pytest.approx(
        np.sqrt(0.8**2 + 0.6**2 + 0.36**2 + 0.15**2), rel=0.01
    )
    assert found.active[0, 0] == pytest.approx(wave.active[0, 0], rel=1e-3)
    assert found.metered[0, 0] == pytest.approx(wave.active[0, 0], rel=1e-3)
    assert found.fundamental[0, 0] == pytest.approx(wave.fundamental[0, 0], rel=1e-3)
    assert found.reactive[0, 0] == pytest.approx(wave.reactive[0, 0], rel=2e-3)
    assert found.factor[0, 0] < 0.75


def test_three_phases_are_measured_apart() -> None:
    turns = np.exp(-2j * np.pi / 3 * np.arange(3))
    volts = np.stack([harmonics(230 * turn) for turn in turns])[None]
    amps = np.stack(
        [harmonics(size * turn) for size, turn in zip((1, 5 - 5j, -10), turns, strict=True)]
    )[None]
    found = measured(Wave(60.0, volts, amps))
    np.testing.assert_allclose(found.active, [[230, 1150, -2300]], rtol=2e-3)
    np.testing.assert_allclose(found.reactive, [[0, 1150, 0]], atol=3)
    np.testing.assert_allclose(found.frequency, [60], atol=1e-3)
    np.testing.assert_allclose(found.angle[0, 1], 45, atol=0.1)


def test_without_voltage_or_current_nothing_is_made_up() -> None:
    noisy = replace(
        FRONT, volts=replace(FRONT.volts, noise=1.0), amps=replace(FRONT.amps, noise=1.0)
    )
    nothing = np.zeros((1, 1, 8), complex)
    found = measured(Wave(60.0, nothing, nothing), noisy)
    assert found.frequency[0] == 60
    assert found.voltage[0, 0] < 0.1
    assert abs(found.active[0, 0]) < 0.001
    exact = measured(Wave(60.0, nothing, nothing))
    assert (exact.factor[0, 0], exact.current_thd[0, 0]) == (1, 0)
    assert exact.active[0, 0] == pytest.approx(0)


def test_energy_over_passes_is_the_whole_whatever_the_frequency() -> None:
    wave = Wave(59.3, harmonics(220 + 0j)[None, None], harmonics(10 + 0j)[None, None])
    total = 0.0
    for start in range(0, 8 * 1200, 1200):  # 0.3 s: no whole number of cycles
        codes = FRONT.sample(wave, start=start, count=1200, chance=np.random.default_rng(1))
        found = measure(add_up(codes, Plan(4000, 60)), Constants.of([[DELAYED]]))
        total += float(found.metered[0, 0]) * found.seconds
    assert total == pytest.approx(2200 * 2.4, rel=1e-3)
