"""SCHED: what the DCU does by itself, when its tree says so."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.clock import utc
from openami.core.errors import OpenAmiError
from openami.dcu.threads import on_loop
from openami.omadm.codes import Status
from openami.omadm.objects.sched import PLACE, SchedTask, TaskState, tasks
from openami.omadm.objects.values import moment
from openami.omadm.tree.node import Format, Node, find
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.tree import Execution
from openami.transport.clock import speed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.core.clock import Clock
    from openami.dcu.flow import Stop
    from openami.dcu.threads import WorkThread
    from openami.omadm.tree.draft import Change
    from openami.omadm.tree.tree import ManagementTree

REST_MOST_S: Final = 60.0
"""A rest ends after this long at the latest, since the DCU's clock may be set meanwhile."""
SET_BACK_S: Final = 60.0
"""A last run further ahead than this was by a clock that has been set back since."""
_OWN: Final = frozenset({"State", "LastRun", "NextRun", "LastStatus"})

log = structlog.get_logger("dcu.schedule")


class Scheduler:
    """Executes the tasks of a tree; a ``Listener`` of its SCHED.

    A time that the DCU slept through is made up for once. A task that repeats and was never run
    begins with the first time after it was seen. A clock that is set back does not hold up what
    repeats until the time is come again.

    Args:
        tree: the DCU's.
        uid: gives the DCU its own place in the spread of a task.
        clock: the DCU's.
        stop: ends the loop.
        thread: of all that changes the tree.
        failed: is told, on that thread, of a task whose operation was not carried out, with its
            status.
    """

    def __init__(
        self,
        tree: ManagementTree,
        uid: str,
        clock: Clock,
        stop: Stop,
        thread: WorkThread,
        *,
        failed: Callable[[SchedTask, int], None] = lambda _task, _status: None,
    ) -> None:
        self._tree = tree
        self._uid = uid
        self._clock = clock
        self._stop = stop
        self._thread = thread
        self._failed = failed
        self._began = clock.now()
        self.nudge = asyncio.Event()
        """Set it when a task may be due sooner than it was."""
        self._wake: Callable[[], None] = self.nudge.set

    def check(self, tree: Node, changes: Sequence[Change]) -> None:
        """Refuse to be given a task whose operation this DCU does not know."""
        given = {change.path[1] for change in changes if change.path[2:] == ("Operation",)}
        for task in tasks(tree):
            if task.name in given and self._tree.executor(self._tree.path(task.operation)) is None:
                raise TreeRefusedError(
                    Status.COMMAND_FAILED, f"nothing here executes {task.operation}"
                )

    def changed(self, changes: Sequence[Change]) -> None:
        if any(change.path[-1] not in _OWN for change in changes):
            self._wake()

    async def run(self) -> None:
        """Execute what is due, until the DCU ends."""
        self._wake = on_loop(self.nudge.set)
        while not self._stop:
            self.nudge.clear()
            try:
                wait = await self._thread.do(self._round)
            except OpenAmiError as error:  # no room to note what is done: nothing is done then
                log.warning("tasks wait", code=error.code, error=error.message)
                wait = REST_MOST_S
            await self._stop.sleep(wait, self.nudge)

    def _round(self) -> float:
        """Execute what is due; return the seconds until something may be."""
        wait = REST_MOST_S
        for task in tasks(self._tree.root):
            if self._stop:
                break
            due, now = self._due(task), self._clock.now()
            if due is not None and due <= now:
                self._execute(task, now)
                due = self._due(task)
            if due is not None:
                self._note(task, {"NextRun": _text(due)})
                wait = min(wait, (due - self._clock.now()) / speed_of(self._clock))
        return max(wait, 0.0)

    def _due(self, task: SchedTask) -> float | None:
        now = self._clock.now()
        self._began = min(self._began, now)
        text = self._tree.text(f"./SCHED/{task.name}/LastRun")
        last = float(moment(text)) if text else None
        ahead = last is not None and last > now + SET_BACK_S
        if last is not None and not (ahead and task.interval):
            after = last
        elif task.interval:
            after = self._began
        else:
            after = task.start - 1.0
        return task.next_run(after, jitter=self._jitter(task))

    def _jitter(self, task: SchedTask) -> float:
        digest = hashlib.sha256(f"{self._uid} {task.task_id}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32

    def _execute(self, task: SchedTask, now: float) -> None:
        """Execute a task once; that it was begun is durable first, so that it is not done twice."""
        self._note(task, {"LastRun": _text(now), "State": str(int(TaskState.RUNNING))})
        status = self._perform(task)
        good = status < Status.BAD_REQUEST
        over = task.next_run(now, jitter=self._jitter(task)) is None
        state = TaskState.FAILED if not good else TaskState.DONE if over else TaskState.WAITING
        self._note(task, {"LastStatus": str(int(status)), "State": str(int(state))})
        (log.info if good else log.warning)(
            "task", task=task.task_id, operation=task.operation, status=int(status)
        )
        if not good:
            self._failed(task, int(status))

    def _perform(self, task: SchedTask) -> int:
        try:
            path = self._tree.path(task.operation)
            executor = self._tree.executor(path)
            if executor is None or find(self._tree.root, path) is None:
                return Status.NOT_FOUND
            return executor(Execution(path, "", None, ""))
        except OpenAmiError as error:
            log.warning("task failed", task=task.task_id, code=error.code, error=error.message)
            return Status.COMMAND_FAILED

    def _note(self, task: SchedTask, values: Mapping[str, str]) -> None:
        """Write into the tree what is not there yet."""
        place = (*PLACE, task.name)
        draft = self._tree.draft(self._clock.now())
        for name, value in values.items():
            path = (*place, name)
            node = find(draft.root, path)
            if node is None:
                draft.add(path, Node(_FORMATS.get(name, Format.CHR), value))
            elif node.value != value:
                draft.set_value(path, value)
        self._tree.commit(draft)


_FORMATS: Final = {"State": Format.INT, "LastStatus": Format.INT}


def _text(when: float) -> str:
    return f"{utc(when):%Y%m%dT%H%M%SZ}"
