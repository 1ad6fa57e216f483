"""Where a DCU stands with the upgrades of its meters, in one SQLite file.

What is kept of a meter and of an order are octets that whoever keeps them understands. One call is
one transaction: a meter's state and the marks that follow from it are kept together or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_MIGRATIONS: Final = (
    (
        "CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE task (
            campaign TEXT PRIMARY KEY,
            place INTEGER NOT NULL,
            body BLOB NOT NULL,
            void REAL,
            number INTEGER NOT NULL,
            failed BLOB
        ) WITHOUT ROWID""",
        """CREATE TABLE meter (
            campaign TEXT NOT NULL,
            serial TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            named INTEGER NOT NULL,
            image TEXT NOT NULL,
            told INTEGER NOT NULL,
            state BLOB NOT NULL,
            PRIMARY KEY (campaign, serial)
        ) WITHOUT ROWID""",
        """CREATE TABLE mark (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            campaign TEXT NOT NULL,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX mark_campaign ON mark (campaign, id)",
        "CREATE TABLE release (package TEXT PRIMARY KEY, manifest BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE image (sha256 TEXT PRIMARY KEY, file TEXT NOT NULL) WITHOUT ROWID",
    ),
)
_EPOCH: Final = "epoch"


@dataclass(frozen=True, slots=True)
class KeptTask:
    """One order of the head-end.

    Attributes:
        place: orders are carried out in this order.
        body: the order as it came last.
        void: since when it does not hold any more; None: it holds.
        number: of the last report about it.
        failed: the step that could not be done.
    """

    campaign: str
    place: int
    body: bytes = field(repr=False)
    void: float | None = None
    number: int = 0
    failed: bytes | None = None


@dataclass(frozen=True, slots=True)
class KeptMeter:
    """One meter of an order.

    Attributes:
        attempt: which of the tries with it, from 1.
        named: the order as it came last names it.
        image: the name of the image that it takes; empty: not known yet.
        told: which states it has marks of, a bit for each.
        state: how far it is.
    """

    campaign: str
    serial: str
    attempt: int
    named: bool
    image: str
    told: int
    state: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeptMark:
    """What has happened to a meter, to be told; ``id`` is given by the store."""

    campaign: str
    body: bytes
    id: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What is kept together."""

    epoch: int | None = None
    tasks: Sequence[KeptTask] = ()
    meters: Sequence[KeptMeter] = ()
    marks: Sequence[KeptMark] = ()
    forgotten: Sequence[str] = ()


class Upgrades:
    """The upgrades of one DCU's meters; every call that changes them is durable when it returns.

    Raises:
        StoreError: the file cannot be used, or another process has it; of any method: it cannot
            be read or written, and nothing of the call was kept.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _MIGRATIONS)

    def epoch(self) -> int | None:
        """Return the highest epoch that was ever kept; None: none was."""
        with self._database.reading() as cursor:
            cursor.execute("SELECT value FROM fact WHERE name = ?", (_EPOCH,))
            row = cursor.fetchone()
        return None if row is None else int(row[0])

    def tasks(self) -> Sequence[KeptTask]:
        """Return all orders, in their places."""
        with self._database.reading() as cursor:
            cursor.execute(
                "SELECT campaign, place, body, void, number, failed FROM task"
                " ORDER BY place, campaign"
            )
            return tuple(KeptTask(*row) for row in cursor.fetchall())

    def meters(self, campaign: str) -> Sequence[KeptMeter]:
        """Return an order's meters."""
        with self._database.reading() as cursor:
            cursor.execute(
                "SELECT serial, attempt, named, image, told, state FROM meter WHERE campaign = ?"
                " ORDER BY serial",
                (campaign,),
            )
            return tuple(
                KeptMeter(campaign, serial, attempt, bool(named), image, told, state)
                for serial, attempt, named, image, told, state in cursor.fetchall()
            )

    def marks(self, campaign: str, most: int) -> Sequence[KeptMark]:
        """Return what is to be told of an order, up to so many, the oldest first."""
        with self._database.reading() as cursor:
            cursor.execute(
                "SELECT campaign, body, id FROM mark WHERE campaign = ? ORDER BY id LIMIT ?",
                (campaign, most),
            )
            return tuple(KeptMark(*row) for row in cursor.fetchall())

    def keep(self, changes: Changes) -> None:
        """Keep all of it or nothing. The epoch never goes back."""
        with self._database.transaction() as cursor:
            if changes.epoch is not None:
                cursor.execute(
                    "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name)"
                    " DO UPDATE SET value = max(value, excluded.value)",
                    (_EPOCH, changes.epoch),
                )
            for campaign in changes.forgotten:
                for table in ("task", "meter", "mark"):
                    cursor.execute(f"DELETE FROM {table} WHERE campaign = ?", (campaign,))  # noqa: S608 - our own names
            cursor.executemany(
                "INSERT OR REPLACE INTO task VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (one.campaign, one.place, one.body, one.void, one.number, one.failed)
                    for one in changes.tasks
                ],
            )
            cursor.executemany(
                "INSERT OR REPLACE INTO meter VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (m.campaign, m.serial, m.attempt, m.named, m.image, m.told, m.state)
                    for m in changes.meters
                ],
            )
            cursor.executemany(
                "INSERT INTO mark (campaign, body) VALUES (?, ?)",
                [(mark.campaign, mark.body) for mark in changes.marks],
            )

    def acknowledge(self, told: Iterable[tuple[str, int]]) -> None:
        """Drop marks that were told: of each order those up to an id."""
        with self._database.transaction() as cursor:
            cursor.executemany("DELETE FROM mark WHERE campaign = ? AND id <= ?", tuple(told))

    def manifest(self, package: str) -> bytes | None:
        """Return the manifest of a release, if it was kept."""
        with self._database.reading() as cursor:
            cursor.execute("SELECT manifest FROM release WHERE package = ?", (package,))
            row = cursor.fetchone()
        return None if row is None else bytes(row[0])

    def keep_manifest(self, package: str, manifest: bytes) -> None:
        """Keep the manifest of a release."""
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO release VALUES (?, ?)", (package, manifest))

    def images(self) -> dict[str, str]:
        """Return by SHA-256 the files of images that are whole."""
        with self._database.reading() as cursor:
            return dict(cursor.execute("SELECT sha256, file FROM image").fetchall())

    def keep_image(self, sha256: str, file: str) -> None:
        """Take note that an image is whole."""
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO image VALUES (?, ?)", (sha256, file))

    def forget_image(self, sha256: str) -> None:
        """Take note that an image is there no more."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM image WHERE sha256 = ?", (sha256,))

    def keep_only(self, packages: Iterable[str]) -> None:
        """Forget the manifests of all other releases."""
        kept = set(packages)
        with self._database.transaction() as cursor:
            for (package,) in cursor.execute("SELECT package FROM release").fetchall():
                if package not in kept:
                    cursor.execute("DELETE FROM release WHERE package = ?", (package,))

    def close(self) -> None:
        self._database.close()
