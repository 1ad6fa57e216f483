"""The audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from openami.fleet.devices import AuditEntry
from openami.store.relational.models import AuditRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions


def audit_row(entry: AuditEntry) -> AuditRow:
    """Return the row of an entry that has no number yet."""
    return AuditRow(
        who=entry.who, when=entry.when, what=entry.what, subject=entry.subject, why=entry.why
    )


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(row.who, row.when, row.what, row.subject, row.why, row.id)


class AuditRepository:
    """Implements ``AuditLog``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, entry: AuditEntry) -> AuditEntry:
        with self._transactions.writing() as session:
            row = audit_row(entry)
            session.add(row)
            session.flush()
            return _entry(row)

    def list(
        self, *, subject: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[AuditEntry]:
        limit = bounded(limit)
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit + 1)
        if subject is not None:
            query = query.where(AuditRow.subject == subject)
        if after is not None:
            query = query.where(AuditRow.id < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _entry, lambda row: (row.id,))
