"""Missing intervals and exact sums."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.readings import CHANNELS, LOAD, MIDNIGHT, profile

from openami.mdm import gaps as module
from openami.mdm.gaps import count_present, expected_ends, find_gaps
from openami.mdm.readings import ChannelValues, join, profile_table
from openami.mdm.sums import SUMS_SCHEMA, sums

P = 900


def test_intervals_are_named_by_their_ends() -> None:
    assert list(expected_ends(0, 1800, P)) == [900, 1800]
    assert list(expected_ends(1, 1799, P)) == [900]
    assert list(expected_ends(900, 900, P)) == []
    with pytest.raises(ValueError, match="period"):
        expected_ends(0, 900, 0)


def test_runs_of_what_is_missing() -> None:
    series = np.array([7, 7, 7, 9, 5])
    time = np.array([900, 1800, 4500, 2700, 900])
    found = find_gaps(series, time, wanted=np.array([9, 7, 3]), start=0, end=5400, period=P)
    assert list(zip(found.series, found.first, found.last, strict=True)) == [
        (9, 900, 1800),
        (9, 3600, 5400),
        (7, 2700, 3600),
        (7, 5400, 5400),
        (3, 900, 5400),
    ]
    assert len(found) == 5
    assert found.intervals(P) == 2 + 3 + 2 + 1 + 6


def test_times_off_the_grid_and_outside_count_for_nothing() -> None:
    time = np.array([901, 0, 2700, -900])
    found = find_gaps(np.ones(4, int), time, wanted=np.array([1]), start=0, end=1800, period=P)
    assert (list(found.first), list(found.last)) == ([900], [1800])


def test_nothing_is_missing_where_nothing_is_expected() -> None:
    none = np.empty(0, np.int64)
    assert len(find_gaps(none, none, wanted=none, start=0, end=9000, period=P)) == 0
    assert len(find_gaps(none, none, wanted=np.array([1]), start=0, end=0, period=P)) == 0
    assert list(count_present(none, none, wanted=np.array([1]), start=0, end=0, period=P)) == [0]


@given(
    present=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), max_size=40),
    wanted=st.lists(st.integers(0, 6), unique=True, max_size=6),
    cells=st.integers(1, 40),
)
@settings(max_examples=150, deadline=None)
def test_gaps_and_what_is_there_make_the_whole(
    present: list[tuple[int, int]], wanted: list[int], cells: int
) -> None:
    """Against sets, in blocks of any size."""
    series = np.array([s for s, _ in present], np.int64)
    time = np.array([t * P for _, t in present], np.int64)
    want = np.array(wanted, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MAX_CELLS", cells)
        found = find_gaps(series, time, wanted=want, start=0, end=10 * P, period=P)
        counts = count_present(series, time, wanted=want, start=0, end=10 * P, period=P)
    missing = {
        (int(s), t)
        for s, a, b in zip(found.series, found.first, found.last, strict=True)
        for t in range(int(a), int(b) + 1, P)
    }
    there = set(present)
    expected = {(s, t * P) for s in wanted for t in range(1, 11) if (s, t) not in there}
    assert missing == expected
    assert found.intervals(P) == len(expected)
    assert [int(n) for n in counts] == [
        len({t for s, t in there if s == w and 1 <= t <= 10}) for w in wanted
    ]


def test_sums_are_exact_and_by_channel() -> None:
    huge = np.full(4, 2**62)
    one = profile_table(
        "A1",
        LOAD,
        time=MIDNIGHT + P * np.arange(1, 5),
        status=np.zeros(4, np.uint8),
        channels=[
            ChannelValues(CHANNELS[0], 0, 30, huge),
            ChannelValues(CHANNELS[1], 0, 30, -huge),
        ],
    )
    found = sums(join([one, profile("A2", rows=2, channels=CHANNELS[:1])]))
    assert found.schema.equals(SUMS_SCHEMA)
    rows = found.to_pylist()
    assert [(r["meter"], r["channel"], r["count"]) for r in rows] == [
        ("A1", CHANNELS[0], 4),
        ("A1", CHANNELS[1], 4),
        ("A2", CHANNELS[0], 2),
    ]
    assert [r["sum"] for r in rows[:2]] == [Decimal(2**64), Decimal(-(2**64))]
    assert rows[0]["first"].timestamp() == MIDNIGHT + P
    assert rows[0]["last"].timestamp() == MIDNIGHT + 4 * P
