"""What the REST API takes and gives about jobs for devices."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.management import JobProgress
from openami.fleet.tasks import (
    MAX_COMMANDS,
    MAX_DEVICES,
    OPEN_STATES,
    Command,
    Result,
    Task,
    TaskKind,
    TaskState,
)
from openami.headend.management.tasks import DEFAULT_EXPIRY_S, LONGEST_S
from openami.web.api.models.common import Cursor, Model
from openami.web.api.models.dm import Address, FilterModel, SettingModel, Text


class DmJobRequest(Model):
    """What DCUs are to do, once: those of `devices`, of `group`, or all that `filter` finds."""

    kind: TaskKind
    uris: Annotated[list[Address], Field(max_length=MAX_COMMANDS)] = Field(
        default_factory=list, description="What is read, or the one node that is executed."
    )
    settings: Annotated[list[SettingModel], Field(max_length=MAX_COMMANDS)] = Field(
        default_factory=list, description="What is set: all of it or, at one device, nothing."
    )
    data: str = Field("", max_length=4096, description="What is handed to a node with exec.")
    devices: Annotated[
        list[Annotated[str, Field(max_length=32)]], Field(max_length=MAX_DEVICES)
    ] = Field(default_factory=list)
    group: Text = None
    filter: FilterModel | None = None
    keep: bool = Field(
        default=False, description="Also want it so from now on, of these devices or this group."
    )
    repeatable: bool = Field(
        default=False,
        description="Execute again where nobody knows whether it was executed.",
    )
    expires_s: Annotated[float, Field(gt=0, le=LONGEST_S)] = DEFAULT_EXPIRY_S
    why: str = Field("", max_length=500)


class CommandModel(Model):
    """One node that is read, set or executed."""

    uri: str
    format: str
    value: str

    @classmethod
    def of(cls, command: Command) -> Self:
        """Return the model of a command."""
        return cls(uri=command.uri, format=command.format, value=command.value)


class DmJobModel(Model):
    """A job, and how many devices are how far."""

    id: str
    kind: TaskKind
    commands: list[CommandModel]
    who: str
    why: str
    created: datetime
    expires: datetime
    filter: FilterModel | None
    devices: list[str] = Field(description="Those that were named; empty for a filter.")
    repeatable: bool
    total: int = Field(description="Devices that have a part in it.")
    open: int = Field(description="Those that have not answered yet, or have accepted and go on.")
    counts: dict[TaskState, int] = Field(examples=[{"done": 4, "failed": 1}])

    @classmethod
    def of(cls, progress: JobProgress) -> Self:
        """Return the model of a job."""
        job, counts = progress.job, progress.counts
        return cls(
            id=job.id,
            kind=job.kind,
            commands=[CommandModel.of(command) for command in job.commands],
            who=job.who,
            why=job.why,
            created=utc(job.created),
            expires=utc(job.expires),
            filter=None if job.which is None else FilterModel.of(job.which),
            devices=list(job.devices),
            repeatable=job.repeatable,
            total=sum(counts.values()),
            open=sum(counts.get(state, 0) for state in OPEN_STATES),
            counts=dict(counts),
        )


class DmJobPage(Model):
    """Jobs, newest first."""

    items: list[DmJobModel]
    next: Cursor


class TaskResultModel(Model):
    """What came of one command, or one node that was read."""

    uri: str
    status: int
    format: str
    value: str | None = Field(description="Of a node; or what the device says of its refusal.")

    @classmethod
    def of(cls, result: Result) -> Self:
        """Return the model of a result."""
        return cls(uri=result.uri, status=result.status, format=result.format, value=result.value)


class TaskModel(Model):
    """What one device has to do of a job, and what came of it."""

    device: str
    state: TaskState
    status: int | None = Field(description="Of the whole, such as 200.")
    attempts: int
    updated: datetime
    results: list[TaskResultModel]

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the model of a task."""
        return cls(
            device=task.uid,
            state=task.state,
            status=task.status,
            attempts=task.attempts,
            updated=utc(task.updated),
            results=[TaskResultModel.of(result) for result in task.results],
        )


class TaskPage(Model):
    """Tasks of a job, by device."""

    items: list[TaskModel]
    next: Cursor
