"""What holds at meters, as the head-end's answer says it.

Every answer has all that holds: what is not in it any more does not hold. A part that makes no
sense costs only itself, and is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal  # noqa: TC003 - models are made of it
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from openami.core.clock import parse_utc
from openami.dlms.cosem.response import (
    Comparison,
    Event,
    EventKind,
    Interval,
    Notice,
    Payload,
    Said,
)
from openami.dlms.cosem.said import MAX_EVENTS, MAX_NOTICES, MAX_OCTETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_METERS: Final = 4096
"""Meters of an answer: a concentrator's segment has some hundred, at most two thousand."""
MAX_NUMBER: Final = 2**62
"""Of a report or a revision: what both sides can count to."""
MAX_LIST: Final = 256
"""Elements of a list that is looked at at all: many times what a meter has room for."""

T = TypeVar("T")

Moment = Annotated[float, BeforeValidator(lambda v: parse_utc(v) if isinstance(v, str) else v)]
"""UTC seconds, of ISO 8601."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Payload(_Model):
    type: str
    value: Decimal


class _Interval(_Model):
    id: int
    start: Moment
    duration_s: int
    payloads: tuple[_Payload, ...]

    def interval(self) -> Interval:
        payloads = tuple(Payload(one.type, one.value) for one in self.payloads)
        return Interval(self.id, int(self.start), self.duration_s, payloads)


class _Event(_Model):
    id: str
    version: int
    program: str
    kind: EventKind
    priority: int = 0
    optional: bool = False
    opted_out: bool = False
    currency: str = ""
    texts: dict[str, str] = Field(default_factory=dict)
    intervals: tuple[_Interval, ...]

    def event(self) -> Event:
        return Event(
            id=self.id,
            version=self.version,
            program=self.program,
            kind=self.kind,
            intervals=tuple(one.interval() for one in self.intervals),
            priority=self.priority,
            optional=self.optional,
            currency=self.currency,
            texts=self.texts,
            opted_out=self.opted_out,
        )


class _Notice(_Model):
    id: str
    at: Moment
    kind: str
    until: Moment
    texts: dict[str, str] = Field(default_factory=dict)

    def notice(self) -> Notice:
        return Notice(self.id, int(self.at), self.kind, int(self.until), self.texts)


class _Comparison(_Model):
    start: Moment
    end: Moment
    homes: int
    mean_wh: int
    best_wh: int
    own_wh: int | None = None

    def comparison(self) -> Comparison:
        return Comparison(
            int(self.start), int(self.end), self.homes, self.mean_wh, self.best_wh, self.own_wh
        )


class Wanted(StrEnum):
    """What a supply is to be; ready: a person at the meter reconnects it."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    READY = "ready"


class Supply(_Model):
    """An order to switch the supply of a meter: done once, and not begun after ``until``."""

    order: Annotated[str, Field(min_length=1, max_length=64)]
    wanted: Wanted
    until: Moment | None = None


class Forget(_Model):
    """An order to forget the displays that are paired with a meter: done once."""

    order: Annotated[str, Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class MeterOrders:
    """What holds at one meter.

    Attributes:
        events: in the order of their starts; what a meter has no room for is left out.
        notices: the newest first.
        comparison: None if there is none.
        supply: None if nothing is to be switched.
        forget: None if the displays are to stay paired.
        bad: what makes no sense or has no room: an event's id, if it has one, and why.
    """

    events: tuple[Event, ...] = ()
    notices: tuple[Notice, ...] = ()
    comparison: Comparison | None = None
    supply: Supply | None = None
    forget: Forget | None = None
    bad: tuple[tuple[str | None, str], ...] = field(default=())

    def said(self, revision: int) -> Said:
        """Return what is said at the meter."""
        return Said(revision, self.events, self.notices, self.comparison)


NOTHING: Final = MeterOrders()


class Instructions(_Model):
    """All that the head-end has to say.

    Attributes:
        revision: changes whenever this would be another.
        taken: the highest number of a report that is durable.
        meters: by serial, what ``meter_orders`` reads.
    """

    revision: Annotated[int, Field(ge=0, le=MAX_NUMBER)]
    taken: Annotated[int, Field(ge=0, le=MAX_NUMBER)]
    meters: Annotated[dict[str, dict[str, Any]], Field(max_length=MAX_METERS)]


def meter_orders(body: Mapping[str, Any]) -> MeterOrders:
    """Return what holds at a meter; what is wrong with it is in ``bad``."""
    bad: list[tuple[str | None, str]] = []
    events = _parts(body, "events", lambda v: _Event.model_validate(v).event(), bad)
    notices = _parts(body, "notices", lambda v: _Notice.model_validate(v).notice(), bad)
    compared = _part(
        body.get("comparison"), lambda v: _Comparison.model_validate(v).comparison(), bad
    )
    supply = _part(body.get("supply"), Supply.model_validate, bad)
    forget = _part(body.get("forget"), Forget.model_validate, bad)
    ordered = _distinct(sorted(events, key=lambda e: (e.start, e.priority, e.id)))
    return _fitting(MeterOrders(ordered, _distinct(notices), compared, supply, forget), bad)


def _parts(
    body: Mapping[str, Any], name: str, read: Callable[[Any], T], bad: list[tuple[str | None, str]]
) -> list[T]:
    listed = body.get(name)
    items = listed[:MAX_LIST] if isinstance(listed, list) else []
    return [part for item in items if (part := _part(item, read, bad)) is not None]


def _part(item: Any, read: Callable[[Any], T], bad: list[tuple[str | None, str]]) -> T | None:
    try:
        return None if item is None else read(item)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        words = ".".join(map(str, first["loc"])) + ": " + first["msg"]
    except ValueError as error:
        words = str(error)
    name = item.get("id") if isinstance(item, dict) else None
    bad.append((name[:36] if isinstance(name, str) else None, words[:200]))
    return None


def _distinct(items: list[T]) -> tuple[T, ...]:
    return tuple({getattr(item, "id"): item for item in reversed(items)}.values())[::-1]  # noqa: B009 - events and notices both have one


def _fitting(orders: MeterOrders, bad: list[tuple[str | None, str]]) -> MeterOrders:
    """Leave out what a meter has no room for: the last events, then the oldest notices."""
    events, notices = list(orders.events), list(orders.notices)[:MAX_NOTICES]
    while len(events) > MAX_EVENTS or ((events or notices) and _too_long(orders, events, notices)):
        if notices and len(events) <= MAX_EVENTS:
            notices.pop()
        else:
            bad.append((events.pop().id, "the meter has no room for it"))
    return replace(orders, events=tuple(events), notices=tuple(notices), bad=tuple(bad))


def _too_long(orders: MeterOrders, events: list[Event], notices: list[Notice]) -> bool:
    said = Said(0, tuple(events), tuple(notices), orders.comparison)
    return len(said.data().encode()) > MAX_OCTETS
