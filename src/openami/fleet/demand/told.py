"""What a meter is told: which events and notices are for it, and which holds when they overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.fleet.demand.model import EventKind, PayloadType, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from openami.fleet.demand.model import Event, Interval, Notice, Targets

MOST_EVENTS: Final = 16
"""A meter has room for so many; those that begin first."""
MOST_NOTICES: Final = 16
"""The same; those that were made last."""
AHEAD_S: Final = 8 * 86_400
"""Events that begin within so long are told: a week ahead, and a day for who is away."""

_RANKS: Final = {EventKind.EMERGENCY: 0, EventKind.SHED: 1, EventKind.PRICE: 2}


@dataclass(frozen=True, slots=True)
class Site:
    """A meter as targets see it: ``region`` is its own, else that of its DCU."""

    serial: str
    region: str
    groups: frozenset[str] = frozenset()


def is_for(targets: Targets, site: Site) -> bool:
    """Say whether targets name a meter; no targets name everybody."""
    return not targets or any(
        not _NAMES[target.kind](site).isdisjoint(target.values) for target in targets
    )


_NAMES: Final[Mapping[TargetKind, Callable[[Site], AbstractSet[str]]]] = {
    TargetKind.METER: lambda site: {site.serial},
    TargetKind.REGION: lambda site: {site.region},
    TargetKind.GROUP: lambda site: site.groups,
}


def events_for(events: Iterable[Event], site: Site, now: float) -> Sequence[Event]:
    """Return the events that a meter is told, as they are for it, by their start.

    Those that are over for it are left out, and so are those far ahead.
    """
    mine = (event.for_meter(site.serial) for event in events if is_for(event.targets, site))
    near = [event for event in mine if event.end > now and event.start < now + AHEAD_S]
    return sorted(near, key=lambda event: (event.start, _rank(event)))[:MOST_EVENTS]


def notices_for(notices: Iterable[Notice], site: Site, now: float) -> Sequence[Notice]:
    """Return the notices that a meter is told, the newest first."""
    mine = [one for one in notices if one.at <= now < one.until and is_for(one.targets, site)]
    return sorted(mine, key=lambda one: (-one.at, one.id))[:MOST_NOTICES]


def in_force(
    events: Iterable[Event], now: float, *, opted_out: frozenset[str] = frozenset()
) -> Mapping[PayloadType, tuple[Event, Interval]]:
    """Return what holds at a moment, by type: of events that overlap, one each.

    The one with the highest priority (the lowest number); of two alike an emergency before
    shedding before a price, then the one that began first. A price and a limit of two events hold
    both. An event that was opted out of does not hold, unless it is not optional.
    """
    held = [one for one in events if not (one.optional and one.id in opted_out)]
    found: dict[PayloadType, tuple[Event, Interval]] = {}
    for event in sorted(held, key=_rank, reverse=True):
        for interval in event.intervals:
            if interval.start <= now < interval.end:
                found.update({each.type: (event, interval) for each in interval.payloads})
    return found


def _rank(event: Event) -> tuple[int, int, int, str]:
    """Return what puts events in order, the strongest first."""
    return event.priority, _RANKS[event.kind], event.start, event.id
