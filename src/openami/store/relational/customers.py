"""Customers, their meters, invitations, passwords and sessions."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, func, or_, select

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.customers import MAX_SESSIONS, MAX_TENANCIES, Customer, CustomerSession, Tenancy
from openami.fleet.devices import AuditEntry, DeviceKind, device_id
from openami.store.relational.audit import audit_row
from openami.store.relational.customer_models import CustomerRow, CustomerSessionRow, TenancyRow
from openami.store.relational.display_orders import have_forgotten
from openami.store.relational.models import DeviceRow
from openami.store.relational.paging import bounded, decode_cursor, page
from openami.store.relational.passwords import Passwords, can_be_kept, digest, new_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from argon2 import PasswordHasher
    from sqlalchemy.orm import Session as DbSession

    from openami.fleet.customers import Opened
    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions

# Crockford's: no letters that look like digits. 20 of them are 100 bits, which nobody guesses.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH: Final = 20
_LOOKALIKES: Final = str.maketrans("OIL", "011", "- ")


class CustomerRepository:
    """Implements ``CustomerStore``."""

    def __init__(self, transactions: Transactions, hasher: PasswordHasher | None = None) -> None:
        self._transactions = transactions
        self._passwords = Passwords(hasher)

    def add(self, customer: Customer, *, who: str) -> Customer:
        with self._transactions.writing() as session:
            if session.get(CustomerRow, customer.login) is not None:
                reason = f"there is a customer {customer.login} already"
                raise ConflictError(reason, code="customer.exists")
            row = CustomerRow(
                login=customer.login,
                language=customer.language,
                tariff=customer.tariff,
                discounts=list(customer.discounts),
                created=customer.created,
                disabled=False,
            )
            session.add(row)
            _note(session, who, customer.created, "customer.added", customer.login)
            return _customer(row)

    def get(self, login: str) -> Customer:
        with self._transactions.reading() as session:
            return _customer(_found(session, login))

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[Customer]:
        limit = bounded(limit)
        query = select(CustomerRow).order_by(CustomerRow.login).limit(limit + 1)
        if after is not None:
            query = query.where(CustomerRow.login > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _customer, lambda row: (row.login,))

    def change(self, customer: Customer, *, who: str, when: float) -> Customer:
        with self._transactions.writing() as session:
            row = _locked(session, customer.login)
            row.language, row.tariff = customer.language, customer.tariff
            row.discounts = [*customer.discounts]
            words = " ".join((customer.tariff, *customer.discounts))
            _note(session, who, when, f"customer.changed {words}", customer.login)
            return _customer(row)

    def set_disabled(self, login: str, disabled: bool, *, who: str, when: float) -> Customer:
        with self._transactions.writing() as session:
            row = _locked(session, login)
            row.disabled = disabled
            if disabled:
                _end_sessions(session, login)
                row.invitation_digest = row.invited_until = None
            _note(session, who, when, f"customer.{'disabled' if disabled else 'enabled'}", login)
            return _customer(row)

    def invite(self, login: str, *, until: float, who: str, when: float) -> str:
        code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
        with self._transactions.writing() as session:
            row = _locked(session, login)
            if row.disabled:
                raise ConflictError(f"{login} is shut out", code="customer.disabled")
            row.invitation_digest, row.invited_until = digest(code), until
            _note(session, who, when, "customer.invited", login)
        return "-".join(code[place : place + 5] for place in range(0, _CODE_LENGTH, 5))

    def accept(
        self, code: str, password: str, *, now: float, lifetime: float, label: str = ""
    ) -> Opened | None:
        wanted = digest(code.upper().translate(_LOOKALIKES))
        open_still = (
            select(CustomerRow)
            .where(CustomerRow.invitation_digest == wanted, CustomerRow.invited_until > now)
            .where(CustomerRow.disabled.is_(False))
        )
        with self._transactions.reading() as session:
            if session.scalars(open_still).one_or_none() is None:
                return None
        password_hash = self._passwords.hash(password)
        with self._transactions.writing() as session:
            row = session.scalars(open_still.with_for_update()).one_or_none()
            if row is None:  # somebody else was faster
                return None
            row.password_hash = password_hash
            row.invitation_digest = row.invited_until = None
            _end_sessions(session, row.login)
            _note(session, row.login, now, "customer.accepted", row.login)
            return _opened(session, row, now, lifetime, label)

    def log_in(
        self, login: str, password: str, *, now: float, lifetime: float, label: str = ""
    ) -> Opened | None:
        kept = self._right(login, password)
        if kept is None:
            return None
        with self._transactions.writing() as session:
            row = _unchanged(session, login, kept)
            if row is None:
                return None
            row.last_login = now
            row.password_hash = self._passwords.renewed(kept, password)
            return _opened(session, row, now, lifetime, label)

    def change_password(
        self, login: str, old: str, new: str, *, now: float, lifetime: float, label: str = ""
    ) -> Opened | None:
        password_hash = self._passwords.hash(new)
        kept = self._right(login, old)
        if kept is None:
            return None
        with self._transactions.writing() as session:
            row = _unchanged(session, login, kept)
            if row is None:
                return None
            row.password_hash = password_hash
            _end_sessions(session, login)
            _note(session, login, now, "customer.password", login)
            return _opened(session, row, now, lifetime, label)

    def _right(self, login: str, password: str) -> str | None:
        """Return what is kept of a password if it is right, after the same time if it is not."""
        with self._transactions.reading() as session:
            row = session.get(CustomerRow, login) if can_be_kept(login) else None
            kept = None if row is None or row.disabled else row.password_hash
        return kept if self._passwords.right(kept, password) else None

    def assign(self, login: str, meter: str, *, starts: float, who: str, when: float) -> Tenancy:
        with self._transactions.writing() as session:
            _locked(session, login)
            # Its row is locked: two who give the same meter away come one after the other.
            device = device_id(DeviceKind.METER, meter)
            if session.get(DeviceRow, device, with_for_update=True) is None:
                raise NotFoundError(f"no meter {meter}")
            _check_free(session, meter, starts)
            theirs = select(func.count()).where(TenancyRow.customer == login)
            if (session.scalar(theirs) or 0) >= MAX_TENANCIES:
                raise ConflictError(
                    f"{login} has {MAX_TENANCIES} meters already", code="customer.meters"
                )
            row = TenancyRow(customer=login, meter=meter, starts=starts)
            session.add(row)
            session.flush()
            _note(session, who, when, f"customer.assigned {meter}", login)
            return _tenancy(row)

    def end(self, tenancy: int, *, ends: float, who: str, when: float) -> Tenancy:
        with self._transactions.writing() as session:
            row = session.get(TenancyRow, tenancy, with_for_update=True)
            if row is None:
                raise NotFoundError(f"no assignment {tenancy}")
            if row.ends is not None or ends < row.starts:
                said = "has ended" if row.ends is not None else "would end before it begins"
                raise ConflictError(f"the assignment {said}", code="customer.end")
            row.ends = ends
            have_forgotten(session, row.meter, ends)
            _note(session, who, when, f"customer.ended {row.meter}", row.customer)
            return _tenancy(row)

    def tenancies(self, login: str) -> Sequence[Tenancy]:
        with self._transactions.reading() as session:
            _found(session, login)
            query = select(TenancyRow).where(TenancyRow.customer == login)
            ordered = query.order_by(TenancyRow.starts.desc(), TenancyRow.id.desc())
            return tuple(map(_tenancy, session.scalars(ordered)))

    def of_meter(self, meter: str) -> Sequence[Tenancy]:
        query = select(TenancyRow).where(TenancyRow.meter == meter)
        ordered = query.order_by(TenancyRow.starts.desc(), TenancyRow.id.desc())
        with self._transactions.reading() as session:
            return tuple(map(_tenancy, session.scalars(ordered)))

    def moved(self, *, after: float, until: float) -> frozenset[str]:
        edges = (TenancyRow.starts, TenancyRow.ends)
        query = select(TenancyRow.meter).where(
            or_(*(and_(edge > after, edge <= until) for edge in edges))
        )
        with self._transactions.reading() as session:
            return frozenset(session.scalars(query))

    def session(self, secret: str, *, now: float) -> CustomerSession | None:
        query = (
            select(CustomerSessionRow, CustomerRow)
            .join(CustomerRow, CustomerRow.login == CustomerSessionRow.customer)
            .where(
                CustomerSessionRow.secret_digest == digest(secret),
                CustomerSessionRow.expires > now,
                CustomerRow.disabled.is_(False),
            )
        )
        with self._transactions.reading() as session:
            found = session.execute(query).one_or_none()
            return None if found is None else _session(found[0], _customer(found[1]))

    def sessions(self, login: str, *, now: float) -> Sequence[CustomerSession]:
        query = (
            select(CustomerSessionRow)
            .where(CustomerSessionRow.customer == login, CustomerSessionRow.expires > now)
            .order_by(CustomerSessionRow.id)
        )
        with self._transactions.reading() as session:
            customer = _customer(_found(session, login))
            return tuple(_session(row, customer) for row in session.scalars(query))

    def close_session(self, session_id: int) -> None:
        with self._transactions.writing() as session:
            session.execute(delete(CustomerSessionRow).where(CustomerSessionRow.id == session_id))


def _check_free(session: DbSession, meter: str, starts: float) -> None:
    """Raise ConflictError if a meter is somebody's at a time or later."""
    later = func.coalesce(TenancyRow.ends > starts, True)
    if session.scalars(select(TenancyRow).where(TenancyRow.meter == meter, later)).first():
        raise ConflictError(
            f"meter {meter} is somebody's then or later",
            hint="end that first: openami customer end",
            code="customer.meter",
        )


def _unchanged(session: DbSession, login: str, kept: str) -> CustomerRow | None:
    """Return a customer's row, locked, if who knows the password may still come in."""
    row = _locked(session, login)
    return None if row.disabled or row.password_hash != kept else row


def _opened(
    session: DbSession, customer: CustomerRow, now: float, lifetime: float, label: str
) -> Opened:
    """Open a session of a customer whose row is locked."""
    secret = new_secret()
    session.execute(delete(CustomerSessionRow).where(CustomerSessionRow.expires <= now))
    row = CustomerSessionRow(
        secret_digest=digest(secret),
        customer=customer.login,
        label=label,
        created=now,
        expires=now + lifetime,
    )
    session.add(row)
    session.flush()
    _end_oldest(session, customer.login)
    return secret, _session(row, _customer(customer))


def _end_sessions(session: DbSession, login: str) -> None:
    session.execute(delete(CustomerSessionRow).where(CustomerSessionRow.customer == login))


def _end_oldest(session: DbSession, login: str) -> None:
    mine = select(CustomerSessionRow.id).where(CustomerSessionRow.customer == login)
    oldest = session.scalars(mine.order_by(CustomerSessionRow.id.desc()).offset(MAX_SESSIONS)).all()
    if oldest:
        session.execute(delete(CustomerSessionRow).where(CustomerSessionRow.id.in_(oldest)))


def _found(session: DbSession, login: str, *, lock: bool = False) -> CustomerRow:
    row = session.get(CustomerRow, login, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"no customer {login}")
    return row


def _locked(session: DbSession, login: str) -> CustomerRow:
    """Return a row that nobody else changes until the transaction ends."""
    return _found(session, login, lock=True)


def _note(session: DbSession, who: str, when: float, what: str, login: str) -> None:
    session.add(audit_row(AuditEntry(who, when, what, f"customer-{login}")))


def _customer(row: CustomerRow) -> Customer:
    return Customer(
        row.login,
        row.tariff,
        row.language,
        tuple(row.discounts),
        row.created,
        row.last_login,
        row.disabled,
        row.invited_until,
        row.password_hash is not None,
    )


def _tenancy(row: TenancyRow) -> Tenancy:
    return Tenancy(row.id, row.customer, row.meter, row.starts, row.ends)


def _session(row: CustomerSessionRow, customer: Customer) -> CustomerSession:
    return CustomerSession(row.id, customer, row.created, row.expires, row.label)
