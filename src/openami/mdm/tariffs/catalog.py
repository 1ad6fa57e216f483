"""The tariffs that openami ships."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConfigError
from openami.mdm.tariffs.loading import load

if TYPE_CHECKING:
    from openami.mdm.tariffs.model import Tariff

_SUFFIX: Final = ".toml"
_FOLDER: Final = files("openami.mdm.tariffs").joinpath("data")


def tariff_names() -> tuple[str, ...]:
    """Return the names of all that are shipped."""
    found = (entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(_SUFFIX))
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found))


@cache
def tariff_named(name: str) -> Tariff:
    """Return a tariff that is shipped; ConfigError ``tariff.unknown``."""
    if name not in tariff_names():
        raise ConfigError(
            f"there is no tariff {name!r}",
            hint="openami tariff list, or a file: ./tariff.toml",
            code="tariff.unknown",
        )
    return load(_FOLDER.joinpath(name + _SUFFIX).read_bytes())
