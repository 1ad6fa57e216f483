"""What an in-home display keeps: one SQLite file, bounded by time, which outlives a kill.

Power is kept in points of five seconds for ``POINTS_S``, energy by the meter's own intervals for
``INTERVALS_S``, and by days of what is older. The energy of a household is the sum over its
meters, of which there are several after an exchange.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from openami.core.errors import StoreError
from openami.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Longs = npt.NDArray[np.int64]

FILE: Final = "home.sqlite"
DAMAGED: Final = "home.damaged"
"""What a file that could not be read any more is called from then on."""
DAY_S: Final = 86_400
POINTS_S: Final = 72 * 3600
"""Seconds of points kept: two days are shown, and a third costs a megabyte."""
INTERVALS_S: Final = 430 * DAY_S
"""Seconds of intervals kept: thirteen months, and the month that a comparison begins in."""
PRUNE_ROWS: Final = 5_000
"""Rows dropped at a time, so that nobody waits long for the file."""
_GIVEN_BACK: Final = 256
"""Pages given back to the file system after rows were dropped: a megabyte."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        (
            "CREATE TABLE meters (id INTEGER PRIMARY KEY, serial TEXT NOT NULL UNIQUE,"
            " period INTEGER NOT NULL, since INTEGER, until INTEGER,"
            " whole INTEGER NOT NULL DEFAULT 0, anchor_at INTEGER,"
            " anchor_imported INTEGER, anchor_exported INTEGER)"
        ),
        (
            "CREATE TABLE points (start INTEGER PRIMARY KEY, watts INTEGER NOT NULL,"
            " filled INTEGER NOT NULL)"
        ),
        (
            "CREATE TABLE intervals (ending INTEGER NOT NULL, meter INTEGER NOT NULL"
            " REFERENCES meters (id), length INTEGER NOT NULL, imported INTEGER NOT NULL,"
            " exported INTEGER NOT NULL, status INTEGER NOT NULL, PRIMARY KEY (ending, meter))"
            " WITHOUT ROWID"
        ),
        (
            "CREATE TABLE days (start INTEGER PRIMARY KEY, ending INTEGER NOT NULL,"
            " imported INTEGER NOT NULL, exported INTEGER NOT NULL)"
        ),
        (
            "CREATE TABLE answers (number INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL,"
            " answer TEXT NOT NULL)"
        ),
        "CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE appliances (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID",
    ),
)

_SELECT_METER: Final = (
    "SELECT id, serial, period, since, until, whole, anchor_at, anchor_imported, anchor_exported"
    " FROM meters WHERE serial = ?"
)


@dataclass(frozen=True, slots=True)
class MeterRow:
    """A meter of the household, and how much of its load profile has been taken.

    Attributes:
        number: of this store.
        period: of its load profile, in seconds.
        since: nothing before is known; None: nothing has been asked.
        until: all that the meter had up to here has been taken.
        whole: it has nothing from before ``since``.
        anchor: a boundary of intervals, and the registers 1.8.0 and 2.8.0 at it, in Wh.
    """

    number: int
    serial: str
    period: int
    since: int | None = None
    until: int | None = None
    whole: bool = False
    anchor: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy by intervals, oldest first, none of which overlap: columns of the same length.

    ``imported`` and ``exported`` are in Wh, the times in seconds UTC.
    """

    starts: Longs = field(repr=False)
    ends: Longs = field(repr=False)
    imported: Longs = field(repr=False)
    exported: Longs = field(repr=False)

    @classmethod
    def of(cls, rows: Sequence[tuple[int, ...]]) -> Energy:
        """Return columns of rows in their order."""
        columns = np.array(rows, np.int64).reshape(len(rows), 4)
        return cls(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])

    def __len__(self) -> int:
        return len(self.ends)


@dataclass(frozen=True, slots=True)
class Points:
    """Mean power by five seconds, oldest first; ``filled``: it is the mean of an interval."""

    starts: Longs = field(repr=False)
    watts: Longs = field(repr=False)
    filled: Longs = field(repr=False)


@dataclass(frozen=True, slots=True)
class PendingAnswer:
    """An answer to an event that the meter has not taken."""

    number: int
    event: str
    answer: str


class HomeStore:
    """The file of one display; no other process may have it open.

    A file that is damaged, as by a memory card that wears out, is put aside, and a new one begun:
    the meter still has most of what was in it.

    Args:
        folder: where it is; made if it is not there.

    Attributes:
        damage: what was wrong with the file before; None: it was sound, or there was none.

    Raises:
        StoreError: it can not be used; ``store.busy``: another process has it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.damage: StoreError | None = None
        self._aside = folder / DAMAGED
        try:
            self._database = _sound(folder / FILE)
        except StoreError as error:
            if error.code != "store.damaged":
                raise
            self.damage = error
            _put_aside(folder / FILE, self._aside)
            self._database = _sound(folder / FILE)

    def close(self) -> None:
        self._database.close()

    # Meters and their energy

    def meter(self, serial: str, period: int) -> MeterRow:
        """Return what is known of a meter; a new one is kept, and so is a new period."""
        with self._database.reading() as cursor:
            found = cursor.execute(_SELECT_METER, (serial,)).fetchone()
        if found is not None and found[2] == period:  # then also a full disk does
            return _meter(found)
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO meters (serial, period) VALUES (?, ?)"
                " ON CONFLICT (serial) DO UPDATE SET period = excluded.period",
                (serial, period),
            )
            return _meter(cursor.execute(_SELECT_METER, (serial,)).fetchone())

    def keep_anchor(self, meter: int, anchor: tuple[int, int, int]) -> None:
        """Keep what a meter's registers were at a boundary of intervals."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE meters SET anchor_at = ?, anchor_imported = ?, anchor_exported = ?"
                " WHERE id = ?",
                (*anchor, meter),
            )

    def keep_energy(
        self,
        meter: MeterRow,
        rows: Iterable[tuple[int, int, int, int]],
        points: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Keep intervals, and how far ``meter`` says that they reach, or nothing at all.

        Args:
            meter: with its new ``since``, ``until`` and ``whole``.
            rows: end of the interval, imported and exported Wh, status; what is there of the same
                interval is replaced.
            points: start and watts of points that are the mean of these intervals; they replace
                none that was measured.
        """
        with self._database.transaction() as cursor:
            cursor.executemany(
                "INSERT OR REPLACE INTO intervals"
                " (ending, meter, length, imported, exported, status) VALUES (?, ?, ?, ?, ?, ?)",
                ((end, meter.number, meter.period, *rest) for end, *rest in rows),
            )
            cursor.execute(
                "UPDATE meters SET since = ?, until = ?, whole = ? WHERE id = ?",
                (meter.since, meter.until, meter.whole, meter.number),
            )
            cursor.executemany("INSERT OR IGNORE INTO points VALUES (?, ?, 1)", points)

    def energy(self) -> Energy:
        """Return every interval that is kept, meters added up."""
        with self._database.reading() as cursor:
            rows = cursor.execute(
                "SELECT ending - max(length), ending, sum(imported), sum(exported)"
                " FROM intervals GROUP BY ending ORDER BY ending"
            ).fetchall()
        return Energy.of(rows)

    def days(self) -> Energy:
        """Return the days whose intervals are no longer kept."""
        with self._database.reading() as cursor:
            rows = cursor.execute("SELECT * FROM days ORDER BY start").fetchall()
        return Energy.of(rows)

    # Points

    def keep_points(self, points: Iterable[tuple[int, int]], name: str, value: str | None) -> None:
        """Keep what was measured: start and mean watts of points, and a text beside them."""
        with self._database.transaction() as cursor:
            cursor.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, 0)", points)
            if value is not None:
                cursor.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))

    def points(self, start: int, end: int) -> Points:
        """Return the points that begin from ``start`` to before ``end``."""
        with self._database.reading() as cursor:
            rows = cursor.execute(
                "SELECT start, watts, filled FROM points WHERE start >= ? AND start < ?"
                " ORDER BY start",
                (start, end),
            ).fetchall()
        columns = np.array(rows, np.int64).reshape(len(rows), 3)
        return Points(columns[:, 0], columns[:, 1], columns[:, 2])

    # What is said, and what a person wants

    def value(self, name: str) -> str | None:
        """Return a text that was kept."""
        with self._database.reading() as cursor:
            row = cursor.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_value(self, name: str, value: str) -> None:
        """Keep a text in place of the one before."""
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))

    def keep_answer(self, event: str, answer: str, *, name: str, value: str) -> None:
        """Keep an answer that the meter shall get, and a text beside it."""
        with self._database.transaction() as cursor:
            # The last answer counts: one that has not gone need not go any more.
            cursor.execute("DELETE FROM answers WHERE event = ?", (event,))
            cursor.execute("INSERT INTO answers (event, answer) VALUES (?, ?)", (event, answer))
            cursor.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))

    def answers(self) -> Sequence[PendingAnswer]:
        """Return the answers that the meter has not taken, oldest first."""
        with self._database.reading() as cursor:
            rows = cursor.execute("SELECT number, event, answer FROM answers ORDER BY number")
            return [PendingAnswer(*row) for row in rows]

    def drop_answer(self, number: int) -> None:
        """Forget an answer: the meter has it, or will never take it."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM answers WHERE number = ?", (number,))

    # Appliances: the port of ``openami.ihd.ports``

    def appliances(self) -> Mapping[str, str]:
        """Return every appliance's record by its id."""
        with self._database.reading() as cursor:
            return dict(cursor.execute("SELECT id, record FROM appliances").fetchall())

    def keep_appliance(self, appliance: str, record: str) -> None:
        """Put a record in place of the one before."""
        with self._database.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO appliances VALUES (?, ?)", (appliance, record))

    def forget_appliance(self, appliance: str) -> None:
        """Drop a record, if it is there."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM appliances WHERE id = ?", (appliance,))

    # Bounds

    def prune(self, now: int, days: Iterable[tuple[int, int, int, int]] = ()) -> int:
        """Drop what is too old, some of it at a time; return how many rows went.

        Args:
            now: seconds UTC.
            days: start, end, imported and exported Wh of the days whose intervals go: all of
                these, and no others, are dropped.
        """
        with self._database.transaction() as cursor:
            gone = cursor.execute(
                "DELETE FROM points WHERE start IN"
                " (SELECT start FROM points WHERE start < ? ORDER BY start LIMIT ?)",
                (now - POINTS_S, PRUNE_ROWS),
            ).rowcount
            for start, end, imported, exported in days:
                cursor.execute(
                    "INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?)",
                    (start, end, imported, exported),
                )
                gone += cursor.execute(
                    "DELETE FROM intervals WHERE ending > ? AND ending <= ?", (start, end)
                ).rowcount
        if gone:
            self._database.give_back_space(_GIVEN_BACK)
        return gone

    def forget(self) -> None:
        """Drop all that says how a household lives: it moves out, or gives the display away."""
        with self._database.transaction() as cursor:
            for table in ("points", "intervals", "days", "answers", "appliances", "kept", "meters"):
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are those above
        self._aside.unlink(missing_ok=True)


def _sound(path: Path) -> Database:
    """Open a file all of which can be read; StoreError ``store.damaged``: it can not."""
    with ExitStack() as stack:
        database = Database(path, MIGRATIONS)
        stack.callback(database.close)
        with database.reading() as cursor:
            (found,) = cursor.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StoreError(f"{path.name}: {found}", code="store.damaged")
        stack.pop_all()
    return database


def _put_aside(path: Path, aside: Path) -> None:
    """Put a damaged file where the one before it was; its log belongs to no other file."""
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _meter(row: tuple[Any, ...]) -> MeterRow:
    number, serial, period, since, until, whole, at, imported, exported = row
    anchor = None if at is None else (at, imported, exported)
    return MeterRow(number, serial, period, since, until, bool(whole), anchor)
