"""Who is due next of many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openami.c1222.network.due import Due

NAMES = st.sampled_from([bytes((number,)) for number in range(5)])
TIMES = st.none() | st.integers(0, 9).map(float)


@given(st.lists(st.tuples(NAMES, TIMES, st.integers(0, 9)), max_size=60))
def test_whom_to_look_at(steps: list[tuple[bytes, float | None, int]]) -> None:
    due = Due()
    plain: dict[bytes, float] = {}
    for name, at, now in steps:
        due.note(name, at)
        plain.pop(name, None)
        if at is not None:
            plain[name] = at
        assert due.next_timer() == min(plain.values(), default=None)
        wanted = sorted((when, each) for each, when in plain.items() if when <= now)
        assert due.take(now) == [each for _, each in wanted]
        for _, each in wanted:
            del plain[each]


def test_what_is_over_takes_no_room() -> None:
    due = Due()
    due.note(b"first", 0.0)
    for number in range(1000):
        due.note(b"again", 10.0 + number)
        due.note(b"gone", 5.0 + number)
        due.note(b"gone", None)
    assert len(due._heap) < 100
    assert due.take(2000.0) == [b"first", b"again"]
