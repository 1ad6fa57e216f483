"""A head-end whose state is in PostgreSQL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import make_url
from tests.support.headend import settings_in
from tests.support.postgresql import running

from openami.core.errors import ConfigError, StoreError
from openami.fleet.operators import Role
from openami.headend.installation import open_installation
from openami.headend.stores import open_records, open_stores

if TYPE_CHECKING:
    from pathlib import Path


def test_state_is_kept_in_postgresql(tmp_path: Path) -> None:
    with running() as server:
        url = SecretStr(server.database())
        settings = settings_in(tmp_path, database=url)
        assert url.get_secret_value() not in repr(settings)
        home = open_installation(settings.state)
        with open_stores(home, settings.database) as stores:
            stores.operators.add("anna", "correct horse", Role.ADMIN, who="setup", when=1.0)
        with open_records(home, settings.database) as records:
            assert records.operators.get("anna").role is Role.ADMIN
        assert not home.database.exists()


def test_one_head_end_runs_on_a_database(tmp_path: Path) -> None:
    with running() as server:
        database = SecretStr(server.database())
        first, second = (open_installation(tmp_path / name) for name in ("first", "second"))
        with open_stores(first, database), open_records(first, database):
            with pytest.raises(ConfigError) as other, open_stores(second, database):
                pytest.fail("another folder was taken")
            assert other.value.code == "config.installation"
            second.name.write_bytes(first.name.read_bytes())  # as a copy of the folder has it
            with pytest.raises(StoreError) as busy, open_stores(second, database):
                pytest.fail("two have the database")
            assert busy.value.code == "store.busy"
        with open_stores(second, database):  # the first has stopped
            pass


def test_the_lock_outlasts_a_server_that_ends_idle_connections(tmp_path: Path) -> None:
    with running() as server:
        url = server.database()
        where = make_url(url)
        name = sql.Identifier(str(where.database))
        with psycopg.connect(
            host=str(where.query["host"]), user=where.username, dbname="postgres", autocommit=True
        ) as connection:
            query = sql.SQL("ALTER DATABASE {} SET idle_session_timeout = 50")
            connection.execute(query.format(name))
        home = open_installation(tmp_path)
        with open_stores(home, SecretStr(url)) as stores:
            time.sleep(0.5)
            assert not stores.operators.list().items
            copy = open_installation(tmp_path / "copy")
            copy.name.write_bytes(home.name.read_bytes())
            with pytest.raises(StoreError) as busy, open_stores(copy, SecretStr(url)):
                pytest.fail("two have the database")
            assert busy.value.code == "store.busy"
