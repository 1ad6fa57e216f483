"""Registrations, and what belongs to a change of one: account, device, certificates, alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, literal, select, update

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.devices import AuditEntry, Device, DeviceKind, LifecycleState, device_id
from openami.fleet.lives import Life, cull, follow
from openami.fleet.registration import (
    Activate,
    Alarm,
    Registration,
    RegistrationRecord,
    Revoke,
    Standing,
)
from openami.store.relational.alarms import raise_alarm
from openami.store.relational.audit import audit_row
from openami.store.relational.devices import (
    add_device,
    locked_device,
    move_device,
    read_device,
)
from openami.store.relational.expected import expected_device, read_expected
from openami.store.relational.management_models import AccountRow
from openami.store.relational.models import DeviceRow
from openami.store.relational.paging import bounded, decode_cursor, page
from openami.store.relational.registration_rows import from_json, to_json
from openami.store.relational.security_models import (
    CertificateRow,
    ExpectedRow,
    RegistrationRow,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Row, Select
    from sqlalchemy.orm import Session

    from openami.fleet.ports import Page
    from openami.fleet.registration import Effect
    from openami.store.relational.engine import Transactions

DEVICE: Final = "device"  # the kind of certificates that devices have

_SHUT: Final = frozenset({LifecycleState.SUSPENDED, LifecycleState.RETIRED})


class RegistrationRepository:
    """Implements ``RegistrationStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def get(self, uid: str) -> Registration | None:
        with self._transactions.reading() as session:
            row = session.get(RegistrationRow, uid)
            return None if row is None else _registration(row)

    def put(
        self,
        registration: Registration,
        *,
        replacing: Registration | None,
        effects: Sequence[Effect],
        who: str,
        when: float,
        why: str = "",
    ) -> None:
        with self._transactions.writing() as session:
            row = session.get(RegistrationRow, registration.uid, with_for_update=True)
            if (None if row is None else _registration(row)) != replacing:
                raise _changed(registration.uid)
            row = row or RegistrationRow(uid=registration.uid, version=0, body={})
            change = _Change(session, who, when, why)
            change.note(replacing, registration)
            life = change.device(row, replacing, registration, effects)
            _write(row, registration, life)
            session.add(row)
            change.account(registration, effects, life)
            change.revoke(registration, effects)
            change.alarm(registration.uid, effects)

    def known(self, uid: str) -> RegistrationRecord | None:
        with self._transactions.reading() as session:
            row = session.execute(_records().where(RegistrationRow.uid == uid)).first()
            return None if row is None else _record(row)

    def list(
        self,
        standing: Standing | None = None,
        *,
        asked_since: float | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[RegistrationRecord]:
        limit = bounded(limit)
        query = _records().order_by(RegistrationRow.uid).limit(limit + 1)
        if standing is not None:
            query = query.where(RegistrationRow.standing == standing.value)
        if asked_since is not None:
            query = query.where(RegistrationRow.anew >= asked_since)
        if after is not None:
            query = query.where(RegistrationRow.uid > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            rows = session.execute(query).all()
            return page(rows, limit, _record, lambda row: (row[0].uid,))

    def ask_anew(self, uid: str, *, when: float) -> None:
        live = RegistrationRow.standing == Standing.LIVE.value
        query = update(RegistrationRow).where(RegistrationRow.uid == uid, live)
        with self._transactions.writing() as session:
            session.execute(query.values(anew=when))

    def asking(self, *, since: float) -> int:
        query = select(func.count()).where(RegistrationRow.anew >= since)
        with self._transactions.reading() as session:
            return session.scalars(query).one()

    def counts(self) -> Mapping[Standing, int]:
        query = select(RegistrationRow.standing, func.count()).group_by(RegistrationRow.standing)
        with self._transactions.reading() as session:
            return {Standing(standing): count for standing, count in session.execute(query)}


class _Change:
    """One change of a registration, within its transaction."""

    def __init__(self, session: Session, who: str, when: float, why: str) -> None:
        self._session = session
        self._who, self._when, self._why = who, when, why

    def note(self, before: Registration | None, after: Registration) -> None:
        was = "none" if before is None else before.standing
        moved = before is None or before.standing is not after.standing
        what = f"{was} to {after.standing}" if moved else f"{after.standing}, changed"
        self._audit(f"registration {what}", after.uid)

    def device(
        self,
        row: RegistrationRow,
        before: Registration | None,
        after: Registration,
        effects: Sequence[Effect],
    ) -> Life:
        """Move the registry's device along, and return its life."""
        key = device_id(DeviceKind.DCU, after.uid)
        device = locked_device(self._session, key)
        life = follow(_life(row, device), before, after, effects)
        steps = life.steps
        if device is None and steps:
            self._add(after, steps[0])
            steps = steps[1:]
        for state in steps:
            why = self._why or f"its registration is {after.standing}"
            move_device(self._session, key, state, who=self._who, when=self._when, why=why)
        return life

    def _add(self, registration: Registration, state: LifecycleState) -> None:
        expected = expected_device(self._session, registration.uid)
        device = Device(
            DeviceKind.DCU,
            registration.uid,
            state,
            model=registration.claim.model,
            firmware=registration.claim.firmware,
            region=expected.region if expected else "",
            label=expected.label if expected else "",
        )
        add_device(self._session, device, who=self._who, when=self._when, why=self._why)
        self._session.flush()

    def account(self, registration: Registration, effects: Sequence[Effect], life: Life) -> None:
        """Make the offered account the device's only one, or keep the one there is shut or open."""
        for effect in effects:
            if isinstance(effect, Activate):
                self._session.merge(_account(registration.uid, effect.digest, self._when))
                self._audit("account.live", registration.uid)
        shut = life.state in _SHUT or registration.live is None
        query = update(AccountRow).where(AccountRow.uid == registration.uid)
        self._session.execute(query.values(suspended=shut))

    def revoke(self, registration: Registration, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Revoke):
                self._revoke_one(registration.uid, effect)
        reason = cull(registration, effects)
        if reason is not None:
            good = registration.certificate
            self._revoke_others(registration.uid, "" if good is None else _hex(good.serial), reason)

    def _revoke_one(self, uid: str, effect: Revoke) -> None:
        row = self._session.get(CertificateRow, _hex(effect.serial), with_for_update=True)
        if row is None:
            raise NotFoundError(f"no certificate {_hex(effect.serial)}", code="certificate.unknown")
        self._mark(row, uid, effect.reason)

    def _revoke_others(self, uid: str, good: str, reason: str) -> None:
        query = select(CertificateRow).where(
            CertificateRow.kind == DEVICE,
            CertificateRow.subject == uid,
            CertificateRow.serial != good,
        )
        for row in self._session.scalars(query.with_for_update()):
            self._mark(row, uid, reason)

    def _mark(self, row: CertificateRow, uid: str, reason: str) -> None:
        if row.revoked is None:
            row.revoked, row.reason = self._when, reason
            self._audit(f"certificate.revoked {row.serial}: {reason}", uid)

    def alarm(self, uid: str, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Alarm):
                subject = device_id(DeviceKind.DCU, uid)
                raise_alarm(self._session, effect.code, subject, effect.message, when=self._when)

    def _audit(self, what: str, uid: str) -> None:
        subject = device_id(DeviceKind.DCU, uid)
        self._session.add(audit_row(AuditEntry(self._who, self._when, what, subject, self._why)))


def _records() -> Select[RegistrationRow, DeviceRow | None, ExpectedRow | None]:
    """Return the query for registrations, each with what belongs to it."""
    its_id = literal(f"{DeviceKind.DCU}-") + RegistrationRow.uid  # as ``device_id`` makes it
    return (
        select(RegistrationRow, DeviceRow, ExpectedRow)
        .outerjoin(DeviceRow, DeviceRow.id == its_id)
        .outerjoin(ExpectedRow, ExpectedRow.uid == RegistrationRow.uid)
    )


def _record(row: Row[RegistrationRow, DeviceRow | None, ExpectedRow | None]) -> RegistrationRecord:
    found, device, expected = row
    return RegistrationRecord(
        _registration(found),
        None if device is None else read_device(device),
        None if expected is None else read_expected(expected),
        found.anew,
    )


def _registration(row: RegistrationRow) -> Registration:
    return from_json(row.uid, row.standing, row.body)


def _write(row: RegistrationRow, registration: Registration, life: Life) -> None:
    body: dict[str, Any] = to_json(registration)
    if life.was is not None or life.stays:
        body["life"] = {"was": life.was.value if life.was else None, "stays": life.stays}
    row.standing = registration.standing.value
    row.asked = registration.claim.when
    if registration.standing is not Standing.LIVE:
        row.anew = None  # it asked, and was heard
    row.version += 1
    row.body = body


def _life(row: RegistrationRow, device: Device | None) -> Life:
    state = None if device is None else device.state
    kept = row.body.get("life")
    if kept is None:
        return Life(state)
    was = LifecycleState(kept["was"]) if kept["was"] else None
    return Life(state, was=was, stays=kept["stays"])


def _account(uid: str, digest: bytes, now: float) -> AccountRow:
    return AccountRow(
        uid=uid,
        digest=digest.hex(),
        suspended=False,
        created=now,
        client_nonce=b"",
        server_nonce=b"",
        last_session=None,
        wake_url=None,
        wake_due=now,
        wake_failures=0,
        wake_session=0,
        tree_known=None,
    )


def _hex(serial: int) -> str:
    return f"{serial:x}"


def _changed(uid: str) -> ConflictError:
    return ConflictError(f"the registration of {uid} has changed", code="registration.changed")
