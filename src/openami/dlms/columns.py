"""Profile buffers as columns: from A-XDR octets straight into numpy, without a loop over rows.

A buffer is an array of structures (Blue Book, class 7, attribute 2). Meters send rows of one
shape, so the first row makes a template: where each field lies, and which octets of a row are tags
and lengths. All rows are laid side by side, their tags and lengths are compared with the template
in one step, and each field becomes one column. Buffers of the same shape from many meters are
joined and decoded in one pass.

Where rows differ in shape, as with null-data for "as before" (Green Book, 9.5, null-data
compression), the buffer is decoded row by row, with the same result.

Columns have these types:

- ``int64`` for every integer, enum and BCD up to 32 bits and for signed 64; ``uint64`` for
  unsigned 64; ``float64``; ``bool``
- ``datetime64[s]`` in UTC for date-times (tag 25, or an octet string of twelve octets), NaT for
  one that names no moment; hundredths are left out
- ``object`` for everything else: octets, text, bit strings, what is nested
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.core.errors import DecodeError
from openami.dlms.data import Data, DataType, decode_data
from openami.dlms.datetime import CosemDateTime
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Array = np.ndarray[Any, np.dtype[Any]]

ARRAY: Final = 0x01
STRUCTURE: Final = 0x02
DATE_TIME_OCTETS: Final = 12
UNSPECIFIED: Final = -0x8000  # deviation that says nothing (Blue Book 4.1.6.1)
MAX_DEVIATION: Final = 840  # minutes; the Blue Book has 720, UTC+14 exists
NO_TIME: Final = np.datetime64("NaT", "s")

_INT: Final = np.dtype(np.int64)

# Big-endian layouts of the types of fixed size, and what their columns are.
_FIXED: Final[Mapping[int, tuple[str, np.dtype[Any]]]] = {
    DataType.BOOLEAN: ("u1", np.dtype(np.bool_)),
    DataType.INT32: (">i4", _INT),
    DataType.UINT32: (">u4", _INT),
    DataType.BCD: ("u1", _INT),
    DataType.INT8: ("i1", _INT),
    DataType.INT16: (">i2", _INT),
    DataType.UINT8: ("u1", _INT),
    DataType.UINT16: (">u2", _INT),
    DataType.INT64: (">i8", _INT),
    DataType.UINT64: (">u8", np.dtype(np.uint64)),
    DataType.ENUM: ("u1", _INT),
    DataType.FLOAT32: (">f4", np.dtype(np.float64)),
    DataType.FLOAT64: (">f8", np.dtype(np.float64)),
}
_MOMENT: Final = np.dtype(
    {
        "names": ["year", "month", "day", "hour", "minute", "second", "deviation", "status"],
        "formats": [">u2", "u1", "u1", "u1", "u1", "u1", ">i2", "u1"],
        "offsets": [0, 2, 3, 5, 6, 7, 9, 11],
        "itemsize": DATE_TIME_OCTETS,
    }
)


@dataclass(frozen=True, slots=True)
class ProfileColumns:
    """A buffer as columns.

    Attributes:
        rows: how many rows there are.
        columns: one array of ``rows`` values for each capture object.
        clock_status: the status octets (uint8) of each date-time column, by its number.
    """

    rows: int
    columns: tuple[Array, ...]
    clock_status: Mapping[int, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Template:
    """The shape of a row: a dtype over its octets, and the octets that all rows share."""

    stride: int
    dtype: np.dtype[Any]
    kinds: tuple[np.dtype[Any] | None, ...]
    places: Array
    values: Array


def decode_profile(
    buffer: bytes, *, default_deviation: int | None = None, period: int | None = None
) -> ProfileColumns:
    """Return the columns of one buffer.

    Args:
        buffer: the Data of a get-response: an array of structures.
        default_deviation: minutes local to UTC for date-times that do not say; without it they
            are NaT.
        period: seconds that a null date-time is later than the one before it.

    Raises:
        DecodeError: the octets are no buffer, or a row lacks what the row before should give.
    """
    count, start = _header(buffer)
    template = _template(buffer, start) if count else None
    if template is not None and len(buffer) - start == count * template.stride:
        rows = np.frombuffer(buffer, np.uint8, offset=start).reshape(count, template.stride)
        found = _fast(rows, template, default_deviation)
        if found is not None:
            return found
    return _slow(buffer, default_deviation, period)


def decode_profiles(
    buffers: Sequence[bytes], *, default_deviation: int | None = None, period: int | None = None
) -> tuple[ProfileColumns, Array]:
    """Return the columns of many buffers, one after another, and where each begins.

    Buffers of the same shape are decoded in one pass; all must have the same number of columns.

    Returns:
        The columns, and ``len(buffers) + 1`` row numbers: buffer ``i`` has the rows from the
        ``i``-th up to the next.

    Raises:
        DecodeError: see ``decode_profile``; or the buffers have not the same columns.
    """
    headers = [_header(buffer) for buffer in buffers]
    offsets = np.zeros(len(buffers) + 1, np.int64)
    np.cumsum([count for count, _ in headers], out=offsets[1:])
    first = next((i for i, (count, _) in enumerate(headers) if count), None)
    if first is None:
        return ProfileColumns(0, ()), offsets
    template = _template(buffers[first], headers[first][1])
    if template is not None:
        stride = template.stride
        if all(
            len(buffer) - start == count * stride
            for buffer, (count, start) in zip(buffers, headers, strict=True)
        ):
            joined = b"".join(
                memoryview(buffer)[start:]
                for buffer, (_, start) in zip(buffers, headers, strict=True)
            )
            rows = np.frombuffer(joined, np.uint8).reshape(-1, stride)
            found = _fast(rows, template, default_deviation)
            if found is not None:
                return found, offsets
    parts = [
        decode_profile(buffer, default_deviation=default_deviation, period=period)
        for buffer, (count, _) in zip(buffers, headers, strict=True)
        if count
    ]
    return _joined(parts), offsets


def _header(buffer: bytes) -> tuple[int, int]:
    """Return the number of rows, and where the first begins."""
    r = Reader(buffer)
    r.expect(ARRAY, "profile buffer, array")
    count = r.length()
    if count == 0:
        r.finish()
    return count, r.offset


def _template(buffer: bytes, start: int) -> _Template | None:
    """Return the shape of the row at ``start``; None if it can not be one of fixed fields."""
    r = Reader(buffer[start:], base=start)
    r.expect(STRUCTURE, "profile row, structure")
    fields = r.length()
    if fields > r.remaining:
        raise r.error("a row of more fields than octets")
    fixed = list(range(r.offset - start))
    names, formats, offsets, kinds = [], [], [], []
    for number in range(fields):
        at = r.offset - start
        tag = r.u8()
        layout = _field(r, tag)
        if layout is None:
            return None
        form, kind, size = layout
        place = r.offset - start
        fixed += range(at, place)
        r.take(size)
        names.append(f"f{number}")
        formats.append(form)
        offsets.append(place)
        kinds.append(kind)
    stride = r.offset - start
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": stride})
    places = np.array(fixed)
    values = np.frombuffer(buffer, np.uint8, stride, start)[places]
    return _Template(stride, dtype, tuple(kinds), places, values)


def _field(r: Reader, tag: int) -> tuple[Any, np.dtype[Any] | None, int] | None:
    """Return layout, column type (None: a date-time) and size of a field, its length read."""
    if tag in _FIXED:
        form, kind = _FIXED[tag]
        return form, kind, np.dtype(form).itemsize
    if tag == DataType.DATETIME:
        return _MOMENT, None, DATE_TIME_OCTETS
    if tag == DataType.OCTETS and r.remaining and r.length() == DATE_TIME_OCTETS:
        return _MOMENT, None, DATE_TIME_OCTETS
    return None


def _fast(rows: Array, template: _Template, default_deviation: int | None) -> ProfileColumns | None:
    """Return the columns of rows that all have the template's shape; None if one has not."""
    if not (rows[:, template.places] == template.values).all():
        return None
    records = rows.view(template.dtype)[:, 0]
    columns, status = [], {}
    for number, kind in enumerate(template.kinds):
        values = records[f"f{number}"]
        if kind is None:
            columns.append(_moments(values, default_deviation))
            status[number] = values["status"].copy()
        else:
            columns.append(values.astype(kind))
    return ProfileColumns(len(rows), tuple(columns), status)


def _moments(values: Array, default_deviation: int | None) -> Array:
    """Return date-times as datetime64[s] in UTC, NaT where they name no moment."""
    year = values["year"].astype(np.int64)
    month, day = values["month"].astype(np.int64), values["day"].astype(np.int64)
    deviation = values["deviation"].astype(np.int64)
    hour, minute = values["hour"].astype(np.int64), values["minute"].astype(np.int64)
    second = values["second"].astype(np.int64)
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    if default_deviation is not None:
        deviation = np.where(deviation == UNSPECIFIED, default_deviation, deviation)
    seconds = (hour * 60 + minute + deviation) * 60 + second
    moments: Array = days.astype("datetime64[s]") + seconds
    good = (
        (year != 0xFFFF) & (month >= 1) & (month <= 12) & (day >= 1)
        & (days.astype("datetime64[M]") == months)
        & (hour < 24) & (minute < 60) & (second < 60)
        & (deviation >= -MAX_DEVIATION) & (deviation <= MAX_DEVIATION)
    )  # fmt: skip
    if not good.all():
        moments[~good] = NO_TIME
    return moments


# Row by row.


def _slow(buffer: bytes, default_deviation: int | None, period: int | None) -> ProfileColumns:
    rows = [row.items() for row in decode_data(buffer).items()]
    if not rows:
        return ProfileColumns(0, ())
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        raise DecodeError("profile rows of different numbers of columns")
    columns: list[Array] = []
    status: dict[int, Array] = {}
    for number in range(width):
        values = [row[number] for row in rows]
        if _is_clock(values):
            octets, moments = _clock(values, default_deviation, period)
            columns.append(moments)
            status[number] = octets
        else:
            columns.append(_column(values))
    return ProfileColumns(len(rows), tuple(columns), status)


def _is_clock(values: Sequence[Data]) -> bool:
    """Return whether all values are date-times or null, and one is a date-time."""
    known = [value for value in values if value.type is not DataType.NULL]
    return bool(known) and all(
        value.type is DataType.DATETIME
        or (value.type is DataType.OCTETS and len(value.value) == DATE_TIME_OCTETS)
        for value in known
    )


def _clock(
    values: Sequence[Data], default_deviation: int | None, period: int | None
) -> tuple[Array, Array]:
    """Return the status octets and the moments; a null one is ``period`` after the one before."""
    moments = np.empty(len(values), "datetime64[s]")
    status = np.zeros(len(values), np.uint8)
    for row, value in enumerate(values):
        if value.type is DataType.NULL:
            if row == 0 or period is None:
                raise DecodeError("a null date-time, and nothing to go on from")
            moments[row] = moments[row - 1] + np.timedelta64(period, "s")
            status[row] = status[row - 1]
            continue
        octets = value.value.encode() if isinstance(value.value, CosemDateTime) else value.value
        one = np.frombuffer(octets, _MOMENT)
        moments[row] = _moments(one, default_deviation)[0]
        status[row] = one["status"][0]
    return status, moments


def _column(values: Sequence[Data]) -> Array:
    """Return other values; a null one is the same as the one before."""
    filled: list[Data] = []
    for value in values:
        if value.type is not DataType.NULL or not filled:
            filled.append(value)
        else:
            filled.append(filled[-1])
    types = {_FIXED[v.type][1] if v.type in _FIXED else None for v in filled}
    kind = types.pop() if len(types) == 1 else None
    if kind is None:
        column = np.empty(len(filled), object)
        column[:] = [value.native() for value in filled]
        return column
    return np.array([value.value for value in filled], kind)


def _joined(parts: Sequence[ProfileColumns]) -> ProfileColumns:
    width = len(parts[0].columns)
    if any(len(part.columns) != width for part in parts):
        raise DecodeError("profile buffers of different numbers of columns")
    columns = tuple(np.concatenate([part.columns[i] for part in parts]) for i in range(width))
    clocks = set.intersection(*(set(part.clock_status) for part in parts))
    status = {i: np.concatenate([part.clock_status[i] for part in parts]) for i in sorted(clocks)}
    return ProfileColumns(sum(part.rows for part in parts), columns, status)
