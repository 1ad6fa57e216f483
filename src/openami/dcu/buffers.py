"""Profile buffers as readings and event logs as events."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.core.errors import DecodeError
from openami.dcu.cells import cells_of
from openami.dcu.layouts import is_clock, is_event_code, is_moment, is_reading, is_status
from openami.dlms.columns import decode_profile
from openami.dlms.datetime import NO_STATUS, ClockStatus
from openami.mdm.readings import (
    MAX_DETAIL_OCTETS,
    MAX_TIME,
    MIN_TIME,
    ChannelValues,
    events_table,
    profile_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from openami.dcu.cells import Cells
    from openami.dcu.known import Column, Layout
    from openami.dlms.columns import ProfileColumns

# Profile status (IDIS, AMR profile status): the clock can not be trusted.
CLOCK_INVALID: Final = 0x02
# Event codes of meters have one octet; the schema has room for four.
_CODE_MOST: Final = 2**31 - 1
_COUNT: Final = 255


class LayoutError(DecodeError):
    """The rows are not made as the layout says: it must be read again."""

    code = "meter.layout"


@dataclass(frozen=True, slots=True)
class Entries:
    """The rows of one buffer, in its order.

    Attributes:
        times: seconds UTC, those that no calendar has left out.
        digests: a fingerprint of each row.
        misplaced: rows left out because their time can not be.
        misshapen: rows left out because they have not as many columns as the profile.
    """

    times: npt.NDArray[np.int64]
    digests: npt.NDArray[np.int64]
    misplaced: int
    misshapen: int

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class ReadingRows(Entries):
    """Rows of a profile.

    Attributes:
        status: the profile status of each row.
        channels: what was captured.
        odd: cells that were left out because they are no reading.
    """

    status: npt.NDArray[np.uint8]
    channels: tuple[tuple[Column, Cells], ...]
    odd: int

    def tables(self, meter: str, profile: str, keep: Sequence[int]) -> list[pa.Table]:
        """Return some of the rows as readings."""
        places = np.asarray(keep, np.int64)
        whole = [pair for pair in self.channels if pair[1].valid is None]
        tables = [self._table(meter, profile, places, whole)] if whole else []
        for column, cells in self.channels:
            if cells.valid is not None and (some := places[cells.valid[places]]).size:
                tables.append(self._table(meter, profile, some, [(column, cells)]))
        return tables

    def _table(
        self,
        meter: str,
        profile: str,
        places: npt.NDArray[np.int64],
        channels: Sequence[tuple[Column, Cells]],
    ) -> pa.Table:
        return profile_table(
            meter,
            profile,
            time=self.times[places],
            status=self.status[places],
            channels=[
                ChannelValues(
                    column.obis,
                    (0 if column.scaler is None else column.scaler) - cells.decimals,
                    _COUNT if column.unit is None else column.unit,
                    cells.values[places],
                )
                for column, cells in channels
            ],
        )


@dataclass(frozen=True, slots=True)
class EventRows(Entries):
    """Rows of an event log."""

    codes: tuple[int, ...]
    ordinals: tuple[int, ...]
    details: tuple[str | None, ...]

    def tables(self, meter: str, log: str, keep: Sequence[int]) -> list[pa.Table]:
        """Return some of the rows as events."""
        rows = (
            {
                "meter": meter,
                "log": log,
                "time": int(self.times[place]),
                "code": self.codes[place],
                "ordinal": self.ordinals[place],
                "detail": self.details[place],
            }
            for place in keep
        )
        return [events_table(rows)]


def decode_readings(
    raw: bytes, layout: Layout, *, deviation: int | None, fresh: bool = False
) -> ReadingRows:
    """Return the rows of a profile's buffer.

    Args:
        raw: the Data of the answer.
        layout: of the profile.
        deviation: minutes local to UTC for clocks that do not say.
        fresh: the layout was read just now: a channel without a single number is left out, and
            so is a row of another width. It may be another profile's otherwise.

    Raises:
        DecodeError: it is no buffer; ``LayoutError`` if it is another profile's.
    """
    columns, times, good = _common(raw, layout, deviation, fresh=fresh)
    channels = _channels(columns, layout, good, fresh=fresh)
    status = _status(columns, layout, good)
    marks = np.stack([status.astype(np.int64), *(cells.marks for _, cells in channels)], axis=1)
    digests = np.array([zlib.crc32(row) for row in np.ascontiguousarray(marks)], np.int64)
    odd = sum(cells.odd for _, cells in channels)
    misplaced = int((~good).sum())
    return ReadingRows(times[good], digests, misplaced, columns.left_out, status, channels, odd)


def decode_events(
    raw: bytes, layout: Layout, *, deviation: int | None, fresh: bool = False
) -> EventRows:
    """Return the rows of an event log's buffer; see ``decode_readings``."""
    columns, times, good = _common(raw, layout, deviation, fresh=fresh)
    places = np.flatnonzero(good)
    codes = _codes(columns, layout, places)
    details = _details(columns, layout, places)
    ordinals = _ordinals(times[good])
    digests = [zlib.crc32(repr(row).encode()) for row in zip(codes, ordinals, details, strict=True)]
    return EventRows(
        times[good],
        np.array(digests, np.int64),
        int((~good).sum()),
        columns.left_out,
        codes,
        ordinals,
        details,
    )


def _common(
    raw: bytes, layout: Layout, deviation: int | None, *, fresh: bool
) -> tuple[ProfileColumns, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return a buffer's columns, its times, and which of them can be."""
    clocks = [place for place, column in enumerate(layout.columns) if is_moment(column)]
    wanted = len(layout.columns)
    columns = decode_profile(
        raw, default_deviation=deviation, period=layout.period or None, clocks=clocks, width=wanted
    )
    if columns.left_out and not fresh:
        raise LayoutError(f"{columns.left_out} rows that have not {wanted} columns")
    if layout.newest_first:
        columns = _reversed(columns)
    if not columns.rows:
        return columns, np.empty(0, np.int64), np.empty(0, np.bool_)
    clock = next((i for i, column in enumerate(layout.columns) if is_clock(column)), None)
    if clock is None or columns.columns[clock].dtype.kind != "M":
        raise LayoutError("rows without a clock")
    times = columns.columns[clock].astype(np.int64)  # NaT becomes the least number there is
    return columns, times, (times >= MIN_TIME) & (times <= MAX_TIME)


def _reversed(columns: ProfileColumns) -> ProfileColumns:
    return replace(
        columns,
        columns=tuple(column[::-1] for column in columns.columns),
        statuses=tuple(None if octets is None else octets[::-1] for octets in columns.statuses),
    )


def _channels(
    columns: ProfileColumns, layout: Layout, good: npt.NDArray[np.bool_], *, fresh: bool
) -> tuple[tuple[Column, Cells], ...]:
    found: dict[str, tuple[Column, Cells]] = {}
    for column, values in zip(layout.columns, columns.columns, strict=False):
        if is_reading(column) and column.obis not in found:
            cells = cells_of(values[good])
            if not cells.numeric and not fresh:
                raise LayoutError(f"{column.obis} is not a number")
            found[column.obis] = column, cells
    return tuple(found.values())


def _status(
    columns: ProfileColumns, layout: Layout, good: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return the profile status; without a column of it, what the clock says of itself."""
    for column, values in zip(layout.columns, columns.columns, strict=False):
        if is_status(column) and values.dtype.kind in "iu":
            return (values[good] & 0xFF).astype(np.uint8)
    known = (octets for octets in columns.statuses if octets is not None)
    octets = next(known, np.zeros(len(good), np.uint8))[good]
    invalid = (octets != NO_STATUS) & ((octets & ClockStatus.INVALID) != 0)
    return np.where(invalid, CLOCK_INVALID, 0).astype(np.uint8)


def _codes(
    columns: ProfileColumns, layout: Layout, places: npt.NDArray[np.int64]
) -> tuple[int, ...]:
    for column, values in zip(layout.columns, columns.columns, strict=False):
        if is_event_code(column) and values.dtype.kind in "iu":
            return tuple(min(int(values[place]), _CODE_MOST) for place in places)
    return (0,) * len(places)


def _details(
    columns: ProfileColumns, layout: Layout, places: npt.NDArray[np.int64]
) -> tuple[str | None, ...]:
    """Return what else a log captures, as ``1.0.32.7.0.255=2311``; None if nothing."""
    rest = [
        (column.obis, values)
        for column, values in zip(layout.columns, columns.columns, strict=False)
        if not is_clock(column) and not is_event_code(column)
    ]
    if not rest:
        return (None,) * len(places)
    return tuple(
        " ".join(f"{name}={_shown(values[place])}" for name, values in rest)[:MAX_DETAIL_OCTETS]
        for place in places
    )


def _shown(value: Any) -> str:
    """Return a value in ASCII, so that its octets are its characters."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value).encode("ascii", "replace").decode("ascii")


def _ordinals(times: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Return for each row how many before it have the same time."""
    seen: Counter[int] = Counter()
    ordinals = []
    for time in times.tolist():
        ordinals.append(seen[time])
        seen[time] += 1
    return tuple(ordinals)
