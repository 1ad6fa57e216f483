"""Deltas: what they give, and what nobody gets a device to do with one."""

from __future__ import annotations

import bz2
import hashlib
import struct
import tracemalloc
from typing import TYPE_CHECKING, Final

import bsdiff4
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError, SecurityError
from openami.firmware import delta
from openami.firmware.delta import Head

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE: Final = bytes(range(256)) * 8
RESULT: Final = SOURCE[:700] + b"something else" + SOURCE[650:]
HEAD: Final = 88


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises((SecurityError, DecodeError)) as caught:
        act()
    return caught.value.code.removeprefix("firmware.delta.")


def packed(
    result: bytes, control: bytes, diff: bytes, extra: bytes, *, source: bytes = SOURCE
) -> bytes:
    """Put a delta together by hand, from three blocks that are compressed already."""
    head = struct.pack(
        ">8sQ32sQ32s",
        b"OAMIDLT1",
        len(source),
        hashlib.sha256(source).digest(),
        len(result),
        hashlib.sha256(result).digest(),
    )
    patch = struct.pack("<8sqqq", b"BSDIFF40", len(control), len(diff), len(result))
    return head + patch + control + diff + extra


def instruction(*triples: tuple[int, int, int]) -> bytes:
    return bz2.compress(b"".join(struct.pack("<3q", *triple) for triple in triples))


def test_a_delta_gives_the_new_version() -> None:
    made = delta.make(SOURCE, RESULT)
    assert delta.apply(SOURCE, made) == RESULT
    assert len(made) < len(RESULT) / 4
    head = Head.decode(made)
    assert (head.source_size, head.result_size) == (len(SOURCE), len(RESULT))
    assert head.result == hashlib.sha256(RESULT).digest()
    assert made[HEAD:] == bsdiff4.diff(SOURCE, RESULT)  # any bsdiff 4 reads what is behind


def test_a_delta_by_hand() -> None:
    """As the description of the format has it: add 3 to nothing, insert 2, go 1 on, add 2."""
    source, result = b"abcXef", b"abd--gh"
    made = packed(
        result,
        instruction((3, 2, 1), (2, 0, 0)),
        bz2.compress(bytes((0, 0, 1)) + bytes((2, 2))),
        bz2.compress(b"--"),
        source=source,
    )
    assert delta.apply(source, made) == result
    assert bsdiff4.patch(source, made[HEAD:]) == result


@settings(deadline=None)
@given(source=st.binary(max_size=300), other=st.binary(max_size=100), at=st.integers(0, 300))
def test_any_two_files(source: bytes, other: bytes, at: int) -> None:
    result = source[:at] + other + source[at:]
    assert delta.apply(source, delta.make(source, result)) == result


def test_a_delta_is_for_one_file_alone() -> None:
    made = delta.make(SOURCE, RESULT)
    for other in (b"", SOURCE[:-1], SOURCE + b"x", b"x" + SOURCE[1:]):
        assert code_of(lambda other=other: delta.apply(other, made)) == "source"  # type: ignore[misc]


def test_a_delta_gives_the_file_that_it_names_or_none() -> None:
    made = bytearray(delta.make(SOURCE, RESULT))
    made[HEAD - 1] ^= 1
    assert code_of(lambda: delta.apply(SOURCE, bytes(made))) == "result"


def test_a_cut_delta_is_none() -> None:
    made = delta.make(SOURCE, RESULT)
    for size in range(len(made)):
        assert code_of(lambda size=size: delta.apply(SOURCE, made[:size])) == "malformed"  # type: ignore[misc]


@settings(deadline=None)
@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_bit_that_flips_is_seen(place: int, bit: int) -> None:
    made = bytearray(delta.make(SOURCE, RESULT))
    made[place % len(made)] ^= 1 << bit
    try:
        assert delta.apply(SOURCE, bytes(made)) == RESULT
    except (SecurityError, DecodeError):
        return
    # bzip2 has bits that say nothing: the end of a stream is padded to an octet.


def test_a_file_larger_than_the_device_takes_is_refused_before_anything() -> None:
    made = delta.make(SOURCE, RESULT)
    assert code_of(lambda: delta.apply(SOURCE, made, most=len(RESULT) - 1)) == "malformed"
    huge = struct.pack(">8sQ32sQ32s", b"OAMIDLT1", 0, b"", delta.MAX_FILE + 1, b"")
    assert code_of(lambda: Head.decode(huge)) == "malformed"
    with pytest.raises(ValueError, match="at most"):
        delta.make(b"", bytes(delta.MAX_FILE + 1))


BOMB: Final = bz2.compress(bytes(1 << 25))


@pytest.mark.parametrize("block", range(3))
@pytest.mark.parametrize("bomb", [BOMB, BOMB * 2], ids=["one stream", "two"])
def test_a_block_that_becomes_a_million_times_its_size_is_not_kept(block: int, bomb: bytes) -> None:
    blocks = [instruction((0, 5, 0)), bz2.compress(b""), bz2.compress(b"12345")]
    blocks[block] = bomb
    made = packed(b"12345", *blocks)
    tracemalloc.start()
    try:
        assert code_of(lambda: delta.apply(SOURCE, made)) == "malformed"
        assert tracemalloc.get_traced_memory()[1] < 8 << 20  # bzip2 itself takes four
    finally:
        tracemalloc.stop()


GOOD: Final = (instruction((0, 5, 0)), bz2.compress(b""), bz2.compress(b"12345"))


@pytest.mark.parametrize(
    "blocks",
    [
        (instruction((0, 6, 0)), GOOD[1], GOOD[2]),  # inserts more than there is
        (instruction((0, 4, 0)), GOOD[1], GOOD[2]),  # leaves some
        (instruction((-1, 6, 0)), GOOD[1], GOOD[2]),
        (instruction((0, 5, 2**62), (0, 0, 2**62), (0, 0, 2**62)), GOOD[1], GOOD[2]),
        (bz2.compress(b"12345"), GOOD[1], GOOD[2]),  # not whole instructions
        (GOOD[0], bz2.compress(b"1"), GOOD[2]),  # together longer than the result
        (GOOD[0], GOOD[1], bz2.compress(b"1234")),
        (GOOD[0], GOOD[1], GOOD[2] + b"x"),
        (GOOD[0] + b"x", GOOD[1], GOOD[2]),
        (GOOD[0][:-1], GOOD[1], GOOD[2]),
        (GOOD[0], b"", GOOD[2]),
        (GOOD[0], b"not bzip2", GOOD[2]),
    ],
)
def test_blocks_that_do_not_make_the_file(blocks: tuple[bytes, bytes, bytes]) -> None:
    made = packed(b"12345", *GOOD)
    assert delta.apply(SOURCE, made) == b"12345"
    assert code_of(lambda: delta.apply(SOURCE, packed(b"12345", *blocks))) == "malformed"


def test_sizes_of_the_patch_that_are_not_of_this_delta() -> None:
    made = packed(b"12345", *GOOD)
    head, blocks = made[:HEAD], made[HEAD + 32 :]
    for sizes in (
        (b"BSDIFF41", 1, 1, 5),
        (b"BSDIFF40", 1, 1, 6),
        (b"BSDIFF40", -1, 1, 5),
        (b"BSDIFF40", 1, -1, 5),
        (b"BSDIFF40", 2**62, 2**62, 5),
        (b"BSDIFF40", len(blocks), 1, 5),
    ):
        bad = head + struct.pack("<8sqqq", *sizes) + blocks
        assert code_of(lambda bad=bad: delta.apply(SOURCE, bad)) == "malformed"  # type: ignore[misc]
    assert code_of(lambda: Head.decode(b"OAMIDLT2" + made[8:])) == "malformed"


@given(st.binary(max_size=300))
def test_octets_are_a_delta_or_one_error(data: bytes) -> None:
    for whole in (data, packed(b"12345", *GOOD)[: HEAD + 32] + data):
        try:
            delta.apply(SOURCE, whole)
        except (DecodeError, SecurityError) as error:
            assert error.code.startswith("firmware.delta.")  # noqa: PT017 - either is right
