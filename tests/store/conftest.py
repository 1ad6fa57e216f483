"""Backends of the relational store: the contract holds for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from tests.support.headend import new_database
from tests.support.postgresql import Server, running

from openami.store.relational import RelationalStore, open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BACKENDS = ("sqlite", "postgresql")
NOW = 1_700_000_000.0


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Return a PostgreSQL server that is ours alone."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgresql: Server) -> str:
    """Return where a database is that was just made, which takes longer than most tests."""
    url = postgresql.database()
    RelationalStore.open(url).close()
    return url


@pytest.fixture(params=BACKENDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """Return where a database is: an empty one, unless it is that of ``store``."""
    of_a_store = "store" in request.fixturenames
    if request.param == "sqlite":
        file = tmp_path / "db.sqlite"
        if of_a_store:
            file.write_bytes(new_database())
        yield file
        return
    server: Server = request.getfixturevalue("postgresql")
    url = server.database(request.getfixturevalue("migrated") if of_a_store else None)
    yield url
    server.drop(url)  # hundreds take gigabytes


@pytest.fixture
def store(where: Path | str) -> Iterator[RelationalStore]:
    """Return a store of a database that was just made."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    store = RelationalStore(open_engine(where), now=lambda: NOW, hasher=quick)
    yield store
    store.close()
