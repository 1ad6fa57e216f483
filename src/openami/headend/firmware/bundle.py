"""What a release is handed over in: a tar of ``manifest.json`` and the files that it names.

Plain and flat: no compression, no folders, no links. Each member is read once, in its order, and
nothing of the tar becomes a path here.
"""

from __future__ import annotations

import tarfile
from typing import IO, TYPE_CHECKING, Final

from openami.firmware import manifest_codec
from openami.firmware.manifest import Attachment
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openami.store.blobs import Blobs

MANIFEST: Final = "manifest.json"
MAX_FILES: Final = 64  # a manifest names 34 at most; the others are told to be unknown
MAX_EXTENDED: Final = 64 << 10  # octets of what some tars say beside a member; it is passed over
_BLOCK: Final = tarfile.BLOCKSIZE
_CHUNK: Final = 1 << 16
_EXTENDED: Final = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE})


def unpack(tar: Path, blobs: Blobs) -> tuple[bytes, tuple[Attachment, ...]]:
    """Return the octets of the manifest, and the other files, which are kept by then.

    Raises:
        RequestError: ``request.release``, it is no such tar.
        StoreFullError: there is no room for the files.
    """
    manifest: bytes | None = None
    files: dict[str, Attachment] = {}
    with tar.open("rb") as source:
        for member in _members(source):
            if member.name in files or (member.name == MANIFEST and manifest is not None):
                raise _wrong(f"{member.name!a} is in it twice")
            if member.name == MANIFEST:
                if member.size > manifest_codec.MAX_SIZE:
                    raise _wrong(f"a manifest has at most {manifest_codec.MAX_SIZE} octets")
                manifest = b"".join(_octets(source, member.size))
                continue
            if len(files) == MAX_FILES:
                raise _wrong(f"it has more than {MAX_FILES} files")
            files[member.name] = _keep(source, member, blobs)
    if manifest is None:
        raise _wrong(f"it has no {MANIFEST}")
    return manifest, tuple(files.values())


def _keep(source: IO[bytes], member: tarfile.TarInfo, blobs: Blobs) -> Attachment:
    with blobs.incoming() as incoming:
        for piece in _octets(source, member.size):
            incoming.write(piece)
        blob = incoming.keep()
    return Attachment(member.name, blob.size, blob.sha256)


def _members(source: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Yield the members; what is taken of each is skipped, and whatever is left of it."""
    position = 0
    while True:
        source.seek(position)
        head = source.read(_BLOCK)
        if not head.strip(b"\0"):  # two empty blocks end a tar; some writers leave them out
            return
        try:
            member = tarfile.TarInfo.frombuf(head, "utf-8", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise _wrong("it is no tar") from error
        if member.size < 0:
            raise _wrong("it is no tar")
        position += _BLOCK + -(-member.size // _BLOCK) * _BLOCK
        if member.type in _EXTENDED and member.size <= MAX_EXTENDED:
            continue
        name = member.name.removeprefix("./")
        if name in {"", "."} and member.isdir():  # as `tar c .` begins
            continue
        if not member.isreg() or not name.isprintable() or "/" in name:
            raise _wrong(f"{member.name[:80]!a} is no plain file without a folder")
        member.name = name
        yield member


def _octets(source: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        piece = source.read(min(size, _CHUNK))
        if not piece:
            raise _wrong("it is cut")
        size -= len(piece)
        yield piece


def _wrong(message: str) -> RequestError:
    return RequestError(
        f"a release is handed over as a tar: {message}",
        code="request.release",
        hint=f"tar cf - {MANIFEST} FILE…, or openami release upload {MANIFEST}",
    )
