"""One SQLite file with the settings that make a commit durable, and its errors as ours."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError, StoreError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# How long a writer waits for another process before the call fails.
BUSY_SECONDS: Final = 10.0
# What ENOSPC, a quota and a file size limit have in common: there is no room.
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

# Pages of 4 KiB after which the log is written back: it stays near 1 MiB, so that little room is
# enough for a transaction on a disk that is nearly full.
LOG_PAGES: Final = 256

# A full disk gives SQLITE_FULL; a quota and a file size limit give what a failing disk gives, too.
_FULL_CODES: Final = {
    sqlite3.SQLITE_FULL: "no room left",
    sqlite3.SQLITE_IOERR_WRITE: "no room left, or the disk fails",
}
# What is deleted is overwritten with zeros: a secret that is over must not be found in a file that
# is copied later. Some builds of SQLite do so anyhow, others want to be told. Where all that is
# written is deleted again, it makes 4 % more octets to write.
FORGET: Final = "PRAGMA secure_delete = ON"
_PRAGMAS: Final = (
    FORGET,
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA wal_autocheckpoint = {LOG_PAGES}",
)


def store_error(error: sqlite3.Error | OSError, what: str) -> StoreError:
    """Return our error for one of SQLite's or of the file system's."""
    number = getattr(error, "sqlite_errorcode", None)
    if number in _FULL_CODES or getattr(error, "errno", None) in NO_ROOM:
        reason = _FULL_CODES.get(number or 0, "no room left")
        return StoreFullError(f"{what}: {reason}", hint="free some space; nothing was lost")
    if number in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(f"{what}: {error}", code="store.damaged")
    if isinstance(error, sqlite3.IntegrityError):
        return ConflictError(f"{what}: {error}")
    if number in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"{what}: in use by another process",
            code="store.busy",
            hint="a folder of state serves one process at a time: stop the other, or wait for it",
        )
    return StoreError(f"{what}: {error}")


class Database:
    """One connection to one file, shared by threads one at a time.

    Args:
        path: the file, made readable by its owner alone; its folder must exist.
        migrations: the statements that make version 1, 2, …; only ever appended to.
        exclusive: refuse every other process, as long as this one has the file open.

    Raises:
        StoreError: the file cannot be used, or was written by a newer version.
    """

    def __init__(
        self, path: Path, migrations: Sequence[Sequence[str]], *, exclusive: bool = True
    ) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._normalised():
            # SQLite gives its log and its index the mode of the file itself.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(migrations, exclusive=exclusive)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, migrations: Sequence[Sequence[str]], *, exclusive: bool) -> None:
        if exclusive:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        for pragma in _PRAGMAS:
            self._connection.execute(pragma)
        with self.transaction() as cursor:
            version = cursor.execute("PRAGMA user_version").fetchone()[0]
            if version > len(migrations):
                said = f"{self.path.name} was written by a newer version of openami"
                raise StoreError(said, code="store.newer")
            for statement in (s for step in migrations[version:] for s in step):
                cursor.execute(statement)
            if version < len(migrations):
                cursor.execute(f"PRAGMA user_version = {len(migrations)}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """Run statements that are all kept, durably, or none of them."""
        with self._lock, self._normalised():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                # A cursor left open, by an error's traceback say, would keep the file open too.
                with closing(self._connection.cursor()) as cursor:
                    yield cursor
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Cursor]:
        """Run statements that only read, one after another as of different moments."""
        with self._lock, self._normalised(), closing(self._connection.cursor()) as cursor:
            yield cursor

    def give_back_space(self, pages: int) -> None:
        """Return up to ``pages`` unused pages and the log to the file system, as far as it goes."""
        with self.reading() as cursor:
            cursor.execute(f"PRAGMA incremental_vacuum({int(pages)})").fetchall()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _normalised(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise store_error(error, self.path.name) from error
