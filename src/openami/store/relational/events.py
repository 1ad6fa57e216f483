"""Meters' events and the ledger of their uploads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import delete, func, select, tuple_

from openami.fleet.events import MeterEvent
from openami.fleet.ledger import KEEP_LAST, KEEP_S
from openami.fleet.ports import BatchResult, BatchStatus
from openami.store.relational.engine import insert_ignoring
from openami.store.relational.models import EventBatchRow, EventRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.ports import Batch, Page
    from openami.store.relational.engine import Transactions


class EventRepository:
    """Implements ``EventStore``."""

    def __init__(self, transactions: Transactions, now: Callable[[], float] = time.time) -> None:
        self._transactions = transactions
        self._now = now

    def commit(self, batches: Sequence[Batch]) -> Sequence[BatchResult]:
        with self._transactions.writing() as session:
            return tuple(self._commit(session, batch) for batch in batches)

    def _commit(self, session: Session, batch: Batch) -> BatchResult:
        rows = _rows(batch.table)
        entry = {
            "dcu": batch.dcu,
            "id": batch.id,
            "digest": batch.digest,
            "rows": len(rows),
            "committed": self._now(),
        }
        # The ledger comes first: whoever else has the same batch waits here for our commit.
        ignoring = insert_ignoring(self._transactions.dialect, EventBatchRow)
        if not session.execute(ignoring.returning(EventBatchRow.id), [entry]).first():
            known = session.get_one(EventBatchRow, (batch.dcu, batch.id))
            same = known.digest == batch.digest
            return BatchResult(BatchStatus.REPEATED if same else BatchStatus.CONFLICT, known.rows)
        if rows:
            session.execute(insert_ignoring(self._transactions.dialect, EventRow), rows)
        return BatchResult(BatchStatus.STORED, len(rows))

    def forget(self, *, limit: int = 1000) -> int:
        old = (
            select(
                EventBatchRow.dcu,
                EventBatchRow.id,
                func.row_number()
                .over(
                    partition_by=EventBatchRow.dcu,
                    order_by=(EventBatchRow.committed.desc(), EventBatchRow.id),
                )
                .label("place"),
            )
            .where(EventBatchRow.committed < self._now() - KEEP_S)
            .subquery()
        )
        query = select(old.c.dcu, old.c.id).where(old.c.place > KEEP_LAST).limit(bounded(limit))
        with self._transactions.reading() as session:
            keys = [tuple(row) for row in session.execute(query)]
        with self._transactions.writing() as session:
            entry = tuple_(EventBatchRow.dcu, EventBatchRow.id)
            session.execute(delete(EventBatchRow).where(entry.in_(keys)))
        return len(keys)

    def list(
        self,
        *,
        meter: str | None = None,
        log: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[MeterEvent]:
        limit = bounded(limit)
        query = select(EventRow).order_by(EventRow.time.desc(), EventRow.id.desc())
        if meter is not None:
            query = query.where(EventRow.meter == meter)
        if log is not None:
            query = query.where(EventRow.log == log)
        if after is not None:
            key = decode_cursor(after, int, int)
            query = query.where(tuple_(EventRow.time, EventRow.id) < tuple_(*key))
        with self._transactions.reading() as session:
            rows = session.scalars(query.limit(limit + 1)).all()
            return page(rows, limit, _event, lambda row: (row.time, row.id))

    def count(self, *, since: int = 0) -> int:
        query = select(func.count()).select_from(EventRow).where(EventRow.time >= since)
        with self._transactions.reading() as session:
            return session.scalars(query).one()


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    seconds = table["time"].cast(pa.int64())
    place = table.schema.get_field_index("time")
    rows: list[dict[str, Any]] = table.set_column(place, "time", seconds).to_pylist()
    return rows


def _event(row: EventRow) -> MeterEvent:
    return MeterEvent(row.meter, row.log, row.time, row.code, row.ordinal, row.detail)
