"""Small files that are there whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from openami.store.sqlite import store_error

if TYPE_CHECKING:
    from pathlib import Path


def read_whole(path: Path, *, most: int) -> bytes:
    """Return a file's octets, at most so many of them; empty: there is none.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise store_error(error, str(path)) from error


def replace_whole(path: Path, octets: bytes) -> None:
    """Put octets in a file, whose folder is made if it is not there; durable when it returns.

    After a crash either the old or the new is there.

    Raises:
        StoreError: it cannot be written; ``StoreFullError``: there is no room.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise store_error(error, str(path)) from error


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder has; OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
