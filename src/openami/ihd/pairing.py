"""What a display knows of the meter that it is paired with: a file that only its owner reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.store.whole import read_whole, replace_whole
from openami.transport.home import HomeTarget, Paired

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "paired.json"
_MODE: Final = 0o600
_MOST: Final = 64 * 1024
"""Octets of the file: it has some hundred."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """A meter, where it is, and the keys for it."""

    target: HomeTarget
    paired: Paired


class PairingFile:
    """The file in a display's folder.

    Args:
        folder: the display's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def read(self) -> Pairing | None:
        """Return what was kept; None: the display is not paired.

        Raises:
            ConfigError: it is no such file.
            StoreError: it cannot be read.
        """
        octets = read_whole(self._path, most=_MOST)
        if not octets:
            return None
        try:
            found = json.loads(octets)
            return Pairing(HomeTarget.parse(found["target"]), Paired.of(found["paired"]))
        except (ValueError, KeyError, TypeError, ConfigError):
            # What was found is not shown: it may be a key.
            raise ConfigError(
                f"{self._path} holds no pairing",
                hint="remove it, and pair again",
                code="config.paired",
            ) from None

    def keep(self, pairing: Pairing) -> None:
        """Put a pairing in place of the one before; StoreError."""
        held = {"target": str(pairing.target), "paired": pairing.paired.data()}
        replace_whole(self._path, json.dumps(held).encode(), mode=_MODE)

    def forget(self) -> None:
        """Drop it."""
        self._path.unlink(missing_ok=True)
