"""States on disk, bitmaps as makers give them, and what blocks cost."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.upgrade_meters import ORDER, serial_of

from openami.core.errors import DecodeError
from openami.fleet.upgrade import Bits, Costs, Order, Stage, Upgrade, transmissions
from openami.fleet.upgrade.bitmap import first_gap, present
from openami.fleet.upgrade.costs import askings, to_finish_by_broadcast, to_finish_by_unicast

TEXT = st.text(max_size=200)
STATES = st.builds(
    Upgrade,
    serial=st.just(serial_of(1)),
    order=TEXT,
    stage=st.sampled_from(Stage),
    since=st.floats(0, 1e12),
    marks=st.dictionaries(st.sampled_from(Stage), st.floats(0, 1e12)),
    version=TEXT,
    block_size=st.integers(0, 65535),
    initiations=st.integers(0, 9),
    activations=st.integers(0, 9),
    refusals=st.integers(0, 9),
    failures=st.integers(0, 99),
    free_at=st.floats(0, 1e12),
    code=TEXT,
    reason=TEXT,
    deaf=st.booleans(),
)


def test_what_a_newer_version_has_kept_besides_is_passed_over() -> None:
    state = Upgrade.offer(serial_of(1), ORDER, 5.0)
    more = json.loads(state.encode()) | {"more": 1}
    assert Upgrade.decode(json.dumps(more).encode()) == state


@given(STATES)
def test_a_state_is_read_as_it_was_written(state: Upgrade) -> None:
    assert Upgrade.decode(state.encode()) == state


def test_every_truncation_is_refused() -> None:
    octets = Upgrade.offer(serial_of(1), ORDER, 5.0).encode()
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            Upgrade.decode(octets[:size])


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"serial": ""},
        {"order": 5},
        {"order": "x" * 201},
        {"block_size": -1},
        {"block_size": True},
        {"deaf": 0},
        {"since": "soon"},
        {"since": 10**400},
        {"since": float("nan")},
        {"stage": "nowhere"},
        {"marks": {"nowhere": 1}},
        {"marks": []},
    ],
)
def test_what_is_no_state_is_refused(change: dict[str, Any]) -> None:
    kept = json.loads(Upgrade.offer(serial_of(1), ORDER, 5.0).encode())
    with pytest.raises(DecodeError) as caught:
        Upgrade.decode(json.dumps(kept | change).encode())
    assert caught.value.code == "upgrade.state"


@pytest.mark.parametrize("octets", [b"", b"[]", b"7", b"\xff", b"[" * 5000, b" " * 17_000])
def test_other_octets_are_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        Upgrade.decode(octets)


def test_going_back_takes_later_marks_back() -> None:
    state = Upgrade.offer(serial_of(1), ORDER, 1.0).at(Stage.PREPARED, 2.0)
    state = state.at(Stage.COMPLETE, 3.0).at(Stage.VERIFYING, 4.0).at(Stage.TRANSFERRING, 5.0)
    assert state.marks == {Stage.OFFERED: 1.0, Stage.PREPARED: 2.0, Stage.TRANSFERRING: 5.0}
    assert state.at(Stage.TRANSFERRING, 9.0) is state
    assert Stage.PREPARED in state.at(Stage.FAILED, 6.0).marks


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": (16 << 20) + 1},
        {"identifier": b""},
        {"version": ""},
        {"id": "x" * 201},
    ],
)
def test_an_order_makes_sense(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"id": "o", "identifier": b"i", "size": 1, "version": "v", "until": 1.0}
    with pytest.raises(ValueError, match=r"an "):
        Order(**(right | wrong))


# Bitmaps.


def test_block_0_is_the_leftmost_bit() -> None:
    assert present(Bits(b"\x80\x40", 10), 10).nonzero()[0].tolist() == [0, 9]


def test_a_short_bitmap_lacks_its_end_and_a_long_one_says_no_more() -> None:
    assert present(Bits(b"\xff", 8), 20).sum() == 8
    assert present(Bits(b"\xff\xff", 5), 20).sum() == 5
    assert present(Bits(b"\xff\xff", 16), 5).sum() == 5
    assert present(Bits(b"", 0), 5).sum() == present(None, 5).sum() == 0
    assert present(Bits(b"\xff", -3), 5).sum() == 0


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.booleans())
def test_a_suspect_has_no_more_than_either_way_of_reading_shows(has: list[bool], big: bool) -> None:
    """Whichever way the meter counts, a block that it lacks is never taken for one it has."""
    octets = np.packbits(has, bitorder="big" if big else "little").tobytes()
    read = present(Bits(octets, len(has)), len(has), suspect=True)
    assert not (read & ~np.array(has)).any()
    assert read.all() == all(has)


def test_first_gap() -> None:
    assert first_gap(np.array([True, False, True])) == 1
    assert first_gap(np.array([True, True])) == 2


# Costs.


@pytest.mark.parametrize(("loss", "times"), [(0.01, 1.89), (0.1, 3.07)])
def test_transmissions_until_200_meters_have_a_block(loss: float, times: float) -> None:
    assert transmissions(np.array([200.0, 0.0, 1.0]), loss) == pytest.approx(
        [times, 0, 1 / (1 - loss)], abs=0.005
    )


def test_visits_are_cheaper_where_being_let_in_is_dear() -> None:
    doubts = np.zeros((5, 100))
    doubts[0, 3:6] = 1.0
    kept, opened = Costs(100, 110, 20), Costs(100, 110, 20, 3000)
    assert to_finish_by_broadcast(doubts, 0.1, kept) < to_finish_by_unicast(doubts, 0.1, kept)
    assert to_finish_by_broadcast(doubts, 0.1, opened) > to_finish_by_unicast(doubts, 0.1, opened)


def test_meters_that_are_asked_later_lack_less() -> None:
    assert askings(np.ones((50, 100))) == pytest.approx(1.0 * 50, rel=0.99)
    assert 100 < askings(np.full((200, 256), 0.01)) < 140


@pytest.mark.parametrize("wrong", [(0, 1, 1, 0), (1, 1, 1, -1)])
def test_nothing_is_free(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="free"):
        Costs(*wrong)
