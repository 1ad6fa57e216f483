"""The log of device management's sessions."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, insert, select

from openami.core.errors import NotFoundError
from openami.fleet.accounts import LoggedSession, MessageRecord, SessionRecord
from openami.omadm.session.events import End
from openami.store.relational.management_models import DmMessageRow, DmSessionRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Delete
    from sqlalchemy.orm import Session

    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions

KEPT: Final = 200
"""Sessions of one device: all that was done lately. A device that is given something to do once or
twice a day has some 50 within the month of ``keep_sessions_days``; with 120,000 devices that are 6
million, of six messages each. Polls that say nothing do not count for long:"""
IDLE_KEPT: Final = 12
"""Among so many latest sessions of a device, those that had nothing to say are kept: an hour of
polls every five minutes. With ``TRIM_EVERY`` a device has 28 of them at most, 120,000 devices 3.4
million rows of 0.2 KB and no messages: 0.7 GB. Kept like others, they would be 24 million rows with
48 million messages, and would push out after sixteen hours what was said."""
TRIM_EVERY: Final = 16
"""The rest of a device is looked for with one of so many of its sessions."""
SUSPENDED: Final = "dm.suspended"
_STANDS_NO_MORE: Final = "the account was suspended or replaced"
# A message has a kilobyte, and there are two thousand a second: what a compressor costs is its
# tables, which these make small.
_LEVEL: Final = 1
_WINDOW_BITS: Final = 12
_MEMORY: Final = 5

_SESSION: Final[Any] = DmSessionRow.__table__
_MESSAGE: Final[Any] = DmMessageRow.__table__
_COLUMNS: Final = tuple(SessionRecord.__dataclass_fields__)
_SELECT: Final = select(*(_SESSION.c[name] for name in _COLUMNS))
# Made once: it is asked for again and again, and nearly always finds nothing.
_OLD: Final = (
    select(_SESSION.c.id)
    .where(_SESSION.c.began < bindparam("b_before"))
    .order_by(_SESSION.c.began)
    .limit(bindparam("b_limit"))
)
_ADD_SESSION: Final = insert(_SESSION)
_ADD_MESSAGE: Final = insert(_MESSAGE)


def _beyond(kept: int) -> Delete:
    """Return what removes the sessions of a device that are older than its ``kept`` latest."""
    latest = (
        select(_SESSION.c.id)
        .where(_SESSION.c.uid == bindparam("b_uid"))
        .order_by(_SESSION.c.id.desc())
        .limit(kept)
        .subquery()
    )
    return delete(_SESSION).where(
        _SESSION.c.uid == bindparam("b_uid"),
        _SESSION.c.id < select(func.min(latest.c.id)).scalar_subquery(),
    )


_TRIM_IDLE: Final = _beyond(IDLE_KEPT).where(
    _SESSION.c.orders == 0,
    _SESSION.c.end == End.DONE.value,
    ~select(_MESSAGE.c.session).where(_MESSAGE.c.session == _SESSION.c.id).exists(),
)
_TRIM: Final = _beyond(KEPT)


def add_sessions(
    session: Session, sessions: Sequence[LoggedSession], gone: Collection[str] = ()
) -> None:
    """Add sessions with their messages within a transaction.

    Those of devices whose account is ``gone`` were refused, if all was well until then.
    """
    logged = [_refused(each) if each.session.uid in gone else each for each in sessions]
    rows = [{name: getattr(each.session, name) for name in _COLUMNS} for each in logged]
    session.execute(_ADD_SESSION, rows)
    messages = [
        {
            "session": each.session.id,
            "number": message.number,
            "sent": message.sent,
            "at": message.at,
            "media": message.media,
            "octets": message.octets,
            "body": _compressed(message.body) if message.body else b"",
        }
        for each in logged
        for message in each.messages
    ]
    if messages:
        session.execute(_ADD_MESSAGE, messages)


def _refused(logged: LoggedSession) -> LoggedSession:
    if logged.session.end != End.DONE.value:
        return logged
    end = End.REFUSED.value
    session = replace(logged.session, end=end, code=SUSPENDED, message=_STANDS_NO_MORE)
    return replace(logged, session=session)


def _compressed(body: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY)
    return compressor.compress(body) + compressor.flush()


def trim_sessions(session: Session, logged: Sequence[LoggedSession]) -> None:
    """Remove what is beyond ``IDLE_KEPT`` and ``KEPT``, within a transaction, now and then."""
    for each in logged:
        if each.session.id % TRIM_EVERY == 0:
            session.execute(_TRIM_IDLE, {"b_uid": each.session.uid})
            session.execute(_TRIM, {"b_uid": each.session.uid})


class SessionRepository:
    """The part of ``AccountStore`` that is about past sessions."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def sessions(
        self, *, uid: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[SessionRecord]:
        limit = bounded(limit)
        query = _SELECT.order_by(_SESSION.c.id.desc()).limit(limit + 1)
        if uid is not None:
            query = query.where(_SESSION.c.uid == uid)
        if after is not None:
            query = query.where(_SESSION.c.id < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            rows = session.execute(query).all()
            return page(rows, limit, lambda row: SessionRecord(*row), lambda row: (row.id,))

    def session(self, number: int) -> LoggedSession:
        query = select(_MESSAGE).where(_MESSAGE.c.session == number).order_by(_MESSAGE.c.number)
        with self._transactions.reading() as session:
            row = session.execute(_SELECT.where(_SESSION.c.id == number)).one_or_none()
            if row is None:
                raise NotFoundError(f"no session {number}")
            messages = session.execute(query).all()
            return LoggedSession(SessionRecord(*row), tuple(map(_message, messages)))

    def forget_sessions(self, *, before: float, limit: int = 1000) -> int:
        which = {"b_before": before, "b_limit": bounded(limit)}
        with self._transactions.reading() as session:
            numbers = session.scalars(_OLD, which).all()
        if numbers:  # who finds nothing has nobody wait
            with self._transactions.writing() as session:
                session.execute(delete(_SESSION).where(_SESSION.c.id.in_(numbers)))
        return len(numbers)


def _message(row: Any) -> MessageRecord:
    body = zlib.decompress(row.body) if row.body else b""
    return MessageRecord(row.number, row.sent, row.at, row.media, row.octets, body)
