"""Files that hold keys: written whole or not at all, and read by their owner only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.store.durable import sync

if TYPE_CHECKING:
    from pathlib import Path

MODE: Final = 0o600


def write_secret(path: Path, octets: bytes) -> None:
    """Put ``octets`` into a file that only its owner can read, durably, in place of any other.

    Raises:
        ConfigError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync(path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def read_secret(path: Path) -> bytes:
    """Return the octets of a file that others cannot read.

    Raises:
        ConfigError: it is not there, cannot be read, or is open to others.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} holds keys and others can read it", hint="chmod 600")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
