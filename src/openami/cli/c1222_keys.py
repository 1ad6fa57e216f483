"""Keys of C12.22 on the command line: by their id, 0 to 255."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_OCTETS: Final = 16
_MOST_ID: Final = 255

numbered_key_option = click.option(
    "--key", "keys", multiple=True, metavar="ID=HEX",
    help="A key by its id, 0 to 255. Repeatable. Better in a file: other users of a machine can see options.",
)  # fmt: skip
numbered_key_file_option = click.option(
    "--key-file", type=click.Path(path_type=Path, dir_okay=False),
    help='A TOML file of keys: lines such as 2 = "0001…0F".',
)  # fmt: skip


def gather_numbered(pairs: Iterable[str] = (), key_file: Path | None = None) -> dict[int, bytes]:
    """Return the keys by their ids: options over the file.

    Raises:
        ConfigError: a key has the wrong form, or the file can not be read. Values are never named.
    """
    return (_from_file(key_file) if key_file else {}) | dict(_pair(pair) for pair in pairs)


def _pair(pair: str) -> tuple[int, bytes]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise ConfigError("--key wants ID=HEX", hint="such as --key 2=000102…0F")
    return _key(name, value, "--key")


def _key(name: str, value: object, where: str) -> tuple[int, bytes]:
    text = name.strip()
    if not (text.isascii() and text.isdecimal()) or int(text) > _MOST_ID:
        raise ConfigError(f"{where}: a key's id is 0 to {_MOST_ID}")
    try:
        raw = bytes.fromhex(str(value))
    except ValueError:
        raw = b""
    if len(raw) != KEY_OCTETS:
        raise ConfigError(f"{where}: key {text} is not {2 * KEY_OCTETS} hexadecimal digits")
    return int(text), raw


def _from_file(path: Path) -> dict[int, bytes]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError:
        # The parser's own message may quote the line, which holds a key.
        raise ConfigError(
            f"{path} is not TOML", hint='a line for each key, such as 2 = "0001…0F"'
        ) from None
    return dict(_key(name, value, str(path)) for name, value in content.items())
