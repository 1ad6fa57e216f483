"""What the utility says to a household: events of demand response, notices, a comparison.

In the terms of OpenADR 3: an event belongs to a program and has intervals, each with payloads of
a type and a value. Times are UTC seconds of the meter's clock.

Every value checks itself: what breaks a bound raises ``ValueError`` where it is made, and
``DecodeError`` where it is decoded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from openami.core.errors import DecodeError
from openami.dlms import data as d
from openami.dlms.cosem.said_parts import (
    SCALERS,
    U32,
    U64,
    check_texts,
    checked,
    decimal,
    distinct,
    member,
    number_of,
    some,
    texts_data,
    texts_of,
    token,
    truth,
    within,
)
from openami.dlms.data import Data, DataType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_EVENTS: Final = 16
"""Of one meter at a time: one a day for two weeks ahead, and what is called meanwhile."""
MAX_NOTICES: Final = 16
"""What a display lists on a page."""
MAX_INTERVALS: Final = 48
"""Of one event: a day by half hours."""
MAX_PAYLOADS: Final = 4
"""Of one interval: a level, a price and a limit, with room for one more."""
MAX_ID: Final = 36
"""A UUID as text."""
MAX_NAME: Final = 64
MAX_OCTETS: Final = 16384
"""Of all that is said at once, encoded: a meter keeps it in a memory that it writes whole."""

SIMPLE: Final = "SIMPLE"
"""Payload: a level from 0, nothing, to 3, the most that a household can do."""
PRICE: Final = "PRICE"
"""Payload: the price in the event's currency per kWh."""
LIMIT: Final = "IMPORT_CAPACITY_LIMIT"
"""Payload: the power in kW that the household may draw."""

_CURRENCY: Final = re.compile(r"(?:[A-Z]{3})?")


class EventKind(StrEnum):
    """What an event asks for."""

    PRICE = "price"
    SHED = "shed"
    EMERGENCY = "emergency"


class Answer(StrEnum):
    """What a household answered to an event."""

    ACKNOWLEDGED = "acknowledged"
    ACCEPTED = "accepted"
    OPTED_OUT = "opted-out"


_KINDS: Final = tuple(EventKind)
ANSWERS: Final = tuple(Answer)
"""The answers by their numbers."""


class Payload(NamedTuple):
    """A type (``SIMPLE``, ``PRICE``, ``LIMIT``, or another of OpenADR 3) and its value."""

    type: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Interval:
    """A part of an event: from ``start`` for ``duration`` seconds."""

    id: int
    start: int
    duration: int
    payloads: tuple[Payload, ...] = ()

    def __post_init__(self) -> None:
        within("an interval's id", self.id, 0, 0xFFFF)
        within("an interval's duration", self.duration, 1, U32)
        within("an interval's start", self.start, 0, U32 - self.duration)
        within("payloads", len(self.payloads), 0, MAX_PAYLOADS)
        for payload in self.payloads:
            token("a payload's type", payload.type, MAX_NAME)
            number_of(payload.value)

    @property
    def end(self) -> int:
        return self.start + self.duration

    def payload(self, kind: str) -> Decimal | None:
        """Return the value of the first payload of a type; None if there is none."""
        return next((value for type_, value in self.payloads if type_ == kind), None)

    def data(self) -> Data:
        payloads = (d.structure(d.visible(t), *decimal(value)) for t, value in self.payloads)
        return d.structure(
            d.u16(self.id), d.u32(self.start), d.u32(self.duration), d.array(*payloads)
        )

    @classmethod
    def of(cls, data: Data) -> Self:
        """Decode one; raises ``DecodeError``."""
        number, start, duration, payloads = data.items(4)
        found = tuple(_payload(item) for item in some(payloads, MAX_PAYLOADS))
        ids = number.integer(), start.integer(), duration.integer()
        return checked(lambda: cls(*ids, found))


@dataclass(frozen=True, slots=True)
class Event:
    """An event of demand response, as one meter has it.

    Args:
        id: names it among all.
        version: rises with each change.
        program: the program that it belongs to.
        kind: what it asks for.
        priority: 0 is the highest.
        optional: a household may opt out.
        opted_out: it did so elsewhere, or accepts again if this goes back to False.
        currency: of its prices (ISO 4217); empty without one.
        texts: for the household, by the language (``en``, ``ko``).
        intervals: in order, at least one; none begins before the one before has ended.
    """

    id: str
    version: int
    program: str
    kind: EventKind
    intervals: tuple[Interval, ...]
    priority: int = 0
    optional: bool = False
    currency: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    opted_out: bool = False

    def __post_init__(self) -> None:
        token("an event's id", self.id, MAX_ID)
        within("an event's version", self.version, 0, U32)
        within("the length of a program's name", len(self.program), 1, MAX_NAME)
        within("a priority", self.priority, 0, 0xFFFF)
        if not _CURRENCY.fullmatch(self.currency):
            raise ValueError("a currency has three capital letters")
        check_texts(self.texts)
        within("intervals", len(self.intervals), 1, MAX_INTERVALS)
        for before, after in zip(self.intervals, self.intervals[1:], strict=False):
            if after.start < before.end:
                raise ValueError("intervals in order wanted, of which none overlap")

    @property
    def start(self) -> int:
        return self.intervals[0].start

    @property
    def end(self) -> int:
        return self.intervals[-1].end

    def interval(self, now: float) -> Interval | None:
        """Return the interval under way at ``now``, or else the next; None after the last."""
        return next((each for each in self.intervals if now < each.end), None)

    def data(self) -> Data:
        return d.structure(
            d.visible(self.id),
            d.u32(self.version),
            d.utf8(self.program),
            d.enum(_KINDS.index(self.kind)),
            d.u16(self.priority),
            d.boolean(self.optional),
            d.boolean(self.opted_out),
            d.visible(self.currency),
            texts_data(self.texts),
            d.array(*(each.data() for each in self.intervals)),
        )

    @classmethod
    def of(cls, data: Data) -> Self:
        """Decode one; raises ``DecodeError``."""
        name, version, program, kind, priority, *rest = data.items(10)
        optional, opted_out, currency, texts, intervals = rest
        return checked(
            lambda: cls(
                id=name.text(),
                version=version.integer(),
                program=program.text(),
                kind=member(_KINDS, kind),
                intervals=tuple(Interval.of(each) for each in some(intervals, MAX_INTERVALS)),
                priority=priority.integer(),
                optional=truth(optional),
                opted_out=truth(opted_out),
                currency=currency.text(),
                texts=texts_of(texts),
            )
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of the utility: shown from ``at`` until ``until``.

    ``kind`` is what it is about: ``message``, ``bill``, ``outage``, …
    """

    id: str
    at: int
    kind: str
    until: int
    texts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        token("a notice's id", self.id, MAX_ID)
        token("a notice's kind", self.kind, MAX_NAME)
        within("a notice's time", self.at, 0, U32)
        within("a notice's end", self.until, 0, U32)
        check_texts(self.texts)

    def data(self) -> Data:
        return d.structure(
            d.visible(self.id),
            d.u32(self.at),
            d.visible(self.kind),
            d.u32(self.until),
            texts_data(self.texts),
        )

    @classmethod
    def of(cls, data: Data) -> Self:
        """Decode one; raises ``DecodeError``."""
        name, at, kind, until, texts = data.items(5)
        return checked(
            lambda: cls(name.text(), at.integer(), kind.text(), until.integer(), texts_of(texts))
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """A household beside similar ones, from ``start`` to ``end``.

    Args:
        start: UTC seconds.
        end: UTC seconds.
        homes: how many were compared.
        mean_wh: what they used on average.
        best_wh: what the best fifth of them used on average.
        own_wh: what this one used; None if it is not known.
    """

    start: int
    end: int
    homes: int
    mean_wh: int
    best_wh: int
    own_wh: int | None = None

    def __post_init__(self) -> None:
        for value in (self.start, self.end, self.homes):
            within("a comparison", value, 0, U32)
        for value in (self.mean_wh, self.best_wh, self.own_wh or 0):
            within("an energy", value, 0, U64)

    def data(self) -> Data:
        return d.structure(
            *(d.u32(value) for value in (self.start, self.end, self.homes)),
            *(d.u64(value) for value in (self.mean_wh, self.best_wh)),
            d.null() if self.own_wh is None else d.u64(self.own_wh),
        )

    @classmethod
    def of(cls, data: Data) -> Self:
        """Decode one; raises ``DecodeError``."""
        start, end, homes, mean, best, own = data.items(6)
        return checked(
            lambda: cls(
                start.integer(),
                end.integer(),
                homes.integer(),
                mean.integer(),
                best.integer(),
                None if own.type is DataType.NULL else own.integer(),
            )
        )


@dataclass(frozen=True, slots=True)
class Said:
    """All that the utility says to one household.

    Args:
        revision: rises whenever any of it is replaced.
        events: at most ``MAX_EVENTS``, each once.
        notices: at most ``MAX_NOTICES``, each once.
        comparison: None if there is none.
        choices: what stands answered to its events, by the event's id; the meter's, not said.
    """

    revision: int = 0
    events: tuple[Event, ...] = ()
    notices: tuple[Notice, ...] = ()
    comparison: Comparison | None = None
    choices: Mapping[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        within("a revision", self.revision, 0, U32)
        distinct("events", [event.id for event in self.events], MAX_EVENTS)
        distinct("notices", [notice.id for notice in self.notices], MAX_NOTICES)

    def event(self, name: str) -> Event | None:
        """Return the event of an id; None if there is none."""
        return next((event for event in self.events if event.id == name), None)

    def items(self) -> tuple[Data, Data, Data, Data]:
        """Return revision, events, notices and comparison as attributes 2 to 5 hold them."""
        return (
            d.u32(self.revision),
            d.array(*(event.data() for event in self.events)),
            d.array(*(notice.data() for notice in self.notices)),
            d.null() if self.comparison is None else self.comparison.data(),
        )

    def data(self) -> Data:
        """Return the parameter of the method that says it."""
        return d.structure(*self.items())

    @classmethod
    def of(cls, data: Data) -> Self:
        """Decode what ``data`` returned; raises ``DecodeError``."""
        return cls.of_items(*data.items(4))

    @classmethod
    def of_items(
        cls,
        revision: Data,
        events: Data,
        notices: Data,
        comparison: Data,
        choices: Data | None = None,
    ) -> Self:
        """Decode attributes 2 to 5, and 7; raises ``DecodeError``."""
        return checked(
            lambda: cls(
                revision.integer(),
                tuple(Event.of(each) for each in some(events, MAX_EVENTS)),
                tuple(Notice.of(each) for each in some(notices, MAX_NOTICES)),
                None if comparison.type is DataType.NULL else Comparison.of(comparison),
                {} if choices is None else dict(choices_of(choices)),
            )
        )


def choices_data(choices: Mapping[str, Answer]) -> Data:
    """Return what stands answered, by the event's id, as attribute 7 holds it."""
    rows = (d.structure(d.visible(e), d.enum(ANSWERS.index(a))) for e, a in choices.items())
    return d.array(*rows)


def choices_of(data: Data) -> Iterator[tuple[str, Answer]]:
    """Decode what ``choices_data`` returned; raises ``DecodeError``."""
    for row in some(data, MAX_EVENTS):
        event, answer = row.items(2)
        yield event_id(event), answer_of(answer)


def event_id(data: Data) -> str:
    """Decode an event's id; raises ``DecodeError``."""
    return checked(lambda: token("an event's id", data.text(), MAX_ID))


def answer_of(data: Data) -> Answer:
    """Decode an answer; raises ``DecodeError``."""
    return checked(lambda: member(ANSWERS, data))


def _payload(data: Data) -> Payload:
    kind, mantissa, scaler = data.items(3)
    exponent = scaler.integer()
    if abs(exponent) > SCALERS:
        raise DecodeError(f"a scaler of at most {SCALERS} wanted")
    return Payload(kind.text(), Decimal(mantissa.integer()).scaleb(exponent))
