"""Load profiles as columns: the same as a plain loop over every field."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1219 import CODES, any_config, config, value_of

from openami.c1222.tables import (
    Formats,
    IntFormat,
    NiFormat,
    ProfileColumns,
    ProfileSet,
    Tables,
    TimeFormat,
    standard,
)
from openami.c1222.tables.codecs import Octets, SInt, UInt
from openami.c1222.tables.columns import column_of
from openami.c1222.tables.numbers import non_integer
from openami.c1222.tables.times import long_time, short_time
from openami.core.errors import ConfigError, DecodeError, LocalProtocolError

STATUS: dict[str, Any] = {
    "FLAGS": {"ORDER": False, "INTERVAL_ORDER": False},
    "NBR_VALID_BLOCKS": 2,
    "LAST_BLOCK_ELEMENT": 1,
    "NBR_VALID_INT": 2,
}


def device(
    chance: Random,
    *,
    config_values: dict[str, Any] | None = None,
    flags: int | None = None,
    blocks: int = 3,
    intervals: int = 5,
    channels: int = 2,
    code: int = 4,
) -> Tables:
    """Return a device with one set, whose control record is made by chance."""
    values = config_values or config()
    values["STD_TBLS_USED"] = frozenset({0, 64})
    tables = Tables.of_values(values)
    actual = value_of(tables.layout(standard(61)), chance)
    names = list(actual["LP_FLAGS"])
    if flags is not None:
        actual["LP_FLAGS"] = {name: bool(flags >> place & 1) for place, name in enumerate(names)}
    actual["SET1"] = {
        "NBR_BLKS": blocks,
        "NBR_BLK_INTS": intervals,
        "NBR_CHNS": channels,
        "MAX_INT_TIME": 15,
    }
    tables = tables.learn(standard(61), tables.encode(standard(61), actual))
    control = value_of(tables.layout(standard(62)), chance)
    control["SET1"]["INT_FMT_CDE"] = code
    return tables.learn(standard(62), tables.encode(standard(62), control))


def number(value: Any) -> Any:
    if value is None:
        return np.nan
    return float(value) if isinstance(value, Decimal) else value


def plain(
    tables: Tables, octets: bytes, status: dict[str, Any] | None, which: int = 1
) -> dict[str, list[Any]]:
    """Return the same by a loop over every field."""
    blocks = tables.decode(standard(63 + which), octets)["BLOCKS"]
    size = tables.known[standard(61)][f"SET{which}"]
    intervals = size["NBR_BLK_INTS"]
    newest = intervals
    descending = False
    if status is not None:
        count, last = status["NBR_VALID_BLOCKS"], status["LAST_BLOCK_ELEMENT"]
        step = 1 if status["FLAGS"]["ORDER"] else -1
        newest = status["NBR_VALID_INT"]
        descending = status["FLAGS"]["INTERVAL_ORDER"]
        blocks = [blocks[(last + step * age) % len(blocks)] for age in range(count)][::-1]
    found: dict[str, list[Any]] = {
        name: []
        for name in (
            "ends",
            "values",
            "valid",
            "common",
            "status",
            "block_ends",
            "readings",
            "pulses",
        )
    }
    for place, block in enumerate(blocks):
        filled = newest if place == len(blocks) - 1 else intervals
        found["block_ends"].append(block["BLK_END_TIME"])
        readings = block.get("END_READINGS", [])
        found["readings"].append(
            [number(each["BLK_END_READ"]) for each in readings if "BLK_END_READ" in each]
        )
        found["pulses"].append(
            [each["BLK_END_PULSE"] for each in readings if "BLK_END_PULSE" in each]
        )
        for age in range(filled - 1, -1, -1):
            element = age if descending else filled - 1 - age
            interval = block["INTERVALS"][element]
            end = block["BLK_END_TIME"]
            found["ends"].append(None if end is None else end - timedelta(minutes=15 * age))
            found["values"].append([number(each) for each in interval["INT_DATA"]])
            found["valid"].append(element in block.get("SIMPLE_INT_STATUS", frozenset({element})))
            nibbles = [
                half
                for octet in interval.get("EXTENDED_INT_STATUS", [])
                for half in (octet >> 4, octet & 15)
            ]
            found["common"].append(nibbles[:1])
            found["status"].append(nibbles[1 : 1 + size["NBR_CHNS"]])
    return found


def times(moments: list[datetime | None]) -> Any:
    return np.array(["NaT" if each is None else each.isoformat() for each in moments], "M8[s]")


def same(columns: ProfileColumns, loop: dict[str, list[Any]], channels: int) -> None:
    np.testing.assert_array_equal(columns.ends, times(loop["ends"]))
    np.testing.assert_array_equal(columns.block_ends, times(loop["block_ends"]))
    values = np.array(loop["values"], columns.values.dtype).reshape(columns.rows, channels).T
    if values.dtype == np.int64:
        np.testing.assert_array_equal(columns.values, values)
    else:
        np.testing.assert_allclose(columns.values, values, rtol=1e-15)
    np.testing.assert_array_equal(columns.valid, np.array(loop["valid"], bool))
    assert columns.rows == len(loop["ends"])
    if columns.common is not None:
        np.testing.assert_array_equal(columns.common, [row[0] for row in loop["common"]])
        assert columns.status is not None
        np.testing.assert_array_equal(
            columns.status, np.array(loop["status"], np.uint8).reshape(columns.rows, channels).T
        )
    else:
        assert not any(loop["common"])
    for found, name in ((columns.readings, "readings"), (columns.pulses, "pulses")):
        if found is None:
            assert not any(loop[name])
        else:
            np.testing.assert_allclose(
                found,
                np.array(loop[name], found.dtype).reshape(len(columns.block_ends), channels).T,
                rtol=1e-15,
            )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_any_profile_is_what_a_plain_loop_gives(seed: int) -> None:
    chance = Random(seed)
    blocks, intervals, channels = chance.randint(0, 4), chance.randint(0, 9), chance.randint(0, 4)
    tables = device(
        chance,
        config_values=any_config(chance),
        blocks=blocks,
        intervals=intervals,
        channels=channels,
        code=chance.choice(CODES),
    )
    octets = tables.encode(standard(64), value_of(tables.layout(standard(64)), chance))
    profile = ProfileSet.of(tables, 1)
    assert profile.table(1) == standard(64)
    assert profile.block_size * blocks == len(octets)
    status = None
    if chance.random() < 0.8:
        status = {
            "FLAGS": {"ORDER": chance.random() < 0.5, "INTERVAL_ORDER": chance.random() < 0.5},
            "NBR_VALID_BLOCKS": chance.randint(0, blocks),
            "LAST_BLOCK_ELEMENT": chance.randrange(blocks) if blocks else 0,
            "NBR_VALID_INT": chance.randint(0, intervals),
        }
    if not profile.block_size:
        with pytest.raises(DecodeError):
            profile.decode(octets, status)
        return
    same(profile.decode(octets, status), plain(tables, octets, status), channels)


def test_a_profile_octet_by_octet() -> None:
    """A block of two intervals, two channels of UINT16, both statuses, scalars and divisors."""
    tables = device(Random(1), flags=0b1100_0111_0000, blocks=1, intervals=2, code=2)
    control = {
        "SET1": {
            "SOURCES": [{"CHNL_FLAG": 1, "LP_SOURCE_SELECT": 0, "END_BLK_RDG_SRC_SELECT": 0}] * 2,
            "INT_FMT_CDE": 2,
            "SCALARS": [10, 1],
            "DIVISORS": [4, 0],
        }
    }
    tables = tables.learn(standard(62), tables.encode(standard(62), control))
    octets = bytes.fromhex(
        "19060F0C1E"  # 2025-06-15 12:30
        "E80300000000 07000000 FFFFFFFFFFFF 08000000"  # INT48 and UINT32 of each channel
        "02"  # the second interval is valid
        "12 30 0100 0200"  # common 1, channel 1: 2, channel 2: 3
        "00 50 FFFF 0400"
    )
    found = ProfileSet.of(tables, 1).decode(octets)
    assert [str(end) for end in found.ends] == ["2025-06-15T12:15:00", "2025-06-15T12:30:00"]
    assert found.values.tolist() == [[1, 65535], [2, 4]]
    assert found.valid.tolist() == [False, True]
    assert found.common is not None
    assert found.status is not None
    assert found.common.tolist() == [1, 0]
    assert found.status.tolist() == [[2, 0], [3, 5]]
    assert found.readings is not None
    assert found.pulses is not None
    assert found.readings.tolist() == [[1000], [-1]]
    assert found.pulses.tolist() == [[7], [8]]
    for size in range(1, len(octets)):
        with pytest.raises(DecodeError):
            ProfileSet.of(tables, 1).decode(octets[:size])


def test_some_blocks_of_a_table() -> None:
    tables = device(Random(2), flags=0, blocks=4)
    octets = tables.encode(standard(64), value_of(tables.layout(standard(64)), Random(3)))
    profile = ProfileSet.of(tables, 1)
    whole, two = (
        profile.decode(octets),
        profile.decode(octets[profile.block_size : 3 * profile.block_size]),
    )
    assert two.rows == 10
    np.testing.assert_array_equal(two.values, whole.values[:, 5:15])
    assert profile.decode(b"").rows == 0
    with pytest.raises(DecodeError):
        profile.decode(octets[: profile.block_size], STATUS)


@pytest.mark.parametrize(
    "wrong", [{"NBR_VALID_BLOCKS": 4}, {"LAST_BLOCK_ELEMENT": 3}, {"NBR_VALID_INT": 6}]
)
def test_a_status_of_another_table(wrong: dict[str, int]) -> None:
    tables = device(Random(4))
    profile = ProfileSet.of(tables, 1)
    octets = bytes(3 * profile.block_size)
    assert profile.decode(octets, STATUS).rows == 7
    with pytest.raises(DecodeError):
        profile.decode(octets, {**STATUS, **wrong})


def test_each_of_the_four_sets_has_its_own_shape() -> None:
    """ST-64 to 67: blocks, intervals, channels and formats of ST-61 and 62 are each set's own."""
    chance, sets = Random(4), range(1, 5)
    values = config() | {"STD_TBLS_USED": frozenset({0, *(63 + each for each in sets)})}
    tables = Tables.of_values(values)
    actual = value_of(tables.layout(standard(61)), chance)
    for each in sets:
        actual[f"SET{each}"] = {
            "NBR_BLKS": each,
            "NBR_BLK_INTS": 7 - each,
            "NBR_CHNS": each + 1,
            "MAX_INT_TIME": 15,
        }
    tables = tables.learn(standard(61), tables.encode(standard(61), actual))
    control = value_of(tables.layout(standard(62)), chance)
    for each, code in zip(sets, (1, 2, 4, 32), strict=True):
        control[f"SET{each}"]["INT_FMT_CDE"] = code
    tables = tables.learn(standard(62), tables.encode(standard(62), control))
    for each in sets:
        table = standard(63 + each)
        octets = tables.encode(table, value_of(tables.layout(table), chance))
        profile = ProfileSet.of(tables, each)
        assert profile.table(each) == table
        same(profile.decode(octets), plain(tables, octets, None, each), each + 1)


def test_a_set_that_is_not_there() -> None:
    tables = device(Random(5))
    with pytest.raises(LocalProtocolError) as caught:
        ProfileSet.of(tables, 2)
    assert caught.value.code == "c1219.dimension"
    with pytest.raises(ConfigError):
        ProfileSet.of(tables, 90)
    with pytest.raises(DecodeError):
        ProfileSet.of(tables, -60)  # ST-3 is no profile


BCD4 = non_integer(NiFormat.BCD4, Formats())
CHAR6 = non_integer(NiFormat.CHAR6, Formats())


@pytest.mark.parametrize("codec", [BCD4, CHAR6])
def test_numbers_that_are_none_are_nan_in_columns(codec: Any) -> None:
    chance = Random(6)
    alphabet = b" 0123456789.-" if codec is CHAR6 else bytes(range(256))
    rows = [bytes(chance.choices(alphabet, k=codec.size)) for _ in range(2000)]
    if codec is BCD4:
        rows = [
            bytes(chance.choices(b"\x12\xb1\xa5\xd3\x7d\xbb\x00\x9b\x1a", k=4)) for _ in range(2000)
        ]
    column = column_of(codec)
    found = column.convert(np.frombuffer(b"".join(rows), column.dtype))
    expected = []
    for row in rows:
        try:
            expected.append(number(codec.decode(row)))
        except ValueError:
            expected.append(np.nan)
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert 0 < np.isnan(found).sum() < len(rows)


@pytest.mark.parametrize("form", TimeFormat)
@pytest.mark.parametrize("kind", [short_time, long_time])
def test_times_that_are_none_are_nat_in_columns(form: TimeFormat, kind: Any) -> None:
    chance = Random(7)
    codec = kind(Formats(time=form))
    octets = chance.randbytes(codec.size * 4000)
    if form in {TimeFormat.BCD, TimeFormat.UINT8}:
        octets = bytes(octet % 34 for octet in octets)
    rows = [
        octets[place : place + codec.size] for place in range(0, len(octets), codec.size or 1)
    ] or [b""]
    column = column_of(codec)
    data = np.zeros(1, column.dtype) if not codec.size else np.frombuffer(octets, column.dtype)
    found = column.convert(data)
    moments: list[datetime | None] = []
    for row in rows:
        try:
            moments.append(codec.decode(row))
        except (ValueError, OverflowError):
            moments.append(None)
    np.testing.assert_array_equal(found, times(moments))


@pytest.mark.parametrize("form", IntFormat)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("order", ["little", "big"])
def test_integers_with_a_sign(form: IntFormat, size: int, order: Any) -> None:
    codec = SInt(size, order, form)
    octets = (
        Random(8).randbytes(size * 200) + bytes(size) + b"\xff" * size + b"\x80".ljust(size, b"\0")
    )
    column = column_of(codec)
    found = column.convert(np.frombuffer(octets, column.dtype))
    rows = [octets[place : place + size] for place in range(0, len(octets), size)]
    assert found.tolist() == [codec.decode(row) for row in rows]


def test_characters_that_numpy_reads_otherwise() -> None:
    rows = [b"1E2   ", b"1_0   ", b"inf   ", b"\xe912   ", b"  1.50"]
    column = column_of(CHAR6)
    found = column.convert(np.array(rows, column.dtype))
    np.testing.assert_array_equal(found, [100, np.nan, np.nan, np.nan, 1.5])


def test_integers_without_a_sign() -> None:
    for size in (1, 2, 3, 4, 8):
        codec = UInt(size, "big")
        octets = Random(9).randbytes(size * 50)
        if size == 8:
            octets = bytes(8) + b"\x7f" + bytes(7)
        column = column_of(codec)
        rows = [octets[place : place + size] for place in range(0, len(octets), size)]
        found = column.convert(np.frombuffer(octets, column.dtype))
        assert found.tolist() == [codec.decode(row) for row in rows]


def test_octets_are_no_column() -> None:
    with pytest.raises(TypeError):
        column_of(Octets(2))
