from __future__ import annotations

import numpy as np
import pytest

from openami.metrology.accuracy import sines
from openami.metrology.adc.frontend import FRONT_ENDS, PAPER, Channel


def chance() -> np.random.Generator:
    return np.random.default_rng(1)


def test_a_code_is_the_nearest_step() -> None:
    channel = Channel(peak=512.0, bits=10)
    codes = channel.convert(np.array([[[0.0, 0.4, 0.6, -0.6, 100.2]]]), chance())
    assert codes.dtype == np.int16
    assert codes.tolist() == [[[0, 0, 1, -1, 100]]]


def test_beyond_its_scale_a_converter_stays_at_the_end() -> None:
    channel = Channel(peak=5.0, bits=10)
    codes = channel.convert(np.array([[[9.0, -9.0, 5.0, -5.0]]]), chance())
    assert codes.tolist() == [[[511, -512, 511, -512]]]


def test_offset_and_gain_are_of_each_meter() -> None:
    channel = Channel(
        peak=512.0, bits=10, offset=np.array([[5.0], [-7.0]]), gain=np.array([[0.1], [-0.1]])
    )
    codes = channel.convert(np.full((2, 1, 1), 100.0), chance())
    assert codes[:, 0, 0].tolist() == [115, 83]


def test_noise_has_its_strength_and_comes_from_the_caller() -> None:
    channel = Channel(peak=32768.0, bits=16, noise=20.0)
    first, again = (channel.convert(np.zeros((1, 1, 20_000)), chance()) for _ in range(2))
    assert (first == again).all()
    assert first.std() == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("bits", [1, 17])
def test_a_converter_has_2_to_16_bits(bits: int) -> None:
    with pytest.raises(ValueError, match="2 to 16 bits"):
        Channel(1.0, bits)


def test_the_papers_front_end_is_full_at_220_volts_and_32_amperes() -> None:
    codes = PAPER.sample(
        sines(PAPER, np.array([31.0, 40.0]), np.zeros(2)), start=0, count=4000, chance=chance()
    )
    assert codes.shape == (2, 2, 1, 4000)
    full = (codes == 511).sum(-1)[..., 0]
    assert full[1, 0] < 100
    assert full[1, 1] > 500
    assert -512 <= codes[0].min() < -500


def test_front_ends_are_found_by_name() -> None:
    assert all(name == front.name for name, front in FRONT_ENDS.items())
