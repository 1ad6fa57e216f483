"""Releases, the repository that devices fetch them from, and vendors' keys."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, select

from openami.core.errors import ConflictError, NotFoundError
from openami.firmware import manifest_codec
from openami.firmware.keys import ImageKey
from openami.firmware.manifest import Attachment, Finding, ReleaseKind
from openami.firmware.metadata import read_any
from openami.firmware.packages import PackageId
from openami.firmware.releases import Act, Release, ReleaseEvent, ReleaseState
from openami.firmware.repository import Repository
from openami.firmware.shelf import Shelved, VendorKey
from openami.firmware.target import TargetFile
from openami.firmware.version import Version
from openami.fleet.devices import AuditEntry
from openami.store.relational.audit import audit_row
from openami.store.relational.campaign_census import slices
from openami.store.relational.engine import insert_ignoring
from openami.store.relational.paging import bounded, decode_cursor, page
from openami.store.relational.release_models import (
    DocumentRow,
    ReleaseEventRow,
    ReleaseRow,
    TargetRow,
    VendorKeyRow,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions

_ROOT: Final = "root"
_TIMESTAMP: Final = "timestamp"


class ReleaseRepository:
    """Implements ``ReleaseStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, release: Release, manifest: bytes, files: Sequence[Attachment]) -> Shelved:
        with self._transactions.writing() as session:
            row = ReleaseRow(
                kind=release.id.kind.value,
                name=release.id.name,
                version=str(release.id.version),
                counter=release.counter,
                digest=release.digest,
                state=release.state.value,
                uploader=release.uploader,
                manifest=manifest,
                files=[asdict(file) for file in files],
            )
            session.add(row)
            session.flush()
            _add_events(session, row.id, release, first=0)
            return _shelved(session, row)

    def get(self, number: int) -> Shelved:
        with self._transactions.reading() as session:
            return _shelved(session, _found(session, number))

    def list(
        self,
        *,
        state: ReleaseState | None = None,
        kind: ReleaseKind | None = None,
        name: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Shelved]:
        limit = bounded(limit)
        query = select(ReleaseRow).order_by(ReleaseRow.id.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(ReleaseRow.state == state.value)
        if kind is not None:
            query = query.where(ReleaseRow.kind == kind.value)
        if name is not None:
            query = query.where(ReleaseRow.name == name)
        if after is not None:
            query = query.where(ReleaseRow.id < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            rows = session.scalars(query).all()
            events = _events(session, rows)
            return page(
                rows, limit, lambda row: _made(row, events.get(row.id, ())), lambda row: (row.id,)
            )

    def of_product(self, product: PackageId) -> Sequence[Shelved]:
        query = select(ReleaseRow).order_by(ReleaseRow.id.desc())
        query = query.where(ReleaseRow.kind == product.kind.value, ReleaseRow.name == product.name)
        with self._transactions.reading() as session:
            rows = session.scalars(query).all()
            events = _events(session, rows)
            return [_made(row, events.get(row.id, ())) for row in rows]

    def move(
        self,
        number: int,
        release: Release,
        *,
        targets: Sequence[TargetFile] | None = None,
        repository: Repository | None = None,
    ) -> Shelved:
        with self._transactions.writing() as session:
            row = _found(session, number, lock=True)
            there = _shelved(session, row).release.events
            if release.events[:-1] != there:
                raise ConflictError(
                    f"release {number} is {row.state} by now", code="firmware.release.transition"
                )
            row.state = release.state.value
            _add_events(session, number, release, first=len(there))
            if targets is not None:
                session.execute(delete(TargetRow).where(TargetRow.release == number))
                session.add_all(
                    TargetRow(path=one.path, release=number, size=one.size, sha256=one.sha256)
                    for one in targets
                )
            if repository is not None:
                self._publish(session, repository, when=release.events[-1].when)
            return _shelved(session, row)

    def used(self) -> Collection[str]:
        found: set[str] = set()
        with self._transactions.reading() as session:
            kept = ReleaseRow.state != ReleaseState.REFUSED.value
            for files in session.scalars(select(ReleaseRow.files).where(kept)):
                found.update(file["sha256"] for file in files)
            found.update(session.scalars(select(TargetRow.sha256)))
        return found

    def targets(self) -> Sequence[TargetFile]:
        with self._transactions.reading() as session:
            rows = session.scalars(select(TargetRow).order_by(TargetRow.path))
            return [_target(row) for row in rows]

    def target(self, path: str) -> TargetFile:
        with self._transactions.reading() as session:
            row = session.get(TargetRow, path)
            if row is None:
                raise NotFoundError("devices are offered no such file")
            return _target(row)

    def repository(self) -> Repository | None:
        with self._transactions.reading() as session:
            roots = session.scalars(
                select(DocumentRow.body)
                .where(DocumentRow.role == _ROOT)
                .order_by(DocumentRow.version)
            ).all()
            latest = {
                role: session.scalars(
                    select(DocumentRow.body)
                    .where(DocumentRow.role == role)
                    .order_by(DocumentRow.version.desc())
                    .limit(1)
                ).first()
                for role in ("targets", "snapshot", _TIMESTAMP)
            }
        targets, snapshot, timestamp = latest.values()
        if targets is None or snapshot is None or timestamp is None:
            return None
        return Repository(tuple(roots), targets, snapshot, timestamp)

    def publish(
        self, repository: Repository, *, when: float, entry: AuditEntry | None = None
    ) -> None:
        with self._transactions.writing() as session:
            self._publish(session, repository, when=when)
            if entry is not None:
                session.add(audit_row(entry))

    def document(self, role: str, version: int | None = None) -> bytes:
        query = select(DocumentRow.body).where(DocumentRow.role == role)
        if version is not None:
            query = query.where(DocumentRow.version == version)
        query = query.order_by(DocumentRow.version.desc()).limit(1)
        with self._transactions.reading() as session:
            body = session.scalars(query).first()
        if body is None:
            raise NotFoundError("the repository has no such document")
        return body

    def forget(self, *, before: float) -> int:
        gone = 0
        with self._transactions.writing() as session:
            for role in ("targets", "snapshot"):
                last = select(func.max(DocumentRow.version)).where(DocumentRow.role == role)
                which = delete(DocumentRow).where(DocumentRow.role == role)
                which = which.where(DocumentRow.made < before)
                which = which.where(DocumentRow.version < last.scalar_subquery())
                gone += len(session.scalars(which.returning(DocumentRow.version)).all())
        return gone

    def vendor_keys(self) -> Sequence[VendorKey]:
        order = (VendorKeyRow.vendor, VendorKeyRow.product, VendorKeyRow.id)
        with self._transactions.reading() as session:
            return [_key(row) for row in session.scalars(select(VendorKeyRow).order_by(*order))]

    def add_key(self, key: VendorKey, *, entry: AuditEntry) -> bool:
        with self._transactions.writing() as session:
            if session.get(VendorKeyRow, (key.id, key.vendor, key.product)) is not None:
                return False
            session.add(
                VendorKeyRow(
                    id=key.id, vendor=key.vendor, product=key.product, pem=key.key.pem(),
                    added=key.added, who=key.who,
                )
            )  # fmt: skip
            session.add(audit_row(entry))
            return True

    def remove_key(self, id_: str, *, entry: AuditEntry) -> int:
        with self._transactions.writing() as session:
            which = delete(VendorKeyRow).where(VendorKeyRow.id == id_)
            gone = len(session.scalars(which.returning(VendorKeyRow.id)).all())
            if not gone:
                raise NotFoundError(f"no vendor has the key {id_}")
            session.add(audit_row(entry))
            return gone

    def _publish(self, session: Session, repository: Repository, *, when: float) -> None:
        insert = insert_ignoring(self._transactions.dialect, DocumentRow)
        session.execute(delete(DocumentRow).where(DocumentRow.role == _TIMESTAMP))
        for body in repository.files().values():
            signed = read_any(body).signed
            values = {"role": signed.type, "version": signed.version, "body": body, "made": when}
            session.execute(insert.values(values))


def _found(session: Session, number: int, *, lock: bool = False) -> ReleaseRow:
    row = session.get(ReleaseRow, number, with_for_update=lock)
    if row is None:
        raise NotFoundError(
            f"there is no release {number}", hint="openami release list has the numbers"
        )
    return row


def _add_events(session: Session, number: int, release: Release, *, first: int) -> None:
    for position, event in enumerate(release.events[first:], first):
        session.add(
            ReleaseEventRow(
                release=number,
                position=position,
                act=event.act.value,
                who=event.who,
                when=event.when,
                why=event.why,
                before=event.before and event.before.value,
                after=event.after.value,
                findings=[[finding.code, finding.text] for finding in event.findings],
            )
        )
        what = f"release.{event.after}: {release.id}, manifest {event.digest}"
        session.add(
            audit_row(AuditEntry(event.who, event.when, what, f"release-{number}", event.why))
        )
    session.flush()


def _shelved(session: Session, row: ReleaseRow) -> Shelved:
    return _made(row, _events(session, [row]).get(row.id, ()))


def _events(
    session: Session, rows: Sequence[ReleaseRow]
) -> Mapping[int, Sequence[ReleaseEventRow]]:
    """Return what happened to some releases, by their numbers."""
    found: defaultdict[int, list[ReleaseEventRow]] = defaultdict(list)
    for some in slices([row.id for row in rows]):
        query = select(ReleaseEventRow).where(ReleaseEventRow.release.in_(some))
        for event in session.scalars(query.order_by(ReleaseEventRow.position)):
            found[event.release].append(event)
    return found


def _made(row: ReleaseRow, events: Sequence[ReleaseEventRow]) -> Shelved:
    id_ = PackageId(ReleaseKind(row.kind), row.name, Version.parse(row.version))
    release = Release(
        id_, row.counter, row.digest, ReleaseState(row.state), row.uploader,
        tuple(_event(each, row.digest) for each in events),
    )  # fmt: skip
    files = tuple(Attachment(**file) for file in row.files)
    return Shelved(row.id, release, manifest_codec.decode(row.manifest), files)


def _event(row: ReleaseEventRow, digest: str) -> ReleaseEvent:
    return ReleaseEvent(
        Act(row.act),
        row.who,
        row.when,
        row.why,
        digest,
        None if row.before is None else ReleaseState(row.before),
        ReleaseState(row.after),
        tuple(Finding(code, text) for code, text in row.findings),
    )


def _target(row: TargetRow) -> TargetFile:
    return TargetFile(row.path, row.size, row.sha256)


def _key(row: VendorKeyRow) -> VendorKey:
    return VendorKey(
        row.id, row.vendor, row.product, ImageKey.from_pem(row.pem), row.added, row.who
    )
