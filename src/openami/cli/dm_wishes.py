"""``openami dm want`` and ``openami dm group``: what devices are to be like from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from openami.cli.api import PREFIX, ask, checked, get_json, pages, segment
from openami.cli.dm_options import (
    WHOM,
    dm_options,
    filter_words,
    read_filter,
    read_settings,
    wanted_words,
)
from openami.cli.options import examples
from openami.cli.output import counted, emit_json, moment, note, table
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.cli.api import Target
    from openami.transport.http import HttpClient


@click.command(
    short_help="Want nodes to be so from now on, or show what is wanted.",
    epilog=examples(
        "openami dm want --group north ./AMI/Collection/LoadPeriod=900",
        "openami dm want --device OAMDCU0001 ./AMI/Meters/7/Serial=OAM00000007",
        "openami dm want --group north --remove ./AMI/Collection/LoadPeriod",
    ),
)
@click.argument("settings", nargs=-1, metavar="[URI=VALUE]…")
@click.option("--device", metavar="UID", help="Of this DCU; wins over its groups.")
@click.option("--group", help="Of all DCUs of this group, now and later.")
@click.option("--remove", multiple=True, metavar="URI", help="Want nothing of it any more.")
@click.option("--absent", multiple=True, metavar="URI", help="Want no such node.")
@click.option("--unchecked", is_flag=True, help="Want nodes and values that we do not know.")
@dm_options()
def want(
    settings: tuple[str, ...],
    device: str | None,
    group: str | None,
    remove: tuple[str, ...],
    absent: tuple[str, ...],
    unchecked: bool,
    target: Target,
    as_json: bool,
) -> None:
    """Want nodes to be so from now on; show what is wanted if nothing is named.

    URI=VALUE is a node and what it is to be.
    """
    if (device is None) == (group is None):
        raise ConfigError("name --device or --group", code="config.option")
    kind, name = ("devices", device) if device is not None else ("groups", group)
    where = f"/dm/{kind}/{segment(name or '')}/desired"
    chosen = [
        *read_settings(settings, unchecked=unchecked),
        *({"uri": uri, "value": None, "unchecked": unchecked} for uri in absent),
    ]

    async def work(client: HttpClient) -> Any:
        if remove:
            query = urlencode([("uri", uri) for uri in remove])
            answer = await client.request("DELETE", f"{PREFIX}{where}?{query}")
            _say_concerned(checked(answer).json())
        if chosen:
            answer = await client.request("PUT", PREFIX + where, json_body={"settings": chosen})
            _say_concerned(checked(answer).json())
        return await get_json(client, where)

    found = ask(target, work)["items"]
    if as_json:
        for item in found:
            emit_json(item)
        return
    rows = [[wish["uri"], wanted_words(wish), wish["who"], moment(wish["at"])] for wish in found]
    table(["node", "wanted", "by", "since"], rows, nothing="nothing is wanted")


def _say_concerned(answer: Mapping[str, Any]) -> None:
    note(f"{counted(answer['devices'], 'device')} will be told")


@click.group()
def group() -> None:
    """Groups of DCUs that are configured together, by a filter."""


@group.command("list")
@dm_options()
def list_groups(target: Target, as_json: bool) -> None:
    """List the groups, the weakest first."""
    found = ask(target, lambda client: get_json(client, "/dm/groups"))
    if as_json:
        for item in found["items"]:
            emit_json(item)
        return
    rows = [
        [item["name"], item["priority"], item["devices"], item["wishes"], filter_words(item)]
        for item in found["items"]
    ]
    table(["group", "priority", "devices", "settings", "filter"], rows, nothing="no groups")


@group.command("set", epilog=examples("openami dm group set north --filter region=north"))
@click.argument("name")
@click.option("--priority", type=int, default=0, show_default=True, help="The highest wins.")
@dm_options(WHOM[2:])
def set_group(
    name: str,
    priority: int,
    filters: tuple[str, ...],
    target: Target,
    as_json: bool,
) -> None:
    """Make the group NAME, or give it another filter or priority."""
    wish = {"filter": read_filter(filters) or {}, "priority": priority}

    async def work(client: HttpClient) -> Any:
        path = f"{PREFIX}/dm/groups/{segment(name)}"
        return checked(await client.request("PUT", path, json_body=wish)).json()

    item = ask(target, work)
    if as_json:
        emit_json(item)
    else:
        note(f"group {item['name']} has {counted(item['devices'], 'device')}")


@group.command("show")
@click.argument("name")
@dm_options()
def show_group(name: str, target: Target, as_json: bool) -> None:
    """Show how many devices of the group NAME are as it wants them to be.

    Devices that a stronger group, or what is wanted of them alone, make otherwise are in neither
    of the last columns.
    """
    path = f"/dm/groups/{segment(name)}/progress"
    found = ask(target, lambda client: get_json(client, path))["items"]
    if as_json:
        for item in found:
            emit_json(item)
        return
    rows = [
        [item["wish"]["uri"], wanted_words(item["wish"]), item["devices"], item["so"],
         item["refused"]]
        for item in found
    ]  # fmt: skip
    table(["node", "wanted", "devices", "as wanted", "refused"], rows, nothing="nothing is wanted")


@group.command(
    "diff",
    short_help="List devices that are not what they are wanted to be.",
    epilog=examples("openami dm group diff north"),
)
@click.argument("name")
@click.option("--count", is_flag=True, help="Only how many, not which.")
@click.option("--most", type=click.IntRange(1), help="At most so many devices.")
@dm_options()
def diff_group(
    name: str,
    count: bool,
    most: int | None,
    target: Target,
    as_json: bool,
) -> None:
    """List the devices of a group that are not what they are wanted to be, and at which nodes.

    NAME is the group. What counts is all that is wanted of each: by this group, by others and of
    itself. A device that was not looked at yet is listed, too: what it is, is not known.
    """
    where = f"/dm/groups/{segment(name)}"

    async def work(client: HttpClient) -> tuple[Any, list[dict[str, Any]]]:
        standing = await get_json(client, f"{where}/standing")
        if count:
            return standing, []
        found = pages(client, f"{where}/differences", most=most)
        return standing, [item async for item in found]

    standing, found = ask(target, work)
    if as_json:
        for item in [standing] if count else found:
            emit_json(item)
        return
    note(
        f"{standing['different']:,} of {counted(standing['devices'], 'device')} different,"
        f" {standing['unseen']:,} to be looked at, {standing['refused']:,} with refusals"
    )
    if not count:
        table(
            ["device", "node", "value", "wanted", "by", "standing"],
            [row for item in found for row in _different(item)],
            nothing="nothing differs",
            cut=("value", "wanted", "standing"),
        )


def _different(item: Mapping[str, Any]) -> list[list[object]]:
    """Return the rows of a device that differs."""
    device, unseen = item["device"], item["known_at"] is None
    rows: list[list[object]] = [
        [device, node["uri"], node["value"], wanted_words(node["wanted"]),
         node["wanted"]["scope"], _refusal(node) or ("to be looked at" if unseen else "")]
        for node in item["nodes"]
    ]  # fmt: skip
    if item["more"]:
        rows.append([device, f"and {item['more']:,} more", "", "", "", ""])
    return rows or [[device, "", "", "", "", "to be looked at"]]


def _refusal(node: Mapping[str, Any]) -> str:
    if node["refused"] is None:
        return ""
    return f"refused with {node['refused']}" + (f": {node['words']}" if node["words"] else "")


@click.command()
@click.option("--group", help="Only by DCUs of this group.")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@dm_options()
def refused(
    group: str | None,
    most: int | None,
    target: Target,
    as_json: bool,
) -> None:
    """List what DCUs have refused of what is wanted of them."""

    async def work(client: HttpClient) -> list[dict[str, Any]]:
        found = pages(client, "/dm/refused", most=most, group=group)
        return [item async for item in found]

    found = ask(target, work)
    if as_json:
        for item in found:
            emit_json(item)
        return
    rows = [
        [item["device"], item["uri"], item["value"],
         wanted_words({"value": item["wanted"]}), item["status"], item["words"]]
        for item in found
    ]  # fmt: skip
    table(
        ["device", "node", "value", "wanted", "status", "why"], rows, nothing="nothing is refused"
    )


@group.command("remove")
@click.argument("name")
@dm_options()
def remove_group(name: str, target: Target, as_json: bool) -> None:
    """Remove the group NAME; its devices stay as they are."""

    async def work(client: HttpClient) -> Any:
        path = f"{PREFIX}/dm/groups/{segment(name)}"
        return checked(await client.request("DELETE", path)).json()

    answer = ask(target, work)
    if as_json:
        emit_json(answer)
    else:
        note(f"group {name} is gone; it had {counted(answer['devices'], 'device')}")
