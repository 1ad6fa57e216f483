"""Files that are damaged: found before they are used, and kept aside."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from openami.core.errors import ConfigError, DecodeError, OpenAmiError, SecurityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

DAMAGED: Final = "store.damaged"
ASIDE: Final = ".damaged"
"""What is added to the name of a file that is kept aside; one from before makes way."""

_CODES: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BESIDE: Final = ("-wal", "-shm", "-journal")

log = structlog.get_logger("store")


def opened(open_it: Callable[[], T], *files: Path) -> T:
    """Open what is in ``files``; where they are damaged, keep them aside and open it as new.

    What another process has, a newer version has written, or may not be read, is left alone.

    Args:
        open_it: raises where the files can not be used.
        files: those that are of use only together.

    Raises:
        OpenAmiError: of ``open_it``, where the files are not damaged.
    """
    if all(map(_sound, files)):
        try:
            return open_it()
        except OpenAmiError as error:
            if not _means_damage(error, files):
                raise
    log.error("damaged, kept aside", code=DAMAGED, files=[file.name for file in files])
    for file in files:
        _set_aside(file)
    return open_it()


def _sound(file: Path) -> bool:
    """Tell whether a file is not seen to be damaged."""
    if file.suffix != ".sqlite" or not file.exists():
        return True
    try:
        with closing(sqlite3.connect(file, timeout=0.0)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", None) not in _CODES


def _means_damage(error: OpenAmiError, files: Sequence[Path]) -> bool:
    if isinstance(error, ConfigError):  # a key file that others may read is whole
        return error.code == "vault.kek" and not any(map(_is_open_to_others, files))
    return isinstance(error, DecodeError | SecurityError) or error.code == DAMAGED


def _is_open_to_others(file: Path) -> bool:
    return file.exists() and bool(file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _set_aside(file: Path) -> None:
    for one in (file, *(file.with_name(file.name + end) for end in _BESIDE)):
        if one.exists():
            one.replace(one.with_name(one.name + ASIDE))
