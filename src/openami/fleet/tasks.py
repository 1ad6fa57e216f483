"""Jobs for the management trees of many devices, and the task of each device, as a state machine.

A job names commands and devices; each device has one task of it. A task is sent in the next
session with its device. When a session breaks off after that, or the head-end dies, nobody knows
whether the device has acted: reading and setting are then done again, and so is executing if the
job says that twice does no harm; else the task ends as unknown.

              ┌─── Lost (again), Unsent ─────┐
              ▼                              │
    ──► queued ────────── Sent ──────────► sent ──Answered──► done, failed
          │                                  │                   ▲
          ├── Cancelled ──► cancelled        │              Concluded
          │                                  │                   │
          │                                  ├──Answered──► accepted ──Overdue──► unknown
          │                                  │   (202)
          │                                  ├──Lost (once, or too often)──► unknown, failed
          └── Overdue ────► expired          └──Overdue──► expired (once: unknown)

What comes late, an answer or a conclusion, counts all the same: it is what the device has done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.quick import quick
from openami.fleet.known import succeeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.fleet.ports import DeviceFilter

MAX_COMMANDS: Final = 64
"""Commands of a job: what a person types or a screen sets at once."""
MAX_RESULTS: Final = 2048
"""Nodes in the results of one task: a whole object of 500 meters."""
MAX_RESULT: Final = 4096
"""Characters of one value in the results; what is longer is cut."""
MAX_ATTEMPTS: Final = 5
"""Sessions that may break off over one task: the task may well be what breaks them."""
MAX_KEY: Final = 128
"""Characters of a ticket's key: a UUID has 36. It is forgotten with its job."""
MAX_DEVICES: Final = 1000
"""Devices that a job may name one by one; a filter finds any number."""


class TaskKind(StrEnum):
    """What a job has devices do."""

    GET = "get"
    SET = "set"
    EXEC = "exec"


class TaskState(StrEnum):
    """How far a task is."""

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


WAITING_STATES: Final = frozenset({TaskState.QUEUED, TaskState.SENT})
"""The device has yet to answer."""
OPEN_STATES: Final = WAITING_STATES | {TaskState.ACCEPTED}
"""Something is still to happen."""


@quick
class Command:
    """One node that is read, set or executed; what is read has no value."""

    uri: str
    format: str = ""
    value: str = ""


@quick
class Result:
    """What came of one command, or one node that was read."""

    uri: str
    status: int
    format: str = ""
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ManagementJob:
    """What many devices are to do.

    Attributes:
        which: devices by a filter; None: those of ``devices``.
        devices: by their UIDs.
        repeatable: what is executed may be executed twice.
    """

    id: str
    kind: TaskKind
    commands: tuple[Command, ...]
    who: str
    created: float
    expires: float
    which: DeviceFilter | None = None
    devices: tuple[str, ...] = ()
    why: str = ""
    repeatable: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.commands) <= MAX_COMMANDS:
            raise ValueError(f"a job has 1 to {MAX_COMMANDS} commands")
        if self.kind is TaskKind.EXEC and len(self.commands) > 1:
            raise ValueError("a job executes one node")
        if (self.which is None) != bool(self.devices) or len(self.devices) > MAX_DEVICES:
            raise ValueError(f"a job is for a filter, or for 1 to {MAX_DEVICES} devices")

    @property
    def once(self) -> bool:
        """Whether a task that may have been carried out must not be sent again."""
        return self.kind is TaskKind.EXEC and not self.repeatable


@dataclass(frozen=True, slots=True)
class Ticket:
    """What tells a request that is made again from another one.

    Attributes:
        key: chosen by who asks, and never again for anything else.
        digest: of what is asked for.
    """

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Task:
    """What one device has to do of a job.

    Attributes:
        attempts: how often it was sent.
        status: of the whole, once it is answered.
    """

    job: str
    uid: str
    expires: float
    once: bool = False
    state: TaskState = TaskState.QUEUED
    updated: float = 0.0
    attempts: int = 0
    status: int | None = None
    results: tuple[Result, ...] = ()

    @property
    def open(self) -> bool:
        """Whether something is still to happen."""
        return self.state in OPEN_STATES


@dataclass(frozen=True, slots=True)
class Sent:
    """It goes out in a session."""

    now: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The device has answered."""

    now: float
    status: int
    results: tuple[Result, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """The session is over without an answer."""

    now: float


@dataclass(frozen=True, slots=True)
class Unsent:
    """The session is over, and it did not go out."""

    now: float


@dataclass(frozen=True, slots=True)
class Overdue:
    """Nobody wants it any more."""

    now: float


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A person has taken it back."""

    now: float


@dataclass(frozen=True, slots=True)
class Concluded:
    """The device says how ended what it had accepted (202) for processing."""

    now: float
    result: Result


TaskEvent = Sent | Answered | Lost | Unsent | Overdue | Cancelled | Concluded
_S = TaskState

# By state, event, and whether it may be done but once. What is not here changes nothing: it is a
# repeat, or too late. A bad status makes ``failed`` of ``done``, a 202 ``accepted``; too many
# attempts make ``failed`` of ``queued``.
TRANSITIONS: Final[Mapping[tuple[TaskState, type[TaskEvent], bool], TaskState]] = MappingProxyType(
    {
        **{(_S.QUEUED, Sent, once): _S.SENT for once in (False, True)},
        **{(_S.SENT, Unsent, once): _S.QUEUED for once in (False, True)},
        **{(_S.QUEUED, Cancelled, once): _S.CANCELLED for once in (False, True)},
        **{(_S.QUEUED, Overdue, once): _S.EXPIRED for once in (False, True)},
        **{
            (state, Answered, once): _S.DONE
            for state in (_S.QUEUED, _S.SENT, _S.EXPIRED, _S.UNKNOWN)
            for once in (False, True)
        },
        **{  # its session may have broken off before it could answer
            (state, Concluded, once): _S.DONE
            for state in (_S.QUEUED, _S.SENT, _S.ACCEPTED, _S.EXPIRED, _S.UNKNOWN)
            for once in (False, True)
        },
        **{(_S.ACCEPTED, Overdue, once): _S.UNKNOWN for once in (False, True)},
        (_S.SENT, Lost, False): _S.QUEUED,
        (_S.SENT, Lost, True): _S.UNKNOWN,
        (_S.SENT, Overdue, False): _S.EXPIRED,
        (_S.SENT, Overdue, True): _S.UNKNOWN,
    }
)
ACCEPTED: Final = 202


def next_task(task: Task, event: TaskEvent) -> Task:
    """Return the task after ``event``; a repeated or late event returns the very same task."""
    state = TRANSITIONS.get((task.state, type(event), task.once))
    if state is None:
        return task
    match event:
        case Answered():
            return _ended(task, event.now, event.status, event.results)
        case Concluded():
            begun = tuple(result for result in task.results if result.status != ACCEPTED)
            return _ended(task, event.now, event.result.status, (*begun, event.result))
        case Lost() if state is TaskState.QUEUED and task.attempts >= MAX_ATTEMPTS:
            state = TaskState.FAILED
        case _:
            attempts = task.attempts + isinstance(event, Sent) - isinstance(event, Unsent)
            task = replace(task, attempts=attempts)
    return replace(task, state=state, updated=event.now)


def _ended(task: Task, now: float, status: int, results: tuple[Result, ...]) -> Task:
    good = TaskState.ACCEPTED if status == ACCEPTED else TaskState.DONE
    state = good if succeeded(status) else TaskState.FAILED
    return replace(task, state=state, updated=now, status=status, results=results[:MAX_RESULTS])
