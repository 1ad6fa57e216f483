"""Which part of a profile to ask for, and what to make of what came.

Every read begins at the cursor itself, not behind it: the entry that is already known comes once
more and shows whether the meter still stands where it was left. Twice the same time there, or
other values, or a meter's clock before the cursor, mean that the clock was set back; the read
then begins again as far back as new entries can lie.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Entries whose fingerprints are remembered for each meter and profile: five days of quarter-hours,
# longer than any clock is set back by more than a mistake.
KNOWN_MAX = 512


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A stretch of time, both ends included."""

    start: int
    end: int


@dataclass(slots=True)
class Known:
    """The fingerprints of the entries that came last, oldest forgotten first."""

    _seen: dict[tuple[int, int], None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, entry: tuple[int, int]) -> bool:
        return entry in self._seen

    def add(self, time: int, digest: int) -> None:
        """Remember the entry of ``time``."""
        self._seen[time, digest] = None
        if len(self._seen) > KNOWN_MAX:
            del self._seen[next(iter(self._seen))]

    def at(self, time: int) -> set[int]:
        """Return the fingerprints of the entries of ``time``."""
        return {digest for moment, digest in self._seen if moment == time}


def start_of(cursor: int, *, shown: float, elapsed: float, period: int) -> int:
    """Return where the next read begins.

    Args:
        cursor: time of the last entry that is kept.
        shown: what the meter's clock shows.
        elapsed: seconds since the last visit: a clock that was set back since then has made no
            entry earlier than this long ago.
        period: the profile's capture period, 0 if it has none.
    """
    if shown >= cursor:
        return cursor
    return max(0, int(shown - elapsed) - max(period, 1))


def next_window(start: int, *, horizon: float, span: int) -> Window:
    """Return the window at ``start``, ``span`` long or up to ``horizon``, whichever is less."""
    return Window(start, max(start, min(start + span, int(horizon))))


def gaps(times: Sequence[int], *, period: int) -> list[Window]:
    """Return the stretches between ascending ``times`` in which captures are missing.

    A capture is expected at every multiple of ``period``; entries at other times (a power failure,
    a clock that was set) fill no place.
    """
    if period < 1:
        return []
    missing: list[Window] = []
    for before, after in itertools.pairwise(times):
        first = (before // period + 1) * period
        last = (after - 1) // period * period
        if first <= last:
            missing.append(Window(first, last))
    return missing


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is new in a buffer.

    Attributes:
        keep: places of the entries that are new, in the buffer's order.
        repeated: how many were known already, beside the one at the cursor.
        cursor: time of the last entry of the buffer, which is where the meter stands.
        set_back: the entry at the cursor came with other values or more than once.
    """

    keep: tuple[int, ...]
    repeated: int
    cursor: int | None
    set_back: bool


def sift(
    times: Sequence[int],
    digests: Sequence[int],
    *,
    cursor: int | None,
    known: Known,
    again: bool = False,
    settled: Window | None = None,
) -> Sifted:
    """Tell the new entries of a buffer from those that came before.

    Args:
        times: of the entries, in the buffer's order.
        digests: a fingerprint of each entry.
        cursor: time of the last entry that is kept.
        known: what came before; not changed.
        again: the read began before the cursor on purpose, so that earlier times may be new.
        settled: a stretch in which every entry was kept before.
    """
    keep: list[int] = []
    seen: set[tuple[int, int]] = set()
    at_cursor: list[int] = []
    for place, entry in enumerate(zip(times, digests, strict=True)):
        if entry[0] == cursor:
            at_cursor.append(entry[1])
        old = entry in known or entry in seen
        if settled is not None and settled.start <= entry[0] <= settled.end:
            old = True
        if not old and (again or cursor is None or entry[0] > cursor):
            keep.append(place)
        seen.add(entry)
    expected = known.at(cursor) if cursor is not None else set()
    strange = bool(expected) and any(digest not in expected for digest in at_cursor)
    return Sifted(
        keep=tuple(keep),
        repeated=len(times) - len(keep) - min(len(at_cursor), 1),
        cursor=times[-1] if times else cursor,
        set_back=not again and (strange or len(set(at_cursor)) > 1),
    )


def settled_after(
    cursor: int | None, highest: int | None, *, elapsed: float, period: int
) -> Window | None:
    """Return where nothing can be new although it is behind the cursor.

    After a clock was set back the cursor is below the ``highest`` it ever was. What the meter has
    captured since the last visit, ``elapsed`` seconds ago, is soon after the cursor; what lies
    between that and the highest is from before.
    """
    if cursor is None or highest is None:
        return None
    start = cursor + int(elapsed) + max(period, 1) + 1
    return Window(start, highest) if start <= highest else None


def rewound(cursor: int, *, elapsed: float, period: int) -> int:
    """Return where to begin again after the entry at ``cursor`` showed that the clock went back."""
    return max(0, cursor - int(elapsed) - max(period, 1))
