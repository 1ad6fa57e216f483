"""Tables of readings and events: building, validation, octets from strangers."""

from __future__ import annotations

import itertools
import random
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.support.readings import CHANNELS, LOAD, MIDNIGHT, profile

from openami.core.errors import DecodeError
from openami.mdm import arrow_guard, readings
from openami.mdm.readings import (
    EVENTS_SCHEMA,
    READINGS_SCHEMA,
    ChannelValues,
    events_table,
    from_ipc,
    join,
    profile_table,
    profiles_table,
    to_ipc,
    validate_events,
    validate_readings,
)

EVENT = {
    "meter": "A1", "log": "0.0.99.98.0.255", "time": MIDNIGHT, "code": 3, "ordinal": 0,
    "detail": None,
}  # fmt: skip


def refused(code: str, octets: bytes, **options: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        from_ipc(octets, **options)
    assert caught.value.code == code


def changed(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(column)
    return table.set_column(place, pa.field(column, values.type), values)


def ipc(table: pa.Table, **options: Any) -> bytes:
    """Write a table without any of our checks."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    octets: bytes = sink.getvalue().to_pybytes()
    return octets


def test_a_profile_becomes_rows_by_channel() -> None:
    table = profile_table(
        "A1",
        LOAD,
        time=np.array([MIDNIGHT + 900, MIDNIGHT + 1800]),
        status=np.array([0, 4]),
        channels=[
            ChannelValues(CHANNELS[0], 0, 30, np.array([1, 2])),
            ChannelValues(CHANNELS[1], -3, 32, np.array([3, 4])),
        ],
    )
    assert table.schema.equals(READINGS_SCHEMA)
    assert table["channel"].to_pylist() == [CHANNELS[0]] * 2 + [CHANNELS[1]] * 2
    assert table["value"].to_pylist() == [1, 2, 3, 4]
    assert table["scaler"].to_pylist() == [0, 0, -3, -3]
    assert table["unit"].to_pylist() == [30, 30, 32, 32]
    assert table["status"].to_pylist() == [0, 4, 0, 4]
    assert table["time"].cast(pa.int64()).to_pylist() == [MIDNIGHT + 900, MIDNIGHT + 1800] * 2
    validate_readings(table)


def test_a_profile_without_channels_or_rows_is_empty() -> None:
    nothing = np.empty(0, np.int64)
    assert profile_table("A1", LOAD, time=nothing, status=nothing, channels=[]).num_rows == 0
    assert from_ipc(to_ipc(profile("A1", rows=0))).num_rows == 0


def test_what_does_not_fit_is_refused_and_not_cut_off() -> None:
    huge = ChannelValues(CHANNELS[0], 0, 30, np.array([2**64 - 1], np.uint64))
    with pytest.raises(DecodeError):
        profile_table("A1", LOAD, time=np.array([1]), status=np.array([0]), channels=[huge])


def test_columns_of_a_profile_have_one_length() -> None:
    with pytest.raises(ValueError, match="as many values"):
        profile_table("A1", LOAD, time=np.arange(2), status=np.arange(3), channels=[])
    two = np.arange(2)
    for offsets in ([0, 1], [0, 3, 2]):
        meters = ["A1", "A2"][: len(offsets) - 1]
        with pytest.raises(ValueError, match="offsets"):
            profiles_table(meters, np.array(offsets), LOAD, time=two, status=two, channels=[])


def test_profiles_of_many_meters_are_the_profiles_of_each() -> None:
    random = np.random.default_rng(1)
    lengths = [3, 0, 5, 1]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    time = MIDNIGHT + 900 * np.arange(9)
    status = np.arange(9)
    values = [random.integers(0, 1000, 9) for _ in range(3)]

    def channels(part: slice) -> list[ChannelValues]:
        return [
            ChannelValues(CHANNELS[n], n - 1, 30 + n, column[part])
            for n, column in enumerate(values)
        ]

    meters = ["A1", "A2", "A3", "A4"]
    together = profiles_table(
        meters, offsets, LOAD, time=time, status=status, channels=channels(slice(None))
    )
    parts = [slice(a, b) for a, b in itertools.pairwise(offsets)]
    single = [
        profile_table(m, LOAD, time=time[p], status=status[p], channels=channels(p))
        for m, p in zip(meters, parts, strict=True)
    ]
    assert together.to_pylist() == join(single).to_pylist()
    validate_readings(together)


def test_what_is_sent_arrives() -> None:
    table = join([profile(f"A{n}", seed=n) for n in range(20)])
    octets = to_ipc(table)
    assert len(octets) < 3 * table.num_rows
    assert from_ipc(octets).equals(table)
    assert from_ipc(ipc(table)).equals(table)
    assert from_ipc(ipc(table, compression="lz4")).equals(table)


def test_joining_nothing_gives_no_rows() -> None:
    assert join([]).equals(READINGS_SCHEMA.empty_table())
    assert join([], EVENTS_SCHEMA).schema.equals(EVENTS_SCHEMA)


def test_events_arrive() -> None:
    table = events_table([EVENT, {**EVENT, "ordinal": 1, "detail": "cover opened"}])
    validate_events(table)
    assert from_ipc(to_ipc(table), schema=EVENTS_SCHEMA).equals(table)
    assert events_table([]).num_rows == 0
    assert from_ipc(to_ipc(events_table([])), schema=EVENTS_SCHEMA).num_rows == 0


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("upload.ordinal", {"ordinal": -1}),
        ("upload.detail", {"detail": "x" * 513}),
        ("upload.log", {"log": "9999"}),
        ("upload.nulls", {"code": None}),
        ("upload.nulls", {"log": None}),
        ("upload.meter", {"meter": "a b"}),
        ("upload.time", {"time": 0}),
    ],
)
def test_events_that_cannot_be(code: str, change: dict[str, Any]) -> None:
    refused(code, ipc(events_table([{**EVENT, **change}])), schema=EVENTS_SCHEMA)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("upload.meter", {"meter": ""}),
        ("upload.meter", {"meter": "x" * 33}),
        ("upload.channel", {"channels": ("power",)}),
        ("upload.channel", {"channels": ("1-0:1.8.0*255",)}),
        ("upload.profile", {"name": "daily"}),
        ("upload.time", {"start": 0}),
        ("upload.time", {"start": 2**32}),
    ],
)
def test_readings_that_cannot_be(code: str, options: dict[str, Any]) -> None:
    refused(code, to_ipc(profile(options.pop("meter", "A1"), **options)))


@pytest.mark.parametrize("column", READINGS_SCHEMA.names)
def test_no_column_has_nulls(column: str) -> None:
    table = profile("A1", rows=2, channels=CHANNELS[:1])
    kind = READINGS_SCHEMA.field(column).type
    nulls = (
        pa.DictionaryArray.from_arrays(pa.array([0, None], kind.index_type), pa.array(["A1"]))
        if pa.types.is_dictionary(kind)
        else pa.array([None, None], kind)
    )
    refused("upload.nulls", ipc(changed(table, column, nulls)))


def test_a_dictionary_has_no_nulls() -> None:
    names = pa.DictionaryArray.from_arrays(
        pa.array([0, 0], pa.int32()), pa.array(["A1", None], pa.utf8())
    )
    table = changed(profile("A1", rows=2, channels=CHANNELS[:1]), "meter", names)
    refused("upload.nulls", ipc(table))


def test_another_schema_is_refused() -> None:
    table = profile("A1")
    refused("upload.schema", ipc(table.drop_columns(["unit"])))
    refused("upload.schema", ipc(changed(table, "value", table["value"].cast(pa.float64()))))
    refused("upload.schema", ipc(table), schema=EVENTS_SCHEMA)
    with pytest.raises(DecodeError):
        validate_readings(table.drop_columns(["unit"]))


def test_too_much_is_refused_before_it_is_unpacked() -> None:
    octets = to_ipc(profile("A1"))
    refused("upload.too-large", octets, max_octets=1000)


def test_too_many_names_and_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = to_ipc(join([profile(f"A{n}", rows=1) for n in range(5)]))
    with monkeypatch.context() as patch:
        patch.setattr(readings, "MAX_METERS", 4)
        refused("upload.too-large", octets)
    with monkeypatch.context() as patch:
        patch.setattr(readings, "MAX_ROWS", 19)
        refused("upload.too-large", octets)
    with monkeypatch.context() as patch:
        patch.setattr(arrow_guard, "MAX_MESSAGES", 3)
        refused("upload.too-large", octets)
    with monkeypatch.context() as patch:
        patch.setattr(arrow_guard, "MAX_BUFFERS", 3)
        refused("upload.too-large", octets)


def test_a_buffer_that_claims_to_be_huge_is_refused() -> None:
    """A decompression bomb is found by its claim, before anything is allocated."""
    octets = bytearray(to_ipc(profile("A1", rows=1000)))
    table = profile("A1", rows=1000)
    honest = struct.pack("<q", 8 * table.num_rows)
    place = octets.find(honest + b"\x28\xb5\x2f\xfd")  # the length, then zstd's magic number
    assert place > 0
    octets[place : place + 8] = struct.pack("<q", 1 << 60)
    refused("upload.too-large", bytes(octets))
    octets[place : place + 8] = struct.pack("<q", 8)
    refused("upload.stream", bytes(octets))


@pytest.mark.parametrize("index", [1, -1, 2**31 - 1])
def test_an_index_outside_its_dictionary_is_refused(index: int) -> None:
    names = pa.DictionaryArray.from_arrays(
        pa.array([0, index], pa.int32()), pa.array(["A1"]), safe=False
    )
    table = changed(profile("A1", rows=2, channels=CHANNELS[:1]), "meter", names)
    refused("upload.stream", ipc(table))


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_every_truncation_gives_a_whole_table_or_the_one_error(compression: str | None) -> None:
    octets = ipc(profile("A1", rows=3), compression=compression)
    whole = from_ipc(octets)
    for size in range(len(octets)):
        try:
            found = from_ipc(octets[:size])
        except DecodeError:
            continue
        # The end of the stream may be left out (Arrow format, IPC streaming format).
        assert found.equals(whole) or found.num_rows == 0


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_every_mutation_gives_a_valid_table_or_the_one_error(compression: str | None) -> None:
    octets = ipc(join([profile("A1", rows=3), profile("A2", rows=2)]), compression=compression)
    chance = random.Random(7)
    for _ in range(3000):
        spoilt = bytearray(octets)
        for _ in range(chance.randint(1, 4)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        try:
            found = from_ipc(bytes(spoilt), max_octets=1 << 20)
        except DecodeError:
            continue
        validate_readings(found)
        assert found.schema.equals(READINGS_SCHEMA)


def test_what_is_not_arrow_at_all() -> None:
    for octets in (b"", b"\0" * 100, b"\xff" * 100, b"ARROW1" + bytes(50)):
        with pytest.raises(DecodeError):
            from_ipc(octets)
