"""Times and dates of tables (C12.19, 6.3: LTIME_DATE, STIME_DATE, TIME, DATE).

A time is what the device's clock shows, without a zone: ST-52 tells how that stands to UTC. In
formats 3 and 4 it is counted from 1970 in UTC. Octets that are all zero, where zero is no time,
are a time that is not set: None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from openami.c1222.tables.codecs import Codec, typed
from openami.c1222.tables.formats import Formats, Order, TimeFormat

_CENTURY_TURNS: Final = 90  # years 90 to 99 of two digits are 1990 to 1999
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the device's clock, see above
_LONG: Final = {
    TimeFormat.NONE: 0,
    TimeFormat.BCD: 6,
    TimeFormat.UINT8: 6,
    TimeFormat.MINUTES: 5,
    TimeFormat.SECONDS: 4,
}
_SHORT: Final = {**_LONG, TimeFormat.BCD: 5, TimeFormat.UINT8: 5, TimeFormat.MINUTES: 4}
_TIME: Final = {
    TimeFormat.NONE: 0,
    TimeFormat.BCD: 3,
    TimeFormat.UINT8: 3,
    TimeFormat.MINUTES: 4,
    TimeFormat.SECONDS: 4,
}


def _from_bcd(octet: int) -> int:
    if octet & 0x0F > 9 or octet >> 4 > 9:
        raise ValueError(f"{octet:02X} are no BCD digits")
    return (octet >> 4) * 10 + (octet & 0x0F)


def _numbers(octets: bytes, form: TimeFormat) -> list[int]:
    return [_from_bcd(octet) for octet in octets] if form is TimeFormat.BCD else list(octets)


def _octets(numbers: tuple[int, ...], form: TimeFormat) -> bytes:
    if form is TimeFormat.BCD:
        return bytes(number // 10 << 4 | number % 10 for number in numbers)
    return bytes(numbers)


def full_year(year: int) -> int:
    """Return the year of one with two digits."""
    if year > 99:
        raise ValueError(f"the year {year} has three digits")
    return year + (1900 if year >= _CENTURY_TURNS else 2000)


def _short_year(year: int) -> int:
    if not 1900 + _CENTURY_TURNS <= year < 2000 + _CENTURY_TURNS:
        raise ValueError(f"the year {year} cannot be written with two digits")
    return year % 100


class _Iso(Codec):
    __slots__ = ()

    def to_json(self, value: Any) -> str | None:
        return None if value is None else str(value.isoformat())


@dataclass(frozen=True, slots=True)
class DateTime(_Iso):
    """LTIME_DATE with seconds, STIME_DATE without (format 4 has them in both)."""

    size: int
    order: Order
    form: TimeFormat

    def decode(self, octets: bytes) -> datetime | None:
        if self.form in {TimeFormat.MINUTES, TimeFormat.SECONDS}:
            return self._counted(octets)
        if not any(octets):
            return None
        year, *rest = _numbers(octets, self.form)
        return datetime(full_year(year), *rest)  # type: ignore[arg-type]  # noqa: DTZ001 - month to second, as the device's clock shows them

    def _counted(self, octets: bytes) -> datetime:
        count = int.from_bytes(octets[:4], self.order)
        if self.form is TimeFormat.SECONDS:
            return _EPOCH + timedelta(seconds=count)
        seconds = octets[4] if self.size == 5 else 0
        if seconds > 59:
            raise ValueError(f"{seconds} seconds are no part of a minute")
        return _EPOCH + timedelta(minutes=count, seconds=seconds)

    def encode(self, value: Any) -> bytes:
        if value is None:
            return bytes(self.size)
        moment = typed(value, datetime)
        if not self.size or moment.tzinfo is not None or moment.microsecond:
            raise ValueError(f"{moment.isoformat()} cannot be written")
        if self.form in {TimeFormat.MINUTES, TimeFormat.SECONDS}:
            return self._count(moment)
        numbers = (_short_year(moment.year), moment.month, moment.day, moment.hour, moment.minute)
        if self.size == 6:
            return _octets((*numbers, moment.second), self.form)
        self._whole_minute(moment.second)
        return _octets(numbers, self.form)

    def _count(self, moment: datetime) -> bytes:
        total = (moment - _EPOCH) // timedelta(seconds=1)
        if self.form is TimeFormat.SECONDS:
            return total.to_bytes(4, self.order)
        minutes, seconds = divmod(total, 60)
        if self.size == 4:
            self._whole_minute(seconds)
            return minutes.to_bytes(4, self.order)
        return minutes.to_bytes(4, self.order) + bytes((seconds,))

    @staticmethod
    def _whole_minute(seconds: int) -> None:
        if seconds:
            raise ValueError("a short time has no seconds")

    def from_json(self, value: Any) -> datetime | None:
        return None if value is None else datetime.fromisoformat(typed(value, str))


@dataclass(frozen=True, slots=True)
class TimeOfDay(_Iso):
    """TIME: hour, minute and second, or seconds since midnight in formats 3 and 4."""

    size: int
    order: Order
    form: TimeFormat

    def decode(self, octets: bytes) -> time | None:
        if not self.size:
            return None
        if self.size == 3:
            hour, minute, second = _numbers(octets, self.form)
            return time(hour, minute, second)
        minutes, second = divmod(int.from_bytes(octets, self.order), 60)
        return time(*divmod(minutes, 60), second)

    def encode(self, value: Any) -> bytes:
        if not self.size and value is None:
            return b""
        moment = typed(value, time)
        if not self.size or moment.tzinfo is not None or moment.microsecond:
            raise ValueError(f"{moment.isoformat()} cannot be written")
        if self.size == 3:
            return _octets((moment.hour, moment.minute, moment.second), self.form)
        seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
        return seconds.to_bytes(4, self.order)

    def from_json(self, value: Any) -> time | None:
        return None if value is None else time.fromisoformat(typed(value, str))


@dataclass(frozen=True, slots=True)
class Date(_Iso):
    """DATE: year in bits 0 to 6, month in 7 to 10, day in 11 to 15."""

    order: Order
    size: int = 2

    def decode(self, octets: bytes) -> date | None:
        number = int.from_bytes(octets, self.order)
        if not number:
            return None
        return date(full_year(number & 0x7F), number >> 7 & 0x0F, number >> 11)

    def encode(self, value: Any) -> bytes:
        if value is None:
            return bytes(2)
        day = typed(value, date)
        number = _short_year(day.year) | day.month << 7 | day.day << 11
        return number.to_bytes(2, self.order)

    def from_json(self, value: Any) -> date | None:
        return None if value is None else date.fromisoformat(typed(value, str))


def long_time(formats: Formats) -> DateTime:
    """Return the codec of LTIME_DATE."""
    return DateTime(_LONG[formats.time], formats.order, formats.time)


def short_time(formats: Formats) -> DateTime:
    """Return the codec of STIME_DATE."""
    return DateTime(_SHORT[formats.time], formats.order, formats.time)


def time_of_day(formats: Formats) -> TimeOfDay:
    """Return the codec of TIME."""
    return TimeOfDay(_TIME[formats.time], formats.order, formats.time)
