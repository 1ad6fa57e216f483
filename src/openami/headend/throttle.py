"""How often something may be got wrong before it has to wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from openami.core.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from openami.core.clock import Clock

REMEMBERED: Final = 10_000  # keys; the least recent is forgotten, which a flood of names can do


class Throttle:
    """Counts failures by key in a sliding window; memory only, since a window is minutes."""

    def __init__(self, *, window_s: float, clock: Clock) -> None:
        self._window = window_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: Recent[Hashable, deque[float]] = Recent(REMEMBERED)

    def wait(self, limits: Mapping[Hashable, int]) -> float:
        """Return the seconds until every key has failed less often than its limit; 0 for none."""
        now = self._clock.now()
        with self._lock:
            return max((self._left(key, limit, now) for key, limit in limits.items()), default=0.0)

    def fail(self, limits: Mapping[Hashable, int]) -> None:
        """Count a failure of every key."""
        now = self._clock.now()
        with self._lock:
            for key, limit in limits.items():
                failures = self._failures.get(key, deque(maxlen=limit))
                failures.append(now)
                self._failures[key] = failures

    def clear(self, key: Hashable) -> None:
        """Forget the failures of a key."""
        with self._lock:
            self._failures.pop(key, None)

    def _left(self, key: Hashable, limit: int, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None or len(failures) < limit:
            return 0.0
        return max(0.0, failures[0] + self._window - now)
