"""Clocks as values: who needs the time is given one of these.

Times are seconds since 1970-01-01T00:00:00Z (UTC, without leap seconds), as a float where a
moment is meant and as an int where an interval is named. Only ``openami.transport`` reads the
machine's clock.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return seconds since 1970-01-01T00:00:00Z."""
        ...


class ManualClock:
    """A clock that stands still until it is told."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds`` (not negative)."""
        if seconds < 0:
            raise ValueError("a manual clock does not run backwards; use set()")
        self._now += seconds

    def set(self, now: float) -> None:
        """Jump to ``now``, in either direction."""
        self._now = now


class ScaledClock:
    """A clock that runs ``factor`` times as fast as its source, from ``start``.

    Args:
        source: returns seconds of the clock that is to be scaled.
        start: what this clock shows when the source shows ``origin``.
        factor: how many of our seconds pass in one of the source's; more than 0.
        origin: the source's reading at ``start``; its present one if not given.
    """

    def __init__(
        self,
        source: Callable[[], float],
        *,
        start: float,
        factor: float = 1.0,
        origin: float | None = None,
    ) -> None:
        if not (factor > 0 and math.isfinite(factor)):
            raise ValueError("a clock's factor is finite and more than 0")
        self._source = source
        self._start = start
        self.factor = factor
        self._origin = source() if origin is None else origin

    def now(self) -> float:
        return self._start + (self._source() - self._origin) * self.factor


def utc(seconds: float) -> datetime:
    """Return ``seconds`` since 1970-01-01T00:00:00Z as an aware datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def isoformat(seconds: float) -> str:
    """Return ``seconds`` as ISO 8601 in UTC, whole seconds, with a ``Z``."""
    return utc(math.floor(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_utc(text: str) -> float:
    """Return the seconds that an ISO 8601 text names; a text without an offset is in UTC.

    Raises:
        ValueError: the text is not a date or a date and time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone of a name, such as ``Europe/Berlin``.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:  # unknown, a folder, no name at all
        raise ValueError(f"{name[:64]!r} is no time zone") from error
