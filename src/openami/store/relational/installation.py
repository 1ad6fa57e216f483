"""Whose database this is: of one installation, of which one head-end runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, text
from sqlalchemy.orm import Mapped, mapped_column

from openami.core.errors import StoreError
from openami.store.relational.engine import Transactions, insert_ignoring, normalised
from openami.store.relational.models import Base, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Engine

# Any number: it is the name of a lock in PostgreSQL.
_LOCK: Final = 0x6F70656E616D6A
# Within a minute a machine that has died without a word holds the lock no more.
_KEEPALIVE: Final = (
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 15",
    "SET tcp_keepalives_count = 3",
)
# One that lives holds it, though its connection is idle; PostgreSQL before 14 has no such setting.
_FOREVER: Final = (
    "SELECT set_config('idle_session_timeout', '0', false)"
    " WHERE current_setting('idle_session_timeout', true) IS NOT NULL"
)


class InstallationRow(Base):
    """The one installation whose database this is."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Name(64))


class InstallationRepository:
    """Knows whose the database is."""

    def __init__(self, engine: Engine, transactions: Transactions) -> None:
        self._engine = engine
        self._transactions = transactions

    def claim(self, name: str) -> str:
        """Make the database an installation's unless it is one's already; return whose it is."""
        query = select(InstallationRow.name)
        with self._transactions.reading() as session:
            found = session.scalar(query)
        if found is not None:
            return found
        with self._transactions.writing() as session:
            row = insert_ignoring(self._transactions.dialect, InstallationRow)
            session.execute(row.values(id=1, name=name))
        with self._transactions.reading() as session:
            return session.scalar(query) or name

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep another head-end from this database, as the folder's lock does with SQLite's.

        It is for those that are started by mistake: if the connection breaks, the lock is gone.

        Raises:
            StoreError: ``store.busy``, another head-end runs on it.
        """
        if self._transactions.dialect != "postgresql":
            yield
            return
        with normalised():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            with normalised():
                for each in (*_KEEPALIVE, _FOREVER):
                    connection.execute(text(each))
                locked = connection.scalar(text(f"SELECT pg_try_advisory_lock({_LOCK})"))
            if not locked:
                raise StoreError(
                    "another head-end runs on this database",
                    hint="stop it first; a connection of it that is left over ends within a minute",
                    code="store.busy",
                )
            try:
                yield
            finally:
                connection.invalidate()  # the lock goes with its connection
