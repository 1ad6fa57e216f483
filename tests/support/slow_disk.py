"""A file whose commits take as long as a test wants them to."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from openami.store.sqlite import Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

PATIENCE_S = 120.0
"""After this long nobody will let go any more: the commit goes on, and the test fails."""


class SlowDisk:
    """Holds up the commits of one file from ``hold`` until ``let_go``, as an fsync does."""

    def __init__(self, patch: pytest.MonkeyPatch, file: Path) -> None:
        self._file = file
        self._waits = threading.Event()
        self._free = threading.Event()
        self._free.set()
        real = Database.transaction

        @contextmanager
        def transaction(database: Database) -> Iterator[sqlite3.Cursor]:
            with real(database) as cursor:
                yield cursor
                if database.path == file and not self._free.is_set():
                    self._waits.set()
                    self._free.wait(PATIENCE_S)

        patch.setattr(Database, "transaction", transaction)

    def hold(self) -> None:
        self._free.clear()

    async def holds(self) -> None:
        """Return when a commit waits. Who waits in the event loop does not let this return."""
        async with asyncio.timeout(PATIENCE_S / 4):
            while not self._waits.is_set():
                await asyncio.sleep(0.01)

    def let_go(self) -> None:
        self._free.set()
