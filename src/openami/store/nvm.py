"""The non-volatile memory of any number of meters, in one SQLite file.

Implements ``openami.metrology.memory.MeterMemory``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.metrology.memory import MeterCommit, MeterImage, Row
from openami.store.sqlite import Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

_MIGRATIONS: Final = (
    (
        """CREATE TABLE meter (
            number INTEGER PRIMARY KEY,
            serial TEXT NOT NULL UNIQUE,
            snapshot BLOB NOT NULL
        )""",
        """CREATE TABLE row (
            meter INTEGER NOT NULL REFERENCES meter (number),
            ring INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            time INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (meter, ring, sequence)
        ) WITHOUT ROWID""",
    ),
)


class SqliteMemory:
    """Meters' memory in one file; a commit of many meters is one transaction.

    Raises:
        StoreError: the file cannot be used, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _MIGRATIONS)

    def load(self, meter: str) -> MeterImage | None:
        with self._database.reading() as cursor:
            cursor.execute("SELECT number, snapshot FROM meter WHERE serial = ?", (meter,))
            found = cursor.fetchone()
            if found is None:
                return None
            cursor.execute(
                "SELECT ring, sequence, time, data FROM row WHERE meter = ?"
                " ORDER BY ring, sequence",
                (found[0],),
            )
            return MeterImage(found[1], tuple(Row(*row) for row in cursor.fetchall()))

    def commit(self, commits: Sequence[MeterCommit]) -> None:
        if not commits:
            return
        with self._database.transaction() as cursor:
            for commit in commits:
                self._keep(cursor, commit)

    @staticmethod
    def _keep(cursor: sqlite3.Cursor, commit: MeterCommit) -> None:
        cursor.execute(
            "INSERT INTO meter (serial, snapshot) VALUES (?, ?) ON CONFLICT (serial)"
            " DO UPDATE SET snapshot = excluded.snapshot RETURNING number",
            (commit.meter, commit.snapshot),
        )
        number = cursor.fetchone()[0]
        cursor.executemany(
            "INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?, ?)",
            [(number, row.ring, row.sequence, row.time, row.data) for row in commit.rows],
        )
        cursor.executemany(
            "DELETE FROM row WHERE meter = ? AND ring = ? AND sequence < ?",
            [(number, ring, first) for ring, first in commit.first.items()],
        )

    def close(self) -> None:
        self._database.close()
