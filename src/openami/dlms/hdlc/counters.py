"""What a link has seen, for reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """Frames and faults of one end of a line since it was made.

    Args:
        received: good frames, also those for others.
        sent: frames given to the line.
        errors: octets that were no frame, wrong checks and breaches of the standard.
        repeats: frames and polls sent again because an answer was missing.
    """

    received: int = 0
    sent: int = 0
    errors: int = 0
    repeats: int = 0
