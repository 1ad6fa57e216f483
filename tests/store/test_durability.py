"""What must be on the disk before a commit counts: kill -9 cannot show it, a power cut would."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.readings import day_batch

from openami.store.lake import Lake
from openami.store.lake.writer import Writer
from openami.store.relational import open_engine
from openami.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

FULL = 2  # of PRAGMA synchronous: every commit waits for the disk


class Disk:
    """Knows what was made durable, and what of a folder was not when a transaction committed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.commits = 0
        self.volatile: set[Path] = set()
        self._folder = folder
        self._synced: dict[Path, int] = {}
        fsync, transaction = os.fsync, Writer.transaction

        def recording(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            self._synced[path] = path.stat().st_size if path.is_file() else 0
            fsync(descriptor)

        @contextmanager
        def checked(writer: Writer) -> Iterator[None]:
            with transaction(writer):
                yield
                self._commit()

        monkeypatch.setattr(os, "fsync", recording)
        monkeypatch.setattr(Writer, "transaction", checked)

    def _commit(self) -> None:
        """Look just before COMMIT is executed."""
        self.commits += 1
        for file in self._folder.rglob("*.parquet"):
            if self._synced.get(file) != file.stat().st_size:
                self.volatile.add(file)
            self.volatile |= {parent for parent in file.parents[:2] if parent not in self._synced}


def test_a_lakes_files_are_durable_before_a_commit_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path / "lake", threads=1, memory="512MB")
    disk = Disk(monkeypatch, tmp_path / "lake")
    for number in range(3):
        lake.commit([day_batch(number)])
    committed = disk.commits
    assert committed >= 3
    before = set((tmp_path / "lake").rglob("*.parquet"))
    lake.compact()
    assert disk.commits > committed
    assert set((tmp_path / "lake").rglob("*.parquet")) - before, "compaction wrote files anew"
    lake.close()
    assert disk.volatile == set()


def test_a_commit_of_a_memory_a_spool_and_a_vault_waits_for_the_disk(tmp_path: Path) -> None:
    database = Database(tmp_path / "file", (("CREATE TABLE row (id INTEGER)",),))
    with database.reading() as cursor:
        assert cursor.execute("PRAGMA synchronous").fetchone() == (FULL,)
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_a_commit_of_the_registry_waits_for_the_disk(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "db.sqlite")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == FULL
    engine.dispose()
