"""``openami street``: many meters on one line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.maker_options import maker_of, maker_option, restart_option
from openami.cli.meter_options import (
    adc_option,
    baud_option,
    grid_option,
    measured,
    source_option,
    wanted_grid,
    zone_option,
)
from openami.cli.options import (
    clock_option,
    endpoint,
    examples,
    log_option,
    parse_since,
    shown,
    since_option,
    world_clock,
)
from openami.cli.output import counted, emit_json, json_option, note

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.meter.street import StreetMeter, StreetRunner, StreetSettings
    from openami.transport.medium import LineProfile

MODEM: Final = "127.0.0.1:4060"
HOMES: Final = 8  # recorded homes; the meters of a street play them in turn, each a bit otherwise
SHIFT_S: Final = 7 * 86_400
# Each meter of the same home uses a bit less, so that no two have the same readings.
SCALE_STEP: Final = 0.04


@click.group(short_help="Run many meters on one multi-drop HDLC line.")
def street() -> None:
    """Run a street: many meters on one multi-drop HDLC line with a modelled medium."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say about a street, but for its output."""

    state: Path
    meters: int
    first: int
    three_phase_every: int
    modem: str | None
    serial: str | None
    pty: bool
    baud: int
    maintenance: str | None
    source: str | None
    adc: str | None
    zone: str
    grid: str | None
    drift_ppm: float
    bit_rate: float | None
    delay: float
    loss: float
    duplication: float
    corruption: float
    seed: int
    maker_key: Path | None
    restart: float
    since: str | None
    clock: str | None

    def line(self) -> LineProfile:
        """Return what the line is like."""
        from openami.transport.medium import LineProfile

        return LineProfile(
            bit_rate=self.bit_rate or math.inf,
            propagation_s=self.delay,
            loss=self.loss,
            duplication=self.duplication,
            corruption=self.corruption,
        )

    def phases(self, number: int) -> int:
        """Return how many phases the new meter with a running number has."""
        return 3 if self.three_phase_every and number % self.three_phase_every == 0 else 1


def default_source(index: int) -> str:
    """Return what the ``index``-th meter of a street measures: a recorded home, or a solar one."""
    if index % 5 == 4:
        return f"solar@{index * SHIFT_S}"
    home = index % HOMES + 1
    scale = 1 - SCALE_STEP * (index // HOMES)
    return f"household:H{home:02}*{max(scale, SCALE_STEP):.2f}@{index * SHIFT_S}"


@street.command(
    epilog=examples(
        "openami street run --state street --meters 10 --bit-rate 9600 --loss 0.01",
        "openami street run --state street --pty --maintenance 127.0.0.1:4062",
    )
)
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
@baud_option
@click.option(
    "--maintenance",
    metavar="HOST:PORT",
    help="Reach each meter directly: TCP wrapper, destination wPort is the station.",
)
@source_option(
    "What every meter measures; else recorded homes, each another. See `openami meter run --help`.",
    default=None,
)
@adc_option(
    "Each meter measures that through a converter of its own, with its errors. [default: exactly]"
)
@zone_option
@grid_option("a new street")
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
@maker_option
@restart_option
@since_option
@clock_option
@log_option
@json_option
def run(*, log_level: str, as_json: bool, **options: Any) -> None:
    """Run many meters on one line until SIGTERM or Ctrl-C.

    One TCP port, serial device or pseudo terminal is the DCU's modem. Import STATE/shipment.json
    into a head-end, so that it expects the meters and knows their keys.
    """
    from openami.cli.run import run_server
    from openami.meter.identity import SHIPMENT_FILE
    from openami.meter.street import run_street

    wanted = Wanted(**options)
    settings = _settings(wanted)
    ready = partial(_announce, wanted.state / SHIPMENT_FILE, as_json=as_json)
    run_server(run_street(settings, ready=ready), log_level=log_level)


def _settings(wanted: Wanted) -> StreetSettings:
    """Return what the street runs with; a new one gets its meters.

    Raises:
        ConfigError: an option has a wrong value, or the state folder can not be used.
    """
    from openami.meter.street import StreetSettings

    modem = wanted.modem or (None if wanted.serial or wanted.pty else MODEM)
    where = endpoint(modem) if modem else None
    maintenance = endpoint(wanted.maintenance) if wanted.maintenance else None
    clock = world_clock(wanted.clock)
    maker = maker_of(wanted.maker_key)
    return StreetSettings(
        _members(wanted, clock),
        state=wanted.state,
        modem=where,
        serial=wanted.serial,
        pty=wanted.pty,
        baud=wanted.baud,
        maintenance=maintenance,
        line=wanted.line(),
        seed=wanted.seed,
        clock=clock,
        maker=maker,
    )


def _members(wanted: Wanted, clock: Clock) -> tuple[StreetMeter, ...]:
    """Return the meters and what they measure."""
    from openami.meter.settings import MeterConfig, zone_of
    from openami.meter.sources import parse_source
    from openami.meter.street import StreetMeter, prepare_identities

    now = clock.now()
    zone, since = zone_of(wanted.zone), parse_since(wanted.since)
    grid = wanted_grid(wanted.grid)
    sources = [
        parse_source(wanted.source or default_source(index), offset=zone.offset(int(now)))
        for index in range(wanted.meters)
    ]
    # The last of all: a mistake in the options leaves no new meters behind.
    identities = prepare_identities(
        wanted.state,
        wanted.meters,
        now=now,
        first=wanted.first,
        phases=wanted.phases,
        grid=grid,
    )
    configs = [
        MeterConfig(
            identity,
            zone=zone,
            drift_ppm=_drift(wanted.drift_ppm, index),
            restart_s=wanted.restart,
            started=since,
        )
        for index, identity in enumerate(identities)
    ]
    return tuple(
        StreetMeter(config, measured(source, wanted.adc, config))
        for config, source in zip(configs, sources, strict=True)
    )


def _announce(shipment: Path, runner: StreetRunner, *, as_json: bool) -> None:
    """Tell where the street can be reached, and which stations are on it."""
    listening, stations = runner.listening, sorted(runner.meters)
    facts = {
        "meters": len(stations),
        "stations": stations,
        "modem": [*map(shown, listening.hdlc), *listening.serial][0],
        "maintenance": shown(listening.wrapper[0]) if listening.wrapper else None,
        "shipment": str(shipment),
    }
    if as_json:
        emit_json(facts)
        return
    note(f"{counted(len(stations), 'meter')}, modem {facts['modem']}")
    if facts["maintenance"]:
        note(f"maintenance {facts['maintenance']}, wPorts {stations[0]} to {stations[-1]}")
    note(f"shipment {facts['shipment']}")


def _drift(most: float, index: int) -> float:
    """Return the drift of the ``index``-th meter: from -most to +most, in eleven steps."""
    return most * ((index % 11) - 5) / 5
