"""``openami device``: who asks to be let in, who is expected, and alarms, over the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.aiming import aimed
from openami.cli.api import (
    PREFIX,
    ask,
    checked,
    get_json,
    print_pages,
    segment,
)
from openami.cli.options import examples
from openami.cli.output import Table, counted, emit_json, moment, note, table
from openami.core.errors import ConfigError
from openami.core.identifiers import check_serial
from openami.fleet.expected import read_expected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openami.cli.api import Target
    from openami.transport.http import HttpClient

STANDINGS: Final = ("pending", "approved", "offered", "live", "refused", "blocked", "retired")
PART_OCTETS: Final = 512 * 1024  # of a list in one request: half of what a head-end takes
_UIDS: Final = "UID is what `registrations` calls a device."
MAX_LIST: Final = 64 * 2**20  # octets of a list: 200,000 devices with every column have 50 MB


@click.command("registrations")
@click.option("--standing", type=click.Choice(STANDINGS), help="Only those that stand here.")
@click.option("--asking", is_flag=True, help="Only live ones that ask to register anew.")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def registrations(
    target: Target, standing: str | None, asking: bool, most: int | None, as_json: bool
) -> None:
    """List the devices that have asked to be registered.

    Under `anew` stands when a live one last asked to register anew, if that is not an hour ago.
    """
    header = ["uid", "standing", "device", "manufacturer", "model", "firmware", "asked", "anew",
              "reason"]  # fmt: skip

    def row(item: dict[str, Any]) -> list[object]:
        claim = item["claim"]
        told = [claim[name] for name in ("manufacturer", "model", "firmware")]
        stands = [item["uid"], item["standing"], item["device_state"]]
        times = [moment(claim["asked"]), moment(item["asks_anew"])]
        return [*stands, *told, *times, item["reason"]]

    print_pages(
        target, "/registrations", Table(header, nothing="no such registrations"), row,
        most=most, as_json=as_json, standing=standing, asking=asking or None,
    )  # fmt: skip


@click.command("registration")
@click.argument("uid")
@aimed
def registration(target: Target, uid: str, as_json: bool) -> None:
    """Show all that is known of the registration of the device UID."""
    item = ask(target, lambda client: get_json(client, _path(uid)))
    if as_json:
        emit_json(item)
    else:
        table(["what", "value"], [[name, value] for name, value in _flat(item) if value])


@click.command(
    "register",
    short_help="Expect devices: they are let in when they ask.",
    epilog=examples(
        "openami device register purchase.csv",
        "openami device register --uid OAMDCU0001 --region Seoul --approval manual",
    ),
)
@click.argument(
    "file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True)
)
@click.option("--uid", help="Expect this one device instead of a list.")
@click.option("--manufacturer", help="Whose trust anchor is to vouch for it.")
@click.option("--model", help="What it is to say of itself.")
@click.option("--fingerprint", help="SHA-256 of its factory certificate.")
@click.option("--approval", type=click.Choice(["auto", "manual"]), help="Who lets it in.")
@click.option("--region", help="Where it is to be.")
@click.option("--label", help="What people call it.")
@aimed
def register(
    target: Target, file: Path | None, uid: str | None, as_json: bool, **given: str | None
) -> None:
    """Expect the devices of a list, or one, so that they are let in when they ask.

    FILE is CSV; its first line names the columns: uid, and any of manufacturer, model,
    fingerprint, approval (auto or manual), region and label.
    """
    cells = {name: text for name, text in given.items() if text is not None}
    if file is not None and uid is None and not cells:
        parts = list(split_list(_read_list(file)))

        async def work(client: HttpClient) -> int:
            count = 0
            for number, part in enumerate(parts, 1):
                count += await _import(client, part)
                if len(parts) > 1:
                    note(f"part {number} of {len(parts)}: {counted(count, 'device')} so far")
            return count
    elif file is None and uid is not None:
        wish = {"uid": _serial(uid), **cells}

        async def work(client: HttpClient) -> int:
            checked(await client.request("PUT", f"{PREFIX}/expected/{uid}", json_body=wish))
            return 1
    else:
        raise ConfigError(
            "give a FILE, or --uid and what is known of it",
            hint="openami device register --help",
            code="usage",
        )

    count = ask(target, work)
    if as_json:
        emit_json({"devices": count})
    else:
        note(f"{counted(count, 'device')} expected")


@click.command("expected")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def expected(target: Target, most: int | None, as_json: bool) -> None:
    """List the devices that are expected."""
    header = ["uid", "manufacturer", "model", "approval", "region", "label", "fingerprint"]
    print_pages(
        target, "/expected", Table(header, nothing="no device is expected"),
        lambda item: [item[name] for name in header], most=most, as_json=as_json,
    )  # fmt: skip


@click.command("alarms")
@click.option("--all", "everything", is_flag=True, help="Also those that have been cleared.")
@click.option("--device", "subject", metavar="DEVICE", help="Only of this, such as dcu-D1.")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def alarms(
    target: Target, everything: bool, subject: str | None, most: int | None, as_json: bool
) -> None:
    """List alarms that are open, newest first."""
    header = ["id", "code", "subject", "raised", "cleared", "message"]

    def row(item: dict[str, Any]) -> list[object]:
        times = [moment(item[name]) for name in ("raised", "cleared")]
        return [item["id"], item["code"], item["subject"], *times, item["message"]]

    print_pages(
        target, "/alarms", Table(header, nothing="no alarms"), row, most=most, as_json=as_json, open=None if everything else True, subject=subject,
    )  # fmt: skip


@click.command("clear-alarm", epilog=examples("openami device clear-alarm 7 --why 'looked at'"))
@click.argument("alarm", type=click.IntRange(1))
@click.option("--why", default="", help="What came of it, for the audit log.")
@aimed
def clear_alarm(target: Target, alarm: int, why: str, as_json: bool) -> None:
    """Say that an alarm has been looked at; ALARM is its number."""
    item = ask(target, lambda client: _post(client, f"{PREFIX}/alarms/{alarm}/clear", why))
    if as_json:
        emit_json(item)
    else:
        note(f"alarm {item['id']} ({item['code']}) is cleared")


def _decision(
    name: str, help_: str, *, needs_why: bool = True, told: str | None = None
) -> click.Command:
    """Return the command for one kind of decision on registrations.

    What is told of a device afterwards is how it stands then, or ``told``.
    """
    why = "The reason, for the audit log."
    typed = f"openami device {name} OAMDCU0001" + (" --why '…'" if needs_why else "")

    @click.command(name, help=f"{help_}\n\n{_UIDS}", epilog=examples(typed))
    @click.argument("uids", metavar="UID…", nargs=-1, required=True)
    @click.option("--why", required=needs_why, help=why)
    @aimed
    def command(target: Target, uids: tuple[str, ...], why: str | None, as_json: bool) -> None:
        async def work(client: HttpClient) -> None:
            for uid in uids:
                item = await _post(client, f"{PREFIX}{_path(uid)}/{name}", why or "")
                if as_json:
                    emit_json(item)
                else:
                    note(f"{uid} {told or f'is {_stands(item)}'}")

        ask(target, work)

    return command


COMMANDS: Final[tuple[click.Command, ...]] = (
    registrations,
    registration,
    register,
    expected,
    _decision("approve", "Let in devices that wait or were refused.", needs_why=False),
    _decision("refuse", "Keep devices out; what they had is revoked."),
    _decision("suspend", "Shut devices out for a while."),
    _decision("resume", "Let suspended devices work again."),
    _decision("retire", "Take devices out for good; what they had is revoked."),
    _decision(
        "reopen",
        "Let devices, or those that replace them, register anew.",
        told="may register anew",
    ),
    _decision("keep", "Of two that claim to be one device, keep the first."),
    _decision("take-rival", "Of two that claim to be one device, take the second."),
    alarms,
    clear_alarm,
)


def split_list(text: str) -> Iterator[str]:
    """Yield a list that is right in parts that a head-end takes, each with the first line."""
    head, *lines = text.splitlines(keepends=True)
    part: list[str] = []
    size = len(head.encode())
    for line in lines:
        octets = len(line.encode())
        # A cell in quotes may hold a line's end, and nothing else does.
        if part and size + octets > PART_OCTETS and "".join(part).count('"') % 2 == 0:
            yield head + "".join(part)
            part, size = [], len(head.encode())
        part.append(line)
        size += octets
    yield head + "".join(part)


def _read_list(file: Path) -> str:
    """Return a list of expected devices; all of it is right."""
    if file.stat().st_size > MAX_LIST:
        raise ConfigError(f"{file} has more than {MAX_LIST} octets", code="config.file")
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is no text in UTF-8", code="config.file") from error
    read_expected(text)
    return text


async def _import(client: HttpClient, part: str) -> int:
    headers = {"Content-Type": "text/csv"}
    answer = await client.post(f"{PREFIX}/expected", content=part.encode(), headers=headers)
    count: int = checked(answer).json()["devices"]
    return count


async def _post(client: HttpClient, path: str, why: str) -> dict[str, Any]:
    item: dict[str, Any] = checked(await client.post(path, json_body={"why": why})).json()
    return item


def _path(uid: str) -> str:
    return f"/registrations/{segment(uid)}"


def _serial(uid: str) -> str:
    try:
        return check_serial(uid)
    except ValueError as error:
        raise ConfigError(str(error), hint="such as OAMDCU0001", code="config.name") from error


def _stands(item: dict[str, Any]) -> str:
    suspended = item["device_state"] == "suspended" and item["standing"] == "live"
    return "suspended" if suspended else str(item["standing"])


def _flat(item: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in item.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif name != "certificate":  # a whole one in PEM
            yield prefix + name, int(value) if name == "days_left" else value
