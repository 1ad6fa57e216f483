"""What a campaign is to be, by options for the simple case or by a file for everything."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.core.clock import isoformat, parse_utc
from openami.core.errors import ConfigError
from openami.fleet.campaigns.model import Areas, Cells, Share
from openami.fleet.campaigns.spoken import (
    DAYS,
    clock_words,
    read_groups,
    read_share,
    read_window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from openami.fleet.campaigns.model import Rule
    from openami.fleet.campaigns.windows import Window

MAX_FILE: Final = 2**20  # octets: as much as a head-end takes
DEFAULT_GROUPS: Final = "rest"
CANARY: Final = "canary"
PERCENT: Final = 100
_CODE: Final = "config.campaign"

_OPTIONS: Final = (
    click.option(
        "--file", "file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="All of it, as the REST API takes a campaign; then no other of these options.",
    ),
    click.option("--name", help="What it is called; else by its release."),
    click.option("--release", type=click.IntRange(1), help="The number of a release."),
    click.option("--region", help="Only devices of this region."),
    click.option("--dcu", help="Only meters of this DCU."),
    click.option("--model", help="Only devices of this model."),
    click.option("--search", help="Only devices with this in serial number, label or model."),
    click.option("--canary", metavar="SHARE", help="A first group to find out, such as 1%."),
    click.option(
        "--groups", metavar="GROUP,…", default=DEFAULT_GROUPS, show_default=True,
        help="The groups behind it: shares such as 10%, `area NAME + NAME`, `cell NAME`, rest;"
        " with a name before a colon.",
    ),
    click.option("--success", metavar="PERCENT", help="Confirmed devices that are enough. [95]"),
    click.option("--error", metavar="PERCENT", help="Failed devices at which it pauses. [2]"),
    click.option("--soak", type=click.FloatRange(0), metavar="HOURS",
                 help="For how long each group is watched before the next one."),
    click.option("--window", "windows", multiple=True, metavar="HH:MM-HH:MM",
                 help="Activate only then; days may follow: 01:00-05:00 mon-fri. Repeatable."),
    click.option("--download-window", "download_windows", multiple=True, metavar="HH:MM-HH:MM",
                 help="Download only then. Repeatable."),
    click.option("--zone", help="Time zone of the windows; else the head-end's."),
    click.option("--download-from", metavar="TIME", help="Not before (ISO 8601; else UTC)."),
    click.option("--activate-from", metavar="TIME", help="Not before."),
    click.option("--until", metavar="TIME", help="When it ends, whatever was reached."),
    click.option("--rate", type=click.IntRange(1), metavar="OCTETS",
                 help="A second, of the head-end for all downloads."),
    click.option("--jobs", type=click.IntRange(1), help="Downloads at the same time."),
    click.option("--link-rate", type=click.IntRange(1), metavar="OCTETS",
                 help="A second, of each DCU's link."),
    click.option("--ahead", is_flag=True, help="A group downloads while the one before activates."),
    click.option("--dynamic", is_flag=True, help="Take in devices that come to fit later."),
)  # fmt: skip


def spec_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options by which a campaign is described; they come as one argument ``spec``."""

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in _NAMES}
        command(spec=read_spec(chosen), **given)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_NAMES: Final = (
    "file", "name", "release", "region", "dcu", "model", "search", "canary", "groups", "success", "error",
    "soak", "windows", "download_windows", "zone", "download_from", "activate_from", "until",
    "rate", "jobs", "link_rate", "ahead", "dynamic",
)  # fmt: skip


def read_spec(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the campaign that options say, as the API takes it; None: they say none.

    Raises:
        ConfigError: ``config.campaign``.
    """
    others = {
        name: value
        for name, value in given.items()
        if value and name != "file" and (name, value) != ("groups", DEFAULT_GROUPS)
    }
    if given["file"] is not None:
        if others:
            raise ConfigError("a file says all of a campaign, or options do", code=_CODE)
        return read_file(given["file"])
    if not others:
        return None
    if given["release"] is None:
        raise ConfigError("--release is missing", hint="openami release list", code=_CODE)
    try:
        return _spec(given)
    except ValueError as error:
        raise ConfigError(str(error), hint="openami campaign draft --help", code=_CODE) from error


def read_file(path: Path) -> dict[str, Any]:
    """Return the campaign of a file, as the API takes it; ConfigError ``config.campaign``."""
    if path.stat().st_size > MAX_FILE:
        raise ConfigError(f"{path} has more than {MAX_FILE} octets", code=_CODE)
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}", code=_CODE) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no campaign", code=_CODE)
    # What `show --json` prints has the campaign in it.
    whole: dict[str, Any] = found.get("campaign", found)
    return whole


def _spec(given: Mapping[str, Any]) -> dict[str, Any]:
    thresholds: dict[str, Any] = {
        name: read_share(f"{given[name].rstrip('%')}%") / PERCENT
        for name in ("success", "error")
        if given[name]
    }
    if given["soak"]:
        thresholds["soak_s"] = given["soak"] * 3600
    said = {
        "name": given["name"] or f"release {given['release']}",
        "release": given["release"],
        "filter": {name: given[name] for name in ("region", "dcu", "model", "search")},
        "groups": [{**group, **thresholds} for group in _groups(given)],
        "zone": given["zone"],
        "download": _step(given["download_from"], given["download_windows"]),
        "activation": _step(given["activate_from"], given["windows"]),
        "budget": {name: given[name] for name in ("rate", "jobs", "link_rate")},
        "until": _moment(given["until"]),
    }
    return {**said, "ahead": given["ahead"], "dynamic": given["dynamic"]}


def _groups(given: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    if given["canary"]:
        yield {"name": CANARY, "share": read_share(given["canary"]) / PERCENT, "canary": True}
    for name, rule in read_groups(given["groups"]):
        yield {"name": name, **_rule(rule)}


def _rule(rule: Rule) -> dict[str, Any]:
    match rule:
        case Share(parts):
            return {"share": parts / PERCENT}
        case Areas(names):
            return {"areas": sorted(names)}
        case Cells(names):
            return {"cells": sorted(names)}
        case _:
            return {}


def _step(begin: str | None, windows: Iterable[str]) -> dict[str, Any]:
    return {
        "not_before": _moment(begin),
        "windows": [_window(read_window(text)) for text in windows],
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        "opens": clock_words(window.opens),
        "closes": clock_words(window.closes),
        "days": [DAYS[day] for day in sorted(window.days)],
    }


def _moment(text: str | None) -> str | None:
    return None if text is None else isoformat(parse_utc(text))
