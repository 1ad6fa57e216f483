"""When a kind of data is due from a meter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

# A clock that shows less than the time of the last try by more than this has been set back;
# less than this is the slewing of a disciplined clock.
JUMP_S = 2.0


class Cadence(StrEnum):
    """What names the boundaries after which new data stand ready."""

    PERIOD = "period"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Plan:
    """How often one subject is read from every meter of a line.

    Attributes:
        subject: the logical name: of a profile, of an event log, of the clock.
        cadence: multiples of ``period_s`` (UTC), local midnights, or local firsts of the month.
        period_s: with ``Cadence.PERIOD``.
        settle_s: how long after a boundary the meter is given to make its entry.
        spread_s: meters are spread over this time by their jitter, so that a street's meters do
            not all fall due at once.
        repeat_s: if the boundary's entry had not come, the next try is this much later, and each
            one after that as late again as the last was: a profile that has no entry yet, such as
            the first month's, costs few visits.
        chases: whether an entry is expected at every boundary (an event log makes none).
    """

    subject: str
    cadence: Cadence = Cadence.PERIOD
    period_s: int = 900
    settle_s: float = 10.0
    spread_s: float = 60.0
    repeat_s: float = 600.0
    chases: bool = True

    def __post_init__(self) -> None:
        if self.period_s < 1 or self.settle_s < 0 or self.spread_s < 0 or self.repeat_s <= 0:
            raise ValueError("a plan's periods are positive, its delays not negative")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one meter was read for one plan.

    Attributes:
        cursor: time of the last entry that is kept, as the meter named it.
        tried: when the last successful visit was, by the concentrator's clock.
        again: when another visit was asked for, by the concentrator's clock: some was left, or
            something was put off.
    """

    cursor: int | None = None
    tried: float | None = None
    again: float | None = None


@dataclass(frozen=True, slots=True)
class Edges:
    """The boundaries around a moment: the latest at or before it, its neighbours."""

    previous: float
    current: float
    following: float


def _local(moment: float, tz: tzinfo) -> datetime:
    return datetime.fromtimestamp(moment, tz).replace(
        hour=0, minute=0, second=0, microsecond=0, fold=0
    )


def _timestamp(naive: datetime, tz: tzinfo) -> float:
    return naive.replace(tzinfo=tz).timestamp()


def _days(moment: float, tz: tzinfo) -> Edges:
    day = _local(moment, tz).replace(tzinfo=None)
    one = timedelta(days=1)
    return Edges(_timestamp(day - one, tz), _timestamp(day, tz), _timestamp(day + one, tz))


def _months(moment: float, tz: tzinfo) -> Edges:
    first = _local(moment, tz).replace(tzinfo=None, day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    return Edges(*(_timestamp(day, tz) for day in (before, first, after)))


def edges(plan: Plan, wall: float, tz: tzinfo = UTC) -> Edges:
    """Return the boundaries of ``plan`` around ``wall``; ``tz`` says where midnight is."""
    match plan.cadence:
        case Cadence.DAY:
            return _days(wall, tz)
        case Cadence.MONTH:
            return _months(wall, tz)
        case Cadence.PERIOD:
            current = math.floor(wall / plan.period_s) * plan.period_s
            return Edges(current - plan.period_s, current, current + plan.period_s)


def due_at(plan: Plan, progress: Progress, *, wall: float, around: Edges, jitter: float) -> float:
    """Return when the subject is (or was) due; 0 if it was never read.

    Args:
        plan: what and how often.
        progress: how far the meter was read.
        wall: the concentrator's time.
        around: ``edges(plan, wall, tz)``, the same for all meters of a line.
        jitter: the meter's own place in the spread, 0 to 1.
    """
    tried = progress.tried
    if tried is None or tried > wall + JUMP_S:  # the concentrator's clock was set back
        return 0.0
    lag = plan.settle_s + jitter * plan.spread_s
    # An entry ahead of the visit that brought it (the meter's clock is fast) reaches no further.
    known = plan.chases and progress.cursor is not None
    reached = min(progress.cursor or 0, tried) if known else -math.inf
    early = around.current + lag > wall and reached < around.current
    ripe, following = (
        (around.previous, around.current) if early else (around.current, around.following)
    )
    if reached >= ripe:
        due = following + lag
    elif tried < ripe + lag:
        due = ripe + lag
    else:
        due = following + lag
        if plan.chases:
            due = min(tried + max(plan.repeat_s, tried - ripe - lag), due)
    return due if progress.again is None else min(due, progress.again)
