"""Accounts of device management, and what wakes their devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, case, or_, select, update

from openami.core.errors import NotFoundError
from openami.fleet.accounts import AccountRecord
from openami.store.relational.audit import audit_row
from openami.store.relational.management_models import AccountRow
from openami.store.relational.management_sessions import (
    SessionRepository,
    add_sessions,
    trim_sessions,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.accounts import LoggedSession, NonceUpdate, WakeUp
    from openami.fleet.devices import AuditEntry

_ACCOUNT: Final[Any] = AccountRow.__table__
_COLUMNS: Final = (
    "uid",
    "digest",
    "suspended",
    "client_nonce",
    "server_nonce",
    "last_session",
    "wake_url",
    "wake_due",
    "wake_failures",
    "wake_session",
    "wake_silent",
    "allows",
)
_SELECT: Final = select(*(_ACCOUNT.c[name] for name in _COLUMNS))
# Made once, as all that follows: sessions ask for them all the time.
_WHOSE: Final = _ACCOUNT.c.uid.in_(bindparam("b_uids", expanding=True))
_FOUND: Final = _SELECT.where(_WHOSE)
_STANDING: Final = select(_ACCOUNT.c.uid, _ACCOUNT.c.digest).where(
    _WHOSE, _ACCOUNT.c.suspended.is_(False)
)
_DUE: Final = {
    silent: _SELECT.where(
        _ACCOUNT.c.wake_silent.is_(silent),
        _ACCOUNT.c.wake_due <= bindparam("b_now"),
        _ACCOUNT.c.wake_url.is_not(None),
        _ACCOUNT.c.suspended.is_(False),
    )
    .order_by(_ACCOUNT.c.wake_due)
    .limit(bindparam("b_limit"))
    for silent in (False, True)
}

_SAME: Final = (_ACCOUNT.c.uid == bindparam("b_uid"), _ACCOUNT.c.digest == bindparam("b_digest"))
_NONCES: Final = (
    update(_ACCOUNT)
    .where(*_SAME)
    .values(client_nonce=bindparam("b_client"), server_nonce=bindparam("b_server"))
)
# What was wished for before the session began is in it; a repetition of a wake-up is not needed.
_ANSWERED: Final = or_(_ACCOUNT.c.wake_due <= bindparam("b_began"), _ACCOUNT.c.wake_failures > 0)
_BEGUN: Final = _NONCES.values(
    last_session=bindparam("b_began"),
    wake_due=case((_ANSWERED, None), else_=_ACCOUNT.c.wake_due),
    wake_failures=0,
    wake_silent=False,
)
# Neither a session nor another wish has changed it since.
_ATTEMPTED: Final = _ACCOUNT.c.wake_due == bindparam("b_was")
_WOKEN: Final = (
    update(_ACCOUNT)
    .where(_ACCOUNT.c.uid == bindparam("b_uid"))
    .values(
        wake_session=bindparam("b_session"),
        wake_due=case((_ATTEMPTED, bindparam("b_due")), else_=_ACCOUNT.c.wake_due),
        wake_failures=case((_ATTEMPTED, bindparam("b_failures")), else_=_ACCOUNT.c.wake_failures),
        wake_silent=case((_ATTEMPTED, bindparam("b_silent")), else_=_ACCOUNT.c.wake_silent),
    )
)


class AccountRepository(SessionRepository):
    """Implements ``AccountStore``."""

    def accounts(self, uids: Collection[str]) -> Mapping[str, AccountRecord]:
        with self._transactions.reading() as session:
            rows = session.execute(_FOUND, {"b_uids": sorted(set(uids))})
            return {row.uid: AccountRecord(*row) for row in rows}

    def commit(
        self, nonces: Sequence[NonceUpdate], sessions: Sequence[LoggedSession]
    ) -> frozenset[str]:
        with self._transactions.writing() as session:
            # In one order, so that two head-ends never wait for each other.
            rows = [_nonces(each) for each in sorted(nonces, key=lambda each: each.uid)]
            for statement, some in (
                (_BEGUN, [row for row in rows if "b_began" in row]),
                (_NONCES, [row for row in rows if "b_began" not in row]),
            ):
                if some:
                    session.execute(statement, some)
            gone = _gone(session, nonces)
            if sessions:
                add_sessions(session, sessions, gone)
                trim_sessions(session, sessions)
            return gone

    def reach(self, uid: str, url: str) -> None:
        statement = update(_ACCOUNT).where(_ACCOUNT.c.uid == uid).values(wake_url=url)
        with self._transactions.writing() as session:
            session.execute(statement)

    def allow(self, uid: str, allows: str, *, said: AuditEntry) -> None:
        with self._transactions.writing() as session:
            row = session.get(AccountRow, uid, with_for_update=True)
            if row is None:
                raise NotFoundError(f"{uid} has no account", code="dm.no-account")
            if row.allows != allows:
                row.allows = allows
                session.add(audit_row(said))

    def due(self, *, now: float, silent: bool, limit: int) -> Sequence[AccountRecord]:
        with self._transactions.reading() as session:
            rows = session.execute(_DUE[silent], {"b_now": now, "b_limit": limit})
            return tuple(AccountRecord(*row) for row in rows)

    def woken(self, attempts: Sequence[WakeUp]) -> None:
        rows = [
            {
                "b_uid": each.uid,
                "b_due": each.due,
                "b_failures": each.failures,
                "b_session": each.session,
                "b_silent": each.silent,
                "b_was": each.was,
            }
            for each in sorted(attempts, key=lambda each: each.uid)
        ]
        if rows:
            with self._transactions.writing() as session:
                session.execute(_WOKEN, rows)


def _gone(session: Session, nonces: Sequence[NonceUpdate]) -> frozenset[str]:
    """Return the devices whose account is not the one of the update, or suspended."""
    if not nonces:
        return frozenset()
    rows = session.execute(_STANDING, {"b_uids": [each.uid for each in nonces]})
    standing = {(row.uid, row.digest) for row in rows}
    return frozenset(each.uid for each in nonces if (each.uid, each.digest) not in standing)


def _nonces(update: NonceUpdate) -> dict[str, Any]:
    began = {} if update.began is None else {"b_began": update.began}
    return {
        "b_uid": update.uid,
        "b_digest": update.digest,
        "b_client": update.client_nonce,
        "b_server": update.server_nonce,
        **began,
    }
