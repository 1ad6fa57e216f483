"""The bounded reader, the writer, lengths and checks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError
from openami.wire.crc import crc16_x25
from openami.wire.reader import Reader
from openami.wire.writer import Writer, encode_length


def test_numbers_both_ways() -> None:
    octets = (
        Writer().u8(1).u16(0x0203).u32(0x04050607).uint(8, 3).sint(-2, 2).raw(b"ab").octets(b"c")
    ).bytes()
    assert octets.hex() == "010203040506070000" + "08fffe6162" + "0163"
    r = Reader(octets)
    assert (r.u8(), r.u16(), r.u32(), r.uint(3), r.sint(2)) == (1, 0x0203, 0x04050607, 8, -2)
    assert r.take(2) == b"ab"
    assert r.take(r.length()) == b"c"
    r.finish()
    assert r.offset == len(octets)
    assert len(Writer().raw(octets)) == len(octets)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read(kind: type) -> None:
    r = Reader(kind(b"\x01\x02\x03"))
    assert r.peek() == 1
    assert r.u8() == 1
    assert r.remaining == 2
    rest = r.rest()
    assert rest == b"\x02\x03"
    assert isinstance(rest, bytes)


def test_nothing_is_read_past_the_end() -> None:
    for read in (Reader.u8, Reader.peek, Reader.u16, Reader.u32, Reader.length):
        r = Reader(b"", base=7)
        with pytest.raises(DecodeError, match="octet") as caught:
            read(r)
        assert caught.value.offset == 7
    r = Reader(b"\x01\x02", base=10)
    for size in (3, -1):
        with pytest.raises(DecodeError, match=f"{size} octets wanted, 2 left .at octet 10."):
            r.take(size)
    assert r.offset == 10  # a refused read does not move
    assert r.take(0) == b""


def test_parts_know_their_place() -> None:
    r = Reader(b"\x00\x01\x02\x03\x04", base=100)
    r.u8()
    part = r.sub(3)
    assert part.offset == 101
    part.u16()
    with pytest.raises(DecodeError) as caught:
        part.u16()
    assert caught.value.offset == 103
    assert r.offset == 104
    with pytest.raises(DecodeError):
        r.sub(2)


def test_expectations() -> None:
    r = Reader(b"\x01\x02\x03")
    r.expect(1, "first")
    with pytest.raises(DecodeError, match="second: 09 wanted, 02 found") as caught:
        r.expect(9, "second")
    assert caught.value.offset == 1
    with pytest.raises(DecodeError, match="1 octets too many"):
        r.finish()
    assert r.error("mine").offset == 2


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (0, "00"),
        (0x7F, "7F"),
        (0x80, "8180"),
        (0xFF, "81FF"),
        (0x100, "820100"),
        (0xFFFF, "82FFFF"),
        (0x10000, "83010000"),
        (0xFFFFFFFF, "84FFFFFFFF"),
    ],
)
def test_lengths_both_ways(value: int, octets: str) -> None:
    assert encode_length(value) == bytes.fromhex(octets)
    assert Writer().length(value).bytes() == bytes.fromhex(octets)
    assert Reader(bytes.fromhex(octets)).length() == value


@pytest.mark.parametrize("octets", ["80", "85 0000000001", "FF", "82 01", "84 000000"])
def test_lengths_that_are_none(octets: str) -> None:
    with pytest.raises(DecodeError):
        Reader(bytes.fromhex(octets)).length()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_any_length_comes_back(value: int) -> None:
    r = Reader(encode_length(value))
    assert r.length() == value
    r.finish()


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(OverflowError):
        Writer().u16(0x10000)
    with pytest.raises(OverflowError):
        Writer().uint(-1, 2)
    with pytest.raises(OverflowError):
        Writer().sint(0x80, 1)
    with pytest.raises(ValueError, match="byte must be in range"):
        Writer().u8(256)


def test_crc() -> None:
    """The check value of CRC-16/IBM-SDLC, and the good residue of ISO/IEC 13239."""
    assert crc16_x25(b"123456789") == 0x906E
    octets = b"any octets"
    check = crc16_x25(octets).to_bytes(2, "little")
    assert crc16_x25(octets + check) ^ 0xFFFF == 0xF0B8
