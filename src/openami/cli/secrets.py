"""Keys and passwords for the command line: options, environment or file, never echoed."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY_NAMES: Final = ("guek", "gak", "dedicated", "gbek")
KEY_OCTETS: Final = 16  # security suite 0: AES-128


@dataclass(frozen=True, slots=True)
class Secrets:
    """What proves and protects: keys by name, and the password or HLS secret."""

    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    password: bytes | None = field(default=None, repr=False)
    system_title: bytes | None = None


def _key(name: str, text: object, where: str) -> bytes:
    """Return one key; the error names the key and the place, never the value."""
    if name not in KEY_NAMES:
        raise ConfigError(
            f"{where}: there is no key {name!r}", hint=f"one of {', '.join(KEY_NAMES)}"
        )
    try:
        raw = bytes.fromhex(str(text))
    except ValueError:
        raw = b""
    if len(raw) != KEY_OCTETS:
        raise ConfigError(f"{where}: {name} is not {2 * KEY_OCTETS} hexadecimal digits")
    return raw


def _from_options(pairs: Iterable[str]) -> dict[str, bytes]:
    keys = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError("--key wants NAME=HEX", hint="such as --key guek=000102…0F")
        keys[name.lower()] = _key(name.lower(), value, "--key")
    return keys


def _from_environment() -> dict[str, bytes]:
    return {
        name: _key(name, value, f"OPENAMI_{name.upper()}")
        for name in KEY_NAMES
        if (value := os.environ.get(f"OPENAMI_{name.upper()}"))
    }


def _from_file(path: Path) -> Secrets:
    """Read a TOML file with guek, gak, dedicated, gbek, password, system_title; all optional.

    The file of a meter of ours (meter.json) will do too.
    """
    try:
        text = path.read_text("utf-8")
        own = text.lstrip().startswith("{")
        content = json.loads(text)["keys"] if own else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        # The parser's own message may quote the line, which holds a key.
        raise ConfigError(
            f"{path} is neither TOML nor a meter's file", hint='a line such as guek = "0001…0F"'
        ) from None
    if own:
        names = [name for name in KEY_NAMES if name in content]
        password = bytes.fromhex(str(content.get("lls", "")))
        return Secrets({n: _key(n, content[n], str(path)) for n in names}, password or None)
    password = content.pop("password", None)
    title = content.pop("system_title", None)
    return Secrets(
        keys={name: _key(name, value, str(path)) for name, value in content.items()},
        password=None if password is None else str(password).encode(),
        system_title=None if title is None else parse_title(str(title)),
    )


def parse_title(text: str) -> bytes:
    """Return the eight octets of a system title given in hexadecimal."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 8:
        raise ConfigError("a system title is 16 hexadecimal digits")
    return raw


def gather(
    keys: Iterable[str] = (),
    key_file: Path | None = None,
    password_file: Path | None = None,
    system_title: str | None = None,
) -> Secrets:
    """Return the secrets: options over the environment over the file.

    Raises:
        ConfigError: a key has the wrong form, or a file can not be read. Values are never named.
    """
    base = _from_file(key_file) if key_file else Secrets()
    password = base.password
    if (text := os.environ.get("OPENAMI_METER_PASSWORD")) is not None:
        password = text.encode()
    if password_file:
        password = read_password(password_file)
    return Secrets(
        keys={**base.keys, **_from_environment(), **_from_options(keys)},
        password=password,
        system_title=parse_title(system_title) if system_title else base.system_title,
    )


def read_password(path: Path) -> bytes:
    """Return the password that a file holds, without the end of its line.

    Raises:
        ConfigError: it can not be read.
    """
    try:
        return path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def account_password(password_file: Path | None, *, new: bool = False) -> str:
    """Return an operator's password: from a file, the environment, or the person at the terminal.

    Args:
        password_file: which holds it.
        new: ask for it twice.

    Raises:
        ConfigError: the file can not be read, or nobody is there to ask.
    """
    if password_file is not None:
        return read_password(password_file).decode(errors="replace")
    if (given := os.environ.get("OPENAMI_PASSWORD")) is not None:
        return given
    if not sys.stdin.isatty():
        raise ConfigError(
            "a password is wanted, and nobody is there to ask",
            hint="OPENAMI_PASSWORD or --password-file",
        )
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=new, err=True)
    return asked


key_option = click.option(
    "--key", "keys", multiple=True, metavar="NAME=HEX",
    help="A key: guek, gak, dedicated or gbek. Repeatable. Better in the environment"
    " (OPENAMI_GUEK, …) or a file: other users of a machine can see options.",
)  # fmt: skip
key_file_option = click.option(
    "--key-file", type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file with guek, gak, dedicated, gbek, password, system_title; or meter.json of a meter of ours.",
)  # fmt: skip
account_password_option = click.option(
    "--password-file", type=click.Path(path_type=Path, dir_okay=False),
    help="A file that holds the password (or OPENAMI_PASSWORD; else it is asked for).",
)  # fmt: skip
password_file_option = click.option(
    "--password-file", type=click.Path(path_type=Path, dir_okay=False),
    help="A file that holds the LLS password (or OPENAMI_METER_PASSWORD).",
)  # fmt: skip
