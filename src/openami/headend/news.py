"""What a stored batch is worth telling to who watches: per meter, its newest values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from openami.core.clock import isoformat
from openami.core.units import symbol
from openami.headend.bus import LiveEvent, Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from openami.fleet.ports import Batch

EVENTS_TOLD: Final = 50  # a screen shows the newest few; the rest is in the store


NEWS: Final = frozenset({Topic.BATCH, Topic.READINGS, Topic.EVENTS})
"""What ``batch_news`` tells of."""


def batch_news(batch: Batch, kind: str, rows: int, *, now: float) -> Iterator[LiveEvent]:
    """Yield what is new with a batch of ``kind``: one event for the batch, then one per meter."""
    octets = batch.table.nbytes
    data = {"kind": kind, "rows": rows, "octets": octets, "batch": batch.id}
    yield LiveEvent(Topic.BATCH, batch.dcu, now, data, dcu=batch.dcu)
    if batch.table.num_rows:
        yield from _NEWS[kind](batch, now)


def _readings(batch: Batch, now: float) -> Iterator[LiveEvent]:
    for meter, rows in _newest(batch.table).items():
        last = max(row["time"] for row in rows)
        data = {"last": isoformat(last), "values": [_value(row) for row in rows]}
        yield LiveEvent(Topic.READINGS, meter, now, data, dcu=batch.dcu)


def _value(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "time": isoformat(row["time"]), "symbol": symbol(row["unit"])}


def _newest(table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """Return by meter the newest row of each channel and profile."""
    keys = ["meter", "channel", "profile"]
    seconds = table.set_column(3, "time", table["time"].cast(pa.int64()))
    ordered = seconds.sort_by("time")
    last = ordered.append_column("row", pa.array(range(ordered.num_rows), pa.int64()))
    picked = ordered.take(last.group_by(keys).aggregate([("row", "max")])["row_max"])
    found: dict[str, list[dict[str, Any]]] = {}
    for row in picked.to_pylist():
        found.setdefault(row.pop("meter"), []).append(row)
    return found


def _events(batch: Batch, now: float) -> Iterator[LiveEvent]:
    newest = batch.table.take(
        pc.sort_indices(batch.table, sort_keys=[("time", "descending")])[:EVENTS_TOLD]
    )
    for row in reversed(newest.to_pylist()):
        meter = row.pop("meter")
        data = {**row, "time": isoformat(row["time"].timestamp())}
        yield LiveEvent(Topic.EVENTS, meter, now, data, dcu=batch.dcu)


_NEWS: Final[Mapping[str, Callable[[Batch, float], Iterator[LiveEvent]]]] = {
    "readings": _readings,
    "events": _events,
}
