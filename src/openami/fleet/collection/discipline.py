"""When a concentrator sets a meter's clock, and to what.

The rule, in the order in which it is checked:

1. an offset that the measurement cannot tell from the threshold is left alone;
2. an offset beyond the largest step is not corrected unasked, unless the meter itself calls its
   clock invalid: it is reported, since every interval since then is misplaced;
3. near an interval's boundary, before or after the step, nothing is set: a capture would be lost
   or made twice;
4. a step that would cross a boundary waits until it no longer does, if that comes at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ClockRule:
    """How a line's meters are kept to the concentrator's time.

    Attributes:
        threshold_s: offsets up to this are left alone.
        max_step_s: offsets beyond this are reported and not corrected.
        margin_s: distance from an interval's boundary within which no clock is set.
        period_s: the interval of the load profile; 0: none is known.
    """

    threshold_s: float = 10.0
    max_step_s: float = 3600.0
    margin_s: float = 15.0
    period_s: int = 900

    def __post_init__(self) -> None:
        if not 0 < self.threshold_s <= self.max_step_s:
            raise ValueError("a clock's threshold is more than 0 and at most the largest step")
        if self.margin_s < 0 or (self.period_s and 4 * self.margin_s >= self.period_s):
            raise ValueError("the margin around a boundary is less than a quarter of the interval")


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What one look at a meter's clock says.

    Attributes:
        offset_s: meter minus concentrator, positive: the meter is ahead.
        uncertainty_s: half the round trip, the most by which ``offset_s`` can be wrong.
        round_trip_s: from the question to the answer.
        valid: whether the meter itself trusts its clock.
    """

    offset_s: float
    uncertainty_s: float
    round_trip_s: float
    valid: bool = True


class ClockAction(StrEnum):
    """What to do with a meter's clock."""

    KEEP = "keep"
    SET = "set"
    DEFER = "defer"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class ClockDecision:
    """What to do, and when to look again if it was put off (concentrator's time)."""

    action: ClockAction
    again: float | None = None


def measure(*, sent: float, received: float, shown: float, valid: bool = True) -> ClockReading:
    """Return the offset of a clock that showed ``shown`` somewhere between asking and answer.

    The meter is taken to have read its clock half-way; the concentrator's time is the reference.

    Raises:
        ValueError: the answer came before the question: the reference jumped in between.
    """
    trip = received - sent
    if trip < 0:
        raise ValueError("the answer came before the question")
    return ClockReading(shown - (sent + trip / 2), trip / 2, trip, valid)


def _to_boundary(time: float, period: int) -> float:
    """Return how far ``time`` is from the nearest multiple of ``period``."""
    into = time % period
    return min(into, period - into)


def _quiet(now: float, offset: float, rule: ClockRule) -> bool:
    """Tell whether a step from ``now + offset`` to ``now`` disturbs no interval."""
    before, after = now + offset, now
    if min(_to_boundary(t, rule.period_s) for t in (before, after)) < rule.margin_s:
        return False
    crossing = math.floor(before / rule.period_s) != math.floor(after / rule.period_s)
    # A step nearly as long as an interval crosses a boundary whenever it is made.
    avoidable = abs(offset) <= rule.period_s - 2 * rule.margin_s - 1
    return not (crossing and avoidable)


def _next_quiet(now: float, offset: float, rule: ClockRule) -> float:
    """Return the first moment after ``now`` at which the step disturbs no interval."""
    edges = {0.0, rule.margin_s, -offset, rule.margin_s - offset}
    base = math.floor(now / rule.period_s) * rule.period_s
    moments = sorted(
        base + edge % rule.period_s + lap * rule.period_s for edge in edges for lap in (0, 1)
    )
    # The edges are where quiet stretches begin; half a second inside spares the rounding.
    return next(t + 0.5 for t in moments if t > now - 0.5 and _quiet(t + 0.5, offset, rule))


def decide(reading: ClockReading, *, now: float, rule: ClockRule) -> ClockDecision:
    """Decide what to do with a clock that was measured just now (``now``: concentrator's time)."""
    size = abs(reading.offset_s)
    certain = size - reading.uncertainty_s > rule.threshold_s
    if not certain and reading.valid:
        return ClockDecision(ClockAction.KEEP)
    if size > rule.max_step_s and reading.valid:
        return ClockDecision(ClockAction.REFUSE)
    if rule.period_s and not _quiet(now, reading.offset_s, rule):
        return ClockDecision(ClockAction.DEFER, _next_quiet(now, reading.offset_s, rule))
    return ClockDecision(ClockAction.SET)
