"""What a managed device must remember of its server besides its tree, in one SQLite file.

It is little, and without it no session can be held, not even the one that makes room. So it has
room of its own on a full disk.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from openami.core.errors import StoreFullError
from openami.store.reserve import Reserve
from openami.store.sqlite import Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

RESERVE_OCTETS: Final = 256 * 1024
"""Sixty pages: a commit takes three or four, and the log is emptied before the next."""

SEEN_MOST: Final = 256
"""Session ids that are remembered: few enough of 65,536 that a server's next one is seldom among
them, and many enough to span the time in which one notification's nonce is good."""

_MIGRATIONS: Final = (
    (
        """CREATE TABLE account (
            name TEXT PRIMARY KEY,
            client_nonce BLOB NOT NULL,
            server_nonce BLOB NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE seen (
            place INTEGER PRIMARY KEY AUTOINCREMENT,
            session INTEGER NOT NULL
        )""",
        "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
)


class DeviceMemory:
    """Nonces, sessions that were asked for, and facts; each call is durable when it returns.

    Raises:
        StoreError: the file cannot be used, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _MIGRATIONS)
        self._reserve = Reserve(path.with_name(path.name + ".reserve"), RESERVE_OCTETS)
        self._reserve.set_aside()
        self._writing = threading.Lock()

    def nonces(self, account: str) -> tuple[bytes, bytes]:
        """Return an account's client nonce and server nonce; empty ones if it is new."""
        with self._database.reading() as cursor:
            cursor.execute(
                "SELECT client_nonce, server_nonce FROM account WHERE name = ?", (account,)
            )
            row = cursor.fetchone()
        return (b"", b"") if row is None else (row[0], row[1])

    def keep_nonces(self, account: str, client: bytes, server: bytes) -> None:
        """Keep an account's nonces, and forget those of any other."""

        def keep(cursor: sqlite3.Cursor) -> None:
            cursor.execute("DELETE FROM account WHERE name <> ?", (account,))
            cursor.execute(
                "INSERT OR REPLACE INTO account VALUES (?, ?, ?)", (account, client, server)
            )

        self._write(keep)

    def seen(self) -> frozenset[int]:
        """Return the session ids that were used lately."""
        with self._database.reading() as cursor:
            return frozenset(row[0] for row in cursor.execute("SELECT session FROM seen"))

    def saw(self, session: int) -> None:
        """Remember a session id; the oldest beyond ``SEEN_MOST`` is forgotten."""

        def keep(cursor: sqlite3.Cursor) -> None:
            cursor.execute("INSERT INTO seen (session) VALUES (?)", (session,))
            cursor.execute(
                "DELETE FROM seen WHERE place <= (SELECT MAX(place) FROM seen) - ?", (SEEN_MOST,)
            )

        self._write(keep)

    def fact(self, name: str) -> str:
        """Return a fact; empty if it was never put."""
        with self._database.reading() as cursor:
            cursor.execute("SELECT value FROM fact WHERE name = ?", (name,))
            row = cursor.fetchone()
        return "" if row is None else str(row[0])

    def put_fact(self, name: str, value: str) -> None:
        self._write(
            lambda cursor: cursor.execute(
                "INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value)
            )
        )

    def _write(self, keep: Callable[[sqlite3.Cursor], object]) -> None:
        with self._writing:  # the room that is given to one write, no other takes back
            try:
                self._commit(keep)
            except StoreFullError:
                self._reserve.release()
                with suppress(StoreFullError):
                    self._database.give_back_space(0)
                self._commit(keep)
            self._reserve.set_aside()

    def _commit(self, keep: Callable[[sqlite3.Cursor], object]) -> None:
        with self._database.transaction() as cursor:
            keep(cursor)

    def close(self) -> None:
        self._database.close()
