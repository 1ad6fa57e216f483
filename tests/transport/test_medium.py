from __future__ import annotations

import random

import pytest

from openami.core.errors import ConfigError
from openami.transport.medium import LineProfile, Medium


def line(*, seed: int = 1, **profile: float) -> Medium:
    return Medium(LineProfile(**profile), random.Random(seed))  # type: ignore[arg-type] # a test's shorthand


def test_octets_take_their_time() -> None:
    medium = line(bit_rate=9600, propagation_s=0.25)
    sent = medium.transmit(bytes(96), now=10.0)
    assert sent.ends_at == pytest.approx(10.1)
    (received,) = medium.receptions(sent)
    assert received.at == pytest.approx(10.35)
    assert received.octets() == bytes(96)


def test_a_fast_clock_makes_a_fast_line() -> None:
    medium = line(bit_rate=9600, propagation_s=0.25, time_factor=10)
    (received,) = medium.receptions(medium.transmit(bytes(96), now=10.0))
    assert received.at == pytest.approx(10.035)


def test_a_busy_line_makes_senders_wait() -> None:
    medium = line(bit_rate=100, half_duplex=True)
    assert medium.transmit(bytes(10), now=0.0).ends_at == pytest.approx(1.0)
    assert medium.transmit(bytes(10), now=0.5, upward=True).ends_at == pytest.approx(2.0)
    assert medium.transmit(bytes(10), now=5.0).ends_at == pytest.approx(6.0)


def test_full_duplex_ways_do_not_meet() -> None:
    medium = line(bit_rate=100)
    assert medium.transmit(bytes(10), now=0.0).ends_at == pytest.approx(1.0)
    assert medium.transmit(bytes(10), now=0.5, upward=True).ends_at == pytest.approx(1.5)
    assert medium.transmit(bytes(10), now=0.5).ends_at == pytest.approx(2.0)


def test_collisions_destroy_both() -> None:
    medium = line(bit_rate=100, half_duplex=True, collisions=True)
    first = medium.transmit(b"first", now=0.0)
    (one,) = medium.receptions(first)
    assert one.octets() == b"first"
    (other,) = medium.receptions(medium.transmit(b"other", now=0.1, upward=True))
    assert one.octets() != b"first"
    assert other.octets() != b"other"
    assert len(one.octets()) == 5
    (later,) = medium.receptions(medium.transmit(b"later", now=9.0))
    assert later.octets() == b"later"
    assert medium.counters.collided == 1


def test_misfortunes_come_as_often_as_told_and_the_same_every_run() -> None:
    profile = {"loss": 0.2, "duplication": 0.1, "corruption": 0.3, "reordering": 0.1}

    def outcome(seed: int) -> list[list[tuple[float, bytes]]]:
        medium = line(seed=seed, jitter_s=0.5, reordering_s=10, **profile)
        results = []
        for at in range(2000):
            transmission = medium.transmit(b"abcdefgh", now=float(at))
            results.append([(r.at - at, r.octets()) for r in medium.receptions(transmission)])
        assert medium.counters.transmissions == 2000
        assert medium.counters.octets == 16000
        assert medium.counters.lost == sum(not r for r in results)
        assert medium.counters.duplicated == sum(len(r) == 2 for r in results)
        assert medium.counters.corrupted == sum(bool(r) and r[0][1] != b"abcdefgh" for r in results)
        assert medium.counters.reordered == sum(bool(r) and r[0][0] >= 10 for r in results)
        return results

    results = outcome(7)
    assert 300 < sum(not r for r in results) < 500
    assert all(0 <= at <= 10.5 for r in results for at, _ in r)
    assert results == outcome(7)
    assert results != outcome(8)


def test_each_receiver_has_its_own_luck() -> None:
    medium = line(loss=0.5)
    transmission = medium.transmit(b"to all", now=0.0)
    heard = [bool(medium.receptions(transmission)) for _ in range(100)]
    assert 20 < sum(heard) < 80


def test_corruption_is_of_one_bit_and_needs_one() -> None:
    medium = line(corruption=1.0)
    (received,) = medium.receptions(medium.transmit(b"\0" * 9, now=0.0))
    assert int.from_bytes(received.octets(), "big").bit_count() == 1
    (nothing,) = medium.receptions(medium.transmit(b"", now=0.0))
    assert nothing.octets() == b""


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 1.1},
        {"corruption": -0.1},
        {"bit_rate": 0},
        {"propagation_s": -1},
        {"jitter_s": float("inf")},
        {"time_factor": 0},
        {"duplication": float("nan")},
    ],
    ids=str,
)
def test_lines_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        line(seed=1, **wrong)
