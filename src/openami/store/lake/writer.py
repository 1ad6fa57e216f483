"""The one writer of a lake: many batches in one durable transaction.

The Parquet files of a commit are written and synced first and then made part of the lake in the
transaction that also writes the ledger, the new series and the superseded versions. Files that no
transaction took up are orphans, and go when the lake is next opened.
"""

# ruff: noqa: S608 - SQL is built from our own names and from integers

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from openami.fleet.ledger import KEEP_LAST, KEEP_S
from openami.fleet.ports import BatchResult, BatchStatus
from openami.store.lake.catalogue import INLINED_ROWS, is_conflict, normalised, quoted
from openami.store.lake.files import syncing, write_months
from openami.store.lake.versions import (
    Longs,
    Rows,
    key_of,
    number_versions,
    resolve,
    shared_keys,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from openami.fleet.ports import Batch
    from openami.store.lake.series import SeriesIndex

_SUPERSEDED_SCHEMA: Final = pa.schema(
    [("series", pa.int32()), ("time", pa.timestamp("us")), ("version", pa.int64())]
)
_LEDGER_SCHEMA: Final = pa.schema(
    [
        ("dcu", pa.utf8()),
        ("id", pa.utf8()),
        ("digest", pa.binary()),
        ("rows", pa.int64()),
        ("version", pa.int64()),
        ("versions", pa.int64()),
        ("committed", pa.timestamp("us")),
    ]
)
# Files over this size are left alone: what they hold was written anew often enough.
_LARGE_OCTETS: Final = 32 * 1024 * 1024
_COMPACTION: Final = (
    "SELECT count(*) FROM ducklake_flush_inlined_data('lake')",
    f"SELECT count(*) FROM ducklake_merge_adjacent_files('lake', max_file_size => {_LARGE_OCTETS})",
)
# The newest entry of all tells where versions go on; it is among the last of its DCU.
_OLD_BATCHES: Final = (
    "DELETE FROM lake.batch WHERE (dcu, id) IN (SELECT (dcu, id) FROM lake.batch"
    " WHERE committed < make_timestamp({before})"
    " QUALIFY row_number() OVER (PARTITION BY dcu ORDER BY version DESC, versions DESC)"
    f" > {KEEP_LAST})"
)
# A file of the ledger is written anew when a quarter of it was forgotten.
_LEDGER: Final = (
    "SELECT count(*) FROM ducklake_rewrite_data_files('lake', 'batch', delete_threshold => 0.25)"
)
_EXPIRY: Final = "SELECT count(*) FROM ducklake_expire_snapshots('lake', older_than => now())"
# Seconds before a step is tried again that somebody else's transaction was in the way of, a copy
# of the catalogue being made, say. Commits wait meanwhile, and uploads have 30 s.
_PAUSES: Final = (0.1, 0.5, 2.0)
_UNKNOWN: Final = -1


@dataclass(slots=True)
class _Plan:
    """What one commit is about to write."""

    results: list[BatchResult] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    ledger: list[tuple[Any, ...]] = field(default_factory=list)
    next_version: int = 0
    series: int = 0


class Writer:
    """Commits batches; one at a time, whichever thread calls.

    Args:
        connection: with the lake attached; used by the writer alone.
        data: the lake's data folder.
        index: every series of the lake; extended with what is committed.
        now: seconds since 1970-01-01T00:00:00Z, for the ledger.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        data: Path,
        index: SeriesIndex,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.lock = threading.RLock()
        self.corrected = False
        self._connection = connection
        self._folder = data / "main" / "readings"
        self._index = index
        self._now = now
        # By point: no stored reading is later than this; _UNKNOWN until the lake has been asked.
        self._high = np.full(0, _UNKNOWN, np.int64)
        self._next_version = 1
        # Series beyond these are in the index only: of a commit that failed, or is under way.
        self._stored_series = 0
        # Whether all this agrees with the lake; not after a failure, which may have come too late.
        self._sure = False
        with normalised("the lake"):
            self._index.load(
                self._rows(
                    "SELECT meter, profile, channel, scaler, unit FROM lake.series ORDER BY series"
                )
            )
            self._make_sure()

    def _make_sure(self) -> None:
        """Ask the lake what was committed last."""
        if self._sure:
            return
        self._stored_series = self._rows("SELECT count(*) FROM lake.series")[0][0]
        last = self._rows("SELECT max(version + versions) FROM lake.batch")[0][0]
        self._next_version = 1 if last is None else last
        self.corrected = bool(self._rows("SELECT 1 FROM lake.superseded LIMIT 1"))
        self._high[:] = _UNKNOWN
        self.sweep()
        self._sure = True

    def sweep(self) -> None:
        """Delete files that no transaction took up."""
        self._connection.execute(
            "SELECT count(*) FROM ducklake_delete_orphaned_files('lake', cleanup_all => true)"
        ).fetchall()

    def compact(self) -> None:
        """Write small files anew as large ones, sorted; the old ones stay.

        The ledger forgets batches that can not come again.
        """
        old = _OLD_BATCHES.format(before=int((self._now() - KEEP_S) * 1e6))
        with self.lock, normalised("the lake"):
            for step in (old, _LEDGER, *_COMPACTION):
                self._compact(step)

    def _compact(self, step: str) -> None:
        for pause in (*_PAUSES, None):
            try:
                with self.transaction(), syncing(self._folder.parent):
                    self._rows(step)
            except duckdb.Error as error:
                if pause is None or not is_conflict(error):
                    raise
                time.sleep(pause)
            else:
                return

    def forget(self) -> None:
        """Forget all snapshots but the present one, and delete the files that only they need.

        Nobody may be reading: DuckLake finds the newest snapshot in two steps, between which the
        one found must not go away, and files must not go away under who reads them.
        """
        with self.lock, normalised("the lake"):
            self._compact(_EXPIRY)
            self._rows(
                "SELECT count(*) FROM ducklake_cleanup_old_files('lake', cleanup_all => true)"
            )
            self.sweep()

    def commit(self, batches: Sequence[Batch]) -> Sequence[BatchResult]:
        """Make batches durable; see ``ReadingStore.commit``."""
        if not batches:
            return ()
        with self.lock, normalised("the lake"):
            self._make_sure()
            with self.transaction():
                plan = self._write(batches)
            if plan.ledger:
                self._stored_series = plan.series
            self._raise_high(plan.rows)
            self._next_version = plan.next_version
            return tuple(plan.results)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run statements that all count, durably, or none of them; files left over are deleted."""
        self._connection.execute("BEGIN")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._sure = False
            # A failed COMMIT has ended the transaction already.
            with contextlib.suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            # On a full disk even this may fail; the next commit tries again.
            with contextlib.suppress(duckdb.Error):
                self._make_sure()
            raise

    def _write(self, batches: Sequence[Batch]) -> _Plan:
        plan = self._plan(batches)
        if not plan.ledger:
            return plan
        rows, superseded = self._resolve(Rows.join(plan.rows))
        for file in write_months(self._folder, rows):
            self._connection.execute(
                "SELECT * FROM ducklake_add_data_files("
                f"'lake', 'readings', {quoted(file)}, hive_partitioning => true)"
            ).fetchall()
        plan.series = len(self._index)
        self._insert("series", self._index.table(self._stored_series))
        self._insert("superseded", _superseded_table(superseded))
        self._insert("batch", _table(list(zip(*plan.ledger, strict=True)), _LEDGER_SCHEMA))
        self.corrected = self.corrected or len(superseded) > 0
        return plan

    def _plan(self, batches: Sequence[Batch]) -> _Plan:
        plan = _Plan(next_version=self._next_version)
        ledger = self._known_batches(batches)
        for batch in batches:
            seen = ledger.get((batch.dcu, batch.id))
            if seen is not None:
                same = seen[0] == batch.digest
                status = BatchStatus.REPEATED if same else BatchStatus.CONFLICT
                plan.results.append(BatchResult(status, seen[1]))
                continue
            count = batch.table.num_rows
            rows, span = number_versions(self._encode(batch.table), plan.next_version)
            ledger[batch.dcu, batch.id] = (batch.digest, count)
            plan.rows.append(rows)
            plan.ledger.append(
                (
                    batch.dcu,
                    batch.id,
                    batch.digest,
                    count,
                    plan.next_version,
                    span,
                    int(self._now() * 1e6),
                )
            )
            plan.next_version += span
            plan.results.append(BatchResult(BatchStatus.STORED, count))
        return plan

    def _known_batches(self, batches: Sequence[Batch]) -> dict[tuple[str, str], tuple[bytes, int]]:
        wanted = pa.table(
            {"dcu": [batch.dcu for batch in batches], "id": [batch.id for batch in batches]}
        )
        found = self._query(
            "SELECT dcu, id, digest, rows FROM lake.batch SEMI JOIN wanted USING (dcu, id)",
            wanted=wanted,
        )
        return {(row["dcu"], row["id"]): (row["digest"], row["rows"]) for row in found.to_pylist()}

    def _encode(self, table: pa.Table) -> Rows:
        series = self._index.encode(table)
        points = self._index.points
        time_ = table["time"].cast(pa.int64()).to_numpy()
        return Rows(
            key_of(points[series], time_),
            series,
            table["value"].to_numpy(),
            table["status"].to_numpy(),
            series,  # number_versions puts the versions here
        )

    def _resolve(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the rows to write and the versions that they supersede."""
        point, time_ = split(rows.key)
        self._learn_high(point, time_)
        suspect = time_ <= self._high[point]
        suspect |= shared_keys(rows.key)
        if not suspect.any():
            return rows, rows.take(np.empty(0, np.int64))
        doubtful = rows.take(suspect)
        keep, superseded = resolve(doubtful, self._latest(np.unique(doubtful.key)))
        wanted = np.ones(len(rows), np.bool_)
        wanted[np.flatnonzero(suspect)[~keep]] = False
        return rows.take(wanted), superseded

    def _learn_high(self, point: Longs, time_: Longs) -> None:
        """Ask the lake how far the points go of which nothing is known."""
        size = len(self._high)
        if size < len(self._index):
            self._high = np.append(self._high, np.full(len(self._index) - size, _UNKNOWN))
        unknown = np.flatnonzero(np.bincount(point, minlength=1)[: len(self._high)])
        unknown = unknown[self._high[unknown] == _UNKNOWN]
        if not len(unknown):
            return
        first = int(time_.min())
        found = self._query(
            "SELECT series, epoch(max(time))::BIGINT AS last FROM lake.readings"
            f" SEMI JOIN wanted USING (series) WHERE time >= make_timestamp({first * 1_000_000})"
            " GROUP BY series",
            wanted=self._series_table(unknown),
        )
        self._high[unknown] = first - 1
        points = self._index.points[found["series"].to_numpy()]
        np.maximum.at(self._high, points, found["last"].to_numpy())

    def _latest(self, key: Longs) -> Rows:
        """Return the latest stored versions of keys."""
        point, time_ = split(key)
        keys = pa.table({"point": point, "time": (time_ * 1_000_000).view("datetime64[us]")})
        first, last = int(time_.min()), int(time_.max())
        found = self._query(
            "SELECT r.series, epoch(r.time)::BIGINT AS time, r.value, r.status, r.version"
            " FROM lake.latest r JOIN owners o ON r.series = o.series"
            " SEMI JOIN keys k ON k.point = o.point AND k.time = r.time"
            f" WHERE r.time BETWEEN make_timestamp({first * 1_000_000})"
            f" AND make_timestamp({last * 1_000_000})",
            owners=self._series_table(np.unique(point)),
            keys=keys,
        )
        series = found["series"].to_numpy().astype(np.int64)
        return Rows(
            key_of(self._index.points[series], found["time"].to_numpy()),
            series,
            found["value"].to_numpy(),
            found["status"].to_numpy(),
            found["version"].to_numpy(),
        )

    def _series_table(self, points: Longs) -> pa.Table:
        """Return every series of some points, with its point."""
        pairs = [(s, p) for p in points.tolist() for s in self._index.siblings(p)]
        return _table(
            list(zip(*pairs, strict=True)),
            pa.schema([("series", pa.int32()), ("point", pa.int64())]),
        )

    def _insert(self, name: str, table: pa.Table) -> None:
        if not table.num_rows:
            return
        in_file = table.num_rows > INLINED_ROWS
        folder = self._folder.with_name(name)
        with syncing(folder) if in_file else contextlib.nullcontext():
            self._query(f"INSERT INTO lake.{name} SELECT * FROM new_rows", new_rows=table)

    def _query(self, sql: str, **tables: pa.Table) -> pa.Table:
        for name, table in tables.items():
            self._connection.register(name, table)
        try:
            return self._connection.execute(sql).to_arrow_table()
        finally:
            for name in tables:
                self._connection.unregister(name)

    def _rows(self, sql: str) -> list[Any]:
        return self._connection.execute(sql).fetchall()

    def _raise_high(self, parts: Sequence[Rows]) -> None:
        for rows in parts:
            point, time_ = split(rows.key)
            ends = np.flatnonzero(np.append(point[1:] != point[:-1], len(point) > 0))
            self._high[point[ends]] = np.maximum(self._high[point[ends]], time_[ends])


def _superseded_table(rows: Rows) -> pa.Table:
    time_ = (split(rows.key)[1] * 1_000_000).view("datetime64[us]")
    columns = [pa.array(rows.series.astype(np.int32)), pa.array(time_), pa.array(rows.version)]
    return pa.Table.from_arrays(columns, schema=_SUPERSEDED_SCHEMA)


def _table(columns: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    parts = columns or [()] * len(schema)
    return pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(parts, schema, strict=True)], schema=schema
    )
