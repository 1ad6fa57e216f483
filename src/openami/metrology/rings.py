"""Bounded rings of rows, kept as the octets in which they are served."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from openami.core.errors import LocalProtocolError
from openami.metrology.memory import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class RowRing:
    """The newest ``capacity`` rows of one profile or log, oldest first.

    Args:
        ring: its number in the meter.
        capacity: at least 1.
        last: the sequence number of the newest row ever captured.
    """

    __slots__ = ("_capacity", "_data", "_last", "_ordered", "_ring", "_times")

    def __init__(self, ring: int, capacity: int, *, last: int = 0) -> None:
        self._ring = ring
        self._capacity = capacity
        self._times: list[int] = []
        self._data: list[bytes] = []
        self._last = last
        self._ordered = True

    def __len__(self) -> int:
        return len(self._times)

    def __contains__(self, time: int) -> bool:
        """Tell whether a row with the clock at ``time`` is there."""
        if not self._ordered:
            return time in self._times
        index = bisect_left(self._times, time)
        return index < len(self._times) and self._times[index] == time

    @property
    def capacity(self) -> int:
        """How many rows fit."""
        return self._capacity

    @property
    def first(self) -> int:
        """The sequence number of the oldest row there, or of the next one if there is none."""
        return self._last + 1 - len(self._times)

    @property
    def last(self) -> int:
        """The sequence number of the newest row ever captured."""
        return self._last

    @property
    def times(self) -> Sequence[int]:
        """When the rows were captured, by the meter's clock."""
        return tuple(self._times)

    def append(self, time: int, data: bytes) -> None:
        """Capture a row; the oldest goes if the ring is full."""
        self._take(Row(self._ring, self._last + 1, time, data))

    def restore(self, rows: Iterable[Row]) -> None:
        """Fill an empty ring with ``rows``, which follow each other without a gap.

        Raises:
            LocalProtocolError: they do not.
        """
        for row in rows:
            if self._times and row.sequence != self._last + 1:
                raise LocalProtocolError("rows of a ring are missing", code="memory.gap")
            self._last = row.sequence - 1
            self._take(row)

    def _take(self, row: Row) -> None:
        if self._times and row.time < self._times[-1]:
            self._ordered = False
        self._times.append(row.time)
        self._data.append(row.data)
        self._last = row.sequence
        if len(self._times) > self._capacity:
            del self._times[0], self._data[0]

    def clear(self) -> None:
        """Forget all rows; numbering goes on."""
        self._times.clear()
        self._data.clear()
        self._ordered = True

    def since(self, sequence: int) -> list[Row]:
        """Return the rows numbered above ``sequence``."""
        skip = max(sequence + 1 - self.first, 0)
        return [
            Row(self._ring, self.first + place, self._times[place], self._data[place])
            for place in range(skip, len(self._times))
        ]

    def between(self, start: int, end: int) -> list[bytes]:
        """Return the rows captured from ``start`` to ``end``, both included, in capture order."""
        if not self._ordered:
            pairs = zip(self._times, self._data, strict=True)
            return [data for time, data in pairs if start <= time <= end]
        return self._data[bisect_left(self._times, start) : bisect_right(self._times, end)]

    def entries(self, start: int = 1, end: int = 0) -> list[bytes]:
        """Return rows by their place, counted from 1 at the oldest; ``end`` 0 for the newest."""
        return self._data[max(start - 1, 0) : end or None]
