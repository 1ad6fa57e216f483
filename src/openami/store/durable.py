"""What every store that keeps files does with the file system."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from openami.store.sqlite import store_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def sync(path: Path) -> None:
    """Make what a file holds, or which files a folder has, survive a loss of power; OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise what the file system says of ``what`` as a ``StoreError``."""
    try:
        yield
    except OSError as error:
        raise store_error(error, what) from error
