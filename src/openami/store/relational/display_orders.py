"""Orders to have meters forget the displays of households that moved out.

An order is kept with the end of the tenancy, in one transaction, and is there until its meter has
done it: who moves in meanwhile changes nothing.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select

from openami.fleet.devices import DeviceKind, device_id
from openami.store.relational.audit import audit_row
from openami.store.relational.demand_models import DisplayOrderRow
from openami.store.relational.models import DeviceRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from openami.fleet.devices import AuditEntry
    from openami.store.relational.engine import Transactions

ID_OCTETS: Final = 8


def have_forgotten(session: Session, meter: str, due: float) -> None:
    """Order that a meter forgets its displays from a moment on, if a DCU looks after it.

    No other pairs with displays that anybody could reach.
    """
    device = session.get(DeviceRow, device_id(DeviceKind.METER, meter))
    if device is not None and device.dcu is not None:
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
