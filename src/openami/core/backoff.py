"""How long to wait after failures in a row."""

from __future__ import annotations

from typing import Final

# 2 ** 40 of any delay is beyond every bound; a larger exponent would only overflow.
_EXPONENT_MAX: Final = 40


def backoff(failures: int, *, first: float, most: float, jitter: float = 0.0) -> float:
    """Return how long to wait after ``failures`` in a row (at least 1).

    Doubles from ``first`` to ``most``; ``jitter`` (0 to 1) takes off up to a half, so that what
    failed together does not come back together.
    """
    whole = min(first * 2.0 ** min(failures - 1, _EXPONENT_MAX), most)
    return whole * (1 - jitter / 2)
