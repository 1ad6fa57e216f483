"""``openami dm get``, ``set``, ``exec`` and the jobs that they make."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.api import PREFIX, ApiError, ask, checked, get_json, made_once, pages, segment
from openami.cli.dm_options import POLL_S, WHOM, dm_options, read_filter, read_settings
from openami.cli.options import examples
from openami.cli.output import counted, emit_json, moment, note, table
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.cli.api import Target
    from openami.transport.http import HttpClient

SLOWER: Final = 1.1
POLL_MOST_S: Final = 10.0

_JOB: Final = (
    click.option("--wait/--no-wait", default=True, help="Wait for the answers (the default)."),
    click.option(
        "--expires", type=click.FloatRange(0, min_open=True), default=86_400.0, show_default=True,
        metavar="SECONDS", help="How long devices have for it.",
    ),
    click.option("--why", default="", help="The reason, for the audit log."),
)  # fmt: skip


@click.command(
    epilog=examples(
        "openami dm get ./AMI/Link/Window --device OAMDCU0001",
        "openami dm get './AMI?list=TNDS' --group north --json",
    )
)
@click.argument("uris", nargs=-1, required=True, metavar="URI…")
@dm_options(WHOM, _JOB)
def get(uris: tuple[str, ...], **given: Any) -> None:
    """Read nodes of devices.

    An inner node gives the names below it, URI?list=TNDS all below it with its values,
    URI?prop=ACL a property.
    """
    _run_job({"kind": "get", "uris": list(uris)}, **given)


@click.command(
    "set",
    epilog=examples(
        "openami dm set ./AMI/Link/Window=3 --device OAMDCU0001",
        "openami dm set ./AMI/Collection/LoadPeriod=900 --group north --keep",
    ),
)
@click.argument("settings", nargs=-1, required=True, metavar="URI=VALUE…")
@click.option("--keep", is_flag=True, help="Want it so from now on, as `dm want` does.")
@click.option("--unchecked", is_flag=True, help="Send nodes and values that we do not know.")
@dm_options(WHOM, _JOB)
def set_nodes(settings: tuple[str, ...], keep: bool, unchecked: bool, **given: Any) -> None:
    """Set nodes of devices once: at each of them all, or none.

    URI=VALUE is a node and what it is to be. Nodes that are not there are made. What a group or a device is wanted to be (see `dm want`)
    wins in the end.
    """
    wish = {"kind": "set", "settings": read_settings(settings, unchecked=unchecked), "keep": keep}
    _run_job(wish, **given)


@click.command(
    "exec",
    epilog=examples("openami dm exec ./AMI/Operations/Collect --filter region=Seoul"),
)
@click.argument("uri")
@click.option("--data", default="", help="What is handed to the node.")
@click.option("--repeatable", is_flag=True, help="Executing it twice does no harm.")
@dm_options(WHOM, _JOB)
def execute(uri: str, data: str, repeatable: bool, **given: Any) -> None:
    """Execute the node URI of devices, such as ./AMI/Operations/Collect.

    Where a session breaks off in between, nobody knows whether it was executed: the device's
    state is then unknown, unless it may be done again.
    """
    _run_job({"kind": "exec", "uris": [uri], "data": data, "repeatable": repeatable}, **given)


@click.command()
@click.option("--device", metavar="UID", help="Only jobs that this DCU has a part in.")
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="At most.")
@dm_options()
def jobs(
    device: str | None,
    most: int,
    target: Target,
    as_json: bool,
) -> None:
    """List jobs, newest first."""

    async def work(client: HttpClient) -> list[dict[str, Any]]:
        found = pages(client, "/dm/jobs", most=most, device=device, limit=min(most, 1000))
        return [item async for item in found]

    found = ask(target, work)
    if as_json:
        for item in found:
            emit_json(item)
        return
    rows = [
        [
            item["id"],
            moment(item["created"]),
            item["who"],
            item["kind"],
            _nodes(item),
            _progress(item),
        ]
        for item in found
    ]
    table(["job", "created", "by", "what", "nodes", "devices"], rows, nothing="no jobs")


@click.command()
@click.argument("job_id", metavar="JOB")
@click.option("--wait", is_flag=True, help="Wait until every device has answered.")
@click.option("--cancel", is_flag=True, help="Take back what was not sent yet.")
@dm_options()
def job(
    job_id: str,
    wait: bool,
    cancel: bool,
    target: Target,
    as_json: bool,
) -> None:
    """Show a job, device by device.

    JOB is what `jobs` calls it.
    """
    path = f"/dm/jobs/{segment(job_id)}"

    async def work(client: HttpClient) -> tuple[Any, list[Any]]:
        if cancel:
            checked(await client.post(f"{PREFIX}{path}/cancel"))
        found = await get_json(client, path)
        if wait:
            found = await _followed(client, found)
        return found, [item async for item in pages(client, f"{path}/tasks", most=None)]

    found, tasks = ask(target, work)
    _print_job(found, tasks, as_json=as_json)


def _run_job(
    wish: dict[str, Any],
    *,
    devices: tuple[str, ...],
    group: str | None,
    filters: tuple[str, ...],
    wait: bool,
    expires: float,
    why: str,
    target: Target,
    as_json: bool,
) -> None:
    """Make a job, follow it, print what came of it; an error unless all devices have done it."""
    which = read_filter(filters)
    if bool(devices) + (group is not None) + (which is not None) != 1:
        raise ConfigError("name --device, --group or --filter", code="config.option")
    whole = {
        **wish, "devices": list(devices), "group": group, "filter": which, "expires_s": expires,
        "why": why,
    }  # fmt: skip

    async def work(client: HttpClient) -> tuple[Any, list[Any]]:
        found = await made_once(client, "/dm/jobs", whole)
        note(f"job {found['id']} for {counted(found['total'], 'device')}")
        if not wait:
            return found, []
        found = await _followed(client, found)
        path = f"/dm/jobs/{found['id']}/tasks"
        return found, [item async for item in pages(client, path, most=None)]

    found, tasks = ask(target, work)
    _print_job(found, tasks, as_json=as_json)
    if wait and found["counts"].get("done", 0) < found["total"]:
        raise ApiError(
            f"not every device has done it: {_progress(found)}",
            hint=f"openami dm job {found['id']} shows it again, openami dm log UID --last a session",
            code="job.failed",
        )


async def _followed(client: HttpClient, found: dict[str, Any]) -> dict[str, Any]:
    shown, pause = "", POLL_S
    while found["open"]:
        if (text := _progress(found)) != shown:
            note(text)
            shown = text
        await asyncio.sleep(pause)
        # Who has waited long waits a little longer; to count a country's tasks takes a while.
        pause = min(pause * SLOWER, POLL_MOST_S)
        found = await get_json(client, f"/dm/jobs/{found['id']}")
    return found


def _nodes(item: Mapping[str, Any]) -> str:
    names = [command["uri"] for command in item["commands"]]
    more = len(names) - 2
    return ", ".join(names[:2]) + (f" and {more} more" if more > 0 else "")


def _progress(item: Mapping[str, Any]) -> str:
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(item["counts"].items()))
    return f"{item['total'] - item['open']:,} of {item['total']:,}: {told}"


def _print_job(found: Mapping[str, Any], tasks: Sequence[Any], *, as_json: bool) -> None:
    if as_json:
        emit_json({**found, "tasks": tasks} if tasks else found)
        return
    rows: list[list[object]] = []
    for task in tasks:
        results = task["results"] or [{"uri": "", "status": task["status"], "value": None}]
        rows += [
            [
                task["device"],
                task["state"],
                result["uri"],
                result["status"],
                result["value"],
            ]
            for result in results
        ]
    if rows:
        table(["device", "state", "node", "status", "value"], rows)
    note(_progress(found))
