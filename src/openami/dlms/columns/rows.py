"""Buffers row by row: right for whatever the standard allows, and the judge of what it doesn't.

Null in a row repeats the row before (Blue Book, profile generic, buffer: compressed); a clock's
null is the moment before plus the capture period.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.core.errors import DecodeError
from openami.dlms.axdr import Data
from openami.dlms.columns.moments import NAT, SIZE, is_plausible, moments
from openami.dlms.columns.result import Column, ProfileColumns, Reading, Status, objects
from openami.dlms.datatypes import DataType
from openami.dlms.datetime import NO_STATUS
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[Data, ...]

_SIGNED: Final = frozenset((DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64))
_UNSIGNED: Final = frozenset(
    (DataType.UINT8, DataType.UINT16, DataType.UINT32, DataType.ENUM, DataType.BCD)
)
# The first whose types are all that a column has.
_DTYPES: Final = (
    (_SIGNED | _UNSIGNED, np.int64),
    (_UNSIGNED | {DataType.UINT64}, np.uint64),
    (frozenset((DataType.FLOAT32, DataType.FLOAT64)), np.float64),
    (frozenset((DataType.BOOLEAN,)), np.bool_),
)


def decode_rows(buffer: bytes, reading: Reading) -> ProfileColumns:
    """Decode one buffer.

    Raises:
        DecodeError: it is no array of structures, all with as many elements.
    """
    rows, left_out = read_rows(buffer, reading.width)
    if not rows:
        return ProfileColumns(0, left_out=left_out)
    pairs = [_column(cells, index, reading) for index, cells in enumerate(zip(*rows, strict=True))]
    columns = tuple(column for column, _ in pairs)
    return ProfileColumns(len(rows), columns, tuple(status for _, status in pairs), left_out)


def read_rows(buffer: bytes, width: int | None = None) -> tuple[list[Row], int]:
    """Return the rows of a buffer, and how many more it has that are left out.

    With a ``width``, rows of another one are left out, and after them those with a null, which
    would repeat what is not known.

    Raises:
        DecodeError: see ``decode_rows``.
    """
    r = Reader(buffer)
    r.expect(DataType.ARRAY, "array")
    count = r.length()
    if count > r.remaining:  # a row has an octet at least
        raise r.error(f"{count} rows in {r.remaining} octets")
    rows: list[Row] = []
    known = True  # what a null repeats
    for _ in range(count):
        start = r.offset
        row = Data.decode(r)
        if row.type is not DataType.STRUCTURE:
            raise DecodeError("a row is a structure", offset=start, code="profile.row")
        if width is not None:
            nulls = any(cell.type is DataType.NULL for cell in row.value)
            known = len(row.value) == width and (known or not nulls)
            if known:
                rows.append(row.value)
            continue
        if rows and len(row.value) != len(rows[0]):
            raise DecodeError(
                f"{len(rows[0])} columns wanted, {len(row.value)} found",
                offset=start,
                code="profile.columns",
            )
        rows.append(row.value)
    r.finish()
    return rows, count - len(rows)


def _column(cells: Sequence[Data], index: int, reading: Reading) -> tuple[Column, Status | None]:
    present = [cell for cell in cells if cell.type is not DataType.NULL]
    if _is_clock(present, index, reading):
        return _clock(cells, reading)
    values = _values(cells)
    kinds = {cell.type for cell in (cells[0], *present)}
    for types, dtype in _DTYPES:
        if kinds <= types:
            return np.array(values, dtype=dtype), None
    return objects(values), None


def _values(cells: Sequence[Data]) -> list[Any]:
    """Return the cells' values, null after a value repeating it."""
    value = None
    found = []
    for cell in cells:
        if cell.type is not DataType.NULL:
            value = cell.native()
        found.append(value)
    return found


def _is_clock(present: Sequence[Data], index: int, reading: Reading) -> bool:
    named = reading.clocks is not None and index in reading.clocks
    if not present:
        return named
    if not all(_has_clock_shape(cell) for cell in present):
        return False
    first = present[0]
    if named or first.type is DataType.DATETIME:
        return True
    return reading.clocks is None and is_plausible(first.value)


def _has_clock_shape(cell: Data) -> bool:
    octets = cell.type is DataType.OCTETS and len(cell.value) == SIZE
    return octets or cell.type is DataType.DATETIME


def _clock(cells: Sequence[Data], reading: Reading) -> tuple[Column, Status]:
    present = np.array([cell.type is not DataType.NULL for cell in cells])
    raw = b"".join(_octets(cell) for cell in cells if cell.type is not DataType.NULL)
    octets = np.frombuffer(raw, np.uint8).reshape(-1, SIZE)
    last = np.cumsum(present) - 1  # which of those present each row repeats
    known = last >= 0
    seconds = np.full(len(cells), NAT, np.int64)
    status = np.full(len(cells), NO_STATUS, np.uint8)
    seconds[known] = moments(octets, reading.default_deviation).view(np.int64)[last[known]]
    status[known] = octets[last[known], SIZE - 1]
    seconds = _advanced(seconds, present, reading.period)
    return seconds.view("datetime64[s]"), status


def _advanced(seconds: Column, present: Column, period: int | None) -> Column:
    """Return the seconds of rows without a clock moved on by the periods since their last clock."""
    if period is None:
        return np.where(present, seconds, NAT)
    rows = np.arange(len(seconds))
    since = rows - np.maximum.accumulate(np.where(present, rows, 0))
    return np.where(seconds == NAT, NAT, seconds + since * period)


def _octets(cell: Data) -> bytes:
    octets: bytes = cell.value if cell.type is DataType.OCTETS else cell.value.encode()
    return octets
