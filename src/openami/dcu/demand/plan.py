"""Which limit holds at a meter, and when: decided over its events, without a line or a store."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from openami.dlms.cosem.response import LIMIT, EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from openami.dlms.cosem.response import Event, Interval

_RANKS: Final = {EventKind.EMERGENCY: 0, EventKind.SHED: 1, EventKind.PRICE: 2}


@dataclass(frozen=True, slots=True)
class LimitSpan:
    """A limit from ``start`` to ``end``, and the event that sets it."""

    event: str
    version: int
    watts: int
    start: int
    end: int
    urgent: bool


def limit_span(
    events: Iterable[Event],
    now: float,
    *,
    opted_out: Collection[str] = (),
    refused: Callable[[LimitSpan], bool] = lambda _: False,
) -> LimitSpan | None:
    """Return the limit that holds at ``now``, or else the next; None if there is none.

    Of events that overlap the one with the highest priority holds, of two alike an emergency
    before shedding before a price, then the one that began first. Who has opted out of an
    optional event is not limited by it; a span that the meter has refused is none. Spans of one
    event that follow each other with the same limit are one.
    """
    held = [e for e in events if not (e.optional and (e.opted_out or e.id in opted_out))]
    found: LimitSpan | None = None
    for span in _spans(held, now):
        if refused(span):
            continue
        if found is None:
            found = span
        elif (span.event, span.watts, span.start) == (found.event, found.watts, found.end):
            found = _until(found, span.end)
        else:
            break
    return found


def _until(span: LimitSpan, end: int) -> LimitSpan:
    return LimitSpan(span.event, span.version, span.watts, span.start, end, span.urgent)


def _spans(events: list[Event], now: float) -> Iterator[LimitSpan]:
    """Yield what holds from ``now`` on, cut wherever an interval begins or ends."""
    limited = [(e, i) for e in events for i in e.intervals if i.payload(LIMIT) is not None]
    edges = sorted({edge for _, i in limited for edge in (i.start, i.end)})
    for start, end in pairwise(edges):
        there = [(e, i) for e, i in limited if i.start <= start and end <= i.end]
        if end <= now or not there:
            continue
        event, interval = min(there, key=lambda pair: _rank(pair[0]))
        urgent = event.kind is EventKind.EMERGENCY
        yield LimitSpan(event.id, event.version, _watts(interval), start, end, urgent)


def _rank(event: Event) -> tuple[int, int, int, str]:
    return event.priority, _RANKS[event.kind], event.start, event.id


def _watts(interval: Interval) -> int:
    kilowatts = interval.payload(LIMIT) or Decimal(0)
    return max(0, int((kilowatts * 1000).to_integral_value(ROUND_FLOOR)))
