"""Which intervals should be there and are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

Ints = npt.NDArray[np.integer[Any]]
Longs = npt.NDArray[np.int64]

# One octet each: 64 MB, a month of 15 minutes of 20,000 channels.
_MAX_CELLS: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class Gaps:
    """Runs of missing intervals: of each, its series and its first and last interval's end."""

    series: Longs = field(repr=False)
    first: Longs = field(repr=False)
    last: Longs = field(repr=False)

    def __len__(self) -> int:
        return len(self.series)

    def intervals(self, period: int) -> int:
        """Return how many intervals are missing in all."""
        return int(((self.last - self.first) // period + 1).sum())


def expected_ends(start: int, end: int, period: int) -> range:
    """Return the ends of the intervals in ``start`` < t ≤ ``end``: the multiples of ``period``.

    Raises:
        ValueError: the period is not positive.
    """
    if period <= 0:
        raise ValueError("a period has at least a second")
    return range((start // period + 1) * period, end + 1, period)


def find_gaps(series: Ints, time: Ints, *, wanted: Ints, start: int, end: int, period: int) -> Gaps:
    """Return the runs of intervals in ``start`` < t ≤ ``end`` that a series does not have.

    Args:
        series: of each reading, any integers in any order.
        time: of each reading, its interval's end; times off the period's grid count for nothing.
        wanted: the series that should be complete.
        start: seconds.
        end: seconds.
        period: seconds.
    """
    ends = expected_ends(start, end, period)
    parts = [
        _runs(present, block, ends)
        for present, block in _presence(series, time, wanted=wanted, ends=ends)
    ]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Gaps(*columns) if columns else Gaps(*(np.empty(0, np.int64) for _ in range(3)))


def count_present(
    series: Ints, time: Ints, *, wanted: Ints, start: int, end: int, period: int
) -> Longs:
    """Return for each series of ``wanted`` how many of its expected intervals are there."""
    ends = expected_ends(start, end, period)
    counts = [
        present.sum(axis=1, dtype=np.int64)
        for present, _ in _presence(series, time, wanted=wanted, ends=ends)
    ]
    return np.concatenate(counts) if counts else np.zeros(len(wanted), np.int64)


def _presence(
    series: Ints, time: Ints, *, wanted: Ints, ends: range
) -> Iterator[tuple[npt.NDArray[np.bool_], Ints]]:
    """Yield, for as many wanted series as fit in memory, a row of what is there, and the series."""
    if not len(ends) or not len(wanted):
        return
    order = np.argsort(wanted, kind="stable")
    place = np.searchsorted(wanted, series, sorter=order).clip(max=len(wanted) - 1)
    row = order[place]
    slot, off_grid = np.divmod(np.asarray(time, np.int64) - ends.start, ends.step)
    good = (wanted[row] == series) & (off_grid == 0) & (slot >= 0) & (slot < len(ends))
    row, slot = row[good], slot[good]
    step = max(_MAX_CELLS // len(ends), 1)
    for low in range(0, len(wanted), step):
        block = wanted[low : low + step]
        present = np.zeros((len(block), len(ends)), np.bool_)
        mine = (row >= low) & (row < low + step)
        present[row[mine] - low, slot[mine]] = True
        yield present, block


def _runs(present: npt.NDArray[np.bool_], block: Ints, ends: range) -> tuple[Longs, Longs, Longs]:
    missing = np.zeros((len(block), len(ends) + 2), np.int8)
    missing[:, 1:-1] = ~present
    edges = np.diff(missing, axis=1)
    row, begin = np.nonzero(edges == 1)
    _, past = np.nonzero(edges == -1)
    return (
        np.asarray(block, np.int64)[row],
        ends.start + begin.astype(np.int64) * ends.step,
        ends.start + (past.astype(np.int64) - 1) * ends.step,
    )
