"""Backends of the relational store: the contract holds for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from tests.support.postgresql import Server, running

from openami.store.relational import RelationalStore, open_engine, upgrade

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


@pytest.fixture(params=BACKENDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where an empty database is."""
    if request.param == "sqlite":
        return tmp_path / "db.sqlite"
    server: Server = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture
def store(where: Path | str) -> Iterator[RelationalStore]:
    """Return a store of an empty database."""
    engine = open_engine(where)
    upgrade(engine)
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    store = RelationalStore(engine, now=lambda: NOW, hasher=quick)
    yield store
    store.close()
