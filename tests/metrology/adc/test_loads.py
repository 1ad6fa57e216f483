from __future__ import annotations

import csv
import gzip
from importlib import resources
from io import StringIO

import numpy as np
import pytest

from openami.meter.recordings import recording
from openami.metrology.adc.loads import (
    Electronics,
    Heater,
    Home,
    Load,
    Motor,
    Solar,
    Vehicle,
    wave_of,
)
from openami.metrology.adc.waves import harmonics
from openami.metrology.sources import Sample

VOLTS = harmonics(220 + 0j)


def power(load: Load, second: float) -> complex:
    """Return active and reactive power of the fundamental."""
    amps = load.amps(second, VOLTS)
    return complex(VOLTS[0] * amps[0].conjugate())


def test_the_papers_heater_has_two_steps() -> None:
    heater = Heater()
    watts = [power(heater, second).real for second in (-1, 0, 59, 60, 119, 120, 9999)]
    assert watts == pytest.approx([0, 0, 0, 600, 600, 1200, 1200])
    assert power(heater, 60).imag == pytest.approx(0)


def test_a_motor_lags_and_starts_hard() -> None:
    motor = Motor(watts=400, factor=0.75, starts=(10, 50), runs=30)
    assert power(motor, 9) == power(motor, 41) == 0
    running = power(motor, 30)
    assert running.real == pytest.approx(400, rel=1e-6)
    assert running.real / abs(running) == pytest.approx(0.75)
    assert running.imag > 0
    starting = power(motor, 50)
    assert abs(starting) == pytest.approx(6 * abs(running))
    assert starting.real / abs(starting) == pytest.approx(0.25)


def test_electronics_take_their_watts_in_pulses() -> None:
    amps = Electronics(100).amps(0, VOLTS)
    assert power(Electronics(100), 0).real == pytest.approx(100)
    assert np.linalg.norm(amps[1:]) / abs(amps[0]) > 1


def test_panels_feed_in_by_day() -> None:
    solar = Solar(watts=3000, rise=6 * 3600, fall=18 * 3600)
    assert power(solar, 3 * 3600) == power(solar, 20 * 3600) == 0
    assert power(solar, 86_400 + 12 * 3600).real == pytest.approx(-3000)
    assert -3000 < power(solar, 9 * 3600).real < -1000


def test_a_vehicle_is_charged_over_midnight() -> None:
    vehicle = Vehicle(current=32, begin=22 * 3600, lasts=4 * 3600)
    assert power(vehicle, 12 * 3600) == 0
    assert abs(power(vehicle, 22 * 3600)) == pytest.approx(220 * 3.2)
    assert abs(power(vehicle, 86_400 + 3600)) == pytest.approx(220 * 32)
    assert power(vehicle, 2 * 3600) == 0


def test_loads_of_a_home_add_up_and_pull_the_voltage_down() -> None:
    home = Home(
        [[Heater(steps=((0, 2),)), Electronics()], [Motor()], []], voltage=230, frequency=50
    )
    wave = home.wave(100)
    assert wave.volts.shape == (1, 3, 8)
    rms = wave.rms[0, 0]
    assert rms[0] < rms[1] < rms[2] == pytest.approx(230, rel=1e-3)
    assert wave.active[0].tolist() == pytest.approx(
        [1200 * (230 / 220) ** 2 + 150, 400, 0], rel=0.02
    )
    angles = np.degrees(np.angle(wave.volts[0, :, 0]))
    assert angles.tolist() == pytest.approx([0, -120, 120], abs=0.2)


def test_the_minutes_of_a_real_home_come_back_as_waves() -> None:
    data = resources.files("openami.meter").joinpath("data", "house_1min.csv.gz").read_bytes()
    rows = list(csv.DictReader(StringIO(gzip.decompress(data).decode())))[::37]
    samples = recording("minute").samples[::37]
    for sample, row in zip(samples, rows, strict=True):
        wave = wave_of(sample, voltage=230, frequency=50)
        assert wave.active[0, 0] == pytest.approx(1000 * float(row["active_power_kw"]))
        assert wave.reactive[0, 0] == pytest.approx(1000 * float(row["reactive_power_kvar"]))
        volts, amps = wave.rms[:, 0, 0]
        assert volts == pytest.approx(float(row["voltage_v"]))
        # The recorded current, of a tenth of an ampere and an average of the minute, agrees with it.
        assert amps == pytest.approx(float(row["current_a"]), abs=0.25, rel=0.05)


def test_a_source_without_a_voltage_plays_on_three_phases() -> None:
    wave = wave_of(Sample(1_000_000, -200_000), voltage=230, frequency=50, phases=3)
    assert wave.active[0].tolist() == pytest.approx([420, 330, 250])
    assert wave.reactive.sum() == pytest.approx(-200)
    np.testing.assert_allclose(wave.rms[0], [[230, 230, 230]])


@pytest.mark.parametrize(
    ("volts", "amps"), [(None, 10.0), (220.0, 10.0), (11.0, 200.0), (10.0, 10.0), (0.0, 10.0)]
)
def test_a_load_without_a_voltage_has_the_current_of_the_nominal_one(
    volts: float | None, amps: float
) -> None:
    """Below 5 % of nominal, where a sag is an interruption."""
    sample = Sample(2_200_000, 0, None if volts is None else round(volts * 1000))
    wave = wave_of(sample, voltage=220, frequency=60)
    assert abs(wave.volts[0, 0, 0]) == pytest.approx(220 if volts is None else volts)
    assert wave.amps[0, 0, 0] == pytest.approx(amps)
