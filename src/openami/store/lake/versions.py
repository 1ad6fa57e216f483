"""Which rows of a commit are new, which repeat what is there, and which supersede it.

A key is a point and a time in one integer. Of the versions of a key, one that says the same as
the one before it is dropped, and every one but the last is superseded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]

# Times are below 2**32 until 2106, and validated to be; points are 31 bits.
_TIME_BITS: Final = 32


def key_of(point: Longs, time: Longs) -> Longs:
    """Return one integer for each point and time, in the order of points, then times."""
    return (point << _TIME_BITS) | time


def split(key: Longs) -> tuple[Longs, Longs]:
    """Return the points and the times of keys."""
    return key >> _TIME_BITS, key & ((1 << _TIME_BITS) - 1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of rows; all have the same length."""

    key: Longs = field(repr=False)
    series: Longs = field(repr=False)
    value: Longs = field(repr=False)
    status: npt.NDArray[np.uint8] = field(repr=False)
    version: Longs = field(repr=False)

    def __len__(self) -> int:
        return len(self.key)

    def take(self, which: npt.NDArray[Any]) -> Rows:
        """Return some rows: by a mask, or by their places."""
        return Rows(
            self.key[which],
            self.series[which],
            self.value[which],
            self.status[which],
            self.version[which],
        )

    @classmethod
    def join(cls, parts: list[Rows]) -> Rows:
        """Return the rows of all parts, one after another."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.key for part in parts] or [np.empty(0, np.int64)]),
            np.concatenate([part.series for part in parts] or [np.empty(0, np.int64)]),
            np.concatenate([part.value for part in parts] or [np.empty(0, np.int64)]),
            np.concatenate([part.status for part in parts] or [np.empty(0, np.uint8)]),
            np.concatenate([part.version for part in parts] or [np.empty(0, np.int64)]),
        )


class Numbered(NamedTuple):
    """The rows of a batch by key, and how many versions they span."""

    rows: Rows
    span: int


def number_versions(rows: Rows, first: int) -> Numbered:
    """Sort a batch's rows by key and give them versions from ``first`` on.

    A key that a batch has several times (a meter whose clock was set back) gets as many versions,
    in the order of the rows.
    """
    key = rows.key
    if bool((key[1:] > key[:-1]).all()):
        return Numbered(_with_version(rows, np.full(len(rows), first, np.int64)), 1)
    rows = rows.take(np.argsort(key, kind="stable"))
    place = np.arange(len(rows))
    begins = np.concatenate([[True], rows.key[1:] != rows.key[:-1]])
    nth = place - np.maximum.accumulate(np.where(begins, place, 0))
    return Numbered(_with_version(rows, first + nth), int(nth.max()) + 1)


def _with_version(rows: Rows, version: Longs) -> Rows:
    return Rows(rows.key, rows.series, rows.value, rows.status, version)


def shared_keys(key: Longs) -> npt.NDArray[np.bool_]:
    """Return which rows share their key with another."""
    shared = np.zeros(len(key), np.bool_)
    if bool((key[1:] > key[:-1]).all()):
        return shared
    ordered = np.sort(key)  # several times as fast as sorting places
    if not bool((ordered[1:] == ordered[:-1]).any()):
        return shared
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    shared[order[1:]] |= same
    shared[order[:-1]] |= same
    return shared


class Resolved(NamedTuple):
    """Which of the new rows to keep (a mask), and the versions that are not the latest any more."""

    keep: npt.NDArray[np.bool_]
    superseded: Rows


def resolve(new: Rows, known: Rows) -> Resolved:
    """Compare new rows with the latest known versions of the same keys.

    Args:
        new: rows whose versions are higher than any known one.
        known: at most one row of each key.
    """
    both = Rows.join([known, new])
    order = np.lexsort((both.version, both.key))
    rows = both.take(order)
    follows = np.zeros(len(rows), np.bool_)
    follows[1:] = rows.key[1:] == rows.key[:-1]
    repeats = np.zeros(len(rows), np.bool_)
    repeats[1:] = (
        follows[1:]
        & (rows.series[1:] == rows.series[:-1])
        & (rows.value[1:] == rows.value[:-1])
        & (rows.status[1:] == rows.status[:-1])
    )
    repeats &= order >= len(known)
    kept = rows.take(~repeats)
    superseded = np.zeros(len(kept), np.bool_)
    superseded[:-1] = kept.key[1:] == kept.key[:-1]
    keep = np.empty(len(both), np.bool_)
    keep[order] = ~repeats
    return Resolved(keep[len(known) :], kept.take(superseded))
