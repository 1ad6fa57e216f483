"""Files of a repository, as its targets name them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from openami.core.errors import SecurityError
from openami.firmware.metadata import check_size


@dataclass(frozen=True, slots=True)
class TargetFile:
    """One file of a repository: its path, how many octets it has, and their SHA-256 in hex."""

    path: str
    size: int
    sha256: str

    @property
    def stored_path(self) -> str:
        """The path with the digest before the name, where a repository keeps it (6.2)."""
        folder, slash, name = self.path.rpartition("/")
        return f"{folder}{slash}{self.sha256}.{name}"

    def check(self, data: bytes) -> bytes:
        """Return ``data`` if it is this file.

        Raises:
            SecurityError: it is another (``firmware.trust.payload``).
        """
        receiving = Receiving(self)
        receiving.take(data)
        receiving.finish()
        return data


class Receiving:
    """Checks a file while it comes, so that its first octet too many ends it (5.7.2)."""

    def __init__(self, target: TargetFile) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self._size = 0

    def take(self, data: bytes | memoryview) -> None:
        """Take the next octets.

        Raises:
            SecurityError: they are too many (``firmware.trust.endless``).
        """
        self._size += len(data)
        check_size(self._size, self._target.size, ascii(self._target.path[:200]))
        self._digest.update(data)

    def finish(self) -> None:
        """Check what has come.

        Raises:
            SecurityError: it is not the file (``firmware.trust.payload``).
        """
        target = self._target
        if (self._size, self._digest.hexdigest()) != (target.size, target.sha256):
            raise SecurityError(
                f"{target.path[:200]!a} is not the file that targets names",
                code="firmware.trust.payload",
            )
