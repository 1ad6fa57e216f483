"""What was deleted is not in the file any more, whatever the SQLite below does by itself."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from openami.store.relational.engine import open_engine
from openami.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SECRET = b"chance that is over".hex()
TABLE = "CREATE TABLE kept (name INTEGER PRIMARY KEY, value TEXT NOT NULL)"
# The last two end with a page that is given up, the first with a row of a page that stays.
CHANGES = {
    "replaced": "UPDATE kept SET value = '' WHERE name = 7",
    "deleted": "DELETE FROM kept WHERE name >= 7",
    "dropped": "DROP TABLE kept",
}


def in_database(path: Path, statements: Iterable[str]) -> None:
    database = Database(path, ())
    for statement in statements:
        with database.transaction() as cursor:
            cursor.execute(statement)
    database.close()


def in_engine(path: Path, statements: Iterable[str]) -> None:
    engine = open_engine(path)
    for statement in statements:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(autouse=True)
def forgetful_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the SQLite of a build that leaves deleted rows where they were."""
    connect = sqlite3.connect

    def opened(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    for module in (sqlite3, sqlite3.dbapi2):
        monkeypatch.setattr(module, "connect", opened)


@pytest.mark.parametrize("run", [in_database, in_engine])
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_deleted_is_gone(
    tmp_path: Path, run: Callable[[Path, Iterable[str]], None], change: str
) -> None:
    path = tmp_path / "x.sqlite"
    rows = [f"INSERT INTO kept VALUES ({name}, '{SECRET * 8}')" for name in range(7, 107)]
    run(path, [TABLE, "INSERT INTO kept VALUES (1, 'stays')", *rows])
    assert SECRET.encode() in path.read_bytes()
    if change == "replaced":
        run(path, ["DELETE FROM kept WHERE name > 7"])
    run(path, [CHANGES[change]])
    assert SECRET.encode() not in path.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["x.sqlite"]
