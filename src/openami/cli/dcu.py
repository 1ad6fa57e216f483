"""``openami dcu``: run a data concentrator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from openami.cli.options import (
    clock_option,
    config_option,
    examples,
    log_option,
    parse_assignments,
    set_option,
    world_clock,
)


@click.group(short_help="Run a data concentrator: find, read and spool meters.")
def dcu() -> None:
    """Run a data concentrator: find, read and spool meters, upload until acknowledged."""


@dcu.command(
    epilog=examples(
        "openami dcu run --factory factory/DCU-1 --modem hdlc+tcp://127.0.0.1:4060 \\",
        "    --state dcu-1 --wake 127.0.0.1:0",
        "openami dcu run --config dcu.toml --set stop_s=30",
    )
)
@config_option
@click.option(
    "--factory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of its factory identity, as `openami pki factory` makes it.",
)
@click.option(
    "--modem", help="The line: hdlc+tcp://HOST:PORT or hdlc+serial:/dev/ttyUSB0?baud=9600."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of what must outlive a restart: management tree, keys, spool, cursors."
    " [default: openami-dcu]",
)
@click.option(
    "--wake",
    metavar="HOST:PORT",
    help="Where it takes the head-end's notifications; without it, it only polls.",
)
@set_option
@clock_option
@log_option
def run(
    config: Path | None,
    factory: Path | None,
    modem: str | None,
    state: Path | None,
    wake: str | None,
    assignments: tuple[str, ...],
    clock: str | None,
    log_level: str,
) -> None:
    """Run a DCU until SIGTERM or Ctrl-C.

    It registers with its factory identity, is managed by the head-end from then on, and collects
    as its management tree says: it probes its line for meters, reads what it does not have yet,
    and keeps it until the head-end says that it is durable.
    """
    from openami.cli.run import run_server
    from openami.dcu.installation import Installation
    from openami.dcu.managed import run_managed

    named = {"factory": factory, "modem": modem, "state": state, "wake": wake, "clock": clock}
    options: dict[str, Any] = parse_assignments(assignments)
    options |= {name: value for name, value in named.items() if value is not None}
    installation = Installation.load(config, **options)
    run_server(run_managed(installation, world_clock(installation.clock)), log_level=log_level)
