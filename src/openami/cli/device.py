"""``openami device``: the registry and on-demand reads, over the REST API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli import device_registration
from openami.cli.aiming import aimed
from openami.cli.api import (
    PREFIX,
    ApiError,
    ask,
    checked,
    get_json,
    print_pages,
    segment,
)
from openami.cli.names import parse_name
from openami.cli.options import examples
from openami.cli.output import Table, emit_json, moment, note, table
from openami.core.errors import ConfigError
from openami.core.obis import Obis
from openami.core.units import Quantity, symbol
from openami.dlms.obis_names import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.cli.api import Target
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
@aimed
def list_devices(
    kind: str | None,
    dcu: str | None,
    state: str | None,
    contact: str | None,
    search: str | None,
    most: int | None,
    target: Target,
    as_json: bool,
) -> None:
    """List devices: one JSON object for each line with --json."""
    header = ["serial", "kind", "state", "contact", "dcu", "address", "region", "last seen"]
    print_pages(
        target, "/devices", Table(header, nothing="no such devices"), _summary,
        most=most, as_json=as_json,
        kind=kind, dcu=dcu, state=state, contact=contact, search=search,
    )  # fmt: skip


def _summary(item: Mapping[str, Any]) -> list[object]:
    told = [item[name] for name in ("serial", "kind", "state", "contact", "dcu", "address")]
    return [*told, item["region"], moment(item["last_read"] or item["last_seen"])]


@device.command()
@click.argument("device_id", metavar="DEVICE")
@aimed
def show(device_id: str, target: Target, as_json: bool) -> None:
    """Show one DEVICE, such as meter-A1000001 or dcu-D1."""
    path = _path(device_id)
    item = ask(target, lambda client: get_json(client, path))
    if as_json:
        emit_json(item)
    else:
        table(["what", "value"], [[name, _words(value)] for name, value in item.items() if value])


def _path(device_id: str) -> str:
    """Return the path of a device that is called by its kind and serial number.

    Raises:
        ConfigError: ``config.name``, it is called otherwise.
    """
    if not device_id.startswith(("dcu-", "meter-", "headend-", "ihd-")):
        raise ConfigError(
            f"{device_id!r} is no device: its kind and serial number, with - between",
            hint=f"such as dcu-{device_id}; `openami device list` has the serial numbers",
            code="config.name",
        )
    return f"/devices/{segment(device_id)}"


def _words(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return value


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
@aimed
def move(
    device_id: str,
    to: str,
    why: str,
    target: Target,
    as_json: bool,
) -> None:
    """Move a device in its life.

    DEVICE is such as meter-A1000001 or dcu-D1. TO is the state it is to have: registered, commissioned, 'in service', suspended or retired.
    """

    async def work(client: HttpClient) -> Any:
        wish = {"to": to, "why": why}
        return checked(await client.post(f"{PREFIX}{path}/state", json_body=wish)).json()

    path = _path(device_id)
    item = ask(target, work)
    if as_json:
        emit_json(item)
    else:
        note(f"{item['id']} is {item['state']}")


@device.command(
    short_help="Switch the supply of a meter on or off.",
    epilog=examples(
        "openami device supply OAM00000019 off --why 'moved out'",
        "openami device supply OAM00000019 ready --why 'moved in' --wait 60",
    ),
)
@click.argument("serial")
@click.argument("state", metavar="STATE", type=click.Choice(["on", "off", "ready"]))
@click.option("--why", required=True, help="The reason, for the audit log.")
@click.option("--wait", type=click.FloatRange(0), default=30.0, show_default=True, metavar="SECONDS",
              help="How long to follow an order to a DCU.")  # fmt: skip
@click.option("--within", type=click.IntRange(1), default=3600, show_default=True,
              metavar="SECONDS", help="After which a DCU may do it no more.")  # fmt: skip
@aimed
def supply(
    serial: str, state: str, why: str, wait: float, within: int, target: Target, as_json: bool
) -> None:
    """Switch the supply of the meter with a SERIAL number; STATE is on, off or ready.

    A meter of C12.22 that speaks to the head-end is asked at once. One behind a DCU gets an order,
    which is followed for a while; ready: it is on again when somebody presses the meter's button.
    What was asked for, and what came of it, is in the audit log.
    """
    wish = {
        "connected": state != "off",
        "by_hand": state == "ready",
        "within_s": within,
        "why": why,
    }
    item = ask(target, lambda client: _supplied(client, serial, wish, wait))
    order = item["order"]
    if as_json:
        emit_json(item)
    elif order is None:
        note(f"{serial}: supply {state}: {item['said']}")
    else:
        found = f": {order['found']} {order['reason']}".rstrip(": ")
        note(f"{serial}: supply {state}: {order['state']}{found}")
    if order is not None and order["state"] in {"failed", "expired"}:
        words = f"meter {serial}: {order['found'] or order['reason']}"
        raise ApiError(words, code="supply.refused" if order["found"] else "supply.expired")


async def _supplied(
    client: HttpClient, serial: str, wish: Mapping[str, Any], wait: float
) -> dict[str, Any]:
    path = f"/meters/{segment(serial)}/supply"
    item: dict[str, Any] = checked(await client.post(PREFIX + path, json_body=wish)).json()
    order, told = item["order"], ""
    until = asyncio.get_running_loop().time() + wait
    while order and order["state"] == "waiting" and asyncio.get_running_loop().time() < until:
        if not told:
            told = "its DCU has the order"
            note(told)
        await asyncio.sleep(POLL_S)
        orders = await get_json(client, path)
        order = next(one for one in orders if one["id"] == order["id"])
    return {**item, "order": order}


@device.command(
    "describe",
    short_help="Say where a device is, and what people call it.",
    epilog=examples(
        "openami device describe dcu-OAMDCU0001 --region Seoul --label 'Pole 17'",
        "openami device describe meter-OAM00000001 --label ''",
    ),
)
@click.argument("device_id", metavar="DEVICE")
@click.option("--region", help="Where it is; filters and groups of DCUs go by it.")
@click.option("--label", help="What people call it.")
@aimed
def describe_device(
    device_id: str,
    region: str | None,
    label: str | None,
    target: Target,
    as_json: bool,
) -> None:
    """Say where a device is, and what people call it; what is left out stays.

    DEVICE is such as dcu-D1 or meter-A1000001.
    """
    given = {"region": region, "label": label}
    wish = {name: text for name, text in given.items() if text is not None}
    if not wish:
        raise ConfigError("name --region or --label", code="config.option")
    path = _path(device_id)

    async def work(client: HttpClient) -> Any:
        return checked(await client.request("PATCH", PREFIX + path, json_body=wish)).json()

    item = ask(target, work)
    if as_json:
        emit_json(item)
    else:
        note(f"{item['id']}: region {item['region'] or '–'}, label {item['label'] or '–'}")


def _attributes(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> Any:
    """Return the attributes to read."""
    return [attribute(name) for name in names or DEFAULT_READ]


@device.command(
    epilog=examples(
        "openami device read OAM00000001 1.0.1.8.0.255",
        "openami device read OAM00000001 8/0.0.1.0.0.255/2",
    )
)
@click.argument("serial")
@click.argument("names", nargs=-1, metavar="[OBIS | CLASS/OBIS/ATTRIBUTE]…", callback=_attributes)
@aimed
def read(
    serial: str,
    names: list[dict[str, Any]],
    target: Target,
    as_json: bool,
) -> None:
    """Read attributes of the meter SERIAL now, on demand.

    It is asked through its DCU, or by C12.22 if it has none. A bare OBIS code is the value
    (attribute 2) of a register; another class is given as CLASS/OBIS/ATTRIBUTE, such as
    8/0.0.1.0.0.255/2. Without names: clock, energies and power.
    """
    job = ask(target, lambda client: _read(client, segment(serial), {"attributes": names}))
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
