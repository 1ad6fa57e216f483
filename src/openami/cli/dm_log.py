"""``openami dm log``: what devices and the head-end have told each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from openami.cli.aiming import aimed
from openami.cli.api import ask, get_json, pages
from openami.cli.options import examples
from openami.cli.output import emit_json, moment, note, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openami.cli.api import Target
    from openami.transport.http import HttpClient


@click.command(
    short_help="List sessions, or show one message by message.",
    epilog=examples(
        "openami dm log D1000001",
        "openami dm log --session 1800000000000001",
        "openami dm log D1000001 --last",
    ),
)
@click.argument("uid", required=False)
@click.option("--session", type=click.IntRange(0), help="Show each message of this session.")
@click.option("--last", is_flag=True, help="Show each message of the device's last session.")
@click.option(
    "--most", type=click.IntRange(1), default=20, show_default=True, help="At most so many."
)
@aimed
def log(
    uid: str | None,
    session: int | None,
    last: bool,
    most: int,
    target: Target,
    as_json: bool,
) -> None:
    """List the sessions of the device UID, or of all; or show one, message by message.

    Passwords and nonces are left out.
    """
    if session is None and not last:
        _print_sessions(ask(target, lambda client: _sessions(client, uid, most)), as_json=as_json)
        return
    if last and (session is not None or uid is None):
        raise click.UsageError("--last goes with UID, and without --session")

    async def work(client: HttpClient) -> Any:
        number = session
        if number is None:
            found = await _sessions(client, uid, 1)
            if not found:
                return None
            number = found[0]["id"]
        return await get_json(client, f"/dm/sessions/{number}")

    found = ask(target, work)
    if found is None:
        note("no sessions")
    elif as_json:
        emit_json(found)
    else:
        _print_conversation(found)


async def _sessions(client: HttpClient, uid: str | None, most: int) -> list[dict[str, Any]]:
    limit = min(most, 1000)
    return [
        item async for item in pages(client, "/dm/sessions", most=most, device=uid, limit=limit)
    ]


def _print_sessions(sessions: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for session in sessions:
            emit_json(session)
        return
    rows: list[list[object]] = [
        [
            session["id"],
            session["uid"],
            moment(session["began"]),
            "woken" if session["notified"] else "by itself",
            session["end"],
            session["orders"],
            session["messages"],
            session["octets"],
            session["message"],
        ]
        for session in sessions
    ]
    header = ["session", "device", "began", "came", "end", "commands", "messages", "octets", "why"]
    table(header, rows, nothing="no sessions")


def _print_conversation(found: Mapping[str, Any]) -> None:
    session = found["session"]
    why = f": {session['message']}" if session["message"] else ""
    click.echo(f"session {session['session']} with {session['uid']}, {session['end']}{why}")
    if found["note"]:
        click.echo(f"  [{found['note']}]")
    for message in found["messages"]:
        who = "server" if message["sent"] else "device"
        click.echo(f"\n{message['at']}  {who}, {message['octets']} octets")
        if message["content"] is None:
            click.echo(f"  [{message['note']}]")
        else:
            for line in _lines(message["content"], 1):
                click.echo(line)


def _lines(node: Mapping[str, Any], depth: int) -> Iterator[str]:
    text = node["name"] if node["value"] is None else f"{node['name']}: {node['value']}"
    if node["note"]:
        text = f"{text} ({node['note']})"
    # A device's line breaks and terminal controls shall not look like lines of ours.
    yield "  " * depth + printable(text)
    for child in node["children"]:
        yield from _lines(child, depth + 1)
