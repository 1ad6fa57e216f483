"""The audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, update

from openami.fleet.audit import FIRST, AuditError, Head
from openami.fleet.devices import AuditEntry
from openami.store.relational.models import AuditHeadRow, AuditRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from openami.fleet.audit import Chain
    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions

_HEAD: Final = 1  # the one row of heads


def audit_row(entry: AuditEntry) -> AuditRow:
    """Return the row of an entry that has no number yet."""
    return AuditRow(
        who=entry.who, when=entry.when, what=entry.what, subject=entry.subject, why=entry.why
    )


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        row.who, row.when, row.what, row.subject, row.why, row.id, row.number, row.hash
    )


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
        self,
        *,
        subject: str | None = None,
        who: str | None = None,
        what: str | None = None,
        since: float | None = None,
        until: float | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[AuditEntry]:
        limit = bounded(limit)
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit + 1)
        query = query.where(*_chosen(subject, who, what, since, until))
        if after is not None:
            query = query.where(AuditRow.id < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _entry, lambda row: (row.id,))

    def lay(self, chain: Chain, *, most: int) -> int:
        if self.waiting() == 0:  # nobody else has to wait for a lock that changes nothing
            return 0
        with self._transactions.writing() as session:
            row = session.get_one(AuditHeadRow, _HEAD, with_for_update=True)
            _check(session, row)
            waiting = _without_place(session, most)
            if not waiting:
                return 0
            entries, head = chain(_head(row), waiting)
            session.execute(update(AuditRow), list(_places(entries)))
            _put(row, head)
            return len(entries)

    def adopt(
        self, head: Callable[[int, bytes], Head], said: Callable[[int], AuditEntry]
    ) -> AuditEntry:
        last = select(AuditRow).order_by(AuditRow.number.desc()).limit(1)
        with self._transactions.writing() as session:
            row = session.get_one(AuditHeadRow, _HEAD, with_for_update=True)
            found = session.scalars(last.where(AuditRow.number.is_not(None))).one_or_none()
            number = 0 if found is None else found.number or 0
            _put(row, head(number, FIRST if found is None else found.hash or FIRST))
            told = audit_row(said(number))
            session.add(told)
            session.flush()
            return _entry(told)

    def chained(self, *, after: int, limit: int) -> Sequence[AuditEntry]:
        query = select(AuditRow).where(AuditRow.number > after).order_by(AuditRow.number)
        with self._transactions.reading() as session:
            return [_entry(row) for row in session.scalars(query.limit(bounded(limit)))]

    def end(self) -> Head | None:
        with self._transactions.writing() as session:  # nothing is laid while it is looked at
            row = session.get_one(AuditHeadRow, _HEAD, with_for_update=True)
            _check(session, row)
            return _head(row)

    def head(self) -> Head | None:
        with self._transactions.reading() as session:
            return _head(session.get_one(AuditHeadRow, _HEAD))

    def waiting(self) -> int:
        query = select(func.count()).select_from(AuditRow).where(AuditRow.number.is_(None))
        with self._transactions.reading() as session:
            return session.scalars(query).one()


def _chosen(
    subject: str | None,
    who: str | None,
    what: str | None,
    since: float | None,
    until: float | None,
) -> Iterator[ColumnElement[bool]]:
    if subject is not None:
        yield AuditRow.subject == subject
    if who is not None:
        yield AuditRow.who == who
    if what is not None:
        yield func.substr(AuditRow.what, 1, len(what)) == what  # LIKE has its own mind of case
    if since is not None:
        yield AuditRow.when >= since
    if until is not None:
        yield AuditRow.when < until


def _head(row: AuditHeadRow) -> Head | None:
    """Return the head of its row, which the migration made without one."""
    if not row.signature:
        return None
    return Head(row.number, row.hash, row.when, row.key, row.signature)


def _put(row: AuditHeadRow, head: Head) -> None:
    row.number, row.hash, row.when = head.number, head.hash, head.when
    row.key, row.signature = head.key, head.signature


def _check(session: Session, head: AuditHeadRow) -> None:
    found = session.scalar(select(func.max(AuditRow.number))) or 0
    last = session.scalar(select(AuditRow.hash).where(AuditRow.number == head.number))
    if found != head.number or (found and last != head.hash):
        raise AuditError(
            f"the database has {found} entries of the audit log, and the last is not the one that "
            f"was signed as entry {head.number}",
            code="audit.broken",
            number=min(found, head.number) + (found != head.number),
        )


def _without_place(session: Session, most: int) -> Sequence[AuditEntry]:
    query = select(AuditRow).where(AuditRow.number.is_(None)).order_by(AuditRow.id).limit(most)
    return [_entry(row) for row in session.scalars(query)]


def _places(entries: Sequence[AuditEntry]) -> Iterator[dict[str, object]]:
    for entry in entries:
        yield {"id": entry.id, "number": entry.number, "hash": entry.hash}
