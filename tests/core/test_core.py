"""Errors, clocks, OBIS codes, identifiers, units."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core import errors
from openami.core.clock import ManualClock, ScaledClock, isoformat, parse_utc, time_zone, utc
from openami.core.errors import DecodeError, OpenAmiError
from openami.core.identifiers import SystemTitle, check_serial
from openami.core.obis import Obis
from openami.core.units import SYMBOLS, Quantity, Unit, symbol

ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, OpenAmiError)
]


def test_every_error_has_its_own_code_and_place_in_the_tree() -> None:
    codes = [kind.code for kind in ERRORS]
    assert len(set(codes)) == len(codes)
    assert errors.__doc__ is not None
    for kind in ERRORS:
        assert kind.__name__ in errors.__doc__
        assert kind.exit_status > 0


def test_a_child_has_a_code_below_its_parents() -> None:
    for kind in ERRORS:
        parent = kind.__mro__[1]
        if parent in ERRORS and parent not in (OpenAmiError, errors.RemoteProtocolError):
            assert kind.code.startswith(f"{parent.code}.")


def test_an_error_carries_message_hint_and_code() -> None:
    error = OpenAmiError("broken", hint="mend it", code="error.test")
    assert (str(error), error.hint, error.code) == ("broken", "mend it", "error.test")
    assert OpenAmiError("broken").code == "error"
    assert OpenAmiError.code == "error"


def test_a_decode_error_tells_where() -> None:
    error = DecodeError("no tag", offset=3, hint="look", code="protocol.decode.tag")
    assert str(error) == "no tag (at octet 3)"
    assert (error.offset, error.hint, error.code) == (3, "look", "protocol.decode.tag")
    assert str(DecodeError("no tag", offset=0)) == "no tag (at octet 0)"
    whole = DecodeError("no address")
    assert (str(whole), whole.reason, whole.offset) == ("no address", "no address", 0)


def test_a_manual_clock_moves_when_told() -> None:
    clock = ManualClock(10)
    clock.advance(2.5)
    assert clock.now() == 12.5
    clock.set(1)
    assert clock.now() == 1
    with pytest.raises(ValueError, match="does not run backwards"):
        clock.advance(-1)


def test_a_scaled_clock_runs_faster() -> None:
    source = ManualClock(100)
    clock = ScaledClock(source.now, start=1000, factor=60)
    assert clock.now() == 1000
    source.advance(2)
    assert clock.now() == 1120
    assert ScaledClock(source.now, start=0, origin=100).now() == 2


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_a_clock_has_a_sensible_factor(factor: float) -> None:
    with pytest.raises(ValueError, match="factor"):
        ScaledClock(lambda: 0.0, start=0, factor=factor)


def test_times_as_text() -> None:
    assert isoformat(1_700_000_000.9) == "2023-11-14T22:13:20Z"
    assert utc(0).isoformat() == "1970-01-01T00:00:00+00:00"
    assert parse_utc("2023-11-14T22:13:20Z") == 1_700_000_000
    assert parse_utc("2023-11-14T22:13:20") == 1_700_000_000
    assert parse_utc("2023-11-15T07:13:20+09:00") == 1_700_000_000
    assert parse_utc("1970-01-02") == 86400
    with pytest.raises(ValueError, match="Invalid isoformat"):
        parse_utc("yesterday")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "Europe", "../UTC", "/etc/passwd", "\0"])
def test_a_time_zone_goes_by_its_name(name: str) -> None:
    assert str(time_zone("Europe/Berlin")) == "Europe/Berlin"
    with pytest.raises(ValueError, match="is no time zone"):
        time_zone(name)


@given(st.integers(0, 4_000_000_000))
@settings(max_examples=50, deadline=None)
def test_whole_seconds_come_back(seconds: int) -> None:
    assert parse_utc(isoformat(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["1.0.1.8.0.255", "1-0:1.8.0*255", "1-0:1.8.0.255", " 1-0:1.8.0&255 "]
)
def test_forms_of_obis_codes(text: str) -> None:
    obis = Obis.parse(text)
    assert obis.raw == bytes.fromhex("0100010800FF")
    assert obis.groups == (1, 0, 1, 8, 0, 255)
    assert (str(obis), repr(obis)) == ("1.0.1.8.0.255", "Obis('1.0.1.8.0.255')")


@pytest.mark.parametrize(
    "text", ["", "1.0.1.8.0", "1.0.1.8.0.256", "1.0.1.8.0.255.1", "a.b.c.d.e.f"]
)
def test_not_obis_codes(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - ours, or that of bytes()
        Obis.parse(text)


def test_a_logical_name_has_six_octets() -> None:
    with pytest.raises(ValueError, match="six octets"):
        Obis(b"12345")


@given(st.binary(min_size=6, max_size=6))
@settings(max_examples=50, deadline=None)
def test_any_logical_name_comes_back(raw: bytes) -> None:
    assert Obis.parse(str(Obis(raw))) == Obis(raw)


@pytest.mark.parametrize("text", ["A", "MMM-0001.2_3", "1" * 32])
def test_serial_numbers(text: str) -> None:
    assert check_serial(text) == text


@pytest.mark.parametrize("text", ["", "-1", "1" * 33, "a b", "a/b", "a\n", "é"])
def test_not_serial_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="is not a serial number"):
        check_serial(text)


def test_system_titles() -> None:
    title = SystemTitle.of("MMM", 0xBC614E)
    assert str(title) == "4D4D4D0000BC614E"
    assert SystemTitle.parse("4d4d4d0000bc614e") == title
    assert title.flag == "MMM"
    assert SystemTitle(b"a0Z12345").flag == "??Z"
    with pytest.raises(ValueError, match="eight octets"):
        SystemTitle(b"1234567")


def test_units() -> None:
    assert set(SYMBOLS) == set(Unit)
    assert symbol(30) == "Wh"
    assert symbol(200) == "unit 200"


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Quantity(12345, -1, 35), "1234.5 V"),
        (Quantity(5, 3, 30), "5000 Wh"),
        (Quantity(-1, -3, 27), "-0.001 W"),
        (Quantity(7, 0, 255), "7"),
        (Quantity(0, 0, 200), "0 unit 200"),
    ],
)
def test_quantities(quantity: Quantity, text: str) -> None:
    assert str(quantity) == text
    assert quantity.decimal() == Decimal(quantity.value) * Decimal(10) ** quantity.scaler
