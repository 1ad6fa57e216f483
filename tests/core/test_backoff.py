"""Waits after failures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.backoff import backoff


@given(st.integers(1, 2000), st.floats(0.1, 100), st.floats(1, 100), st.floats(0, 1))
def test_backoff_is_bounded(failures: int, first: float, times: float, jitter: float) -> None:
    most = first * times
    wait = backoff(failures, first=first, most=most, jitter=jitter)
    assert first / 2 <= wait <= most
    assert wait <= backoff(failures + 1, first=first, most=most, jitter=jitter)


@pytest.mark.parametrize(("failures", "wait"), [(1, 5), (2, 10), (3, 20), (4, 30), (99, 30)])
def test_waits_double_up_to_the_longest(failures: int, wait: float) -> None:
    assert backoff(failures, first=5, most=30) == wait
    assert backoff(failures, first=5, most=30, jitter=1.0) == wait / 2
