"""A management tree in one SQLite file: ``openami.omadm.tree.tree.TreeStore``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.omadm.tree.tree import StoredNode
from openami.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MIGRATIONS: Final = (
    (
        """CREATE TABLE node (
            path TEXT PRIMARY KEY,
            format TEXT NOT NULL,
            type TEXT NOT NULL,
            title TEXT NOT NULL,
            acl TEXT NOT NULL,
            changed INTEGER NOT NULL,
            version INTEGER NOT NULL,
            value BLOB NOT NULL
        ) WITHOUT ROWID""",
    ),
)


class SqliteTree:
    """The nodes of one device; a commit is one durable transaction.

    Raises:
        StoreError: the file cannot be used, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _MIGRATIONS)

    def load(self) -> Sequence[StoredNode]:
        with self._database.reading() as cursor:
            cursor.execute(
                "SELECT path, format, type, title, acl, changed, version, value FROM node"
            )
            return [StoredNode(*row) for row in cursor.fetchall()]

    def commit(self, removed: Sequence[str], kept: Sequence[StoredNode]) -> None:
        with self._database.transaction() as cursor:
            cursor.executemany("DELETE FROM node WHERE path = ?", [(path,) for path in removed])
            cursor.executemany(
                "INSERT OR REPLACE INTO node VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (n.path, n.format, n.type, n.title, n.acl, n.changed, n.version, n.value)
                    for n in kept
                ],
            )

    def close(self) -> None:
        self._database.close()
