"""Backends of the relational store: the contract holds for each of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from openami.store.relational import RelationalStore, open_engine, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# An empty database, such as postgresql+psycopg://user@host/name; SQLite needs none.
POSTGRESQL = os.environ.get("OPENAMI_TEST_POSTGRESQL")
BACKENDS = ("sqlite", "postgresql") if POSTGRESQL else ("sqlite",)
NOW = 1_700_000_000.0


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RelationalStore]:
    """Return a store of an empty database."""
    engine = open_engine(tmp_path / "db.sqlite" if request.param == "sqlite" else str(POSTGRESQL))
    if request.param == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    upgrade(engine)
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    store = RelationalStore(engine, now=lambda: NOW, hasher=quick)
    yield store
    store.close()
