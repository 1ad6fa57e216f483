from __future__ import annotations

import numpy as np
import pytest

from openami.metrology.adc.sums import Plan, add_up

FULL = 32_767


def samples(meters: int, phases: int, count: int) -> np.ndarray:
    random = np.random.default_rng(7)
    return random.integers(-FULL - 1, FULL, (2, meters, phases, count), dtype=np.int16)


def test_sums_are_exact() -> None:
    codes = samples(2, 3, 4000)
    codes[:, 0, 0] = -FULL - 1  # the largest products there are
    sums = add_up(codes, Plan(4000, 60))
    for meter in range(2):
        for phase in range(3):
            v, i = (codes[each, meter, phase].tolist() for each in (0, 1))
            expected = [
                sum(v), sum(i), sum(x * x for x in v), sum(x * x for x in i),
                sum(x * y for x, y in zip(v, i, strict=True)),
            ]  # fmt: skip
            assert [int(each) for each in sums.plain[:, meter, phase]] == expected


def test_many_meters_at_once_are_as_each_alone() -> None:
    codes = samples(70, 1, 4000)
    together = add_up(codes, Plan(4000, 50))
    for meter in (0, 31, 69):
        alone = add_up(codes[:, meter : meter + 1], Plan(4000, 50))
        np.testing.assert_array_equal(together.plain[:, meter], alone.plain[:, 0])
        np.testing.assert_allclose(together.means[:, meter], alone.means[:, 0])
        np.testing.assert_allclose(together.squares[meter], alone.squares[0])
        np.testing.assert_allclose(together.phasors[:, meter], alone.phasors[:, 0])


@pytest.mark.parametrize(("frequency", "step"), [(50, 40), (60, 100)])
def test_a_step_is_a_whole_number_of_half_cycles(frequency: int, step: int) -> None:
    plan = Plan(4000, frequency)
    assert (plan.step, plan.window) == (step, 400)
    assert (step * 2 * frequency) % 4000 == 0


@pytest.mark.parametrize(
    ("rate", "frequency"), [(4001, 50), (4000, 55), (800, 50), (9000, 50), (2000, 47)]
)
def test_rates_that_do_not_fit_are_refused(rate: int, frequency: int) -> None:
    with pytest.raises(ValueError, match=r"samples|second"):
        Plan(rate, frequency)


@pytest.mark.parametrize("count", [0, 400, 4001, 61 * 4000])
def test_samples_that_do_not_fit_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="whole tenths"):
        add_up(np.zeros((2, 1, 1, count), np.int16), Plan(4000, 50))
    with pytest.raises(ValueError, match="whole tenths"):
        add_up(np.zeros((3, 1, 1, 4000), np.int16), Plan(4000, 50))
