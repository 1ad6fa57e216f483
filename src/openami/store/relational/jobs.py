"""Jobs in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, or_, select, tuple_

from openami.core.errors import ConflictError, NotFoundError
from openami.core.obis import Obis
from openami.fleet.jobs import (
    FINAL_STATES,
    Job,
    JobKind,
    JobState,
    Offered,
    Target,
    TargetResult,
    TimePassed,
    next_state,
)
from openami.store.relational.models import JobRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.jobs import Effect, JobEvent
    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions

_FINAL: Final = sorted(state.value for state in FINAL_STATES)
# Named one by one: an index finds what is in a list, not what is absent from one.
_OPEN: Final = sorted(state.value for state in set(JobState) - FINAL_STATES)


class JobRepository:
    """Implements ``JobStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, job: Job) -> Job:
        with self._transactions.writing() as session:
            if session.get(JobRow, job.id) is not None:
                raise ConflictError(f"there is a job {job.id} already")
            row = JobRow(id=job.id)
            _update(row, job)
            session.add(row)
        return job

    def get(self, job_id: str) -> Job:
        with self._transactions.reading() as session:
            return _job(_found(session, job_id))

    def apply(self, job_id: str, event: JobEvent) -> tuple[Job, tuple[Effect, ...]]:
        with self._transactions.writing() as session:
            return _move(_locked(session, job_id), event)

    def offer(self, dcu: str, *, now: float, lease: float, limit: int = 16) -> Sequence[Job]:
        query = (
            select(JobRow)
            .where(JobRow.dcu == dcu, JobRow.state == JobState.QUEUED.value, JobRow.expires > now)
            .order_by(JobRow.created, JobRow.id)
            .limit(bounded(limit))
            .with_for_update(skip_locked=True)
        )
        with self._transactions.writing() as session:
            event = Offered(now, now + lease)
            return tuple(_move(row, event)[0] for row in session.scalars(query))

    def pass_time(self, *, now: float, limit: int = 1000) -> Sequence[Effect]:
        late = select(JobRow).where(
            JobRow.state.in_(_OPEN), or_(JobRow.expires <= now, JobRow.lease_until <= now)
        )
        with self._transactions.reading() as session:
            if session.scalar(late.with_only_columns(JobRow.id).limit(1)) is None:
                return ()  # who finds nothing has nobody wait
        some = late.order_by(JobRow.expires).limit(bounded(limit))
        with self._transactions.writing() as session:
            rows = session.scalars(some.with_for_update(skip_locked=True))
            moved = [_move(row, TimePassed(now))[1] for row in rows]
            return tuple(effect for effects in moved for effect in effects)

    def purge(self, *, before: float, limit: int = 1000) -> int:
        ended = (
            select(JobRow.id)
            .where(JobRow.state.in_(_FINAL), JobRow.updated < before)
            .order_by(JobRow.updated)
            .limit(bounded(limit))
        )
        with self._transactions.writing() as session:
            keys = session.scalars(ended).all()
            session.execute(delete(JobRow).where(JobRow.id.in_(keys)))
            return len(keys)

    def list(
        self, *, meter: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[Job]:
        limit = bounded(limit)
        query = select(JobRow).order_by(JobRow.created.desc(), JobRow.id.desc()).limit(limit + 1)
        if meter is not None:
            query = query.where(JobRow.meter == meter)
        if after is not None:
            key = decode_cursor(after, float, str)
            query = query.where(tuple_(JobRow.created, JobRow.id) < tuple_(*key))
        with self._transactions.reading() as session:
            rows = session.scalars(query).all()
            return page(rows, limit, _job, lambda row: (float(row.created), row.id))


def _found(session: Session, key: str, *, lock: bool = False) -> JobRow:
    row = session.get(JobRow, key, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"no job {key}")
    return row


def _locked(session: Session, key: str) -> JobRow:
    """Return a row that nobody else changes until the transaction ends."""
    return _found(session, key, lock=True)


def _move(row: JobRow, event: JobEvent) -> tuple[Job, tuple[Effect, ...]]:
    before = _job(row)
    after, effects = next_state(before, event)
    if after is not before:
        _update(row, after)
    return after, effects


def _target(item: dict[str, Any]) -> Target:
    return Target(item["class_id"], Obis.parse(item["obis"]), item["attribute"])


def _plain_target(target: Target) -> dict[str, Any]:
    return {
        "class_id": target.class_id,
        "obis": str(target.obis),
        "attribute": target.attribute,
    }


def _result(item: dict[str, Any]) -> TargetResult:
    return TargetResult(
        _target(item), item.get("value"), item.get("scaler"), item.get("unit"), item.get("error")
    )


def _plain_result(result: TargetResult) -> dict[str, Any]:
    return {
        **_plain_target(result.target),
        "value": result.value,
        "scaler": result.scaler,
        "unit": result.unit,
        "error": result.error,
    }


def _job(row: JobRow) -> Job:
    return Job(
        id=row.id,
        meter=row.meter,
        dcu=row.dcu,
        who=row.who,
        created=row.created,
        expires=row.expires,
        targets=tuple(map(_target, row.targets)),
        kind=JobKind(row.kind),
        state=JobState(row.state),
        updated=row.updated,
        lease_until=row.lease_until,
        offers=row.offers,
        progress=row.progress,
        results=tuple(map(_result, row.results)),
        error_code=row.error_code,
        error_message=row.error_message,
    )


def _update(row: JobRow, job: Job) -> None:
    row.kind = job.kind.value
    row.meter = job.meter
    row.dcu = job.dcu
    row.who = job.who
    row.state = job.state.value
    row.created = job.created
    row.updated = job.updated
    row.expires = job.expires
    row.lease_until = job.lease_until
    row.offers = job.offers
    row.progress = job.progress
    row.targets = [_plain_target(target) for target in job.targets]
    row.results = [_plain_result(result) for result in job.results]
    row.error_code = job.error_code
    row.error_message = job.error_message
