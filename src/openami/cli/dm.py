"""``openami dm``: DCUs' trees, groups of DCUs, and jobs for them, over the REST API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.api import PREFIX, ApiError, ask, checked, get_json, pages, segment
from openami.cli.dm_account import account
from openami.cli.dm_jobs import execute, get, job, jobs, set_nodes
from openami.cli.dm_log import log
from openami.cli.dm_options import POLL_S, dm_options, wanted_words
from openami.cli.dm_wishes import group, refused, want
from openami.cli.options import examples
from openami.cli.output import counted, emit_json, moment, note, table
from openami.core.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.cli.api import Target
    from openami.transport.http import HttpClient

WAIT_S: Final = 60.0  # a device that can be woken comes within seconds


@click.group(short_help="Look at, configure and command DCUs.")
def dm() -> None:
    """Look at, configure and command DCUs over device management (OMA DM).

    Addresses of nodes are such as ./AMI/Link/Window; docs/reference/management-objects.md has
    them all. A device does what it is told in its next session; it is woken for that.
    """


for _command in (get, set_nodes, execute, want, group, refused, jobs, job, log, account):
    dm.add_command(_command)


@dm.command(
    short_help="Show a device's tree: what it is, and what it is to be.",
    epilog=examples("openami dm tree OAMDCU0001 ./AMI/Link", "openami dm tree D1 --diff"),
)
@click.argument("uid")
@click.argument("below", required=False, metavar="[URI]")
@click.option("--refresh", is_flag=True, help="Have the device look again, and wait for it.")
@click.option(
    "--wait", type=click.FloatRange(0), default=WAIT_S, show_default=True, metavar="SECONDS",
    help="With --refresh: for so long.",
)  # fmt: skip
@click.option("--diff", is_flag=True, help="Only what is not as it is wanted.")
@click.option("--history", is_flag=True, help="What has changed, newest first.")
@click.option("--retry", is_flag=True, help="Tell it again what it has refused.")
@click.option("--most", type=click.IntRange(1), default=100, show_default=True, help="Changes.")
@dm_options()
def tree(
    uid: str,
    below: str | None,
    refresh: bool,
    wait: float,
    diff: bool,
    history: bool,
    retry: bool,
    most: int,
    target: Target,
    as_json: bool,
) -> None:
    """Show a device's tree: what is known, what is wanted, what it has refused.

    UID is the device, URI the node that is shown with all below it.
    """
    where = f"/dm/devices/{segment(uid)}"

    async def work(client: HttpClient) -> Any:
        if retry:
            told = checked(await client.post(f"{PREFIX}{where}/retry")).json()
            note(f"{counted(told['nodes'], 'node')} will be told again")
        if refresh:
            await _refresh(client, where, wait)
        if history:
            found = pages(client, f"{where}/history", most=most, below=below)
            return [item async for item in found]
        return await get_json(client, f"{where}/tree", below=below)

    found = ask(target, work)
    if as_json:
        for item in found if history else [found]:
            emit_json(item)
    elif history:
        _print_history(found)
    else:
        _print_tree(found, diff=diff)


@dm.command()
@click.argument("uid")
@dm_options()
def wake(uid: str, target: Target, as_json: bool) -> None:
    """Have the device UID begin a session, soon."""

    async def work(client: HttpClient) -> Any:
        path = f"{PREFIX}/dm/devices/{segment(uid)}/wake"
        return checked(await client.post(path)).json()

    answer = ask(target, work)
    if as_json:
        emit_json(answer)
    else:
        note(f"{uid} is woken" if answer["woken"] else f"{uid} has no account")


async def _refresh(client: HttpClient, where: str, wait: float) -> None:
    """Have a tree looked at again, and wait for it.

    Raises:
        TransportError: ``dm.wait``, it has not come in time; it is looked at when it comes.
    """
    answer = checked(await client.post(f"{PREFIX}{where}/refresh")).json()
    if not answer["woken"]:
        raise ApiError("the device has no account", code="dm.no-account")
    note("waiting for the device")
    try:
        async with asyncio.timeout(wait):
            while True:
                if not await _unseen(client, where):
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise TransportError(
            f"the device has not come within {wait:g} s",
            hint="its tree is looked at when it comes: ask then without --refresh, or --wait more",
            code="dm.wait",
        ) from error


async def _unseen(client: HttpClient, where: str) -> bool:
    return (await get_json(client, f"{where}/tree", below="./DevInfo"))["known_at"] is None


def _print_tree(found: Mapping[str, Any], *, diff: bool) -> None:
    known = found["known_at"]
    note(f"last seen {moment(known)}" if known else "not seen, or to be looked at again")
    if found["groups"]:
        note(f"groups: {', '.join(found['groups'])}")
    rows: list[list[object]] = [
        [
            node["uri"],
            node["value"],
            wanted_words(node["wanted"]),
            node["wanted"]["scope"] if node["wanted"] else "",
            _standing(node),
        ]
        for node in found["nodes"]
        if not diff or node["pending"] or node["refused"]
    ]
    table(
        ["node", "value", "wanted", "by", "standing"],
        rows,
        nothing="nothing differs" if diff else "no such nodes",
        cut=("value", "wanted", "standing"),
    )


def _standing(node: Mapping[str, Any]) -> str:
    if node["refused"]:
        why = f": {node['words']}" if node["words"] else ""
        return f"refused with {node['refused']}{why}"
    return f"to {node['pending']}" if node["pending"] else ""


def _print_history(found: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [moment(item["at"]), item["uri"], item["old"], item["new"], item["status"],
         item["origin"], item["words"]]
        for item in found
    ]  # fmt: skip
    table(
        ["when", "node", "was", "became", "status", "by", "why"],
        rows,
        nothing="nothing has changed",
        cut=("was", "became", "why"),
    )
