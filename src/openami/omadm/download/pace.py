"""How fast octets may come, and how slowly: on the caller's clock, which only goes on."""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 60.0
"""Of waiting for octets: longer than a radio cell needs to change its mind."""
LEAST_OCTETS: Final = 1024
"""In a window: 17 octets a second, a hundredth of what the slowest modem carries. Who sends less
holds a connection and delivers nothing."""


class Bucket:
    """A token bucket: so many octets a second, and a second's worth at once.

    Args:
        rate: octets a second.
        now: the clock at the start.
    """

    def __init__(self, rate: float, *, now: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._at = now

    def take(self, octets: int, *, now: float) -> float:
        """Take what has come; return the seconds until more may come."""
        passed = max(now - self._at, 0.0)
        self._tokens = min(self._tokens + passed * self._rate, self._rate) - octets
        self._at = now
        return max(-self._tokens / self._rate, 0.0)


class Pulse:
    """Tells when a sender has become too slow; our own pauses do not count."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._octets = 0

    def hear(self, octets: int, waited: float) -> bool:
        """Take that octets came after a wait; False: too few of them in a window."""
        self._waited += waited
        self._octets += octets
        if self._waited < WINDOW_S:
            return True
        enough = self._octets >= LEAST_OCTETS
        self._waited, self._octets = 0.0, 0
        return enough
