"""``openami meter label`` and ``openami meter displays``: a meter and its household."""

from __future__ import annotations

from pathlib import Path

import click

from openami.cli.options import examples
from openami.cli.output import emit_json, json_option, table
from openami.core.clock import isoformat
from openami.core.errors import NotFoundError

_state = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Folder of the meter.",
)


@click.command(
    short_help="Show a meter's label, with the code that displays are paired by.",
    epilog=examples(
        "openami meter label --state meter",
        "openami meter label --state street --serial OAM00000001 --json",
    ),
)
@_state
@click.option("--serial", metavar="SERIAL", help="Of a street's meters, this one.")
@json_option
def label(state: Path, serial: str | None, *, as_json: bool) -> None:
    """Show the label of a meter: its serial number, what mains it is made for, and a code.

    Displays are paired by the code.

    Whoever has the code can read what the household uses: it stands on the meter alone, and in no
    shipment to a utility.
    """
    from openami.meter.home.stopped import labelled

    meters = [each for each in labelled(state) if serial in {None, each.serial}]
    if not meters:
        raise NotFoundError(f"{state} has no meter {serial}")
    rows = [
        {
            "serial": each.serial,
            "system_title": str(each.system_title),
            "phases": each.phases,
            "grid": str(each.grid),
            "code": each.home,
        }
        for each in meters
    ]
    if as_json:
        emit_json(rows[0] if len(rows) == 1 else rows)
        return
    header = ("serial", "system title", "phases", "V/Hz", "code")
    table(header, [tuple(row.values()) for row in rows])


@click.command(
    short_help="List the displays that are paired with a meter, or forget one.",
    epilog=examples(
        "openami meter displays --state meter", "openami meter displays --state meter --forget 2"
    ),
)
@_state
@click.option(
    "--forget", type=click.IntRange(1, 4), metavar="N", help="Forget the display in place N, first."
)
@json_option
def displays(state: Path, forget: int | None, *, as_json: bool) -> None:
    """List the displays that are paired with a meter that does not run, or forget one of them.

    Of a meter that runs, a management client reads and changes them: class 8192, 0.0.96.50.0.255.
    """
    from openami.meter.home.stopped import displays_of, place_of

    rows = [
        {
            "place": place_of(each.client),
            "name": each.name,
            "system_title": str(each.title),
            "since": isoformat(each.since),
        }
        for each in displays_of(state, forget=forget)
    ]
    if as_json:
        emit_json(rows)
        return
    header = ("place", "name", "system title", "since")
    table(header, [tuple(row.values()) for row in rows], nothing="no displays are paired")
