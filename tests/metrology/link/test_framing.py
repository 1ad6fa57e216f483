"""Frames over a line that loses, inserts and changes octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError
from openami.metrology.link.framing import MAX_BODY, Deframer, Frame, stuff, unstuff

FRAMES = st.lists(
    st.builds(Frame, st.integers(1, 255), st.just(0), st.binary(max_size=300)), max_size=8
).map(lambda frames: [Frame(f.kind, n + 65_530, f.body) for n, f in enumerate(frames)])
"""Numbered in a row, over the end of the numbers where there are enough."""


def numbered(frames: list[Frame]) -> list[Frame]:
    return [Frame(f.kind, f.number % 65_536, f.body) for f in frames]


def drain(deframer: Deframer) -> list[Frame]:
    found = []
    while (frame := deframer.next_frame()) is not None:
        found.append(frame)
    return found


@given(st.binary(max_size=1200) | st.binary(max_size=3).map(lambda part: part * 300))
def test_stuffing_takes_every_zero_away_and_gives_it_back(data: bytes) -> None:
    stuffed = stuff(data)
    assert 0 not in stuffed
    assert len(stuffed) <= len(data) + len(data) // 254 + 1
    assert unstuff(stuffed) == data


@pytest.mark.parametrize("size", [0, 1, 253, 254, 255, 508, 509])
def test_runs_at_their_bounds(size: int) -> None:
    for data in (b"\1" * size, b"\0" + b"\1" * size, b"\1" * size + b"\0", b"\0" * size):
        assert unstuff(stuff(data)) == data


@pytest.mark.parametrize("data", [b"\0", b"\2", b"\3a", b"\3a\0", b"\1\1\5abc"])
def test_what_was_never_stuffed_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        unstuff(data)


@given(FRAMES.map(numbered), st.integers(1, 50))
def test_frames_come_out_of_any_slices(frames: list[Frame], size: int) -> None:
    line = b"".join(frame.encode() for frame in frames)
    deframer = Deframer()
    for at in range(0, len(line), size):
        deframer.receive_data(line[at : at + size])
    assert drain(deframer) == frames
    assert (deframer.damaged, deframer.lost, deframer.repeated) == (0, 0, 0)


@given(
    FRAMES.map(numbered),
    st.lists(
        st.tuples(
            st.floats(0, 1), st.sampled_from(["lose", "insert", "change"]), st.binary(min_size=1)
        ),
        max_size=6,
    ),
)
def test_a_damaged_line_never_gives_a_frame_that_was_not_sent(
    frames: list[Frame], faults: list[tuple[float, str, bytes]]
) -> None:
    line = bytearray(b"".join(frame.encode() for frame in frames))
    for place, fault, octets in faults:
        at = int(place * len(line))
        end = at if fault == "insert" else at + len(octets)
        line[at:end] = b"" if fault == "lose" else octets
    deframer = Deframer()
    deframer.receive_data(bytes(line))
    came = drain(deframer)
    remaining = iter(frames)
    assert all(frame in remaining for frame in came)  # in order, none made up
    # Whatever was on the line before, the next whole frame is found.
    after = Frame(9, 1000, b"after")
    deframer.receive_data(after.encode())
    assert drain(deframer)[-1:] == [after]


@given(FRAMES.map(numbered).filter(bool), st.data())
def test_only_the_frames_that_are_hit_are_lost(frames: list[Frame], data: st.DataObject) -> None:
    hit = data.draw(st.sets(st.integers(0, len(frames) - 1)))
    deframer = Deframer()
    for place, frame in enumerate(frames):
        octets = bytearray(frame.encode())
        if place in hit:
            at = data.draw(st.integers(1, len(octets) - 2))
            octets[at] ^= data.draw(st.integers(1, 255))
        deframer.receive_data(bytes(octets))
    assert drain(deframer) == [f for place, f in enumerate(frames) if place not in hit]
    assert deframer.damaged >= len(hit)


def test_missing_and_repeated_numbers_are_counted() -> None:
    deframer = Deframer()
    for number in (7, 8, 8, 11, 65_535, 1, 60_000):
        deframer.receive_data(Frame(1, number, b"").encode())
    assert [frame.number for frame in drain(deframer)] == [7, 8, 11, 65_535, 1, 60_000]
    # Two between 8 and 11, one between 65535 and 1; others are senders that began anew.
    assert (deframer.lost, deframer.repeated) == (3, 1)


def test_a_line_that_never_ends_a_frame_fills_no_memory() -> None:
    deframer = Deframer()
    for _ in range(100):
        deframer.receive_data(b"\x55" * 1000)
    assert len(deframer._piece) < 600
    deframer.receive_data(Frame(1, 1, b"x").encode())
    assert drain(deframer) == [Frame(1, 1, b"x")]
    assert deframer.damaged == 1


def test_frames_that_nobody_takes_do_not_pile_up() -> None:
    deframer = Deframer()
    for number in range(1000):
        deframer.receive_data(Frame(1, number, b"").encode())
    assert [frame.number for frame in drain(deframer)] == list(range(744, 1000))


def test_bodies_are_bounded_both_ways() -> None:
    longest = Frame(1, 1, b"\1" * MAX_BODY)
    deframer = Deframer()
    deframer.receive_data(longest.encode())
    assert drain(deframer) == [longest]
    with pytest.raises(LocalProtocolError):
        Frame(1, 1, bytes(MAX_BODY + 1)).encode()
    with pytest.raises(DecodeError, match="length"):
        Frame.decode(stuff(bytes(6)))
    with pytest.raises(DecodeError, match="length"):
        Frame.decode(stuff(bytes(MAX_BODY + 8)))
    with pytest.raises(DecodeError, match="check"):
        Frame.decode(stuff(b"\1" * 9))
