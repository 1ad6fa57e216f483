"""The estimate of a running month on real homes: the figures that docs/how-to/bills.md states."""

from __future__ import annotations

import numpy as np
import pytest
from bench.estimate import AFTER, Trial, trials


@pytest.fixture(scope="module")
def found() -> list[Trial]:
    return trials()


def of_day(found: list[Trial], after: int) -> list[Trial]:
    return [trial for trial in found if trial.after == after]


def test_every_whole_month_of_the_homes_is_tried(found: list[Trial]) -> None:
    assert {len(of_day(found, after)) for after in AFTER} == {81}


def test_the_bill_is_in_the_range_as_often_as_is_said_and_the_range_no_wider(
    found: list[Trial],
) -> None:
    assert 0.87 < np.mean([trial.within for trial in found]) < 0.95
    for after in AFTER:
        assert np.mean([trial.within for trial in of_day(found, after)]) >= 0.85


@pytest.mark.parametrize(
    ("after", "half", "most"),
    [(5, 0.20, 0.60), (10, 0.13, 0.42), (15, 0.09, 0.27), (20, 0.06, 0.19), (25, 0.03, 0.12)],
)
def test_half_of_the_errors_and_nine_in_ten_are_small(
    found: list[Trial], after: int, half: float, most: float
) -> None:
    errors = [trial.error for trial in of_day(found, after)]
    assert np.quantile(errors, 0.5) < half
    assert np.quantile(errors, 0.9) < most
