"""Files kept under the SHA-256 of what is in them: durable, whole, and in one place each.

A file is written beside the others, synced, and renamed: under its digest there is all of it or
nothing. What nobody names is swept away, but not while it is new: who puts a file here names it in
a database a moment later.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from openami.core.errors import NotFoundError, StoreFullError
from openami.store.durable import sync, told

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_DIGEST: Final = re.compile("[0-9a-f]{64}")
_COMING: Final = ".coming-"
_FILES: Final = "files of releases"


class Blob(NamedTuple):
    """A file that is kept: its octets, and their SHA-256 in hex."""

    size: int
    sha256: str


class Incoming:
    """A file that comes piece by piece; as a context manager it leaves nothing behind.

    ``path`` is where it is until it is kept, for who has to look into it first.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._digest = hashlib.sha256()
        self._size = 0
        with told(_FILES):
            handle, name = tempfile.mkstemp(dir=blobs.folder, prefix=_COMING)
        self.path = Path(name)
        self._file = os.fdopen(handle, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End; what is not kept by now is gone."""
        # Nothing that is still unwritten is wanted: closing may fail where the disk is full.
        with suppress(OSError):
            self._file.close()
        try:
            with told(_FILES):
                self.path.unlink(missing_ok=True)
        finally:
            self._blobs.give_back(self._size)
            self._size = 0

    def write(self, piece: bytes) -> None:
        """Take the next octets.

        Raises:
            StoreFullError: there is no room for them, or not allowed to be.
        """
        self._blobs.claim(len(piece))
        self._size += len(piece)
        self._digest.update(piece)
        with told(_FILES):
            self._file.write(piece)

    def flush(self) -> None:
        """Let ``path`` have all that came."""
        with told(_FILES):
            self._file.flush()

    def keep(self) -> Blob:
        """Keep the file for good; it is on the disk when this returns."""
        blob = Blob(self._size, self._digest.hexdigest())
        with told(_FILES):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._blobs.put(self.path, blob)
        return blob


class Blobs:
    """A folder of files. What the file system refuses raises ``StoreError``.

    Args:
        folder: is made if it is not there; one process uses it at a time.
        most: octets of all files, those that are coming among them.
    """

    def __init__(self, folder: Path, *, most: int) -> None:
        self.folder = folder
        self._most = most
        self._lock = threading.Lock()
        with told(_FILES):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in folder.glob(f"{_COMING}*"):  # of a process that was killed
                left.unlink()
            self._size = sum(file.stat().st_size for file in self._files())

    @property
    def size(self) -> int:
        """How many octets there are."""
        return self._size

    def incoming(self) -> Incoming:
        """Begin to take a file."""
        return Incoming(self)

    def add(self, data: bytes) -> Blob:
        """Keep ``data``.

        Raises:
            StoreFullError: there is no room for it.
        """
        with self.incoming() as incoming:
            incoming.write(data)
            return incoming.keep()

    def path(self, sha256: str) -> Path:
        """Return where a file is.

        Raises:
            NotFoundError: it is not there.
        """
        if not _DIGEST.fullmatch(sha256) or not (path := self.folder / sha256).is_file():
            raise NotFoundError(f"the file {sha256[:64]!a} is not here")
        return path

    def read(self, sha256: str) -> bytes:
        """Return what is in a file; NotFoundError."""
        path = self.path(sha256)
        with told(_FILES):
            return path.read_bytes()

    def sweep(self, keep: Collection[str], *, before: float) -> int:
        """Take away the files that are not to be kept and were last put here before a time."""
        gone = 0
        with told(_FILES):
            for file in list(self._files()):
                with self._lock:
                    found = file.stat()
                    if file.name in keep or found.st_mtime >= before:
                        continue
                    file.unlink()
                    self._size -= found.st_size
                gone += 1
        return gone

    def claim(self, octets: int) -> None:
        with self._lock:
            if self._size + octets > self._most:
                raise StoreFullError(
                    f"files of releases would have more than {self._most} octets",
                    hint="the setting shelf_octets; what was refused is taken away after a day",
                )
            self._size += octets

    def give_back(self, octets: int) -> None:
        with self._lock:
            self._size -= octets

    def put(self, source: Path, blob: Blob) -> None:
        target = self.folder / blob.sha256
        with self._lock:
            if target.exists():
                os.utime(target)  # new again: who put it here is about to name it
                return
            os.link(source, target)
            self._size += blob.size
        sync(self.folder)

    def _files(self) -> Iterator[Path]:
        return (file for file in self.folder.iterdir() if _DIGEST.fullmatch(file.name))
