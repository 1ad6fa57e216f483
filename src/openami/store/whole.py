"""Small files that are there whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from openami.store.durable import sync, told

if TYPE_CHECKING:
    from pathlib import Path


def read_whole(path: Path, *, most: int) -> bytes:
    """Return a file's octets, at most so many of them; empty: there is none.

    Raises:
        StoreError: it cannot be read.
    """
    with told(str(path)):
        try:
            with path.open("rb") as file:
                return file.read(most)
        except FileNotFoundError:
            return b""


def replace_whole(path: Path, octets: bytes, *, mode: int = 0o666) -> None:
    """Put octets in a file, whose folder is made if it is not there; durable when it returns.

    After a crash either the old or the new is there. Of ``mode``, the umask takes its part.

    Raises:
        StoreError: it cannot be written; ``StoreFullError``: there is no room.
    """
    part = path.with_name(f"{path.name}.part")
    with told(str(path)):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # it would keep its own mode
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, mode), "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync(path.parent)
