"""``openami device``: the registry and on-demand reads, over the REST API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from openami.cli import device_registration
from openami.cli.api import (
    PREFIX,
    ApiError,
    ask,
    checked,
    find_target,
    get_json,
    pages,
    target_options,
)
from openami.cli.names import parse_name
from openami.cli.options import examples
from openami.cli.output import emit_json, json_option, note, table
from openami.core.obis import Obis
from openami.core.units import Quantity, symbol
from openami.dlms.obis_names import describe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from openami.transport.http import HttpClient

POLL_S: Final = 0.3
FINAL: Final = frozenset({"done", "failed", "expired"})
DEFAULT_READ: Final = ("0.0.1.0.0.255", "1.0.1.8.0.255", "1.0.2.8.0.255", "1.0.1.7.0.255")
REGISTER: Final = 3
CLASSES: Final[Mapping[str, int]] = {"0.0.1.0.0.255": 8, "0.0.96.1.0.255": 1, "0.0.42.0.0.255": 1}


@click.group()
def device() -> None:
    """Look after the devices of a head-end."""


@device.command("list")
@click.option("--kind", type=click.Choice(["dcu", "meter"]), help="Only these.")
@click.option("--dcu", help="Only meters of this DCU.")
@click.option("--state", help="Only devices in this state of their life, such as 'in service'.")
@click.option("--contact", help="Only meters of which their DCU says this, such as unreachable.")
@click.option("--search", help="Part of serial number, label or model.")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@target_options
@json_option
def list_devices(
    kind: str | None,
    dcu: str | None,
    state: str | None,
    contact: str | None,
    search: str | None,
    most: int | None,
    url: str | None,
    ca: Path | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """List devices: one JSON object for each line with --json."""
    rows: list[list[object]] = []

    async def work(client: HttpClient) -> None:
        async for item in pages(
            client, "/devices", most=most, kind=kind, dcu=dcu, state=state, contact=contact,
            search=search,
        ):  # fmt: skip
            if as_json:
                emit_json(item)
            else:
                rows.append(
                    [item["serial"], item["kind"], item["state"], item["contact"], item["dcu"],
                     item["address"], item["last_read"] or item["last_seen"]]
                )  # fmt: skip

    ask(find_target(url, ca, token_file), work)
    if not as_json:
        table(["serial", "kind", "state", "contact", "dcu", "address", "last read"], rows)


@device.command()
@click.argument("device_id", metavar="DEVICE")
@target_options
@json_option
def show(
    device_id: str, url: str | None, ca: Path | None, token_file: Path | None, as_json: bool
) -> None:
    """Show one device, such as meter-A1000001 or dcu-D1."""
    item = ask(
        find_target(url, ca, token_file),
        lambda client: get_json(client, f"/devices/{quote(device_id, safe='')}"),
    )
    if as_json:
        emit_json(item)
    else:
        table(["what", "value"], [[name, value] for name, value in item.items() if value])


@device.command(
    epilog=examples("openami device move meter-OAM00000001 suspended --why 'moved house'")
)
@click.argument("device_id", metavar="DEVICE")
@click.argument(
    "to",
    metavar="TO",
    type=click.Choice(["registered", "commissioned", "in service", "suspended", "retired"]),
)
@click.option("--why", required=True, help="The reason, for the audit log.")
@target_options
@json_option
def move(
    device_id: str,
    to: str,
    why: str,
    url: str | None,
    ca: Path | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Move a device in its life.

    TO is the state it is to have: registered, commissioned, 'in service', suspended or retired.
    """

    async def work(client: HttpClient) -> Any:
        path = f"{PREFIX}/devices/{quote(device_id, safe='')}/state"
        return checked(await client.post(path, json_body={"to": to, "why": why})).json()

    item = ask(find_target(url, ca, token_file), work)
    if as_json:
        emit_json(item)
    else:
        note(f"{item['id']} is {item['state']}")


@device.command(
    epilog=examples(
        "openami device read OAM00000001 1.0.1.8.0.255",
        "openami device read OAM00000001 8/0.0.1.0.0.255/2",
    )
)
@click.argument("serial")
@click.argument("names", nargs=-1, metavar="[OBIS | CLASS/OBIS/ATTRIBUTE]…")
@target_options
@json_option
def read(
    serial: str,
    names: tuple[str, ...],
    url: str | None,
    ca: Path | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Read attributes of a meter now, through its DCU.

    A bare OBIS code is the value (attribute 2) of a register; another class is given as
    CLASS/OBIS/ATTRIBUTE, such as 8/0.0.1.0.0.255/2. Without names: clock, energies and power.
    """
    wish = {"attributes": [attribute(name) for name in names or DEFAULT_READ]}
    job = ask(
        find_target(url, ca, token_file), lambda client: _read(client, quote(serial, safe=""), wish)
    )
    if as_json:
        emit_json(job)
    else:
        table(
            ["obis", "name", "value", "unit"],
            [_result(result) for result in job["results"]],
        )
    if job["state"] != "done":
        error = job["error"] or {"code": "job.expired", "message": "nobody answered in time"}
        raise ApiError(error["message"], code=error["code"])


def attribute(name: str) -> dict[str, Any]:
    """Return the attribute that a name on the command line means.

    Raises:
        ConfigError: it has neither form.
    """
    found = parse_name(name)
    if isinstance(found, Obis):
        return {"class_id": CLASSES.get(str(found), REGISTER), "obis": str(found), "attribute": 2}
    return {"class_id": found.class_id, "obis": str(found.obis), "attribute": found.attribute}


async def _read(client: HttpClient, serial: str, wish: Mapping[str, Any]) -> dict[str, Any]:
    answer = checked(await client.post(f"{PREFIX}/meters/{serial}/reads", json_body=wish))
    job: dict[str, Any] = answer.json()
    shown = ""
    while job["state"] not in FINAL:
        text = f"{job['state']} {round(100 * job['progress'])} %"
        if text != shown:
            note(text)
            shown = text
        await asyncio.sleep(POLL_S)
        job = await get_json(client, f"/jobs/{job['id']}")
    return job


def _result(result: Mapping[str, Any]) -> list[object]:
    obis, value = result["obis"], result.get("value")
    name = describe(Obis.parse(obis))
    if result.get("error"):
        return [obis, name, f"[{result['error']}]", ""]
    unit = "" if result.get("unit") is None else symbol(result["unit"])
    if isinstance(value, int) and result.get("scaler") is not None:
        value = f"{Quantity(value, result['scaler'], result['unit']).decimal():f}"
    return [obis, name, str(value), unit]


for _command in device_registration.COMMANDS:
    device.add_command(_command)
