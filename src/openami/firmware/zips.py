"""Zips: made so that the same files give the same octets, and read so that none is a bomb."""

from __future__ import annotations

import io
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DATE: Final = (1980, 1, 1, 0, 0, 0)
"""Of every file: the first that a zip can say."""

_UNIX: Final = 3
_MODE: Final = 0o644 << 16
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Of the others ``zipfile`` unpacks all that it has read at once, however much that becomes."""
_UNREADABLE: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, KeyError, ValueError, OSError, EOFError,
    NotImplementedError, RuntimeError,
)  # fmt: skip
"""What ``zipfile`` raises for octets that are no zip, or one that it cannot read."""


@contextmanager
def opened(file: BinaryIO, what: str, code: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip that somebody else made, whose files are stored or deflated.

    A ``ValueError`` of the block is an objection to it, too.

    Args:
        file: the zip.
        what: what its reader takes it for.
        code: of the error.

    Raises:
        DecodeError: it is none, or the block objects to it.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if any(member.compress_type not in _METHODS for member in archive.infolist()):
                raise ValueError("compressed as none is")
            yield archive
    except _UNREADABLE as error:
        raise DecodeError(f"{what}: {str(error)[:200]}", code=code) from None


def stored(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a zip of files that are not compressed, by their names in it."""
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            member = zipfile.ZipInfo(name, DATE)
            member.create_system, member.external_attr = _UNIX, _MODE
            archive.writestr(member, data)
    return octets.getvalue()
