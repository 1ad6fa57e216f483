"""COSEM data: vectors both ways, bounds, constructors, typed access."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.vectors import Case, attempt, data_fields, load, named

from openami.core.errors import DecodeError, LocalProtocolError
from openami.dlms import data as d
from openami.dlms.data import (
    MAX_DEPTH,
    BitString,
    Data,
    DataType,
    RawData,
    decode_data,
    type_name,
)
from openami.dlms.datetime import CosemDate, CosemDateTime, CosemTime
from openami.wire.reader import Reader

CASES = load("data")


@pytest.mark.parametrize("case", CASES, ids=named)
def test_vector_both_ways(case: Case) -> None:
    """Octets decode to the stated value, encode back to themselves, and are refused cut short."""
    data = decode_data(case.raw)
    assert data_fields(data) == case.fields
    assert data.encode() == case.raw
    for size in range(len(case.raw)):
        with pytest.raises(DecodeError):
            decode_data(case.raw[:size])
    with pytest.raises(DecodeError, match="1 octets too many"):
        decode_data(case.raw + b"\x00")


def test_the_vectors_have_every_type_but_compact_array() -> None:
    seen = {case.raw[0] for case in CASES}
    assert seen == {int(kind) for kind in DataType} - {DataType.COMPACT_ARRAY}


def test_what_follows_is_left() -> None:
    r = Reader(bytes.fromhex("1105 0301"))
    assert Data.decode(r) == d.u8(5)
    assert r.remaining == 2


@pytest.mark.parametrize(
    ("octets", "message", "offset"),
    [
        ("13 02 0011 01 02", "compact-array is not supported", 0),
        ("02 01 13", "compact-array is not supported", 2),
        ("07", "7 is not a type of data", 0),
        ("01 84 FFFFFFFF", "4294967295 elements in 0 octets", 6),
        ("02 03 00 00", "3 elements in 2 octets", 2),
        ("09 84 FFFFFFFF 00", "4294967295 octets wanted", 6),
        ("09 80", "length of 1 to 4", 1),
        ("09 85 0000000001 00", "length of 1 to 4", 1),
        ("04 84 FFFFFFFF 00", "octets wanted", 6),
        ("0C 02 41 FF", "not UTF-8", 3),
        ("", "1 octet wanted", 0),
    ],
)
def test_refused(octets: str, message: str, offset: int) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        decode_data(bytes.fromhex(octets))
    assert caught.value.offset == offset


def test_depth_is_bounded() -> None:
    deepest = b"\x02\x01" * MAX_DEPTH + b"\x00"
    assert decode_data(deepest).encode() == deepest
    with pytest.raises(DecodeError, match="nested deeper") as caught:
        decode_data(b"\x01\x01" * (MAX_DEPTH + 1) + b"\x00")
    assert caught.value.offset == 2 * MAX_DEPTH


def test_lengths_that_are_not_shortest_are_read() -> None:
    assert decode_data(bytes.fromhex("09 82 0001 AB")) == d.octets(b"\xab")


def test_float_infinities_and_nan() -> None:
    assert decode_data(d.f64(math.inf).encode()).value == math.inf
    assert decode_data(d.f32(-math.inf).encode()).value == -math.inf
    assert math.isnan(decode_data(d.f32(math.nan).encode()).value)


MOMENT = CosemDateTime.from_utc(1_700_000_000, -540)

CONSTRUCTED: list[tuple[Data, DataType, Any]] = [
    (d.null(), DataType.NULL, None),
    (d.array(d.u8(1)), DataType.ARRAY, [1]),
    (d.structure(d.u8(1), d.visible("a")), DataType.STRUCTURE, [1, "a"]),
    (d.boolean(True), DataType.BOOLEAN, True),
    (d.bits("0110"), DataType.BIT_STRING, "0110"),
    (d.bits(BitString(b"\x60", 4)), DataType.BIT_STRING, "0110"),
    (d.i8(-1), DataType.INT8, -1),
    (d.i16(-1), DataType.INT16, -1),
    (d.i32(-1), DataType.INT32, -1),
    (d.i64(-1), DataType.INT64, -1),
    (d.u8(1), DataType.UINT8, 1),
    (d.u16(1), DataType.UINT16, 1),
    (d.u32(1), DataType.UINT32, 1),
    (d.u64(1), DataType.UINT64, 1),
    (d.enum(1), DataType.ENUM, 1),
    (d.bcd(0x12), DataType.BCD, 0x12),
    (d.f32(0.5), DataType.FLOAT32, 0.5),
    (d.f64(0.1), DataType.FLOAT64, 0.1),
    (d.octets(b"a"), DataType.OCTETS, b"a"),
    (d.visible("a"), DataType.VISIBLE, "a"),
    (d.utf8("é"), DataType.UTF8, "é"),
    (d.date_time(MOMENT), DataType.DATETIME, MOMENT),
    (d.date(CosemDate(2024, 2, 29)), DataType.DATE, CosemDate(2024, 2, 29)),
    (d.time(CosemTime(1, 2, 3)), DataType.TIME, CosemTime(1, 2, 3)),
    (d.dont_care(), DataType.DONT_CARE, None),
]


@pytest.mark.parametrize(("data", "kind", "native"), CONSTRUCTED)
def test_constructors(data: Data, kind: DataType, native: Any) -> None:
    assert data.type is kind
    assert data.native() == native
    assert decode_data(data.encode()) == data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (d.octets(b"\x01\xff"), "01ff"),
        (d.bits("10"), "10"),
        (d.f64(math.nan), None),
        (d.f64(math.inf), None),
        (d.f64(2.5), 2.5),
        (d.boolean(False), False),
        (d.null(), None),
        (d.array(d.u8(1), d.structure(d.utf8("x"))), [1, ["x"]]),
        (d.date(CosemDate(2024, 2, 29, 4)), "2024-02-29 Thu"),
        (d.time(CosemTime(1, 2)), "01:02:**"),
    ],
)
def test_jsonable(data: Data, expected: Any) -> None:
    assert data.jsonable() == expected


@pytest.mark.parametrize(
    "data",
    [
        d.u8(256),
        d.u8(-1),
        d.i8(128),
        d.u32(1 << 32),
        d.i64(1 << 63),
        d.f32(1e39),
        Data(DataType.UINT8, "1"),
        Data(DataType.FLOAT64, "1"),
        Data(DataType.OCTETS, None),
        Data(DataType.ARRAY, (1,)),
        Data(DataType.NULL, 0),
        Data(DataType.COMPACT_ARRAY, ()),
        Data(DataType.DATETIME, 5),
        d.visible("세"),
        d.date_time(CosemDateTime(year=70000)),
    ],
)
def test_a_value_that_is_not_of_the_type_is_our_bug(data: Data) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        data.encode()
    assert caught.value.code == "protocol.local.data"


def test_the_innermost_error_is_told() -> None:
    with pytest.raises(LocalProtocolError, match="UINT8"):
        d.structure(d.array(d.u8(300))).encode()


def test_raw_data_stands_for_data() -> None:
    raw = RawData(d.u32(5).encode())
    assert raw.encode() == bytes.fromhex("0600000005")
    assert raw.decode() == d.u32(5)
    assert d.array(raw, d.u8(1)).encode() == bytes.fromhex("0102 0600000005 1101")
    with pytest.raises(DecodeError):
        RawData(b"\x06").decode()


def test_typed_access() -> None:
    assert d.structure(d.u8(1), d.u8(2)).items() == (d.u8(1), d.u8(2))
    assert d.array(d.u8(1)).items(1) == (d.u8(1),)
    assert d.enum(3).integer() == 3
    assert d.octets(b"ab").octets() == b"ab"
    assert d.visible("ab").text() == "ab"
    assert d.octets("é".encode()).text() == "é"
    assert d.date_time(MOMENT).datetime() == MOMENT
    assert d.octets(MOMENT.encode()).datetime() == MOMENT


@pytest.mark.parametrize(
    ("data", "access", "message"),
    [
        (d.u8(1), Data.items, "an array or structure wanted, unsigned found"),
        (d.boolean(True), Data.integer, "an integer wanted, boolean found"),
        (d.octets(b"1"), Data.integer, "an integer wanted, octet-string found"),
        (d.utf8("1"), Data.octets, "an octet-string wanted, utf8-string found"),
        (d.octets(b"\xff"), Data.text, "an octet-string that is not text"),
        (d.u8(1), Data.text, "a text wanted, unsigned found"),
        (d.octets(b"1"), Data.datetime, "12 octets wanted, 1 found"),
        (d.null(), Data.datetime, "an octet-string wanted, null-data found"),
    ],
)
def test_typed_access_refuses_other_types(data: Data, access: Any, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        access(data)


def test_a_count_that_is_not_as_wanted() -> None:
    with pytest.raises(DecodeError, match="2 elements wanted, 1 found"):
        d.array(d.u8(1)).items(2)


def test_bit_strings() -> None:
    bits = BitString.of("10100101111")
    assert str(bits) == "10100101111"
    assert len(bits) == 11
    assert [bits[i] for i in range(11)] == [bit == "1" for bit in "10100101111"]
    assert BitString.of("") == BitString(b"", 0)
    for index in (-1, 11):
        with pytest.raises(IndexError):
            bits[index]
    with pytest.raises(ValueError, match="9 bits don't take 1 octets"):
        BitString(b"\x00", 9)


def test_every_type_has_a_name() -> None:
    assert type_name(DataType.UINT32) == "double-long-unsigned"
    assert len({type_name(kind) for kind in DataType}) == len(DataType)


LEAVES = st.one_of(
    st.just(d.null()),
    st.booleans().map(d.boolean),
    st.text("01", max_size=40).map(d.bits),
    st.integers(-(2**31), 2**31 - 1).map(d.i32),
    st.integers(0, 2**32 - 1).map(d.u32),
    st.integers(-(2**63), 2**63 - 1).map(d.i64),
    st.binary(max_size=300).map(d.octets),
    st.text(max_size=100).map(d.utf8),
    st.floats(width=32, allow_nan=False).map(d.f32),
    st.floats(allow_nan=False).map(d.f64),
    st.integers(-(2**40), 2**40).map(lambda s: d.date_time(CosemDateTime.from_utc(s / 1000))),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=6).flatmap(
        lambda items: st.sampled_from([d.array(*items), d.structure(*items)])
    ),
    max_leaves=30,
)


@given(TREES)
@settings(max_examples=150, deadline=None)
def test_what_is_encoded_decodes_to_itself(data: Data) -> None:
    assert decode_data(data.encode()) == data


@given(st.binary(max_size=80))
@settings(max_examples=300, deadline=None)
def test_octets_are_data_or_an_error(octets: bytes) -> None:
    found = attempt(decode_data, octets)
    if isinstance(found, DecodeError):
        assert 0 <= found.offset <= len(octets)
    else:
        again = decode_data(found.encode())
        assert again.encode() == found.encode()
