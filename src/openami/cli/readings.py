"""``openami readings``: what the head-end has stored, over the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import quote

import click

from openami.cli.aiming import aimed
from openami.cli.api import (
    EXPORT_OCTETS,
    PREFIX,
    ask,
    checked,
    get_json,
    pages,
    segment,
)
from openami.cli.options import examples
from openami.cli.output import Table, emit_json, sink
from openami.core.errors import ConfigError
from openami.core.obis import Obis
from openami.core.units import Quantity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from openami.cli.api import Target
    from openami.transport.http import HttpClient

NEXT_HEADER: Final = "openami-next"
HEADER: Final = ["time", "channel", "value", "unit", "status"]


def _obis(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> Any:
    """Return the OBIS codes as the store writes them."""
    try:
        return tuple(str(Obis.parse(name)) for name in names)
    except ValueError as error:
        raise ConfigError(str(error), hint="such as 1.0.1.29.0.255", code="config.name") from error


@click.command(
    epilog=examples(
        "openami readings OAM00000001 --latest",
        "openami readings OAM00000001 --from 2026-01-01 --format csv --out readings.csv",
    )
)
@click.argument("serial")
@click.option("--from", "start", metavar="TIME", help="After this time (ISO 8601; else UTC).")
@click.option("--to", "end", metavar="TIME", help="Up to and with this time.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="OBIS",
    callback=_obis,
    help="Only this OBIS code; repeatable.",
)
@click.option("--profile", help="Only what came from this profile.")
@click.option("--all-versions", is_flag=True, help="Also values that later ones have replaced.")
@click.option("--latest", is_flag=True, help="Only the newest reading of each channel.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv", "arrow"]), default="table",
    show_default=True, help="How they are written; arrow is an IPC stream.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file, else stdout.")
@click.option("--most", type=click.IntRange(1), help="At most so many (table and json).")
@aimed
def readings(
    serial: str,
    start: str | None,
    end: str | None,
    channels: tuple[str, ...],
    profile: str | None,
    all_versions: bool,
    latest: bool,
    form: str,
    out: Path | None,
    most: int | None,
    target: Target,
    as_json: bool,
) -> None:
    """Print the stored readings of the meter SERIAL, all pages of them.

    Times are UTC and name the end of an interval. With --json or --format json: one object for
    each line.
    """
    path = f"/meters/{segment(serial)}"
    query: dict[str, Any] = {
        "start": start,
        "end": end,
        "profile": profile,
        "version": "all" if all_versions else None,
    }
    export = form in {"csv", "arrow"} and not as_json
    if export and (latest or most is not None):
        raise ConfigError(f"--latest and --most do not go with --format {form}")
    if export:
        with sink(out) as file:
            ask(target, lambda client: _export(client, path, query, channels, form, file))
        return
    if out is not None:
        raise ConfigError("--out goes with --format csv or arrow")

    async def work(client: HttpClient, add: Callable[[Any], None]) -> None:
        async for item in _items(client, path, query, channels, latest, most):
            add(item)

    if as_json or form == "json":
        ask(target, lambda client: work(client, emit_json))
        return
    with Table(HEADER, nothing="no such readings") as rows:
        ask(target, lambda client: work(client, lambda item: rows.add(_row(item))))


async def _items(
    client: HttpClient,
    path: str,
    query: Mapping[str, Any],
    channels: tuple[str, ...],
    latest: bool,
    most: int | None,
) -> AsyncIterator[dict[str, Any]]:
    if latest:
        for item in (await get_json(client, f"{path}/registers"))["items"]:
            if not channels or item["channel"] in channels:
                yield item
        return
    chosen = _with_channels(f"{path}/readings", channels)
    async for item in pages(client, chosen, most=most, **query):
        yield item


async def _export(
    client: HttpClient,
    path: str,
    query: Mapping[str, Any],
    channels: tuple[str, ...],
    form: str,
    sink: BinaryIO,
) -> None:
    writer: Any = None
    after: str | None = None
    first = True
    while True:
        params = {name: value for name, value in query.items() if value is not None}
        params["format"] = form
        if after is not None:
            params["after"] = after
        answer = checked(
            await client.get(
                PREFIX + _with_channels(f"{path}/readings", channels),
                params=params,
                max_octets=EXPORT_OCTETS,
            )
        )
        if form == "csv":
            # Every page begins with the header line; the export has it once.
            sink.write(answer.body if first else answer.body.partition(b"\n")[2])
        else:
            writer = _append(writer, answer.body, sink)
        first = False
        after = answer.headers.get(NEXT_HEADER)
        if after is None:
            break
    if writer is not None:
        writer.close()


def _append(writer: Any, body: bytes, sink: BinaryIO) -> Any:
    """Add the batches of one page to the one stream of the export."""
    import pyarrow as pa

    with pa.ipc.open_stream(body) as reader:
        page = reader.read_all()
    if writer is None:
        writer = pa.ipc.new_stream(sink, page.schema)
    writer.write_table(page)
    return writer


def _with_channels(path: str, channels: tuple[str, ...]) -> str:
    if not channels:
        return path
    return path + "?" + "&".join(f"channel={quote(channel)}" for channel in channels)


def _row(item: Mapping[str, Any]) -> list[object]:
    value = Quantity(item["value"], item["scaler"], item["unit"]).decimal()
    return [item["time"], item["channel"], f"{value:f}", item["symbol"], item["status"]]
