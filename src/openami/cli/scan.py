"""``openami scan``: what a meter shows to a client."""

from __future__ import annotations

from typing import Any

import click

from openami.cli.meter_access import access_options, make_access, progress, run
from openami.cli.options import examples
from openami.cli.output import counted, emit_json, json_option, note, table
from openami.dlms.obis_names import describe


@click.command(
    short_help="List the objects that the meter at URL shows.",
    epilog=examples(
        "openami scan dlms+tcp://127.0.0.1:4059",
        'openami scan "hdlc+serial:/dev/ttyUSB0?server=1:17" --client 2 --auth lls',
    ),
)
@click.argument("url")
@access_options
@json_option
def scan(url: str, as_json: bool, **options: Any) -> None:
    """List the objects of the meter at URL: class, logical name, meaning, rights of this client.

    Rights: r readable, w writable, x may be invoked, ! only with authenticated APDUs.
    """
    from openami.dlms.object_list import (
        OBJECT_LIST,
        ObjectEntry,
        association_version,
        attribute_text,
        decode_object_list,
        method_text,
    )

    access = make_access(url, **options)

    async def work() -> tuple[ObjectEntry, ...]:
        async with access.session(on_progress=progress) as session:
            return decode_object_list(await session.get(OBJECT_LIST))

    entries = run(work)
    version = association_version(entries)
    rows: list[dict[str, Any]] = [
        {
            "class_id": entry.class_id,
            "version": entry.version,
            "logical_name": str(entry.obis),
            "name": describe(entry.obis),
            "attributes": {i: attribute_text(m, version) for i, m in entry.attributes.items()},
            "methods": {i: method_text(m, version) for i, m in entry.methods.items()},
        }
        for entry in entries
    ]
    if as_json:
        emit_json(rows)
        return
    table(
        ["class", "logical name", "name", "attributes", "methods"],
        [
            [
                row["class_id"],
                row["logical_name"],
                row["name"],
                _rights(row["attributes"]),
                _rights(row["methods"]),
            ]
            for row in rows
        ],
    )
    note(counted(len(rows), "object"))


def _rights(modes: dict[int, str]) -> str:
    return " ".join(f"{index}{mode}" for index, mode in modes.items() if mode != "-")
