"""Readings and meters' events, asked for in pages."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.csv

from openami.core.clock import isoformat
from openami.core.units import symbol
from openami.fleet.ports import MAX_READINGS_PAGE, ReadingFilter
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.events import MeterEvent
    from openami.fleet.ports import EventStore, Page, ReadingStore, StoreCounts
    from openami.headend.registry import Registry

PERIOD_S: Final = 900
PROFILE: Final = "1.0.99.1.0.255"
GAP_SPAN_S: Final = 400 * 86_400  # a year and a bit: every interval of it is looked for
GAP_METERS: Final = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, in seconds UTC: ``start`` < t ≤ ``end``, either open."""

    start: int | None = None
    end: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise RequestError("the time range ends before it begins", code="request.range")


class Readings:
    """Answers questions about what was measured."""

    def __init__(
        self, readings: ReadingStore, events: EventStore, registry: Registry, *, page_rows: int
    ) -> None:
        self._readings = readings
        self._events = events
        self._registry = registry
        self._page_rows = min(page_rows, MAX_READINGS_PAGE)

    def page(
        self, which: ReadingFilter, *, after: str | None = None, limit: int | None = None
    ) -> tuple[pa.Table, str | None]:
        """Return readings of one meter by time and channel, and the cursor of what follows.

        Raises:
            NotFoundError: there is no such meter.
        """
        self._registry.meter(which.meter)
        rows = self._page_rows if limit is None else max(1, min(limit, self._page_rows))
        page = self._readings.readings(which, after=after, limit=rows)
        return (page.items[0] if page.items else pa.table({})), page.next

    @property
    def period(self) -> int:
        """Seconds of an interval of the load profile."""
        return PERIOD_S

    def sums(self, meters: Sequence[str] | None = None) -> pa.Table:
        """Return per meter, profile and channel: count, sum, first and last time."""
        return self._readings.sums(meters)

    def counts(self, span: Span) -> tuple[StoreCounts, int]:
        """Return the store's figures, and the duplicates in a time range: it looks at every row."""
        return self._readings.counts(), self._readings.duplicates(start=span.start, end=span.end)

    def hourly(
        self,
        channel: str,
        span: Span,
        *,
        profile: str = PROFILE,
        meters: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return per hour the sum and count of a channel; RequestError without both ends."""
        if span.start is None or span.end is None:
            raise RequestError("give both ends of the time range", code="request.range")
        return self._readings.hourly(
            channel, profile=profile, start=span.start, end=span.end, meters=meters
        )

    def latest(self, meter: str) -> pa.Table:
        """Return the newest reading of each of a meter's channels; NotFoundError."""
        self._registry.meter(meter)
        return self._readings.latest(meter)

    def gaps(
        self,
        meters: Sequence[str],
        span: Span,
        *,
        period: int = PERIOD_S,
        profile: str = PROFILE,
    ) -> pa.Table:
        """Return the intervals that should be there and are not.

        Raises:
            RequestError: ``request.range``, no span or too long a one.
        """
        if span.start is None or span.end is None or span.end - span.start > GAP_SPAN_S:
            raise RequestError(
                f"give a time range of up to {GAP_SPAN_S // 86_400} days", code="request.range"
            )
        if not 0 < len(meters) <= GAP_METERS:
            raise RequestError(f"name 1 to {GAP_METERS} meters", code="request.meters")
        return self._readings.gaps(
            start=span.start, end=span.end, period=period, profile=profile, meters=meters
        )

    def cursors(self, meters: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return by meter and profile the time of the last reading that is durable."""
        found = self._readings.cursors(meters)
        return {
            meter: {profile: isoformat(time) for profile, time in profiles.items()}
            for meter, profiles in found.items()
        }

    def events(
        self,
        *,
        meter: str | None = None,
        log: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[MeterEvent]:
        """Return events, newest first."""
        return self._events.list(meter=meter, log=log, after=after, limit=limit)


def as_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table as JSON objects: times in ISO 8601, units with their symbols."""
    names = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    plain = table
    for name in names:
        place = plain.schema.get_field_index(name)
        seconds = plain[name].cast(pa.timestamp("s", "UTC")).cast(pa.int64())
        plain = plain.set_column(place, name, seconds)
    return [_row(row, names) for row in plain.to_pylist()]


def as_csv(table: pa.Table) -> bytes:
    """Return a table as CSV with a header line (RFC 4180)."""
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(pa.table(columns, names=table.column_names), sink)
    octets: bytes = sink.getvalue().to_pybytes()
    return octets


def as_arrow(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream, not compressed: every reader takes it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    octets: bytes = sink.getvalue().to_pybytes()
    return octets


def _row(row: dict[str, Any], times: Sequence[str]) -> dict[str, Any]:
    for name, value in row.items():
        if name in times and value is not None:
            row[name] = isoformat(value)
        elif isinstance(value, Decimal):
            row[name] = int(value)  # sums are whole: the scaler stands beside them
    if "unit" in row:
        row["symbol"] = symbol(row["unit"])
    return row
