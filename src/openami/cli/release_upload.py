"""The body of a release's upload: a tar, made of files that are read while it is sent."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Final

from openami.cli.output import note
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

CHUNK: Final = 1 << 18
TOLD: Final = 8 << 20  # octets after which an upload says how far it is


def release_pieces(manifest: Path) -> AsyncIterator[bytes]:
    """Return the pieces of an upload; now and then it is told how many octets went.

    Args:
        manifest: a manifest.json, whose files stand beside it, or a tar of it and of them.

    Raises:
        ConfigError: ``config.release``, a file is not there; while it is read: one changes.
        DecodeError: it is no manifest.
    """
    members = None if manifest.suffix == ".tar" else _members(manifest)
    return _told(_tar(members) if members else _plain(manifest))


def _members(manifest: Path) -> Sequence[tuple[str, Path]]:
    """Return the files that a manifest names, with where they are; it first."""
    from openami.firmware import manifest_codec

    with manifest.open("rb") as source:
        found = manifest_codec.decode(source.read(manifest_codec.MAX_SIZE + 1))
    files = [(file.name, manifest.parent / file.name) for file in found.attachments]
    lost = [name for name, path in files if not path.is_file()]
    if lost:
        raise ConfigError(
            f"{manifest.parent} has no {', '.join(lost)}",
            hint="the files that a manifest names stand beside it",
            code="config.release",
        )
    return [("manifest.json", manifest), *files]


async def _tar(members: Sequence[tuple[str, Path]]) -> AsyncIterator[bytes]:
    """Yield a tar of files, each read while it is sent."""
    for name, path in members:
        head = tarfile.TarInfo(name)
        head.size = left = path.stat().st_size
        yield head.tobuf(tarfile.GNU_FORMAT)
        async for piece in _plain(path):
            left -= len(piece)
            yield piece
        if left:
            raise ConfigError(f"{path} changes while it is sent", code="config.release")
        yield b"\0" * (-head.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


async def _plain(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as source:
        while piece := source.read(CHUNK):
            yield piece


async def _told(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield pieces, and tell now and then how many octets that were."""
    sent = told = 0
    async for piece in pieces:
        yield piece
        sent += len(piece)
        if sent - told >= TOLD:
            told = sent
            note(f"{sent / 2**20:.0f} MiB sent")
