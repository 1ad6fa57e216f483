"""What the utility says to a household, and what the household answered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from openami.core.clock import isoformat
from openami.core.errors import ConflictError, DecodeError, NotFoundError
from openami.dlms.cosem.response import Answer, Event, Said
from openami.dlms.data import decode_data
from openami.ihd.billing import text

if TYPE_CHECKING:
    from collections.abc import Mapping

OVER_S: Final = 86_400
"""Seconds that an event is shown after it is over: a household may look tomorrow."""
MOST_PAST: Final = 32
"""Events that are over or were cancelled: of more, the oldest go."""
MOST_READ: Final = 64
"""Notices of which it is known that they were read: four times what a meter holds."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was said last, what was said before, and what was done about it; it does not change.

    Attributes:
        said: what the meter holds.
        past: events that the meter holds no more.
        answers: by event, what the household answered at this display.
        read: ids of notices.
    """

    said: Said = field(default_factory=Said)
    past: tuple[Event, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    read: tuple[str, ...] = ()

    @property
    def events(self) -> tuple[Event, ...]:
        """Those that hold: the meter has them."""
        return self.said.events

    def choices(self) -> Mapping[str, Answer]:
        """Return what stands answered: here, or elsewhere as the meter knows."""
        elsewhere = {event.id: Answer.OPTED_OUT for event in self.said.events if event.opted_out}
        return {**self.said.choices, **elsewhere, **self.answers}

    def heard(self, said: Said, now: float) -> Told:
        """Return what is known once the meter says something new."""
        ids = {event.id for event in said.events}
        gone = [event for event in (*self.past, *self.said.events) if event.id not in ids]
        past = tuple({event.id: event for event in gone if now < event.end + OVER_S}.values())[
            -MOST_PAST:
        ]
        known = ids | {event.id for event in past}
        answers = {event: answer for event, answer in self.answers.items() if event in known}
        return replace(self, said=said, past=past, answers=answers)

    def answered(self, event: str, answer: Answer, now: float) -> Told:
        """Return what is known once the household has answered.

        Raises:
            NotFoundError: ``home.event``, there is no such event.
            ConflictError: ``home.event-over``; ``home.event-firm``: nobody can opt out of it;
                ``home.event-answered``: who has answered has seen it.
        """
        found = next((each for each in self.said.events if each.id == event), None)
        if found is None:
            raise NotFoundError("the meter has no such event", code="home.event")
        if now >= found.end:
            raise ConflictError("the event is over", code="home.event-over")
        if answer is Answer.OPTED_OUT and not found.optional:
            raise ConflictError("nobody can opt out of this event", code="home.event-firm")
        if answer is Answer.ACKNOWLEDGED and event in self.choices():
            raise ConflictError("the event was answered", code="home.event-answered")
        return replace(self, answers={**self.answers, event: answer})

    def has_read(self, notice: str) -> Told:
        """Return what is known once a notice was read; NotFoundError: there is none such."""
        if all(each.id != notice for each in self.said.notices):
            raise NotFoundError("the meter has no such notice", code="home.notice")
        others = tuple(each for each in self.read if each != notice)
        return replace(self, read=(*others, notice)[-MOST_READ:])

    # As kept

    def text(self) -> str:
        """Return it as ``of`` reads it."""
        kept = {
            "said": self.said.data().encode().hex(),
            "choices": self.said.choices,
            "past": [event.data().encode().hex() for event in self.past],
            "answers": self.answers,
            "read": self.read,
        }
        return json.dumps(kept)

    @classmethod
    def of(cls, kept: str | None) -> Self:
        """Read what ``text`` returned; what can not be read is as if nothing had been said."""
        try:
            found = json.loads(kept or "{}")
            said = Said.of(decode_data(bytes.fromhex(found["said"])))
            choices = {event: Answer(answer) for event, answer in found["choices"].items()}
            past = tuple(Event.of(decode_data(bytes.fromhex(each))) for each in found["past"])
            answers = {event: Answer(answer) for event, answer in found["answers"].items()}
            return cls(replace(said, choices=choices), past, answers, tuple(found["read"]))
        except (DecodeError, ValueError, KeyError, TypeError):
            return cls()


def events_shown(told: Told, now: float) -> list[dict[str, Any]]:
    """Return the events as the API gives them: those that hold first."""
    shown = [_event(event, told, now, cancelled=False) for event in told.said.events]
    ended = [
        _event(event, told, now, cancelled=True) for event in told.past if now < event.end + OVER_S
    ]
    return [*sorted(shown, key=lambda each: str(each["begins"])), *ended]


def _event(event: Event, told: Told, now: float, *, cancelled: bool) -> dict[str, Any]:
    if now >= event.end:
        state = "over"
    elif cancelled:
        state = "cancelled"
    else:
        state = "active" if now >= event.start else "upcoming"
    interval = event.interval(now) or event.intervals[-1]
    level, price, limit = map(interval.payload, ("SIMPLE", "PRICE", "IMPORT_CAPACITY_LIMIT"))
    return {
        "id": event.id,
        "version": event.version,
        "program": event.program,
        "kind": str(event.kind),
        "priority": event.priority,
        "optional": event.optional,
        "currency": event.currency,
        "texts": dict(event.texts),
        "state": state,
        "answer": told.choices().get(event.id),
        "begins": isoformat(event.start),
        "ends": isoformat(event.end),
        "interval": {"begins": isoformat(interval.start), "ends": isoformat(interval.end)},
        "level": None if level is None else int(level),
        "price": None if price is None else text(price),
        "limit_w": None if limit is None else int(limit * 1000),
    }


def notices_shown(told: Told, now: float) -> list[dict[str, Any]]:
    """Return the notices that are shown now, as the API gives them, the newest first."""
    held = [each for each in told.said.notices if each.at <= now < each.until]
    return [
        {
            "id": each.id,
            "at": isoformat(each.at),
            "kind": each.kind,
            "until": isoformat(each.until),
            "texts": dict(each.texts),
            "read": each.id in told.read,
        }
        for each in sorted(held, key=lambda each: -each.at)
    ]


def comparison_shown(told: Told) -> dict[str, Any] | None:
    """Return the comparison as the API gives it."""
    found = told.said.comparison
    if found is None:
        return None
    return {**asdict(found), "start": isoformat(found.start), "end": isoformat(found.end)}
