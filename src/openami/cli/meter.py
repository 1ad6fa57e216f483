"""``openami meter``: run a smart meter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from openami.cli.options import clock_option, log_option, parse_since, since_option
from openami.cli.output import emit_json, json_option, note
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from openami.meter.run import MeterRunner


@click.group()
def meter() -> None:
    """Run a smart meter: a DLMS/COSEM server; only what it measures is simulated."""


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


@meter.command()
@click.option(
    "--wrapper",
    multiple=True,
    metavar="HOST:PORT",
    help="TCP and UDP wrapper; port 0: any. [default: 127.0.0.1:4059 if no other link is given]",
)
@click.option("--hdlc", multiple=True, metavar="HOST:PORT", help="HDLC over TCP.")
@click.option("--serial", multiple=True, metavar="DEVICE", help="HDLC on a serial line.")
@click.option("--pty", is_flag=True, help="HDLC on a new pseudo terminal, whose path is printed.")
@click.option(
    "--baud",
    type=click.IntRange(300, 4_000_000),
    default=9600,
    show_default=True,
    help="Speed of the serial lines.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of its identity, keys and memory; made at the first start.",
)
@click.option(
    "--source",
    default="household:H01",
    show_default=True,
    help="What it measures: constant:W[,VAR], household:H01…H08, solar, minute, file:CSV, script:PYTHON, command:LINE; then *FACTOR, @SECONDS.",
)
@click.option(
    "--phases",
    type=click.Choice(["1", "3"]),
    default="1",
    show_default=True,
    help="Of a new meter.",
)
@click.option(
    "--number",
    type=click.IntRange(0, 99_999_999),
    help="Running number of a new meter, its serial number; else by chance.",
)
@click.option(
    "--address", type=click.IntRange(16, 0x3FFD), help="HDLC station address of a new meter."
)
@click.option(
    "--zone",
    default="Asia/Seoul",
    show_default=True,
    help="Local time of a new meter: Asia/Seoul, UTC+HH:MM, ….",
)
@click.option(
    "--public-access",
    type=click.Choice(["identity", "full"]),
    default="identity",
    show_default=True,
    help="What the public client, which proves nothing, may read.",
)
@click.option(
    "--drift-ppm",
    type=click.FloatRange(-1000, 1000),
    default=0.0,
    help="How much its clock gains, in millionths.",
)
@click.option(
    "--persist",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds of its time after which registers are kept, at its next look at its source: a "
    "power cut can cost these and the time between two looks (a real second or this, whichever is "
    "shorter, but at least a hundredth of a real second, however fast the clock).",
)
@since_option
@clock_option
@log_option
@json_option
def run(
    wrapper: tuple[str, ...],
    hdlc: tuple[str, ...],
    serial: tuple[str, ...],
    pty: bool,
    baud: int,
    state: Path,
    source: str,
    phases: str,
    number: int | None,
    address: int | None,
    zone: str,
    public_access: str,
    drift_ppm: float,
    persist: float,
    since: str | None,
    clock: str | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Run one meter until SIGTERM or Ctrl-C.

    Its clients: 16 public (no security), 2 reader (LLS password), 1 management (HLS-5 GMAC,
    ciphered). Keys and password of a new meter are made by chance and lie in STATE/meter.json.
    """
    from openami.cli.run import run_server
    from openami.meter.run import RunSettings, ensure_identity, run_meter
    from openami.meter.settings import MeterConfig, zone_of
    from openami.meter.sources import parse_source
    from openami.transport.clock import ClockSettings, SystemClock

    identity = ensure_identity(state, number=number, phases=int(phases), address=address)
    place = zone_of(zone)
    wrappers = wrapper or (() if hdlc or serial or pty else ("127.0.0.1:4059",))
    world = ClockSettings.parse(clock).clock() if clock else SystemClock()
    settings = RunSettings(
        config=MeterConfig(
            identity,
            zone=place,
            persist_s=persist,
            public_reads=public_access == "full",
            drift_ppm=drift_ppm,
            started=parse_since(since),
        ),
        source=parse_source(source, offset=place.offset(int(world.now()))),
        state=state,
        wrapper=tuple(map(endpoint, wrappers)),
        hdlc=tuple(map(endpoint, hdlc)),
        serial=serial,
        pty=pty,
        baud=baud,
        clock=world,
    )

    def ready(runner: MeterRunner) -> None:
        listening = runner.listening
        links = {
            "wrapper": [shown(where) for where in listening.wrapper],
            "hdlc": [shown(where) for where in listening.hdlc],
            "serial_lines": list(listening.serial),
        }
        if as_json:
            title, station = str(identity.system_title), identity.address
            emit_json(
                {"serial": identity.serial, "system_title": title, "station": station, **links}
            )
            return
        note(f"meter {identity.serial}, system title {identity.system_title}")
        for name, places in links.items():
            for where in places:
                note(f"  {name.replace('_', ' ')}  {where}")

    run_server(run_meter(settings, ready=ready), log_level=log_level)
