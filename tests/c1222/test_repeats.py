"""What may come once: a replay cache, kept answers, failures."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.repeats import WINDOW, Answers, Failures, ReplayCache, counted, sender_of
from openami.c1222.titles import ApTitle
from openami.core.errors import SecurityError

NOW: Final = 1_774_742_400.0
METER: Final = ApTitle.parse(".123.8437")


def made(number: int, sender: ApTitle | None = METER) -> Apdu:
    return Apdu(number, None, sender)


def refused(cache: ReplayCache, apdu: Apdu, key: KeyUse, now: float) -> str:
    with pytest.raises(SecurityError) as caught:
        cache.accept(apdu, key, now=now)
    return caught.value.code


def test_a_message_comes_once() -> None:
    cache = ReplayCache()
    use = KeyUse.at(2, NOW)
    cache.accept(made(1), use, now=NOW)
    assert refused(cache, made(1), use, NOW) == "security.replay"
    assert refused(cache, made(1, METER.absolute()), use, NOW) == "security.replay"
    cache.accept(made(2), use, now=NOW)
    cache.accept(made(1, None), use, now=NOW)
    cache.accept(made(1), KeyUse(3, use.iv), now=NOW)
    cache.accept(made(1), KeyUse.at(2, NOW + 1), now=NOW)
    cache.accept(Apdu(1, None, METER, answers=5), use, now=NOW)


@pytest.mark.parametrize("off", [-WINDOW - 1, WINDOW + 1, 1 << 31, -(1 << 31)])
def test_the_window(off: int) -> None:
    cache = ReplayCache()
    assert refused(cache, made(1), KeyUse.at(2, NOW + off), NOW) == "security.time"
    for within in (-WINDOW, WINDOW):
        cache.accept(made(1), KeyUse.at(2, NOW + within), now=NOW)


def test_the_time_of_a_message_wraps() -> None:
    end = float(1 << 32)
    cache = ReplayCache()
    cache.accept(made(1), KeyUse.at(2, end - 5), now=end + 5)
    cache.accept(made(1), KeyUse.at(2, end + 5), now=end - 5)
    assert refused(cache, made(1), KeyUse.at(2, 0), WINDOW + 1.0) == "security.time"


def test_what_is_forgotten_does_not_come_again() -> None:
    cache = ReplayCache(most=3)
    for number in range(4):
        cache.accept(made(number), KeyUse.at(2, NOW + number), now=NOW)
    assert refused(cache, made(0), KeyUse.at(2, NOW), NOW) == "security.time"
    assert refused(cache, made(9), KeyUse.at(2, NOW), NOW) == "security.time"
    assert refused(cache, made(1), KeyUse.at(2, NOW + 1), NOW) == "security.replay"
    cache.accept(made(9), KeyUse.at(2, NOW + 1), now=NOW)


def test_one_sender_has_only_so_much_room() -> None:
    cache = ReplayCache(of_sender=2)
    for number in (1, 2):
        cache.accept(made(number), KeyUse.at(2, NOW), now=NOW)
    assert refused(cache, made(1), KeyUse.at(2, NOW), NOW) == "security.replay"
    assert refused(cache, made(3), KeyUse.at(2, NOW), NOW) == "security.rate"
    cache.accept(made(3, None), KeyUse.at(2, NOW), now=NOW)
    later = NOW + WINDOW + 1
    cache.accept(made(3), KeyUse.at(2, later), now=later)
    assert cache._senders == {METER.name: 1}


def test_what_has_left_the_window_takes_no_room() -> None:
    cache = ReplayCache(most=2)
    for step in range(6):
        now = NOW + step * (WINDOW + 1)
        cache.accept(made(step), KeyUse.at(2, now), now=now)
        cache.accept(made(step), KeyUse.at(3, now), now=now)
    assert len(cache._seen) == 2


def test_a_clock_that_is_set_back_lets_nothing_in_again() -> None:
    cache = ReplayCache()
    cache.accept(made(1), KeyUse.at(2, NOW), now=NOW)
    later = NOW + 10 * WINDOW
    cache.accept(made(2), KeyUse.at(2, later), now=later)
    assert refused(cache, made(1), KeyUse.at(2, NOW), NOW) == "security.time"
    cache.accept(made(3), KeyUse.at(2, NOW + 1), now=NOW)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-20, 20), st.integers(-15, 5)), max_size=60)
)
def test_nothing_is_ever_accepted_twice(steps: list[tuple[int, int, int]]) -> None:
    cache = ReplayCache(window=10, most=5)
    taken = set()
    now = NOW
    for number, off, pause in steps:
        now += pause
        use = KeyUse.at(1, now + off)
        try:
            cache.accept(made(number), use, now=now)
        except SecurityError:
            continue
        assert (number, use) not in taken
        taken.add((number, use))


def test_senders() -> None:
    assert sender_of(made(1)) == sender_of(made(1, METER.absolute()))
    assert sender_of(made(1, None)) == b""


# -- answers ---------------------------------------------------------------------------------------


def test_a_request_that_comes_again_gets_its_answer() -> None:
    answers = Answers(lifetime=10)
    assert answers.find(b"request", now=0) is None
    answers.keep(b"request", (b"answer",), now=0)
    answers.keep(b"silent", (), now=1)
    assert answers.find(b"request", now=9) == (b"answer",)
    assert answers.find(b"silent", now=9) == ()
    assert answers.find(b"request", now=10) is None
    answers.keep(b"silent", (b"x",), now=10)
    assert answers.find(b"silent", now=19) == (b"x",)


def test_an_answer_is_given_again_so_often() -> None:
    answers = Answers()
    answers.keep(b"request", (b"answer",), now=0, times=2)
    given = [answers.find(b"request", now=1) for _ in range(4)]
    assert given == [(b"answer",), (b"answer",), (), ()]


@pytest.mark.parametrize("bound", [{"most": 2}, {"octets": 40}])
def test_answers_are_bounded(bound: dict[str, int]) -> None:
    answers = Answers(**bound)
    for number in range(3):
        answers.keep(bytes((number,)), (b"x" * 15,), now=0)
    assert answers.find(b"\x00", now=0) is None
    assert answers.find(b"\x02", now=0) is not None
    answers.keep(b"\x03", (bytes(100),), now=0)
    assert (answers.find(b"\x03", now=0) is None) == ("octets" in bound)


# -- failures --------------------------------------------------------------------------------------


def test_pauses_double() -> None:
    failures = Failures(free=2, first=1, longest=4)
    assert failures.failed("a", now=0) == 1
    assert failures.allows("a", now=0)
    for count, pause in ((2, 1), (3, 2), (4, 4), (5, 4)):
        assert failures.failed("a", now=0) == count
        assert not failures.allows("a", now=pause - 0.1)
        assert failures.allows("a", now=pause)
    assert failures.allows("b", now=0)
    assert failures.total == 5
    failures.succeeded("a")
    assert failures.allows("a", now=0)
    failures.succeeded("a")


def test_a_clock_that_is_set_back_makes_no_pause_longer() -> None:
    failures = Failures(free=1, first=1, longest=4)
    failures.failed("a", now=1000)
    assert not failures.allows("a", now=1000.5)
    assert failures.allows("a", now=500)


def test_failures_are_forgotten() -> None:
    failures = Failures(free=1, first=1, longest=4, most=2)
    failures.failed("a", now=0)
    assert failures.failed("a", now=7) == 2
    assert failures.failed("a", now=15) == 1
    failures.failed("b", now=15)
    failures.failed("c", now=15)
    assert failures.failed("a", now=15) == 1


def test_what_was_taken_before_a_restart_is_not_taken_again() -> None:
    before = ReplayCache()
    before.accept(made(1), KeyUse.at(2, NOW), now=NOW)
    assert before.newest == NOW
    after = ReplayCache(floor=before.newest)
    assert after.newest == NOW
    for number in (1, 2):
        assert refused(after, made(number), KeyUse.at(2, NOW), NOW) == "security.time"
    after.accept(made(2), KeyUse.at(2, NOW + 1), now=NOW)
    assert after.newest == NOW + 1


def test_ids_have_32_bits() -> None:
    ids = counted(0xFFFF_FFFF)
    assert [ids(), ids(), ids()] == [0xFFFF_FFFF, 0, 1]
