"""Demand response in JSON: the names and shapes of OpenADR 3, and what it leaves to programs."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from openami.core.clock import utc
from openami.fleet.demand.machine import EventState
from openami.fleet.demand.model import (
    MAX_INTERVALS,
    MAX_NAME,
    MAX_TARGETS,
    MAX_TEXT,
    Event,
    EventKind,
    Interval,
    Payload,
    PayloadType,
    Program,
    ReportKind,
    Target,
    TargetKind,
    Targets,
)
from openami.fleet.demand.records import EventRecord
from openami.fleet.demand.standing import Counts
from openami.headend.demand.views import EventView
from openami.headend.errors import RequestError
from openami.web.api.models.common import Cursor, Model, moment

TARGETS: Final = {
    "GROUP": TargetKind.GROUP,
    "SERVICE_AREA": TargetKind.REGION,
    "RESOURCE_NAME": TargetKind.METER,
}
_TARGET_NAMES: Final = {kind: name for name, kind in TARGETS.items()}


def _alias(name: str) -> str:
    """Return a name as OpenADR 3 writes it: ``programID``, ``intervalPeriod``."""
    camel = to_camel(name)
    return camel[:-2] + "ID" if camel.endswith("Id") and camel != "id" else camel


class Adr(Model):
    """A message of OpenADR 3."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_alias, populate_by_name=True
    )


Number = Annotated[Decimal, PlainSerializer(float, return_type=float)]
Id = Annotated[str, Field(min_length=1, max_length=36)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Texts = Annotated[
    dict[
        Annotated[str, Field(pattern="^(en|ko)$")],
        Annotated[str, Field(min_length=1, max_length=MAX_TEXT)],
    ],
    Field(description="What displays say, by language: `en`, `ko`."),
]


class TargetModel(Adr):
    """Whom: a group of DCUs, a region, meters. Several are a union; none is everybody."""

    type: Literal["GROUP", "SERVICE_AREA", "RESOURCE_NAME"]
    values: Annotated[list[Name], Field(min_length=1, max_length=MAX_TARGETS)]


class PayloadDescriptor(Adr):
    """What values of a type are in."""

    payload_type: PayloadType
    units: str | None = None
    currency: str | None = None


class ReportDescriptor(Adr):
    """What is reported of an event."""

    payload_type: ReportKind


class PeriodModel(Adr):
    """When, and for how long (ISO 8601)."""

    start: AwareDatetime
    duration: timedelta
    randomize_start: Annotated[
        timedelta | None, Field(description="By up to so long the start is put off, by meter.")
    ] = None


class PayloadModel(Adr):
    """One value."""

    type: PayloadType
    values: Annotated[list[Number], Field(min_length=1, max_length=1)]


class IntervalModel(Adr):
    """A part of an event; without a period of its own it follows the one before."""

    id: Annotated[int, Field(ge=0, lt=2**31)]
    interval_period: PeriodModel | None = None
    payloads: Annotated[list[PayloadModel], Field(min_length=1, max_length=3)]


class ProgramSpec(Adr):
    """A program to be."""

    program_name: Name
    program_long_name: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    binding_events: Annotated[bool, Field(description="Nobody can opt out of its events.")] = False
    payload_descriptors: Annotated[tuple[PayloadDescriptor, ...], Field(max_length=3)] = ()
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "KRW"
    targets: Annotated[tuple[TargetModel, ...], Field(max_length=3)] = ()

    def program(self, id_: str) -> Program:
        """Return it; RequestError ``request.program``."""
        types = {each.payload_type for each in self.payload_descriptors} or set(PayloadType)
        try:
            return Program(
                id_, self.program_name, self.program_long_name, frozenset(types),
                self.binding_events, self.currency, targets_of(self.targets),
            )  # fmt: skip
        except ValueError as error:
            raise RequestError(str(error), code="request.program") from error


class ProgramModel(ProgramSpec):
    """A program."""

    id: str
    object_type: Literal["PROGRAM"] = "PROGRAM"
    created_date_time: datetime

    @classmethod
    def of(cls, program: Program) -> Self:
        """Return the model of a program."""
        return cls(
            id=program.id,
            created_date_time=utc(program.created),
            program_name=program.name,
            program_long_name=program.description,
            binding_events=program.binding,
            payload_descriptors=_descriptors(program.payloads, program.currency),
            currency=program.currency,
            targets=target_models(program.targets),
        )


class ProgramPage(Adr):
    """Programs."""

    items: list[ProgramModel]
    next: Cursor = None


class EventSpec(Adr):
    """An event to be. What is not OpenADR 3's: `kind`, `optional` and `texts`."""

    program_id: Id = Field(description="Id of its program.")
    event_name: Name
    kind: Annotated[
        EventKind | None, Field(description="If not given: `price` with prices, else `shed`.")
    ] = None
    priority: Annotated[int, Field(ge=0, le=255, description="0 is the highest.")] = 100
    optional: Annotated[
        bool | None, Field(description="Can be opted out of; as its program, if not given.")
    ] = None
    targets: Annotated[tuple[TargetModel, ...], Field(max_length=3)] = ()
    texts: Texts = Field(default_factory=dict)
    report_descriptors: Annotated[tuple[ReportDescriptor, ...], Field(max_length=3)] = ()
    interval_period: PeriodModel
    intervals: Annotated[list[IntervalModel], Field(min_length=1, max_length=MAX_INTERVALS)]

    def event(self, id_: str, program: Program) -> Event:
        """Return it as an event of its program; RequestError ``request.event``."""
        try:
            intervals = tuple(self._intervals())
            kind = self.kind or _kind(intervals)
            delay = self.interval_period.randomize_start or timedelta()
            return Event(
                id_,
                self.program_id,
                self.event_name,
                kind,
                intervals,
                targets_of(self.targets),
                self.priority,
                not program.binding if self.optional is None else self.optional,
                program.currency,
                dict(self.texts),
                int(delay.total_seconds()),
                _reports(self.report_descriptors),
            )
        except (ValueError, OverflowError) as error:
            raise RequestError(str(error), code="request.event") from error

    def _intervals(self) -> list[Interval]:
        begin = int(self.interval_period.start.timestamp())
        made: list[Interval] = []
        for each in self.intervals:
            period = each.interval_period or self.interval_period
            if each.interval_period is not None:
                begin = int(period.start.timestamp())
            length = int(period.duration.total_seconds())
            payloads = tuple(Payload(one.type, one.values[0]) for one in each.payloads)
            made.append(Interval(each.id, begin, length, payloads))
            begin += length
        return made


class CountsModel(Adr):
    """How many meters an event is for, and of how many it is known how far it is."""

    meters: int
    delivered: int
    acknowledged: int
    accepted: int
    opted_out: int
    limited: int
    restored: int
    refused: int

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Return the model of counts."""
        return cls(**{name: getattr(counts, name) for name in cls.model_fields})


class EventModel(EventSpec):
    """An event."""

    id: str
    object_type: Literal["EVENT"] = "EVENT"
    created_date_time: datetime
    program_name: str | None = None
    version: int
    state: EventState
    drafted_by: str
    published: datetime | None
    ended: datetime | None
    payload_descriptors: tuple[PayloadDescriptor, ...]
    meters: int
    counts: CountsModel | None = None

    @classmethod
    def of(cls, record: EventRecord, view: EventView | None = None) -> Self:
        """Return the model of an event, with counts if it was looked at closely."""
        event = record.event
        types = frozenset(one.type for each in event.intervals for one in each.payloads)
        return cls(
            id=event.id,
            created_date_time=utc(record.created),
            program_id=event.program,
            program_name=None if view is None else view.program,
            event_name=event.name,
            kind=event.kind,
            priority=event.priority,
            optional=event.optional,
            targets=target_models(event.targets),
            texts=dict(event.texts),
            report_descriptors=tuple(
                ReportDescriptor(payload_type=kind) for kind in sorted(event.reports)
            ),
            interval_period=period_of(event),
            intervals=interval_models(event),
            version=event.version,
            state=record.state,
            drafted_by=record.who,
            published=moment(record.published),
            ended=moment(record.ended),
            payload_descriptors=_descriptors(types, event.currency),
            meters=record.meters,
            counts=None if view is None else CountsModel.of(view.counts),
        )


class EventPage(Adr):
    """Events, the newest first."""

    items: list[EventModel]
    next: Cursor = None


class ClockModel(Adr):
    """The time of meters."""

    now: datetime


class WhyWish(Adr):
    """Why something is done."""

    why: Annotated[str, Field(max_length=500)] = ""


class EventRevision(Adr):
    """What an event is to be instead."""

    event: EventSpec
    why: Annotated[str, Field(max_length=500)] = ""


class PriceSpec(Adr):
    """Prices of a tariff, as the intervals of an event."""

    tariff: Annotated[str, Field(min_length=1, max_length=64)]
    interval_period: PeriodModel
    kwh: Annotated[
        Decimal, Field(ge=0, le=100_000, description="Used this month so far, for steps.")
    ] = Decimal(0)


class IntervalList(Adr):
    """Intervals of an event."""

    intervals: list[IntervalModel]


def intervals_of(found: tuple[Interval, ...]) -> list[IntervalModel]:
    """Return the models of intervals, each with its own period."""
    return [
        IntervalModel(
            id=each.id,
            interval_period=PeriodModel(
                start=utc(each.start), duration=timedelta(seconds=each.duration)
            ),
            payloads=[PayloadModel(type=one.type, values=[one.value]) for one in each.payloads],
        )
        for each in found
    ]


def interval_models(event: Event) -> list[IntervalModel]:
    """Return the models of an event's intervals."""
    return intervals_of(event.intervals)


def period_of(event: Event) -> PeriodModel:
    """Return from when to when an event is."""
    delay = timedelta(seconds=event.random_s) if event.random_s else None
    return PeriodModel(
        start=utc(event.start), duration=timedelta(seconds=event.end - event.start),
        randomize_start=delay,
    )  # fmt: skip


def _kind(intervals: tuple[Interval, ...]) -> EventKind:
    prices = any(each.value(PayloadType.PRICE) is not None for each in intervals)
    return EventKind.PRICE if prices else EventKind.SHED


def _reports(descriptors: tuple[ReportDescriptor, ...]) -> frozenset[ReportKind]:
    found = frozenset(each.payload_type for each in descriptors)
    return found or frozenset({ReportKind.USAGE, ReportKind.BASELINE})


def targets_of(models: tuple[TargetModel, ...]) -> Targets:
    """Return the targets that models are."""
    return tuple(Target(TARGETS[one.type], frozenset(one.values)) for one in models)


def target_models(targets: Targets) -> tuple[TargetModel, ...]:
    """Return the models of targets."""
    return tuple(
        TargetModel.model_validate({"type": _TARGET_NAMES[one.kind], "values": sorted(one.values)})
        for one in targets
    )


def _descriptors(types: frozenset[PayloadType], currency: str) -> tuple[PayloadDescriptor, ...]:
    described = {
        PayloadType.PRICE: {"units": "KWH", "currency": currency},
        PayloadType.IMPORT_CAPACITY_LIMIT: {"units": "KW"},
        PayloadType.SIMPLE: dict[str, str](),
    }
    return tuple(
        PayloadDescriptor.model_validate({"payload_type": kind, **described[kind]})
        for kind in sorted(types)
    )
