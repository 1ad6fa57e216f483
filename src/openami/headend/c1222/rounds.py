"""When which meter is visited: spread over the period, a few at a time, with pauses after failures.

Times are those of the meters' clock, which a demonstration scales.
"""

from __future__ import annotations

import heapq
import zlib
from dataclasses import dataclass, field
from typing import Final

from openami.core.backoff import backoff

_HASHES: Final = 1 << 32
LOST_AFTER: Final = 3  # failures in a row until a meter is called unreachable
SET_BACK_S: Final = 60.0
"""A clock that shows so much less than before was set back, not corrected."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often meters are visited. Times are in seconds.

    Attributes:
        period: between two visits of one; visits follow its multiples, as intervals end then.
        settle: how long after that the meter has to end its interval.
        spread: over which the meters of a period are spread, each at its own place.
        first: the pause after a failure; after each more twice as long.
        most: the longest pause.
    """

    period: float
    settle: float
    spread: float
    first: float = 30.0
    most: float = 3600.0

    def due(self, meter: str, now: float) -> float:
        """Return when a meter that was visited at ``now`` is due again."""
        own = self.settle + self.spread * zlib.crc32(meter.encode()) / _HASHES
        following = (now - own) // self.period + 1
        return following * self.period + own

    def pause(self, meter: str, failures: int) -> float:
        """Return how long a meter that failed is left alone."""
        jitter = zlib.crc32(meter.encode()) % 100 / 100
        return backoff(failures, first=self.first, most=self.most, jitter=jitter)


@dataclass(slots=True)
class Rounds:
    """Which meters are due, and which are being visited."""

    pace: Pace
    _due: dict[str, float] = field(default_factory=dict)
    _heap: list[tuple[float, str]] = field(default_factory=list)
    _failures: dict[str, int] = field(default_factory=dict)
    _busy: dict[str, float | None] = field(default_factory=dict)
    _seen: float = float("-inf")

    def call(self, meter: str, at: float) -> None:
        """Have a meter visited at a time, if nothing is sooner; after a visit that is under way."""
        if meter in self._busy:
            known = self._busy[meter]
            self._busy[meter] = at if known is None else min(at, known)
            return
        due = self._due.get(meter)
        if due is None or at < due:
            self._put(meter, at)

    def forget(self, meter: str) -> None:
        """Visit a meter no more until it is called."""
        self._due.pop(meter, None)
        self._failures.pop(meter, None)

    def next(self) -> float | None:
        """Return when the next meter is due."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> str | None:
        """Return a meter that is due, which is being visited from now on; None: none is.

        Where the clock was set back, what was due in its future is due that much sooner: else
        nobody would be visited until it is there again.
        """
        if now < self._seen - SET_BACK_S:
            self._move(now - self._seen)
        self._seen = now
        due = self.next()
        if due is None or due > now:
            return None
        _, meter = heapq.heappop(self._heap)
        del self._due[meter]
        self._busy[meter] = None
        return meter

    def came(self, meter: str, now: float, *, again: float | None = None) -> None:
        """Take note of a visit that went well; ``again``: when another one was asked for."""
        self._failures.pop(meter, None)
        due = self.pace.due(meter, now)
        self._after(meter, due if again is None else min(due, again))

    def failed(self, meter: str, now: float) -> int:
        """Take note of a visit that failed; return how many have in a row."""
        failures = self._failures[meter] = self._failures.get(meter, 0) + 1
        self._after(meter, now + self.pace.pause(meter, failures))
        return failures

    def dropped(self, meter: str) -> None:
        """Take note that a meter is not to be visited, until it is called."""
        self._failures.pop(meter, None)
        called = self._busy.pop(meter, None)
        if called is not None:
            self._put(meter, called)

    def _after(self, meter: str, due: float) -> None:
        called = self._busy.pop(meter, None)
        self._put(meter, due if called is None else min(due, called))

    def _put(self, meter: str, at: float) -> None:
        self._due[meter] = at
        heapq.heappush(self._heap, (at, meter))
        if len(self._heap) > 2 * len(self._due) + 64:
            self._order()

    def _move(self, seconds: float) -> None:
        self._due = {meter: due + seconds for meter, due in self._due.items()}
        self._order()

    def _order(self) -> None:
        self._heap = [(due, meter) for meter, due in self._due.items()]
        heapq.heapify(self._heap)
