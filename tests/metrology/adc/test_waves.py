from __future__ import annotations

import numpy as np
import pytest

from openami.metrology.adc.waves import ORDERS, Wave, harmonics, stack, synthesise


def test_values_are_the_sum_of_the_harmonics() -> None:
    row = harmonics(3 * np.exp(0.4j), (0.2, 0.1j))
    values = synthesise(row[None, None], 50.5, rate=4000, start=123_456_789, count=50)
    times = (123_456_789 + np.arange(50)) / 4000
    expected = sum(
        np.sqrt(2) * abs(x) * np.cos(2 * np.pi * 50.5 * order * times + np.angle(x))
        for order, x in zip(ORDERS, row, strict=True)
    )
    np.testing.assert_allclose(values[0, 0], expected, atol=1e-5)


def test_pieces_are_one_wave() -> None:
    row = harmonics(1 + 0j, (0.3,))[None, None]
    whole = synthesise(row, 59.9, rate=4000, start=0, count=900)
    parts = [synthesise(row, 59.9, rate=4000, start=at, count=300) for at in (0, 300, 600)]
    np.testing.assert_allclose(np.concatenate(parts, axis=-1), whole, atol=1e-9)


def test_a_delay_moves_all_harmonics_alike() -> None:
    row = harmonics(2 + 1j, (0.3, 0.2))[None, None]
    late = synthesise(row, 50, rate=4000, start=100, count=80, delay=3 / 4000)
    sooner = synthesise(row, 50, rate=4000, start=97, count=80)
    np.testing.assert_allclose(late, sooner, atol=1e-9)


def test_the_form_of_a_wave_does_not_depend_on_its_phase() -> None:
    turn = 2 * np.pi * 10 / 80
    plain = synthesise(harmonics(1 + 0j, (0.3, 0.2))[None, None], 50, rate=4000, start=10, count=80)
    turned = harmonics(np.exp(1j * turn), (0.3, 0.2))[None, None]
    np.testing.assert_allclose(
        synthesise(turned, 50, rate=4000, start=0, count=80), plain, atol=1e-9
    )


def test_powers_of_a_wave_are_those_of_its_values() -> None:
    volts = harmonics(230 + 0j, (0.02, 0.03))[None, None]
    amps = harmonics(10 * np.exp(-0.5j), (0.4, 0.3))[None, None]
    wave = Wave(50.0, volts, amps)
    v, i = (synthesise(each, 50, rate=4000, start=0, count=800)[0, 0] for each in (volts, amps))
    assert wave.active[0, 0] == pytest.approx((v * i).mean())
    assert wave.fundamental[0, 0] == pytest.approx(2300 * np.cos(0.5))
    assert wave.reactive[0, 0] == pytest.approx(2300 * np.sin(0.5))
    np.testing.assert_allclose(wave.rms[:, 0, 0], [np.sqrt((v**2).mean()), np.sqrt((i**2).mean())])


def test_meters_of_one_pass_are_on_one_grid() -> None:
    row = harmonics(1 + 0j)[None, None]
    both = stack([Wave(50.0, row, row), Wave(50.0, 2 * row, row)])
    assert both.volts.shape == (2, 1, len(ORDERS))
    with pytest.raises(ValueError, match="one frequency"):
        stack([Wave(50.0, row, row), Wave(60.0, row, row)])
    with pytest.raises(ValueError, match="one frequency"):
        stack([])
