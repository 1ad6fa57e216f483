"""``openami ihd``: the in-home display."""

from __future__ import annotations

import asyncio
import re
import sys
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.options import clock_option, endpoint, examples, log_option, world_clock
from openami.cli.output import Table, emit_json, json_option, note, printable
from openami.cli.tariff import find_tariff
from openami.core.clock import time_zone
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from zoneinfo import ZoneInfo

    from openami.ihd.run import DisplayRunner
    from openami.ihd.settings import DisplaySettings

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_SECRET: Final = 256
"""Octets of a file of a code or a PIN that are read."""
_PIN: Final = re.compile(r"[0-9]{6,16}")
"""Digits, as a tablet on a wall has no other keys: five tries in a minute find one of six in months,
one of four in a day."""
LOOK_S: Final = 20.0
"""Seconds for one look: the link, and the first push on it."""
_MOST_GRAMS: Final = 3000
"""Of a kWh: no power station burns worse."""
_LIVE: Final = (
    ("voltage", "voltage_v", "V"),
    ("current", "current_a", "A"),
    ("active power", "active_w", "W"),
    ("reactive power", "reactive_var", "var"),
    ("apparent power", "apparent_va", "VA"),
    ("power factor", "power_factor", ""),
    ("frequency", "frequency_hz", "Hz"),
)
_ENERGY: Final = (
    ("today", "today_wh"),
    ("yesterday to now", "yesterday_wh"),
    ("this month", "month_wh"),
    ("last month to now", "last_month_wh"),
    ("total", "total_wh"),
)

_state = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the display: its pairing and its history; made if it is not there.",
)
_meter = click.option(
    "--meter",
    metavar="URL",
    help="tcp://HOST:PORT of the meter's home port, or gateway://HOST:PORT/SERIAL of a DCU. [default: where it was paired]",
)
_tariff = click.option(
    "--tariff",
    default="kr-residential-low",
    show_default=True,
    help="One of `openami tariff list`, or a file.",
)
_timezone = click.option("--timezone", help="Whose midnights count. [default: the tariff's]")
_carbon = click.option(
    "--carbon",
    metavar="GRAMS",
    help="CO2 equivalent of a kWh. [default: the official figure of the tariff's country]",
)


@click.group(short_help="Run an in-home display.")
def ihd() -> None:
    """Run an in-home display: what flows now, energy, the bill, and what the utility says.

    It is paired once with a meter, by the code on the meter's label (`openami meter label`), and
    shows itself as a web page for a tablet on the wall and for phones.
    """


@ihd.command(
    epilog=examples(
        "openami ihd run --state home --meter tcp://127.0.0.1:4060",
        "openami ihd run --state home --listen 0.0.0.0:8443 --certificate c.pem --certificate-key k.pem --pin-file pin",
        "openami ihd run --state home --tariff kr-residential-high --carbon 124",
    )
)
@_state
@_meter
@click.option(
    "--listen",
    default="127.0.0.1:8480",
    show_default=True,
    metavar="HOST:PORT",
    help="Where its page is; port 0: any. Beyond this machine, a certificate and a PIN are wanted.",
)
@_tariff
@_timezone
@_carbon
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name by which browsers may ask for it, beside localhost and addresses; repeatable.",
)
@click.option("--certificate", type=_FILE, help="For TLS: the certificate, in PEM.")
@click.option("--certificate-key", type=_FILE, help="Its private key.")
@click.option("--pin-file", type=_FILE, help="The household's PIN, six to sixteen digits.")
@click.option(
    "--name",
    default="display",
    show_default=True,
    help="What the meter calls the display in its list.",
)
@click.option(
    "--every",
    type=click.FloatRange(1, 3600),
    default=30.0,
    show_default=True,
    help="Seconds between two readings through a gateway, where the meter pushes nothing.",
)
@clock_option
@log_option
@json_option
def run(*, log_level: str, as_json: bool, **options: Any) -> None:
    """Run a display until SIGTERM or Ctrl-C.

    Without a pairing it waits for the code on its page. When the meter can not be reached it goes
    on showing what it has, and fills the gap from the meter's load profile afterwards.
    """
    from openami.cli.run import run_server
    from openami.ihd.run import run_display

    settings = _settings(**options)
    run_server(
        run_display(settings, ready=partial(_announce, as_json=as_json)), log_level=log_level
    )


@ihd.command(
    short_help="Pair with a meter.",
    epilog=examples(
        "openami ihd pair --state home --meter tcp://127.0.0.1:4060 --code-file code",
        "openami meter label --state meter | openami ihd pair --state home --meter tcp://127.0.0.1:4060 --code-file -",
    ),
)
@_state
@click.option(
    "--meter",
    metavar="URL",
    required=True,
    help="tcp://HOST:PORT of the meter's home port, or gateway://HOST:PORT/SERIAL of a DCU.",
)
@click.option(
    "--code-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The eight digits of the meter's label, or what `openami meter label` prints; -: stdin. [default: it asks]",
)
@click.option(
    "--name",
    default="display",
    show_default=True,
    help="What the meter calls the display in its list.",
)
@json_option
def pair(state: Path, meter: str, code_file: Path | None, name: str, as_json: bool) -> None:
    """Pair a display that does not run with a meter; one that runs is paired on its page."""
    from openami.cli.run import configure_logs
    from openami.ihd.look import pair_once
    from openami.ihd.settings import DisplaySettings
    from openami.mdm.tariffs.catalog import tariff_named
    from openami.transport.home import HomeTarget

    configure_logs("warning")
    target = HomeTarget.parse(meter)
    code = _asked() if code_file is None else _code(_read(code_file))
    settings = DisplaySettings(state, tariff_named("kr-residential-low"), target=target, name=name)
    serial = asyncio.run(pair_once(settings, code))
    if as_json:
        emit_json({"serial": serial, "meter": str(target)})
        return
    note(f"paired with meter {serial}")


@ihd.command(
    short_help="Show what a display shows.",
    epilog=examples("openami ihd show --state home", "openami ihd show --state home --json"),
)
@_state
@_meter
@_tariff
@_timezone
@_carbon
@clock_option
@json_option
def show(as_json: bool, **options: Any) -> None:
    """Take one look: at a display that runs, or else at the meter.

    With --json: the API's `state`. What this display was started with counts if it runs, else
    the options.
    """
    from openami.cli.run import configure_logs
    from openami.ihd.look import asked, running, seen

    configure_logs("warning")
    where = running(options["state"])
    found = None if where is None else asyncio.run(asked(where))
    if found is None:
        found = asyncio.run(seen(_settings(**options), seconds=LOOK_S))
    if as_json:
        emit_json(found)
        return
    with Table(["what", "value"]) as rows:
        for row in _rows(found):
            rows.add(row)


def _settings(
    *,
    state: Path,
    meter: str | None,
    tariff: str,
    timezone: str | None,
    carbon: str | None,
    clock: str | None,
    certificate: Path | None = None,
    certificate_key: Path | None = None,
    pin_file: Path | None = None,
    listen: str = "127.0.0.1:0",
    every: float = 30.0,
    **others: Any,
) -> DisplaySettings:
    """Return what the display runs with.

    Raises:
        ConfigError: an option has a wrong value, or two contradict each other.
    """
    from openami.ihd.settings import DisplaySettings
    from openami.transport.home import HomeTarget

    if (certificate is None) != (certificate_key is None):
        raise ConfigError("--certificate and --certificate-key go together")
    return DisplaySettings(
        state,
        find_tariff(tariff),
        target=None if meter is None else HomeTarget.parse(meter),
        listen=endpoint(listen),
        zone=None if timezone is None else _zone(timezone),
        carbon=None if carbon is None else _grams(carbon),
        certificate=None
        if certificate is None or certificate_key is None
        else (certificate, certificate_key),
        pin=None if pin_file is None else _pin(pin_file),
        every_s=every,
        clock=world_clock(clock),
        **others,
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return time_zone(name)
    except ValueError as error:
        raise ConfigError(str(error), hint="such as Asia/Seoul") from error


def _grams(given: str) -> Decimal:
    try:
        grams = Decimal(given)
    except InvalidOperation:
        grams = Decimal(-1)
    if not (grams.is_finite() and 0 <= grams <= _MOST_GRAMS):
        raise ConfigError(f"{given!r} is no grams per kWh", hint="such as 417.3")
    return grams


def _pin(file: Path) -> str:
    pin = _read(file)
    if not _PIN.fullmatch(pin):
        raise ConfigError("a PIN has six to sixteen digits", code="config.pin")
    return pin


def _asked() -> str:
    found: str = click.prompt("Code of the meter's label", hide_input=True)
    return found


def _code(text: str) -> str:
    """Return the code that a text ends with: alone on its line, or the last word of a label."""
    last = (text.splitlines() or [""])[-1]
    return last if re.fullmatch(r"[0-9 -]*", last) else last.split()[-1]


def _read(file: Path) -> str:
    """Return the secret that a file or stdin holds; ConfigError: it can not be read."""
    try:
        if str(file) == "-":
            return sys.stdin.read(_SECRET).strip()
        with file.open("rb") as found:
            return found.read(_SECRET).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} can not be read", code="config.file") from error


def _announce(runner: DisplayRunner, *, as_json: bool) -> None:
    """Tell where the display answers."""
    pairing = runner.display.keeper.pairing
    serial = None if pairing is None else pairing.paired.serial
    if as_json:
        emit_json({"url": runner.url, "serial": serial})
        return
    note(f"display of meter {serial}" if serial else "display, not paired: open its page")
    note(f"  page  {runner.url}")


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a person wants to see of the API's ``state``."""
    live, energy, bill = found["live"] or {}, found["energy"], found["bill"]
    currency, price, estimate = bill["currency"], bill["price_now"], bill["estimate"]
    yield "meter", f"{found['serial']}, {found['link']['state']} since {found['link']['since']}"
    for name, key, unit in _LIVE:
        if key in live:
            each = live[key]
            values = each if isinstance(each, list) else [each]
            yield name, " ".join(f"{value:g}" for value in values) + f" {unit}".rstrip()
    for name, key in _ENERGY:
        if energy[key] is not None:
            yield name, f"{energy[key] / 1000:.3f} kWh"
    if bill["so_far"] is not None:
        yield "bill so far", f"{bill['so_far']} {currency}"
    if estimate is not None:
        text = f"{estimate['likely']} {currency}, from {estimate['low']} to {estimate['high']}"
        yield "bill of the month", text
    if price is not None:
        yield "price now", f"{price['per_kwh']} {currency}/kWh, {printable(price['reason'])}"
    for event in found["events"]:
        yield "event", printable(f"{event['id']} {event['kind']} {event['state']}")
