"""Messages cut into segments, and put together again whatever the network does to them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1222_vectors import MESSAGES

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import Qualifier, SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.limits import MAX_APDU
from openami.c1222.security import Keys, protect
from openami.c1222.segments import (
    HEADERS_IPV4,
    MAX_SEGMENTS,
    MTU_IPV4,
    TIMEOUT,
    Reassembler,
    SegmentError,
    split,
)
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, LocalProtocolError

KEYS: Final = Keys({7: bytes(range(16))})
APDU: Final = Apdu(
    0x1234_5678,
    ApTitle.parse(".123.4"),
    ApTitle.parse(".123.8437"),
    answers=7,
    qualifier=Qualifier.URGENT,
    key=KeyUse.at(7, 1e9),
)
MTU: Final = MTU_IPV4 - HEADERS_IPV4


def message(size: int, number: int = 1) -> bytes:
    epsem = Epsem((random.Random(number).randbytes(size),), SecurityMode.ENCRYPTED)
    return protect(replace(APDU, invocation_id=number), epsem, KEYS)


def test_a_segment_copies_what_leads_it() -> None:
    whole = message(2000)
    segments = split(whole, MTU)
    assert len(segments) == 5
    assert all(len(segment) <= MTU for segment in segments)
    for segment in segments:
        apdu = Apdu.decode(segment)
        assert (apdu.called, apdu.calling) == (APDU.called, APDU.calling)
        assert (apdu.invocation_id, apdu.qualifier) == (1, APDU.qualifier)
        assert (apdu.answers, apdu.key, apdu.total) == (None, None, len(whole))


def test_what_fits_is_not_cut() -> None:
    whole = MESSAGES[0].raw
    assert split(whole, len(whole)) == (whole,)
    assert Reassembler().receive(whole, now=0) == Apdu.decode(whole)


@given(st.lists(st.integers(80, 1500), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_segments_are_cut_again_where_the_next_network_takes_less(sizes: list[int]) -> None:
    """Across any number of networks, in any order of their sizes, the whole comes out."""
    whole = message(2000)
    sent: tuple[bytes, ...] = (whole,)
    for largest in sizes:
        sent = tuple(piece for each in sent for piece in split(each, largest))
        assert max(map(len, sent)) <= largest
    reassembler = Reassembler()
    found = [reassembler.receive(each, now=0) for each in reversed(sent)]
    assert [each.octets for each in found if each is not None] == [whole]


@given(
    st.integers(100, 20_000), st.integers(80, 1500), st.randoms(use_true_random=False), st.data()
)
@settings(max_examples=60, deadline=None)
def test_any_order_and_any_repetition(
    size: int, largest: int, chance: random.Random, data: st.DataObject
) -> None:
    wholes = [message(size, 1), message(size, 2)]
    lost = data.draw(st.booleans())
    sent = [(whole, segment) for whole in wholes for segment in split(whole, largest)]
    if lost:
        del sent[0]
    sent = [each for each in sent for _ in range(chance.choice((1, 1, 2)))]
    chance.shuffle(sent)
    reassembler = Reassembler()
    found = []
    for whole, segment in sent:
        ready = reassembler.receive(segment, now=0)
        if ready is not None:
            assert ready.octets == whole
            found.append(whole)
    # A repetition that comes after the whole begins it again, and ends with the timer.
    expected = set(wholes[1:]) if lost else set(wholes)
    assert expected <= set(found)
    reassembler.handle_timer(now=TIMEOUT)
    assert reassembler.next_timer() is None


@pytest.mark.parametrize("largest", [0, 40, 60])
def test_no_room_for_slices(largest: int) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        split(message(3000), largest)
    assert caught.value.code == "c1222.mtu"


def test_too_many_segments_are_not_sent() -> None:
    with pytest.raises(LocalProtocolError):
        split(message(MAX_SEGMENTS * 60), 100)


# -- what does not fit together --------------------------------------------------------------------


def segment(at: int, data: bytes, total: int = 100, number: int = 1) -> bytes:
    apdu = replace(APDU, answers=None, key=None, invocation_id=number)
    return replace(apdu, reference=at, total=total, information=data).encode()


@pytest.mark.parametrize(
    "then",
    [
        pytest.param((10, b"0123456789", 90), id="another total"),
        pytest.param((15, b"0123456789", 100), id="over the end of one"),
        pytest.param((5, b"0123456789", 100), id="over the beginning of one"),
        pytest.param((10, b"012345678X", 100), id="other octets"),
        pytest.param((10, b"01234567", 100), id="fewer octets"),
        pytest.param((95, b"0123456789", 100), id="beyond the end"),
        pytest.param((30, b"", 100), id="empty"),
    ],
)
def test_contradictions_end_a_message(then: tuple[int, bytes, int]) -> None:
    reassembler = Reassembler()
    first = segment(10, b"0123456789")
    assert reassembler.receive(first, now=0) is None
    assert reassembler.receive(first, now=0) is None
    with pytest.raises(SegmentError) as caught:
        reassembler.receive(segment(*then), now=0)
    assert caught.value.code == "c1222.segment"
    assert reassembler.dropped == 1
    assert reassembler.next_timer() is None


@pytest.mark.parametrize("total", [0, MAX_APDU + 1])
def test_wholes_of_impossible_sizes(total: int) -> None:
    with pytest.raises(SegmentError):
        Reassembler().receive(segment(0, b"", total), now=0)


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(b"no message", id="no message"),
        pytest.param(MESSAGES[5].raw, id="of another sender"),
        pytest.param(segment(0, b"0123456789", number=1), id="a segment in segments"),
    ],
)
def test_the_whole_is_what_its_segments_said(whole: bytes) -> None:
    with pytest.raises(SegmentError):
        Reassembler().receive(segment(0, whole, len(whole)), now=0)


def test_the_whole_is_a_message() -> None:
    with pytest.raises(DecodeError):
        Reassembler().receive(segment(0, b"\x60\x01\x00", 3), now=0)


def test_a_whole_without_titles() -> None:
    whole = Apdu(1, information=b"\x80\x01\x20").encode()
    slices = Apdu(1, total=len(whole), reference=0, information=whole).encode()
    assert Reassembler().receive(slices, now=0) == Apdu.decode(whole)


# -- bounds ----------------------------------------------------------------------------------------


def test_what_does_not_come_in_time_is_given_up() -> None:
    reassembler = Reassembler(timeout=10)
    reassembler.receive(segment(0, b"x", number=1), now=0)
    reassembler.receive(segment(0, b"x", number=2), now=5)
    assert reassembler.next_timer() == 10
    reassembler.handle_timer(now=9)
    assert reassembler.dropped == 0
    reassembler.receive(segment(0, b"x", number=3), now=10)
    assert reassembler.dropped == 1
    assert reassembler.next_timer() == 15


def test_the_oldest_makes_room() -> None:
    reassembler = Reassembler(open_most=2)
    for number in (1, 2, 3):
        reassembler.receive(segment(0, b"x" * 50, number=number), now=0)
    assert reassembler.dropped == 1
    rest = segment(50, b"x" * 50, number=1)
    assert reassembler.receive(rest, now=0) is None  # its beginning was forgotten


def test_who_begins_many_messages_ends_only_their_own() -> None:
    reassembler = Reassembler(open_most=4)
    first, rest = segment(0, b"x" * 50), segment(50, b"y" * 50)
    reassembler.receive(segment(0, b"\x60", total=2000, number=7), now=0, source="relay")
    for number in range(100):
        reassembler.receive(segment(0, b"x", number=number), now=0, source="stranger")
    assert reassembler.dropped == 97
    for source in ("stranger", "other"):
        reassembler.receive(first, now=0, source=source)
    before = reassembler.dropped
    with pytest.raises(SegmentError):  # in another's name, with other octets
        reassembler.receive(segment(1, b"z" * 9), now=0, source="stranger")
    assert reassembler.dropped == before + 1
    with pytest.raises(SegmentError, match="no message"):
        reassembler.receive(rest, now=0, source="other")  # whole: it was not touched
    assert (
        reassembler.receive(segment(1, b"x", total=2000, number=7), now=0, source="relay") is None
    )
    assert ("relay", 2) in [(key[0], whole.octets) for key, whole in reassembler._open.items()]


def test_who_fills_the_room_ends_only_their_own() -> None:
    reassembler = Reassembler(octets_most=300)
    reassembler.receive(segment(0, b"x" * 60), now=0, source="relay")
    for number in range(9):
        reassembler.receive(segment(0, b"x" * 70, number=number), now=0, source="stranger")
    assert [key[0] for key in reassembler._open] == ["relay"] + ["stranger"] * 3


def test_octets_are_bounded() -> None:
    reassembler = Reassembler(octets_most=120)
    for number in (1, 2, 3):
        reassembler.receive(segment(0, b"x" * 50, number=number), now=0)
    assert reassembler.dropped == 1
    with pytest.raises(SegmentError):
        reassembler.receive(segment(0, b"x" * 130, 200, number=4), now=0)
    assert reassembler.dropped == 4
    assert reassembler.next_timer() is None


def test_segments_are_bounded() -> None:
    reassembler = Reassembler()
    for at in range(MAX_SEGMENTS):
        reassembler.receive(segment(2 * at, b"x", MAX_APDU), now=0)
    with pytest.raises(SegmentError):
        reassembler.receive(segment(2 * MAX_SEGMENTS, b"x", MAX_APDU), now=0)
