"""Series: small numbers for what a meter measures, kept in memory and in the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Longs = npt.NDArray[np.int64]

SERIES_SCHEMA: Final = pa.schema(
    [
        ("series", pa.int32()),
        ("point", pa.int32()),
        ("meter", pa.utf8()),
        ("profile", pa.utf8()),
        ("channel", pa.utf8()),
        ("scaler", pa.int8()),
        ("unit", pa.uint8()),
    ]
)

# A table of this many possible combinations is filled rather than sorted for.
_DENSE: Final = 4


class Series(NamedTuple):
    """What one series measures, and how."""

    meter: str
    profile: str
    channel: str
    scaler: int
    unit: int


class SeriesIndex:
    """Every series of the lake; numbers count up from 0 without gaps.

    One thread adds, any may look: a series is complete before it can be found.
    """

    def __init__(self) -> None:
        self.entries: list[Series] = []
        self._points: list[int] = []
        self._points_array = np.empty(0, np.int64)
        self._number: dict[Series, int] = {}
        self._siblings: dict[tuple[str, str, str], list[int]] = {}
        self._of_meter: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def points(self) -> Longs:
        """The point of each series."""
        if len(self._points_array) != len(self._points):
            self._points_array = np.array(self._points, np.int64)
        return self._points_array

    @property
    def meters(self) -> Sequence[str]:
        """Every meter that has a series."""
        return tuple(self._of_meter)

    def number(self, entry: Series) -> int:
        """Return the number of a series, giving it one if it has none."""
        known = self._number.get(entry)
        if known is not None:
            return known
        number = len(self.entries)
        siblings = self._siblings.setdefault(entry[:3], [])
        siblings.append(number)
        self.entries.append(entry)
        self._points.append(siblings[0])
        self._number[entry] = number
        self._of_meter.setdefault(entry.meter, []).append(number)
        return number

    def siblings(self, point: int) -> Sequence[int]:
        """Return every series of a point."""
        return self._siblings[self.entries[point][:3]]

    def select(
        self, meters: Iterable[str], *, channels: Sequence[str] = (), profile: str | None = None
    ) -> list[int]:
        """Return the series of meters, of some channels and one profile if these are given."""
        return [
            number
            for meter in meters
            for number in self._of_meter.get(meter, ())
            if (not channels or self.entries[number].channel in channels)
            and profile in (None, self.entries[number].profile)
        ]

    def table(self, start: int) -> pa.Table:
        """Return the series from number ``start`` on, in ``SERIES_SCHEMA``."""
        numbers = range(start, len(self.entries))
        names = list(zip(*self.entries[start:], strict=True)) or [()] * 5
        columns: list[Any] = [numbers, self._points[start:], *names]
        return pa.Table.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, SERIES_SCHEMA, strict=True)],
            schema=SERIES_SCHEMA,
        )

    def load(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Take what the lake holds: ``SERIES_SCHEMA`` without the first two columns, in order."""
        for row in rows:
            self.number(Series(*row))

    def encode(self, table: pa.Table) -> Longs:
        """Return the series of each row of a table of readings, numbering those that are new."""
        if not table.num_rows:
            return np.empty(0, np.int64)
        coded = [_coded(table[name]) for name in ("meter", "profile", "channel")]
        indices, names = zip(*coded, strict=True)
        sizes = [len(part) for part in names]
        code = (indices[0].astype(np.int64) * sizes[1] + indices[1]) * sizes[2] + indices[2]
        scaler = _numpy(table["scaler"]).astype(np.int64)
        unit = _numpy(table["unit"]).astype(np.int64)
        used, place = _distinct(code, (scaler + 128) * 256 + unit, size=int(np.prod(sizes)))
        numbers = np.empty(len(used), np.int64)
        for row, (what, how) in enumerate(used.tolist()):
            rest, channel = divmod(what, sizes[2])
            meter, profile = divmod(rest, sizes[1])
            entry = Series(
                names[0][meter], names[1][profile], names[2][channel], how // 256 - 128, how % 256
            )
            numbers[row] = self.number(entry)
        return numbers[place]


def _distinct(what: Longs, how: Longs, *, size: int) -> tuple[Longs, Longs]:
    """Return the distinct (what, how), and for each row which of them it is."""
    if size <= _DENSE * len(what) + 4096:
        last = np.full(size, -1, np.int64)
        last[what] = how
        if bool((last[what] == how).all()):  # no channel changes its scaler half-way: nearly always
            used = np.flatnonzero(last >= 0)
            place = np.empty(size, np.int64)
            place[used] = np.arange(len(used))
            return np.stack([used, last[used]], axis=1), place[what]
    both, place = np.unique(what * 65536 + how, return_inverse=True)
    return np.stack(np.divmod(both, 65536), axis=1), place


def _coded(column: pa.ChunkedArray) -> tuple[npt.NDArray[Any], list[str]]:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return array.indices.to_numpy(), array.dictionary.to_pylist()


def _numpy(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    values: npt.NDArray[Any] = array.to_numpy()
    return values
