"""COSEM data: ``Data``, and a constructor for each of its types.

``from openami.dlms import data as d`` and then ``d.structure(d.u32(5), d.visible("abc"))``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.dlms.axdr import MAX_DEPTH, Data, Encodable, RawData, decode_data
from openami.dlms.datatypes import BitString, DataType, type_name

if TYPE_CHECKING:
    from openami.dlms.datetime import CosemDate, CosemDateTime, CosemTime

__all__ = [
    "MAX_DEPTH",
    "BitString",
    "Data",
    "DataType",
    "Encodable",
    "RawData",
    "array",
    "bcd",
    "bits",
    "boolean",
    "date",
    "date_time",
    "decode_data",
    "dont_care",
    "enum",
    "f32",
    "f64",
    "i8",
    "i16",
    "i32",
    "i64",
    "null",
    "octets",
    "structure",
    "time",
    "type_name",
    "u8",
    "u16",
    "u32",
    "u64",
    "utf8",
    "visible",
]


def null() -> Data:
    """Return null-data."""
    return Data(DataType.NULL)


def array(*items: Encodable) -> Data:
    """Return an array of ``items``."""
    return Data(DataType.ARRAY, items)


def structure(*items: Encodable) -> Data:
    """Return a structure of ``items``."""
    return Data(DataType.STRUCTURE, items)


def boolean(value: bool) -> Data:
    """Return a boolean."""
    return Data(DataType.BOOLEAN, value)


def bits(value: str | BitString) -> Data:
    """Return a bit-string from zeros and ones, bit 0 first."""
    return Data(DataType.BIT_STRING, BitString.of(value) if isinstance(value, str) else value)


def i8(value: int) -> Data:
    """Return an integer (8 bits)."""
    return Data(DataType.INT8, value)


def i16(value: int) -> Data:
    """Return a long."""
    return Data(DataType.INT16, value)


def i32(value: int) -> Data:
    """Return a double-long."""
    return Data(DataType.INT32, value)


def i64(value: int) -> Data:
    """Return a long64."""
    return Data(DataType.INT64, value)


def u8(value: int) -> Data:
    """Return an unsigned."""
    return Data(DataType.UINT8, value)


def u16(value: int) -> Data:
    """Return a long-unsigned."""
    return Data(DataType.UINT16, value)


def u32(value: int) -> Data:
    """Return a double-long-unsigned."""
    return Data(DataType.UINT32, value)


def u64(value: int) -> Data:
    """Return a long64-unsigned."""
    return Data(DataType.UINT64, value)


def enum(value: int) -> Data:
    """Return an enum."""
    return Data(DataType.ENUM, value)


def bcd(value: int) -> Data:
    """Return a bcd octet."""
    return Data(DataType.BCD, value)


def f32(value: float) -> Data:
    """Return a float32."""
    return Data(DataType.FLOAT32, value)


def f64(value: float) -> Data:
    """Return a float64."""
    return Data(DataType.FLOAT64, value)


def octets(value: bytes) -> Data:
    """Return an octet-string."""
    return Data(DataType.OCTETS, value)


def visible(value: str) -> Data:
    """Return a visible-string."""
    return Data(DataType.VISIBLE, value)


def utf8(value: str) -> Data:
    """Return a utf8-string."""
    return Data(DataType.UTF8, value)


def date_time(value: CosemDateTime) -> Data:
    """Return a date-time with its own tag; ``octets(value.encode())`` is what most meters send."""
    return Data(DataType.DATETIME, value)


def date(value: CosemDate) -> Data:
    """Return a date with its own tag."""
    return Data(DataType.DATE, value)


def time(value: CosemTime) -> Data:
    """Return a time with its own tag."""
    return Data(DataType.TIME, value)


def dont_care() -> Data:
    """Return don't-care."""
    return Data(DataType.DONT_CARE)
