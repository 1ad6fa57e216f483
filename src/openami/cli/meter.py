"""``openami meter``: run a smart meter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.lazy import LazyGroup
from openami.cli.maker_options import maker_of, maker_option, restart_option
from openami.cli.meter_options import (
    adc_option,
    baud_option,
    grid_option,
    measured,
    phases_option,
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
from openami.cli.output import emit_json, json_option, note
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from openami.meter.c1222.service import C1222Settings
    from openami.meter.identity import MeterIdentity
    from openami.meter.line import ApartSpec
    from openami.meter.run import MeterRunner, RunSettings
    from openami.transport.c1222 import EndpointConfig
    from openami.transport.c1222.url import Carrier

WRAPPER: Final = "127.0.0.1:4059"
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group(
    cls=LazyGroup,
    where={
        "displays": "openami.cli.meter_home:displays",
        "label": "openami.cli.meter_home:label",
    },
    short_help="Run a smart meter: a DLMS/COSEM server, and a node of ANSI C12.22.",
)
def meter() -> None:
    """Run a smart meter: a DLMS/COSEM server, and a node of ANSI C12.22 if it shall be one.

    Only what it measures is simulated.
    """


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say about a meter, but for its output."""

    wrapper: tuple[str, ...]
    hdlc: tuple[str, ...]
    serial: tuple[str, ...]
    pty: bool
    home: str | None
    c1222: tuple[str, ...]
    c1222_register: str | None
    c1222_least: str
    c1222_multicast: bool
    c1218: tuple[str, ...]
    c1221: int
    c1222_certificate: Path | None
    c1222_certificate_key: Path | None
    c1222_ca: Path | None
    baud: int
    state: Path
    source: str
    adc: str | None
    metrology: str | None
    metrology_part: int | None
    phases: str
    number: int | None
    address: int | None
    zone: str
    grid: str | None
    public_access: str
    drift_ppm: float
    persist: float
    maker_key: Path | None
    restart: float
    since: str | None
    clock: str | None


@meter.command(
    epilog=examples(
        "openami meter run --state meter --source constant:1200",
        "openami meter run --state meter --hdlc 127.0.0.1:4061 --phases 3 --source household:H02*1.5",
        "openami meter run --state meter --serial /dev/ttyUSB0 --baud 9600",
        "openami meter run --state meter --adc sigma-delta --source load:heater+motor:250",
        "openami meter run --state meter --metrology serial:/dev/pts/7",
        "openami meter run --state meter --c1222 127.0.0.1:1153 --c1222-register c1222+tcp://127.0.0.1:1154",
    )
)
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
    "--home",
    metavar="HOST:PORT",
    help="The home port, for displays alone; port 0: any. `openami meter label` shows the code.",
)
@click.option(
    "--c1222",
    multiple=True,
    metavar="HOST:PORT",
    help="ANSI C12.22 over TCP and UDP; port 0: any. A meter that has no ApTitle and no key gets them.",
)
@click.option(
    "--c1222-register",
    metavar="URL",
    help="Register with a head-end or a master relay, such as c1222+tcp://HOST:1153?node=.123.4, which is the title if none is given; over UDP with c1222+udp.",
)
@click.option(
    "--c1222-least",
    type=click.Choice([str(int(mode)) for mode in (0, 1, 2)]),
    default="0",
    show_default=True,
    help="Take no message of C12.22 that is protected less: 0 clear, 1 authenticated, 2 encrypted.",
)
@click.option(
    "--c1222-multicast",
    is_flag=True,
    help="Let `openami c1222 discover` find it: listen to 224.0.2.4 and FF02::204, too.",
)
@click.option(
    "--c1222-certificate",
    type=_FILE,
    help="Speak C12.22 inside TLS and DTLS alone: the certificate, in PEM.",
)
@click.option("--c1222-certificate-key", type=_FILE, help="Its private key.")
@click.option(
    "--c1222-ca",
    type=_FILE,
    help="Who signs the certificate of a registrar at c1222+tls or c1222+dtls [default: whom this machine trusts].",
)
@click.option(
    "--c1218",
    multiple=True,
    metavar="DEVICE",
    help="ANSI C12.18 on a serial line, as on an optical port: the same tables as by --c1222.",
)
@click.option(
    "--c1221",
    type=click.IntRange(0, 255),
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="On these lines speak C12.21, as the device of this number on a modem that several share; 0: C12.18.",
)
@baud_option
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of its identity, keys and memory; made at the first start.",
)
@source_option(
    "What it measures: constant:W[,VAR], electronics:W, motor:W, load:NAME[:W][+NAME…] of heater,"
    " motor, electronics, solar, vehicle, household:H01…H08, solar, minute, file:CSV, script:PYTHON,"
    " command:LINE; then *FACTOR, @SECONDS."
)
@adc_option(
    "Measure that through a converter, sample by sample, with its errors. [default: exactly]"
)
@click.option(
    "--metrology",
    metavar="LINE",
    help="Take what is measured from `openami metrology run` instead, which says where: serial:DEVICE[,BAUD] or tcp:HOST:PORT.",
)
@click.option(
    "--metrology-part",
    type=click.IntRange(1, 0xFFFF_FFFF),
    metavar="NUMBER",
    help="Take the measuring part of this number in the place of the meter's own: it was exchanged.",
)
@phases_option("Of a new meter.")
@click.option(
    "--number",
    type=click.IntRange(0, 99_999_999),
    help="Running number of a new meter, its serial number; else by chance.",
)
@click.option(
    "--address",
    type=click.IntRange(16, 0x3FFD),
    help="HDLC station address of a new meter; else from its number.",
)
@zone_option
@grid_option("a new meter")
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
    show_default=True,
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
@maker_option
@restart_option
@since_option
@clock_option
@log_option
@json_option
def run(*, log_level: str, as_json: bool, **options: Any) -> None:
    """Run one meter until SIGTERM or Ctrl-C.

    Its clients: 16 public (no security), 2 reader (LLS password), 1 management (HLS-5 GMAC,
    ciphered). Keys and passwords of a new meter are made by chance and lie in STATE/meter.json,
    those of C12.22 too.
    """
    from openami.cli.run import run_server
    from openami.meter.run import run_meter

    settings = _settings(Wanted(**options))
    ready = partial(_announce, settings.config.identity, as_json=as_json)
    run_server(run_meter(settings, ready=ready), log_level=log_level)


def _settings(wanted: Wanted) -> RunSettings:
    """Return what the meter runs with; a new one gets its identity.

    Raises:
        ConfigError: an option has a wrong value, or the state folder can not be used.
    """
    from openami.meter.making import ensure_identity
    from openami.meter.run import RunSettings
    from openami.meter.settings import MeterConfig, zone_of
    from openami.meter.sources import parse_source

    given = (wanted.hdlc, wanted.serial, wanted.pty, wanted.c1222, wanted.c1218, wanted.home)
    links = any(given)
    apart = _apart(wanted)
    zone, clock, since = zone_of(wanted.zone), world_clock(wanted.clock), parse_since(wanted.since)
    source = parse_source(wanted.source, offset=zone.offset(int(clock.now())))
    grid = wanted_grid(wanted.grid)
    wrapper = tuple(map(endpoint, wanted.wrapper or (() if links else (WRAPPER,))))
    hdlc = tuple(map(endpoint, wanted.hdlc))
    c1222 = _node(wanted)
    maker = maker_of(wanted.maker_key)
    # The last of all: a mistake in the options leaves no new meter behind.
    identity = ensure_identity(
        wanted.state,
        number=wanted.number,
        phases=int(wanted.phases),
        address=wanted.address,
        c1222=c1222 is not None,
        grid=grid,
    )
    config = MeterConfig(
        identity,
        zone=zone,
        persist_s=wanted.persist,
        public_reads=wanted.public_access == "full",
        drift_ppm=wanted.drift_ppm,
        restart_s=wanted.restart,
        started=since,
    )
    return RunSettings(
        config,
        apart or measured(source, wanted.adc, config),
        state=wanted.state,
        wrapper=wrapper,
        hdlc=hdlc,
        serial=wanted.serial,
        pty=wanted.pty,
        home=endpoint(wanted.home) if wanted.home else None,
        c1222=c1222,
        baud=wanted.baud,
        clock=clock,
        maker=maker,
    )


def _apart(wanted: Wanted) -> ApartSpec | None:
    """Return where the meter's measuring part is, if it is apart."""
    from openami.meter.line import ApartSpec, LineSpec

    if wanted.metrology is None:
        return None
    if wanted.adc or wanted.since:
        hint = "--adc belongs to `openami metrology run`, and a meter apart has no history"
        raise ConfigError("--metrology goes with neither --adc nor --since", hint=hint)
    return ApartSpec(LineSpec.parse(wanted.metrology), wanted.metrology_part)


def _node(wanted: Wanted) -> C1222Settings | None:
    """Return how the meter speaks C12.22, if it does."""
    from openami.c1222.codes import SecurityMode
    from openami.meter.c1222.service import C1222Settings
    from openami.transport.c1222.url import NodeUrl

    register = NodeUrl.parse(wanted.c1222_register) if wanted.c1222_register else None
    if not (wanted.c1222 or wanted.c1218 or register):
        return None
    least = SecurityMode(int(wanted.c1222_least))
    sockets = _sockets(wanted, None if register is None else register.carrier)
    listen = tuple(map(endpoint, wanted.c1222))
    return C1222Settings(listen, register, least, sockets, wanted.c1218, wanted.c1221)


def _sockets(wanted: Wanted, carrier: Carrier | None) -> EndpointConfig:
    """Return what a meter's node listens with, and how it speaks to its registrar."""
    from openami.meter.c1222.service import CONNECTIONS
    from openami.transport.c1222 import EndpointConfig
    from openami.transport.c1222.url import Carrier
    from openami.transport.dtls import DtlsContext
    from openami.transport.tls import client_context, server_context

    certificate, key = wanted.c1222_certificate, wanted.c1222_certificate_key
    if (certificate is None) != (key is None):
        raise ConfigError("--c1222-certificate and --c1222-certificate-key go together")
    config = EndpointConfig(connections=CONNECTIONS, multicast=wanted.c1222_multicast)
    if certificate is not None and key is not None:
        pair = certificate, key
        config = replace(config, tls=server_context(*pair), dtls=DtlsContext.server(*pair))
    if carrier is Carrier.TLS:
        config = replace(
            config, dial_tls=client_context(wanted.c1222_ca, certificate=certificate, key=key)
        )
    if carrier is Carrier.DTLS:
        config = replace(
            config, dial_dtls=DtlsContext.client(wanted.c1222_ca, certificate=certificate, key=key)
        )
    return config


def _announce(identity: MeterIdentity, runner: MeterRunner, *, as_json: bool) -> None:
    """Tell where the meter can be reached."""
    links = {
        "wrapper": [shown(where) for where in runner.listening.wrapper],
        "hdlc": [shown(where) for where in runner.listening.hdlc],
        "serial_lines": list(runner.listening.serial),
        "c1222": [shown(where) for where in runner.listening.c1222],
        "c1218": list(runner.listening.c1218),
        "home": [shown(where) for where in (runner.listening.home,) if where is not None],
    }
    title = str(identity.system_title)
    if as_json:
        station = identity.address
        found = {"serial": identity.serial, "system_title": title, "station": station, **links}
        emit_json({**found, "ap_title": None if identity.c1222 is None else identity.c1222.title})
        return
    note(f"meter {identity.serial}, system title {title}")
    if identity.c1222 is not None:
        note(f"  ApTitle  {identity.c1222.title}")
    for name, places in links.items():
        for where in places:
            note(f"  {name.replace('_', ' ')}  {where}")
