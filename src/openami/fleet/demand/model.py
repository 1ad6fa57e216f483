"""What a utility asks of its customers: programs and events, in the terms of OpenADR 3.

An event belongs to a program, is for some meters (its targets) and has intervals that follow each
other; each interval has payloads: a level of shedding, a price, a limit of the power taken. Of
OpenADR 3 there are the names and what they mean; what it leaves to programs is fixed here: targets
are a union, an interval has one value of a type, and a randomised start is chosen by the head-end
for each meter. Times are seconds UTC of the meters' clock.

Who breaks a bound gets a ``ValueError`` that says which.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_ID: Final = 36
"""Characters of an id: a UUID's."""
MAX_NAME: Final = 64
"""Characters of a program's name: it stands on a display."""
MAX_INTERVALS: Final = 48
"""Of an event: a day of half hours; and a meter has room for so many."""
MAX_SPAN_S: Final = 7 * 86_400
"""From the start of an event to its end: what is longer is a tariff."""
MIN_INTERVAL_S: Final = 60
"""A meter acts by the second, and who lives there by the minute."""
MAX_RANDOM_S: Final = 3600
"""By which a start may be put off: a limiter that comes an hour late is of no use."""
MAX_TARGETS: Final = 10_000
"""Values of an event's targets: meters that somebody has picked; more are a region or a group."""
MAX_TEXT: Final = 200
"""Characters of what a display says of an event or a notice, in a language."""
MAX_PRIORITY: Final = 255
LANGUAGES: Final = frozenset({"en", "ko"})
NO_TEXTS: Final[Mapping[str, str]] = MappingProxyType({})

_RANDOM: Final = 2**32


class EventKind(StrEnum):
    """What an event is about: what it costs, using less, or keeping the lights on."""

    PRICE = "price"
    SHED = "shed"
    EMERGENCY = "emergency"


class PayloadType(StrEnum):
    """What a payload says (OpenADR 3.0, Definition, 3.5.1: event payload types).

    ``SIMPLE``: a level from 0 (as usual) to 3 (all that can go, goes). ``PRICE``: what a kWh
    costs, in the event's currency. ``IMPORT_CAPACITY_LIMIT``: kW that may be taken.
    """

    SIMPLE = "SIMPLE"
    PRICE = "PRICE"
    IMPORT_CAPACITY_LIMIT = "IMPORT_CAPACITY_LIMIT"


LIMITS: Final[Mapping[PayloadType, tuple[Decimal, Decimal]]] = {
    PayloadType.SIMPLE: (Decimal(0), Decimal(3)),
    PayloadType.PRICE: (Decimal(-1_000_000), Decimal(1_000_000)),
    PayloadType.IMPORT_CAPACITY_LIMIT: (Decimal(0), Decimal(1000)),
}
"""What values may be: levels as OpenADR has them; prices may be negative; a connection of a home
or a small business takes no more than a megawatt, and a register of a meter no more than 2³² W."""
PLACES: Final = 6
"""Of a value behind the point: a price of a kWh to a millionth."""
WANTED: Final[Mapping[EventKind, frozenset[PayloadType]]] = {
    EventKind.PRICE: frozenset({PayloadType.PRICE}),
    EventKind.SHED: frozenset({PayloadType.SIMPLE, PayloadType.IMPORT_CAPACITY_LIMIT}),
    EventKind.EMERGENCY: frozenset({PayloadType.SIMPLE, PayloadType.IMPORT_CAPACITY_LIMIT}),
}
"""Of which an event's every interval has one at least."""


class TargetKind(StrEnum):
    """What a target names: a group of DCUs, a region, a meter."""

    GROUP = "group"
    REGION = "region"
    METER = "meter"


class ReportKind(StrEnum):
    """What is reported of an event (OpenADR 3.0: report payload types)."""

    USAGE = "USAGE"
    BASELINE = "BASELINE"
    OPERATING_STATE = "OPERATING_STATE"


@dataclass(frozen=True, slots=True)
class Payload:
    """One value."""

    type: PayloadType
    value: Decimal

    def __post_init__(self) -> None:
        low, high = LIMITS[self.type]
        if not self.value.is_finite() or not low <= self.value <= high:
            raise ValueError(f"{self.type} is from {low:f} to {high:f}")
        exponent = self.value.normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > PLACES:
            raise ValueError(f"{self.type} has up to {PLACES} places behind the point")
        if self.type is PayloadType.SIMPLE and self.value != int(self.value):
            raise ValueError("a level of SIMPLE is 0, 1, 2 or 3")


@dataclass(frozen=True, slots=True)
class Interval:
    """A part of an event, with what holds in it."""

    id: int
    start: int
    duration: int
    payloads: tuple[Payload, ...]

    def __post_init__(self) -> None:
        if self.duration < MIN_INTERVAL_S:
            raise ValueError(f"an interval lasts at least {MIN_INTERVAL_S} s")
        types = [each.type for each in self.payloads]
        if not types or len(set(types)) < len(types):
            raise ValueError("an interval has one value or more, one of a type")

    @property
    def end(self) -> int:
        """When it ends."""
        return self.start + self.duration

    def value(self, of: PayloadType) -> Decimal | None:
        """Return its value of a type; None: it has none."""
        return next((each.value for each in self.payloads if each.type is of), None)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom an event or a notice is for: the values of one kind."""

    kind: TargetKind
    values: frozenset[str]

    def __post_init__(self) -> None:
        if not self.values or not all(0 < len(value) <= MAX_NAME for value in self.values):
            raise ValueError(f"a target has names of 1 to {MAX_NAME} characters")


Targets = tuple[Target, ...]
"""A union: who is named by any of them. None of them: everybody."""


@dataclass(frozen=True, slots=True)
class Program:
    """Under which terms customers are asked, and what events of it may say.

    Attributes:
        id: given by the head-end.
        name: short, unique.
        description: for people.
        payloads: types that its events may have.
        binding: whether events can not be opted out of.
        currency: of prices, ISO 4217.
        targets: whom its events are for that name nobody.
        created: when, UTC seconds of the machine.
    """

    id: str
    name: str
    description: str = ""
    payloads: frozenset[PayloadType] = frozenset(PayloadType)
    binding: bool = False
    currency: str = "KRW"
    targets: Targets = ()
    created: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_NAME or not self.name.isprintable():
            raise ValueError(f"a program's name has 1 to {MAX_NAME} characters")
        if len(self.description) > MAX_TEXT:
            raise ValueError(f"a description has up to {MAX_TEXT} characters")
        if not self.payloads:
            raise ValueError("a program has a type of payload")
        _check_currency(self.currency)
        check_targets(self.targets)


@dataclass(frozen=True, slots=True)
class Event:
    """What is asked, of whom, and when.

    Attributes:
        id: given by the head-end.
        program: id of its program.
        name: for people.
        kind: what it is about.
        intervals: follow each other, without gaps.
        targets: whom it is for.
        priority: 0 is the highest (OpenADR 3.0, event.priority).
        optional: whether it may be opted out of.
        currency: of its prices.
        texts: what displays say, by language.
        random_s: the start of a meter is put off by up to so many seconds.
        reports: what is reported of it.
        version: rises when it is revised.
    """

    id: str
    program: str
    name: str
    kind: EventKind
    intervals: tuple[Interval, ...]
    targets: Targets = ()
    priority: int = 100
    optional: bool = True
    currency: str = "KRW"
    texts: Mapping[str, str] = field(default_factory=lambda: NO_TEXTS)
    random_s: int = 0
    reports: frozenset[ReportKind] = frozenset({ReportKind.USAGE, ReportKind.BASELINE})
    version: int = 1

    def __post_init__(self) -> None:
        if not 0 < len(self.id) <= MAX_ID or len(self.name) > MAX_NAME:
            raise ValueError("an event has an id, and a name that fits a display")
        if not 0 <= self.priority <= MAX_PRIORITY:
            raise ValueError(f"a priority is 0 (the highest) to {MAX_PRIORITY}")
        if not 0 <= self.random_s <= MAX_RANDOM_S:
            raise ValueError(f"a start is put off by up to {MAX_RANDOM_S} s")
        _check_currency(self.currency)
        check_texts(self.texts)
        check_targets(self.targets)
        _check_intervals(self.kind, self.intervals)

    @property
    def start(self) -> int:
        """When its first interval begins, for those whose start is not put off."""
        return self.intervals[0].start

    @property
    def end(self) -> int:
        """When the last interval is over, for those whose start is not put off."""
        return self.intervals[-1].end

    @property
    def over(self) -> int:
        """When it is over for everybody."""
        return self.end + self.random_s

    @property
    def limits(self) -> bool:
        """Whether it limits what may be taken, which nobody may be asked about."""
        limit = PayloadType.IMPORT_CAPACITY_LIMIT
        return any(each.value(limit) is not None for each in self.intervals)

    def for_meter(self, serial: str) -> Self:
        """Return it as it is for a meter: begun as much later as falls to this meter."""
        delay = put_off(self.id, serial, self.random_s)
        if not delay:
            return self
        moved = tuple(replace(each, start=each.start + delay) for each in self.intervals)
        return replace(self, intervals=moved)


def put_off(event: str, serial: str, most: int) -> int:
    """Return by how many seconds an event begins later at a meter, 0 to ``most``.

    The same each time it is asked, and another for another event: nobody is always the last.
    """
    if not most:
        return 0
    digest = hashlib.sha256(f"{event}\n{serial}".encode()).digest()
    return int.from_bytes(digest[:4]) * (most + 1) // _RANDOM


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to customers: of a bill, an outage, or anything else."""

    id: str
    kind: str
    at: int
    until: int
    texts: Mapping[str, str]
    targets: Targets = ()

    def __post_init__(self) -> None:
        if not 0 < len(self.id) <= MAX_ID or self.kind not in NOTICE_KINDS:
            raise ValueError(f"a notice is one of {', '.join(sorted(NOTICE_KINDS))}")
        if not self.at < self.until <= self.at + MAX_NOTICE_S:
            raise ValueError(f"a notice is shown for up to {MAX_NOTICE_S // 86_400} days")
        if not self.texts:
            raise ValueError("a notice says something")
        check_texts(self.texts)
        check_targets(self.targets)


NOTICE_KINDS: Final = frozenset({"message", "bill", "outage"})
MAX_NOTICE_S: Final = 92 * 86_400
"""How long a notice is shown: a meter has room for a few."""


def check_targets(targets: Targets) -> None:
    """Return if targets are within bounds, and of a kind each."""
    kinds = [target.kind for target in targets]
    if len(set(kinds)) < len(kinds):
        raise ValueError("there is one target of a kind, with all its values")
    if sum(len(target.values) for target in targets) > MAX_TARGETS:
        raise ValueError(f"targets have up to {MAX_TARGETS} names; make a group of more")


def check_texts(texts: Mapping[str, str]) -> None:
    """Return if texts are in languages that displays speak, and fit them."""
    if not texts.keys() <= LANGUAGES:
        raise ValueError(f"texts are in {' or '.join(sorted(LANGUAGES))}")
    if not all(0 < len(text) <= MAX_TEXT and text.isprintable() for text in texts.values()):
        raise ValueError(f"a text is a line of 1 to {MAX_TEXT} characters")


def _check_currency(currency: str) -> None:
    if len(currency) != 3 or not currency.isascii() or not currency.isupper():
        raise ValueError("a currency has three capital letters, such as KRW")


def _check_intervals(kind: EventKind, intervals: tuple[Interval, ...]) -> None:
    if not 0 < len(intervals) <= MAX_INTERVALS:
        raise ValueError(f"an event has 1 to {MAX_INTERVALS} intervals")
    if any(one.end != other.start for one, other in pairwise(intervals)):
        raise ValueError("the intervals of an event follow each other")
    if len({each.id for each in intervals}) < len(intervals):
        raise ValueError("each interval of an event has an id of its own")
    if intervals[-1].end - intervals[0].start > MAX_SPAN_S:
        raise ValueError(f"an event lasts up to {MAX_SPAN_S // 86_400} days")
    for each in intervals:
        types = {payload.type for payload in each.payloads}
        if not types & WANTED[kind]:
            wanted = " or ".join(sorted(WANTED[kind]))
            raise ValueError(f"each interval of an event of kind {kind} has {wanted}")


def names_of(targets: Iterable[Target], kind: TargetKind) -> frozenset[str]:
    """Return the values of a kind."""
    return frozenset(value for target in targets if target.kind is kind for value in target.values)
