"""``openami release``: the release shelf of a head-end, over the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.aiming import aimed
from openami.cli.api import PREFIX, ask, checked, get_json, print_pages
from openami.cli.options import examples
from openami.cli.output import Table, counted, emit_json, moment, note, table
from openami.cli.release_keys import draft, keys, repository, sign
from openami.cli.release_upload import release_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.cli.api import Target
    from openami.transport.http import HttpClient

UPLOAD_S: Final = 600.0  # of silence: the head-end writes 256 MiB to its disk, and reads them
STATES: Final = ("uploaded", "verified", "approved", "released", "withdrawn", "refused")
KINDS: Final = ("meter-image", "dcu-firmware", "dcu-component")
REFUSED: Final = 3  # the exit status, as of a refused value

_number = click.argument("number", type=click.IntRange(1))
_why = click.option("--why", required=True, help="The reason in words, for the audit log.")


@click.group(short_help="Releases of firmware and software, on their way to devices.")
def release() -> None:
    """Look after a head-end's release shelf.

    A release is uploaded, verified, approved by another operator than its uploader, released and,
    if need be, withdrawn.
    """


for _command in (keys, repository, draft, sign):
    release.add_command(_command)


@release.command(
    short_help="Hand over a release.",
    epilog=examples(
        "openami release upload gw100/manifest.json",
        "openami release upload gw100.tar --verify --why 'ticket 4711'",
    ),
)
@click.argument("manifest", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--why", default="", help="What it is for, for the audit log.")
@click.option("--verify", "and_verify", is_flag=True, help="Check it at once.")
@aimed
@click.pass_context
def upload(
    context: click.Context,
    manifest: Path,
    why: str,
    and_verify: bool,
    target: Target,
    as_json: bool,
) -> None:
    """Hand over the release of MANIFEST.

    MANIFEST is a manifest.json, whose files stand beside it, or a tar of it and of them.
    """
    pieces = release_pieces(manifest)

    async def work(client: HttpClient) -> Any:
        answer = await client.post(
            f"{PREFIX}/releases",
            content=pieces,
            headers={"Content-Type": "application/x-tar"},
            params={"why": why},
            timeout_s=UPLOAD_S,
        )
        made = checked(answer).json()
        if and_verify:
            path = f"{PREFIX}/releases/{made['number']}/verify"
            return checked(await client.post(path, timeout_s=UPLOAD_S)).json()
        return made

    item = ask(target, work)
    _tell(context, item, as_json=as_json)


@release.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those that are so far.")
@click.option("--kind", type=click.Choice(KINDS), help="Only these.")
@click.option("--name", help="Only of this product.")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def list_releases(
    state: str | None,
    kind: str | None,
    name: str | None,
    most: int | None,
    target: Target,
    as_json: bool,
) -> None:
    """List releases, those uploaded last first."""
    header = ["number", "kind", "name", "version", "counter", "state", "uploader", "uploaded"]
    print_pages(
        target, "/releases", Table(header, nothing="no such releases"), _summary,
        most=most, as_json=as_json, state=state, kind=kind, name=name,
    )  # fmt: skip


@release.command(short_help="Show a release and what was done to it.")
@_number
@aimed
def show(number: int, target: Target, as_json: bool) -> None:
    """Show release NUMBER: what its vendor says of it, and what was done to it."""
    item = ask(target, lambda client: get_json(client, f"/releases/{number}"))
    if as_json:
        emit_json(item)
        return
    table(["what", "value"], _facts(item))
    click.echo()
    rows = [
        [moment(event["time"]), event["who"], event["after"], event["why"]]
        for event in item["events"]
    ]
    table(["time", "who", "became", "why"], rows, cut=("why",))
    _findings(item)


@release.command(
    short_help="Show what differs between two releases.",
    epilog=examples("openami release diff 6 7"),
)
@click.argument("before", type=click.IntRange(1))
@click.argument("after", type=click.IntRange(1))
@aimed
def diff(
    before: int,
    after: int,
    target: Target,
    as_json: bool,
) -> None:
    """Show what the manifest of release AFTER says otherwise than that of BEFORE."""
    path = f"/releases/{before}/diff/{after}"
    found = ask(target, lambda client: get_json(client, path))
    if as_json:
        for item in found:
            emit_json(item)
        return
    rows = [[item["field"], item["before"], item["after"]] for item in found]
    table(["field", "before", "after"], rows, nothing="no difference", cut=("before", "after"))


@release.command(short_help="Check a release.")
@_number
@aimed
@click.pass_context
def verify(
    context: click.Context,
    number: int,
    target: Target,
    as_json: bool,
) -> None:
    """Check release NUMBER: it is verified, or refused with every reason against it.

    The exit status is 3 if it is refused.
    """
    item = _step(number, "verify", None, target)
    _tell(context, item, as_json=as_json)


@release.command(epilog=examples("openami release approve 7 --why 'tried on three meters'"))
@_number
@_why
@aimed
@click.pass_context
def approve(
    context: click.Context,
    number: int,
    why: str,
    target: Target,
    as_json: bool,
) -> None:
    """Approve release NUMBER, which another operator uploaded."""
    item = _step(number, "approve", {"why": why}, target)
    _tell(context, item, as_json=as_json)


@release.command()
@_number
@_why
@aimed
def refuse(
    number: int,
    why: str,
    target: Target,
    as_json: bool,
) -> None:
    """Turn release NUMBER down for good."""
    item = _step(number, "refuse", {"why": why}, target)
    _print(item, as_json=as_json)


@release.command("release", short_help="Offer a release to devices.")
@_number
@click.option("--why", default="", help="The reason in words, for the audit log.")
@click.option(
    "--targets", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The list of files that keepers signed, where they sign elsewhere: see `draft`.",
)  # fmt: skip
@aimed
@click.pass_context
def let_out(
    context: click.Context,
    number: int,
    why: str,
    targets: Path | None,
    target: Target,
    as_json: bool,
) -> None:
    """Offer the approved release NUMBER to devices."""
    wish = {"why": why, "targets": None if targets is None else targets.read_text("utf-8")}
    item = _step(number, "release", wish, target)
    _tell(context, item, as_json=as_json)


@release.command(
    short_help="Offer a release no more.",
    epilog=examples("openami release withdraw 7 --why 'clock runs backwards'"),
)
@_number
@_why
@aimed
def withdraw(
    number: int,
    why: str,
    target: Target,
    as_json: bool,
) -> None:
    """Offer release NUMBER no more: no device gets its files from now on, its campaigns stop."""
    item = _step(number, "withdraw", {"why": why}, target)
    _print(item, as_json=as_json)


def _step(number: int, step: str, wish: object, target: Target) -> Any:
    async def work(client: HttpClient) -> Any:
        path = f"{PREFIX}/releases/{number}/{step}"
        return checked(await client.post(path, json_body=wish, timeout_s=UPLOAD_S)).json()

    return ask(target, work)


def _tell(context: click.Context, item: Mapping[str, Any], *, as_json: bool) -> None:
    _print(item, as_json=as_json)
    if item["state"] == "refused":
        context.exit(REFUSED)


def _print(item: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(item)
        return
    note(f"release {item['number']}, {item['name']} {item['version']}, is {item['state']}")
    _findings(item)


def _findings(item: Mapping[str, Any]) -> None:
    findings = item["events"][-1]["findings"]
    if findings:
        note(f"{counted(len(findings), 'reason')} against it:")
        table(["code", "reason"], [[each["code"], each["text"]] for each in findings])


def _summary(item: Mapping[str, Any]) -> list[object]:
    told = [item[name] for name in ("number", "kind", "name", "version", "counter", "state")]
    return [*told, item["uploader"], moment(item["uploaded"])]


def _facts(item: Mapping[str, Any]) -> list[list[object]]:
    said = item["manifest"]
    fits = [f"{fit['model']} {fit['hardware']}" for fit in said.get("fits", ())]
    needs = [
        f"{need['model']} {need['hardware']}: {need['version']}"
        for need in said.get("prerequisites", ())
    ]
    rows: list[list[object]] = [
        [name, item[name]]
        for name in ("number", "kind", "name", "version", "vendor", "counter", "state", "digest")
    ]
    rows += [["made", said.get("date")], ["previous", said.get("previous")]]
    rows += [["fits", ", ".join(fits)], ["needs first", ", ".join(needs) or "nothing"]]
    rows += [
        [change["kind"], f"{change['reference']}: {change['text']}"]
        for change in said.get("changes", ())
    ]
    rows += [
        ["problem", f"{problem['reference']}: {problem['text']}"]
        for problem in said.get("problems", ())
    ]
    return rows + [["file", f"{file['name']}, {file['size']} octets"] for file in item["files"]]
