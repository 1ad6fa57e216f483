"""A file that comes piece by piece, and a word about it that never says more than is on the disk.

It takes only what room is left above a floor: a file that can be fetched again never takes what
is needed to keep what cannot be had again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from openami.core.errors import StoreFullError
from openami.store.durable import sync, told
from openami.store.whole import read_whole, replace_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_PIECE: Final = 256 * 1024
_MAX_STATE: Final = 64 * 1024
"""Octets of the word: a descriptor and some addresses, thrice."""


class PartialFile:
    """One file in a folder of its own; every call that changes it is durable when it returns.

    Args:
        folder: it is made if it is not there.
        floor: octets that stay free on the disk.

    Raises:
        StoreError: of any method: the folder cannot be used; ``StoreFullError``: there is no room.
    """

    def __init__(self, folder: Path, *, floor: int) -> None:
        self.path = folder / "object"
        self._folder = folder
        self._state = folder / "state"
        self._floor = floor

    def beside(self, name: str) -> PartialFile:
        """Return another file, in a folder in this one's."""
        return PartialFile(self._folder / name, floor=self._floor)

    def state(self) -> bytes:
        """Return the word that was noted last; empty: none was."""
        return read_whole(self._state, most=_MAX_STATE)

    def note(self, state: bytes) -> None:
        """Replace the word, whole or not at all."""
        replace_whole(self._state, state)

    def room(self) -> int:
        """Return how many octets the file may have in all."""
        with self._told():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            disk = os.statvfs(self._folder)
            return max(disk.f_bavail * disk.f_frsize - self._floor, 0) + self.size()

    def size(self) -> int:
        """Return how many octets the file has."""
        with self._told():
            try:
                return self.path.stat().st_size
            except FileNotFoundError:
                return 0

    def cut(self, octets: int) -> None:
        """Cut off what is behind the first ``octets``; the file is made if it is not there."""
        with self._told():
            with self.path.open("ab") as file:
                file.truncate(octets)
                os.fsync(file.fileno())
            sync(self._folder)

    def keep(self, octets: bytes | bytearray) -> None:
        """Append octets."""
        if self.room() < self.size() + len(octets):
            raise StoreFullError(f"{self.path}: {self._floor} octets stay free", hint="free space")
        with self._told(), self.path.open("ab") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())

    def pieces(self) -> Iterator[bytes]:
        """Give the file from its beginning."""
        with self._told(), self.path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def drop(self) -> None:
        """Remove the file, not the word."""
        with self._told():
            self.path.unlink(missing_ok=True)
            if self._folder.is_dir():
                sync(self._folder)

    def clear(self) -> None:
        """Remove the file, and the word with it."""
        self.drop()
        self.note(b"")

    def _told(self) -> AbstractContextManager[None]:
        return told(str(self._folder))
