"""Slows down who guesses passwords."""

from __future__ import annotations

from typing import Final, Protocol

# A password of LLS often has eight characters: at one guess a minute none is found.
FREE_ATTEMPTS: Final = 5
FIRST_PAUSE: Final = 10.0
LONGEST_PAUSE: Final = 3600.0
# Clients have their own associations, of which a meter has a handful.
MAX_CLIENTS: Final = 256


class Throttle(Protocol):
    """Decides whether a client may try to authenticate itself now."""

    def allows(self, client: int, *, now: float) -> bool:
        """Say whether ``client`` (its SAP) may try."""
        ...

    def failed(self, client: int, *, now: float) -> None:
        """Take note of a failed attempt."""

    def succeeded(self, client: int) -> None:
        """Take note that the client has authenticated itself."""


class FailureThrottle:
    """After some failed attempts of a client there is a pause, twice as long each time.

    Args:
        free: attempts without a pause.
        first: seconds of the first pause.
        longest: seconds of the longest pause.
    """

    def __init__(
        self,
        *,
        free: int = FREE_ATTEMPTS,
        first: float = FIRST_PAUSE,
        longest: float = LONGEST_PAUSE,
    ) -> None:
        self._free = free
        self._first = first
        self._longest = longest
        self._failures: dict[int, tuple[int, float]] = {}

    def allows(self, client: int, *, now: float) -> bool:
        count, since = self._failures.get(client, (0, 0.0))
        return count < self._free or now >= since + self._pause(count)

    def _pause(self, count: int) -> float:
        return min(self._longest, self._first * 2.0 ** min(count - self._free, 32))

    def failed(self, client: int, *, now: float) -> None:
        if client not in self._failures and len(self._failures) >= MAX_CLIENTS:
            return
        count, _ = self._failures.get(client, (0, 0.0))
        self._failures[client] = count + 1, now

    def succeeded(self, client: int) -> None:
        self._failures.pop(client, None)
