"""Engines, transactions and errors of the relational store."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm import Session

from openami.core.errors import ConfigError, ConflictError, StoreError, StoreFullError
from openami.store.sqlite import BUSY_SECONDS, FORGET, store_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Engine

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
_READ_ONLY: Final = "openami_read_only"
# How a transaction that only reads sees one moment, and is kept from writing or locking rows.
_READERS: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {_READ_ONLY: True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
# How long a server that says nothing is waited for: less than devices wait for an answer. TCP asks
# one that has long been at work whether it is still there; without that, a cable that is cut is
# noticed after a quarter of an hour, or never.
_SILENT_S: Final = 10
_PATIENCE: Final = {
    "connect_timeout": str(_SILENT_S),
    "tcp_user_timeout": str(_SILENT_S * 1000),
    "keepalives_idle": str(_SILENT_S),
}
# Of what these say, the server is away; of others, such as a text that has a NUL in it, it is not.
_CONNECTION: Final = (OperationalError, InterfaceError, NoConnectionError)
# Any number: it is the name of a lock in PostgreSQL.
_UPGRADE_LOCK: Final = 0x6F70656E616D69
# SQLAlchemy's general INSERT has no ON CONFLICT.
_INSERTS: Final[dict[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def open_engine(where: Path | str) -> Engine:
    """Return an engine for a SQLite file or a database URL; nothing is read or written yet.

    Raises:
        ConfigError: ``config.database``, the URL is none of SQLite or PostgreSQL, or its driver is
            not installed.
    """
    url = URL.create("sqlite", database=str(where)) if isinstance(where, Path) else _parsed(where)
    try:
        # A server may have been restarted since a connection was last used.
        engine = create_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite")
    except ImportError as error:
        raise ConfigError(
            "PostgreSQL's driver is not installed",
            code="config.database",
            hint="install openami[postgresql]",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _parsed(address: str) -> URL:
    # What SQLAlchemy would say of a wrong URL repeats it, password and all.
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ConfigError("this is no database URL", code="config.database") from None
    if url.get_backend_name() not in _READERS:
        raise ConfigError("a database is SQLite's or PostgreSQL's", code="config.database")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername == "postgresql+psycopg":  # others know other words; what the URL says stands
        url = url.set(query={**_PATIENCE, **url.query})
    return url


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # SQLAlchemy's own "begin" is made by _begin_sqlite, so the driver must not make one too.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(FORGET)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once where another has written in
    # between, whatever the timeout; so whoever may write takes the write lock from the start.
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def upgrade(engine: Engine) -> None:
    """Bring a database to the present schema; does nothing where it is there already.

    Raises:
        StoreError: the database cannot be used, or was written by a newer version.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    try:
        with normalised(), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # Head-ends that start together upgrade one after another; SQLite's file is locked.
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(f"the database cannot be upgraded: {error}") from error


@contextmanager
def normalised() -> Iterator[None]:
    """Raise what SQLAlchemy raises as our errors."""
    try:
        yield
    except IntegrityError as error:
        raise ConflictError(f"the database refused it: {error.orig}") from error
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        if isinstance(cause, sqlite3.Error):
            raise store_error(cause, "the database") from error
        raise _postgresql_error(error, cause or error) from error


def _postgresql_error(error: SQLAlchemyError, cause: BaseException) -> StoreError:
    """Return our error for one of PostgreSQL's, by its SQLSTATE (its manual, appendix A)."""
    state = getattr(cause, "sqlstate", None) or ""
    said = f"the database: {' '.join(str(cause).split())[:300]}"
    # connection_exception; admin_shutdown and its like; none: the server has said nothing.
    if isinstance(error, _CONNECTION) and (not state or state.startswith(("08", "57P"))):
        return StoreError(said, code="store.away")
    if state == "53100":  # disk_full
        return StoreFullError("the database: no room left", hint="free some space")
    if state.startswith("40") or state == "55P03":  # serialization, deadlock; lock_not_available
        return StoreError(said, code="store.busy")
    return StoreError(said)


class Transactions:
    """Makes the transactions of one engine's repositories."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**_READERS[engine.dialect.name])

    @property
    def dialect(self) -> str:
        """The name of the database's dialect."""
        return self._engine.dialect.name

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Commit what the block did, or nothing if it raises."""
        with (
            normalised(),
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """See one moment of the database."""
        with (
            normalised(),
            Session(self._reader, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session


def inserting(dialect: str, table: Any) -> Any:
    """Return an INSERT that can say what becomes of rows which are there already."""
    return _INSERTS[dialect](table)


def insert_ignoring(dialect: str, table: Any) -> Any:
    """Return an INSERT that leaves rows alone which are there already."""
    return inserting(dialect, table).on_conflict_do_nothing()
