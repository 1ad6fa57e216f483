"""The tables that a device holds: whole, in part by index and offset, and pending (C12.19, 8).

Every part is a part of the same octets, found by the same layout. A write is checked as a whole
before anything changes: what is written must still be that table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.tables import layout
from openami.c1222.tables.ids import TableId, standard
from openami.c1222.tables.layout import Span
from openami.c1222.tables.tables import CONFIG, Tables
from openami.core.errors import DecodeError, LocalProtocolError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

EVENT_SIZE: Final = 6
"""Octets before a pending table's own: one that selects the event, five of its condition."""
STATUS: Final = standard(4)


@dataclass(frozen=True, slots=True)
class Pending:
    """A table that waits for an event."""

    event: bytes
    octets: bytes = field(repr=False)


@dataclass(slots=True)
class TableMemory:
    """What a device holds.

    Attributes:
        tables: its layouts; they follow what is written to ST-00 and the dimension tables.
        contents: the octets of each table that it has.
        pending: tables that wait for their activation.
        activated: when one was activated last, by the device's clock.
    """

    tables: Tables
    contents: dict[TableId, bytes] = field(default_factory=dict, repr=False)
    pending: dict[TableId, Pending] = field(default_factory=dict, repr=False)
    activated: datetime | None = None

    def read(self, table: TableId) -> bytes:
        """Return a table whole; a pending one with its event before it.

        Raises:
            NotFoundError: ``c1219.absent``, the device has no such table.
        """
        if table.pending:
            waiting = self.pending.get(table.active)
            if waiting is None:
                raise _absent(table)
            return waiting.event + waiting.octets
        if table == STATUS and STATUS not in self.contents:
            return self.tables.encode(STATUS, self.status())
        if table not in self.contents:
            raise _absent(table)
        return self.contents[table]

    def read_offset(self, table: TableId, offset: int, count: int) -> bytes:
        """Return ``count`` octets of a table from ``offset`` on.

        Raises:
            NotFoundError: see ``read``.
            LocalProtocolError: ``c1219.index``, the table has not as many.
        """
        octets = self.read(table)
        return octets[offset : _within(Span(offset, count), octets).end]

    def read_index(self, table: TableId, indexes: tuple[int, ...], count: int = 1) -> bytes:
        """Return ``count`` elements of a table, from the one that the indexes lead to.

        Raises:
            NotFoundError: see ``read``.
            LocalProtocolError: ``c1219.index``, the table has no such elements.
        """
        octets = self.read(table)
        where = self._span(table, indexes, count, octets)
        return octets[where.offset : where.end]

    def write(self, table: TableId, octets: bytes) -> None:
        """Take a table whole; a pending one with its event before it.

        Raises:
            NotFoundError: see ``read``.
            DecodeError: the octets are not that table; nothing has changed.
            LocalProtocolError: ``c1219.pending``, no more tables can wait.
        """
        if table.pending:
            self._write_pending(table.active, octets)
            return
        if table not in self.contents:
            raise _absent(table)
        self._take({table: octets})

    def write_offset(self, table: TableId, offset: int, octets: bytes) -> None:
        """Write over octets of a table; see ``read_offset`` and ``write`` for what they raise."""
        whole = self.read(table)
        self._write_span(table, whole, _within(Span(offset, len(octets)), whole), octets)

    def write_index(
        self, table: TableId, indexes: tuple[int, ...], octets: bytes, count: int | None = None
    ) -> None:
        """Write over elements of a table, as many as the octets make, or ``count``.

        Raises:
            NotFoundError: see ``read``.
            LocalProtocolError: ``c1219.index``, the octets are not so many elements.
            DecodeError: the table would not be that table any more; nothing has changed.
        """
        whole = self.read(table)
        number = 1 if count is None else count
        where = self._span(table, indexes, number, whole)
        while count is None and where.size < len(octets):
            number += 1
            where = self._span(table, indexes, number, whole)
        if where.size != len(octets):
            raise _outside(where, whole)
        self._write_span(table, whole, where, octets)

    def _write_span(self, table: TableId, whole: bytes, where: Span, octets: bytes) -> None:
        self.write(table, whole[: where.offset] + octets + whole[where.end :])

    def _span(self, table: TableId, indexes: tuple[int, ...], count: int, octets: bytes) -> Span:
        if table.pending:
            raise LocalProtocolError("a pending table has no indexes", code="c1219.index")
        node = self.tables.layout(table)
        where = layout.span(node, indexes, count)
        if node.minimum != node.size and where.end == node.size:  # ends with a tail
            where = Span(where.offset, max(len(octets) - where.offset, 0))
        return _within(where, octets)

    def _take(self, news: Mapping[TableId, bytes]) -> None:
        """Put tables in force, all of them or none."""
        tables = self.tables
        for table in sorted(news):  # ST-00 and the dimensions come before what they rule
            tables = _learnt(tables, table, news[table])
        self.tables = tables
        self.contents.update(news)

    def _write_pending(self, table: TableId, octets: bytes) -> None:
        if table not in self.contents:
            raise _absent(table)
        limit = self.tables.known[CONFIG]["NBR_PENDING"]
        if table not in self.pending and len(self.pending) >= limit:
            raise LocalProtocolError(f"{limit} tables wait already", code="c1219.pending")
        if len(octets) < EVENT_SIZE:
            raise DecodeError("an event of six octets wanted", offset=len(octets))
        waiting = Pending(octets[:EVENT_SIZE], octets[EVENT_SIZE:])
        _learnt(self.tables, table, waiting.octets)
        self.pending[table] = waiting

    def activate(self, *, event: bytes | None = None, now: datetime | None = None) -> int:
        """Put the pending tables of an event in force, or all; return how many there were.

        Raises:
            DecodeError: one of them is not that table any more; nothing has changed.
            LocalProtocolError: likewise, for a dimension.
        """
        chosen = self._chosen(event)
        self._take({table: self.pending[table].octets for table in chosen})
        self.clear(event=event)
        if chosen:
            self.activated = now
        return len(chosen)

    def clear(self, *, event: bytes | None = None) -> int:
        """Drop the pending tables of an event, or all; return how many there were."""
        chosen = self._chosen(event)
        for table in chosen:
            del self.pending[table]
        return len(chosen)

    def _chosen(self, event: bytes | None) -> list[TableId]:
        return [table for table, waiting in self.pending.items() if event in {None, waiting.event}]

    def status(self) -> dict[str, Any]:
        """Return the values of ST-04: what may wait, what waits, and when one came in force."""
        config = self.tables.known[CONFIG]
        waiting = [_activation(table, entry) for table, entry in self.pending.items()]
        return {
            "STANDARD_PENDING": config["STD_TBLS_WRITE"],
            "MFG_PENDING": config["MFG_TBLS_WRITE"],
            "LAST_ACTIVATION_DATE_TIME": self.activated,
            "NBR_PENDING_ACTIVATION": len(waiting),
            "PENDING_TABLES": waiting + [_NOTHING] * (config["NBR_PENDING"] - len(waiting)),
        }


def _selector(octet: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "EVENT": octet & 0x0F,
        "SELF_READ": bool(octet & 0x10),
        "DEMAND_RESET": bool(octet & 0x20),
    }
    return found | ({"UNNAMED": octet & 0xC0} if octet & 0xC0 else {})


def _activation(table: TableId, entry: Pending) -> dict[str, Any]:
    return {
        "EVENT": {"SELECTOR": _selector(entry.event[0]), "STORAGE": entry.event[1:]},
        "TABLE_SELECTOR": {
            "NUMBER": table.number,
            "MANUFACTURER": table.manufacturer,
            "SELECTOR": 1,  # the pending bit of the table's number
        },
    }


_NOTHING: Final = {
    "EVENT": {"SELECTOR": _selector(0), "STORAGE": bytes(EVENT_SIZE - 1)},
    "TABLE_SELECTOR": {"NUMBER": 0, "MANUFACTURER": False, "SELECTOR": 0},
}


def _learnt(tables: Tables, table: TableId, octets: bytes) -> Tables:
    """Return the tables after ``octets`` are checked and, of a table that rules others, learnt."""
    if table not in tables.description.tables:  # a manufacturer's that nobody has described
        return tables
    if table == CONFIG:
        fresh = Tables.of_config(octets, tables.description)
        return Tables(fresh.formats, {**tables.known, **fresh.known}, tables.description)
    if table in tables.known:
        return tables.learn(table, octets)
    tables.decode(table, octets)
    return tables


def _absent(table: TableId) -> NotFoundError:
    return NotFoundError(f"no {table}", code="c1219.absent")


def _outside(where: Span, octets: bytes) -> LocalProtocolError:
    return LocalProtocolError(
        f"{where.size} octets at {where.offset}, of {len(octets)}", code="c1219.index"
    )


def _within(where: Span, octets: bytes) -> Span:
    if where.offset < 0 or where.size < 0 or where.end > len(octets):
        raise _outside(where, octets)
    return where
