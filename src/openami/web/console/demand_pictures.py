"""The pictures of demand response: what runs today and tomorrow, and what was used in an event."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from openami.core.clock import utc
from openami.fleet.demand.machine import OVER, EventState
from openami.web.console.filters import counted, energy, watt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from zoneinfo import ZoneInfo

    from openami.fleet.demand.records import EventRecord
    from openami.headend.demand.results import Course

DAYS: Final = 2  # of the picture: today and tomorrow
HOURS: Final = 6  # between two marks of its axis
LANES: Final = 20  # of the picture; the list below has all
HOUR: Final = 3600
S = EventState


# --- today and tomorrow --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lane:
    """An event in the picture of two days, in percent of its width."""

    record: EventRecord
    tone: str
    start: float
    share: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of the picture's axis; ``anchor`` is where its words stand."""

    at: float
    words: str
    day: bool
    anchor: str


@dataclass(frozen=True, slots=True)
class TwoDays:
    """What runs today and tomorrow."""

    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    now: float
    more: int


def two_days(records: Iterable[EventRecord], now: float, zone: ZoneInfo) -> TwoDays:
    """Return the picture of today and tomorrow, by local days."""
    midnight = utc(now).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    ends = midnight + timedelta(days=DAYS)
    low, high = midnight.timestamp(), ends.timestamp()

    def place(at: float) -> float:
        return 100 * min(1.0, max(0.0, (at - low) / (high - low)))

    shown = [
        record for record in records
        if record.state is not S.DRAFT and record.event.start < high and _over(record) > low
    ]  # fmt: skip
    shown.sort(key=lambda record: (record.event.start, record.key))
    lanes = [
        Lane(
            record,
            _tone(record),
            place(record.event.start),
            max(0.4, place(_over(record)) - place(record.event.start)),
        )
        for record in shown[:LANES]
    ]
    return TwoDays(
        tuple(lanes), tuple(_marks(midnight, place)), place(now), max(0, len(shown) - LANES)
    )


def _over(record: EventRecord) -> float:
    if record.state is S.CANCELLED and record.ended is not None:
        return max(record.ended, record.event.start)
    return record.event.over


def _tone(record: EventRecord) -> str:
    if record.state in OVER:
        return "over"
    return record.event.kind.value


def _marks(midnight: datetime, place: Callable[[float], float]) -> Iterable[Mark]:
    for step in range(0, 24 * DAYS + 1, HOURS):
        # By the clock on the wall: a day may have 23 hours.
        local = (midnight.replace(tzinfo=None) + timedelta(hours=step)).replace(
            tzinfo=midnight.tzinfo
        )
        at = place(local.timestamp())
        words = f"{local:%m-%d}" if not step % 24 else f"{local:%H:%M}"
        anchor = "start" if not step else "end" if step == 24 * DAYS else "middle"
        yield Mark(at, words, not step % 24, anchor)


# --- what it brought -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """An interval of the picture of what was used, in percent; heights are from above.

    ``saved`` is the height of what was saved over what was used, ``over`` of what was used more.
    """

    x: float
    width: float
    used: float
    base: float | None
    saved: float
    over: float


@dataclass(frozen=True, slots=True)
class Level:
    """A line of the picture, and the power that it stands for."""

    y: float
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """An interval as a line of the table, in watts."""

    at: float
    used: str
    base: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Mean power of meters together, interval by interval, beside their baseline."""

    columns: tuple[Column, ...]
    levels: tuple[Level, ...]
    begins: float
    start: float
    first: float
    end: float
    rows: tuple[Row, ...]
    meters: int
    words: str


BEFORE_S: Final = 2 * HOUR  # of what was used before the event
TOP: Final = 6.0
BOTTOM: Final = 88.0  # percent from above: below it stand times


def picture(course: Course, start: int) -> Picture | None:
    """Return the picture of what meters used; None: there is nothing to see.

    Args:
        course: what was used, hours before the event and in it.
        start: when the event began.
    """
    if not course.meters or not course.used:
        return None
    scale = HOUR / course.step_s  # Wh of an interval to W
    first = min(course.first, BEFORE_S // course.step_s)
    used = [wh * scale for wh in course.used[course.first - first :]]
    base = [wh * scale for wh in course.baseline]
    top = _nice(max((*used, *base, 1.0)))
    height = BOTTOM - TOP

    def y(power: float) -> float:
        return BOTTOM - height * max(0.0, power) / top

    width = 100 / len(used)
    columns = []
    for place, power in enumerate(used):
        own = base[place - first] if place >= first else None
        low = power if own is None else min(power, own)
        columns.append(
            Column(
                place * width, width, y(low), None if own is None else y(own),
                0.0 if own is None else max(0.0, y(power) - y(own)),
                0.0 if own is None else max(0.0, y(own) - y(power)),
            )
        )  # fmt: skip
    begin = -(-start // course.step_s) * course.step_s - first * course.step_s
    rows = [
        Row(
            begin + (place + 1) * course.step_s,
            watt(power),
            watt(base[place - first]) if place >= first else "",
        )
        for place, power in enumerate(used)
    ]
    saved = sum(course.baseline) - sum(course.used[course.first :])
    words = (
        f"Mean power of {counted(course.meters, 'meter')} in {counted(len(used), 'interval')}; "
        f"in the event {'saved' if saved >= 0 else 'used more by'} {energy(abs(saved))}."
    )
    return Picture(
        tuple(columns),
        tuple(Level(y(top * part / 4), watt(top * part / 4)) for part in range(1, 5)),
        begin,
        begin + first * course.step_s,
        first * width,
        begin + len(used) * course.step_s,
        tuple(rows),
        course.meters,
        words,
    )


def _nice(value: float) -> float:
    """Return the next round number above a value, which four lines divide."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 20) if step * power >= value)
