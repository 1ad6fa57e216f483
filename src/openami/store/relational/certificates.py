"""Certificates, trust anchors and lists of what is revoked."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.orm import defer

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.certificates import (
    CertificateKind,
    CertificateRecord,
    RevocationList,
    RevokedCertificate,
    TrustAnchor,
    authority_number,
)
from openami.store.relational.audit import audit_row
from openami.store.relational.engine import insert_ignoring
from openami.store.relational.paging import bounded, decode_cursor, page
from openami.store.relational.security_models import (
    AnchorRow,
    CertificateRow,
    CrlRow,
    RegistrationRow,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Exists
    from sqlalchemy.orm import Session

    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions


# Where a registration names certificates (registration_rows).
_NAMED: Final = (
    ("certificate", "serial"),
    ("previous", "serial"),
    ("offer", "certificate", "serial"),
)


class CertificateRepository:
    """Implements ``CertificateStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, record: CertificateRecord, *, entry: AuditEntry | None = None) -> None:
        with self._transactions.writing() as session:
            if session.get(CertificateRow, _hex(record.serial)) is not None:
                raise ConflictError(f"there is a certificate {_hex(record.serial)} already")
            session.add(_row(record))
            if entry is not None:
                session.add(audit_row(entry))

    def get(self, serial: int) -> CertificateRecord:
        with self._transactions.reading() as session:
            return _record(_found(session, serial))

    def list(
        self,
        *,
        kind: CertificateKind | None = None,
        subject: str | None = None,
        revoked: bool | None = None,
        ends: tuple[float, float] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[CertificateRecord]:
        limit = bounded(limit)
        query = select(CertificateRow).limit(limit + 1)
        query = query.order_by(CertificateRow.issued.desc(), CertificateRow.serial.desc())
        if kind is not None:
            query = query.where(CertificateRow.kind == kind.value)
        if subject is not None:
            query = query.where(CertificateRow.subject == subject)
        if revoked is not None:
            gone = CertificateRow.revoked.is_not(None)
            query = query.where(gone if revoked else ~gone)
        if ends is not None:
            query = query.where(CertificateRow.not_after > ends[0])
            query = query.where(CertificateRow.not_after <= ends[1])
        if after is not None:
            issued, serial = decode_cursor(after, float, str)
            query = query.where(
                (CertificateRow.issued < issued)
                | ((CertificateRow.issued == issued) & (CertificateRow.serial < serial))
            )
        with self._transactions.reading() as session:
            rows = session.scalars(query).all()
            return page(rows, limit, _record, lambda row: (row.issued, row.serial))

    def revoke(self, serial: int, reason: str, *, when: float, entry: AuditEntry) -> bool:
        with self._transactions.writing() as session:
            row = _found(session, serial, lock=True)
            if row.revoked is not None:
                return False
            row.revoked, row.reason = when, reason
            session.add(audit_row(entry))
            return True

    def revoked(
        self, authority: str, *, now: float, since: float = 0.0
    ) -> Sequence[RevokedCertificate]:
        query = (
            select(CertificateRow.serial, CertificateRow.revoked, CertificateRow.reason)
            .where(CertificateRow.authority == authority)
            .where(CertificateRow.revoked >= since)
            .where(CertificateRow.not_after >= now)
        )
        with self._transactions.reading() as session:
            return [
                RevokedCertificate(int(serial, 16), when, reason)
                for serial, when, reason in session.execute(query)
                if when is not None
            ]

    def revoked_of(self, subject: str, *, now: float) -> Sequence[int]:
        query = (
            select(CertificateRow.serial)
            .where(CertificateRow.subject == subject)
            .where(CertificateRow.kind == CertificateKind.DEVICE.value)
            .where(CertificateRow.revoked.is_not(None))
            .where(CertificateRow.not_after >= now)
        )
        with self._transactions.reading() as session:
            return [int(serial, 16) for serial in session.scalars(query)]

    def forget(self, *, before: float, limit: int = 1000) -> int:
        over = select(CertificateRow.serial).where(CertificateRow.not_after < before)
        over = over.where(~_named()).limit(bounded(limit))
        with self._transactions.reading() as session:
            serials = session.scalars(over).all()
        if not serials:
            return 0
        which = delete(CertificateRow).where(CertificateRow.serial.in_(serials), ~_named())
        with self._transactions.writing() as session:
            return len(session.scalars(which.returning(CertificateRow.serial)).all())

    def revocation_list(self, authority: str) -> RevocationList | None:
        with self._transactions.reading() as session:
            row = session.get(CrlRow, authority)
            if row is None:
                return None
            return RevocationList(authority, row.number, row.der, row.made, row.ends)

    def put_revocation_list(self, made: RevocationList) -> bool:
        values = {"number": made.number, "der": made.der, "made": made.made, "ends": made.ends}
        first = {"authority": made.authority, "number": 0, "der": b"", "made": 0, "ends": 0}
        with self._transactions.writing() as session:
            session.execute(insert_ignoring(self._transactions.dialect, CrlRow).values(first))
            kept = session.execute(
                update(CrlRow)
                .where(CrlRow.authority == made.authority)
                .where(CrlRow.number == made.number - 1)
                .values(values)
                .returning(CrlRow.number)
            )
            return kept.first() is not None

    def anchors(self) -> Sequence[TrustAnchor]:
        order = (AnchorRow.manufacturer, AnchorRow.fingerprint)
        query = select(AnchorRow).options(defer(AnchorRow.crl)).order_by(*order)
        with self._transactions.reading() as session:
            return [_anchor(row) for row in session.scalars(query)]

    def add_anchor(self, anchor: TrustAnchor, *, entry: AuditEntry) -> bool:
        with self._transactions.writing() as session:
            if session.get(AnchorRow, anchor.fingerprint) is not None:
                return False
            session.add(AnchorRow(**asdict(anchor), crl=b""))
            session.add(audit_row(entry))
            return True

    def anchor_list(self, fingerprint: str) -> bytes:
        with self._transactions.reading() as session:
            return _found_anchor(session, fingerprint).crl

    def set_anchor_list(
        self, fingerprint: str, crl: bytes, *, ends: float, entry: AuditEntry
    ) -> TrustAnchor:
        with self._transactions.writing() as session:
            row = _found_anchor(session, fingerprint, lock=True)
            row.crl, row.listed, row.list_ends = crl, sha256(crl).hexdigest(), ends
            session.add(audit_row(entry))
            return _anchor(row)

    def remove_anchor(self, fingerprint: str, *, entry: AuditEntry) -> TrustAnchor:
        with self._transactions.writing() as session:
            row = _found_anchor(session, fingerprint, lock=True)
            session.delete(row)
            session.add(audit_row(entry))
            return _anchor(row)


def _named() -> Exists:
    """Return whether the registration of its device names a certificate."""
    named = (RegistrationRow.body[path].as_string() == CertificateRow.serial for path in _NAMED)
    return exists().where(RegistrationRow.uid == CertificateRow.subject, or_(*named))


def _found(session: Session, serial: int, *, lock: bool = False) -> CertificateRow:
    row = session.get(CertificateRow, _hex(serial), with_for_update=lock)
    if row is None:
        message = f"there is no certificate {_hex(serial)}"
        raise NotFoundError(message, hint="openami pki list has the numbers")
    return row


def _found_anchor(session: Session, fingerprint: str, *, lock: bool = False) -> AnchorRow:
    row = session.get(AnchorRow, fingerprint, with_for_update=lock)
    if row is None:
        raise NotFoundError(f"there is no trust anchor {fingerprint}")
    return row


def _hex(serial: int) -> str:
    return f"{serial:x}"


def _row(record: CertificateRecord) -> CertificateRow:
    return CertificateRow(
        serial=_hex(record.serial),
        authority=record.authority,
        kind=record.kind.value,
        subject=record.subject,
        der=record.der,
        issued=record.issued,
        not_after=record.not_after,
        revoked=record.revoked,
        reason=record.reason,
    )


def _record(row: CertificateRow) -> CertificateRecord:
    return CertificateRecord(
        serial=int(row.serial, 16),
        kind=CertificateKind(row.kind),
        subject=row.subject,
        der=row.der,
        issued=row.issued,
        not_after=row.not_after,
        revoked=row.revoked,
        reason=row.reason,
        number=authority_number(row.authority),
    )


def _anchor(row: AnchorRow) -> TrustAnchor:
    return TrustAnchor(
        row.fingerprint, row.manufacturer, row.der, row.added, row.who, row.listed, row.list_ends
    )
