"""How events stand at meters and what they brought, in JSON."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat

from openami.core.clock import utc
from openami.fleet.demand.model import EventKind
from openami.fleet.demand.records import MeterStanding
from openami.fleet.demand.standing import Answer, Standing
from openami.headend.demand.results import MeterResult, Results
from openami.headend.demand.unreached import Unreached, Why
from openami.headend.demand.views import EventView, MeterEvent, Phase
from openami.web.api.models.common import Cursor, moment
from openami.web.api.models.demand import (
    Adr,
    IntervalModel,
    PeriodModel,
    interval_models,
    period_of,
)


class StandingModel(Adr):
    """How an event stands at a meter; times are of the meters' clock."""

    delivered: datetime | None
    limited: datetime | None
    restored: datetime | None
    acknowledged: datetime | None
    answer: Answer | None
    answered: datetime | None
    answered_by: str | None
    refused: datetime | None
    code: str | None
    reason: str | None

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """Return the model of a standing."""
        return cls(
            delivered=moment(standing.delivered),
            limited=moment(standing.limited),
            restored=moment(standing.restored),
            acknowledged=moment(standing.acknowledged),
            answer=standing.answer,
            answered=moment(standing.answered),
            answered_by=standing.who or None,
            refused=moment(standing.refused),
            code=standing.code,
            reason=standing.reason or None,
        )


class MeterStandingModel(Adr):
    """How an event stands at one of its meters."""

    meter: str
    standing: StandingModel

    @classmethod
    def of(cls, one: MeterStanding) -> Self:
        """Return the model of a meter's standing."""
        return cls(meter=one.meter, standing=StandingModel.of(one.standing))


class MeterStandingPage(Adr):
    """Meters of an event of which anything is known, by serial number."""

    items: list[MeterStandingModel]
    next: Cursor = None


class UnreachedModel(Adr):
    """A meter that an event is for and of which nothing was heard."""

    meter: str
    dcu: str | None
    why: Why

    @classmethod
    def of(cls, one: Unreached) -> Self:
        """Return the model of a meter that was not reached."""
        return cls(meter=one.meter, dcu=one.dcu, why=one.why)


class UnreachedPage(Adr):
    """Meters of an event of which nothing was heard, by serial number."""

    items: list[UnreachedModel]
    next: Cursor = None


class MeterEventModel(Adr):
    """An event as it is for a meter: with its own start."""

    id: str
    event_name: str
    program_name: str
    kind: EventKind
    phase: Phase
    optional: bool
    interval_period: PeriodModel
    intervals: list[IntervalModel]
    standing: StandingModel

    @classmethod
    def of(cls, one: MeterEvent) -> Self:
        """Return the model of a meter's event."""
        event = one.event
        return cls(
            id=event.id, event_name=event.name, program_name=one.program, kind=event.kind,
            phase=one.phase, optional=event.optional, interval_period=period_of(event),
            intervals=interval_models(event), standing=StandingModel.of(one.standing),
        )  # fmt: skip


class MeterEventList(Adr):
    """A meter's events, the latest first."""

    items: list[MeterEventModel]


class ResultModel(Adr):
    """What an event has brought at a meter, in Wh; null where nobody knows."""

    meter: str
    baseline_wh: FiniteFloat | None
    used_wh: FiniteFloat
    saved_wh: FiniteFloat | None
    days: Annotated[int, Field(description="Of which the baseline was made.")]
    missing: Annotated[int, Field(description="Intervals that were not measured.")]
    why: Annotated[str | None, Field(description="There is no baseline.")]
    opted_out: bool

    @classmethod
    def of(cls, one: MeterResult) -> Self:
        """Return the model of a meter's result."""
        found = one.saved
        return cls(
            meter=found.meter, baseline_wh=_tenth(found.baseline), used_wh=round(found.used, 1),
            saved_wh=_tenth(found.saved), days=found.days, missing=found.missing,
            why=found.why or None, opted_out=one.standing.opted_out,
        )  # fmt: skip


class ResultPage(Adr):
    """Results of meters, by serial number."""

    method: str
    start: datetime
    end: datetime
    items: list[ResultModel]
    next: Cursor = None


class ReportModel(Adr):
    """A report of OpenADR 3: what meters used, their baselines, and what they do."""

    object_type: Literal["REPORT"] = "REPORT"
    program_id: str
    event_id: str
    client_name: str
    report_name: str
    payload_descriptors: list[dict[str, Any]]
    resources: list[dict[str, Any]]
    next: Cursor = None

    @classmethod
    def of(cls, view: EventView, found: Results, *, client: str) -> Self:
        """Return the report of a page of results."""
        return cls(
            program_id=view.record.event.program,
            event_id=view.record.event.id,
            client_name=client,
            report_name=f"{view.record.event.name}: {utc(found.start).isoformat()}",
            payload_descriptors=[
                {"payloadType": "USAGE", "units": "KWH"},
                {"payloadType": "BASELINE", "units": "KWH"},
                {"payloadType": "OPERATING_STATE"},
            ],
            resources=[_resource(one, found) for one in found.meters],
            next=found.next,
        )


def _resource(one: MeterResult, found: Results) -> dict[str, Any]:
    payloads: list[dict[str, Any]] = [
        {"type": "OPERATING_STATE", "values": [_operating(one)]},
    ]
    if one.saved.baseline is not None or one.saved.used:  # what was not measured is not 0
        payloads.append({"type": "USAGE", "values": [round(one.saved.used / 1000, 4)]})
    if one.saved.baseline is not None:
        payloads.append({"type": "BASELINE", "values": [round(one.saved.baseline / 1000, 4)]})
    length = timedelta(seconds=found.end - found.start)
    period = PeriodModel(start=utc(found.start), duration=length)
    return {
        "resourceName": one.saved.meter,
        "intervalPeriod": period.model_dump(mode="json", by_alias=True, exclude_none=True),
        "intervals": [{"id": 0, "payloads": payloads}],
    }


def _operating(one: MeterResult) -> str:
    """Return OpenADR 3's word for what a meter does (3.0, enumeration OPERATING_STATE).

    A home is idle where all of the event was measured and nothing was used.
    """
    standing = one.standing
    idle = one.saved.used == 0 and not one.saved.missing
    if standing.opted_out:
        return "IDLE_OPTED_OUT" if idle else "RUNNING_OPTED_OUT"
    if standing.refused is not None or not standing.reached:
        return "ERROR"
    if standing.limited is not None and standing.restored is None:
        return "IDLE_CURTAILED" if idle else "RUNNING_CURTAILED"
    return "IDLE_NORMAL" if idle else "RUNNING_NORMAL"


def _tenth(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
