"""COSEM values as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openami.core.units import Quantity, symbol
from openami.dlms.data import DataType
from openami.dlms.datetime import CosemDateTime

if TYPE_CHECKING:
    from openami.dlms.data import Data

DATE_TIME_OCTETS: Final = 12
PRINTABLE: Final = range(0x20, 0x7F)


def plain(data: Data, *, moment: bool = False) -> Any:
    """Return a JSON value: octets as text if all can be printed, else in hexadecimal.

    A float that JSON does not have, such as NaN, becomes None.

    Args:
        data: the value.
        moment: whether twelve octets are a date and time, as in a clock.
    """
    if data.type in {DataType.ARRAY, DataType.STRUCTURE}:
        return [plain(item, moment=moment) for item in data.value]
    if isinstance(data.value, bytes):
        return _octets(data.value, moment=moment)
    return data.jsonable()


def _octets(raw: bytes, *, moment: bool) -> str:
    if moment and len(raw) == DATE_TIME_OCTETS:
        return str(CosemDateTime.decode(raw))
    if raw and all(octet in PRINTABLE for octet in raw):
        return raw.decode("ascii")
    return raw.hex().upper()


def scaled(value: Any, scaler_unit: tuple[int, int] | None) -> tuple[str, str]:
    """Return a value and its unit as text; exact where there is a scaler."""
    if scaler_unit is None or not isinstance(value, int) or isinstance(value, bool):
        return _text(value), ""
    quantity = Quantity(value, *scaler_unit)
    return f"{quantity.decimal():f}", symbol(quantity.unit)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return "" if value is None else str(value)
