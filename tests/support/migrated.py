"""Databases as older versions have left them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

from openami.store.relational.engine import _MIGRATIONS

if TYPE_CHECKING:
    from sqlalchemy import Connection


def bring_to(connection: Connection, version: str) -> None:
    """Give an empty database the schema of a version."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, version)
