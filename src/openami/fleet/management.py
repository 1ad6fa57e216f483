"""What the management of trees asks of its stores; calls block, as those of ``fleet.ports``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from openami.core.quick import quick
from openami.fleet.desired import step_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.fleet.desired import Group, KnownNode, Scope, Setting, Wish
    from openami.fleet.known import TreeChange
    from openami.fleet.ports import DeviceFilter, Page
    from openami.fleet.tasks import ManagementJob, Task, TaskKind, TaskState, Ticket


@quick
class Outcome:
    """A node that a device was told to change, and what it said.

    Attributes:
        origin: who wants it, or the job.
        pushed: because it was wanted: a refusal is remembered.
        words: what the device said of a refusal.
        bond: names what was refused together with it; itself, if nothing was.
    """

    setting: Setting
    status: int
    origin: str
    pushed: bool = False
    words: str = ""
    bond: str = ""


@dataclass(frozen=True, slots=True)
class WishProgress:
    """How many devices of a group are as it wants them to be.

    Attributes:
        devices: those of the group that have an account.
        so: of them, those that are known to be as wanted.
        refused: those that have refused something of this node.
    """

    wish: Wish
    devices: int
    so: int
    refused: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How many devices of a group are not what they are wanted to be, by all that wants.

    Attributes:
        devices: those of the group, with an account or without.
        different: those that are known to be otherwise at some node.
        unseen: those that something is wanted of and whose tree was never looked at, or is to be
            looked at again: what they are is not known.
        refused: those that have refused something that is wanted of them.
    """

    devices: int = 0
    different: int = 0
    unseen: int = 0
    refused: int = 0

    @property
    def as_wanted(self) -> int:
        """Those that are neither; those that nothing is wanted of are among them."""
        return self.devices - self.different - self.unseen


@dataclass(frozen=True, slots=True)
class DifferentNode:
    """A node that is wanted otherwise than it was last known; ``known`` is None: it was not."""

    wish: Wish
    known: KnownNode | None

    @property
    def differs(self) -> bool:
        """Whether it is more than another form of what is wanted."""
        return step_kind(self.wish.setting, self.known) is not None

    @property
    def refused(self) -> bool:
        """Whether the device has refused just this."""
        known = self.known
        return known is not None and known.refused == self.wish.setting


@dataclass(frozen=True, slots=True)
class DifferentDevice:
    """A device that is not known to be as it is wanted to be.

    Attributes:
        known_at: when its tree was last seen; None: never, or it is to be looked at again, so that
            ``nodes`` is what was known before.
        nodes: the first that differ, by address.
        more: how many others do.
    """

    uid: str
    known_at: float | None
    nodes: tuple[DifferentNode, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job, and how many devices are how far."""

    job: ManagementJob
    counts: Mapping[TaskState, int]


class TreeRecords(Protocol):
    """What is wanted and what is known of devices' trees.

    What changes a wish also makes the devices that it concerns be woken, and forgets what they
    have refused in the objects that are touched, but not what was refused together; it returns
    how many devices that are.
    """

    def groups(self) -> Sequence[Group]:
        """Return all groups, those of low priority first."""
        ...

    def group(self, name: str) -> Group:
        """Return a group; NotFoundError."""
        ...

    def put_group(self, group: Group, *, who: str, now: float) -> int:
        """Make a group, or change it; ConflictError if there are too many."""
        ...

    def remove_group(self, name: str, *, who: str, now: float) -> int:
        """Remove a group with all that it wants; NotFoundError."""
        ...

    def check(self, scope: Scope) -> None:
        """Raise NotFoundError unless there is such a group, or device (registered or expected)."""
        ...

    def count(self, which: DeviceFilter) -> int:
        """Return how many DCUs a filter finds."""
        ...

    def want(self, scope: Scope, settings: Sequence[Setting], *, who: str, now: float) -> int:
        """Want these, in place of what was wanted of the same nodes.

        NotFoundError if there is no such group or device, ConflictError if it is too much.
        """
        ...

    def unwant(self, scope: Scope, uris: Sequence[str], *, who: str, now: float) -> int:
        """Want these no more; NotFoundError if one was not wanted."""
        ...

    def wishes(self, scope: Scope) -> Sequence[Wish]:
        """Return what is wanted, by address."""
        ...

    def wanted(self, uid: str) -> Mapping[str, Wish]:
        """Return what is wanted of a device by its groups and itself."""
        ...

    def groups_of(self, uid: str) -> Sequence[Group]:
        """Return the groups that a device belongs to."""
        ...

    def known(self, uid: str, *, below: str | None = None) -> Mapping[str, KnownNode]:
        """Return what is known of a device's tree, or of a part of it, by address."""
        ...

    def known_at(self, uid: str) -> float | None:
        """Return when the whole tree was last seen; None: it is to be looked at again."""
        ...

    def doubt(self, uid: str) -> None:
        """Have the tree looked at again in the next session."""
        ...

    def forgive(self, uid: str, *, who: str, now: float) -> int:
        """Have all that a device has refused sent again; return how many nodes that are."""
        ...

    def history(
        self, uid: str, *, uri: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[TreeChange]:
        """Return what has changed, newest first."""
        ...

    def purge(self, *, before: float, limit: int = 1000) -> int:
        """Forget up to ``limit`` changes from before a time; return how many."""
        ...

    def progress(self, name: str) -> Sequence[WishProgress]:
        """Return how far a group is what it wants to be, by address; NotFoundError.

        A device that a stronger group or its own wishes make otherwise is not so.
        """
        ...

    def standing(self, which: DeviceFilter) -> Standing:
        """Return how many DCUs of a filter are not what they are wanted to be."""
        ...

    def differences(
        self, which: DeviceFilter, *, after: str | None = None, limit: int = 100
    ) -> Page[DifferentDevice]:
        """Return the DCUs of a filter that are different or unseen, by UID."""
        ...

    def refused(
        self, which: DeviceFilter, *, after: str | None = None, limit: int = 100
    ) -> Page[tuple[str, KnownNode]]:
        """Return what DCUs have refused: UID and node, in their order."""
        ...

    def wake(self, uids: Sequence[str], *, now: float) -> int:
        """Have devices woken; return how many of them have an account."""
        ...


class TaskRecords(Protocol):
    """Jobs and tasks, moved only by ``openami.fleet.tasks.next_task``; here, and in dossiers."""

    def add(
        self,
        job: ManagementJob,
        *,
        wishes: Mapping[Scope, Sequence[Setting]] | None = None,
        ticket: Ticket | None = None,
    ) -> JobProgress:
        """Add a job with a task for every device that it finds, and have these woken.

        Devices without a live account have no part in it.

        Args:
            job: what is to be done.
            wishes: what is to be wanted from now on; all of it and the job, or nothing.
            ticket: of the request that asks for it.

        Returns:
            the job; that of before if the ticket has been here.

        Raises:
            ConflictError: ``dm.no-device``, there is none; ``dm.wanted``, a scope would want too
                much; ``dm.key``, the ticket's key has been here with another request.
            NotFoundError: one of those that were named has no account; there is no such scope.
        """
        ...

    def get(self, job_id: str) -> JobProgress:
        """Return a job; NotFoundError."""
        ...

    def list(
        self, *, uid: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[JobProgress]:
        """Return jobs, newest first; those that a device has a part in."""
        ...

    def tasks(
        self,
        job_id: str,
        *,
        state: TaskState | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Task]:
        """Return the tasks of a job by device."""
        ...

    def cancel(self, job_id: str, *, who: str, now: float) -> int:
        """Take back what was not yet sent of a job; return how many tasks that are."""
        ...

    def pass_time(
        self, *, now: float, limit: int = 1000
    ) -> Mapping[tuple[TaskKind, TaskState], int]:
        """End up to ``limit`` tasks that are overdue; return how many came to which state."""
        ...

    def purge(self, *, before: float, limit: int = 1000) -> int:
        """Forget up to ``limit`` tasks of a job that was over before a time, with the last the job.

        Returns:
            how many rows that were; 0: there is no such job.
        """
        ...
