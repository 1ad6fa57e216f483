"""Profile buffers as columns: the quick way, the careful way, and that they agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError
from openami.dlms import columns as module
from openami.dlms import data as d
from openami.dlms.columns import (
    ProfileBufferError,
    ProfileColumns,
    decode_profile,
    decode_profiles,
)
from openami.dlms.columns.moments import is_plausible, moments
from openami.dlms.columns.result import Reading, join
from openami.dlms.columns.rows import decode_rows
from openami.dlms.datetime import CosemDate, CosemDateTime, CosemTime

START = 1_752_505_200  # 2025-07-14T15:00:00Z, midnight in Korea
KOREA = -540
PERIOD = 900


def clock(seconds: int, deviation: int = KOREA, status: int = 0) -> d.Data:
    return d.octets(CosemDateTime.from_utc(seconds, deviation, status=status).encode())


def day(rows: int = 96, start: int = START, deviation: int = KOREA) -> bytes:
    return d.array(
        *(
            d.structure(
                clock(start + PERIOD * n, deviation, status=n % 3),
                d.u8(8),
                d.u32(7 * n),
                d.u32(2**32 - 1 - n),
                d.i32(-n),
                d.u64(2**64 - 1 - n),
            )
            for n in range(rows)
        )
    ).encode()


def same(left: ProfileColumns, right: ProfileColumns) -> bool:
    assert left.rows == right.rows
    assert len(left.columns) == len(right.columns) == len(left.statuses) == len(right.statuses)
    for one, other in zip(left.columns, right.columns, strict=True):
        assert one.dtype == other.dtype
        assert len(one) == left.rows
        if one.dtype == object:
            assert [(type(v), repr(v)) for v in one] == [(type(v), repr(v)) for v in other]
        else:
            assert np.array_equal(one, other, equal_nan=one.dtype.kind in "fM")
    for status, another in zip(left.statuses, right.statuses, strict=True):
        assert (status is None) == (another is None)
        if status is not None and another is not None:
            assert status.dtype == another.dtype == np.uint8
            assert np.array_equal(status, another)
    return True


def by_template(buffer: bytes, reading: Reading | None = None) -> ProfileColumns:
    """Decode the quick way, or fail."""
    count, start = module._head(buffer)
    found = module._by_template(buffer[start:], [count], reading or Reading())
    assert found is not None
    return found


def test_a_day() -> None:
    found = decode_profile(day())
    assert found.rows == 96
    times, status, up, down, signed, large = found.columns
    assert times.dtype == np.dtype("datetime64[s]")
    assert times.astype(np.int64).tolist() == [START + PERIOD * n for n in range(96)]
    assert found.statuses[0] is not None
    assert found.statuses[0].tolist() == [n % 3 for n in range(96)]
    assert found.statuses[1:] == (None,) * 5
    assert [column.dtype.str for column in (status, up, signed, large)] == ["<i8"] * 3 + ["<u8"]
    assert status.tolist() == [8] * 96
    assert up.tolist() == [7 * n for n in range(96)]
    assert down.tolist() == [2**32 - 1 - n for n in range(96)]
    assert signed.tolist() == [-n for n in range(96)]
    assert large.tolist() == [2**64 - 1 - n for n in range(96)]
    same(by_template(day()), decode_rows(day(), Reading()))


@pytest.mark.parametrize("count", [1, 127, 128, 255, 256, 2880])
def test_any_number_of_rows(count: int) -> None:
    found = decode_profile(day(count))
    assert found.rows == count
    assert found.columns[2].tolist() == [7 * n for n in range(count)]


def test_no_rows() -> None:
    for empty in (b"\x01\x00", b"\x01\x81\x00"):
        assert decode_profile(empty) == ProfileColumns(0)
    assert decode_profile(b"\x01\x02\x02\x00\x02\x00") == ProfileColumns(2)


def test_every_number() -> None:
    row = d.structure(
        d.boolean(value=True),
        d.bcd(0x42),
        d.i8(-8),
        d.i16(-300),
        d.u16(65535),
        d.i64(-(2**63)),
        d.enum(3),
        d.f32(1.5),
        d.f64(-math.pi),
    )
    found = by_template(d.array(row, row).encode())
    assert [column.dtype.kind for column in found.columns] == list("biiiiiiff")
    assert [column[1] for column in found.columns] == [
        True,
        0x42,
        -8,
        -300,
        65535,
        -(2**63),
        3,
        1.5,
        -math.pi,
    ]
    same(found, decode_rows(d.array(row, row).encode(), Reading()))


def test_all_else_becomes_objects() -> None:
    moment = CosemDateTime.from_utc(START, KOREA, status=4)
    row = d.structure(
        d.octets(b"a\x00"),
        d.visible("Zähler"),
        d.utf8("계량기"),
        d.bits("0101"),
        d.null(),
        d.dont_care(),
        d.date(CosemDate(2025, 7, 15)),
        d.time(CosemTime(1, 2, 3)),
        d.date_time(moment),
        d.structure(d.array(d.u8(1), d.null())),
        d.octets(b""),
        d.octets(b"123456789012"),
    )
    buffer = d.array(row, row, row).encode()
    found = by_template(buffer)
    same(found, decode_rows(buffer, Reading()))
    natives = row.native()
    for index, column in enumerate(found.columns):
        if index == 8:
            assert column.astype(np.int64).tolist() == [START] * 3
        else:
            assert column.dtype == object
            assert column.tolist() == [natives[index]] * 3
    assert [index for index, status in enumerate(found.statuses) if status is not None] == [8]


def test_rows_of_different_shapes() -> None:
    rows = [
        d.structure(clock(START), d.u32(1), d.visible("a")),
        d.structure(clock(START + 1), d.u8(2), d.visible("bcd")),
    ]
    found = decode_profile(d.array(*rows).encode())
    assert found.columns[0].astype(np.int64).tolist() == [START, START + 1]
    assert found.columns[1].dtype == np.int64
    assert found.columns[1].tolist() == [1, 2]
    assert found.columns[2].tolist() == ["a", "bcd"]


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        ([d.i8(-1), d.u32(2)], np.int64, [-1, 2]),
        ([d.u8(1), d.u64(2**63)], np.uint64, [1, 2**63]),
        ([d.i8(-1), d.u64(2**63)], object, [-1, 2**63]),
        ([d.f32(0.5), d.f64(0.25)], np.float64, [0.5, 0.25]),
        ([d.f32(0.5), d.u8(1)], object, [0.5, 1]),
        ([d.boolean(value=True), d.null()], np.bool_, [True, True]),
        ([d.null(), d.u8(1), d.null()], object, [None, 1, 1]),
        ([d.null(), d.null()], object, [None, None]),
        ([d.u8(1), d.null(), d.u8(2), d.null(), d.null()], np.int64, [1, 1, 2, 2, 2]),
        ([d.u8(1), d.dont_care(), d.null()], object, [1, None, None]),
        ([d.array(d.u8(1)), d.null()], object, [[1], [1]]),
        ([clock(START), d.u8(1)], object, [clock(START).value, 1]),
        ([clock(START), d.octets(b"")], object, [clock(START).value, b""]),
    ],
)
def test_mixed_columns(cells: list[d.Data], dtype: Any, values: list[Any]) -> None:
    found = decode_profile(d.array(*(d.structure(cell) for cell in cells)).encode())
    assert found.columns[0].dtype == dtype
    assert found.columns[0].tolist() == values


def test_compressed_clock() -> None:
    cells = [d.null(), clock(START, status=1), d.null(), d.null(), clock(START + 7200), d.null()]
    buffer = d.array(*(d.structure(cell, d.u8(1)) for cell in cells)).encode()
    found = decode_profile(buffer, period=PERIOD)
    nat = np.iinfo(np.int64).min
    assert found.columns[0].astype(np.int64).tolist() == [
        nat,
        START,
        START + 900,
        START + 1800,
        START + 7200,
        START + 8100,
    ]
    assert found.statuses[0] is not None
    assert found.statuses[0].tolist() == [255, 1, 1, 1, 0, 0]
    unknown = decode_profile(buffer)
    assert np.isnat(unknown.columns[0]).tolist() == [True, False, True, True, False, True]


def test_clock_that_is_always_null() -> None:
    buffer = d.array(*(d.structure(d.null(), d.u8(1)) for _ in range(3))).encode()
    for found in (
        by_template(buffer, Reading(clocks=frozenset((0,)))),
        decode_profile(buffer, clocks=[0]),
    ):
        assert np.isnat(found.columns[0]).tolist() == [True] * 3
        assert found.statuses[0] is not None
        assert found.statuses[0].tolist() == [255] * 3
    assert decode_profile(buffer).columns[0].tolist() == [None] * 3
    same(decode_rows(buffer, Reading(clocks=frozenset((0,)))), decode_profile(buffer, clocks=[0]))


def test_clocks_by_name() -> None:
    """A clock that shows nonsense stays one; a name of twelve octets never becomes one."""
    nonsense = d.octets(b"\xff" * 2 + bytes(10))
    rows = [d.structure(nonsense, clock(START)), d.structure(clock(START), clock(START))]
    buffer = d.array(*rows).encode()
    found = decode_profile(buffer, clocks=[0])
    assert np.isnat(found.columns[0]).tolist() == [True, False]
    assert found.columns[1].dtype == object
    same(found, decode_rows(buffer, Reading(clocks=frozenset((0,)))))
    guessed = decode_profile(buffer)
    assert guessed.columns[0].dtype == object
    assert guessed.columns[1].dtype == np.dtype("datetime64[s]")
    same(guessed, decode_rows(buffer, Reading()))


def test_default_deviation() -> None:
    local = CosemDateTime(2025, 7, 15, 2, 0, 15, 0, 255, -0x8000, 0)
    buffer = d.array(d.structure(d.octets(local.encode()))).encode()
    assert np.isnat(decode_profile(buffer).columns[0]).all()
    found = decode_profile(buffer, default_deviation=KOREA)
    assert found.columns[0].astype(np.int64).tolist() == [START + 900]


def test_summer_time_ends_within_a_buffer() -> None:
    times = [1_761_440_400 + 900 * n for n in range(12)]  # 2025-10-26T01:00:00Z
    rows = [d.structure(clock(t, -120 if t < times[4] else -60)) for t in times]
    found = decode_profile(d.array(*rows).encode())
    assert found.columns[0].astype(np.int64).tolist() == times


octet = st.integers(0, 255)
fields = st.tuples(
    st.one_of(st.integers(0, 10000), st.integers(2000, 2030), st.just(0xFFFF)),
    st.one_of(st.integers(1, 12), octet),
    st.one_of(st.integers(1, 31), st.sampled_from([0xFD, 0xFE, 0xFF, 0, 32])),
    st.one_of(st.integers(0, 7), octet),
    st.one_of(st.integers(0, 24), octet),
    st.one_of(st.integers(0, 60), octet),
    st.one_of(st.integers(0, 60), st.just(255), octet),
    st.one_of(st.integers(0, 100), st.just(255)),
    st.one_of(st.integers(-850, 850), st.just(-0x8000), st.just(KOREA)),
    octet,
)
date_times = fields.map(lambda values: CosemDateTime(*values))


def moment_of(value: CosemDateTime, default: int | None) -> int:
    try:
        return math.floor(value.timestamp(default) + 0.0005)
    except ValueError:
        return int(np.iinfo(np.int64).min)


@given(st.lists(date_times, min_size=1, max_size=8), st.sampled_from([None, 0, KOREA, 9999]))
@settings(max_examples=150, deadline=None)
def test_moments_are_those_of_the_date_time(
    values: list[CosemDateTime], default: int | None
) -> None:
    raw = [value.encode() for value in values]
    expected = [moment_of(value, default) for value in values]
    octets = np.frombuffer(b"".join(raw), np.uint8).reshape(-1, 12)
    assert moments(octets, default).astype(np.int64).tolist() == expected
    buffer = d.array(*(d.structure(d.octets(value)) for value in raw)).encode()
    found = decode_profile(buffer, default_deviation=default, clocks=[0])
    assert found.columns[0].astype(np.int64).tolist() == expected


@given(st.integers(-10_000_000_000, 60_000_000_000), st.integers(-840, 840), st.integers(1, 40))
@settings(max_examples=150)
def test_plain_clocks(start: int, deviation: int, step: int) -> None:
    """Every day of the calendar, months' ends and leap years too."""
    times = [start + step * 43_200 * n for n in range(20)]
    buffer = d.array(*(d.structure(clock(t, deviation)) for t in times)).encode()
    assert decode_profile(buffer).columns[0].astype(np.int64).tolist() == times


def test_a_day_that_its_month_has_not() -> None:
    days = [CosemDateTime(2025, 2, day, 255, 0, 0, 0, 0, 0, 0) for day in (28, 29, 30)]
    buffer = d.array(*(d.structure(d.octets(day.encode())) for day in days)).encode()
    assert np.isnat(decode_profile(buffer).columns[0]).tolist() == [False, True, True]


def test_plausible() -> None:
    assert is_plausible(CosemDateTime.from_utc(START, KOREA).encode())
    assert is_plausible(CosemDateTime().encode())
    for text in (b"123456789012", b"KFM100000001", bytes(12)):
        assert not is_plausible(text)


# -- the quick way and the careful way agree ------------------------------------------------------

scalars = st.one_of(
    st.builds(d.u8, octet),
    st.builds(d.u16, st.integers(0, 65535)),
    st.builds(d.u32, st.integers(0, 2**32 - 1)),
    st.builds(d.u64, st.integers(0, 2**64 - 1)),
    st.builds(d.i32, st.integers(-(2**31), 2**31 - 1)),
    st.builds(d.enum, octet),
    st.builds(d.boolean, st.booleans()),
    st.builds(d.f32, st.floats(width=32)),
    st.builds(d.f64, st.floats()),
    st.just(d.null()),
    st.just(d.dont_care()),
    st.builds(d.octets, st.binary(max_size=3)),
    st.builds(d.visible, st.text("ab", max_size=3)),
    st.builds(d.utf8, st.text(max_size=2)),
    st.builds(d.bits, st.text("01", max_size=9)),
    st.builds(lambda value: d.octets(value.encode()), date_times),
    st.builds(d.octets, st.binary(min_size=12, max_size=12)),
    st.builds(d.date_time, date_times),
    st.builds(d.array, st.builds(d.u8, octet), st.just(d.null())),
)


@st.composite
def buffers(draw: st.DrawFn, rows: int = 5) -> bytes:
    """Rows that mostly have one shape, sometimes not."""
    first = draw(st.lists(scalars, min_size=1, max_size=5))
    kinds = [(item.type, len(item.encode())) for item in first]
    alike = draw(st.booleans())
    found = [d.structure(*first)]
    for _ in range(draw(st.integers(0, rows - 1))):
        row = []
        for item, (kind, size) in zip(first, kinds, strict=True):
            other = draw(scalars)
            fits = (other.type, len(other.encode())) == (kind, size)
            row.append(other if fits or not alike else item)
        found.append(d.structure(*row))
    return d.array(*found).encode()


readings = st.builds(
    Reading,
    st.sampled_from([None, 0, KOREA]),
    st.sampled_from([None, PERIOD]),
    st.sampled_from([None, frozenset(), frozenset((0,)), frozenset((0, 1, 2))]),
)


def decoded(buffer: bytes, reading: Reading) -> ProfileColumns:
    return decode_profile(
        buffer,
        default_deviation=reading.default_deviation,
        period=reading.period,
        clocks=reading.clocks,
    )


def joined(several: list[bytes], reading: Reading) -> tuple[ProfileColumns, np.ndarray]:
    return decode_profiles(
        several,
        default_deviation=reading.default_deviation,
        period=reading.period,
        clocks=reading.clocks,
    )


def careful(buffer: bytes) -> ProfileColumns | DecodeError:
    try:
        return decode_rows(buffer, Reading())
    except DecodeError as error:
        return error


def agree(buffer: bytes) -> None:
    expected = careful(buffer)
    if isinstance(expected, ProfileColumns):
        same(decode_profile(buffer), expected)
        return
    with pytest.raises(DecodeError) as caught:
        decode_profile(buffer)
    assert caught.value.offset == expected.offset


@given(buffers(), readings)
@settings(max_examples=250, deadline=None)
def test_quick_and_careful_agree(buffer: bytes, reading: Reading) -> None:
    same(decoded(buffer, reading), decode_rows(buffer, reading))


@given(st.lists(buffers(rows=3), min_size=1, max_size=4), readings, st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_joined_is_each_one_after_the_other(
    several: list[bytes], reading: Reading, times: int
) -> None:
    for group in ([several[0]] * times, [b"\x01\x00", several[0], b"\x01\x00"], several):
        parts = [decode_rows(buffer, reading) for buffer in group]
        if len({len(part.columns) for part in parts if part.rows}) > 1:
            with pytest.raises(DecodeError, match=r"columns, .* in those before"):
                joined(group, reading)
            continue
        found, offsets = joined(group, reading)
        same(found, join(parts))
        assert np.diff(offsets).tolist() == [part.rows for part in parts]


def test_joined_days() -> None:
    found, offsets = decode_profiles([day(96, START), day(4, 0, 60), day(200, START)])
    assert offsets.tolist() == [0, 96, 100, 300]
    assert found.columns[0][96].astype(np.int64) == 0
    assert found.columns[2][100:].tolist() == [7 * n for n in range(200)]


def test_joined_where_only_one_looks_like_a_clock() -> None:
    one = d.array(d.structure(d.octets(b"123456789012"))).encode()
    other = d.array(d.structure(clock(START))).encode()
    found, _ = decode_profiles([one, other, one])
    assert found.columns[0].dtype == object
    assert found.columns[0][0] == b"123456789012"
    assert found.statuses == (None,)


@pytest.mark.parametrize(("at", "octet"), [(4, 8), (8, 100), (9, 4)])
def test_octets_that_are_a_clock_but_for_one(at: int, octet: int) -> None:
    """No weekday 8, no hundredth 100, no deviation of 17 hours: so it is no clock at all."""
    value = bytearray.fromhex("07e801010108000000000000")
    found = decode_profile(d.array(d.structure(d.octets(bytes(value)))).encode())
    assert found.columns[0].dtype == "datetime64[s]"
    value[at] = octet
    agree(d.array(d.structure(d.octets(bytes(value)))).encode())
    found = decode_profile(d.array(d.structure(d.octets(bytes(value)))).encode())
    assert found.columns[0].tolist() == [bytes(value)]


def test_joined_nothing() -> None:
    for nothing in ([], [b"\x01\x00", b"\x01\x00"]):
        found, offsets = decode_profiles(nothing)
        assert found == ProfileColumns(0)
        assert offsets.tolist() == [0] * (len(nothing) + 1)


@pytest.mark.parametrize(
    ("wrong", "code", "offset"),
    [
        (b"\x02\x00", "protocol.decode", 0),  # no array
        (day(2)[:-1], "protocol.decode", len(day(2)) - 8),  # cut
        (d.array(d.structure(d.u8(1))).encode(), "profile.columns", 0),  # another's columns
        (d.array(d.u8(1)).encode(), "profile.row", 2),  # no row
    ],
)
def test_the_wrong_one_of_many_is_named(wrong: bytes, code: str, offset: int) -> None:
    with pytest.raises(ProfileBufferError, match="buffer 2: ") as caught:
        decode_profiles([day(2), b"\x01\x00", wrong, day(3)])
    assert (caught.value.buffer, caught.value.code) == (2, code)
    assert caught.value.offset == offset
    assert str(caught.value).count("at octet") == 1


def test_joined_does_not_let_octets_wander() -> None:
    """Two wrong buffers whose octets add up to right ones are still wrong."""
    buffer = day(2)
    half = (len(buffer) - 2) // 2
    short, long = buffer[: 2 + half], b"\x01\x02" + buffer[2:] + buffer[2 : 2 + half]
    with pytest.raises(DecodeError):
        decode_profiles([b"\x01\x02" + short[2:], long])
    with pytest.raises(DecodeError):
        decode_profiles([day(2), b"\x01\x00" + buffer[2:]])


# -- malformed input ------------------------------------------------------------------------------


def test_every_truncation() -> None:
    for buffer in (day(3), d.array(d.structure(d.utf8("aé"), d.bits("01"), d.null())).encode()):
        for size in range(len(buffer)):
            with pytest.raises(DecodeError) as caught:
                decode_profile(buffer[:size])
            assert 0 <= caught.value.offset <= size
        with pytest.raises(DecodeError, match="too many"):
            decode_profile(buffer + b"\x00")


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        ("0201 0201 1105", 0),
        ("0102 0201 1105 0202 1105 1106", 6),
        ("0102 0201 1105 1105", 6),
        ("0101 1105", 2),
        ("0184 FFFFFFFF 0200", 6),
        ("01FF", 1),
        ("0102 0201 0A026162 0201 0A016161", 13),
        ("0101 0201 63", 4),
        ("0101 0284 7FFFFFFF 00", 8),
    ],
)
def test_refused_where(raw: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_profile(bytes.fromhex(raw))
    assert caught.value.offset == offset


@given(st.binary(max_size=40).map(lambda tail: b"\x01\x02\x02\x02" + tail))
@settings(max_examples=150)
def test_noise_decodes_or_raises(noise: bytes) -> None:
    agree(noise)


@given(buffers(), st.data())
@settings(max_examples=150, deadline=None)
def test_mutations_are_told_alike(buffer: bytes, data: st.DataObject) -> None:
    raw = bytearray(buffer)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(octet)
    agree(bytes(raw))


def test_templates_are_bounded_and_don_t_mislead() -> None:
    for width in range(1, 3 * module._MAX_TEMPLATES):
        row = d.structure(d.octets(bytes(width)), d.u8(1))
        assert decode_profile(d.array(row, row).encode()).columns[0][1] == bytes(width)
        assert len(module._templates) <= module._MAX_TEMPLATES
    for cells in ((d.u8(1), d.i8(-1)), (d.i8(-1), d.u8(1)), (d.enum(1), d.boolean(value=True))):
        row = d.structure(d.u32(5), *cells)
        found = decode_profile(d.array(row, row).encode())
        assert [column[0] for column in found.columns] == row.native()


# Rows of another width


def test_rows_of_another_width_cost_only_themselves() -> None:
    """A null after one would repeat what is not known; the next whole row is good again."""
    rows = [
        d.structure(d.u8(1), d.u8(10)),
        d.structure(d.u8(2)),
        d.structure(d.u8(3), d.null()),
        d.structure(d.u8(4), d.u8(40)),
        d.structure(d.u8(5), d.null()),
        d.structure(d.u8(6), d.u8(60), d.u8(0)),
    ]
    found = decode_profile(d.array(*rows).encode(), width=2)
    assert [column.tolist() for column in found.columns] == [[1, 4, 5], [10, 40, 40]]
    assert (found.rows, found.left_out) == (3, 3)
    with pytest.raises(DecodeError) as caught:
        decode_profile(d.array(*rows).encode())
    assert caught.value.code == "profile.columns"


@pytest.mark.parametrize("cells", [(d.u8(1),), (d.u8(1), d.null(), d.u8(2))])
def test_a_buffer_of_another_width_has_no_rows(cells: tuple[d.Data, ...]) -> None:
    buffer = d.array(*[d.structure(*cells)] * 3).encode()
    found = decode_profile(buffer, width=2)
    assert (found.rows, found.columns, found.left_out) == (0, (), 3)
    assert decode_profile(buffer, width=len(cells)).left_out == 0


@given(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=3), max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_width_takes_the_rows_that_have_it(rows: list[list[int]]) -> None:
    buffer = d.array(*(d.structure(*map(d.u8, row)) for row in rows)).encode()
    found = decode_profile(buffer, width=2)
    good = [row for row in rows if len(row) == 2]
    assert [list(row) for row in zip(*found.columns, strict=True)] == good
    assert (found.rows, found.left_out) == (len(good), len(rows) - len(good))
