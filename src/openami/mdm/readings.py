"""Readings and events as Arrow tables: schemas, building, validation, octets.

``READINGS_SCHEMA``: ``meter`` is a serial number, ``channel`` the OBIS code of what was measured,
``profile`` that of the profile it came from or ``instant``, ``time`` the END of the interval,
``value`` times ten to the power of ``scaler`` in ``unit`` what was measured, ``status`` the
profile's status bits. ``EVENTS_SCHEMA``: ``ordinal`` counts events of one log and second.

Every refusal is a ``DecodeError``: ``upload.stream`` not Arrow IPC, ``upload.too-large``,
``upload.schema``, ``upload.nulls``, and ``upload.meter``, ``.channel``, ``.profile``, ``.log``,
``.time``, ``.ordinal``, ``.detail`` for values that cannot be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from openami.core.errors import DecodeError
from openami.core.identifiers import check_serial
from openami.core.obis import Obis
from openami.mdm.arrow_guard import check_unpacked_size, malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Ints = npt.NDArray[np.integer[Any]]

INSTANT: Final = "instant"
CONTENT_TYPE: Final = "application/vnd.apache.arrow.stream"

_TIME: Final = pa.timestamp("s", "UTC")
_NAMES_32: Final = pa.dictionary(pa.int32(), pa.utf8())
_NAMES_16: Final = pa.dictionary(pa.int16(), pa.utf8())

READINGS_SCHEMA: Final = pa.schema(
    [
        ("meter", _NAMES_32),
        ("channel", _NAMES_16),
        ("profile", _NAMES_16),
        ("time", _TIME),
        ("value", pa.int64()),
        ("scaler", pa.int8()),
        ("unit", pa.uint8()),
        ("status", pa.uint8()),
    ]
)
# What a store answers with: the higher the version, the later it came.
STORED_SCHEMA: Final = READINGS_SCHEMA.append(pa.field("version", pa.int64()))
EVENTS_SCHEMA: Final = pa.schema(
    [
        ("meter", _NAMES_32),
        ("log", _NAMES_16),
        ("time", _TIME),
        ("code", pa.int32()),
        ("ordinal", pa.int16()),
        ("detail", pa.utf8()),
    ]
)

# A DCU has some hundred meters; a head-end that hands on another's data may have whole regions.
MAX_METERS: Final = 65_536
# A meter has some hundred objects.
MAX_CHANNELS: Final = 4_096
# A row takes 31 octets unpacked: this is a day of a thousand meters ten times over.
MAX_ROWS: Final = 4_000_000
MAX_UNPACKED_OCTETS: Final = 160_000_000
# An event's words are for a line of a screen.
MAX_DETAIL_OCTETS: Final = 512
# 2000-01-01 to 2100-01-01: a meter with a dead clock begins in 1970 or 2000, never before.
MIN_TIME: Final = 946_684_800
MAX_TIME: Final = 4_102_444_800


@dataclass(frozen=True, slots=True)
class ChannelValues:
    """One channel of a profile: its values, and what one of them counts."""

    channel: str
    scaler: int
    unit: int
    values: Ints = field(repr=False)


def profile_table(
    meter: str, profile: str, *, time: Ints, status: Ints, channels: Sequence[ChannelValues]
) -> pa.Table:
    """Return the readings of one meter's profile; ``time`` is in seconds, one per captured entry.

    Raises:
        ValueError: the columns differ in length.
        DecodeError: ``readings.range``, a value does not fit its column.
    """
    return profiles_table(
        [meter], np.array([0, len(time)]), profile, time=time, status=status, channels=channels
    )


def profiles_table(
    meters: Sequence[str],
    offsets: Ints,
    profile: str,
    *,
    time: Ints,
    status: Ints,
    channels: Sequence[ChannelValues],
) -> pa.Table:
    """Return the readings of the same profile of many meters, whose entries follow each other.

    Args:
        meters: serial numbers.
        offsets: one more than there are meters; the entries of meter ``i`` go from the ``i``-th
            offset up to the next.
        profile: the profile's OBIS code.
        time: seconds, one for each entry.
        status: one for each entry.
        channels: the channels that all these meters have.

    Raises:
        ValueError: the columns differ in length.
        DecodeError: ``readings.range``, a value does not fit its column.
    """
    entries, width = len(time), len(channels)
    if any(len(column) != entries for column in (status, *(c.values for c in channels))):
        raise ValueError("every column of a profile has as many values as there are times")
    lengths = np.diff(offsets)
    if lengths.sum() != entries or (lengths < 0).any():
        raise ValueError("the offsets of the meters make up all entries")
    places = _places(offsets, lengths, width)
    columns = [
        _names(np.repeat(np.arange(len(meters), dtype=np.int32), lengths * width), meters),
        _names(_placed(places, range(width), np.int16), [c.channel for c in channels]),
        _names(np.zeros(entries * width, np.int16), [profile]),
        _times(_placed(places, [time] * width, np.int64)),
        pa.array(_placed(places, [c.values for c in channels], np.int64)),
        pa.array(_placed(places, [c.scaler for c in channels], np.int8)),
        pa.array(_placed(places, [c.unit for c in channels], np.uint8)),
        pa.array(_placed(places, [status] * width, np.uint8)),
    ]
    return pa.Table.from_arrays(columns, schema=READINGS_SCHEMA)


def events_table(events: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return events from mappings with the schema's names; ``time`` in seconds."""
    rows = list(events)
    columns = [_event_column(item, rows) for item in EVENTS_SCHEMA]
    return pa.Table.from_arrays(columns, schema=EVENTS_SCHEMA)


def _event_column(item: pa.Field, rows: Sequence[Mapping[str, Any]]) -> pa.Array:
    plain = item.type.value_type if pa.types.is_dictionary(item.type) else item.type
    values = pa.array([row.get(item.name) for row in rows], plain)
    return values.dictionary_encode().cast(item.type) if plain is not item.type else values


def join(tables: Sequence[pa.Table], schema: pa.Schema = READINGS_SCHEMA) -> pa.Table:
    """Return one table of many, each column in one piece with one dictionary."""
    if not tables:
        return schema.empty_table()
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def to_ipc(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream with zstd buffers."""
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table.unify_dictionaries().combine_chunks())
    octets: bytes = sink.getvalue().to_pybytes()
    return octets


def from_ipc(
    data: bytes, max_octets: int = MAX_UNPACKED_OCTETS, *, schema: pa.Schema = READINGS_SCHEMA
) -> pa.Table:
    """Return the validated table of an Arrow IPC stream that a stranger sent.

    Args:
        data: the stream.
        max_octets: what it may unpack to.
        schema: READINGS_SCHEMA or EVENTS_SCHEMA.

    Raises:
        DecodeError: see the module's codes.
    """
    check_unpacked_size(data, max_octets=max_octets, max_rows=MAX_ROWS + 2 * MAX_METERS)
    try:
        with pa.ipc.open_stream(pa.BufferReader(data)) as stream:
            _check_schema(stream.schema, schema)
            table = stream.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise malformed(error) from error
    _VALIDATORS[schema.names[1]](table)
    return join([table.select(schema.names).cast(schema)], schema)


def validate_readings(table: pa.Table) -> None:
    """Raise DecodeError unless a table holds readings that can be."""
    _check_common(table, READINGS_SCHEMA)
    _check_names(table, "channel", _check_obis, MAX_CHANNELS)
    _check_names(table, "profile", _check_profile, MAX_CHANNELS)


def validate_events(table: pa.Table) -> None:
    """Raise DecodeError unless a table holds events that can be."""
    _check_common(table, EVENTS_SCHEMA, nullable=("detail",))
    _check_names(table, "log", _check_obis, MAX_CHANNELS)
    if table.num_rows and pc.min(table["ordinal"]).as_py() < 0:
        raise DecodeError("an ordinal is 0 or more", code="upload.ordinal")
    longest = pc.max(pc.binary_length(table["detail"])).as_py() or 0
    if longest > MAX_DETAIL_OCTETS:
        raise DecodeError(f"a detail has at most {MAX_DETAIL_OCTETS} octets", code="upload.detail")


_VALIDATORS: Final[Mapping[str, Callable[[pa.Table], None]]] = {
    "channel": validate_readings,
    "log": validate_events,
}


def _check_common(table: pa.Table, schema: pa.Schema, nullable: Sequence[str] = ()) -> None:
    _check_schema(table.schema, schema)
    if table.num_rows > MAX_ROWS:
        raise DecodeError(f"more than {MAX_ROWS} rows", code="upload.too-large")
    for name in schema.names:
        if name not in nullable and table[name].null_count:
            raise DecodeError(f"{name} has nulls", code="upload.nulls")
    _check_names(table, "meter", check_serial, MAX_METERS)
    if table.num_rows:
        span = pc.min_max(table["time"].cast(pa.int64()))
        if span["min"].as_py() < MIN_TIME or span["max"].as_py() > MAX_TIME:
            raise DecodeError("a time is between the years 2000 and 2100", code="upload.time")


def _check_schema(found: pa.Schema, wanted: pa.Schema) -> None:
    have = [(item.name, item.type) for item in found]
    if have != [(item.name, item.type) for item in wanted]:
        raise DecodeError(
            f"the columns are {', '.join(f'{n}: {t}' for n, t in have)[:400]}",
            code="upload.schema",
            hint=f"they should be {', '.join(f'{item.name}: {item.type}' for item in wanted)}",
        )


def _check_names(table: pa.Table, column: str, check: Callable[[str], object], limit: int) -> None:
    for chunk in table[column].chunks:
        names = chunk.dictionary
        if len(names) > limit:
            raise DecodeError(f"{column} has over {limit} names", code="upload.too-large")
        if names.null_count:
            raise DecodeError(f"{column} has nulls", code="upload.nulls")
        for name in names.to_pylist():
            try:
                check(name)
            except ValueError as error:
                raise DecodeError(f"{column}: {error}", code=f"upload.{column}") from error


def _check_obis(name: str) -> None:
    if str(Obis.parse(name)) != name:
        raise ValueError(f"{name!r} is written {Obis.parse(name)}")


def _check_profile(name: str) -> None:
    if name != INSTANT:
        _check_obis(name)


def _names(index: Ints, names: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(index), pa.array(names, pa.utf8()))


def _times(seconds: Ints) -> pa.Array:
    return pa.array(_fitting(seconds, np.int64)).view(_TIME)


def _places(offsets: Ints, lengths: Ints, width: int) -> list[Ints]:
    """Return where each channel's values go: by meter, then channel, then entry."""
    place = np.arange(lengths.sum()) + np.repeat(offsets[:-1] * (width - 1), lengths)
    step = np.repeat(lengths, lengths)
    return [place + number * step for number in range(width)]


def _placed(places: Sequence[Ints], parts: Sequence[Any], kind: Any) -> npt.NDArray[Any]:
    """Return a column with each part, an array or one value for all, at its places."""
    column = np.empty(sum(map(len, places)), kind)
    for place, part in zip(places, parts, strict=True):
        column[place] = _fitting(part, kind)
    return column


def _fitting(values: Any, kind: Any) -> Any:
    """Return ``values`` if ``kind`` holds each of them: numpy would cut them off."""
    numbers, limits = np.asarray(values), np.iinfo(kind)
    if numbers.size and not (limits.min <= numbers.min() and numbers.max() <= limits.max):
        raise DecodeError(
            f"a value is not from {limits.min} to {limits.max}", code="readings.range"
        )
    return numbers.astype(kind, copy=False)
