"""Slows down who guesses a meter's code, over restarts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from openami.core.backoff import backoff

FREE_ATTEMPTS: Final = 3
"""Wrong codes without a pause: who reads a label may mistake a digit."""

FIRST_PAUSE_S: Final = 30
LONGEST_PAUSE_S: Final = 3600
"""At one guess an hour eight digits stand for ten thousand years; nine guesses fit in the first
hour, and who has the code waits an hour at most."""

FORGOTTEN_S: Final = 7 * 86_400
"""After a week without a wrong code the free ones are there again: three more guesses a week."""


@dataclass(frozen=True, slots=True)
class CodeThrottle:
    """How many wrong codes there were, and when the last was.

    Args:
        failures: in a row.
        at: UTC seconds of the last.
    """

    failures: int = 0
    at: int = 0

    def wait(self, now: float) -> int:
        """Return the seconds until a code is looked at again, 0 if it is now.

        A clock that was set back makes nobody wait for longer than the pause.
        """
        if self.failures < FREE_ATTEMPTS:
            return 0
        pause = int(
            backoff(self.failures - FREE_ATTEMPTS + 1, first=FIRST_PAUSE_S, most=LONGEST_PAUSE_S)
        )
        return min(max(self.at + pause - int(now), 0), pause)

    def failed(self, now: float) -> Self:
        """Return what stands after one more wrong code."""
        forgotten = now >= self.at + FORGOTTEN_S
        return replace(self, failures=1 if forgotten else self.failures + 1, at=int(now))
