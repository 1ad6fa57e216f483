"""Orders to have meters forget the displays of households that moved out.

An order is kept with the end of the tenancy, in one transaction, and is there until its meter has
done it: who moves in meanwhile changes nothing.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, or_, select, update

from openami.fleet.demand.records import DisplayOrder
from openami.fleet.devices import DeviceKind, LifecycleState, MeterProtocol, device_id
from openami.store.relational.audit import audit_row
from openami.store.relational.demand_models import DisplayOrderRow
from openami.store.relational.models import DeviceRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions

ID_OCTETS: Final = 8


def have_forgotten(session: Session, meter: str, due: float) -> None:
    """Order that a meter forgets its displays from a moment on.

    One that no DCU looks after has it done when a DCU does. C12.22 has no displays that are paired.
    """
    device = session.get(DeviceRow, device_id(DeviceKind.METER, meter))
    if device is not None and device.protocol == MeterProtocol.DLMS.value:
        session.add(DisplayOrderRow(id=secrets.token_hex(ID_OCTETS), meter=meter, due=due))


class DisplayOrders:
    """The part of ``DemandStore`` that is about displays."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def to_forget(self, now: float) -> Mapping[str, str]:
        row = DisplayOrderRow
        query = select(row.meter, row.id).where(row.due <= now).order_by(row.due, row.key)
        with self._transactions.reading() as session:
            found = session.execute(query).all()
        return {row.meter: row.id for row in found}  # of a meter the last

    def display_orders(
        self,
        due: float,
        *,
        meter: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[DisplayOrder]:
        limit, row = bounded(limit), DisplayOrderRow
        its = and_(
            DeviceRow.serial == row.meter,
            DeviceRow.kind == DeviceKind.METER.value,
            DeviceRow.state != LifecycleState.RETIRED.value,
        )
        query = select(row, DeviceRow.dcu).join(DeviceRow, its).where(row.due <= due)
        query = query.order_by(row.due, row.key).limit(limit + 1)
        if meter is not None:
            query = query.where(row.meter == meter)
        if after is not None:
            last, key = decode_cursor(after, float, int)
            query = query.where(or_(row.due > last, and_(row.due == last, row.key > key)))
        with self._transactions.reading() as session:
            rows = session.execute(query).all()
            return page(rows, limit, lambda one: _order(*one), lambda one: (one[0].due, one[0].key))

    def not_forgotten(self, meter: str, id_: str, at: float, code: str, reason: str) -> bool:
        row = DisplayOrderRow
        which = update(row).where(row.id == id_, row.meter == meter).returning(row.key)
        values = {"refused": at, "code": code, "reason": reason}
        with self._transactions.writing() as session:
            return session.scalar(which.values(values)) is not None

    def forgotten(self, meter: str, id_: str, entry: AuditEntry) -> bool:
        row = DisplayOrderRow
        with self._transactions.writing() as session:
            found = session.scalars(select(row).where(row.id == id_, row.meter == meter)).first()
            if found is None:
                return False
            # Orders that were due before are done with it.
            session.execute(delete(row).where(row.meter == meter, row.due <= found.due))
            session.add(audit_row(entry))
            return True


def _order(row: DisplayOrderRow, dcu: str | None) -> DisplayOrder:
    return DisplayOrder(row.id, row.meter, row.due, dcu, row.refused, row.code, row.reason)
