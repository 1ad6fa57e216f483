"""Signs of tampering in what a converter measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openami.metrology.accuracy import calibrated
from openami.metrology.adc.calibration import Constants
from openami.metrology.adc.disturbances import Disturbance, QualityEvent
from openami.metrology.adc.frontend import SIGMA_DELTA, FrontEnd
from openami.metrology.adc.metering import Metering, Rating
from openami.metrology.adc.waves import Wave, harmonics

CALIBRATION = calibrated(SIGMA_DELTA, np.random.default_rng(1))
ROUND = np.exp(-2j * np.pi / 3 * np.arange(3))


def wave(volts: np.ndarray, amps: np.ndarray) -> Wave:
    rows = [np.stack([harmonics(complex(one)) for one in each])[None] for each in (volts, amps)]
    return Wave(60.0, *rows)


GOOD = wave(220 * ROUND, 5 * ROUND)


def seen(*waves: Wave, fronts: tuple[FrontEnd, ...] = ()) -> list[QualityEvent]:
    phases = waves[0].volts.shape[1]
    metering = Metering(Rating.of(SIGMA_DELTA), Constants.of([[CALIBRATION] * phases]))
    chance = np.random.default_rng(2)
    found: list[QualityEvent] = []
    for number, one in enumerate(waves):
        front = fronts[number] if fronts else SIGMA_DELTA
        codes = front.sample(one, start=4000 * number, count=4000, chance=chance)
        found.extend(metering.process(codes).events)
    return found


def test_a_meter_that_is_left_alone_sees_nothing() -> None:
    assert seen(GOOD, GOOD, wave(220 * ROUND, 0 * ROUND), wave(220 * ROUND, -5 * ROUND)) == [
        QualityEvent(0, phase, Disturbance.REVERSE, 3000) for phase in range(3)
    ]


def test_two_phases_that_are_exchanged_turn_the_wrong_way_round() -> None:
    wrong = wave(220 * ROUND[[0, 2, 1]], 5 * ROUND[[0, 2, 1]])
    assert seen(wrong, GOOD) == [
        QualityEvent(0, 1, Disturbance.SEQUENCE, 0),
        QualityEvent(0, 1, Disturbance.SEQUENCE, 0, 1000),
    ]


def test_one_current_transformer_that_is_turned_round_is_seen() -> None:
    turned = wave(220 * ROUND, 5 * ROUND * [1, 1, -1])
    kinds = [(e.kind, e.phase, e.lasted) for e in seen(turned, GOOD)]
    assert kinds == [
        (Disturbance.REVERSE, 2, None),
        (Disturbance.REVERSED_PHASE, 2, None),
        (Disturbance.REVERSE, 2, 1000),
        (Disturbance.REVERSED_PHASE, 2, 1000),
    ]


def test_two_phases_that_give_are_no_turned_transformer() -> None:
    kinds = {e.kind for e in seen(wave(220 * ROUND, 5 * ROUND * [1, -1, -1]))}
    assert kinds == {Disturbance.REVERSE}


def test_a_current_without_a_voltage_is_seen_and_a_missing_phase_turns_no_way() -> None:
    cut = wave(220 * ROUND * [1, 0, 1], 5 * ROUND)
    kinds = [(e.kind, e.phase) for e in seen(cut)]
    assert kinds == [(Disturbance.INTERRUPTION, 1), (Disturbance.NO_VOLTAGE, 1)]
    kinds = [(e.kind, e.phase) for e in seen(wave(220 * ROUND * [1, 0, 1], 5 * ROUND * [1, 0, 1]))]
    assert kinds == [(Disturbance.INTERRUPTION, 1)]


@pytest.mark.parametrize("offset", [-2000.0, 2000.0])
def test_a_magnet_shifts_a_channels_zero(offset: float) -> None:
    pulled = replace(SIGMA_DELTA, amps=replace(SIGMA_DELTA.amps, offset=offset))
    one = wave(np.array([220.0]), np.array([5.0]))
    assert seen(one, one, one, fronts=(SIGMA_DELTA, pulled, SIGMA_DELTA)) == [
        QualityEvent(0, 0, Disturbance.MAGNET, 1000),
        QualityEvent(0, 0, Disturbance.MAGNET, 1000, 1000),
    ]
