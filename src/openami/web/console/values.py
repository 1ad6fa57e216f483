"""Values, events and on-demand reads as rows of tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.core.obis import Obis
from openami.core.units import Quantity, Unit, symbol
from openami.dlms.obis_names import describe
from openami.fleet.jobs import JobState
from openami.metrology.events import Event
from openami.web.console.filters import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from openami.fleet.events import MeterEvent
    from openami.fleet.jobs import Job, TargetResult
    from openami.fleet.ports import Page
    from openami.headend.services import Services

LOAD_PROFILE: Final = "1.0.99.1.0.255"
IMPORTED: Final = "1.0.1.29.0.255"
EXPORTED: Final = "1.0.2.29.0.255"

# A value that is no number may be as long as a meter likes; a cell of a table may not.
VALUE_LENGTH: Final = 120
# Beyond it a power of ten reads better than its zeros, and a meter can ask for 128 of them.
MAX_SCALER: Final = 12

JOB_TEXTS: Final[Mapping[JobState, str]] = {
    JobState.QUEUED: "Waiting for the DCU to ask for work…",
    JobState.OFFERED: "The DCU has the request…",
    JobState.RUNNING: "Reading the meter…",
    JobState.DONE: "The meter has answered.",
    JobState.FAILED: "The reading failed",
    JobState.EXPIRED: "Nobody answered in time.",
}
# Where the name alone does not tell: the log has one entry with the time before, one after.
EVENT_TEXTS: Final[Mapping[Event, str]] = {
    Event.CLOCK_OLD: "Clock set: the time before",
    Event.CLOCK_NEW: "Clock set: the time after",
}
_PHASE: Final = re.compile(r"l([123])$")
# The DCU and the waiting are the first tenth of the bar, so that it moves from the start.
_STATE_PERCENT: Final = {JobState.QUEUED: 3, JobState.OFFERED: 8}


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value with its name."""

    obis: str
    name: str
    value: str
    unit: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of a meter; ``detail`` is in the meter's own words."""

    at: float
    meter: str
    text: str
    detail: str
    log: str


@dataclass(frozen=True, slots=True)
class JobView:
    """How an on-demand read stands; ``at`` is when something last happened."""

    id: str
    meter: str
    who: str
    at: float
    active: bool
    failed: bool
    text: str
    percent: int
    results: tuple[ValueRow, ...]


def seconds(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table as rows with times as seconds UTC."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        row["time"] = int(row["time"].timestamp())
    return rows


def registers(services: Services, serial: str) -> list[ValueRow]:
    """Return a meter's newest stored registers, those of intervals left out."""
    return [
        value_row(row["channel"], row["value"], row["scaler"], row["unit"], row["time"])
        for row in seconds(services.readings.latest(serial))
        if row["profile"] != LOAD_PROFILE
    ]


def value_row(
    obis: str, value: object, scaler: int | None, unit: int | None, at: float | None = None
) -> ValueRow:
    """Return a value as a row: exact where it has a scaler."""
    name = describe(Obis.parse(obis))
    if isinstance(value, int) and not isinstance(value, bool) and scaler is not None:
        quantity = Quantity(value, scaler, Unit.COUNT if unit is None else unit)
        return ValueRow(obis, name, _exact(quantity), symbol(quantity.unit), at)
    return ValueRow(obis, name, _short(str(value)), "" if unit is None else symbol(unit), at)


def _exact(quantity: Quantity) -> str:
    if abs(quantity.scaler) > MAX_SCALER:
        return _short(f"{quantity.value}×10^{quantity.scaler}")
    return _short(number(quantity.decimal()))


def _short(text: str) -> str:
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}…"


def job_view(job: Job) -> JobView:
    """Return how an on-demand read stands."""
    text = JOB_TEXTS[job.state]
    if job.state is JobState.FAILED:
        text = f"{text}: {job.error_message or job.error_code}."
    return JobView(
        id=job.id,
        meter=job.meter,
        who=job.who,
        at=job.updated,
        active=not job.final,
        failed=job.state in {JobState.FAILED, JobState.EXPIRED},
        text=text,
        percent=_STATE_PERCENT.get(job.state, 10 + round(90 * job.progress)),
        results=tuple(map(_result, job.results)),
    )


def _result(result: TargetResult) -> ValueRow:
    obis = str(result.target.obis)
    if result.error is not None:
        return ValueRow(obis, describe(result.target.obis), f"error[{result.error}]", "")
    return value_row(obis, result.value, result.scaler, result.unit)


def event_rows(page: Page[MeterEvent]) -> list[EventRow]:
    """Return events as rows."""
    return [_event(event) for event in page.items]


def _event(event: MeterEvent) -> EventRow:
    log = describe(Obis.parse(event.log)).removeprefix("event log: ")
    return EventRow(event.time, event.meter, describe_event(event.code), event.detail or "", log)


def describe_event(code: int) -> str:
    """Return the meaning of an event's code in words; the code itself if it is not known."""
    try:
        event = Event(code)
    except ValueError:
        return f"Event {code}"
    return EVENT_TEXTS.get(event) or _PHASE.sub(r"on L\1", _spoken(event))


def _spoken(event: Event) -> str:
    return event.name.replace("_", " ").capitalize()
