"""How long it will take, from how fast it has gone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from openami.fleet.campaigns.windows import after, open_seconds

if TYPE_CHECKING:
    from datetime import tzinfo

    from openami.fleet.campaigns.windows import Windows

MAX_SAMPLES: Final = 60
SAMPLE_S: Final = 60.0
"""One sample a minute: the rate is that of the last hour in which it was open."""


class Pace:
    """The rate at which a number grows while windows are open."""

    def __init__(self, windows: Windows, tz: tzinfo) -> None:
        self._windows, self._tz = windows, tz
        self._samples: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)
        self._last: float | None = None

    def note(self, now: float, done: int) -> None:
        """Take note of how much is done at ``now``; more often than needed does no harm."""
        if self._last is None:
            self._samples.append((0.0, done))
            self._last = now
        elif now >= self._last + SAMPLE_S:
            opened = open_seconds(self._windows, self._last, now, self._tz)
            self._samples.append((self._samples[-1][0] + opened, done))
            self._last = now

    def rate(self) -> float | None:
        """Return the rate a second of open time; None: it is not known, or nothing moves."""
        if not self._samples:
            return None
        (begin, before), (end, done) = self._samples[0], self._samples[-1]
        return (done - before) / (end - begin) if end > begin and done > before else None

    def ends(self, now: float, left: int) -> float | None:
        """Return when so much more will be done; None: nobody knows."""
        if left <= 0:
            return now
        rate = self.rate()
        return None if rate is None else after(self._windows, now, left / rate, self._tz)
