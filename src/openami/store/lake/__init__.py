"""Interval data in DuckLake: Parquet files and an SQL catalogue, in one folder.

Raw values are never overwritten: a later value for the same meter, profile, channel and time is a
new version. Queries see the latest, and every version can be read.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from openami.fleet.ports import MAX_READINGS_PAGE, StoreCounts
from openami.store.lake.catalogue import FolderLock, connect, normalised
from openami.store.lake.gate import Gate
from openami.store.lake.queries import Queries
from openami.store.lake.series import SeriesIndex
from openami.store.lake.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from openami.fleet.ports import Batch, BatchResult, Page, ReadingFilter

__all__ = ["Lake"]


class Lake:
    """Implements ``ReadingStore`` on a folder.

    Any thread may call anything: commits go one at a time, queries beside them.

    Args:
        root: the folder; made if it is not there, and this process's alone while the lake is open.
        threads: how many threads DuckDB may use; as many as there are cores if not given.
        memory: how much it may use before it writes to the folder's ``temporary``.
        now: seconds since 1970-01-01T00:00:00Z, for the ledger of batches.

    Raises:
        StoreError: the lake cannot be used; ``store.busy`` if another process has it.
        ConfigError: an extension of DuckDB is missing.
    """

    def __init__(
        self,
        root: Path,
        *,
        threads: int | None = None,
        memory: str = "2GB",
        now: Callable[[], float] = time.time,
    ) -> None:
        root = root.resolve()
        with normalised("the lake"):
            self._lock = FolderLock(root)
        self._root = root
        self._gate = Gate()
        self._index = SeriesIndex()
        try:
            self._connection = connect(root, threads=threads, memory=memory)
            self._writer = Writer(self._connection.cursor(), root / "data", self._index, now)
        except BaseException:
            self._lock.release()
            raise
        self._queries = Queries(self._run, self._index)

    def commit(self, batches: Sequence[Batch]) -> Sequence[BatchResult]:
        return self._writer.commit(batches)

    def readings(
        self, which: ReadingFilter, *, after: str | None = None, limit: int = MAX_READINGS_PAGE
    ) -> Page[pa.Table]:
        return self._queries.readings(which, after=after, limit=limit)

    def of_meters(
        self, meters: Sequence[str], channel: str, *, profile: str, start: int, end: int
    ) -> pa.Table:
        return self._queries.of_meters(meters, channel, profile=profile, start=start, end=end)

    def latest(self, meter: str) -> pa.Table:
        return self._queries.latest(meter)

    def cursors(self, meters: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        return self._queries.cursors(meters)

    def sums(
        self,
        meters: Sequence[str] | None = None,
        *,
        start: int | None = None,
        end: int | None = None,
    ) -> pa.Table:
        return self._queries.sums(meters, start=start, end=end)

    def hourly(
        self,
        channel: str,
        *,
        profile: str,
        start: int,
        end: int,
        meters: Sequence[str] | None = None,
    ) -> pa.Table:
        return self._queries.hourly(channel, profile=profile, start=start, end=end, meters=meters)

    def gaps(
        self, *, start: int, end: int, period: int, profile: str, meters: Sequence[str]
    ) -> pa.Table:
        return self._queries.gaps(
            start=start, end=end, period=period, profile=profile, meters=meters
        )

    def coverage(
        self, *, start: int, end: int, period: int, profile: str, meters: Sequence[str]
    ) -> pa.Table:
        return self._queries.coverage(
            start=start, end=end, period=period, profile=profile, meters=meters
        )

    def duplicates(self, *, start: int | None = None, end: int | None = None) -> int:
        return self._queries.duplicates(start=start, end=end)

    def counts(self) -> StoreCounts:
        versions = self._queries.count("readings")
        return StoreCounts(
            readings=versions - self._queries.count("superseded"),
            versions=versions,
            meters=len(self._index.meters),
            batches=self._queries.count("batch"),
            octets=self._octets(),
            newest=self._queries.newest(),
        )

    def meters(self) -> Sequence[str]:
        """Return every meter that has readings."""
        return self._index.meters

    def compact(self) -> None:
        self._writer.compact()
        with self._writer.lock, self._gate.alone():
            self._writer.forget()

    def close(self) -> None:
        """Let go of the folder, after the commit that is under way; a second time does nothing."""
        with self._writer.lock, self._gate.alone():
            self._connection.close()
            self._lock.release()

    def _run(self, sql: str, parameters: Mapping[str, str] | None = None) -> pa.Table:
        while True:
            corrected = self._writer.corrected
            # Most lakes have never had a second version: then there is nothing to leave out.
            relation = "lake.latest" if corrected else "lake.readings"
            found = self._ask(sql.replace("lake.latest", relation), parameters)
            if corrected == self._writer.corrected:
                return found

    def _ask(self, sql: str, parameters: Mapping[str, str] | None) -> pa.Table:
        with (
            self._gate.reading(),
            normalised("the lake"),
            closing(self._connection.cursor()) as cursor,
        ):
            return cursor.execute(sql, parameters).to_arrow_table()

    def _octets(self) -> int:
        found: dict[str, Any] = self._run(
            "SELECT sum(file_size_bytes)::BIGINT AS octets FROM ducklake_table_info('lake')"
        ).to_pylist()[0]
        with normalised("the lake"):
            return int(found["octets"] or 0) + (self._root / "catalogue.sqlite").stat().st_size
