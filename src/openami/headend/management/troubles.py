"""What goes wrong at devices: counted, told now and then, and an alarm where a person must act.

An alarm is for what nobody may be looking at: a value that is wanted for good and refused, once for
each group or device that it is wanted of; and what fails at many devices, once for the job or for
the node. What fails at one device is seen by whoever asked for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import OpenAmiError
from openami.core.recent import Recent
from openami.fleet.desired import ScopeKind
from openami.fleet.tasks import TaskState
from openami.headend.seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.desired import Refusal
    from openami.fleet.tasks import Result, Task
    from openami.headend.management.watch import AlarmBell
    from openami.headend.metrics import Metrics

log = structlog.get_logger(__name__)

MANY: Final = 10
"""Devices at which the same fails until it is an alarm: fewer are those devices' own trouble."""
WATCHED: Final = 1024
"""Jobs and nodes whose failures are counted; the one that failed longest ago is forgotten."""
QUIET_S: Final = 60.0
"""Between two lines of the log of one kind about one device: it speaks as often as it likes."""
REFUSED: Final = "dm.refused"
FAILED: Final = "dm.failed"
TASK_FAILED: Final = "urn:openami:alert:task-failed"


class Troubles:
    """Takes what goes wrong. Calls may block, and one that raised may be made again."""

    def __init__(self, alarms: AlarmBell, metrics: Metrics) -> None:
        self._alarms = alarms
        self._metrics = metrics
        self._seldom = Seldom(QUIET_S)
        self._lock = threading.Lock()
        self._failures: Recent[str, set[str]] = Recent(WATCHED)

    def unreadable(self, uid: str, node: str, code: str, *, now: float) -> None:
        """Take that a look has brought nothing that can be read."""
        if self._seldom.due((uid, "tree"), now):
            log.warning("a tree is unreadable", dcu=uid, node=node, code=code)

    def refused(self, uid: str, refusals: Sequence[Refusal], *, now: float) -> None:
        """Take that a device has refused what it is wanted to be."""
        if not refusals:
            return
        for scope in dict.fromkeys(refusal.step.wish.scope for refusal in refusals):
            if scope.kind is ScopeKind.DEVICE:
                self._alarms.about_dcu(uid, REFUSED, "it refuses what it is wanted to be")
            else:
                words = "devices refuse what the group wants"
                self._alarms.about(str(scope), REFUSED, words)
        for refusal in refusals:
            self._metrics.dm_refused(refusal.status)
        first = refusals[0]
        if self._seldom.due((uid, "refusal"), now):
            log.warning(
                "values are refused",
                dcu=uid,
                count=len(refusals),
                node=first.step.uri,
                status=first.status,
            )

    def moved(self, kind: str, task: Task) -> None:
        """Take that a task of a kind of job has come to another state; never raises."""
        self._metrics.dm_task(kind, task.state.value)
        if task.state not in {TaskState.FAILED, TaskState.UNKNOWN}:
            return
        if self._seldom.due((task.uid, "task"), task.updated):
            log.warning("a task has failed", job=task.job, dcu=task.uid, status=task.status)
        self._count(f"job:{task.job}", task.uid, f"the job has failed at {MANY} devices or more")

    def told(self, uid: str, kinds: Sequence[str], told: Result, *, now: float) -> None:
        """Take what a device tells that nobody has asked for."""
        if self._seldom.due((uid, "alert"), now):
            log.warning("a device tells", dcu=uid, what=kinds, node=told.uri, data=told.value)
        if TASK_FAILED in kinds:
            self._count(f"node:{told.uri}", uid, f"the task has failed at {MANY} devices or more")

    def _count(self, subject: str, uid: str, words: str) -> None:
        with self._lock:
            devices = self._failures[subject] = self._failures.get(subject, set())
            if len(devices) >= MANY:  # it was told
                return
            due = len(devices | {uid}) >= MANY
        try:
            if due:
                self._alarms.about(subject, FAILED, words)
        except OpenAmiError as error:  # the next device that fails raises it
            log.warning("an alarm is not raised", subject=subject, code=error.code)
            return
        with self._lock:
            devices.add(uid)
