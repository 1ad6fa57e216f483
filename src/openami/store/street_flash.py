"""The flash of a street's meters, in one SQLite file: only what differs from the factory's.

A meter that runs what it left the factory with takes no room in it. What is written is ordered and
survives the process; a machine that loses its power may forget the last operations, as if it had
lost it a moment earlier. So a street that takes in an image does not wait for the disk at each of
its blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.core.errors import StoreError
from openami.firmware.sparse import SparseFlash
from openami.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from openami.firmware.flash import Geometry

_MIGRATIONS: Final = (
    (
        """CREATE TABLE page (
            meter TEXT NOT NULL,
            number INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (meter, number)
        ) WITHOUT ROWID""",
    ),
)

_FACTORY: Final = ""  # no meter's serial number


class StreetFlash:
    """The file.

    Args:
        path: the file, made readable by its owner alone; its folder must exist.
        geometry: of each meter's flash.

    Raises:
        StoreError: the file cannot be used, or another process has it.
    """

    def __init__(self, path: Path, geometry: Geometry) -> None:
        self._database = Database(path, _MIGRATIONS)
        self._geometry = geometry
        with self._database.reading() as cursor:
            cursor.execute("PRAGMA synchronous = NORMAL")
        self._factory = self._pages(_FACTORY)

    @property
    def new(self) -> bool:
        """Tell whether ``provision`` was never called."""
        return not self._factory

    def provision(self, factory: Mapping[int, bytes]) -> None:
        """Keep the pages that every meter's flash holds when it leaves the factory; once.

        Raises:
            StoreError: the file cannot be written.
        """
        self.keep(_FACTORY, factory)
        self._factory = dict(factory)

    def of(self, meter: str) -> SparseFlash:
        """Return the flash of the meter with this serial number.

        Raises:
            StoreError: the file cannot be read, or has not been provisioned (``store.new``).
        """
        if self.new:
            raise StoreError("a street's flash without its factory's", code="store.new")
        return _MeterFlash(self, meter, self._geometry, self._factory, self._pages(meter))

    def _pages(self, meter: str) -> dict[int, bytes]:
        with self._database.reading() as cursor:
            cursor.execute("SELECT number, data FROM page WHERE meter = ?", (meter,))
            return dict(cursor.fetchall())

    def keep(self, meter: str, pages: Mapping[int, bytes]) -> None:
        """Keep pages of one meter, all or none.

        Raises:
            StoreError: none was kept.
        """
        with self._database.transaction() as cursor:
            cursor.executemany(
                "INSERT OR REPLACE INTO page VALUES (?, ?, ?)",
                [(meter, number, data) for number, data in pages.items()],
            )

    def close(self) -> None:
        self._database.close()


class _MeterFlash(SparseFlash):
    def __init__(
        self,
        store: StreetFlash,
        meter: str,
        geometry: Geometry,
        factory: Mapping[int, bytes],
        pages: Mapping[int, bytes],
    ) -> None:
        super().__init__(geometry, factory, pages)
        self._store = store
        self._meter = meter

    def keep(self, pages: Mapping[int, bytes]) -> None:
        self._store.keep(self._meter, pages)
