"""Profile generic: the buffer, its selections, and its source in memory."""

from __future__ import annotations

from typing import Any

import pytest

from openami.core.obis import Obis
from openami.dlms import data as d
from openami.dlms.cosem import (
    AccessError,
    ActionError,
    MemoryProfile,
    ProfileGeneric,
    SortMethod,
    encode_row,
    encode_rows,
)
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import (
    CLOCK_COLUMN,
    CaptureObject,
    EntrySelection,
    OtherSelection,
    RangeSelection,
    Selection,
)
from openami.dlms.results import ActionResult, DataAccessResult

ENERGY = CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2)
STATUS = CaptureObject(1, Obis.parse("0.0.96.10.1.255"), 2)
COLUMNS = (CLOCK_COLUMN, STATUS, ENERGY)


def make(
    rows: int = 10, capacity: int = 100, **fields: Any
) -> tuple[ProfileGeneric, MemoryProfile]:
    source = MemoryProfile(capacity, lambda: (1e9, [d.u8(0).encode()] * 3))
    for n in range(rows):
        time = d.octets(CosemDateTime.from_utc(n * 900, -540).encode())
        source.append(n * 900, [time.encode(), d.u8(n).encode(), d.u32(n * 10).encode()])
    return ProfileGeneric("1.0.99.1.0.255", source, COLUMNS, entries=capacity, **fields), source


def read(item: ProfileGeneric, selection: Selection | None = None) -> d.Data:
    return d.decode_data(item.read(2, selection=selection).encode())


def numbers(value: d.Data) -> list[int]:
    return [row.items()[-1].value // 10 for row in value.items()]


def why(item: ProfileGeneric, selection: Selection) -> DataAccessResult:
    with pytest.raises(AccessError) as raised:
        item.read(2, selection=selection)
    return raised.value.result


def test_attributes() -> None:
    item, _ = make(sort=SortMethod.FIFO, sort_object=CLOCK_COLUMN)
    assert numbers(read(item)) == list(range(10))
    assert item.read(3) == d.array(*(column.data() for column in COLUMNS))
    assert [item.read(i) for i in (4, 5, 7, 8)] == [d.u32(900), d.enum(1), d.u32(10), d.u32(100)]
    assert item.read(6) == CLOCK_COLUMN.data()
    assert make()[0].read(6) == CaptureObject(0, Obis(bytes(6)), 0).data()
    assert item.version == 1


@pytest.mark.parametrize("capacity", [1, 3, 10, 200])
def test_the_oldest_rows_make_room(capacity: int) -> None:
    item, _ = make(rows=12, capacity=capacity)
    assert numbers(read(item)) == list(range(12))[-capacity:]


@pytest.mark.parametrize("count", [0, 1, 127, 128, 255, 256, 70000])
def test_any_number_of_rows_is_one_array(count: int) -> None:
    raw = encode_rows(encode_row([b"\x11\x01"]) for _ in range(count))
    assert len(d.decode_data(raw.encode()).items()) == count


def at(seconds: float, deviation: int = -540) -> CosemDateTime:
    return CosemDateTime.from_utc(seconds, deviation)


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        (0, 8100, list(range(10))),
        (900, 900, [1]),
        (901, 2699, [2]),
        (-1000, -1, []),
        (9000, 10000, []),
        (2700, 1800, []),
    ],
)
def test_ranges_hold_both_ends(first: int, last: int, found: list[int]) -> None:
    item, _ = make()
    for deviation in (-540, 0, 300):
        selection = RangeSelection.of_times(at(first, deviation), at(last, deviation))
        assert numbers(read(item, selection)) == found


def test_ranges_in_other_forms() -> None:
    item, _ = make(deviation=lambda: -540)
    local = CosemDateTime(1970, 1, 1, 255, 9, 15, 0, 0)
    assert numbers(read(item, RangeSelection.of_times(local, local))) == [1]
    wild = CosemDateTime()
    assert numbers(read(item, RangeSelection.of_times(wild, wild))) == list(range(10))
    assert numbers(read(item, RangeSelection.of_times(at(6300), wild))) == [7, 8, 9]
    null = RangeSelection(CLOCK_COLUMN, d.null(), d.null())
    assert numbers(read(item, null)) == list(range(10))
    seconds = RangeSelection(CLOCK_COLUMN, d.u32(900), d.u32(1800))
    assert numbers(read(item, seconds)) == [1, 2]
    tagged = RangeSelection(CLOCK_COLUMN, d.date_time(at(900)), d.date_time(at(1800)))
    assert numbers(read(item, tagged)) == [1, 2]


def test_ranges_with_columns() -> None:
    item, _ = make(rows=2)
    selection = RangeSelection.of_times(at(0), at(900), columns=(ENERGY, STATUS))
    assert read(item, selection) == d.array(
        d.structure(d.u32(0), d.u8(0)), d.structure(d.u32(10), d.u8(1))
    )
    unknown = RangeSelection.of_times(at(0), at(900), columns=(CaptureObject(9, ENERGY.obis, 2),))
    assert why(item, unknown) is DataAccessResult.OTHER_REASON


def test_ranges_that_name_nothing() -> None:
    item, _ = make()
    other = RangeSelection(ENERGY, d.u32(0), d.u32(1))
    assert why(item, other) is DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
    partly = CosemDateTime(year=2026)
    result = why(item, RangeSelection.of_times(partly, partly))
    assert result is DataAccessResult.OTHER_REASON
    text = RangeSelection(CLOCK_COLUMN, d.visible("now"), d.null())
    assert why(item, text) is DataAccessResult.TYPE_UNMATCHED


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (EntrySelection(1, 0), list(range(10))),
        (EntrySelection(1, 10), list(range(10))),
        (EntrySelection(1, 99), list(range(10))),
        (EntrySelection(4, 6), [3, 4, 5]),
        (EntrySelection(10, 10), [9]),
        (EntrySelection(11, 0), []),
        (EntrySelection(5, 4), []),
    ],
)
def test_entries_count_from_one(selection: EntrySelection, found: list[int]) -> None:
    assert numbers(read(make()[0], selection)) == found


def test_entries_with_columns() -> None:
    item, _ = make(rows=2)
    assert read(item, EntrySelection(2, 2, 2, 3)) == d.array(d.structure(d.u8(1), d.u32(10)))
    assert read(item, EntrySelection(2, 2, 3, 0)) == d.array(d.structure(d.u32(10)))
    assert read(item, EntrySelection(2, 2, 3, 9)) == d.array(d.structure(d.u32(10)))
    for selection in (
        EntrySelection(0, 1),
        EntrySelection(1, 1, 0, 0),
        EntrySelection(1, 1, 4, 0),
        EntrySelection(1, 1, 3, 2),
    ):
        assert why(item, selection) is DataAccessResult.OTHER_REASON


def test_numbers_of_other_types_are_understood() -> None:
    item, _ = make()
    other = OtherSelection(2, d.structure(d.u16(2), d.u16(3), d.u8(1), d.u8(0)))
    assert numbers(read(item, other)) == [1, 2]
    assert why(item, OtherSelection(3, d.null())) is DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
    assert why(item, OtherSelection(2, d.u8(1))) is DataAccessResult.TYPE_UNMATCHED


def test_reset_and_capture() -> None:
    item, source = make()
    item.invoke(2, d.i8(0))
    assert source.entries_in_use() == 11
    item.invoke(1, d.i8(0))
    assert source.entries_in_use() == 0
    assert read(item) == d.array()
    bare = ProfileGeneric("1.0.99.1.0.255", MemoryProfile(5), COLUMNS)
    with pytest.raises(ActionError) as raised:
        bare.invoke(2)
    assert raised.value.result is ActionResult.READ_WRITE_DENIED


def test_the_period_is_written_where_the_meter_takes_it() -> None:
    item, _ = make()
    with pytest.raises(AccessError):
        item.write(4, d.u32(60))
    taken: list[int] = []
    item, _ = make(on_period=taken.append)
    item.write(4, d.u32(60))
    assert taken == [60]
    assert item.read(4) == d.u32(60)
    with pytest.raises(AccessError) as raised:
        item.write(4, d.u16(60))
    assert raised.value.result is DataAccessResult.TYPE_UNMATCHED
