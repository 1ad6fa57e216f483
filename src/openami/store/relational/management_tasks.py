"""Jobs for devices' trees and the tasks of each device, in the database."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, delete, func, insert, literal, select, tuple_, update

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.devices import AuditEntry, DeviceKind
from openami.fleet.management import JobProgress
from openami.fleet.tasks import (
    OPEN_STATES,
    TRANSITIONS,
    Cancelled,
    Overdue,
    TaskKind,
    TaskState,
    next_task,
)
from openami.store.relational.audit import audit_row
from openami.store.relational.devices import conditions
from openami.store.relational.engine import insert_ignoring
from openami.store.relational.management_models import AccountRow, DmJobRow, DmTaskRow
from openami.store.relational.management_rows import job_of, job_row, task_of, wake
from openami.store.relational.management_wishes import want
from openami.store.relational.management_work import keep_tasks
from openami.store.relational.models import DeviceRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.desired import Scope, Setting
    from openami.fleet.ports import Page
    from openami.fleet.tasks import ManagementJob, Task, Ticket
    from openami.store.relational.engine import Transactions

_OPEN: Final = sorted(state.value for state in OPEN_STATES)
_QUIET: Final = {"synchronize_session": False}

_JOB: Final[Any] = DmJobRow.__table__
_TASK: Final[Any] = DmTaskRow.__table__


class TaskRepository:
    """Implements ``TaskRecords``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(
        self,
        job: ManagementJob,
        *,
        wishes: Mapping[Scope, Sequence[Setting]] | None = None,
        ticket: Ticket | None = None,
    ) -> JobProgress:
        with self._transactions.writing() as session:
            insertion = insert_ignoring(self._transactions.dialect, DmJobRow.__table__)
            fresh = insertion.values(job_row(job, ticket)).returning(DmJobRow.id)
            if session.scalar(fresh) is None:
                return _repeated(session, job, ticket)
            session.execute(_tasks_of(job))
            counts = _counts(session, [job.id])[job.id]
            count = counts.get(TaskState.QUEUED, 0)
            _check_devices(session, job, count)
            for scope, settings in (wishes or {}).items():
                want(session, scope, settings, who=job.who, now=job.created)
            mine = select(DmTaskRow.uid).where(DmTaskRow.job == job.id)
            wake(session, mine, job.created)
            what = (
                f"dm.job {job.kind} {', '.join(c.uri for c in job.commands[:8])}, {count} devices"
            )
            session.add(audit_row(AuditEntry(job.who, job.created, what, f"job:{job.id}", job.why)))
            return JobProgress(job, counts)

    def get(self, job_id: str) -> JobProgress:
        with self._transactions.reading() as session:
            row = session.get(DmJobRow, job_id)
            if row is None:
                raise NotFoundError(f"no job {job_id}")
            return JobProgress(job_of(row), _counts(session, [job_id])[job_id])

    def list(
        self, *, uid: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[JobProgress]:
        limit = bounded(limit)
        query = select(DmJobRow).order_by(DmJobRow.created.desc(), DmJobRow.id.desc())
        if uid is not None:
            query = query.where(DmJobRow.id.in_(select(DmTaskRow.job).where(DmTaskRow.uid == uid)))
        if after is not None:
            key = decode_cursor(after, float, str)
            query = query.where(tuple_(DmJobRow.created, DmJobRow.id) < tuple_(*key))
        with self._transactions.reading() as session:
            rows = session.scalars(query.limit(limit + 1)).all()
            counts = _counts(session, [row.id for row in rows])
            return page(
                rows,
                limit,
                lambda row: JobProgress(job_of(row), counts[row.id]),
                lambda row: (float(row.created), row.id),
            )

    def tasks(
        self,
        job_id: str,
        *,
        state: TaskState | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Task]:
        limit = bounded(limit)
        query = select(DmTaskRow).where(DmTaskRow.job == job_id).order_by(DmTaskRow.uid)
        if state is not None:
            query = query.where(DmTaskRow.state == state.value)
        if after is not None:
            query = query.where(DmTaskRow.uid > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            rows = session.scalars(query.limit(limit + 1)).all()
            return page(rows, limit, task_of, lambda row: (row.uid,))

    def cancel(self, job_id: str, *, who: str, now: float) -> int:
        with self._transactions.writing() as session:
            if session.get(DmJobRow, job_id) is None:
                raise NotFoundError(f"no job {job_id}")
            count = move_all(session, Cancelled(now), DmTaskRow.job == job_id)
            what = f"dm.job cancelled for {count} devices"
            session.add(audit_row(AuditEntry(who, now, what, f"job:{job_id}")))
            return count

    def pass_time(
        self, *, now: float, limit: int = 1000
    ) -> Mapping[tuple[TaskKind, TaskState], int]:
        overdue = (
            select(_TASK, _JOB.c.kind)
            .join(_JOB, _JOB.c.id == _TASK.c.job)
            .where(_TASK.c.state.in_(_OPEN), _TASK.c.expires <= now)
            .limit(limit)
        )
        counts: Counter[tuple[TaskKind, TaskState]] = Counter()
        with self._transactions.reading() as session:
            one = overdue.with_only_columns(_TASK.c.uid).limit(1)
            if session.scalar(one) is None:  # who finds nothing has nobody wait
                return counts
        with self._transactions.writing() as session:
            rows = session.connection()
            found = rows.execute(overdue.with_for_update(of=_TASK)).all()
            ended = [next_task(task_of(row), Overdue(now)) for row in found]
            keep_tasks(rows, ended)
            kinds = (TaskKind(row.kind) for row in found)
            counts.update(zip(kinds, (task.state for task in ended), strict=True))
        return counts

    def purge(self, *, before: float, limit: int = 1000) -> int:
        oldest = select(DmJobRow.id).where(DmJobRow.expires < before).order_by(DmJobRow.created)
        with self._transactions.reading() as session:
            job = session.scalar(oldest.limit(1))
        if job is None:  # who finds nothing has nobody wait
            return 0
        some = select(DmTaskRow.uid).where(DmTaskRow.job == job).limit(limit)
        with self._transactions.writing() as session:
            uids = session.scalars(some).all()
            session.execute(delete(DmTaskRow).where(DmTaskRow.job == job, DmTaskRow.uid.in_(uids)))
            if len(uids) < limit:
                session.execute(delete(DmJobRow).where(DmJobRow.id == job))
            return len(uids) + (len(uids) < limit)


def _repeated(session: Session, job: ManagementJob, ticket: Ticket | None) -> JobProgress:
    """Return the job that the same request has made before."""
    row = None
    if ticket is not None:
        same = select(DmJobRow).where(DmJobRow.who == job.who, DmJobRow.key == ticket.key)
        row = session.scalars(same).one_or_none()
    if ticket is None or row is None:
        raise ConflictError(f"there is a job {job.id} already")
    if row.digest != ticket.digest:
        raise ConflictError("this key was given to another request", code="dm.key")
    return JobProgress(job_of(row), _counts(session, [row.id])[row.id])


def _tasks_of(job: ManagementJob) -> Any:
    """Return the one statement that makes the tasks of a job, for however many devices."""
    devices: Any = select(
        literal(job.id),
        AccountRow.uid,
        literal(TaskState.QUEUED.value),
        literal(job.expires),
        literal(job.once),
        literal(job.created),
        literal(0),
        literal([], JSON()),
    ).where(AccountRow.suspended.is_(False))
    if job.which is None:
        devices = devices.where(AccountRow.uid.in_(job.devices))
    else:
        devices = devices.join(
            DeviceRow,
            (DeviceRow.kind == DeviceKind.DCU.value) & (DeviceRow.serial == AccountRow.uid),
        ).where(*conditions(job.which))
    columns = ("job", "uid", "state", "expires", "once", "updated", "attempts", "results")
    return insert(DmTaskRow).from_select(columns, devices)


def _check_devices(session: Session, job: ManagementJob, count: int) -> None:
    if job.devices and count < len(set(job.devices)):
        have = session.scalars(select(DmTaskRow.uid).where(DmTaskRow.job == job.id))
        missing = sorted(set(job.devices).difference(have))
        raise NotFoundError(f"no live account of {', '.join(missing[:8])}", code="dm.no-account")
    if not count:
        raise ConflictError("no device with a live account is found", code="dm.no-device")


def move_all(session: Session, event: Cancelled, which: Any) -> int:
    """Move tasks in bulk, by the same table as one by one; return how many."""
    count = 0
    for (state, kind, once), after in TRANSITIONS.items():
        if kind is type(event):
            statement = (
                update(DmTaskRow)
                .where(which, DmTaskRow.state == state.value, DmTaskRow.once.is_(once))
                .values(state=after.value, updated=event.now)
                .execution_options(**_QUIET)
            )
            count += int(session.execute(statement).rowcount)  # type: ignore[attr-defined]  # of an UPDATE
    return count


def _counts(session: Session, jobs: Sequence[str]) -> Mapping[str, Mapping[TaskState, int]]:
    query = (
        select(DmTaskRow.job, DmTaskRow.state, func.count())
        .where(DmTaskRow.job.in_(jobs))
        .group_by(DmTaskRow.job, DmTaskRow.state)
    )
    found: defaultdict[str, dict[TaskState, int]] = defaultdict(dict)
    for job, state, count in session.execute(query):
        found[job][TaskState(state)] = count
    return found
