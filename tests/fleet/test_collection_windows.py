"""What is asked of a profile, and what is made of what came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openami.fleet.collection import (
    Known,
    Window,
    gaps,
    next_window,
    rewound,
    settled_after,
    sift,
    start_of,
)
from openami.fleet.collection.windows import KNOWN_MAX

P = 900
T0 = 1_700_000_100 // P * P


def digest(time: int, version: int = 0) -> int:
    return time * 10 + version


def learn(known: Known, times: list[int]) -> None:
    for time in times:
        known.add(time, digest(time))


def test_a_read_begins_at_the_cursor() -> None:
    assert start_of(T0, shown=T0 + 5, elapsed=900, period=P) == T0


def test_a_clock_before_the_cursor_is_read_from_where_new_entries_can_lie() -> None:
    assert start_of(T0, shown=T0 - 100, elapsed=1000, period=P) == T0 - 100 - 1000 - P
    assert start_of(T0, shown=0, elapsed=1000, period=0) == 0
    assert rewound(T0, elapsed=10, period=0) == T0 - 11
    assert rewound(5, elapsed=10, period=P) == 0


@given(start=st.integers(0, 2**31), ahead=st.floats(-1e6, 1e9), span=st.integers(1, 10**7))
def test_windows_end_at_the_horizon_and_never_before_their_start(
    start: int, ahead: float, span: int
) -> None:
    window = next_window(start, horizon=start + ahead, span=span)
    assert window.start == start
    assert start <= window.end <= start + span
    assert window.end <= max(start, start + ahead)


@given(st.sets(st.integers(0, 60)), st.lists(st.integers(1, 60 * P), max_size=4))
def test_gaps_are_the_captures_that_are_missing(slots: set[int], odd: list[int]) -> None:
    times = sorted({T0 + slot * P for slot in slots} | {T0 + second for second in odd})
    missing = {t for w in gaps(times, period=P) for t in range(w.start, w.end + 1, P)}
    expected = {t for t in range(T0, T0 + 61 * P, P) if times and times[0] < t < times[-1]} - set(
        times
    )
    assert missing == expected


def test_a_profile_without_a_period_has_no_gaps() -> None:
    assert gaps([1, 100_000], period=0) == []


def test_gap_windows_are_whole_stretches() -> None:
    assert gaps([T0, T0 + P, T0 + 4 * P, T0 + 5 * P], period=P) == [Window(T0 + 2 * P, T0 + 3 * P)]


def test_the_entry_at_the_cursor_is_not_new() -> None:
    known = Known()
    learn(known, [T0])
    times = [T0, T0 + P]
    found = sift(times, [digest(t) for t in times], cursor=T0, known=known)
    assert (found.keep, found.repeated, found.cursor, found.set_back) == ((1,), 0, T0 + P, False)


def test_after_a_restart_nothing_is_known_and_the_cursor_still_holds() -> None:
    times = [T0 - P, T0, T0 + P]
    found = sift(times, [digest(t) for t in times], cursor=T0, known=Known())
    assert (found.keep, found.repeated, found.set_back) == ((2,), 1, False)


def test_nothing_came() -> None:
    found = sift([], [], cursor=T0, known=Known())
    assert (found.keep, found.repeated, found.cursor, found.set_back) == ((), 0, T0, False)


def test_the_first_read_of_all_keeps_everything_once() -> None:
    times = [T0, T0, T0 + P]
    found = sift(times, [digest(t) for t in times], cursor=None, known=Known())
    assert found.keep == (0, 2)
    assert found.repeated == 1


def test_other_values_at_the_cursor_show_a_clock_that_went_back() -> None:
    known = Known()
    learn(known, [T0])
    assert sift([T0], [digest(T0, 1)], cursor=T0, known=known).set_back
    assert sift([T0, T0], [digest(T0), digest(T0, 1)], cursor=T0, known=Known()).set_back


@given(back=st.integers(1, 40), more=st.integers(0, 40), before=st.integers(1, 60))
def test_every_entry_of_a_clock_that_was_set_back_comes_once(
    back: int, more: int, before: int
) -> None:
    """The meter is visited after every capture; its clock is set back between two of them."""
    buffer: list[tuple[int, int]] = []
    known = Known()
    cursor: int | None = None
    kept: list[tuple[int, int]] = []

    def visit(shown: float) -> None:
        nonlocal cursor
        start = 0 if cursor is None else start_of(cursor, shown=shown, elapsed=P, period=P)
        for again in (cursor is not None and start < cursor, True):
            rows = [row for row in buffer if start <= row[0] <= max(shown, cursor or 0)]
            found = sift(
                [r[0] for r in rows], [r[1] for r in rows], cursor=cursor, known=known, again=again
            )
            if not found.set_back:
                break
            assert cursor is not None
            start = rewound(cursor, elapsed=P, period=P)
        for place in found.keep:
            known.add(*rows[place])
            kept.append(rows[place])
        cursor = found.cursor

    time = T0
    for _ in range(before):
        time += P
        buffer.append((time, digest(time)))
        visit(time + 30)
    time -= back * P  # in the middle of an interval: the next boundary is a time that has been
    for _ in range(back + more):
        time += P
        buffer.append((time, digest(time, 1)))
        visit(time + 30)
    assert kept == buffer


def test_what_is_known_is_bounded_and_the_oldest_goes_first() -> None:
    known = Known()
    learn(known, list(range(KNOWN_MAX + 3)))
    assert len(known) == KNOWN_MAX
    assert (2, digest(2)) not in known
    assert (3, digest(3)) in known
    assert known.at(5) == {digest(5)}


def test_old_entries_above_a_cursor_that_went_back_are_not_new() -> None:
    settled = settled_after(T0, T0 + 8 * P, elapsed=P, period=P)
    assert settled == Window(T0 + 2 * P + 1, T0 + 8 * P)
    times = [T0 + number * P for number in range(11)]
    found = sift(times, times, cursor=T0, known=Known(), settled=settled)
    assert [times[place] for place in found.keep] == [T0 + n * P for n in (1, 2, 9, 10)]
    assert settled_after(T0, T0, elapsed=0, period=P) is None
    assert settled_after(None, T0, elapsed=0, period=P) is None
    assert settled_after(T0, None, elapsed=0, period=P) is None
