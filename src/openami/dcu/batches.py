"""Readings and events on their way from a visit to the spool.

What several visits brought is kept together until it makes a batch worth a request of its own.
Meanwhile it is in memory only, and so are its cursors: whatever ends the process, the meter still
has it and the next run reads it again.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from openami.core.errors import StoreFullError
from openami.dcu.headend import BatchKind
from openami.mdm.readings import EVENTS_SCHEMA, READINGS_SCHEMA, from_ipc, join, to_ipc
from openami.store.spool import SpoolBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.store.spool import Spool

SCHEMAS = {BatchKind.READINGS: READINGS_SCHEMA, BatchKind.EVENTS: EVENTS_SCHEMA}

_ID_OCTETS = 16  # as many as a UUID has
ROOM_KEY = "room"  # of a piece of state that is written to see whether there is room


def make_batch(kind: BatchKind, table: pa.Table) -> SpoolBatch:
    """Return a table as a batch, named by its content: the same rows make the same batch."""
    body = to_ipc(table)
    name = hashlib.sha256(kind.encode() + body).digest()[:_ID_OCTETS].hex()
    return SpoolBatch(name, kind.value, body, table.num_rows)


def split(batch: SpoolBatch) -> list[SpoolBatch]:
    """Return a batch as one batch for each meter in it, empty if it has only one."""
    kind = BatchKind(batch.kind)
    table = from_ipc(batch.body, schema=SCHEMAS[kind])
    meters = sorted(set(table["meter"].unique().to_pylist()))
    if len(meters) < 2:
        return []
    names = table["meter"].cast(pa.utf8())
    return [make_batch(kind, _only(table, pc.equal(names, meter))) for meter in meters]


def _only(table: pa.Table, which: pa.ChunkedArray) -> pa.Table:
    """Return the rows of a table, with dictionaries that name nothing else."""
    rows = table.filter(which)
    columns = [
        column.cast(column.type.value_type).dictionary_encode().cast(column.type)
        if pa.types.is_dictionary(column.type)
        else column
        for column in rows.columns
    ]
    return pa.Table.from_arrays(columns, schema=rows.schema)


@dataclass(slots=True)
class Harvest:
    """What one visit brought: rows, and how far the profiles were read by them."""

    readings: list[pa.Table] = field(default_factory=list)
    events: list[pa.Table] = field(default_factory=list)
    cursors: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many readings and events there are."""
        return sum(table.num_rows for table in (*self.readings, *self.events))


class Gatherer:
    """Collects harvests and puts them into the spool.

    Args:
        spool: where to.
        rows: how many rows make a batch.
        age_s: how long the first waits for the rest.
        fresh: set whenever the spool got something.
        now: a clock that only goes on.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        rows: int,
        age_s: float,
        fresh: asyncio.Event,
        now: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._rows = rows
        self._age = age_s
        self._fresh = fresh
        self._now = now
        self._pending = Harvest()
        self._since: float | None = None
        self._full = False

    @property
    def full(self) -> bool:
        """Whether there is no room: nothing more should be read until there is."""
        return self._full or self._spool.full

    @property
    def ripe_at(self) -> float | None:
        """When what is pending should be flushed; None: nothing is pending."""
        if self._since is None:
            return None
        many = self._pending.rows >= self._rows
        return self._since if many else self._since + self._age

    def add(self, harvest: Harvest) -> None:
        """Take what a visit brought."""
        self._pending.readings += harvest.readings
        self._pending.events += harvest.events
        self._pending.cursors |= harvest.cursors
        if self._since is None and (harvest.rows or harvest.cursors):
            self._since = self._now()

    def refuse(self) -> None:
        """Take note that something else found no room on the disk."""
        self._full = True

    async def flush(self, *, ripe_only: bool = False) -> bool:
        """Make what is pending durable; False: there is no room, and it stays pending."""
        ripe_at = self.ripe_at
        waits = ripe_at is None or (ripe_only and ripe_at > self._now())
        if waits and not self._full:
            return True
        pending = self._pending
        try:
            await asyncio.to_thread(self._append, pending)
        except StoreFullError:
            self._full = True
            return False
        self._pending, self._since, self._full = Harvest(), None, False
        if pending.rows:
            self._fresh.set()
        return True

    def _append(self, pending: Harvest) -> None:
        batches = [
            make_batch(kind, join(tables, SCHEMAS[kind]))
            for kind, tables in _kinds(pending)
            if sum(table.num_rows for table in tables)
        ]
        self._spool.append(batches, pending.cursors)
        if self._full:
            self._spool.put(ROOM_KEY, b"room")  # also without a batch: is there any?


def _kinds(harvest: Harvest) -> tuple[tuple[BatchKind, Sequence[pa.Table]], ...]:
    return ((BatchKind.READINGS, harvest.readings), (BatchKind.EVENTS, harvest.events))
