"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openami.core.clock import parse_utc
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.core.clock import Clock


def examples(*lines: str) -> str:
    """Return what a command's help ends with: how it is typed, line by line."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings in a TOML file."
)
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE",
    help="Any setting of the configuration reference; repeatable.",
)  # fmt: skip
clock_option = click.option(
    "--clock", metavar="START,FACTOR[,ORIGIN]",
    help="A simulated clock: what it shows, how many of its seconds pass in a real one, and the"
    " wall time at which it showed START (now if left out). For demos and tests.",
)  # fmt: skip
since_option = click.option(
    "--since",
    metavar="TIME",
    help="New meters have measured since then (ISO 8601; else UTC), so that they have a history.",
)
log_option = click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
    show_default=True, envvar="OPENAMI_LOG_LEVEL", show_envvar=True, help="The least severe log line on stderr.",
)  # fmt: skip


def parse_since(text: str | None) -> float | None:
    """Return the time of ``--since`` in seconds UTC.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None
    try:
        return parse_utc(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time", hint="such as 2026-01-31T00:00:00Z") from error


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Return ``NAME=VALUE`` pairs as a mapping; ``-`` in a name counts as ``_``.

    Raises:
        ConfigError: a pair has no ``=``.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError("--set wants NAME=VALUE", hint="such as --set page_rows=500")
        values[name.strip().replace("-", "_")] = value
    return values


def endpoint(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``[HOST]:PORT``.

    Raises:
        ConfigError: the text has another form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise ConfigError(f"{text!r} is not HOST:PORT", hint="such as 127.0.0.1:4059")
    return host.removeprefix("[").removesuffix("]"), int(port)


def shown(where: tuple[str, int]) -> str:
    """Return an endpoint as text."""
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def world_clock(text: str | None) -> Clock:
    """Return the clock of ``--clock``: a simulated one, or the machine's.

    Raises:
        ConfigError: the text has another form.
    """
    from openami.transport.clock import ClockSettings, make_clock

    return make_clock(ClockSettings.parse(text) if text else None)
