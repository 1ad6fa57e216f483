"""``openami read``: attributes and profiles of any DLMS meter, tables of any C12.22 node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.c1222_tables import complete_tables
from openami.cli.meter_access import access_options, make_access, progress, run
from openami.cli.names import parse_name
from openami.cli.options import examples
from openami.cli.output import counted, emit_json, emit_row, json_option, note, table
from openami.cli.registers import VALUE, resolve, scalers
from openami.cli.values import plain, scaled
from openami.core.units import symbol
from openami.dlms.obis_names import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.core.obis import Obis
    from openami.dlms.client import Item
    from openami.dlms.references import AttributeRef
    from openami.transport.session import DlmsSession

CLOCK: Final = 8
C1222: Final = "c1222+"  # with what the URL of a C12.22 node begins


@click.command(
    epilog=examples(
        "openami read dlms+tcp://127.0.0.1:4059 0.0.1.0.0.255 1.0.1.8.0.255",
        'openami read "hdlc+tcp://127.0.0.1:4060?server=1:17&address_size=4" 8/0.0.1.0.0.255/3',
        "openami read dlms+tcp://127.0.0.1:4059 --client 1 --auth hls5-gmac --key-file keys.toml \\",
        "    --profile 1.0.99.1.0.255 --from 2026-01-01 --to 2026-01-02",
        'openami read "hdlc+serial:/dev/ttyUSB0?baud=9600" --client 2 --auth lls 1.0.1.8.0.255',
        "openami read 'c1222+tcp://127.0.0.1:1153?node=.123.8437' ST1 ST23",
    )
)
@click.argument("url")
@click.argument(
    "names", nargs=-1, metavar="[LOGICAL_NAME | CLASS/LOGICAL_NAME/ATTRIBUTE | TABLE]…",
    shell_complete=complete_tables,
)  # fmt: skip
@click.option("--profile", metavar="OBIS", help="Read the buffer of this profile.")
@click.option("--from", "start", metavar="TIME", help="Rows from this time (ISO 8601; else UTC).")
@click.option("--to", "end", metavar="TIME", help="Rows up to this time.")
@click.option(
    "--entries", metavar="FIRST:LAST", help="Rows by number from 1; LAST may be left out."
)
@click.option(
    "--deviation",
    type=click.IntRange(-840, 840),
    help="Minutes from the meter's local time to UTC, such as -540 for Korea, where its times do not say.",
)
@access_options
@json_option
def read(
    url: str,
    names: tuple[str, ...],
    profile: str | None,
    start: str | None,
    end: str | None,
    entries: str | None,
    deviation: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Read values of the meter at URL, or a profile.

    A LOGICAL_NAME alone reads its value (attribute 2); the meter's object list says of which
    class it is. Any other attribute is CLASS/LOGICAL_NAME/ATTRIBUTE.

    With a URL of C12.22, as in c1222+tcp://HOST:1153?node=.123.8437, tables are read: ST1, MT5.
    Keys are then by number, and of the options only --key, --key-file, --password-file and
    --timeout count; openami c1222 has more.
    """
    if url.lower().startswith(C1222):
        return _read_tables(url, names, options, as_json=as_json)
    if bool(names) == bool(profile):
        raise click.UsageError("give logical names, or --profile")
    access = make_access(url, **options)
    if profile:
        from openami.cli.profile import Wanted, read_profile

        wanted = Wanted.of(profile, start=start, end=end, entries=entries, deviation=deviation)

        async def rows() -> Sequence[dict[str, Any]]:
            async with access.session(on_progress=progress) as session:
                return await read_profile(session, wanted)

        _print_rows(run(rows), as_json=as_json)
        return 0
    if start or end or entries:
        raise click.UsageError("--from, --to and --entries go with --profile")
    parsed = [parse_name(name) for name in names]

    async def values() -> list[dict[str, Any]]:
        async with access.session() as session:
            return await _values(session, parsed)

    found = run(values)
    if as_json:
        emit_json(found)
    else:
        table(["name", "meaning", "value", "unit"], [_line(value) for value in found])
    return 3 if all(value.get("error") for value in found) else 0


def _read_tables(
    url: str, names: Sequence[str], options: Mapping[str, Any], *, as_json: bool
) -> int:
    from openami.cli.c1222_access import make_access as access_of
    from openami.cli.c1222_tables import parse_table, read_tables

    if not names:
        raise click.UsageError("give tables, such as ST1")
    taken = {name: options[name] for name in ("key_file", "keys", "password_file", "timeout")}
    access, tables = access_of(url, **taken), [parse_table(name) for name in names]
    return read_tables(access, tables, raw=False, as_json=as_json)


async def _values(
    session: DlmsSession, names: Sequence[AttributeRef | Obis]
) -> list[dict[str, Any]]:
    refs = await resolve(session, names)
    known = await scalers(session, refs)
    items = await session.get_list(refs)
    return [_value(ref, item, known.get(ref.obis)) for ref, item in zip(refs, items, strict=True)]


def _value(ref: AttributeRef, item: Item, scaler_unit: tuple[int, int] | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "class_id": ref.class_id,
        "logical_name": str(ref.obis),
        "attribute": ref.attribute,
        "name": describe(ref.obis),
    }
    if not item.ok:
        return {**result, "error": f"dlms.{item.result.name.lower().replace('_', '-')}"}
    result["value"] = plain(item.data, moment=ref.class_id == CLOCK)
    if scaler_unit is not None:
        scaler, unit = scaler_unit
        result |= {"scaler": scaler, "unit": unit, "symbol": symbol(unit)}
    return result


def _line(value: Mapping[str, Any]) -> list[object]:
    name = value["logical_name"]
    if value["attribute"] != VALUE:
        name = f"{value['class_id']}/{name}/{value['attribute']}"
    if "error" in value:
        return [name, value["name"], f"[{value['error']}]", ""]
    pair = (value["scaler"], value["unit"]) if "scaler" in value else None
    return [name, value["name"], *scaled(value["value"], pair)]


def _print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            emit_row(row)
        return
    if not rows:
        note("no rows")
        return
    table(list(rows[0]), [list(row.values()) for row in rows])
    note(counted(len(rows), "row"))
