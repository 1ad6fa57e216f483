"""The devices that are expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from openami.core.errors import NotFoundError
from openami.fleet.devices import AuditEntry
from openami.fleet.expected import Approval, ExpectedDevice
from openami.store.relational.audit import audit_row
from openami.store.relational.engine import inserting
from openami.store.relational.paging import bounded, decode_cursor, page
from openami.store.relational.security_models import ExpectedRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions

LIST: Final = "expected devices"  # what the audit log calls them


class ExpectedRepository:
    """Implements ``ExpectedStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def get(self, uid: str) -> ExpectedDevice | None:
        with self._transactions.reading() as session:
            return expected_device(session, uid)

    def put(self, devices: Sequence[ExpectedDevice], *, who: str, when: float) -> None:
        insert = inserting(self._transactions.dialect, ExpectedRow)
        columns = [column.name for column in ExpectedRow.__table__.columns if column.name != "uid"]
        upsert = insert.on_conflict_do_update(
            index_elements=["uid"], set_={name: insert.excluded[name] for name in columns}
        )
        with self._transactions.writing() as session:
            if devices:
                session.connection().execute(upsert, [_values(device) for device in devices])
            said = devices[0].uid if len(devices) == 1 else f"{len(devices)} devices"
            what = f"expected.imported: {said}"
            session.add(audit_row(AuditEntry(who, when, what, LIST)))

    def remove(self, uid: str, *, who: str, when: float) -> None:
        with self._transactions.writing() as session:
            row = session.get(ExpectedRow, uid)
            if row is None:
                raise NotFoundError(f"no device {uid} is expected")
            session.delete(row)
            session.add(audit_row(AuditEntry(who, when, f"expected.removed: {uid}", LIST)))

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[ExpectedDevice]:
        limit = bounded(limit)
        query = select(ExpectedRow).order_by(ExpectedRow.uid).limit(limit + 1)
        if after is not None:
            query = query.where(ExpectedRow.uid > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, read_expected, lambda row: (row.uid,))


def expected_device(session: Session, uid: str) -> ExpectedDevice | None:
    """Return what is expected of a device, within a transaction."""
    row = session.get(ExpectedRow, uid)
    return None if row is None else read_expected(row)


def _values(device: ExpectedDevice) -> dict[str, Any]:
    return {
        "uid": device.uid,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "fingerprint": device.fingerprint.hex() if device.fingerprint else None,
        "approval": device.approval.value,
        "region": device.region,
        "label": device.label,
    }


def read_expected(row: ExpectedRow) -> ExpectedDevice:
    """Return the expected device of a row."""
    return ExpectedDevice(
        uid=row.uid,
        manufacturer=row.manufacturer,
        model=row.model,
        fingerprint=bytes.fromhex(row.fingerprint) if row.fingerprint else None,
        approval=Approval(row.approval),
        region=row.region,
        label=row.label,
    )
