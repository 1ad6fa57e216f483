"""The non-volatile memory of one measuring part, in one SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.store.sqlite import Database

if TYPE_CHECKING:
    from pathlib import Path

_MIGRATIONS: Final = (
    (
        """CREATE TABLE part (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            front TEXT NOT NULL,
            record BLOB NOT NULL
        )""",
    ),
)


class PartMemory:
    """Keeps one record; each call is durable when it returns.

    Raises:
        StoreError: the file cannot be used, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _MIGRATIONS)

    def load(self) -> tuple[str, bytes] | None:
        """Return the name of the front end and the record; None: nothing was kept yet."""
        with self._database.reading() as cursor:
            cursor.execute("SELECT front, record FROM part")
            row = cursor.fetchone()
        return None if row is None else (row[0], row[1])

    def keep(self, front: str, record: bytes) -> None:
        """Keep a record in the place of the one before.

        Raises:
            StoreFullError: there is no room; the one before is still there.
            StoreError: another failure; the same.
        """
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO part VALUES (1, ?, ?)", (front, record))

    def close(self) -> None:
        self._database.close()
