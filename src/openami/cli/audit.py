"""``openami audit``: who did what at a head-end, and whether that is still what was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.aiming import aimed, aimed_only
from openami.cli.api import (
    PREFIX,
    ask,
    checked,
    find_target,
    get_json,
    print_pages,
    target_options,
)
from openami.cli.options import examples
from openami.cli.output import Table, emit_json, json_option, moment, note, sink
from openami.cli.pki import installation
from openami.core.clock import isoformat
from openami.fleet.audit import MAX_LINE, AuditError, read_head
from openami.fleet.audit_check import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from openami.cli.api import Target
    from openami.firmware.keys import ImageKey
    from openami.fleet.audit import Head
    from openami.headend.offline import Offline
    from openami.transport.http import HttpClient

EXPORT_S: Final = 120.0  # of silence: the head-end first gives each entry its place
HEADER: Final = ["number", "time", "who", "what", "subject", "why"]

_path = click.Path(path_type=Path, dir_okay=False)
_there = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group(short_help="Who did what at a head-end, and proof of it.")
def audit() -> None:
    """Read, export and verify a head-end's audit log.

    Every entry carries a hash over itself and all before it, and the head-end signs how far the
    log goes. Who keeps an export, or a head, can tell later whether anything was changed.
    """


@audit.command("list", epilog=examples("openami audit list --who anna --since 2026-01-01"))
@click.option("--who", help="Only what this operator or device did.")
@click.option("--what", help="Only what begins like this, such as release.approved.")
@click.option("--subject", help="Only what was done to this, such as meter-A1000001.")
@click.option("--since", metavar="TIME", help="From this time on (ISO 8601; else UTC).")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--most", type=click.IntRange(1), help="At most so many.")
@aimed
def list_entries(
    who: str | None,
    what: str | None,
    subject: str | None,
    since: str | None,
    until: str | None,
    most: int | None,
    target: Target,
    as_json: bool,
) -> None:
    """List entries, the newest first."""
    print_pages(
        target, "/audit", Table(HEADER, nothing="no such entries", cut=("why", "what")), _row,
        most=most, as_json=as_json,
        who=who, what=what, subject=subject, start=since, end=until,
    )  # fmt: skip


@audit.command(
    short_help="Write the log into a file that can be verified elsewhere.",
    epilog=examples(
        "openami audit export --out audit-2026.jsonl",
        "openami audit export --after 1200 --out audit-since.jsonl",
    ),
)
@click.option("--out", type=_path, help="A file, else stdout.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only what follows this entry.")
@aimed_only
def export(out: Path | None, after: int, target: Target) -> None:
    """Write every entry as a line of JSON with its hash, and the signed head as the last line.

    The file is made anew; it is not touched if the head-end can not be asked.
    """

    async def work(client: HttpClient) -> None:
        pieces = _export(client, after)
        first = await anext(pieces)
        with sink(out) as file:
            file.write(first)
            async for piece in pieces:
                file.write(piece)

    ask(target, work)


@audit.command(
    short_help="Print how far the log goes, signed.",
    epilog=examples("openami audit head > audit-head.json"),
)
@aimed_only
def head(target: Target) -> None:
    """Print the head of the log: one line, to be kept where nobody at the head-end can change it.

    With `verify --head`, it shows later that all up to this entry is what it was.
    """
    said = ask(target, lambda client: get_json(client, "/audit/head"))
    if said["fault"]:
        note(f"the chain of the audit log is broken: {said['fault']}")
    click.echo(said["line"])


@audit.command(epilog=examples("openami audit key > audit-key.pem"))
@aimed_only
def key(target: Target) -> None:
    """Print the public key that heads are signed with, in PEM."""
    click.echo(ask(target, _key), nl=False)


@audit.command(
    short_help="Tell whether the log is what was written.",
    epilog=examples(
        "openami audit verify audit-2026.jsonl --key audit-key.pem --head audit-head.json",
        "openami audit verify",
    ),
)
@click.argument("file", required=False, type=_there)
@click.option("--key", "key_file", type=_there, help="The public key; else the head-end's own.")
@click.option("--head", "head_file", type=_there, help="A head that was kept from before.")
@target_options
@json_option
@click.pass_context
def verify(
    context: click.Context,
    file: Path | None,
    key_file: Path | None,
    head_file: Path | None,
    url: str | None,
    ca: Path | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Verify the export FILE, or the log that the head-end has now.

    With FILE and --key, no head-end is asked. The first entry that was changed, is missing, was
    put in or stands at another place is named, and whether the end was cut off. The exit status is
    4 if anything is wrong.
    """
    where = (url, ca, token_file)
    try:
        found = _verify(file, _key_of(key_file, where), _kept(head_file), where)
    except AuditError as error:
        if not as_json:
            raise
        wrong = {"code": error.code, "number": error.number, "message": error.message}
        emit_json({"ok": False, **wrong})
        context.exit(error.exit_status)
    verifier, end = found
    if as_json:
        emit_json(
            {
                "ok": True,
                "first": verifier.first,
                "last": end.number,
                "hash": end.hash.hex(),
                "signed": isoformat(end.when),
                "key": end.key.hex(),
            }
        )
        return
    what = f"entries {verifier.first:,} to {end.number:,}" if end.number else "no entry"
    click.echo(f"ok: {what}, signed {isoformat(end.when)} with the key {end.key.hex()[:16]}")


@audit.command(
    short_help="Take a chain that is broken as it is.",
    epilog=examples("openami audit adopt --state /srv/openami --why 'no backup from before May'"),
)
@click.option("--why", required=True, help="The reason in words, for the audit log.")
@installation
@json_option
def adopt(opened: AbstractContextManager[Offline], why: str, as_json: bool) -> None:
    """Sign the chain as the database has it, on the head-end's machine, and say so in the log.

    For what no backup mends: nothing is laid on a chain whose end is not what was signed. Nothing
    is made good: `verify` goes on to name what was changed, and whoever kept a head sees it.
    """
    from openami.cli.headend import who
    from openami.headend.registry import reason as words

    with opened as home:
        said = home.adopt(who=who(), why=words(why))
    if as_json:
        emit_json({"who": said.who, "what": said.what, "why": said.why})
    else:
        note(said.what)


def _verify(
    file: Path | None,
    key: ImageKey,
    kept: Head | None,
    where: tuple[str | None, Path | None, Path | None],
) -> tuple[Verifier, Head]:
    verifier = Verifier(key, kept=kept)
    if file is not None:
        with file.open("rb") as lines:
            while line := lines.readline(MAX_LINE):
                verifier.take(_text(line))
        return verifier, verifier.finish()

    async def work(client: HttpClient) -> None:
        rest = b""
        async for piece in _export(client, 0):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                verifier.take(_text(line + b"\n"))
            if len(rest) > MAX_LINE:
                break
        if rest:
            verifier.take(_text(rest))

    ask(find_target(*where), work)
    return verifier, verifier.finish()


def _text(line: bytes) -> str:
    # What is no UTF-8 becomes what can not be written as UTF-8, so the verifier refuses it.
    return line.decode("utf-8", "surrogateescape")


def _key_of(file: Path | None, where: tuple[str | None, Path | None, Path | None]) -> ImageKey:
    from openami.firmware.keys import ImageKey

    pem = ask(find_target(*where), _key) if file is None else file.read_bytes()
    return ImageKey.from_pem(pem)


def _kept(file: Path | None) -> Head | None:
    if file is None:
        return None
    with file.open("rb") as lines:
        return read_head(_text(lines.readline(MAX_LINE)))


async def _key(client: HttpClient) -> bytes:
    return checked(await client.get(f"{PREFIX}/audit/key")).body


async def _export(client: HttpClient, after: int) -> AsyncIterator[bytes]:
    from openami.transport.http import HttpAnswer

    path = f"{PREFIX}/audit/export?after={after}"
    async with client.stream("GET", path, timeout_s=EXPORT_S) as answer:
        if answer.status != 200:
            said = b"".join([piece async for piece in _few(answer.pieces)])
            checked(HttpAnswer(answer.status, answer.headers, said))
        async for piece in answer.pieces:
            yield piece


async def _few(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of an error, which is short."""
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > MAX_LINE:
            return
        yield piece


def _row(item: dict[str, Any]) -> list[object]:
    told = [item[name] for name in ("who", "what", "subject", "why")]
    return [item["number"], moment(item["when"]), *told]
