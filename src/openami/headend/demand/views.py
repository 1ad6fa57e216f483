"""Events as people see them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from openami.fleet.demand.machine import EventState

if TYPE_CHECKING:
    from openami.fleet.demand.model import Event
    from openami.fleet.demand.records import EventRecord
    from openami.fleet.demand.standing import Counts, Standing


class Phase(StrEnum):
    """An event as who lives at a meter sees it."""

    UPCOMING = "upcoming"
    ACTIVE = "active"
    OVER = "over"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class EventView:
    """An event, the name of its program, and how many meters are how far."""

    record: EventRecord
    program: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """An event as it is for one meter: with its own start, and how it stands there."""

    event: Event
    program: str
    phase: Phase
    standing: Standing


def phase(state: EventState, event: Event, now: float) -> Phase:
    """Return how an event looks at a meter, whose own start it has."""
    if state is EventState.CANCELLED:
        return Phase.CANCELLED
    if state is EventState.COMPLETED or now >= event.end:
        return Phase.OVER
    return Phase.ACTIVE if now >= event.start else Phase.UPCOMING
