"""Opening a lake: DuckDB with its extensions from wheels, the catalogue, the tables, the lock."""

from __future__ import annotations

import fcntl
import importlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from openami.core.errors import ConfigError, StoreError, StoreFullError
from openami.store.sqlite import NO_ROOM

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXTENSIONS: Final = ("sqlite_scanner", "ducklake")
# Nothing is ever fetched: a head-end may have no way to the Internet, and should need none.
_CONFIG: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "extension_directory": "",
}
# Rows of the small tables that live in the catalogue until compaction; SQLite takes 50 to 80 µs for
# each, so more of them at once are better in a file.
INLINED_ROWS: Final = 500
_ATTACH: Final = (
    "META_JOURNAL_MODE 'WAL'",
    "META_BUSY_TIMEOUT 10000",
    "OVERRIDE_DATA_PATH true",  # the folder may have been moved; its files are named relative to it
    f"DATA_INLINING_ROW_LIMIT {INLINED_ROWS}",
)

# ``point`` is the first series of the same meter, profile and channel: a meter whose scaler or
# unit changes goes on in a new series of the same point. ``month`` counts from year 0, and is only
# in the files' paths. ``superseded`` names the versions that ``latest`` leaves out.
_TABLES: Final = (
    """CREATE TABLE lake.series (
        series INTEGER, point INTEGER, meter VARCHAR, profile VARCHAR, channel VARCHAR,
        scaler TINYINT, unit UTINYINT
    )""",
    """CREATE TABLE lake.readings (
        series INTEGER, time TIMESTAMP, value BIGINT, status UTINYINT, version BIGINT,
        month INTEGER
    )""",
    "ALTER TABLE lake.readings SET PARTITIONED BY (month)",
    "ALTER TABLE lake.readings SET SORTED BY (series ASC, time ASC, version ASC)",
    "CREATE TABLE lake.superseded (series INTEGER, time TIMESTAMP, version BIGINT)",
    """CREATE VIEW lake.latest AS
        FROM lake.readings ANTI JOIN lake.superseded USING (series, time, version)""",
    """CREATE TABLE lake.batch (
        dcu VARCHAR, id VARCHAR, digest BLOB, rows BIGINT, version BIGINT, versions BIGINT,
        committed TIMESTAMP
    )""",
    "ALTER TABLE lake.batch SET SORTED BY (dcu ASC, id ASC)",
    "CALL lake.set_option('parquet_compression', 'zstd')",
)

# What DuckDB and SQLite say when there is no room; neither hands on the error's number. A quota and
# a file size limit give what a failing disk gives, too.
_FULL_TEXTS: Final = {
    "No space left": "no room left",
    "disk is full": "no room left",
    "disk full": "no room left",
    "File too large": "no room left",
    "Disk quota": "no room left",
    "disk I/O error": "no room left, or the disk fails",
}
_FULL_HINT: Final = "free some space; nothing was lost"
# What SQLite and DuckLake say when somebody else's transaction was in the way. SQLite says it at
# once, whatever the timeout, where waiting could not help: to a transaction that has read before
# the other one wrote. It comes as a plain ``duckdb.Error`` or, from a COMMIT, a
# ``TransactionException``.
_CONFLICT_TEXTS: Final = ("database is locked", "table is locked", "Transaction conflict")


def is_conflict(error: duckdb.Error) -> bool:
    """Return whether the same transaction may succeed when it is tried again."""
    return any(sign in str(error) for sign in _CONFLICT_TEXTS)


@contextmanager
def normalised(what: str) -> Iterator[None]:
    """Raise what DuckDB, Arrow and the file system raise as our errors."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        for sign, reason in _FULL_TEXTS.items():
            if sign in text:
                raise StoreFullError(f"{what}: {reason}", hint=_FULL_HINT) from error
        code = "store.busy" if is_conflict(error) else None
        raise StoreError(f"{what}: {' '.join(text.split())[:300]}", code=code) from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreFullError(f"{what}: no room left", hint=_FULL_HINT) from error
        raise StoreError(f"{what}: {error}") from error


def extension_file(name: str) -> Path:
    """Return the file of a DuckDB extension that came as a wheel.

    Raises:
        ConfigError: the wheel is missing or is for another DuckDB.
    """
    try:
        package = importlib.import_module(f"duckdb_extension_{name}")
    except ImportError as error:
        raise ConfigError(f"the package duckdb-extension-{name} is missing") from error
    folder = Path(str(package.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
    file = folder / f"{name}.duckdb_extension"
    if not file.exists():
        raise ConfigError(f"duckdb-extension-{name} is not for DuckDB {duckdb.__version__}")
    return file


def connect(root: Path, *, threads: int | None, memory: str) -> duckdb.DuckDBPyConnection:
    """Return a connection with the lake of ``root`` attached as ``lake``, its tables made.

    Raises:
        StoreError: the lake cannot be used.
        ConfigError: an extension is missing.
    """
    config: dict[str, Any] = {
        **_CONFIG,
        "temp_directory": str(root / "temporary"),
        "memory_limit": memory,
    }
    if threads is not None:
        config["threads"] = str(threads)
    with normalised("the lake"):
        connection = duckdb.connect(":memory:", config=config)
        try:
            for name in _EXTENSIONS:
                connection.execute(f"LOAD {quoted(extension_file(name))}")
            _attach(connection, root)
        except BaseException:
            connection.close()
            raise
    return connection


def _attach(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    catalogue = quoted(f"ducklake:sqlite:{root / 'catalogue.sqlite'}")
    options = ", ".join((f"DATA_PATH {quoted(root / 'data')}", *_ATTACH))
    connection.execute(f"ATTACH {catalogue} AS lake ({options})")
    known = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake'"
    ).fetchone()
    if known == (0,):
        connection.execute("BEGIN")
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("COMMIT")


def quoted(text: Path | str) -> str:
    """Return ``text`` as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


class FolderLock:
    """Holds a folder for this process alone, until it ends or lets go.

    Raises:
        StoreError: ``store.busy``, another process has it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise StoreError(f"{folder} is in use by another process", code="store.busy") from error

    def release(self) -> None:
        """Let go; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
