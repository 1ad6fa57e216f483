"""What DCUs say in JSON, bounded and checked."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from openami.core.identifiers import SystemTitle, check_serial
from openami.core.obis import Obis
from openami.fleet.devices import Contact, DeviceKind, Fault, Sighting
from openami.fleet.jobs import (
    MAX_ATTRIBUTES,
    Failed,
    Finished,
    JobEvent,
    Started,
    Target,
    TargetResult,
)
from openami.headend.reports import DcuFigures

if TYPE_CHECKING:
    from collections.abc import Mapping

METERS: Final = 4096  # on one DCU: a power line segment has some hundred
BIG: Final = 2**53  # of a counter: what JSON numbers hold exactly everywhere

Counter = Annotated[int, Field(ge=0, le=BIG)]
Serial = Annotated[str, AfterValidator(check_serial)]
Text = Annotated[str, Field(max_length=128)]
Code = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9.-]+$")]
Address = Annotated[str, Field(max_length=32)]
Words = Annotated[str, Field(max_length=500)]


class _Message(BaseModel):
    """Names that we do not know are passed over: a newer DCU may say more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Line(_Message):
    """The line that a DCU's meters are on; ``conflicts`` is who answers where nobody should."""

    up: bool | None = None
    frames: Counter = 0
    errors: Counter = 0
    conflicts: Annotated[dict[Address, Words], Field(max_length=METERS)] = {}


class DcuStatus(_Message):
    """What a DCU says of itself."""

    version: Text = ""
    uptime_s: Annotated[float, Field(ge=0, le=BIG, allow_inf_nan=False)] = 0.0
    spool_batches: Counter = 0
    spool_octets: Counter = 0
    spool_full: bool = False
    refused_batches: Counter = 0
    line: Line = Line()
    wake_port: Annotated[int, Field(ge=1, le=0xFFFF)] | None = None


class ErrorStatus(_Message):
    """What went wrong with a meter or a job."""

    code: Code
    message: Words = ""


class ReportedContact(StrEnum):
    """How a DCU stands with a meter."""

    DISCOVERED = "discovered"
    READING = "reading"
    OK = "ok"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


class MeterStatus(_Message):
    """What a DCU says of one of its meters."""

    serial: Serial
    system_title: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{16}$")] | None = None
    logical_device_name: Text | None = None
    address: Annotated[str | int | None, Field(union_mode="left_to_right")] = None
    model: Text | None = None
    firmware: Text | None = None
    state: ReportedContact
    last_read: AwareDatetime | None = None
    clock_offset_s: Annotated[float, Field(allow_inf_nan=False)] | None = None
    error: ErrorStatus | None = None

    def sighting(self, dcu: str) -> Sighting:
        """Return it as the registry takes it."""
        return Sighting(
            kind=DeviceKind.METER,
            serial=self.serial,
            system_title=SystemTitle.parse(self.system_title) if self.system_title else None,
            logical_device_name=self.logical_device_name or "",
            model=self.model or "",
            firmware=self.firmware or "",
            dcu=dcu,
            address="" if self.address is None else str(self.address)[:128],
            contact=Contact(self.state.value),
            last_read=self.last_read.timestamp() if self.last_read else None,
            clock_offset=self.clock_offset_s,
            fault=Fault(self.error.code, self.error.message) if self.error else None,
        )


class Report(_Message):
    """One report."""

    dcu: DcuStatus = DcuStatus()
    meters: Annotated[tuple[MeterStatus, ...], Field(max_length=METERS)] = ()

    def figures(self, *, now: float) -> DcuFigures:
        """Return what the DCU says of itself, received at ``now``."""
        status = self.dcu
        return DcuFigures(
            received=now,
            version=status.version,
            uptime_s=status.uptime_s,
            spool_batches=status.spool_batches,
            spool_octets=status.spool_octets,
            spool_full=status.spool_full,
            refused_batches=status.refused_batches,
            frames=status.line.frames,
            errors=status.line.errors,
            line_up=status.line.up,
            line_conflicts=status.line.conflicts,
        )


def _obis(text: str) -> str:
    return str(Obis.parse(text))


def _finite(value: Any) -> Any:
    """Refuse NaN and infinity, which Python's parser takes and JSON does not have (RFC 8259, 6)."""
    json.dumps(value, allow_nan=False)
    return value


class Result(_Message):
    """What reading one attribute gave: a value, or an error's code."""

    class_id: Annotated[int, Field(ge=0, le=0xFFFF)]
    obis: Annotated[str, AfterValidator(_obis)]
    attribute: Annotated[int, Field(ge=-128, le=127)]
    value: Annotated[Any, AfterValidator(_finite)] = None
    scaler: Annotated[int, Field(ge=-128, le=127)] | None = None
    unit: Annotated[int, Field(ge=0, le=255)] | None = None
    error: Code | None = None

    def result(self) -> TargetResult:
        """Return it as a job holds it."""
        target = Target(self.class_id, Obis.parse(self.obis), self.attribute)
        return TargetResult(target, self.value, self.scaler, self.unit, self.error)


class ReportedJob(StrEnum):
    """How far a DCU is with a job."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class JobReport(_Message):
    """What a DCU says of a job."""

    state: ReportedJob
    progress: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    results: Annotated[tuple[Result, ...], Field(max_length=MAX_ATTRIBUTES)] = ()
    error: ErrorStatus | None = None

    def event(self, *, now: float, lease: float) -> JobEvent:
        """Return it as the job's state machine takes it."""
        results = tuple(result.result() for result in self.results)
        error = self.error or ErrorStatus(code="job.failed")
        events: Mapping[ReportedJob, JobEvent] = {
            ReportedJob.RUNNING: Started(now, lease, self.progress, results),
            ReportedJob.DONE: Finished(now, results),
            ReportedJob.FAILED: Failed(now, error.code, error.message, results),
        }
        return events[self.state]
