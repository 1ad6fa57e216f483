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

CREDENTIALS = ("certificate", "key", "authority")


@click.group(short_help="Run a data concentrator: find, read and spool meters.")
def dcu() -> None:
    """Run a data concentrator: find, read and spool meters, upload until acknowledged."""


@dcu.command(
    epilog=examples(
        "openami dcu run --id DCU-1 --modem hdlc+tcp://127.0.0.1:4060 --addresses 16-40 \\",
        "    --headend https://127.0.0.1:8444 --credentials dcu/credentials --state dcu/state",
        "openami dcu run --config dcu.toml --set report_every_s=5",
    )
)
@config_option
@click.option(
    "--factory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of its factory identity, as `openami pki factory` makes it: the DCU registers, and is managed by the head-end.",
)
@click.option("--wake", metavar="HOST:PORT", help="Where it takes the head-end's notifications.")
@click.option("--id", "dcu_id", help="Its identifier, the one in its certificate.")
@click.option(
    "--modem", help="The line: hdlc+tcp://HOST:PORT or hdlc+serial:/dev/ttyUSB0?baud=9600."
)
@click.option(
    "--addresses", help="HDLC stations at which meters may be, such as 16-40,200. [default: 16-125]"
)
@click.option("--headend", help="The head-end's device listener: https://HOST:PORT.")
@click.option(
    "--credentials",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with certificate.pem, key.pem and authority.pem, as `openami headend enroll` makes it.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of its spool, cursors, known meters and vault. [default: openami-dcu]",
)
@set_option
@clock_option
@log_option
def run(
    config: Path | None,
    factory: Path | None,
    wake: str | None,
    dcu_id: str | None,
    modem: str | None,
    addresses: str | None,
    headend: str | None,
    credentials: Path | None,
    state: Path | None,
    assignments: tuple[str, ...],
    clock: str | None,
    log_level: str,
) -> None:
    """Run a DCU until SIGTERM or Ctrl-C.

    It probes its line for meters, fetches their keys from the head-end, reads what it does not
    have yet, and keeps it until the head-end says that it is durable.
    """
    from openami.cli.run import run_server
    from openami.dcu.agent import run_dcu
    from openami.dcu.installation import Installation
    from openami.dcu.managed import run_managed
    from openami.dcu.settings import DcuSettings

    options: dict[str, Any] = parse_assignments(assignments)
    if factory is not None:
        named = {"factory": factory, "wake": wake, "modem": modem, "state": state, "clock": clock}
        options |= {name: value for name, value in named.items() if value is not None}
        installation = Installation.load(config, **options)
        run_server(run_managed(installation, world_clock(installation.clock)), log_level=log_level)
        return
    if credentials is not None:
        options |= {name: credentials / f"{name}.pem" for name in CREDENTIALS}
    named = {
        "id": dcu_id,
        "modem": modem,
        "addresses": addresses,
        "headend": headend,
        "state": state,
        "clock": clock,
    }
    options |= {name: value for name, value in named.items() if value is not None}
    settings = DcuSettings.load(config, **options)
    run_server(run_dcu(settings, world_clock(settings.clock)), log_level=log_level)
