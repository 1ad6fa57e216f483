"""The cells of one column of a profile as exact readings: whole numbers with a scaler.

Meters are asked for registers, which are whole numbers. Some makers capture floats, leave cells
without a value, or put a word where a number belongs. Such a cell costs itself, no other.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_INT64_MOST: Final = 2**63 - 1
# Beyond this a float has no neighbour 1 away: it counts nothing to the unit.
_FLOAT_MOST: Final = 2.0**53
# Decimals of floats, in steps, so that the scaler of a channel seldom changes between buffers.
_DECIMALS: Final = (0, 3, 6, 9)


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a column.

    Attributes:
        values: whole numbers; 0 where there is none.
        marks: what tells two cells apart: the value itself, or a checksum of what was captured.
        decimals: how many decimals were made whole; the scaler is less by as many.
        valid: which cells have a value; None: all.
        odd: cells that have something else than a number that can be kept.
        numeric: whether a cell has a number, or none has anything.
    """

    values: npt.NDArray[np.int64]
    marks: npt.NDArray[np.int64]
    decimals: int = 0
    valid: npt.NDArray[np.bool_] | None = None
    odd: int = 0
    numeric: bool = True


def cells_of(column: npt.NDArray[Any]) -> Cells:
    """Return the cells of a column as ``decode_profile`` gives it."""
    kind = column.dtype.kind
    if kind == "i" or (kind == "u" and (not len(column) or int(column.max()) <= _INT64_MOST)):
        values = column.astype(np.int64)
        return Cells(values, values)
    if kind == "f" and (np.abs(column) <= _FLOAT_MOST).all() and (column == np.trunc(column)).all():
        values = column.astype(np.int64)
        return Cells(values, values)
    return _one_by_one(column.tolist())


def _one_by_one(cells: list[Any]) -> Cells:
    numbers = [_number(cell) for cell in cells]
    decimals = _decimals(numbers)
    whole = [_whole(number, decimals) for number in numbers]
    valid = np.array([value is not None for value in whole], np.bool_)
    odd = sum(value is None and cell is not None for cell, value in zip(cells, whole, strict=True))
    return Cells(
        values=np.array([value or 0 for value in whole], np.int64),
        marks=np.array([_mark(*pair) for pair in zip(cells, whole, strict=True)], np.int64),
        decimals=decimals,
        valid=valid,
        odd=odd,
        numeric=bool(valid.any()) or not odd,
    )


def _mark(cell: Any, whole: int | None) -> int:
    """Return what the cell would have in a column without odd ones, if it is a whole number."""
    if isinstance(cell, int) and not isinstance(cell, bool) and whole is not None:
        return cell
    return zlib.crc32(repr(cell).encode())


def _number(cell: Any) -> Decimal | None:
    """Return the number that a cell shows; a float32 has fewer digits than its float64."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    if isinstance(cell, int):
        return Decimal(cell)
    if not math.isfinite(cell):
        return None
    with np.errstate(over="ignore"):
        short = np.float32(cell)
    return Decimal(str(short if float(short) == cell else cell))


def _decimals(numbers: list[Decimal | None]) -> int:
    """Return how many decimals hold every number, as far as the steps go."""
    needed = max((_places(number) for number in numbers if number is not None), default=0)
    return next((step for step in _DECIMALS if step >= needed), _DECIMALS[-1])


def _places(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _whole(number: Decimal | None, decimals: int) -> int | None:
    if number is None or _places(number) > decimals:
        return None
    value = int(number.scaleb(decimals))
    return value if abs(value) <= _INT64_MOST else None
