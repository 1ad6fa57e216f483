"""What is kept of one device, while a session with it asks what it shall do.

Dossiers of many devices are read together and written together, in one transaction; between the two
each is changed here, by the rules of trees and tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from openami.fleet.desired import is_below, object_of
from openami.fleet.known import learn, settle
from openami.fleet.tasks import WAITING_STATES, Lost, Sent, TaskState, next_task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from openami.fleet.desired import KnownNode, Wish
    from openami.fleet.known import Lesson, TreeChange
    from openami.fleet.management import Outcome
    from openami.fleet.tasks import ManagementJob, Task, TaskEvent

FACTS: Final = "./DevInfo"
"""What every session begins with."""
# What a device is. Another software, or another device, may take what this one has refused.
_TELLING: Final = frozenset({FACTS, "./DevDetail"})


class Dossiers(Protocol):
    """Keeps the dossiers of devices."""

    def opened(
        self, uids: Collection[str], *, now: float, begin: Collection[str] = ()
    ) -> AbstractContextManager[Mapping[str, Dossier]]:
        """Give the block the dossiers of devices, by UID; at its end, keep what it has changed.

        If the block raises, nothing is kept.

        Args:
            uids: of the devices, with an account or without.
            now: UTC seconds; of tasks that are over by then nothing is read.
            begin: those of them that begin a session, so that their facts are asked for.

        Raises:
            StoreError: nothing is kept; from within the block, nothing will be.
        """
        ...


class Reader(Protocol):
    """Reads on, where the dossiers of one moment come from."""

    def named(self, uid: str, uris: Sequence[str]) -> Mapping[str, KnownNode]:
        """Return what is known of some nodes of a device, by address."""
        ...

    def below(self, uid: str, tops: Sequence[str]) -> Mapping[str, KnownNode]:
        """Return what is known of some nodes of a device and all below them, by address."""
        ...

    def task(self, uid: str, job: str) -> Task:
        """Return a device's task of a job; NotFoundError."""
        ...


@dataclass(slots=True)
class Changed:
    """What has changed in a dossier.

    Attributes:
        nodes: addresses of nodes that are other than before, or are known no more.
        tasks: jobs whose task has moved.
        history: what is to be told of it.
        known: whether ``known_at`` has.
        wake: when the device shall be woken.
    """

    nodes: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)
    history: list[TreeChange] = field(default_factory=list)
    known: bool = False
    wake: float | None = None


@dataclass(slots=True)
class Dossier:
    """What is kept of one device.

    Attributes:
        known_at: when the whole tree was last seen; None: it is to be looked at.
        wanted: by address.
        nodes: what is known of all that is wanted, that its waiting tasks set, or that it has
            refused, by address; None: nothing is. What else is known is read when it is needed.
        complete: nodes below which everything was read.
        jobs: those that it has a waiting task of, oldest first.
        tasks: by job; those of ``jobs`` and maybe others.
    """

    uid: str
    reader: Reader
    known_at: float | None = None
    wanted: Mapping[str, Wish] = field(default_factory=dict)
    nodes: dict[str, KnownNode | None] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    jobs: Mapping[str, ManagementJob] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    changed: Changed = field(default_factory=Changed)

    # The tree.

    @property
    def known(self) -> Mapping[str, KnownNode]:
        """What is known of the nodes that were read, by address."""
        return {uri: node for uri, node in self.nodes.items() if node is not None}

    def below(self, tops: Sequence[str]) -> Mapping[str, KnownNode]:
        """Return what is known of some nodes and all below them, by address."""
        missing = [top for top in tops if top not in self.complete]
        if missing:
            self.nodes = {**self.reader.below(self.uid, missing), **self.nodes}
            self.complete.update(missing)
        return {
            uri: node
            for uri, node in sorted(self.known.items())
            if any(uri == top or is_below(uri, top) for top in tops)
        }

    def saw(
        self, tops: Sequence[str], nodes: Sequence[KnownNode], *, now: float, whole: bool
    ) -> None:
        """Take what a look has found below some nodes; ``whole``: that was all of the tree."""
        lesson = learn(self.uid, self.below(tops), nodes, now=now, origin="device")
        self._take(lesson)
        if any(object_of(change.uri) in _TELLING for change in lesson.changes):
            self._forgive()
        if whole:
            self._know(now)

    def settle(self, outcomes: Sequence[Outcome], *, now: float) -> None:
        """Take what became of changes."""
        before = dict(self._named([one.setting.uri for one in outcomes]))
        # What goes takes with it what stands below; what is set is a leaf.
        if gone := [one.setting.uri for one in outcomes if one.setting.absent]:
            before.update(self.below(gone))
        lesson = settle(self.uid, before, outcomes, now=now)
        self._take(lesson)
        if lesson.touched:
            self._forgive(lesson.touched)

    def doubt(self) -> None:
        """Have the tree looked at again in the next session."""
        self._know(None)

    def wake(self, at: float) -> None:
        """Have the device woken."""
        self.changed.wake = at

    # Tasks.

    @property
    def waiting(self) -> bool:
        """Whether there are tasks for it."""
        return any(task.state in WAITING_STATES for task in self.tasks.values())

    def start(self, *, now: float, fresh: bool, limit: int) -> Sequence[tuple[ManagementJob, Task]]:
        """Move the tasks of a session that begins or goes on; return those moved, oldest first.

        Those that are sent by that are the session's to tell.

        Args:
            now: UTC seconds.
            fresh: the session has just begun: whatever counts as sent was lost with an older one.
            limit: how many are sent.
        """
        moved: dict[str, Task] = {}
        if fresh:
            lost = list(self._in(TaskState.SENT))
            moved.update((task.job, self._move(task, Lost(now))) for task in lost)
        due = list(self._in(TaskState.QUEUED))[:limit]
        moved.update((task.job, self._move(task, Sent(now))) for task in due)
        return tuple((job, moved[job.id]) for job in self.jobs.values() if job.id in moved)

    def apply(self, job: str, event: TaskEvent) -> Task:
        """Move a task; NotFoundError."""
        task = self.tasks.get(job)
        return self._move(self.reader.task(self.uid, job) if task is None else task, event)

    def discard(self) -> None:
        """Let nothing of it be kept."""
        self.changed = Changed()

    # How.

    def _in(self, state: TaskState) -> Iterator[Task]:
        waiting = (self.tasks[job] for job in self.jobs)
        return (task for task in waiting if task.state is state)

    def _move(self, task: Task, event: TaskEvent) -> Task:
        after = next_task(task, event)
        self.tasks[task.job] = after
        if after is not task:
            self.changed.tasks.add(task.job)
        return after

    def _named(self, uris: Sequence[str]) -> Mapping[str, KnownNode]:
        if missing := [uri for uri in uris if uri not in self.nodes]:
            self.nodes.update(dict.fromkeys(missing))
            self.nodes.update(self.reader.named(self.uid, missing))
        return {uri: node for uri in uris if (node := self.nodes[uri]) is not None}

    def _take(self, lesson: Lesson) -> None:
        self._put({**dict.fromkeys(lesson.gone), **{node.uri: node for node in lesson.kept}})
        self.changed.history += lesson.changes

    def _put(self, nodes: Mapping[str, KnownNode | None]) -> None:
        self.nodes.update(nodes)
        self.changed.nodes.update(nodes)

    def _forgive(self, objects: Collection[str] | None = None) -> None:
        """Forget what it has refused of some objects, or of all; what belongs together does."""
        refused = [
            node
            for uri, node in self.known.items()
            if node.refused is not None and (objects is None or object_of(uri) in objects)
        ]
        self._put(
            {node.uri: replace(node, refused=None, status=None, words="") for node in refused}
        )

    def _know(self, at: float | None) -> None:
        self.known_at = at
        self.changed.known = True
