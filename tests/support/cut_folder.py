"""A folder whose every step may be the last, with what its disk may then hold."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from openami.store.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Disk = frozenset[tuple[str, bytes]]


class CutFolder(Folder):
    """Files in memory: what is written reaches the disk when it is flushed, names when synced.

    A disk keeps the order of what is done to names, and may be behind. A file that was not
    flushed may be empty, cut or whole. ``cuts`` are the disks that a cut at any step may leave, in the order of the steps.
    """

    def __init__(self, disk: Disk = frozenset()) -> None:
        self._disk = dict(disk)
        self._view = dict(disk)
        self._loose: dict[str, bytes] = {}  # written and not flushed, by its name
        self._pending: list[Callable[[dict[str, bytes]], None]] = []
        self.cuts: list[Disk] = []

    def place(self, name: str) -> Path:
        return Path("/nowhere") / name

    def keep(self, name: str, octets: bytes) -> None:
        self.put(name, (octets,))

    def read(self, name: str, most: int) -> bytes | None:
        data = self._view.get(name)
        return None if data is None else data[:most]

    def digest(self, name: str) -> str | None:
        data = self._view.get(name)
        return None if data is None else hashlib.sha256(data).hexdigest()

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        data = b"".join(pieces)
        self._loose[name] = data
        self._do(lambda files: files.__setitem__(name, data))

    def flush(self, name: str) -> None:
        del self._loose[name]
        self._cut()

    def rename(self, name: str, to: str) -> None:
        assert name not in self._loose, "renamed before it is durable"
        self._do(lambda files: files.__setitem__(to, files.pop(name)))

    def remove(self, name: str) -> None:
        self._do(lambda files: files.pop(name, None))

    def sync(self) -> None:
        for change in self._pending:
            change(self._disk)
        self._pending.clear()
        assert self._disk == self._view
        self._cut()

    def _do(self, change: Callable[[dict[str, bytes]], object]) -> None:
        change(self._view)
        self._pending.append(lambda files: (change(files), None)[1])
        self._cut()

    def _cut(self) -> None:
        for done in range(len(self._pending) + 1):
            files = dict(self._disk)
            for change in self._pending[:done]:
                change(files)
            self.cuts.append(frozenset(files.items()))
            for name in self._loose.keys() & files.keys():
                for data in (b"", files[name][: len(files[name]) // 2]):
                    self.cuts.append(frozenset({**files, name: data}.items()))

    @property
    def disk(self) -> Disk:
        return frozenset(self._view.items())
