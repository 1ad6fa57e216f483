"""What a DCU has read and the head-end has not yet acknowledged, in one SQLite file.

A batch and the read cursors that follow from it are kept in one transaction, so that a reading is
either in the spool with its cursor moved on, or still in the meter with its cursor where it was.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError, StoreFullError
from openami.store.reserve import Reserve
from openami.store.sqlite import Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

# (meter's serial, profile's OBIS) → the time of the last entry that was read, seconds.
Cursors = Mapping[tuple[str, str], int]

# A month of 200 meters at about 1 octet a reading takes 2.3 MB; this is years of an absent
# head-end, and still small beside a DCU's flash.
MAX_OCTETS: Final = 512 * 1024 * 1024
# Kept aside so that batches can be acknowledged when the disk is full: deleting takes room too.
RESERVE_OCTETS: Final = 4 * 1024 * 1024
# Pages of 4 KiB given back to the file system with each acknowledgement.
_VACUUM_PAGES: Final = 256

_MIGRATIONS: Final = (
    (
        """CREATE TABLE batch (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            digest BLOB NOT NULL,
            rows INTEGER NOT NULL,
            octets INTEGER NOT NULL,
            body BLOB NOT NULL
        )""",
        """CREATE TABLE cursor (
            meter TEXT NOT NULL,
            profile TEXT NOT NULL,
            time INTEGER NOT NULL,
            PRIMARY KEY (meter, profile)
        ) WITHOUT ROWID""",
        "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    ),
)


@dataclass(frozen=True, slots=True)
class SpoolBatch:
    """One encoded upload: ``kind`` is ``readings`` or ``events``, ``body`` an Arrow IPC stream."""

    id: str
    kind: str
    body: bytes = field(repr=False)
    rows: int

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body."""
        return hashlib.sha256(self.body).digest()


@dataclass(frozen=True, slots=True)
class SpoolSize:
    """How much waits for the head-end."""

    batches: int
    rows: int
    octets: int


class Spool:
    """The spool of one DCU.

    Args:
        path: the file.
        max_octets: how much may wait; the DCU stops reading then, and its meters keep their data.

    Raises:
        StoreError: the file cannot be used, or another process has it.
    """

    def __init__(self, path: Path, *, max_octets: int = MAX_OCTETS) -> None:
        self._max_octets = max_octets
        self._counting = threading.Lock()
        self._reserve = Reserve(path.with_name(path.name + ".reserve"), RESERVE_OCTETS)
        self._database = Database(path, _MIGRATIONS)
        with self._database.reading() as cursor:
            query = "SELECT count(*), coalesce(sum(rows), 0), coalesce(sum(octets), 0) FROM batch"
            self._size = SpoolSize(*cursor.execute(query).fetchone())
        self._reserve.set_aside()

    @property
    def size(self) -> SpoolSize:
        """How much waits now."""
        return self._size

    @property
    def full(self) -> bool:
        """Whether the DCU should stop reading until something has been acknowledged."""
        return self._size.octets >= self._max_octets

    def append(self, batches: Sequence[SpoolBatch], cursors: Cursors | None = None) -> None:
        """Keep batches and move cursors on, all or nothing; durable when this returns.

        A batch already there under the same id with the same body changes nothing. A cursor never
        goes back.

        Raises:
            StoreFullError: no room on the disk, or ``spool.full``: no room in the spool.
            ConflictError: a batch's id is taken by another body.
        """
        octets = sum(len(batch.body) for batch in batches)
        if batches and self._size.octets + octets > self._max_octets:
            raise StoreFullError(
                f"the spool holds {self._size.octets} of {self._max_octets} octets",
                code="spool.full",
                hint="it empties as soon as the head-end can be reached",
            )
        with self._database.transaction() as cursor:
            added = [batch for batch in batches if self._insert(cursor, batch)]
            cursor.executemany(
                "INSERT INTO cursor VALUES (?, ?, ?) ON CONFLICT (meter, profile)"
                " DO UPDATE SET time = max(time, excluded.time)",
                [(meter, profile, time) for (meter, profile), time in (cursors or {}).items()],
            )
        self._grow(
            len(added), sum(batch.rows for batch in added), sum(len(batch.body) for batch in added)
        )

    @staticmethod
    def _insert(cursor: sqlite3.Cursor, batch: SpoolBatch) -> bool:
        digest = batch.digest
        cursor.execute("SELECT digest FROM batch WHERE id = ?", (batch.id,))
        known = cursor.fetchone()
        if known is not None:
            if known[0] != digest:
                raise ConflictError(f"batch {batch.id} is in the spool with another body")
            return False
        cursor.execute(
            "INSERT INTO batch (id, kind, digest, rows, octets, body) VALUES (?, ?, ?, ?, ?, ?)",
            (batch.id, batch.kind, digest, batch.rows, len(batch.body), batch.body),
        )
        return True

    def oldest(self, limit: int = 1) -> Sequence[SpoolBatch]:
        """Return up to ``limit`` batches that wait, in the order they came."""
        with self._database.reading() as cursor:
            cursor.execute(
                "SELECT id, kind, body, rows FROM batch ORDER BY number LIMIT ?", (limit,)
            )
            return tuple(SpoolBatch(*row) for row in cursor.fetchall())

    def acknowledge(self, ids: Sequence[str]) -> None:
        """Drop batches that the head-end says are durable; an unknown id changes nothing.

        Works on a full disk, too.
        """
        try:
            self._delete(ids)
        except StoreFullError:
            self._reserve.release()
            self._delete(ids)
        with suppress(StoreFullError):  # the next acknowledgement tries again
            self._database.give_back_space(_VACUUM_PAGES)
        self._reserve.set_aside()

    def _delete(self, ids: Sequence[str]) -> None:
        with self._database.transaction() as cursor:
            rows = [
                row
                for name in ids
                for row in cursor.execute(
                    "DELETE FROM batch WHERE id = ? RETURNING rows, octets", (name,)
                ).fetchall()
            ]
        self._grow(-len(rows), -sum(row[0] for row in rows), -sum(row[1] for row in rows))

    def cursors(self) -> Cursors:
        """Return how far each profile of each meter has been read."""
        with self._database.reading() as cursor:
            cursor.execute("SELECT meter, profile, time FROM cursor")
            return {(meter, profile): time for meter, profile, time in cursor.fetchall()}

    def put(self, key: str, value: bytes) -> None:
        """Keep a small piece of the agent's state, durably."""
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))

    def get(self, key: str) -> bytes | None:
        """Return what was last put under ``key``."""
        with self._database.reading() as cursor:
            row = cursor.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def delete(self, key: str) -> None:
        """Forget what was put under ``key``."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM state WHERE key = ?", (key,))

    def keys(self, prefix: str = "") -> Sequence[str]:
        """Return the keys that begin with ``prefix``, in order."""
        with self._database.reading() as cursor:
            cursor.execute(
                "SELECT key FROM state WHERE substr(key, 1, ?) = ? ORDER BY key",
                (len(prefix), prefix),
            )
            return tuple(row[0] for row in cursor.fetchall())

    def close(self) -> None:
        self._database.close()

    def _grow(self, batches: int, rows: int, octets: int) -> None:
        with self._counting:  # one thread appends while another acknowledges
            now = self._size
            self._size = SpoolSize(now.batches + batches, now.rows + rows, now.octets + octets)
