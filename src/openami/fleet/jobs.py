"""Jobs: work that an operator asks of a meter through its DCU, as a pure state machine.

A job is offered to the DCU that looks after the meter, and the DCU reports on it. Nothing is
assumed of either side's memory: an offer that nobody takes up, and a job that nobody reports on,
is offered again when its lease is over, and every report may come twice.

              ┌───────────── LeaseEnded ─────────────┐
              ▼                                      │
    ──► queued ──Offered──► offered ──Started──► running ──Finished──► done
          │                    │                     │ └──Failed──────► failed
          └────────────────────┴──────Expired────────┴────────────────► expired

A report counts in ``queued`` too, since the DCU may be at work on an offer that was taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from openami.core.identifiers import check_serial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.core.obis import Obis

# A meter has some hundred objects; one request reads a screen of them.
MAX_ATTRIBUTES: Final = 512


class JobKind(StrEnum):
    """What a job asks for."""

    READ = "read"


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    OFFERED = "offered"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"


FINAL_STATES: Final = frozenset({JobState.DONE, JobState.FAILED, JobState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Target:
    """One attribute of one COSEM object."""

    class_id: int
    obis: Obis
    attribute: int


@dataclass(frozen=True, slots=True)
class TargetResult:
    """What reading one attribute gave: a JSON value with scaler and unit, or an error's code."""

    target: Target
    value: Any = None
    scaler: int | None = None
    unit: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Times are seconds since 1970-01-01T00:00:00Z. ``expires`` is when nobody wants the answer any
    more, ``lease_until`` when an offer or a running job is given up and offered again.
    """

    id: str
    meter: str
    dcu: str
    who: str
    created: float
    expires: float
    targets: tuple[Target, ...] = ()
    kind: JobKind = JobKind.READ
    state: JobState = JobState.QUEUED
    updated: float = 0.0
    lease_until: float | None = None
    offers: int = 0
    progress: float = 0.0
    results: tuple[TargetResult, ...] = field(default=(), repr=False)
    error_code: str | None = None
    error_message: str = ""

    def __post_init__(self) -> None:
        check_serial(self.meter)
        if len(self.targets) > MAX_ATTRIBUTES:
            raise ValueError(f"a job reads at most {MAX_ATTRIBUTES} attributes")

    @property
    def final(self) -> bool:
        """Whether nothing can happen to the job any more."""
        return self.state in FINAL_STATES


@dataclass(frozen=True, slots=True)
class Offered:
    """The job was handed to its DCU, which has until ``lease_until`` to say something."""

    now: float
    lease_until: float


@dataclass(frozen=True, slots=True)
class Started:
    """The DCU is at work, ``progress`` (0 to 1) of it done."""

    now: float
    lease_until: float
    progress: float = 0.0
    results: tuple[TargetResult, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """The DCU has the answer."""

    now: float
    results: tuple[TargetResult, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """The DCU could not do it."""

    now: float
    code: str
    message: str = ""
    results: tuple[TargetResult, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class TimePassed:
    """It is ``now``: a lease or the whole job may be over."""

    now: float


JobEvent = Offered | Started | Finished | Failed | TimePassed


@dataclass(frozen=True, slots=True)
class WakeDcu:
    """Tell the DCU's waiting poll that there is work; harmless when repeated."""

    dcu: str


@dataclass(frozen=True, slots=True)
class JobChanged:
    """Tell who watches the job; harmless when repeated."""

    job: Job


Effect = WakeDcu | JobChanged

_OPEN: Final = frozenset({JobState.QUEUED, JobState.OFFERED, JobState.RUNNING})

# In which states an event means anything; elsewhere it changes nothing, for it is a repeat or late.
LEGAL: Final[Mapping[type[JobEvent], frozenset[JobState]]] = {
    Offered: frozenset({JobState.QUEUED}),
    Started: _OPEN,
    Finished: _OPEN,
    Failed: _OPEN,
    TimePassed: _OPEN,
}


def next_state(job: Job, event: JobEvent) -> tuple[Job, tuple[Effect, ...]]:
    """Return the job after ``event``, and what is to be done about it.

    A repeated or late event returns the very same job and no effects.
    """
    if job.state not in LEGAL[type(event)]:
        return job, ()
    match event:
        case Offered():
            moved = _offer(job, event)
        case Started():
            moved = _start(job, event)
        case Finished():
            moved = _close(job, JobState.DONE, event.now, results=event.results, progress=1.0)
        case Failed():
            moved = _fail(job, event)
        case TimePassed():
            moved = _pass_time(job, event)
    if moved is job:
        return job, ()
    wake = (WakeDcu(job.dcu),) if moved.state is JobState.QUEUED else ()
    return moved, (*wake, JobChanged(moved))


def created(job: Job) -> tuple[Effect, ...]:
    """Return what is to be done about a job that was just stored."""
    return (WakeDcu(job.dcu), JobChanged(job))


def _offer(job: Job, event: Offered) -> Job:
    return replace(
        job,
        state=JobState.OFFERED,
        updated=event.now,
        lease_until=event.lease_until,
        offers=job.offers + 1,
    )


def _start(job: Job, event: Started) -> Job:
    return replace(
        job,
        state=JobState.RUNNING,
        updated=event.now,
        lease_until=event.lease_until,
        progress=max(job.progress, min(max(event.progress, 0.0), 1.0)),
        results=event.results or job.results,
    )


def _fail(job: Job, event: Failed) -> Job:
    return _close(
        job,
        JobState.FAILED,
        event.now,
        results=event.results or job.results,
        error_code=event.code,
        error_message=event.message,
    )


def _pass_time(job: Job, event: TimePassed) -> Job:
    if event.now >= job.expires:
        return _close(
            job,
            JobState.EXPIRED,
            event.now,
            error_code="job.expired",
            error_message="the DCU did not answer in time",
        )
    if job.lease_until is None or event.now < job.lease_until:
        return job
    return replace(job, state=JobState.QUEUED, updated=event.now, lease_until=None)


def _close(job: Job, state: JobState, now: float, **changes: Any) -> Job:
    return replace(job, state=state, updated=now, lease_until=None, **changes)
