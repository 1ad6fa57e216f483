"""Where a DCU stands with what is wanted of its meters, in one SQLite file.

What is kept of a meter are octets that whoever keeps them understands. One call is one
transaction: a meter's state and the reports that follow from it are kept together or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MIGRATIONS: Final = (
    (
        "CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE wanted (serial TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE meter (serial TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE report (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    ),
)
_REVISION: Final = "revision"
_NUMBER: Final = "number"
_SET: Final = (
    "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is kept together; a state of None is forgotten."""

    meters: Mapping[str, bytes | None] = field(default_factory=dict)
    reports: Sequence[bytes] = ()


class Demand:
    """What is wanted of one DCU's meters; every call that changes it is durable when it returns.

    Args:
        path: the file.
        number: above which reports are numbered, if this file has none yet.

    Raises:
        StoreError: the file cannot be used, or another process has it; of any method: it cannot
            be read or written, and nothing of the call was kept.
    """

    def __init__(self, path: Path, *, number: int = 0) -> None:
        self._database = Database(path, _MIGRATIONS)
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR IGNORE INTO fact VALUES (?, ?)", (_NUMBER, number))

    def revision(self) -> int | None:
        """Return the revision of what is wanted; None: nothing was ever said."""
        return self._fact(_REVISION)

    def number(self) -> int:
        """Return the number of the latest report."""
        return self._fact(_NUMBER) or 0

    def _fact(self, name: str) -> int | None:
        with self._database.reading() as cursor:
            row = cursor.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def wanted(self) -> dict[str, bytes]:
        """Return what is wanted, by the meter."""
        return self._all("SELECT serial, body FROM wanted")

    def meters(self) -> dict[str, bytes]:
        """Return how far each meter is."""
        return self._all("SELECT serial, state FROM meter")

    def _all(self, query: str) -> dict[str, bytes]:
        with self._database.reading() as cursor:
            return {name: bytes(body) for name, body in cursor.execute(query).fetchall()}

    def want(self, revision: int, wanted: Mapping[str, bytes]) -> None:
        """Keep all that is wanted, in the place of what was."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM wanted")
            cursor.executemany("INSERT INTO wanted VALUES (?, ?)", tuple(wanted.items()))
            cursor.execute(_SET, (_REVISION, revision))

    def keep(self, changes: Changes) -> None:
        """Keep all of it or nothing; reports are numbered on."""
        with self._database.transaction() as cursor:
            for serial, state in changes.meters.items():
                if state is None:
                    cursor.execute("DELETE FROM meter WHERE serial = ?", (serial,))
                else:
                    cursor.execute("INSERT OR REPLACE INTO meter VALUES (?, ?)", (serial, state))
            (number,) = cursor.execute(
                "SELECT value FROM fact WHERE name = ?", (_NUMBER,)
            ).fetchone()
            rows = [(number + place, body) for place, body in enumerate(changes.reports, start=1)]
            cursor.executemany("INSERT INTO report VALUES (?, ?)", rows)
            cursor.execute(_SET, (_NUMBER, number + len(rows)))

    def reports(self, most: int) -> list[tuple[int, bytes]]:
        """Return what is to be told, up to so many, the oldest first."""
        with self._database.reading() as cursor:
            rows = cursor.execute(
                "SELECT number, body FROM report ORDER BY number LIMIT ?", (most,)
            ).fetchall()
        return [(number, bytes(body)) for number, body in rows]

    def told(self, number: int) -> None:
        """Drop the reports up to a number."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM report WHERE number <= ?", (number,))

    def number_above(self, number: int) -> None:
        """Number what waits anew, above ``number``: somebody knows of higher ones than we do."""
        with self._database.transaction() as cursor:
            (latest,) = cursor.execute(
                "SELECT value FROM fact WHERE name = ?", (_NUMBER,)
            ).fetchone()
            if latest > number:
                return
            rows = cursor.execute("SELECT body FROM report ORDER BY number").fetchall()
            cursor.execute("DELETE FROM report")
            cursor.executemany(
                "INSERT INTO report VALUES (?, ?)",
                [(number + place, body) for place, (body,) in enumerate(rows, start=1)],
            )
            cursor.execute(_SET, (_NUMBER, number + len(rows)))

    def close(self) -> None:
        self._database.close()
