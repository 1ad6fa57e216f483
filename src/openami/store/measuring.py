"""The non-volatile memory of one measuring part, in one SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

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
    # Parts of before 2026-11-22 were calibrated on these mains, and did not say so.
    ("ALTER TABLE part ADD COLUMN grid TEXT NOT NULL DEFAULT '230/50'",),
)


class KeptPart(NamedTuple):
    """What the memory holds.

    Args:
        front: name of the front end.
        record: what the part must not forget.
        grid: volts and hertz that it was made for, such as ``220/60``.
    """

    front: str
    record: bytes
    grid: str


class PartMemory:
    """Keeps one record; each call is durable when it returns.

    Raises:
        StoreError: the file cannot be used, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _MIGRATIONS)

    def load(self) -> KeptPart | None:
        """Return what was kept last; None: nothing was kept yet."""
        with self._database.reading() as cursor:
            cursor.execute("SELECT front, record, grid FROM part")
            row = cursor.fetchone()
        return None if row is None else KeptPart(*row)

    def keep(self, front: str, record: bytes, grid: str) -> None:
        """Keep a record in the place of the one before.

        Raises:
            StoreFullError: there is no room; the one before is still there.
            StoreError: another failure; the same.
        """
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO part VALUES (1, ?, ?, ?)", (front, record, grid))

    def close(self) -> None:
        self._database.close()
