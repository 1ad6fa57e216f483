"""``openami campaign``: releases on their way to devices, over the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.aiming import aimed
from openami.cli.api import PREFIX, ask, checked, get_json, made_once, print_pages, segment
from openami.cli.campaign_options import spec_options
from openami.cli.campaign_words import print_progress, print_timeline, said, states_words, watched
from openami.cli.options import examples
from openami.cli.output import Table, counted, emit_json, moment, note, table
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from openami.cli.api import Target
    from openami.transport.http import HttpClient

PATH: Final = "/campaigns"
DRY_RUN_S: Final = 120.0  # of silence: a country's registry is counted
STATES: Final = (
    "draft", "planned", "approved", "running", "paused", "finished", "stopped",
    "emergency-stopped",
)  # fmt: skip
DEVICE_STATES: Final = (
    "waiting", "offered", "downloaded", "transferred", "verified", "activated", "self-tested",
    "confirmed", "reverted", "discarded", "failed",
)  # fmt: skip

_id = click.argument("campaign_id", metavar="CAMPAIGN")


@click.group(short_help="Releases on their way to devices, group by group.")
def campaign() -> None:
    """Carry a release to many devices.

    A campaign is drafted, planned, approved by another operator than those who wrote it, and
    started; it may be paused, resumed and stopped.
    """


def _wanted(spec: dict[str, Any] | None) -> dict[str, Any]:
    if spec is None:
        raise ConfigError(
            "say what the campaign is", hint="--release NUMBER, or --file FILE", code="usage"
        )
    return spec


@campaign.command(
    short_help="Write a campaign.",
    epilog=examples(
        "openami campaign draft --release 7 --canary 1% --groups 10%,rest --window 01:00-05:00",
        "openami campaign draft --file campaign.json --why 'ticket 4711'",
    ),
)
@spec_options
@click.option("--why", default="", help="What it is for, for the audit log.")
@click.option("--key", help="Of this draft: sent again with it, it makes no second campaign.")
@aimed
def draft(
    target: Target, spec: dict[str, Any] | None, why: str, key: str | None, as_json: bool
) -> None:
    """Write a campaign; nothing is sent to a device before it is planned, approved and started."""
    wish = {"campaign": _wanted(spec), "why": why}

    def work(client: HttpClient) -> Awaitable[Any]:
        return made_once(client, PATH, wish, key=key, timeout_s=DRY_RUN_S)

    _tell(ask(target, work), as_json=as_json)


@campaign.command(
    short_help="Write a campaign anew that is not started.",
    epilog=examples("openami campaign revise c7f3 --file campaign.json"),
)
@_id
@spec_options
@click.option("--why", default="", help="The reason, for the audit log.")
@aimed
def revise(
    target: Target, campaign_id: str, spec: dict[str, Any] | None, why: str, as_json: bool
) -> None:
    """Write CAMPAIGN anew, whole, before it is started; it is a draft again."""
    path = _path(campaign_id)

    async def work(client: HttpClient) -> Any:
        found = await get_json(client, path)
        number = found["progress"]["next_number"]
        wish = {"campaign": _wanted(spec), "number": number, "why": why}
        return checked(await client.request("PUT", PREFIX + path, json_body=wish)).json()

    _tell(ask(target, work), as_json=as_json)


@campaign.command(
    "dry-run",
    short_help="Say what a campaign would do.",
    epilog=examples(
        "openami campaign dry-run c7f3", "openami campaign dry-run --release 7 --groups 10%,rest"
    ),
)
@click.argument("campaign_id", metavar="CAMPAIGN", required=False)
@spec_options
@click.option(
    "--order",
    type=click.IntRange(0, 1000),
    default=0,
    show_default=True,
    help="List so many DCUs in their order, too.",
)
@click.option("--after", type=click.IntRange(0), default=0, help="Pass so many DCUs over.")
@aimed
def dry_run(
    target: Target,
    campaign_id: str | None,
    spec: dict[str, Any] | None,
    order: int,
    after: int,
    as_json: bool,
) -> None:
    """Say what CAMPAIGN, or one that options describe, would do if it were started now.

    How many devices, in which groups, when, and who is left out for what reason. Nothing is kept.
    """
    if (campaign_id is None) == (spec is None):
        raise ConfigError("name a campaign, or describe one", code="usage")

    async def work(client: HttpClient) -> Any:
        wish = spec
        if campaign_id is not None:
            wish = (await get_json(client, _path(campaign_id)))["campaign"]
        return await _post(client, f"{PATH}/dry-run?after={after}&limit={order}", wish)

    item = ask(target, work)
    if as_json:
        emit_json(item)
    else:
        _print_dry_run(item)


def _print_dry_run(item: Mapping[str, Any]) -> None:
    times = ("begins", "downloaded", "activated", "ends")
    rows = [
        [
            group["name"], group["dcus"], group["devices"],
            *(moment(group[name]) or "never" for name in times), group["bound"],
        ]
        for group in item["groups"]
    ]  # fmt: skip
    table(["group", "dcus", "devices", *times, "depends on"], rows)
    if item["excluded"]:
        click.echo()
        left = [
            [e["devices"], e["dcus"], e["code"], e["cause"], e["step"]] for e in item["excluded"]
        ]
        table(
            ["left out", "dcus", "code", "cause", "what to do"], left, cut=("cause", "what to do")
        )
    if item["order"]:
        click.echo()
        columns = ("place", "dcu", "group", "area", "cell", "devices")
        table(columns, [[one[name] for name in columns] for one in item["order"]])
    ends = moment(item["ends"]) or "never, with these windows"
    late = "" if item["in_time"] else ", after its own end"
    note(
        f"{counted(item['devices'], 'device')} behind {counted(item['dcus'], 'DCU')}; ends {ends}{late}"
    )


def _act(name: str, short: str, does: str, *, needs_why: bool = False) -> None:
    """Add the command for one thing that an operator commands."""
    typed = f"openami campaign {name} c7f3" + (" --why '…'" if needs_why else "")

    @campaign.command(
        name,
        help=f"{does}\n\nCAMPAIGN is what `list` calls it.",
        short_help=short,
        epilog=examples(typed),
    )
    @_id
    @click.option("--why", required=needs_why, default=None if needs_why else "",
                  help="The reason, for the audit log.")  # fmt: skip
    @aimed
    def command(target: Target, campaign_id: str, why: str, as_json: bool) -> None:
        path = _path(campaign_id)

        async def work(client: HttpClient) -> Any:
            number = None
            if name != "stop":
                number = (await get_json(client, path))["progress"]["next_number"]
            return await _post(client, f"{path}/{name}", {"number": number, "why": why})

        _tell(ask(target, work), as_json=as_json)


_act(
    "plan",
    "Count a draft's devices, and put them in order.",
    "Count a draft's devices and put them in order, for another operator to approve.",
)
_act(
    "approve",
    "Approve what others planned.",
    "Approve what other operators wrote and planned.",
    needs_why=True,
)
_act("start", "Let devices have it.", "Let devices have it, group by group.")
_act("pause", "Begin nothing new.", "Begin nothing new; what switches goes on.", needs_why=True)
_act("resume", "Go on after a pause.", "Go on; failures so far are accepted.", needs_why=True)
_act("stop", "End it for good.", "End it for good; devices keep what they run.", needs_why=True)


@campaign.command(
    "emergency-stop",
    short_help="Stop everything, now.",
    epilog=examples("openami campaign emergency-stop --why 'meters lose their clock'"),
)
@click.option("--why", required=True, help="The reason, for the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask whether you are sure.")
@aimed
def emergency_stop(target: Target, why: str, yes: bool, as_json: bool) -> None:
    """Stop every campaign of the whole fleet for good, at each DCU with its next poll."""
    if not yes:
        click.confirm("Stop every campaign of the whole fleet, for good?", abort=True, err=True)
    item = ask(target, lambda client: _post(client, f"{PATH}/emergency-stop", {"why": why}))
    if as_json:
        emit_json(item)
    else:
        note(
            f"{counted(item['campaigns'], 'campaign')} stopped; the fleet's epoch is {item['epoch']}"
        )


@campaign.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def list_campaigns(target: Target, state: str | None, most: int | None, as_json: bool) -> None:
    """List campaigns, the newest first."""
    header = ["campaign", "name", "package", "state", "devices", "confirmed", "failed", "since"]

    def row(item: dict[str, Any]) -> list[object]:
        states = item["states"]
        failed = sum(states.get(name, 0) for name in ("failed", "reverted", "discarded"))
        told = [item["id"], item["name"], item["package"], item["state"], item["devices"]]
        return [*told, states.get("confirmed", 0), failed, moment(item["since"])]

    print_pages(target, PATH, Table(header, nothing="no such campaigns", cut=("name",)), row,
            most=most, as_json=as_json, state=state)  # fmt: skip


@campaign.command(short_help="Show how far a campaign is.")
@_id
@aimed
def show(target: Target, campaign_id: str, as_json: bool) -> None:
    """Show CAMPAIGN: how far each group is, and why devices failed.

    With --json the whole of it, which --file of `draft` and `revise` takes.
    """
    item = ask(target, lambda client: get_json(client, _path(campaign_id)))
    if as_json:
        emit_json(item)
    else:
        print_progress(item["progress"])


@campaign.command(
    short_help="List the devices of a campaign.",
    epilog=examples("openami campaign devices c7f3 --state failed"),
)
@_id
@click.option("--state", type=click.Choice(DEVICE_STATES), help="Only those that are so far.")
@click.option("--group", help="Only those of this group.")
@click.option("--dcu", help="Only those behind this DCU.")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def devices(
    target: Target, campaign_id: str, most: int | None, as_json: bool, **which: str | None
) -> None:
    """List the devices of CAMPAIGN, each with why it is not further."""
    header = ["device", "dcu", "group", "state", "since", "why", "what to do"]

    def row(item: dict[str, Any]) -> list[object]:
        told = [item[name] for name in ("serial", "dcu", "group", "state")]
        why = item["why"] or {"cause": "", "step": ""}
        return [*told, moment(item["since"]), why["cause"], why["step"]]

    rows = Table(header, nothing="no such devices", cut=("why", "what to do"))
    path = f"{_path(campaign_id)}/devices"
    print_pages(target, path, rows, row, most=most, as_json=as_json, **which)


@campaign.command(
    epilog=examples("openami campaign timeline A1000001 --campaign c7f3"),
    short_help="Show what happened to a device.",
)
@click.argument("serial")
@click.option("--campaign", "campaign_id", help="Only in this campaign.")
@aimed
def timeline(target: Target, serial: str, campaign_id: str | None, as_json: bool) -> None:
    """Show what happened to the meter or DCU SERIAL in campaigns, and why it is not further."""

    async def work(client: HttpClient) -> list[dict[str, Any]]:
        if campaign_id is None:
            found: list[dict[str, Any]] = await get_json(
                client, f"{PATH}/of-device/{segment(serial)}"
            )
            return found
        return [await get_json(client, f"{_path(campaign_id)}/devices/{segment(serial)}")]

    found = ask(target, work)
    for item in found:
        if as_json:
            emit_json(item)
        else:
            print_timeline(item)
    if not found:
        note("it was in no campaign")


@campaign.command(
    short_help="Follow a campaign until it ends.", epilog=examples("openami campaign watch c7f3")
)
@_id
@aimed
def watch(target: Target, campaign_id: str, as_json: bool) -> None:
    """Follow CAMPAIGN until it ends; an error unless it finishes."""
    item = ask(target, lambda client: watched(client, _path(campaign_id), as_json=as_json))
    if not as_json:
        print_progress(item)


def _path(campaign_id: str) -> str:
    return f"{PATH}/{segment(campaign_id)}"


async def _post(client: HttpClient, path: str, wish: object) -> Any:
    return checked(await client.post(PREFIX + path, json_body=wish, timeout_s=DRY_RUN_S)).json()


def _tell(item: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(item)
        return
    progress = item["progress"]
    told = states_words(progress)
    note(f"campaign {progress['id']}, {progress['name']}, is {said(progress)}{told and ': '}{told}")
