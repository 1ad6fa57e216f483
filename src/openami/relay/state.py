"""The ways that a relay knows, in a file: they outlive it, and their nodes need not register again.

The file may be lost: nodes register again by themselves. It may be as old as the last change that
there was no time to write.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from openami.c1222.network.registrations import MAX_NODES, Row, from_row
from openami.core.errors import ConfigError, DecodeError
from openami.store.whole import read_whole, replace_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MOST: Final = 512 * MAX_NODES
"""Octets of the file: a registration in it has about 300."""
_OCTETS: Final = ("native", "device_class")


def load_rows(path: Path) -> list[Row]:
    """Return what ``save_rows`` kept; nothing if the file is not there.

    Raises:
        StoreError: it cannot be read.
        ConfigError: it is no such file (``config.file``).
    """
    octets = read_whole(path, most=_MOST)
    if not octets:
        return []
    try:
        rows = [_row(each) for each in json.loads(octets)]
        for row in rows:
            from_row(row)
    except (ValueError, TypeError, KeyError, AttributeError, DecodeError) as error:
        raise ConfigError(
            f"{path} holds no registrations",
            hint="remove it: nodes register again",
            code="config.file",
        ) from error
    return rows


def save_rows(path: Path, rows: Sequence[Row]) -> None:
    """Replace the file.

    Raises:
        StoreError: it cannot be written.
    """
    values = [asdict(row) | {name: getattr(row, name).hex() for name in _OCTETS} for row in rows]
    replace_whole(path, json.dumps(values, indent=0).encode())


def _row(values: dict[str, Any]) -> Row:
    return Row(**{**values, **{name: bytes.fromhex(values[name]) for name in _OCTETS}})
