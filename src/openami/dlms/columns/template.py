"""Rows of one shape, all at once.

A template is made from one row: where each element's tag, length and value stand. It says of
every octet of a row which values it may have: a tag or a length just its own, an octet of a clock
those of a plain date and time, all else any. With ``low`` the lowest and ``span`` the number of
others, octet by octet, the whole buffer is checked by one comparison: ``octets - low > span``,
modulo 256, nowhere. Then the columns are strided views of the octets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.core.errors import DecodeError
from openami.dlms.axdr import Data
from openami.dlms.columns.moments import (
    PLAIN_HIGHEST,
    PLAIN_LOWEST,
    SIZE,
    Octets,
    is_plausible,
    moments,
    plain_moments,
)
from openami.dlms.columns.result import Column, ProfileColumns, Reading, Status, objects
from openami.dlms.datatypes import DataType
from openami.dlms.datetime import NO_STATUS
from openami.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

Pair = tuple[Column, Status | None]

# What numbers are on the wire, and what they become.
_NUMBERS: Final = {
    DataType.BOOLEAN: ("u1", np.bool_),
    DataType.INT32: (">i4", np.int64),
    DataType.UINT32: (">u4", np.int64),
    DataType.BCD: ("u1", np.int64),
    DataType.INT8: ("i1", np.int64),
    DataType.INT16: (">i2", np.int64),
    DataType.UINT8: ("u1", np.int64),
    DataType.UINT16: (">u2", np.int64),
    DataType.INT64: (">i8", np.int64),
    DataType.UINT64: (">u8", np.uint64),
    DataType.ENUM: ("u1", np.int64),
    DataType.FLOAT32: (">f4", np.float64),
    DataType.FLOAT64: (">f8", np.float64),
}


class Kind(Enum):
    """How a field is read."""

    NUMBER = "number"
    CLOCK = "clock"  # by its tag, or because the caller says so
    TWELVE = "twelve"  # octets that may be a clock
    OCTETS = "octets"
    NULL = "null"
    UNSET = "unset"  # null where the caller says that clocks are
    OTHER = "other"  # element by element


@dataclass(frozen=True, slots=True)
class Field:
    """One element of a row: where it and its value begin, and where they end."""

    kind: Kind
    tag: int
    start: int
    at: int
    end: int


class Template:
    """The shape of a row.

    Args:
        row: the octets of one row.
        fields: what stands in it.
    """

    def __init__(self, row: bytes, fields: tuple[Field, ...]) -> None:
        low, span = _free(row, fields)
        self.stride = len(row)
        self._fields = fields
        self._loose = low, span
        self._plain = _plain(low, span, fields)
        numbers = [(f"{i}", f) for i, f in enumerate(fields) if f.kind is Kind.NUMBER]
        self._numbers = np.dtype(
            {
                "names": [name for name, _ in numbers],
                "formats": [_NUMBERS[DataType(field.tag)][0] for _, field in numbers],
                "offsets": [field.at for _, field in numbers],
                "itemsize": self.stride,
            }
        )

    def decode(self, data: bytes, starts: list[int], reading: Reading) -> ProfileColumns | None:
        """Decode rows that stand one after the other.

        Args:
            data: the rows, a multiple of ``stride`` octets.
            starts: where in ``data`` each buffer's first row begins.
            reading: what the octets leave open.

        Returns:
            None if a row has another shape.
        """
        rows = len(data) // self.stride
        block = np.frombuffer(data, np.uint8).reshape(rows, self.stride)
        plain = _within(data, rows, self._plain)
        if not plain and not _within(data, rows, self._loose):
            return None
        source = _Source(data, block, starts, reading, plain=plain)
        numbers = np.frombuffer(data, self._numbers) if self._numbers.names else None
        columns: list[Column] = []
        statuses: list[Status | None] = []
        for index, field in enumerate(self._fields):
            if field.kind is Kind.NUMBER and numbers is not None:
                columns.append(numbers[f"{index}"].astype(_NUMBERS[DataType(field.tag)][1]))
                statuses.append(None)
                continue
            pair = _READERS[field.kind](source, field)
            if pair is None:
                return None
            columns.append(pair[0])
            statuses.append(pair[1])
        return ProfileColumns(rows, tuple(columns), tuple(statuses))


@dataclass(frozen=True, slots=True)
class _Source:
    """The rows that columns are cut from."""

    data: bytes
    block: Octets
    starts: list[int]
    reading: Reading
    plain: bool

    def cut(self, start: int, end: int) -> list[bytes]:
        """Return the octets that stand between two places of a row, row by row."""
        rows, stride = self.block.shape
        return [self.data[at + start : at + end] for at in range(0, rows * stride, stride)]


def _free(row: bytes, fields: tuple[Field, ...]) -> tuple[bytes, bytes]:
    """Return the lowest octets of a row and how many more there may be: tags and lengths fixed."""
    low, span = bytearray(row), bytearray(len(row))
    for field in fields:
        low[field.at : field.end] = bytes(field.end - field.at)
        span[field.at : field.end] = b"\xff" * (field.end - field.at)
    return bytes(low), bytes(span)


def _plain(low: bytes, span: bytes, fields: tuple[Field, ...]) -> tuple[bytes, bytes]:
    """Return the same with clocks confined to plain dates and times."""
    lowest, more = bytearray(low), bytearray(span)
    for field in fields:
        if field.kind in (Kind.CLOCK, Kind.TWELVE):
            lowest[field.at : field.end] = PLAIN_LOWEST
            more[field.at : field.end] = bytes(
                high - low for low, high in zip(PLAIN_LOWEST, PLAIN_HIGHEST, strict=True)
            )
    return bytes(lowest), bytes(more)


def _within(data: bytes, rows: int, limits: tuple[bytes, bytes]) -> bool:
    low, span = (np.frombuffer(limit * rows, np.uint8) for limit in limits)
    octets = np.frombuffer(data, np.uint8)
    return not (octets - low > span).any()


# -- reading the fields --------------------------------------------------------------------------


def _clock(source: _Source, field: Field) -> Pair:
    default = source.reading.default_deviation
    found = None
    if source.plain:
        found = plain_moments(source.block, source.data, field.at, default)
    if found is None:
        found = moments(source.block[:, field.at : field.end], default)
    return found, source.block[:, field.end - 1].copy()


def _twelve(source: _Source, field: Field) -> Pair | None:
    """Read what may be a clock: it is one if the first row of its buffer looks like one."""
    firsts = [source.data[start + field.at : start + field.end] for start in source.starts]
    found = {is_plausible(first) for first in firsts}
    if len(found) > 1:
        return None
    return _clock(source, field) if found.pop() else _octets(source, field)


def _octets(source: _Source, field: Field) -> Pair:
    return objects(source.cut(field.at, field.end)), None


def _null(source: _Source, _field: Field) -> Pair:
    return np.full(len(source.block), None, object), None


def _unset(source: _Source, _field: Field) -> Pair:
    rows = len(source.block)
    return np.full(rows, "NaT", "datetime64[s]"), np.full(rows, NO_STATUS, np.uint8)


def _other(source: _Source, field: Field) -> Pair | None:
    values = []
    for octets in source.cut(field.start, field.end):
        r = Reader(octets)
        try:
            values.append(Data.decode(r).native())
            r.finish()
        except DecodeError:
            return None
    return objects(values), None


_READERS: Final[dict[Kind, Callable[[_Source, Field], Pair | None]]] = {
    Kind.CLOCK: _clock,
    Kind.TWELVE: _twelve,
    Kind.OCTETS: _octets,
    Kind.NULL: _null,
    Kind.UNSET: _unset,
    Kind.OTHER: _other,
}


# -- making a template ---------------------------------------------------------------------------


def template_of(data: bytes, clocks: frozenset[int] | None) -> Template:
    """Return the template of the row that ``data`` begins with.

    Raises:
        DecodeError: it begins with none.
    """
    r = Reader(data)
    r.expect(DataType.STRUCTURE, "structure")
    count = r.length()
    if count > r.remaining:
        raise r.error(f"{count} elements in {r.remaining} octets")
    fields = tuple(_field(r, data, index, clocks) for index in range(count))
    return Template(data[: r.offset], fields)


def _field(r: Reader, data: bytes, index: int, clocks: frozenset[int] | None) -> Field:
    start = r.offset
    tag = r.u8()
    at = r.offset
    if tag in _NUMBERS:
        r.take(np.dtype(_NUMBERS[DataType(tag)][0]).itemsize)
        return Field(Kind.NUMBER, tag, start, at, r.offset)
    if tag == DataType.OCTETS:
        size = r.length()
        at = r.offset
        r.take(size)
        return Field(_kind_of_octets(size, index, clocks), tag, start, at, r.offset)
    if tag == DataType.DATETIME:
        r.take(SIZE)
        return Field(Kind.CLOCK, tag, start, at, r.offset)
    if tag == DataType.NULL:
        named = clocks is not None and index in clocks
        return Field(Kind.UNSET if named else Kind.NULL, tag, start, at, at)
    inner = Reader(memoryview(data)[start:])
    Data.decode(inner)
    r.take(inner.offset - 1)
    return Field(Kind.OTHER, tag, start, at, r.offset)


def _kind_of_octets(size: int, index: int, clocks: frozenset[int] | None) -> Kind:
    if size != SIZE:
        return Kind.OCTETS
    if clocks is None:
        return Kind.TWELVE
    return Kind.CLOCK if index in clocks else Kind.OCTETS
