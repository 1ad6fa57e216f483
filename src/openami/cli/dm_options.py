"""What the commands of ``openami dm`` have in common: options, filters, settings, words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.aiming import aimed
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

POLL_S: Final = 0.5
FILTERS: Final = ("state", "contact", "region", "search")
WHOM: Final = (
    click.option("--device", "devices", multiple=True, metavar="UID", help="This DCU; repeatable."),
    click.option("--group", help="The DCUs of this group."),
    click.option(
        "--filter", "filters", multiple=True, metavar="NAME=VALUE",
        help="The DCUs with this state, contact, region or search (a part of serial number, label"
        " or model); repeatable. --filter all: every DCU.",
    ),
)  # fmt: skip


def dm_options(*more: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Add options, and those that every command has."""

    def add(command: Any) -> Any:
        command = aimed(command)
        for option in reversed([option for group in more for option in group]):
            command = option(command)
        return command

    return add


def read_settings(texts: Iterable[str], *, unchecked: bool) -> list[dict[str, Any]]:
    """Return what ``URI=VALUE`` says.

    Raises:
        ConfigError: one has another form.
    """
    found = []
    for text in texts:
        uri, equals, value = text.partition("=")
        if not equals or not uri:
            raise ConfigError(
                f"{text!r} is not URI=VALUE",
                hint="such as ./AMI/Link/Window=3",
                code="config.option",
            )
        found.append({"uri": uri, "value": value, "unchecked": unchecked})
    return found


def read_filter(texts: tuple[str, ...]) -> dict[str, str] | None:
    """Return the filter that options say; None: they say none.

    Raises:
        ConfigError: one has another form.
    """
    if not texts:
        return None
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if text == "all":
            continue
        if not equals or name not in FILTERS:
            raise ConfigError(
                f"{text!r} is no filter", hint=f"NAME=VALUE of {', '.join(FILTERS)}; or all",
                code="config.option",
            )  # fmt: skip
        found[name] = value
    return found


def filter_words(item: Mapping[str, Any]) -> str:
    """Return the filter of a group or a job for people."""
    told = (item.get("filter") or {}).items()
    return ", ".join(f"{name}={value}" for name, value in told if value) or "all"


def wanted_words(wish: Mapping[str, Any] | None) -> str:
    """Return what is wanted of a node, for people."""
    if wish is None:
        return ""
    return "(absent)" if wish["value"] is None else str(wish["value"])
