"""Room that is kept aside on a disk, for what must be written when it is full."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Reserve:
    """A file that only takes up room.

    Args:
        path: of the file.
        octets: its size.
    """

    def __init__(self, path: Path, octets: int) -> None:
        self._path = path
        self._octets = octets

    def set_aside(self) -> None:
        """Take up the room, if it is there; else the next call tries again."""
        if self._path.exists() and self._path.stat().st_size == self._octets:
            return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._octets)
        except OSError:
            self._path.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the room away."""
        self._path.unlink(missing_ok=True)
