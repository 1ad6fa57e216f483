"""A device's flash in one file.

Implements ``openami.firmware.flash.Flash``.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from openami.core.errors import StoreError
from openami.firmware.flash import ERASED
from openami.store.durable import sync
from openami.store.sqlite import store_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openami.firmware.flash import Geometry


class FileFlash:
    """The flash of one device: its file holds what the flash does, octet for octet.

    The file is made at once, with all its room, so that a full disk stops no upgrade.
    Each operation is on the disk when it returns. One process has the file at a time.

    Args:
        path: the file, made readable by its owner alone; its folder must exist.
        geometry: of the flash; a file that is there already must have its size.
        factory: what a new one holds from its first octet; the rest is erased.

    Raises:
        StoreError: the file cannot be used (``store.damaged`` if its size is another), or another
            process has it (``store.busy``).
    """

    def __init__(self, path: Path, geometry: Geometry, factory: bytes = b"") -> None:
        self.geometry = geometry
        self._path = path
        with self._normalised():
            if not path.exists():
                self._make(factory)
            self._file = os.open(path, os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC)
        try:
            with self._normalised():
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                size = os.fstat(self._file).st_size
            if size != geometry.size:
                raise self._damaged(f"{size} octets, {geometry.size} wanted")
        except StoreError:
            self.close()
            raise

    def read(self, offset: int, size: int) -> bytes:
        with self._normalised():
            data = os.pread(self._file, size, offset)
        if len(data) != size:
            raise self._damaged("cut")
        return data

    def write(self, offset: int, data: bytes) -> None:
        with self._normalised():
            while data:
                done = os.pwrite(self._file, data, offset)
                offset, data = offset + done, data[done:]

    def erase(self, offset: int) -> None:
        self.write(offset, ERASED * self.geometry.erase_block)

    def close(self) -> None:
        os.close(self._file)

    def _make(self, factory: bytes) -> None:
        """Make the file, whole or not at all."""
        new = self._path.with_name(self._path.name + ".new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(file, "wb") as out:
                out.write(factory.ljust(self.geometry.size, ERASED))
                out.flush()
                os.fsync(out.fileno())
        except OSError:
            new.unlink(missing_ok=True)  # on a disk that is full
            raise
        new.replace(self._path)
        sync(self._path.parent)

    @contextmanager
    def _normalised(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                message = f"{self._path.name}: in use by another process"
                raise StoreError(message, code="store.busy") from error
            raise store_error(error, self._path.name) from error

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"{self._path.name}: {what}", code="store.damaged")
