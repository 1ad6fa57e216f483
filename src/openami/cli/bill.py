"""``openami bill``: a month's bill, of a number of kWh or of a meter's readings."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.api import find_target, target_options
from openami.cli.options import examples
from openami.cli.output import emit_row, json_option, note
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.cli.api import Target
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Period
    from openami.mdm.tariffs.usage import Usage

DEFAULT: Final = "kr-residential-low"


def period_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a month, or the days between two readings."""
    command = click.option("--to", "end", metavar="DATE", help="And with this day.")(command)
    command = click.option(
        "--from", "begin", metavar="DATE", help="Instead: from this day on, YYYY-MM-DD."
    )(command)
    return click.option("--month", metavar="YYYY-MM", help="The month.")(command)


@click.command(
    short_help="Make a month's bill.",
    epilog=examples(
        "openami bill --tariff kr-residential-low --month 2024-03 --kwh 350",
        "openami bill --tariff kr-residential-tou-jeju --month 2024-07"
        " --kwh off-peak=120 --kwh mid=90 --kwh peak=80",
        "openami bill --meter OAM00000001 --month 2026-05 --json",
        "openami bill --meter OAM00000001 --from 2026-06-18 --to 2026-07-17",
        "openami bill --meter OAM00000001 --month 2026-05 --against before.json",
    ),
)
@click.option(
    "--tariff", "name", envvar="OPENAMI_TARIFF", show_envvar=True,
    help="By which: a name of `openami tariff list`, or a file."
    f" [default: that of the meter's customer, else {DEFAULT}]",
)  # fmt: skip
@period_options
@click.option(
    "--kwh", "energy", multiple=True, metavar="[PERIOD=]N",
    help="What was used; of a tariff by time of use once for each of its periods.",
)  # fmt: skip
@click.option("--meter", "serial", metavar="SERIAL", help="What this meter's readings say instead.")
@click.option("--kw", "demand", metavar="N", help="The demand; else what the meter's readings say.")
@click.option(
    "--discount", "discounts", multiple=True, metavar="ID",
    help="A discount that the customer is given; repeatable. Without --tariff, those that they have"
    " are given, too.",
)  # fmt: skip
@click.option(
    "--against", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="A bill of the same days that --json printed: what is different, and why.",
)  # fmt: skip
@json_option
@target_options
def bill(
    name: str | None,
    month: str | None,
    begin: str | None,
    end: str | None,
    energy: tuple[str, ...],
    serial: str | None,
    demand: str | None,
    discounts: tuple[str, ...],
    against: Path | None,
    as_json: bool,
    url: str | None,
    ca: Path | None,
    token_file: Path | None,
) -> None:
    """Make the bill of a month, each line with its quantity, rate, rule and source.

    Where meters are read on another day than the first, --from and --to name the first and the
    last day that the bill is for.

    With --meter it is made of the readings that a head-end has stored. Of a month that is running
    the bill is that of its usage so far, and an estimate for the whole month comes with it.
    With --json: one object with ``total`` in the currency's unit, and ``lines``.
    """
    from openami.cli.bill_output import print_bill
    from openami.mdm.tariffs.billing import make_bill
    from openami.mdm.tariffs.month import parse_period
    from openami.mdm.tariffs.statement import statement
    from openami.mdm.tariffs.usage import parse_quantity

    if bool(energy) == (serial is not None):
        raise ConfigError("say --kwh or --meter, one of them", code="bill.usage")
    period = parse_period(month, begin, end)
    target = None if serial is None else find_target(url, ca, token_file)
    if target is not None and serial is not None and name is None:
        name, given = _customers(target, serial, period)
        discounts = tuple(dict.fromkeys((*given, *discounts)))
    tariff = _tariff(name or DEFAULT)
    tariff.stretches(period)
    before = None if against is None else _read(against)
    kw = None if demand is None else parse_quantity(demand)
    if serial is None or target is None:
        usage = typed_usage(energy, kw)
        made = statement(make_bill(tariff, period, usage, discounts=discounts))
    else:
        from openami.cli.bill_metered import metered_bill

        made = metered_bill(target, serial, tariff, period, kw, discounts)
    if before is not None:
        made["against"] = compared(before, made)
    if as_json:
        emit_row(made)
    else:
        print_bill(made)


def _customers(target: Target, serial: str, period: Period) -> tuple[str | None, tuple[str, ...]]:
    """Return the tariff and the discounts of the customer then; None: nobody is known."""
    from openami.cli.bill_metered import customer_of

    found = customer_of(target, serial, period, _tariff(DEFAULT).zone)
    if found is None:
        return None, ()
    note(f"tariff {found['tariff']}: that of {found['login']}")
    return found["tariff"], tuple(found["discounts"])


def _tariff(name: str) -> Tariff:
    from openami.cli.tariff import find_tariff

    return find_tariff(name)


def typed_usage(energy: tuple[str, ...], kw: Decimal | None) -> Usage:
    """Return the usage of ``--kwh`` and ``--kw``; ConfigError ``bill.usage``."""
    from openami.mdm.tariffs.usage import Usage, parse_quantity

    found: dict[str, Decimal] = {}
    for text in energy:
        period, _, number = text.rpartition("=")
        if period in found:
            again = f"--kwh for {period} is" if period else "--kwh is"
            raise ConfigError(f"{again} there twice", code="bill.usage")
        found[period] = parse_quantity(number)
    return Usage(found, kw)


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is different from a bill that was made before, as plain data."""
    from openami.mdm.tariffs.rebilling import rebill

    found = rebill(before, after)
    return {
        "reasons": list(found.reasons),
        "lines": [
            {
                "id": each.name,
                "title": each.title,
                "before": each.before,
                "after": each.after,
                "difference": each.difference,
            }
            for each in found.changes
        ],
        "before": found.total.before,
        "difference": found.total.difference,
    }


def _read(file: Path) -> Any:
    octets = file.read_bytes()
    try:
        return json.loads(octets, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        reason = f"{file} holds no bill"
        raise ConfigError(reason, hint="as --json prints it", code="bill.against") from error
