"""Operators, their passwords, sessions and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.devices import AuditEntry
from openami.fleet.operators import Operator, Role, Session, SessionKind
from openami.store.relational.audit import audit_row
from openami.store.relational.models import OperatorRow, SessionRow
from openami.store.relational.paging import bounded, decode_cursor, page
from openami.store.relational.passwords import Passwords, can_be_kept, digest, new_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from argon2 import PasswordHasher
    from sqlalchemy.orm import Session as DbSession

    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions


class OperatorRepository:
    """Implements ``OperatorStore``."""

    def __init__(self, transactions: Transactions, hasher: PasswordHasher | None = None) -> None:
        self._transactions = transactions
        self._passwords = Passwords(hasher)

    def add(self, name: str, password: str, role: Role, *, who: str, when: float) -> Operator:
        operator = Operator(name, role, when)
        password_hash = self._passwords.hash(password)
        with self._transactions.writing() as session:
            if session.get(OperatorRow, name) is not None:
                raise ConflictError(f"there is an operator {name} already")
            session.add(
                OperatorRow(
                    name=name,
                    role=role.value,
                    password_hash=password_hash,
                    created=when,
                    disabled=False,
                )
            )
            _note(session, who, when, f"operator.added as {role}", name)
        return operator

    def get(self, name: str) -> Operator:
        with self._transactions.reading() as session:
            return _operator(_found(session, name))

    def log_in(
        self, name: str, password: str, *, now: float, lifetime: float, label: str = ""
    ) -> tuple[str, Session] | None:
        with self._transactions.reading() as session:
            row = session.get(OperatorRow, name) if can_be_kept(name) else None
            kept = None if row is None or row.disabled else row.password_hash
        if not self._passwords.right(kept, password) or kept is None:
            return None
        with self._transactions.writing() as session:
            row = _locked(session, name)
            if row.disabled or row.password_hash != kept:  # while argon2 looked at it
                return None
            row.last_login = now
            row.password_hash = self._passwords.renewed(kept, password)
            kind = SessionKind.SESSION
            return _opened(session, row, kind=kind, now=now, lifetime=lifetime, label=label)

    def set_password(self, name: str, password: str, *, who: str, when: float) -> None:
        password_hash = self._passwords.hash(password)
        with self._transactions.writing() as session:
            _locked(session, name).password_hash = password_hash
            session.execute(delete(SessionRow).where(SessionRow.operator == name))
            _note(session, who, when, "operator.password", name)

    def set_role(self, name: str, role: Role, *, who: str, when: float) -> Operator:
        with self._transactions.writing() as session:
            row = _locked(session, name)
            _note(session, who, when, f"operator.role {row.role} to {role}", name)
            row.role = role.value
            return _operator(row)

    def set_disabled(self, name: str, disabled: bool, *, who: str, when: float) -> Operator:
        with self._transactions.writing() as session:
            row = _locked(session, name)
            row.disabled = disabled
            if disabled:
                session.execute(delete(SessionRow).where(SessionRow.operator == name))
            _note(session, who, when, f"operator.{'disabled' if disabled else 'enabled'}", name)
            return _operator(row)

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[Operator]:
        limit = bounded(limit)
        query = select(OperatorRow).order_by(OperatorRow.name).limit(limit + 1)
        if after is not None:
            query = query.where(OperatorRow.name > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            rows = session.scalars(query).all()
            return page(rows, limit, _operator, lambda row: (row.name,))

    def open_session(
        self, name: str, kind: SessionKind, *, now: float, lifetime: float, label: str = ""
    ) -> tuple[str, Session]:
        with self._transactions.writing() as session:
            row = _locked(session, name)
            return _opened(session, row, kind=kind, now=now, lifetime=lifetime, label=label)

    def session(self, secret: str, *, now: float) -> Session | None:
        query = (
            select(SessionRow, OperatorRow)
            .join(OperatorRow, OperatorRow.name == SessionRow.operator)
            .where(
                SessionRow.secret_digest == digest(secret),
                SessionRow.expires > now,
                OperatorRow.disabled.is_(False),
            )
        )
        with self._transactions.reading() as session:
            found = session.execute(query).one_or_none()
            return None if found is None else _session(found[0], _operator(found[1]))

    def sessions(self, name: str, *, now: float) -> Sequence[Session]:
        query = (
            select(SessionRow)
            .where(SessionRow.operator == name, SessionRow.expires > now)
            .order_by(SessionRow.id)
        )
        with self._transactions.reading() as session:
            operator = _operator(_found(session, name))
            return tuple(_session(row, operator) for row in session.scalars(query))

    def close_session(self, session_id: int) -> None:
        with self._transactions.writing() as session:
            session.execute(delete(SessionRow).where(SessionRow.id == session_id))


def _opened(
    session: DbSession,
    operator: OperatorRow,
    *,
    kind: SessionKind,
    now: float,
    lifetime: float,
    label: str,
) -> tuple[str, Session]:
    """Open a session of an operator whose row is locked."""
    secret = new_secret()
    session.execute(delete(SessionRow).where(SessionRow.expires <= now))
    row = SessionRow(
        secret_digest=digest(secret),
        operator=operator.name,
        kind=kind.value,
        label=label,
        created=now,
        expires=now + lifetime,
    )
    session.add(row)
    session.flush()
    return secret, _session(row, _operator(operator))


def _found(session: DbSession, key: str, *, lock: bool = False) -> OperatorRow:
    row = session.get(OperatorRow, key, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"no operator {key}")
    return row


def _locked(session: DbSession, key: str) -> OperatorRow:
    """Return a row that nobody else changes until the transaction ends."""
    return _found(session, key, lock=True)


def _note(session: DbSession, who: str, when: float, what: str, name: str) -> None:
    session.add(audit_row(AuditEntry(who, when, what, f"operator-{name}")))


def _operator(row: OperatorRow) -> Operator:
    return Operator(row.name, Role(row.role), row.created, row.last_login, row.disabled)


def _session(row: SessionRow, operator: Operator) -> Session:
    return Session(row.id, operator, SessionKind(row.kind), row.created, row.expires, row.label)
