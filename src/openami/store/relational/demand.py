"""Demand response: programs, events, notices, and orders to meters' supplies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.demand.codec import notice_json, read_notice
from openami.fleet.demand.records import NoticeRecord
from openami.fleet.demand.supply import OrderState, SupplyOrder, Wanted
from openami.store.relational.audit import audit_row
from openami.store.relational.demand_events import DemandEvents
from openami.store.relational.demand_models import DemandNoticeRow, SupplyOrderRow
from openami.store.relational.demand_tickets import repeated, ticket_values
from openami.store.relational.display_orders import DisplayOrders
from openami.store.relational.engine import insert_ignoring
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openami.fleet.demand.model import Notice
    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page
    from openami.fleet.tasks import Ticket


class DemandRepository(DemandEvents, DisplayOrders):
    """Implements ``DemandStore``."""

    # Notices

    def add_notice(
        self, notice: Notice, entry: AuditEntry, *, ticket: Ticket | None = None
    ) -> NoticeRecord:
        values = {
            "id": notice.id, "kind": notice.kind, "at": notice.at, "until": notice.until,
            "who": entry.who, "withdrawn": False, "kept": notice_json(notice),
            **ticket_values(ticket),
        }  # fmt: skip
        put = insert_ignoring(self._transactions.dialect, DemandNoticeRow.__table__)
        with self._transactions.writing() as session:
            key = session.scalar(put.values(values).returning(DemandNoticeRow.key))
            if key is None:
                row = repeated(session, DemandNoticeRow, notice.id, entry.who, ticket)
                return _notice(row)
            session.add(audit_row(entry))
            return _notice(session.get_one(DemandNoticeRow, key))

    def withdraw(self, id_: str, entry: AuditEntry) -> NoticeRecord:
        query = select(DemandNoticeRow).where(DemandNoticeRow.id == id_).with_for_update()
        with self._transactions.writing() as session:
            row = session.scalars(query).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no notice {id_}")
            if row.withdrawn:
                raise ConflictError("the notice was taken back before", code="demand.withdrawn")
            row.withdrawn = True
            session.add(audit_row(entry))
            return _notice(row)

    def shown(self, now: float) -> Sequence[NoticeRecord]:
        row = DemandNoticeRow
        query = select(row).where(row.withdrawn.is_(False), row.until > now).order_by(row.key)
        with self._transactions.reading() as session:
            return [_notice(one) for one in session.scalars(query)]

    def notices(self, *, after: str | None = None, limit: int = 100) -> Page[NoticeRecord]:
        limit, row = bounded(limit), DemandNoticeRow
        query = select(row).order_by(row.key.desc()).limit(limit + 1)
        if after is not None:
            query = query.where(row.key < decode_cursor(after, int)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _notice, lambda one: (one.key,))

    # Orders

    def add_order(self, order: SupplyOrder, entry: AuditEntry) -> None:
        waiting = select(SupplyOrderRow.id).where(SupplyOrderRow.waits == order.meter)
        with self._transactions.writing() as session:
            if session.scalars(waiting).first() is not None:
                raise ConflictError(
                    f"an order to meter {order.meter} waits already", code="supply.waiting"
                )
            session.add(
                SupplyOrderRow(
                    id=order.id, meter=order.meter, waits=order.meter, wanted=order.wanted.value,
                    who=order.who, why=order.why, created=order.created, until=order.until,
                    state=order.state.value, found=order.found, reason=order.reason,
                )
            )  # fmt: skip
            session.add(audit_row(entry))

    def order(self, id_: str) -> SupplyOrder:
        query = select(SupplyOrderRow).where(SupplyOrderRow.id == id_)
        with self._transactions.reading() as session:
            row = session.scalars(query).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no order {id_}")
            return _order(row)

    def orders(self, meter: str, *, limit: int = 10) -> Sequence[SupplyOrder]:
        row = SupplyOrderRow
        query = select(row).where(row.meter == meter).order_by(row.key.desc()).limit(limit)
        with self._transactions.reading() as session:
            return [_order(one) for one in session.scalars(query)]

    def waiting_orders(self) -> Sequence[SupplyOrder]:
        row = SupplyOrderRow
        query = select(row).where(row.state == OrderState.WAITING.value).order_by(row.key)
        with self._transactions.reading() as session:
            return [_order(one) for one in session.scalars(query)]

    def end_orders(self, ended: Iterable[tuple[SupplyOrder, AuditEntry]]) -> Sequence[SupplyOrder]:
        row, done = SupplyOrderRow, list[SupplyOrder]()
        with self._transactions.writing() as session:
            for order, entry in ended:
                values = {
                    "state": order.state.value, "found": order.found, "reason": order.reason,
                    "ended": order.ended, "waits": None,
                }  # fmt: skip
                which = update(row).where(row.id == order.id, row.state == OrderState.WAITING.value)
                if session.scalar(which.values(values).returning(row.key)) is not None:
                    session.add(audit_row(entry))
                    done.append(order)
        return done


def _notice(row: DemandNoticeRow) -> NoticeRecord:
    notice = read_notice(row.id, row.kind, row.at, row.until, row.kept)
    return NoticeRecord(row.key, notice, row.who, row.withdrawn)


def _order(row: SupplyOrderRow) -> SupplyOrder:
    return SupplyOrder(
        row.id,
        row.meter,
        Wanted(row.wanted),
        row.who,
        row.why,
        row.created,
        row.until,
        OrderState(row.state),
        row.found,
        row.reason,
        row.ended,
    )
