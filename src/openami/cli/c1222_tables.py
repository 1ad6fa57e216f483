"""``openami c1222 read`` and ``write``: tables of a device, as values or as octets."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from openami.cli.c1222_access import make_access, node_options
from openami.cli.meter_access import run
from openami.cli.options import examples
from openami.cli.output import emit_json, json_option, note, table
from openami.core.errors import ConfigError, OpenAmiError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.c1222.services import Request
    from openami.c1222.tables import Description, TableId, Tables
    from openami.c1222.tables.layout import Record
    from openami.cli.c1222_access import Access
    from openami.transport.c1222.reader import TableReader

EVENT_OCTETS: Final = 6
_MOST_INDEX: Final = 0xFFFF
_PART: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")


def complete_tables(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the names of the standard's tables that begin so, with what they hold."""
    from openami.c1222.tables import STANDARD

    return [
        CompletionItem(str(each), help=STANDARD.tables[each].name)
        for each in sorted(STANDARD.tables)
        if str(each).startswith(begun.upper())
    ]


_URL = click.argument("url")
_description_option = click.option(
    "--description", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file that describes the maker's tables, as docs/reference/c1219.md says.",
)  # fmt: skip


@click.command(
    short_help="Read tables, or a part of one.",
    epilog=examples(
        "openami c1222 read 'c1222+tcp://127.0.0.1:1153?node=.123.8437' ST1 ST23",
        "openami c1222 read 'c1222+udp://[::1]?node=.123.8437&key=2&mode=2' --key-file keys.toml ST23 --json",
        "openami c1222 read 'c1222+serial:/dev/ttyUSB0' ST5 --offset 0 --count 4",
        "openami c1222 read 'c1222+tcp://127.0.0.1?node=.123.8437' ST23 --index 0.0 --raw",
    ),
)
@_URL
@click.argument("names", nargs=-1, required=True, metavar="TABLE…", shell_complete=complete_tables)
@click.option("--index", metavar="I[.J…]", help="Elements from the one that these indexes lead to.")
@click.option("--offset", type=click.IntRange(0, 0xFF_FFFF), help="Octets from this one on.")
@click.option(
    "--count", type=click.IntRange(1, 0xFFFF), default=1, show_default=True,
    help="How many elements, or octets.",
)  # fmt: skip
@click.option("--pending", is_flag=True, help="The table that waits for its activation.")
@click.option("--raw", is_flag=True, help="Octets in hexadecimal digits, not values.")
@_description_option
@node_options
@json_option
def read(
    url: str,
    names: tuple[str, ...],
    index: str | None,
    offset: int | None,
    count: int,
    pending: bool,
    raw: bool,
    description: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Read each TABLE of the node at URL: ST1 is the standard's, MT1 the manufacturer's.

    ST0 and the dimension tables are read first: they say how the others are written.
    """
    access, tables = make_access(url, **options), [parse_table(name) for name in names]
    if pending:
        tables = [_pending(each) for each in tables]
    if index is None and offset is None:
        known = _described(description)
        return read_tables(access, tables, raw=raw or pending, as_json=as_json, known=known)
    if index is not None and offset is not None:
        raise click.UsageError("give --index or --offset")
    if len(tables) > 1:
        raise click.UsageError("a part is of one table")
    path = None if index is None else parse_path(index)
    _read_part(access, tables[0], path, offset or 0, count, as_json=as_json)
    return 0


def _described(file: Path | None) -> Description:
    """Return the standard's tables, and those of a file.

    Raises:
        ConfigError: ``c1219.description``, with the line that is wrong; ``config.file``.
    """
    from openami.c1222.tables import STANDARD, parse_description

    if file is None:
        return STANDARD
    try:
        return STANDARD.joined(parse_description(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} can not be read: {error}", code="config.file") from error


def read_tables(
    access: Access,
    tables: Sequence[TableId],
    *,
    raw: bool,
    as_json: bool,
    known: Description | None = None,
) -> int:
    """Read tables and print them; return the exit status: 3 if all were refused.

    ``known`` describes them; None: the standard does.
    """
    from openami.transport.c1222.reader import TableReader

    described = known or _described(None)

    async def work() -> list[dict[str, Any]]:
        async with access.session() as ask:
            reader = TableReader(ask, described)
            return [await _one(reader, each, described, raw=raw) for each in tables]

    found = run(work)
    if as_json:
        emit_json([{k: v for k, v in each.items() if k != "lines"} for each in found])
    else:
        table(["table", "element", "value"], [row for each in found for row in _rows(each)])
    for each in found:
        if not as_json and each.get("hint"):
            note(f"{each['table']}: {each['hint']}")
    return 3 if all("error" in each for each in found) else 0


async def _one(
    reader: TableReader, wanted: TableId, known: Description, *, raw: bool
) -> dict[str, Any]:
    """Return what one table says, or why it does not; a line that is lost ends all."""
    from openami.c1222.tables import elements, to_json
    from openami.c1222.tables.layout import shown

    named = known.tables.get(wanted.active)
    found: dict[str, Any] = {"table": str(wanted), "name": named.name if named else None}
    try:
        if raw or named is None:
            octets = await reader.read(wanted)
            return found | {"octets": octets.hex()}
        values = await reader.values(wanted)
        layout = await reader.layout(wanted)
    except TransportError:
        raise
    except OpenAmiError as error:
        told = {"error": error.code, "message": error.message}
        return found | told | ({"hint": error.hint} if error.hint else {})
    lines = [(name, shown(value)) for name, value in elements(layout, values)]
    return found | {"values": to_json(layout, values), "lines": lines}


def _rows(found: Mapping[str, Any]) -> list[list[object]]:
    name = found["table"]
    if "error" in found:
        return [[name, found["name"], f"[{found['error']}] {found['message']}"]]
    if "octets" in found:
        return [[name, found["name"], bytes.fromhex(found["octets"]).hex(" ")]]
    return [[name, element, value] for element, value in found["lines"]]


def _read_part(
    access: Access,
    wanted: TableId,
    path: tuple[int, ...] | None,
    offset: int,
    count: int,
    *,
    as_json: bool,
) -> None:
    from openami.c1222.services import ReadIndex, ReadOffset, TableData
    from openami.transport.c1222.reader import expect

    request: Request = (
        ReadOffset(wanted.wire, offset, count)
        if path is None
        else ReadIndex(wanted.wire, path, count)
    )

    async def work() -> bytes:
        async with access.session() as ask:
            (answer,) = await ask(request)
            return expect(answer, TableData, str(wanted)).data

    octets = run(work)
    if as_json:
        emit_json({"table": str(wanted), "octets": octets.hex()})
    else:
        click.echo(octets.hex(" "))


@click.command(
    short_help="Write a table, or a part of one.",
    epilog=examples(
        "openami c1222 write 'c1222+tcp://127.0.0.1?node=.123.8437' ST6 --set OWNER_NAME=ACME",
        "openami c1222 write 'c1222+tcp://127.0.0.1?node=.123.8437' ST7 --hex 0a00010003000000",
        "openami c1222 write 'c1222+tcp://127.0.0.1?node=.123.8437' ST54 --hex - --event 000000000000",
    ),
)
@_URL
@click.argument("name", metavar="TABLE", shell_complete=complete_tables)
@click.option("--hex", "digits", metavar="HEX|-", help="These octets; -: from standard input.")
@click.option(
    "--set", "assignments", multiple=True, metavar="ELEMENT=VALUE",
    help="The table as it is, with another element; the value in JSON, or a text. Repeatable.",
)  # fmt: skip
@click.option(
    "--values", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="A file of values in JSON, as read --json prints them; -: standard input.",
)  # fmt: skip
@click.option("--index", metavar="I[.J…]", help="The octets of elements, from these indexes on.")
@click.option("--offset", type=click.IntRange(0, 0xFF_FFFF), help="The octets from this one on.")
@click.option(
    "--event", metavar="HEX", help="Let the table wait for this event: six octets of hexadecimal."
)
@_description_option
@node_options
def write(
    url: str,
    name: str,
    digits: str | None,
    assignments: tuple[str, ...],
    values: Path | None,
    index: str | None,
    offset: int | None,
    event: str | None,
    description: Path | None,
    **options: Any,
) -> None:
    """Write a TABLE of the node at URL: octets, values, or single elements of it.

    Mostly a password is wanted.
    """
    if sum(map(bool, (digits, assignments, values))) != 1:
        raise click.UsageError("give one of --hex, --set and --values")
    if (index is not None or offset is not None) and digits is None:
        raise click.UsageError("--index and --offset go with --hex")
    if sum(each is not None for each in (index, offset, event)) > 1:
        raise click.UsageError("give one of --index, --offset and --event")
    access, wanted = make_access(url, **options), parse_table(name)
    head = b"" if event is None else _octets(event)
    if event is not None and len(head) != EVENT_OCTETS:
        raise ConfigError(f"--event has {EVENT_OCTETS} octets")
    path = None if index is None else parse_path(index)
    changes = [_assignment(each) for each in assignments]
    described = _described(description)

    async def work() -> int:
        from openami.c1222.services import Done
        from openami.transport.c1222.reader import TableReader, expect

        async with access.session() as ask:
            reader = TableReader(ask, described)
            octets = (
                _octets(digits)
                if digits is not None
                else await _encoded(reader, wanted, values, changes)
            )
            target = wanted if event is None else _pending(wanted)
            request = _write_request(target, head + octets, path, offset)
            (answer,) = await ask(request)
            expect(answer, Done, str(target))
            return len(octets)

    note(f"{run(work)} octets written to {wanted}")


def _write_request(
    target: TableId, octets: bytes, path: tuple[int, ...] | None, offset: int | None
) -> Request:
    from openami.c1222.services import Write, WriteIndex, WriteOffset

    if path is not None:
        return WriteIndex(target.wire, path, octets)
    if offset is not None:
        return WriteOffset(target.wire, offset, octets)
    return Write(target.wire, octets)


async def _encoded(
    reader: TableReader,
    wanted: TableId,
    file: Path | None,
    changes: Sequence[tuple[list[str | int], Any]],
) -> bytes:
    from openami.c1222.tables import from_json, to_json

    tables: Tables = await reader.tables(wanted)
    layout: Record = tables.layout(wanted)
    if file is not None:
        plain = _json_of(file)
    else:
        plain = to_json(layout, tables.decode(wanted, await reader.read(wanted)))
        for path, value in changes:
            _change(plain, path, value)
    return tables.encode(wanted, from_json(layout, plain))


def _json_of(file: Path) -> Any:
    try:
        with click.open_file(str(file)) as opened:
            return json.load(opened)
    except ValueError as error:
        raise ConfigError(f"{file} is not JSON: {error}") from error


def _assignment(text: str) -> tuple[list[str | int], Any]:
    name, equals, value = text.partition("=")
    parts = [part for part in name.replace(".", " ").replace("[", " [").split() if part]
    matches = [_PART.fullmatch(part) for part in parts]
    if not equals or not matches or not all(matches):
        raise ConfigError(f"{name!r}: --set wants ELEMENT=VALUE", hint="such as TARIFF_ID=A1")
    path: list[str | int] = [m[1] or int(m[2]) for m in matches if m is not None]
    try:
        return path, json.loads(value)
    except ValueError:
        return path, value


def _change(plain: Any, path: Sequence[str | int], value: Any) -> None:
    *before, last = path
    try:
        for part in before:
            plain = plain[part]
        plain[last]
        plain[last] = value
    except (KeyError, IndexError, TypeError):
        name = ".".join(map(str, path))
        raise ConfigError(
            f"the table has no element {name}", hint="read shows their names", code="c1219.index"
        ) from None


def parse_table(name: str) -> TableId:
    """Return the table that a name means; see ``TableId.parse`` for what it raises."""
    from openami.c1222.tables import TableId

    return TableId.parse(name)


def _pending(wanted: TableId) -> TableId:
    from openami.c1222.tables import TableId

    return TableId(wanted.number, wanted.manufacturer, pending=True)


def parse_path(text: str) -> tuple[int, ...]:
    """Return the indexes of ``--index``.

    Raises:
        ConfigError: they are none.
    """
    parts = text.split(".")
    if not all(part.isascii() and part.isdecimal() and int(part) <= _MOST_INDEX for part in parts):
        raise ConfigError(f"{text!r} are no indexes", hint="such as 0 or 1.0.2")
    return tuple(map(int, parts))


def _octets(digits: str) -> bytes:
    text = sys.stdin.read() if digits == "-" else digits
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigError("the octets are not hexadecimal digits") from None
