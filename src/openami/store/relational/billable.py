"""Meters that are somebody's, in pages by their serials."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from openami.fleet.billable import Billable, Occupancy
from openami.fleet.customers import Tenancy
from openami.fleet.ports import Page
from openami.store.relational.customer_models import CustomerRow, TenancyRow
from openami.store.relational.paging import bounded, decode_cursor, encode_cursor

if TYPE_CHECKING:
    from openami.store.relational.engine import Transactions


class BillableRepository:
    """Implements ``BillableStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def billable(
        self, start: float, end: float, *, after: str | None = None, limit: int = 100
    ) -> Page[Billable]:
        limit = bounded(limit)
        there = (TenancyRow.starts < end, func.coalesce(TenancyRow.ends > start, True))
        meters = select(TenancyRow.meter).distinct().where(*there).order_by(TenancyRow.meter)
        if after is not None:
            meters = meters.where(TenancyRow.meter > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            found = session.scalars(meters.limit(limit + 1)).all()
            wanted = found[:limit]
            rows = session.execute(
                select(TenancyRow, CustomerRow.tariff, CustomerRow.discounts)
                .join(CustomerRow, CustomerRow.login == TenancyRow.customer)
                .where(TenancyRow.meter.in_(wanted), *there)
                .order_by(TenancyRow.meter, TenancyRow.starts, TenancyRow.id)
            ).all()
        items = tuple(
            Billable(meter, tuple(_occupancy(*row) for row in had))
            for meter, had in groupby(rows, key=lambda row: row[0].meter)
        )
        return Page(items, encode_cursor(wanted[-1]) if len(found) > limit else None)


def _occupancy(row: TenancyRow, tariff: str, discounts: list[str]) -> Occupancy:
    tenancy = Tenancy(row.id, row.customer, row.meter, row.starts, row.ends)
    return Occupancy(tenancy, tariff, tuple(discounts))
