"""What is remembered of a device, and what its session waits for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openami.fleet.desired import Step
    from openami.fleet.tasks import ManagementJob


@dataclass(frozen=True, slots=True)
class Look:
    """The device is asked what stands below a node."""

    top: str


@dataclass(frozen=True, slots=True)
class Push:
    """The device is told what is wanted of it."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """The device is told its task of a job.

    Attributes:
        plain: it only gives new values to leaves that are known.
    """

    job: ManagementJob
    plain: bool = False


@dataclass(slots=True)
class Pending:
    """What one session waits for.

    Attributes:
        waiting: what was ordered, by the order's id.
        rounds: packages so far.
        known: nothing was said against what is known of the tree.
        fresh: no task was sent yet.
        pushes: what is wanted may still be told.
        together: the device has not said that it knows no Atomic.
        look: objects that are to be looked at.
        looked: objects and jobs that nobody can be mistaken about any more.
        redo: jobs to be told again after that.
    """

    waiting: dict[str, Look | Push | Work] = field(default_factory=dict)
    rounds: int = 0
    known: bool = True
    fresh: bool = True
    pushes: bool = True
    together: bool = True
    look: set[str] = field(default_factory=set)
    looked: set[str] = field(default_factory=set)
    redo: list[ManagementJob] = field(default_factory=list)

    def copy(self) -> Pending:
        """Return another that changes without this one."""
        return replace(
            self,
            waiting=dict(self.waiting),
            look=set(self.look),
            looked=set(self.looked),
            redo=list(self.redo),
        )


@dataclass(slots=True)
class Memory:
    """What is remembered of a device.

    Attributes:
        session: that it is in.
        looked_at: when its whole tree was last seen, UTC seconds.
        rests: until then its tree is taken for known, though the device says that it has changed.
    """

    session: Pending | None = None
    looked_at: float = -math.inf
    rests: float = -math.inf

    def copy(self) -> Memory:
        """Return another that changes without this one."""
        return replace(self, session=None if self.session is None else self.session.copy())
