"""Dates and times: octets both ways, wildcards, conversion to and from UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError
from openami.dlms.datetime import (
    ANY,
    ANY_YEAR,
    LAST_DAY,
    NO_DEVIATION,
    SECOND_LAST_DAY,
    ClockStatus,
    CosemDate,
    CosemDateTime,
    CosemTime,
    status_text,
)


def seconds(*fields: int) -> float:
    return datetime(*fields, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]  # year to second


def test_octets_of_korea() -> None:
    """Deviation is local to UTC: Korea is FDE4."""
    moment = CosemDateTime.from_utc(seconds(2024, 10, 26, 15, 0, 0), -540)
    assert moment.encode() == bytes.fromhex("07E8 0A 1B 07 00 00 00 00 FDE4 00")
    assert CosemDateTime.decode(moment.encode()) == moment
    assert moment.timestamp() == seconds(2024, 10, 26, 15, 0, 0)
    assert str(moment) == "2024-10-27 Sun 00:00:00.00 UTC+09:00"


def test_status_and_summer_time() -> None:
    moment = CosemDateTime.from_utc(0, -120, dst=True, status=ClockStatus.DOUBTFUL)
    assert moment.status == 0x82
    assert moment.dst
    assert str(moment).endswith("UTC+02:00 [doubtful, dst]")
    assert not CosemDateTime.from_utc(0).dst
    assert not CosemDateTime().dst


def test_west_of_greenwich() -> None:
    moment = CosemDateTime.from_utc(seconds(2024, 1, 1, 3, 30, 0), 210)
    assert (moment.hour, moment.minute, moment.day) == (0, 0, 1)
    assert str(moment).endswith("UTC-03:30")


def test_everything_unspecified() -> None:
    moment = CosemDateTime()
    assert moment.encode() == bytes.fromhex("FFFF FF FF FF FF FF FF FF 8000 FF")
    assert str(moment) == "****-**-** **:**:**"
    with pytest.raises(ValueError, match="deviation from UTC is not specified"):
        moment.timestamp()
    with pytest.raises(ValueError, match="not one moment"):
        moment.timestamp(0)


def test_a_default_deviation_stands_in() -> None:
    moment = CosemDateTime(2024, 1, 1, ANY, 0, 0, ANY, ANY)
    assert moment.deviation == NO_DEVIATION
    assert moment.timestamp(-60) == seconds(2023, 12, 31, 23, 0, 0)


@pytest.mark.parametrize(
    ("day", "month", "year", "expected"),
    [
        (LAST_DAY, 2, 2024, 29),
        (SECOND_LAST_DAY, 2, 2023, 27),
        (LAST_DAY, 12, 2024, 31),
        (15, 6, 2024, 15),
    ],
)
def test_last_and_second_last_day(day: int, month: int, year: int, expected: int) -> None:
    moment = CosemDateTime(year, month, day, ANY, 1, 2, 3, 4, 0, 0)
    assert moment.timestamp() == seconds(year, month, expected, 1, 2, 3) + 0.04


@pytest.mark.parametrize(
    "octets",
    [
        "07E8 0D 01 FF 00 00 00 00 0000 00",  # month 13
        "07E8 FD FE FF 00 00 00 00 0000 00",  # summer time ends: no month
        "07E8 02 1E FF 00 00 00 00 0000 00",  # 30 February
        "07E8 01 01 FF 18 00 00 00 0000 00",  # hour 24
        "07E8 01 01 FF 00 00 00 64 0000 00",  # 100 hundredths
        "07E8 01 01 FF 00 00 00 00 0349 00",  # 841 minutes
        "0000 01 01 FF 00 00 00 00 0000 00",  # year 0
        "FFFF 01 FE FF 00 00 00 00 0000 00",  # last day of any year
    ],
)
def test_kept_but_no_moment(octets: str) -> None:
    raw = bytes.fromhex(octets)
    moment = CosemDateTime.decode(raw)
    assert moment.encode() == raw
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own reason
        moment.timestamp()


@given(
    st.integers(-62_000_000_00, 250_000_000_000_00 // 100),
    st.integers(-840, 840),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_there_and_back(hundredths: int, deviation: int, dst: bool) -> None:
    moment = CosemDateTime.from_utc(hundredths / 100, deviation, dst=dst)
    assert round(moment.timestamp() * 100) == hundredths
    assert CosemDateTime.decode(moment.encode()) == moment


@given(st.binary(min_size=12, max_size=12))
@settings(max_examples=200, deadline=None)
def test_any_twelve_octets_are_kept(octets: bytes) -> None:
    moment = CosemDateTime.decode(octets)
    assert moment.encode() == octets
    assert str(moment)
    assert (moment.date.encode(), moment.time.encode()) == (octets[:5], octets[5:9])


@pytest.mark.parametrize("size", [0, 4, 5, 11, 13])
def test_wrong_sizes(size: int) -> None:
    with pytest.raises(DecodeError, match=f"12 octets wanted, {size} found"):
        CosemDateTime.decode(bytes(size))
    if size != 5:
        with pytest.raises(DecodeError, match="date: 5 octets"):
            CosemDate.decode(bytes(size))
    if size != 4:
        with pytest.raises(DecodeError, match="time: 4 octets"):
            CosemTime.decode(bytes(size))


def test_dates_match_days() -> None:
    assert CosemDate().matches(date(2024, 5, 1))
    assert CosemDate(ANY_YEAR, 3, LAST_DAY, 7).matches(date(2024, 3, 31))
    assert not CosemDate(ANY_YEAR, 3, LAST_DAY, 7).matches(date(2025, 3, 31))
    assert CosemDate(day=SECOND_LAST_DAY).matches(date(2024, 2, 28))
    assert CosemDate(2024, 12, 25).matches(date(2024, 12, 25))
    assert not CosemDate(2023, 12, 25).matches(date(2024, 12, 25))
    assert not CosemDate(2024, 11, 25).matches(date(2024, 12, 25))
    assert not CosemDate(2024, 12, 24).matches(date(2024, 12, 25))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (CosemDate(2024, 2, 9, 5), "2024-02-09 Fri"),
        (CosemDate(0xFFFF, 0xFD, 0xFD), "****-dst-end-second-last"),
        (CosemDate(2024, 2, 9, 9), "2024-02-09 weekday 9"),
        (CosemTime(1, 2, 3, 4), "01:02:03.04"),
        (CosemTime(), "**:**:**"),
    ],
)
def test_texts(value: CosemDate | CosemTime, text: str) -> None:
    assert str(value) == text


def test_status_texts() -> None:
    assert status_text(0x8F) == "[invalid, doubtful, different-base, invalid-status, dst]"
    assert status_text(0x51) == "[invalid, 50]"


@pytest.mark.parametrize("zone", ["Asia/Seoul", "Europe/Oslo", "America/St_Johns"])
def test_agrees_with_the_time_zone_database(zone: str) -> None:
    """What a meter in that zone shows is what the zone's wall clock shows."""
    for month in range(1, 13):
        moment = seconds(2024, month, 15, 12, 34, 56)
        local = datetime.fromtimestamp(moment, ZoneInfo(zone))
        offset = local.utcoffset()
        assert offset is not None
        shown = CosemDateTime.from_utc(moment, -int(offset.total_seconds() // 60))
        assert (shown.day, shown.hour, shown.minute) == (local.day, local.hour, local.minute)
        assert shown.weekday == local.isoweekday()
