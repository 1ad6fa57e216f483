"""When a DCU asks its server by itself, so that 120,000 of them do not ask in one second."""

from __future__ import annotations

from typing import Final

JITTER: Final = 0.2
"""How much longer or shorter than said a DCU waits, so that many do not fall into step."""


def first_poll(every: float, chance: float) -> float:
    """Return the seconds from the start of a DCU to its first session.

    The whole interval: what comes back from one power cut is at once spread as it is in the long
    run.

    Args:
        every: seconds between two sessions.
        chance: from 0 to 1.
    """
    return every * chance


def next_poll(every: float, chance: float) -> float:
    """Return the seconds from one session to the next; arguments as of ``first_poll``."""
    return every * (1 - JITTER + 2 * JITTER * chance)
