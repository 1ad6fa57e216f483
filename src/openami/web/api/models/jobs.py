"""What the REST API takes and gives about on-demand reads."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from openami.core.clock import utc
from openami.core.units import symbol
from openami.fleet.jobs import MAX_ATTRIBUTES, Job, JobState, TargetResult
from openami.web.api.models.common import Cursor, ErrorDetail, Model


class TargetModel(Model):
    """One attribute of one COSEM object."""

    class_id: Annotated[int, Field(ge=0, le=0xFFFF, examples=[3])]
    obis: Annotated[str, Field(max_length=32, examples=["1.0.1.8.0.255"])]
    attribute: Annotated[int, Field(ge=1, le=127)] = 2


class ReadRequest(Model):
    """What is to be read from a meter, now."""

    attributes: Annotated[list[TargetModel], Field(min_length=1, max_length=MAX_ATTRIBUTES)]


class ResultModel(Model):
    """What reading one attribute gave: a value, or an error's code."""

    class_id: int
    obis: str
    attribute: int
    value: Any = None
    scaler: int | None
    unit: int | None
    symbol: str | None
    error: str | None

    @classmethod
    def of(cls, result: TargetResult) -> Self:
        """Return the model of a result."""
        target = result.target
        return cls(
            class_id=target.class_id,
            obis=str(target.obis),
            attribute=target.attribute,
            value=result.value,
            scaler=result.scaler,
            unit=result.unit,
            symbol=None if result.unit is None else symbol(result.unit),
            error=result.error,
        )


class JobModel(Model):
    """An on-demand read."""

    id: str
    meter: str
    dcu: str = Field(description="Who reads it; empty: the head-end itself.")
    who: str
    state: JobState
    progress: float = Field(description="0 to 1.")
    created: datetime
    updated: datetime
    expires: datetime
    attributes: list[TargetModel]
    results: list[ResultModel]
    error: ErrorDetail | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the model of a job."""
        return cls(
            id=job.id,
            meter=job.meter,
            dcu=job.dcu,
            who=job.who,
            state=job.state,
            progress=job.progress,
            created=utc(job.created),
            updated=utc(job.updated),
            expires=utc(job.expires),
            attributes=[
                TargetModel(class_id=t.class_id, obis=str(t.obis), attribute=t.attribute)
                for t in job.targets
            ],
            results=[ResultModel.of(result) for result in job.results],
            error=ErrorDetail(code=job.error_code, message=job.error_message, hint=None)
            if job.error_code
            else None,
        )


class JobPage(Model):
    """Some on-demand reads, newest first."""

    items: list[JobModel]
    next: Cursor
