"""A folder of a few files that are replaced whole, by steps of which each may be the last.

A file is written under another name, made durable, and given its name; the folder is made durable
after that. So whoever has the name has the whole file, before or after, wherever the power goes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from openami.core.errors import StoreError, StoreFullError
from openami.store.durable import sync, told
from openami.store.reserve import Reserve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_LOCK: Final = "lock"
_RESERVE: Final = "reserve"
_PART: Final = ".part"
_PIECE: Final = 256 * 1024
_AGAIN_S: Final = 0.05


class Folder:
    """One folder; what ``put``, ``keep`` and ``drop`` did is durable when they return.

    Args:
        path: it is made if it is not there, for its owner alone.
        reserve: octets that ``keep`` has on a full disk.

    Raises:
        StoreError: of any method: the folder cannot be used; ``StoreFullError``: there is no room.
    """

    def __init__(self, path: Path, *, reserve: int) -> None:
        self._path = path
        with self._told():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._reserve = Reserve(path / _RESERVE, reserve)
            self._reserve.set_aside()

    def place(self, name: str) -> Path:
        """Return where a file is."""
        return self._path / name

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Replace a file."""
        part = name + _PART
        try:
            self.write(part, pieces)
            self.flush(part)
        except StoreError:
            with suppress(StoreError):
                self.remove(part)
            raise
        self.rename(part, name)
        self.sync()

    def keep(self, name: str, octets: bytes) -> None:
        """Replace a small file, on a full disk, too."""
        try:
            self.put(name, (octets,))
        except StoreFullError:
            self._reserve.release()
            self.put(name, (octets,))
        with self._told():
            self._reserve.set_aside()

    def drop(self, name: str) -> None:
        """Remove a file, if it is there."""
        self.remove(name)
        self.sync()

    def read(self, name: str, most: int) -> bytes | None:
        """Return the first ``most`` octets of a file; None: it is not there."""
        with self._told():
            try:
                with self.place(name).open("rb") as file:
                    return file.read(most)
            except FileNotFoundError:
                return None

    def digest(self, name: str) -> str | None:
        """Return the SHA-256 of a file in hex; None: it is not there."""
        with self._told():
            try:
                with self.place(name).open("rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                return None

    def lock(self, wait_s: float) -> int:
        """Have the folder for this process, and for those that inherit the descriptor.

        Raises:
            StoreError: another has it for longer than ``wait_s`` (``store.busy``).
        """
        until = time.monotonic() + wait_s
        with self._told():
            descriptor = os.open(self.place(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() < until:
                        time.sleep(_AGAIN_S)
                        continue
                    os.close(descriptor)
                    message = f"{self._path}: in use by another process"
                    raise StoreError(message, code="store.busy") from None
                return descriptor

    # The steps

    def write(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file; it is not durable yet."""
        with self._told(), self.place(name).open("wb") as file:
            for piece in pieces:
                file.write(piece)

    def flush(self, name: str) -> None:
        """Make what a file holds durable."""
        with self._told(), self.place(name).open("rb+") as file:
            os.fsync(file.fileno())

    def rename(self, name: str, to: str) -> None:
        """Give a file another name; who has that makes way."""
        with self._told():
            self.place(name).replace(self.place(to))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._told():
            self.place(name).unlink(missing_ok=True)

    def sync(self) -> None:
        """Make names durable."""
        with self._told():
            sync(self._path)

    def _told(self) -> AbstractContextManager[None]:
        return told(str(self._path))


def pieces_of(file: Path) -> Iterator[bytes]:
    """Give a file from its beginning.

    Raises:
        StoreError: it cannot be read.
    """
    with told(str(file)), file.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece
