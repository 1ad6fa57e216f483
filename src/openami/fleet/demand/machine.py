"""The life of an event.

A draft is seen by operators only. Once it is published it is on its way to its meters until it is
over or cancelled; it is active from its start on, and time alone completes it. A completed or
cancelled event never comes back.

    draft ──publish──► scheduled ──begin──► active ──complete──► completed
      │                    │                  │
      └──────cancel────────┴──────cancel──────┴─────────────────► cancelled
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.fleet.demand.model import Event


class EventState(StrEnum):
    """Where an event is in its life."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Act(StrEnum):
    """What moves it: operators revise, publish and cancel; time begins and completes."""

    REVISE = "revise"
    PUBLISH = "publish"
    CANCEL = "cancel"
    BEGIN = "begin"
    COMPLETE = "complete"


_S, _A = EventState, Act

TRANSITIONS: Final[Mapping[tuple[EventState, Act], EventState]] = {
    (_S.DRAFT, _A.REVISE): _S.DRAFT,
    (_S.DRAFT, _A.PUBLISH): _S.SCHEDULED,
    (_S.DRAFT, _A.CANCEL): _S.CANCELLED,
    (_S.SCHEDULED, _A.REVISE): _S.SCHEDULED,
    (_S.SCHEDULED, _A.CANCEL): _S.CANCELLED,
    (_S.SCHEDULED, _A.BEGIN): _S.ACTIVE,
    (_S.SCHEDULED, _A.COMPLETE): _S.COMPLETED,
    (_S.ACTIVE, _A.CANCEL): _S.CANCELLED,
    (_S.ACTIVE, _A.COMPLETE): _S.COMPLETED,
}
LIVE: Final = frozenset({_S.SCHEDULED, _S.ACTIVE})
"""States in which it is told to meters."""
OVER: Final = frozenset({_S.COMPLETED, _S.CANCELLED})


def moved(state: EventState, act: Act) -> EventState:
    """Return the state after an act.

    Raises:
        ConflictError: ``demand.transition``, no way leads from there.
    """
    found = TRANSITIONS.get((state, act))
    if found is None:
        raise ConflictError(
            f"the event is {state}: {act} is not possible", code="demand.transition"
        )
    return found


def due(event: Event, state: EventState, now: float) -> Act | None:
    """Return what time does to an event that is live; None: nothing yet."""
    if state not in LIVE:
        return None
    if now >= event.over:
        return Act.COMPLETE
    return Act.BEGIN if state is EventState.SCHEDULED and now >= event.start else None
