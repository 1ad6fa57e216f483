"""What simulated appliances keep: under which id and token each display knows them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "appliances.json"
MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Token:
    """What an appliance shows to a display."""

    appliance: str
    secret: str = field(repr=False)


class Tokens:
    """The tokens of one folder, in a file that only its owner reads.

    Args:
        folder: made if it is not there; None: nothing is kept.

    Raises:
        ConfigError: the file cannot be read, or is something else.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE
        self._all = {} if self._path is None else _read(self._path)

    def get(self, display: str, name: str) -> Token | None:
        """Return what an appliance shows to a display; None: it has to register."""
        return self._all.get(f"{display} {name}")

    def put(self, display: str, name: str, token: Token | None) -> None:
        """Keep a token, or forget it.

        Raises:
            ConfigError: it cannot be written.
        """
        key = f"{display} {name}"
        if token is None:
            self._all.pop(key, None)
        else:
            self._all[key] = token
        if self._path is not None:
            _write(self._path, self._all)


def _read(path: Path) -> dict[str, Token]:
    try:
        kept = json.loads(path.read_text())
        return {key: Token(str(one["id"]), str(one["token"])) for key, one in kept.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", code="config.file") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} holds no tokens", code="config.file") from None


def _write(path: Path, tokens: dict[str, Token]) -> None:
    text = json.dumps({key: {"id": t.appliance, "token": t.secret} for key, t in tokens.items()})
    part = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", code="config.file") from error
