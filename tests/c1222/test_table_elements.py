"""Single elements of tables: octets laid out by hand, both ways, and what is refused."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from math import inf, isnan
from typing import Any

import pytest

from openami.c1222.tables.codecs import (
    BcdText,
    Bit,
    BitField,
    Codec,
    Octets,
    SecretOctets,
    SetOf,
    SInt,
    Tail,
    Text,
    UInt,
)
from openami.c1222.tables.formats import Formats, IntFormat, NiFormat, TimeFormat
from openami.c1222.tables.numbers import Float, non_integer
from openami.c1222.tables.times import Date, long_time, short_time, time_of_day

BIG = Formats(order="big")
ONES, SIGN = IntFormat.ONES_COMPLEMENT, IntFormat.SIGN_MAGNITUDE
FLAGS = BitField(2, "little", (Bit("LOW", 0, 1), Bit("NIBBLE", 4, 4)))


def ni(form: NiFormat, formats: Formats = BIG) -> Codec:
    return non_integer(form, formats)


def at(form: TimeFormat) -> Formats:
    return Formats(order="big", time=form)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("codec", "octets", "value"),
    [
        (UInt(3, "little"), "010200", 513),
        (SInt(2, "big", IntFormat.TWOS_COMPLEMENT), "FFFE", -2),
        (SInt(2, "big", ONES), "FFFE", -1),
        (SInt(2, "big", ONES), "7FFF", 32767),
        (SInt(2, "little", SIGN), "0280", -2),
        (SInt(2, "little", SIGN), "0200", 2),
        (Octets(2), "0102", b"\1\2"),
        (Tail(4), "0102", b"\1\2"),
        (Text(4, 1, "big"), "4F4B2020", "OK"),
        (Text(4, 3, "big"), "C3A92020", "é"),
        (Text(4, 4, "big"), "00410020", "A"),
        (Text(4, 4, "little"), "41002000", "A"),
        (Text(6, 5, "little"), "410000000000", "A"),
        (Text(2, 7, "little"), "E920", "é"),
        (BcdText(3), "0012BB", "0012"),
        (BcdText(2), "A1D5", "-1.5"),
        (SetOf(2), "0180", frozenset({0, 15})),
        (SetOf(0), "", frozenset()),
        (FLAGS, "5100", {"LOW": True, "NIBBLE": 5}),
        (FLAGS, "0001", {"LOW": False, "NIBBLE": 0, "UNNAMED": 256}),
        (ni(NiFormat.FLOAT64), "3FF8000000000000", 1.5),
        (ni(NiFormat.FLOAT32), "3FC00000", 1.5),
        (ni(NiFormat.CHAR12), b"       -1.50".hex(), Decimal("-1.50")),
        (ni(NiFormat.CHAR6), b"      ".hex(), None),
        (ni(NiFormat.INT32_4_DECIMALS), "00003039", Decimal("1.2345")),
        (ni(NiFormat.CHAR6), b"-.1234".hex(), Decimal("-0.1234")),
        (ni(NiFormat.CHAR6), b"  12E9".hex(), Decimal("12E9")),
        (ni(NiFormat.CHAR6), b"-10.25".hex(), Decimal("-10.25")),
        (ni(NiFormat.BCD4), "BBA12D50", Decimal("-12.50")),
        (ni(NiFormat.BCD4), "D1234567", Decimal("0.1234567")),
        (ni(NiFormat.BCD6), "BBBBBBBBBBBB", None),
        (ni(NiFormat.BCD8), "BBBBBBBBBBBBBBB7", Decimal(7)),
        (ni(NiFormat.INT24), "FFFFFE", -2),
        (ni(NiFormat.INT40), "0000000001", 1),
        (ni(NiFormat.INT48), "FFFFFFFFFFFF", -1),
        (ni(NiFormat.INT64), "7FFFFFFFFFFFFFFF", 2**63 - 1),
        (ni(NiFormat.CHAR21), b"123".rjust(21).hex(), Decimal(123)),
        (long_time(at(TimeFormat.NONE)), "", None),
        (long_time(at(TimeFormat.BCD)), "250615123059", moment("2025-06-15T12:30:59")),
        (short_time(at(TimeFormat.BCD)), "9912312359", moment("1999-12-31T23:59")),
        (short_time(at(TimeFormat.BCD)), "0000000000", None),
        (long_time(at(TimeFormat.UINT8)), "19060F0C1E3B", moment("2025-06-15T12:30:59")),
        (short_time(at(TimeFormat.UINT8)), "59060F0C1E", moment("2089-06-15T12:30")),
        (long_time(at(TimeFormat.MINUTES)), "000005A101", moment("1970-01-02T00:01:01")),
        (short_time(at(TimeFormat.MINUTES)), "000005A1", moment("1970-01-02T00:01")),
        (long_time(at(TimeFormat.SECONDS)), "00000000", moment("1970-01-01")),
        (short_time(at(TimeFormat.SECONDS)), "FFFFFFFF", moment("2106-02-07T06:28:15")),
        (time_of_day(at(TimeFormat.NONE)), "", None),
        (time_of_day(at(TimeFormat.BCD)), "235958", time(23, 59, 58)),
        (time_of_day(at(TimeFormat.UINT8)), "173B3A", time(23, 59, 58)),
        (time_of_day(at(TimeFormat.MINUTES)), "0001517E", time(23, 59, 58)),
        (Date("little"), "197B", date(2025, 6, 15)),
        (Date("big"), "0000", None),
    ],
)
def test_octets_both_ways(codec: Codec, octets: str, value: Any) -> None:
    raw = bytes.fromhex(octets)
    assert codec.decode(raw) == value
    assert codec.encode(value) == raw
    assert codec.from_json(codec.to_json(value)) == value


@pytest.mark.parametrize(
    ("codec", "octets"),
    [
        (Text(2, 3, "big"), "FFFF"),
        (BcdText(1), "0C"),
        (ni(NiFormat.CHAR6), b"1 2   ".hex()),
        (ni(NiFormat.CHAR6), "FFFFFFFFFFFF"),
        (ni(NiFormat.CHAR6), b"1E99  ".hex()),
        (ni(NiFormat.BCD4), "1D2D3D4D"),
        (ni(NiFormat.BCD4), "FFFFFFFF"),
        (long_time(at(TimeFormat.BCD)), "25061512305A"),
        (long_time(at(TimeFormat.BCD)), "A50615123059"),
        (short_time(at(TimeFormat.UINT8)), "190D0F0C1E"),
        (short_time(at(TimeFormat.UINT8)), "64060F0C1E"),
        (long_time(at(TimeFormat.MINUTES)), "000005A13C"),
        (short_time(at(TimeFormat.MINUTES)), "FFFFFFFF"),
        (time_of_day(at(TimeFormat.UINT8)), "180000"),
        (time_of_day(at(TimeFormat.SECONDS)), "FFFFFFFF"),
        (Date("big"), "FFFF"),
    ],
)
def test_octets_that_are_none(codec: Codec, octets: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        codec.decode(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (UInt(1, "big"), 256),
        (UInt(1, "big"), -1),
        (UInt(1, "big"), 1.0),
        (SInt(1, "big", IntFormat.TWOS_COMPLEMENT), 128),
        (SInt(1, "big", ONES), -128),
        (SInt(1, "big", SIGN), 128),
        (Octets(2), b"\1"),
        (Tail(2), b"\1\2\3"),
        (Text(2, 1, "big"), "ABC"),
        (Text(2, 1, "big"), "€"),
        (BcdText(1), "X"),
        (BcdText(1), "?1"),
        (BcdText(1), "123"),
        (SetOf(1), frozenset({8})),
        (SetOf(1), {1}),
        (FLAGS, {"LOW": True}),
        (FLAGS, {"LOW": True, "NIBBLE": 16}),
        (FLAGS, {"LOW": 2, "NIBBLE": 0}),
        (FLAGS, {"LOW": True, "NIBBLE": 0, "MORE": 1}),
        (FLAGS, {"LOW": True, "NIBBLE": 0, "UNNAMED": 1}),
        (FLAGS, {"LOW": True, "NIBBLE": 0, "UNNAMED": 1 << 16}),
        (ni(NiFormat.FLOAT32), 1e300),
        (ni(NiFormat.FLOAT32), True),
        (ni(NiFormat.CHAR6), Decimal(1234567)),
        (ni(NiFormat.CHAR6), Decimal("1E+999999")),
        (ni(NiFormat.CHAR6), Decimal("NaN")),
        (ni(NiFormat.BCD4), Decimal("12E9")),
        (ni(NiFormat.CHAR6), 1.5),
        (ni(NiFormat.INT32_4_DECIMALS), Decimal("0.00001")),
        (ni(NiFormat.INT32_4_DECIMALS), Decimal(300_000)),
        (long_time(at(TimeFormat.NONE)), moment("2025-01-01")),
        (long_time(at(TimeFormat.BCD)), moment("2025-01-01T00:00+00:00")),
        (long_time(at(TimeFormat.BCD)), moment("2025-01-01T00:00:00.5")),
        (long_time(at(TimeFormat.BCD)), moment("2090-01-01")),
        (short_time(at(TimeFormat.BCD)), moment("2025-01-01T00:00:01")),
        (short_time(at(TimeFormat.MINUTES)), moment("2025-01-01T00:00:01")),
        (short_time(at(TimeFormat.SECONDS)), moment("1969-01-01")),
        (time_of_day(at(TimeFormat.BCD)), time(1, 2, 3, 4)),
        (time_of_day(at(TimeFormat.NONE)), time(1)),
        (time_of_day(at(TimeFormat.BCD)), None),
        (Date("big"), date(1989, 1, 1)),
        (Date("big"), "2025-01-01"),
    ],
)
def test_values_that_do_not_fit(codec: Codec, value: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        codec.encode(value)


def test_numbers_are_written_from_whole_ones_too() -> None:
    assert ni(NiFormat.FLOAT64).encode(2) == bytes.fromhex("4000000000000000")
    assert ni(NiFormat.CHAR6).encode(7) == b"     7"
    assert ni(NiFormat.INT32_4_DECIMALS).encode(2) == bytes.fromhex("00004E20")


def test_floats_that_json_does_not_have() -> None:
    codec = Float(8, "big")
    for value, text in ((inf, "inf"), (-inf, "-inf")):
        assert codec.to_json(value) == text
        assert codec.from_json(text) == value
    assert isnan(codec.from_json(codec.to_json(float("nan"))))


def test_a_secret_shows_its_length() -> None:
    secret = SecretOctets(b"key")
    assert (str(secret), repr(secret), f"{secret}") == ("SecretOctets(3)",) * 3
    assert secret == b"key"
