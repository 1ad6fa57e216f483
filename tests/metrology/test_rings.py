from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import LocalProtocolError
from openami.metrology import rows
from openami.metrology.events import CAPACITY, LOGS, Event, Ring
from openami.metrology.memory import MeterCommit, Row, VolatileMemory
from openami.metrology.recorder import Recorder
from openami.metrology.rings import RowRing


@given(
    st.lists(st.integers(0, 30), max_size=40),
    st.integers(1, 12),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_a_ring_finds_by_time_what_a_scan_finds(
    times: list[int], capacity: int, start: int, end: int
) -> None:
    ring = RowRing(1, capacity)
    for place, time in enumerate(times):
        ring.append(time, bytes((place,)))
    kept = [(t, bytes((n,))) for n, t in enumerate(times)][-capacity:]
    assert len(ring) == len(kept)
    assert ring.times == tuple(t for t, _ in kept)
    assert ring.between(start, end) == [data for t, data in kept if start <= t <= end]
    assert (start in ring) == any(t == start for t, _ in kept)
    assert ring.entries() == [data for _, data in kept]
    assert ring.entries(2, 3) == [data for _, data in kept][1:3]
    assert ring.last == len(times)
    assert ring.first == len(times) - len(kept) + 1


def test_a_ring_comes_back_from_its_rows() -> None:
    ring = RowRing(3, 5)
    assert ring.capacity == 5
    for time in range(8):
        ring.append(time, b"x%d" % time)
    again = RowRing(3, 5)
    again.restore(ring.since(0))
    assert again.since(0) == ring.since(0)
    assert ring.since(7) == [Row(3, 8, 7, b"x7")]
    with pytest.raises(LocalProtocolError, match="missing"):
        RowRing(3, 5).restore([Row(3, 1, 0, b""), Row(3, 3, 0, b"")])


def test_a_cleared_ring_counts_on() -> None:
    ring = RowRing(1, 5)
    ring.append(1, b"a")
    ring.clear()
    assert (len(ring), ring.first, ring.last) == (0, 2, 1)
    ring.append(0, b"b")
    assert ring.since(0) == [Row(1, 2, 0, b"b")]


def test_a_recorder_knows_what_is_not_kept_yet() -> None:
    recorder = Recorder()
    recorder.event(Event.POWER_UP, 5, bytes(12))
    recorder[Ring.DAILY].append(7, b"row")
    assert recorder.dirty
    assert [(row.ring, row.sequence) for row in recorder.pending] == [(2, 1), (24, 1)]
    assert recorder.firsts == {2: 1, 24: 1}
    memory = VolatileMemory()
    memory.commit([MeterCommit("m", b"{}", recorder.pending, recorder.firsts)])
    recorder.committed()
    assert (recorder.dirty, recorder.pending, recorder.firsts) == (False, (), {})
    recorder.clear(Ring.DAILY)
    assert recorder.dirty
    assert recorder.firsts == {2: 2}
    memory.commit([MeterCommit("m", b"{}", recorder.pending, recorder.firsts)])
    image = memory.load("m")
    assert image is not None
    assert [row.ring for row in image.rows] == [24]
    assert image.rows[0].data == rows.structure(rows.clock(bytes(12)), rows.u8(2))
    again = Recorder(recorder.lasts, image.rows)
    assert again.lasts == recorder.lasts
    assert not again.dirty


def test_a_memory_knows_only_what_it_was_given() -> None:
    assert VolatileMemory().load("nobody") is None


def test_pending_rows_are_bounded_by_the_ring() -> None:
    recorder = Recorder(capacity={**CAPACITY, Ring.DAILY: 3})
    for time in range(10):
        recorder[Ring.DAILY].append(time, b"")
    assert [row.sequence for row in recorder.pending] == [8, 9, 10]
    assert recorder.firsts == {2: 8}


def test_every_event_has_a_log() -> None:
    assert set(LOGS) == set(Event)
    assert set(LOGS.values()) <= set(CAPACITY)


def test_numbers_too_large_for_a_row_give_the_largest() -> None:
    assert rows.u32(1 << 40).hex() == "06ffffffff"
