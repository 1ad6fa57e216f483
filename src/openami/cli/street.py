"""``openami street``: many meters on one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from openami.cli.meter import endpoint, shown
from openami.cli.options import clock_option, log_option, parse_since, since_option
from openami.cli.output import emit_json, json_option, note

if TYPE_CHECKING:
    from openami.meter.street import StreetRunner

MODEM: Final = "127.0.0.1:4060"
HOMES: Final = 8  # recorded homes; the meters of a street play them in turn, each a bit otherwise
SHIFT_S: Final = 7 * 86_400
# Each meter of the same home uses a bit less, so that no two have the same readings.
SCALE_STEP: Final = 0.04


@click.group()
def street() -> None:
    """Run a street: many meters on one multi-drop HDLC line with a modelled medium."""


def default_source(index: int) -> str:
    """Return what the ``index``-th meter of a street measures: a recorded home, or a solar one."""
    if index % 5 == 4:
        return f"solar@{index * SHIFT_S}"
    home = index % HOMES + 1
    scale = 1 - SCALE_STEP * (index // HOMES)
    return f"household:H{home:02}*{max(scale, SCALE_STEP):.2f}@{index * SHIFT_S}"


@street.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the meters, their keys (shipment.json) and memory; made at the first start.",
)
@click.option(
    "--meters", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many meters."
)
@click.option(
    "--first",
    type=click.IntRange(0, 99_999_999),
    default=1,
    show_default=True,
    help="Running number of the first new meter: its serial number, and station address 16 + number.",
)
@click.option(
    "--three-phase-every",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Every so many-th new meter has three phases; 0: none.",
)
@click.option(
    "--modem",
    metavar="HOST:PORT",
    help="Where the line's modem listens, HDLC over TCP; port 0: any. [default: 127.0.0.1:4060]",
)
@click.option("--serial", metavar="DEVICE", help="The line is this serial device instead.")
@click.option("--pty", is_flag=True, help="The line is a new pseudo terminal instead.")
@click.option(
    "--baud",
    type=click.IntRange(300, 4_000_000),
    default=9600,
    show_default=True,
    help="Speed of the serial device.",
)
@click.option(
    "--maintenance",
    metavar="HOST:PORT",
    help="Reach each meter directly: TCP wrapper, destination wPort is the station.",
)
@click.option(
    "--source",
    help="What every meter measures; else recorded homes, each another. See `openami meter run --help`.",
)
@click.option("--zone", default="Asia/Seoul", show_default=True, help="Local time of new meters.")
@click.option(
    "--drift-ppm",
    type=click.FloatRange(-1000, 1000),
    default=0.0,
    show_default=True,
    help="Meters' clocks gain up to so many millionths, or lose, each otherwise.",
)
@click.option(
    "--bit-rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Bits a second on the line; else octets take no time.",
)
@click.option(
    "--delay",
    type=click.FloatRange(0, 60),
    default=0.0,
    show_default=True,
    help="Seconds from end to end.",
)
@click.option(
    "--loss",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Probability that a transmission does not arrive at a receiver.",
)
@click.option(
    "--duplication",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Probability that it arrives twice.",
)
@click.option(
    "--corruption",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Probability that one of its bits is wrong.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the line's misfortunes.")
@since_option
@clock_option
@log_option
@json_option
def run(
    state: Path,
    meters: int,
    first: int,
    three_phase_every: int,
    modem: str | None,
    serial: str | None,
    pty: bool,
    baud: int,
    maintenance: str | None,
    source: str | None,
    zone: str,
    drift_ppm: float,
    bit_rate: float | None,
    delay: float,
    loss: float,
    duplication: float,
    corruption: float,
    seed: int,
    since: str | None,
    clock: str | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Run many meters on one line until SIGTERM or Ctrl-C.

    One TCP port, serial device or pseudo terminal is the DCU's modem. Import STATE/shipment.json
    into a head-end, so that it expects the meters and knows their keys.
    """
    import math

    from openami.cli.run import run_server
    from openami.meter.settings import MeterConfig, zone_of
    from openami.meter.sources import parse_source
    from openami.meter.street import (
        SHIPMENT_FILE,
        StreetMeter,
        StreetSettings,
        prepare_identities,
        run_street,
    )
    from openami.transport.clock import ClockSettings, SystemClock
    from openami.transport.medium import LineProfile

    world = ClockSettings.parse(clock).clock() if clock else SystemClock()
    now = world.now()
    place = zone_of(zone)
    identities = prepare_identities(
        state,
        meters,
        now=now,
        first=first,
        phases=lambda number: 3 if three_phase_every and number % three_phase_every == 0 else 1,
    )
    members = tuple(
        StreetMeter(
            MeterConfig(
                identity, zone=place, drift_ppm=_drift(drift_ppm, index), started=parse_since(since)
            ),
            parse_source(source or default_source(index), offset=place.offset(int(now))),
        )
        for index, identity in enumerate(identities)
    )
    settings = StreetSettings(
        members,
        state=state,
        modem=endpoint(modem or MODEM) if not (serial or pty) or modem else None,
        serial=serial,
        pty=pty,
        baud=baud,
        maintenance=endpoint(maintenance) if maintenance else None,
        line=LineProfile(
            bit_rate=bit_rate or math.inf,
            propagation_s=delay,
            loss=loss,
            duplication=duplication,
            corruption=corruption,
        ),
        seed=seed,
        clock=world,
    )

    def ready(runner: StreetRunner) -> None:
        listening = runner.listening
        facts = {
            "meters": len(identities),
            "stations": sorted(identity.address for identity in identities),
            "modem": [*map(shown, listening.hdlc), *listening.serial][0],
            "maintenance": shown(listening.wrapper[0]) if listening.wrapper else None,
            "shipment": str(state / SHIPMENT_FILE),
        }
        if as_json:
            emit_json(facts)
            return
        note(f"{len(identities)} meters, modem {facts['modem']}")
        if facts["maintenance"]:
            note(
                f"maintenance {facts['maintenance']}, wPorts {_ranges(identities[0].address, identities[-1].address)}"
            )
        note(f"shipment {facts['shipment']}")

    run_server(run_street(settings, ready=ready), log_level=log_level)


def _drift(most: float, index: int) -> float:
    """Return the drift of the ``index``-th meter: from -most to +most, in eleven steps."""
    return most * ((index % 11) - 5) / 5


def _ranges(first: int, last: int) -> str:
    return f"{first} to {last}"
