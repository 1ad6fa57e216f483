"""Power by five seconds, out of pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from openami.dlms.home import Live
    from openami.store.home import Longs, Points

STEP_S: Final = 5
HELD_S: Final = 3600
"""Seconds of the meter's clock between two pushes of one link, over which power counts as the
same: a gateway reads every half minute, and a demo's clock is fast."""
PENDING: Final = 86_400 // STEP_S
"""Points that wait for room on a disk: a day."""


class PowerPoints:
    """Means of pushes by slots of ``STEP_S``; what is finished waits to be kept."""

    def __init__(self) -> None:
        self._pending: dict[int, int] = {}
        self._last: tuple[int, int] | None = None
        self._slot, self._sum, self._count = 0, 0, 0

    def saw(self, live: Live) -> None:
        """Take a push."""
        watts, slot = round(live.active / 1000), live.at // STEP_S * STEP_S
        if self._count and slot != self._slot:
            self._finish()
            self._hold(slot)
            self._sum, self._count = 0, 0
        self._slot, self._last = slot, (live.at, watts)
        self._sum, self._count = self._sum + watts, self._count + 1

    def lost(self) -> None:
        """Say that nothing is known of the time until the next push."""
        if self._count:
            self._finish()
        self._last, self._sum, self._count = None, 0, 0

    def pending(self) -> list[tuple[int, int]]:
        """Return the finished points that have not been kept."""
        return list(self._pending.items())

    def kept(self, points: list[tuple[int, int]]) -> None:
        """Say which points are kept: they wait no more."""
        for start, watts in points:
            if self._pending.get(start) == watts:
                del self._pending[start]

    def shown(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return what is not kept yet of a span, the point that is not finished among it."""
        now = [(self._slot, self._mean())] if self._count else []
        return [each for each in (*self._pending.items(), *now) if start <= each[0] < end]

    def _mean(self) -> int:
        return round(self._sum / self._count)

    def _finish(self) -> None:
        self._put(self._slot, self._mean())

    def _hold(self, slot: int) -> None:
        if self._last is None or not 0 < slot - self._slot <= HELD_S:
            return
        for start in range(self._slot + STEP_S, slot, STEP_S):
            self._put(start, self._last[1])

    def _put(self, start: int, watts: int) -> None:
        self._pending[start] = watts
        if len(self._pending) > PENDING:
            del self._pending[next(iter(self._pending))]


def slots(start: int, end: int) -> tuple[int, int]:
    """Return the first slot of a span, and how many there are."""
    first = start // STEP_S * STEP_S
    return first, max(0, -(-(end - first) // STEP_S))


def spread(
    first: int, count: int, kept: Points, fresh: list[tuple[int, int]]
) -> tuple[list[int | None], list[list[int]]]:
    """Return the watts of each slot, None where they are not known, and the spans filled later."""
    watts: Longs = np.zeros(count, np.int64)
    known, filled = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    places = (kept.starts - first) // STEP_S
    watts[places], known[places], filled[places] = kept.watts, True, kept.filled != 0
    for start, value in fresh:
        place = (start - first) // STEP_S
        watts[place], known[place], filled[place] = value, True, False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], filled, [False]]).astype(np.int8)))
    spans = [[first + STEP_S * at for at in pair] for pair in edges.reshape(-1, 2).tolist()]
    values = [
        value if there else None
        for value, there in zip(watts.tolist(), known.tolist(), strict=True)
    ]
    return values, spans


def filling(
    ends: Longs, imported: Longs, exported: Longs, period: int, since: int
) -> list[tuple[int, int]]:
    """Return the points of intervals, each with the interval's mean, from ``since`` on."""
    return [
        (start, round((wh - out) * 3600 / period))
        for end, wh, out in zip(ends.tolist(), imported.tolist(), exported.tolist(), strict=True)
        if end > since
        for start in range(end - period, end, STEP_S)
    ]
