"""The log of alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from openami.core.errors import NotFoundError
from openami.fleet.alarms import RaisedAlarm
from openami.fleet.devices import AuditEntry
from openami.store.relational.audit import audit_row
from openami.store.relational.paging import bounded, decode_cursor, page
from openami.store.relational.security_models import AlarmRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions


def raise_alarm(
    session: Session, code: str, subject: str, message: str, *, when: float
) -> AlarmRow | None:
    """Add an alarm within a transaction; None where the same one is open."""
    if _is_open(session, code, subject):
        return None
    row = AlarmRow(code=code, subject=subject, message=message, raised=when, cleared_by="")
    session.add(row)
    session.flush()
    return row


class AlarmRepository:
    """Implements ``AlarmStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, code: str, subject: str, message: str, *, when: float) -> RaisedAlarm | None:
        with self._transactions.reading() as session:  # what repeats itself takes no write lock
            if _is_open(session, code, subject):
                return None
        with self._transactions.writing() as session:
            row = raise_alarm(session, code, subject, message, when=when)
            return None if row is None else _alarm(row)

    def clear(self, alarm: int, *, who: str, when: float, why: str = "") -> RaisedAlarm:
        with self._transactions.writing() as session:
            row = session.get(AlarmRow, alarm, with_for_update=True)
            if row is None:
                raise NotFoundError(f"no alarm {alarm}")
            if row.cleared is None:
                row.cleared, row.cleared_by = when, who
                what = f"alarm.cleared {row.code}"
                session.add(audit_row(AuditEntry(who, when, what, row.subject, why)))
            return _alarm(row)

    def list(
        self,
        *,
        subject: str | None = None,
        only_open: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[RaisedAlarm]:
        limit = bounded(limit)
        query = select(AlarmRow).order_by(AlarmRow.id.desc()).limit(limit + 1)
        if subject is not None:
            query = query.where(AlarmRow.subject == subject)
        if only_open:
            query = query.where(AlarmRow.cleared.is_(None))
        if after is not None:
            query = query.where(AlarmRow.id < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _alarm, lambda row: (row.id,))

    def open_count(self) -> int:
        query = select(func.count()).select_from(AlarmRow).where(AlarmRow.cleared.is_(None))
        with self._transactions.reading() as session:
            return session.scalars(query).one()


def _is_open(session: Session, code: str, subject: str) -> bool:
    same = select(AlarmRow.id).where(
        AlarmRow.code == code, AlarmRow.subject == subject, AlarmRow.cleared.is_(None)
    )
    return session.scalars(same.limit(1)).first() is not None


def _alarm(row: AlarmRow) -> RaisedAlarm:
    return RaisedAlarm(
        row.id, row.code, row.subject, row.message, row.raised, row.cleared, row.cleared_by
    )
