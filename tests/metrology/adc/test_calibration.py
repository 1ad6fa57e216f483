from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError
from openami.metrology.accuracy import calibrated, sines
from openami.metrology.adc.calibration import SIZE, Calibration, Constants, calibrate
from openami.metrology.adc.frontend import SIGMA_DELTA
from openami.metrology.adc.metering import Rating
from openami.wire.crc import crc16_x25

U32 = st.integers(0, 0xFFFFFFFF)
CALIBRATIONS = st.builds(
    Calibration,
    volt=st.integers(1, 0xFFFFFFFF),
    amp=st.integers(1, 0xFFFFFFFF),
    delay=st.integers(-0x80000000, 0x7FFFFFFF),
    volt_noise=U32,
    amp_noise=U32,
)


@given(CALIBRATIONS)
def test_a_memory_gives_back_what_was_kept(calibration: Calibration) -> None:
    kept = calibration.encode()
    assert len(kept) == SIZE
    assert Calibration.decode(kept) == calibration


@given(CALIBRATIONS, st.integers(0, SIZE - 1), st.integers(1, 255))
def test_a_damaged_memory_is_refused(calibration: Calibration, at: int, flip: int) -> None:
    kept = bytearray(calibration.encode())
    kept[at] ^= flip
    with pytest.raises(DecodeError) as caught:
        Calibration.decode(bytes(kept))
    assert caught.value.code == "metrology.calibration"


@pytest.mark.parametrize("change", [{0: 2}, {1: 0, 2: 0, 3: 0, 4: 0}], ids=["version", "zero"])
def test_a_memory_that_makes_no_sense_is_refused(change: dict[int, int]) -> None:
    body = bytearray(Calibration(1, 1).encode()[:-2])
    for at, octet in change.items():
        body[at] = octet
    with pytest.raises(DecodeError):
        Calibration.decode(bytes(body) + crc16_x25(bytes(body)).to_bytes(2, "big"))
    with pytest.raises(DecodeError):
        Calibration.decode(b"")


def test_a_constant_beyond_its_octets_is_refused() -> None:
    with pytest.raises(ValueError, match="four octets"):
        Calibration(1 << 32, 1)


def test_the_bench_finds_the_errors_of_the_front_end() -> None:
    found = calibrated(SIGMA_DELTA, np.random.default_rng(2))
    volt = SIGMA_DELTA.volts.peak / 32768 / 1.012
    amp = SIGMA_DELTA.amps.peak / 32768 / 0.98
    assert found.volt == pytest.approx(volt * 1e9, rel=1e-5)
    assert found.amp == pytest.approx(amp * 1e9, rel=1e-4)
    assert found.delay == pytest.approx(8000, abs=100)
    assert found.amp_noise / 65536 == pytest.approx(1.3**2 + 1 / 12, rel=0.05)


def test_many_meters_of_three_phases_are_calibrated_at_any_angle() -> None:
    chance = np.random.default_rng(3)
    gains = chance.normal(0, 0.02, (4, 3))
    front = replace(
        SIGMA_DELTA, amps=replace(SIGMA_DELTA.amps, gain=gains, delay=1e-6 * np.arange(3.0))
    )
    plan = Rating.of(front).plan
    lines = sines(front, np.full(4, 10.0), np.full(4, np.pi / 3))
    lines = replace(lines, volts=np.repeat(lines.volts, 3, 1), amps=np.repeat(lines.amps, 3, 1))
    quiet = replace(lines, amps=0 * lines.amps)
    found = calibrate(
        plan,
        front.sample(quiet, start=0, count=4000, chance=chance),
        front.sample(lines, start=0, count=8000, chance=chance),
        volts=220,
        amps=10,
        angle=np.pi / 3,
    )
    constants = Constants.of(found)
    np.testing.assert_allclose(constants.amp, front.amps.peak / 32768 / (1 + gains), rtol=1e-3)
    np.testing.assert_allclose(constants.delay, [[0, 1e-6, 2e-6]] * 4, atol=2e-7)


def test_without_a_reference_there_is_no_calibration() -> None:
    plan = Rating.of(SIGMA_DELTA).plan
    nothing = np.zeros((2, 1, 1, 4000), np.int16)
    with pytest.raises(ValueError, match="no reference"):
        calibrate(plan, nothing, nothing, volts=220, amps=10)
