"""When a city of DCUs asks its server."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from openami.dcu.polling import JITTER, first_poll, next_poll

CITY = 120_000
EVERY = 300.0


@pytest.mark.parametrize("after", [0, 1, 3, 10])
def test_a_city_that_comes_back_from_a_power_cut_does_not_ask_in_one_second(after: int) -> None:
    """Over every second of an interval the sessions are near the mean, at once and for ever."""
    chance = random.Random(7)
    times = [first_poll(EVERY, chance.random()) for _ in range(CITY)]
    for _ in range(after):
        times = [time + next_poll(EVERY, chance.random()) for time in times]
    seconds = Counter(int(time) for time in times)
    mean = CITY / EVERY
    assert max(seconds.values()) < 1.3 * mean


def test_a_poll_is_as_often_as_said_and_never_much_later() -> None:
    chance = random.Random(8)
    waits = [next_poll(EVERY, chance.random()) for _ in range(10_000)]
    assert abs(sum(waits) / len(waits) - EVERY) < 0.01 * EVERY
    assert (1 - JITTER) * EVERY <= min(waits) < 0.82 * EVERY
    assert 1.18 * EVERY < max(waits) <= (1 + JITTER) * EVERY
    assert first_poll(EVERY, 0.0) == 0.0
