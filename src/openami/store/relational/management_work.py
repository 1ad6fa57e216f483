"""The tasks that wait for devices: read and kept for many devices at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, case, func, select, update

from openami.core.errors import NotFoundError
from openami.fleet.tasks import WAITING_STATES, TaskState
from openami.store.relational.management_models import DmJobRow, DmTaskRow
from openami.store.relational.management_rows import job_of, task_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from openami.fleet.tasks import ManagementJob, Task

QUEUED: Final = 64
"""Tasks of one device that are read to be sent, oldest first: they go out by the dozen."""
SENT: Final = 1024
"""Tasks of one device that are found lost at a time: more than one session has ever sent."""
_OPEN: Final = sorted(state.value for state in WAITING_STATES)

# Made once: every session asks for these.
_JOB: Final[Any] = DmJobRow.__table__
_TASK: Final[Any] = DmTaskRow.__table__
_JOBS: Final = (
    select(_JOB)
    .where(_JOB.c.id.in_(bindparam("b_ids", expanding=True)))
    .order_by(_JOB.c.created, _JOB.c.id)
)
_ONE: Final = (
    select(_TASK)
    .where(_TASK.c.job == bindparam("b_job"), _TASK.c.uid == bindparam("b_uid"))
    .with_for_update()
)
_RANKED: Final = (
    select(
        _TASK.c.job,
        _TASK.c.uid,
        func.row_number()
        .over(partition_by=(_TASK.c.uid, _TASK.c.state), order_by=(_JOB.c.created, _JOB.c.id))
        .label("rank"),
    )
    .join(_JOB, _JOB.c.id == _TASK.c.job)
    .where(
        _TASK.c.uid.in_(bindparam("b_uids", expanding=True)),
        _TASK.c.state.in_(_OPEN),
        # A sum, for SQLite goes by the index of states and expiries, through those of the fleet.
        _TASK.c.expires + 0.0 > bindparam("b_now"),
    )
    .subquery("ranked")
)
_WAITING: Final = (
    select(_TASK)
    .join(_RANKED, (_TASK.c.job == _RANKED.c.job) & (_TASK.c.uid == _RANKED.c.uid))
    .where(
        _TASK.c.state.in_(_OPEN),
        _RANKED.c.rank <= case((_TASK.c.state == TaskState.SENT.value, SENT), else_=QUEUED),
    )
    .with_for_update(of=_TASK)
)
_MOVE: Final = (
    update(_TASK)
    .where(_TASK.c.job == bindparam("b_job"), _TASK.c.uid == bindparam("b_uid"))
    .values(
        {
            name: bindparam(f"b_{name}")
            for name in ("state", "updated", "attempts", "status", "results")
        }
    )
)


def waiting_tasks(rows: Connection, uids: Collection[str], now: float) -> Sequence[Task]:
    """Return the tasks that wait for devices and are not over yet, and keep others off them."""
    which = {"b_uids": list(uids), "b_now": now}
    return [task_of(row) for row in rows.execute(_WAITING, which)]


def jobs_by_age(rows: Connection, ids: Collection[str]) -> Mapping[str, ManagementJob]:
    """Return jobs by id, oldest first."""
    if not ids:
        return {}
    return {row.id: job_of(row) for row in rows.execute(_JOBS, {"b_ids": list(ids)})}


def one_task(rows: Connection, uid: str, job: str) -> Task:
    """Return a device's task of a job, and keep others off it; NotFoundError."""
    row = rows.execute(_ONE, {"b_job": job, "b_uid": uid}).one_or_none()
    if row is None:
        raise NotFoundError(f"job {job} has no device {uid}")
    return task_of(row)


def keep_tasks(rows: Connection, tasks: Iterable[Task]) -> None:
    """Keep tasks that have moved."""
    moved = [
        {
            "b_job": task.job,
            "b_uid": task.uid,
            "b_state": task.state.value,
            "b_updated": task.updated,
            "b_attempts": task.attempts,
            "b_status": task.status,
            "b_results": [
                {"uri": one.uri, "status": one.status, "format": one.format, "value": one.value}
                for one in task.results
            ],
        }
        for task in tasks
    ]
    if moved:
        rows.execute(_MOVE, moved)
