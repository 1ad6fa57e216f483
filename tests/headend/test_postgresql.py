"""A head-end whose state is in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr
from tests.support.headend import settings_in
from tests.support.postgresql import running

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
