"""``openami demand displays``: meters that have not forgotten the displays of who moved out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from openami.cli.aiming import aimed
from openami.cli.api import PREFIX, ask, checked, print_pages, segment
from openami.cli.options import examples
from openami.cli.output import Table, emit_json, moment, note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.cli.api import Target
    from openami.transport.http import HttpClient


@click.group(
    epilog=examples(
        "openami demand displays list",
        "openami demand displays done OAM00000001 --why 'forgotten at the door'",
    )
)
def displays() -> None:
    """See that meters forget the displays of who moved out."""


@displays.command("list", epilog=examples("openami demand displays list"))
@click.option("--meter", help="Of this meter alone.")
@aimed
def list_displays(meter: str | None, target: Target, as_json: bool) -> None:
    """List meters that have not forgotten them.

    Each with why; with --json a line of JSON each.
    """
    rows = Table(["meter", "moved out", "last refused", "why"], nothing="all are forgotten")
    print_pages(target, "/demand/displays", rows, _row, most=None, as_json=as_json, meter=meter)


def _row(item: Mapping[str, Any]) -> list[object]:
    refused = item["refused"]
    return [item["meter"], moment(item["movedOut"]), refused and moment(refused), item["why"]]


@displays.command(
    epilog=examples("openami demand displays done OAM00000001 --why 'forgotten at the door'")
)
@click.argument("serial")
@click.option("--why", required=True, help="The reason, for the audit log.")
@aimed
def done(serial: str, why: str, target: Target, as_json: bool) -> None:
    """Say that somebody saw to the meter SERIAL.

    It is not told again to forget the displays of who moved out.
    """

    async def work(client: HttpClient) -> dict[str, Any]:
        path = f"{PREFIX}/meters/{segment(serial)}/displays/done"
        made: dict[str, Any] = checked(await client.post(path, json_body={"why": why})).json()
        return made

    made = ask(target, work)
    if as_json:
        emit_json(made)
    else:
        note(f"meter {made['meter']} is not told any more to forget its displays")
