"""``openami appliance``: simulated home appliances."""

from __future__ import annotations

import sys
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openami.cli.options import clock_option, examples, log_option, parse_since, world_clock
from openami.cli.output import emit_json, json_option, note

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.core.clock import Clock
    from openami.ihd.simulated.run import HomeSettings

_KINDS = ("air-conditioner", "water-heater", "charger")


_OPTIONS = (
    click.option(
        "--appliance",
        "kinds",
        multiple=True,
        required=True,
        type=click.Choice(_KINDS),
        help="What is simulated; repeatable.",
    ),
    click.option(
        "--base",
        metavar="SOURCE",
        help="What the rest of the home draws: constant:W[,VAR], household:H01…H08, minute, file:CSV.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Of the weather and of people's habits.",
    ),
    click.option(
        "--zone",
        default="Asia/Seoul",
        show_default=True,
        help="Local time: Asia/Seoul, UTC+HH:MM, ….",
    ),
)


def _home_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which home is simulated."""
    return reduce(lambda inner, option: option(inner), reversed(_OPTIONS), command)


def _home(
    kinds: tuple[str, ...], base: str | None, seed: int, zone: str, clock: Clock
) -> HomeSettings:
    """Return the home that the options say.

    Raises:
        ConfigError: there is no such zone, or no such source.
    """
    from openami.core.errors import ConfigError
    from openami.ihd.appliance_rules import Kind
    from openami.ihd.simulated.run import HomeSettings
    from openami.meter.settings import zone_of
    from openami.meter.sources import parse_source

    offset = zone_of(zone).offset(int(clock.now()))
    rest = None if base is None else parse_source(base, offset=offset)
    if rest is not None and rest.command:
        raise ConfigError("the rest of the home is no program", hint="such as household:H03")
    source = None if rest is None else rest.source
    return HomeSettings(tuple(map(Kind, kinds)), clock, offset, seed, source)


@click.group(short_help="Simulate home appliances that a display controls.")
def appliance() -> None:
    """Simulate home appliances that an in-home display controls."""


@appliance.command(
    short_help="Simulate an air conditioner, a water heater, a charger.",
    epilog=examples(
        "openami appliance simulate --appliance water-heater",
        "openami appliance simulate --ihd http://127.0.0.1:8480 --state appliances \\",
        "    --appliance air-conditioner --appliance charger --base household:H03",
        'openami meter run --state meter --source "command:openami appliance simulate --appliance charger"',
    ),
)
@_home_options
@click.option(
    "--ihd",
    metavar="URL",
    help="The display with which they register and which they obey; none: they run as they like.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of their tokens; without it they register anew at each start.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Who signs the certificate of a display at https [default: whom this machine trusts].",
)
@clock_option
@log_option
def simulate(
    kinds: tuple[str, ...],
    ihd: str | None,
    state: Path | None,
    base: str | None,
    seed: int,
    zone: str,
    ca: Path | None,
    clock: str | None,
    log_level: str,
) -> None:
    """Simulate appliances until SIGTERM or Ctrl-C: a room, a tank, a battery.

    Each second a line `W var` goes to stdout, as `openami meter run --source command:…` measures
    it. They register with a display, wait for its orders and report to it; while it is away they
    go on as they would without one. The API is that of any appliance: docs/reference/appliance-api.md.
    """
    from openami.cli.run import run_server
    from openami.core.errors import ConfigError
    from openami.ihd.simulated.run import simulate as run
    from openami.ihd.simulated.tokens import Tokens
    from openami.transport.tls import client_context

    if ihd is not None and not ihd.startswith(("http://", "https://")):
        raise ConfigError(f"{ihd!r} is no display", hint="such as http://127.0.0.1:8480")
    tls = client_context(ca) if ihd is not None and ihd.startswith("https://") else None
    settings = _home(kinds, base, seed, zone, world_clock(clock))
    tokens = Tokens(state)
    run_server(run(settings, _line, display=ihd, tokens=tokens, tls=tls), log_level=log_level)


@appliance.command(
    short_help="Write what simulated appliances would have drawn before.",
    epilog=examples(
        "openami appliance record past.csv --since 2026-01-01T00:00+09:00 --until 2026-01-15T00:00+09:00 \\",
        "    --appliance air-conditioner --appliance water-heater --base household:H03",
        'openami meter run --state meter --since 2026-01-01T00:00+09:00 --source "file:past.csv then \\',
        '    command:openami appliance simulate --appliance air-conditioner --base household:H03"',
    ),
)
@click.argument("recording", type=click.Path(path_type=Path, dir_okay=False))
@_home_options
@click.option("--since", required=True, metavar="TIME", help="From when (ISO 8601; else UTC).")
@click.option("--until", metavar="TIME", help="Until when. [default: now]")
@clock_option
@json_option
def record(
    recording: Path,
    kinds: tuple[str, ...],
    base: str | None,
    seed: int,
    zone: str,
    since: str,
    until: str | None,
    clock: str | None,
    as_json: bool,
) -> None:
    """Write to the file RECORDING what simulated appliances would have drawn, every five minutes.

    A meter plays it as its past, so that a new home has days to be compared with. Nobody controlled
    the appliances then.
    """
    from openami.ihd.simulated.past import STEP_S, rows, write

    time = world_clock(clock)
    begin, end = parse_since(since), parse_since(until)
    assert begin is not None  # it is required
    home = _home(kinds, base, seed, zone, time)
    found = list(rows(home, begin, time.now() if end is None else end))
    write(recording, found)
    kwh = round(sum(float(row[1]) for row in found) * STEP_S / 3600, 3)
    if as_json:
        emit_json({"rows": len(found), "kwh": kwh, "first": found[0][0], "last": found[-1][0]})
        return
    note(f"{recording}: {len(found)} rows, {kwh} kWh")


def _line(text: str) -> None:
    """Print a line at once: a meter waits for it."""
    click.echo(text)
    sys.stdout.flush()
