"""What decoding a profile's buffer gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

Column = npt.NDArray[Any]
Status = npt.NDArray[np.uint8]


class ProfileBufferError(DecodeError):
    """One of many buffers is not what it should be.

    Args:
        buffer: which, counted from 0.
        message: what was expected.
        offset: where in this buffer.
    """

    def __init__(
        self, buffer: int, message: str, *, offset: int = 0, code: str | None = None
    ) -> None:
        super().__init__(f"buffer {buffer}: {message}", offset=offset, code=code)
        self.buffer = buffer


@dataclass(frozen=True, slots=True)
class ProfileColumns:
    """The rows of one or several buffers, column by column.

    Args:
        rows: how many.
        columns: one for each field of a row; none if there are no rows. Integers of all widths,
            enum and BCD are int64, long64-unsigned uint64, floats float64, booleans bool;
            date-times datetime64[s] in UTC, NaT for what is no moment; octet-strings ``bytes``
            objects, all else objects as ``Data.native`` gives them. A column of several kinds, or
            with nulls before its first value, is one of objects, None for null.
        statuses: for each column of date-times the clock's status octets, FF where there is none;
            None for the others.
        left_out: how many rows were not of the width that was asked for.
    """

    rows: int
    columns: tuple[Column, ...] = ()
    statuses: tuple[Status | None, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How columns are read where the octets leave it open.

    Args:
        default_deviation: minutes from local time to UTC, for date-times that name none.
        period: seconds from row to row, for a clock that is null; NaT without it.
        clocks: the columns of date-times; None: those whose first value looks like one.
        width: of the rows that are wanted; None: all must be as wide as the first.
    """

    default_deviation: int | None = None
    period: int | None = None
    clocks: frozenset[int] | None = None
    width: int | None = None


def objects(values: Sequence[Any]) -> Column:
    """Return a column of objects; lists stay lists."""
    column = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        column[index] = value
    return column


def join(parts: Sequence[ProfileColumns]) -> ProfileColumns:
    """Return the rows of all ``parts`` as one; columns of different kinds become objects.

    Raises:
        ProfileBufferError: one has not as many columns as those before.
    """
    filled = [part for part in parts if part.rows]
    if not filled:
        return ProfileColumns(0)
    wanted = len(filled[0].columns)
    for number, part in enumerate(parts):
        if part.rows and len(part.columns) != wanted:
            raise ProfileBufferError(
                number,
                f"{len(part.columns)} columns, {wanted} in those before",
                code="profile.columns",
            )
    columns, statuses = [], []
    for index in range(len(filled[0].columns)):
        column, status = _join_column([(p.columns[index], p.statuses[index]) for p in filled])
        columns.append(column)
        statuses.append(status)
    return ProfileColumns(sum(part.rows for part in filled), tuple(columns), tuple(statuses))


def _join_column(parts: Sequence[tuple[Column, Status | None]]) -> tuple[Column, Status | None]:
    if len({column.dtype for column, _ in parts}) > 1:
        return np.concatenate([column.astype(object) for column, _ in parts]), None
    statuses = [status for _, status in parts if status is not None]
    column = np.concatenate([column for column, _ in parts])
    return column, np.concatenate(statuses) if statuses else None
