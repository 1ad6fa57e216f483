"""Attributes that are a typed Python field of the object, and values bound to callables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from openami.dlms.cosem.base import AccessError, Attribute, Context
from openami.dlms.data import Data, DataType, Encodable, RawData, octets, structure
from openami.dlms.datetime import CosemDateTime
from openami.dlms.results import DataAccessResult

Value = Encodable | int | bool | str | bytes | float | CosemDateTime | None
Bound = Value | Callable[[], Value]
"""A value, or what is called for it at every read."""

RANGES: Final[Mapping[DataType, tuple[int, int]]] = {
    DataType.INT8: (-(1 << 7), (1 << 7) - 1),
    DataType.INT16: (-(1 << 15), (1 << 15) - 1),
    DataType.INT32: (-(1 << 31), (1 << 31) - 1),
    DataType.INT64: (-(1 << 63), (1 << 63) - 1),
    DataType.UINT8: (0, (1 << 8) - 1),
    DataType.UINT16: (0, (1 << 16) - 1),
    DataType.UINT32: (0, (1 << 32) - 1),
    DataType.UINT64: (0, (1 << 64) - 1),
    DataType.ENUM: (0, (1 << 8) - 1),
}
"""What each integer type holds."""


def resolve(value: Bound) -> Value:
    """Return the value, asking for it if it is bound to a callable."""
    return value() if callable(value) else value


def encodable(value: Value, kind: DataType) -> Encodable:
    """Return ``value`` as Data of ``kind``; Data stays what it is, None becomes null-data."""
    if isinstance(value, Data | RawData):
        return value
    if value is None:
        return Data(DataType.NULL)
    if isinstance(value, CosemDateTime) and kind is DataType.OCTETS:
        return octets(value.encode())
    return Data(kind, value)


def scaler_unit(scaler: int, unit: int) -> Data:
    """Return the structure of a register's attribute 3."""
    return structure(Data(DataType.INT8, scaler), Data(DataType.ENUM, unit))


def number(
    name: str,
    kind: DataType,
    field: str,
    *,
    low: int | None = None,
    high: int | None = None,
    writable: bool = True,
) -> Attribute:
    """Return the attribute that is the integer ``field``, written only from ``low`` to ``high``."""
    least, most = RANGES[kind]
    least = least if low is None else low
    most = most if high is None else high

    def write(target: Any, value: Data, _: Context) -> None:
        if not least <= value.integer() <= most:
            raise AccessError(DataAccessResult.OTHER_REASON, f"{name}: {least} to {most}")
        setattr(target, field, value.integer())

    return Attribute(
        name,
        lambda target, _: Data(kind, resolve(getattr(target, field))),
        write if writable else None,
        (kind,),
    )


def boolean(name: str, field: str, *, writable: bool = True) -> Attribute:
    """Return the attribute that is the boolean ``field``."""

    def write(target: Any, value: Data, _: Context) -> None:
        setattr(target, field, bool(value.value))

    return Attribute(
        name,
        lambda target, _: Data(DataType.BOOLEAN, bool(resolve(getattr(target, field)))),
        write if writable else None,
        (DataType.BOOLEAN,),
    )


def date_time(name: str, field: str) -> Attribute:
    """Return the attribute that is the ``CosemDateTime`` field, as an octet-string of twelve."""

    def write(target: Any, value: Data, _: Context) -> None:
        setattr(target, field, value.datetime())

    return Attribute(
        name,
        lambda target, _: octets(getattr(target, field).encode()),
        write,
        (DataType.OCTETS, DataType.DATETIME),
    )
