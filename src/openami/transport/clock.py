"""The machine's clocks, and a faster one that several processes share."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Self

from openami.core.clock import Clock, ScaledClock, isoformat, parse_utc
from openami.core.errors import ConfigError


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> float:
        return time.time()


def monotonic() -> float:
    """Return seconds that never run backwards, for timers: not a time of day."""
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """What several processes must agree on to share one scaled clock.

    Attributes:
        start: what the clock shows at ``origin``, in seconds UTC.
        factor: how many of its seconds pass in one real second.
        origin: the wall time at which it showed ``start``, in seconds UTC.
    """

    start: float
    factor: float
    origin: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.start, self.factor, self.origin))) or self.factor <= 0:
            raise ConfigError(
                "a clock's start, factor and origin are finite and its factor is more than 0",
                code="config.clock",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``START,FACTOR[,ORIGIN]``: times in ISO 8601 or in seconds, origin now if left out.

        Raises:
            ConfigError: the text is something else.
        """
        try:
            start, factor, *rest = text.split(",", 2)
            origin = _moment(rest[0]) if rest else time.time()
            return cls(_moment(start), float(factor), origin)
        except (ValueError, OverflowError) as exc:
            raise ConfigError(
                f"{text!r} is not a clock: {exc}",
                hint="START,FACTOR[,ORIGIN], as in 2024-07-01T00:00:00Z,600",
                code="config.clock",
            ) from exc

    def __str__(self) -> str:
        whole = self.start == math.floor(self.start)
        start = isoformat(self.start) if whole else repr(self.start)
        return f"{start},{self.factor!r},{self.origin!r}"

    def clock(self) -> ScaledClock:
        """Return the clock; every process that builds it from the same settings sees the same."""
        return ScaledClock(time.time, start=self.start, factor=self.factor, origin=self.origin)


def make_clock(settings: ClockSettings | None) -> Clock:
    """Return the clock of ``settings``, or the machine's."""
    return SystemClock() if settings is None else settings.clock()


def speed_of(clock: Clock) -> float:
    """Return how many of ``clock``'s seconds pass in a real one."""
    return clock.factor if isinstance(clock, ScaledClock) else 1.0


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return parse_utc(text.strip())
