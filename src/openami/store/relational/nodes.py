"""Nodes of C12.22 and their registrations."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select

from openami.core.errors import ConflictError
from openami.fleet.nodes import MeterNode, NodeStanding
from openami.store.relational.node_models import NodeRow
from openami.store.relational.paging import bounded, decode_cursor, page

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from openami.fleet.ports import Page
    from openami.store.relational.engine import Transactions


_COLUMNS: Final = {"title": "taken"}
"""Columns that are called otherwise than what stands in them: ``title`` is the one on the list."""


class NodeRepository:
    """Implements ``NodeStore``."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def put(self, node: MeterNode) -> None:
        same = select(NodeRow.meter).where(NodeRow.title == node.title, NodeRow.meter != node.meter)
        with self._transactions.writing() as session:
            other = session.scalars(same.limit(1)).first()
            if other is not None:
                raise ConflictError(f"ApTitle {node.title} is that of meter {other}")
            row = session.get(NodeRow, node.meter, with_for_update=True)
            if row is None:
                row = NodeRow(meter=node.meter, logs={})
                session.add(row)
            row.title, row.key_id, row.user_id = node.title, node.key_id, node.user

    def find(self, meter: str) -> MeterNode | None:
        with self._transactions.reading() as session:
            row = session.get(NodeRow, meter)
            return None if row is None else _node(row)

    def of_title(self, title: str) -> MeterNode | None:
        with self._transactions.reading() as session:
            row = session.scalars(select(NodeRow).where(NodeRow.title == title)).first()
            return None if row is None else _node(row)

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[MeterNode]:
        limit = bounded(limit)
        query = select(NodeRow).order_by(NodeRow.meter).limit(limit + 1)
        if after is not None:
            query = query.where(NodeRow.meter > decode_cursor(after, str)[0])
        with self._transactions.reading() as session:
            return page(session.scalars(query).all(), limit, _node, lambda row: (row.meter,))

    def register(self, standings: Mapping[str, NodeStanding | None]) -> None:
        query = select(NodeRow).where(NodeRow.meter.in_(standings)).order_by(NodeRow.meter)
        with self._transactions.writing() as session:
            for row in session.scalars(query.with_for_update()):
                _stand(row, standings[row.meter])

    def note(self, meter: str, logs: Mapping[str, int]) -> None:
        with self._transactions.writing() as session:
            row = session.get(NodeRow, meter, with_for_update=True)
            if row is not None:
                row.logs = {**row.logs, **logs}

    def forget(self, meters: Collection[str]) -> None:
        with self._transactions.writing() as session:
            session.execute(delete(NodeRow).where(NodeRow.meter.in_(meters)))


def _stand(row: NodeRow, standing: NodeStanding | None) -> None:
    """Write a registration into its columns, all null where there is none."""
    said = {} if standing is None else asdict(standing)
    for each in fields(NodeStanding):
        setattr(row, _COLUMNS.get(each.name, each.name), said.get(each.name))


def _node(row: NodeRow) -> MeterNode:
    return MeterNode(row.meter, row.title, row.key_id, row.user_id, _standing(row), row.logs)


def _standing(row: NodeRow) -> NodeStanding | None:
    if row.taken is None or row.registered_at is None or row.expires_at is None:
        return None
    return NodeStanding(
        row.taken,
        row.serial or "",
        row.native or b"",
        row.node_type or 0,
        row.connection or 0,
        row.device_class or b"",
        row.registered_at,
        row.expires_at,
        row.via,
    )
