"""Slows down who guesses passwords."""

from __future__ import annotations

from typing import Final, Protocol

from openami.core.backoff import backoff

# A password of LLS often has eight characters: at one guess a minute eight digits stand for a
# century. No pause is longer, since it is one for the client too whose password it is.
FREE_ATTEMPTS: Final = 5
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
# As slow as that are five free guesses in each of these times.
FORGOTTEN_AFTER: Final = 600.0
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

    A client is known by its SAP alone, so a stranger's guesses hold up whoever has the password
    too: by ``longest`` at most after the last of them, and by as much again for every guess that
    comes before the right password does. Who must not be held up uses HLS, whose keys nobody
    guesses: it is never throttled. What was counted dies with the process: five more guesses for
    a power cut.

    Args:
        free: attempts without a pause.
        first: seconds of the first pause.
        longest: seconds of the longest pause.
        forgotten: seconds after a failed attempt from which a client has its free ones again.
    """

    def __init__(
        self,
        *,
        free: int = FREE_ATTEMPTS,
        first: float = FIRST_PAUSE,
        longest: float = LONGEST_PAUSE,
        forgotten: float = FORGOTTEN_AFTER,
    ) -> None:
        self._free = free
        self._first = first
        self._longest = longest
        self._forgotten = forgotten
        self._failures: dict[int, tuple[int, float]] = {}

    def allows(self, client: int, *, now: float) -> bool:
        count, since = self._failures.get(client, (0, 0.0))
        return count < self._free or now >= since + self._pause(count)

    def _forget(self, now: float) -> None:
        for client, (_, since) in list(self._failures.items()):
            if now >= since + self._forgotten:
                del self._failures[client]

    def _pause(self, count: int) -> float:
        return backoff(count - self._free + 1, first=self._first, most=self._longest)

    def failed(self, client: int, *, now: float) -> None:
        self._forget(now)
        if client not in self._failures and len(self._failures) >= MAX_CLIENTS:
            return
        count, _ = self._failures.get(client, (0, 0.0))
        self._failures[client] = count + 1, now

    def succeeded(self, client: int) -> None:
        self._failures.pop(client, None)
