"""What an event of demand response is to be, by options for the simple case or by a file."""

from __future__ import annotations

import functools
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.core.clock import isoformat, parse_utc
from openami.core.errors import ConfigError
from openami.fleet.demand.model import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_FILE: Final = 2**20
"""Octets: as much as a head-end takes."""
_SPAN: Final = re.compile(r"(?:(\d{1,3})d)?(?:(\d{1,3})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s)?")
_TARGETS: Final = {"group": "GROUP", "region": "SERVICE_AREA", "meter": "RESOURCE_NAME"}
_CODE: Final = "config.demand"

TARGETS: Final = (
    click.option("--group", "group", multiple=True, help="For the meters of a group of DCUs."),
    click.option("--region", "region", multiple=True, help="For the meters of a region."),
    click.option("--meter", "meter", multiple=True, help="For this meter. All are repeatable."),
)
_OPTIONS: Final = (
    click.option(
        "--file", "file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        help="All of it, as the REST API takes an event; then no other of these options.",
    ),
    click.option("--program", help="Name or id of its program."),
    click.option("--name", help="What it is called."),
    click.option("--start", metavar="TIME",
                 help="When, by the meters' clock (ISO 8601; else UTC), or +SPAN from now: +10m."),
    click.option("--length", metavar="SPAN", help="How long: 90m, 1h30m."),
    click.option("--level", type=click.IntRange(0, 3), help="Use less: 1 a little to 3 all."),
    click.option("--limit", metavar="KW", help="No more power than this."),
    click.option("--price", metavar="AMOUNT", help="What a kWh costs, in the program's currency."),
    click.option("--tariff", help="Prices of this tariff; `openami tariff list` has them."),
    click.option("--kind", type=click.Choice([kind.value for kind in EventKind]),
                 help="Else: price with prices, shed without."),
    *TARGETS,
    click.option("--priority", type=click.IntRange(0, 255), help="0 is the highest. [100]"),
    click.option("--no-opt-out", is_flag=True, help="Nobody is asked."),
    click.option("--random", metavar="SPAN", help="Put off each meter's start by up to so long."),
    click.option("--text-en", help="What displays say, in English."),
    click.option("--text-ko", help="The same in Korean."),
)  # fmt: skip
_NAMES: Final = (
    "file", "program", "name", "start", "length", "level", "limit", "price", "tariff", "kind",
    "group", "region", "meter", "priority", "no_opt_out", "random", "text_en", "text_ko",
)  # fmt: skip


def event_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options by which an event is described; they come as one argument ``given``."""

    @functools.wraps(command)
    def wrapped(**all_: Any) -> None:
        given = {name: all_.pop(name) for name in _NAMES}
        command(given=given, **all_)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def read_span(text: str, what: str) -> int:
    """Return the seconds of a span such as ``1h30m``; ConfigError ``config.demand``."""
    found = _SPAN.fullmatch(text)
    parts = [int(part or 0) for part in found.groups()] if found and text else [0]
    seconds = sum(part * unit for part, unit in zip(parts, (86_400, 3600, 60, 1), strict=False))
    if not seconds:
        raise ConfigError(f"{what} {text!r} is no span", hint="such as 90m or 1h30m", code=_CODE)
    return seconds


def duration(seconds: int) -> str:
    """Return seconds as ISO 8601 has them."""
    return f"PT{timedelta(seconds=seconds).total_seconds():.0f}S"


def read_targets(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the targets that options name."""
    return [
        {"type": type_, "values": list(dict.fromkeys(given[name]))}
        for name, type_ in _TARGETS.items()
        if given[name]
    ]


def read_file(file: Path) -> dict[str, Any]:
    """Return an event in a file, ``-`` for stdin; ConfigError ``config.demand``."""
    text = sys.stdin.read(MAX_FILE + 1) if str(file) == "-" else file.read_text("utf-8")
    try:
        found = json.loads(text) if len(text) <= MAX_FILE else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{file} is no event in JSON", code=_CODE)
    return found


def read_event(given: Mapping[str, Any], *, program: str, now: float) -> dict[str, Any]:
    """Return the event that options describe, all but the intervals of a tariff's prices.

    Args:
        given: the options.
        program: id of the program.
        now: of the meters' clock, as the head-end has it.

    Raises:
        ConfigError: ``config.demand``, an option is missing or can not be meant.
    """
    missing = [name for name in ("name", "start", "length") if not given[name]]
    if missing:
        raise ConfigError(f"an event has a {', '.join(f'--{m}' for m in missing)}", code=_CODE)
    event: dict[str, Any] = {
        "programID": program,
        "eventName": given["name"],
        "intervalPeriod": period(given, now),
        "targets": read_targets(given),
        "texts": {
            language: given[f"text_{language}"]
            for language in ("en", "ko")
            if given[f"text_{language}"]
        },
    }
    optional = {"kind": given["kind"], "priority": given["priority"]}
    event |= {name: value for name, value in optional.items() if value is not None}
    if given["no_opt_out"]:
        event["optional"] = False
    if not given["tariff"]:
        event["intervals"] = [{"id": 0, "payloads": list(_payloads(given))}]
    return event


def period(given: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return when an event is; ConfigError ``config.demand``."""
    text: str = given["start"]
    try:
        start = now + read_span(text[1:], "--start") if text[0] == "+" else parse_utc(text)
    except ValueError as error:
        raise ConfigError(
            f"--start {text!r} is no time", hint="such as 2026-07-31T14:00+09:00, or +10m",
            code=_CODE,
        ) from error  # fmt: skip
    found = {
        "start": isoformat(start),
        "duration": duration(read_span(given["length"], "--length")),
    }
    if given["random"]:
        found["randomizeStart"] = duration(read_span(given["random"], "--random"))
    return found


def _payloads(given: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    values = {
        "SIMPLE": given["level"], "IMPORT_CAPACITY_LIMIT": given["limit"], "PRICE": given["price"],
    }  # fmt: skip
    if all(value is None for value in values.values()):
        raise ConfigError("say what is asked: --level, --limit, --price or --tariff", code=_CODE)
    for type_, value in values.items():
        if value is not None:
            yield {"type": type_, "values": [_number(str(value))]}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no number", code=_CODE) from error
