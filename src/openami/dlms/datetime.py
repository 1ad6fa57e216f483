"""Dates and times as COSEM writes them (Blue Book 4.1.6.1), wildcards kept.

Every field may be "not specified" (``FF``, the year ``FFFF``, the deviation ``8000``). Decoding
keeps whatever the octets say, also what no calendar has, and encodes it back to the same octets;
only ``timestamp`` asks for a moment that exists.
"""

from __future__ import annotations

import calendar
import struct
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import IntFlag
from typing import Final, Self

from openami.core.errors import DecodeError

ANY: Final = 0xFF
ANY_YEAR: Final = 0xFFFF
NO_DEVIATION: Final = -0x8000
LAST_DAY: Final = 0xFE
SECOND_LAST_DAY: Final = 0xFD
DST_END: Final = 0xFD
DST_BEGIN: Final = 0xFE

# Local time reaches from UTC-12 to UTC+14 (New Zealand and Kiribati pass the 720 of the Blue Book).
_MAX_DEVIATION: Final = 840
_DATE: Final = struct.Struct(">HBBB")
_TIME: Final = struct.Struct(">BBBB")
_DATE_TIME: Final = struct.Struct(">HBBBBBBBhB")
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = {DST_BEGIN: "dst-begin", DST_END: "dst-end"}
_DAYS: Final = {LAST_DAY: "last", SECOND_LAST_DAY: "second-last"}


class ClockStatus(IntFlag):
    """Bits of the status octet."""

    INVALID = 0x01
    DOUBTFUL = 0x02
    DIFFERENT_BASE = 0x04
    INVALID_STATUS = 0x08
    DST = 0x80


NO_STATUS: Final = 0xFF


def _unpack(layout: struct.Struct, octets: bytes, what: str) -> tuple[int, ...]:
    if len(octets) != layout.size:
        raise DecodeError(f"{what}: {layout.size} octets wanted, {len(octets)} found")
    return layout.unpack(octets)


def _field(value: int, width: int, unset: int = ANY) -> str:
    return "*" * width if value == unset else f"{value:0{width}d}"


def _month_day(year: int, month: int, day: int) -> int:
    """Return the day of the month, with "last" and "second last" resolved."""
    if day not in _DAYS:
        return day
    return calendar.monthrange(year, month)[1] - (LAST_DAY - day)


@dataclass(frozen=True, slots=True)
class CosemDate:
    """A date of five octets."""

    year: int = ANY_YEAR
    month: int = ANY
    day: int = ANY
    weekday: int = ANY

    def encode(self) -> bytes:
        return _DATE.pack(self.year, self.month, self.day, self.weekday)

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read five octets.

        Raises:
            DecodeError: there are not five.
        """
        return cls(*_unpack(_DATE, octets, "date"))

    def matches(self, day: date) -> bool:
        """Tell whether ``day`` is one of the days that this date names."""
        last = calendar.monthrange(day.year, day.month)[1]
        days = {ANY: day.day, LAST_DAY: last, SECOND_LAST_DAY: last - 1}
        return (
            self.year in (ANY_YEAR, day.year)
            and self.month in (ANY, day.month)
            and days.get(self.day, self.day) == day.day
            and self.weekday in (ANY, day.isoweekday())
        )

    def __str__(self) -> str:
        month = _MONTHS.get(self.month) or _field(self.month, 2)
        day = _DAYS.get(self.day) or _field(self.day, 2)
        text = f"{_field(self.year, 4, ANY_YEAR)}-{month}-{day}"
        if 1 <= self.weekday <= 7:
            return f"{text} {_WEEKDAYS[self.weekday - 1]}"
        return text if self.weekday == ANY else f"{text} weekday {self.weekday}"


@dataclass(frozen=True, slots=True)
class CosemTime:
    """A time of day of four octets."""

    hour: int = ANY
    minute: int = ANY
    second: int = ANY
    hundredths: int = ANY

    def encode(self) -> bytes:
        return _TIME.pack(self.hour, self.minute, self.second, self.hundredths)

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read four octets.

        Raises:
            DecodeError: there are not four.
        """
        return cls(*_unpack(_TIME, octets, "time"))

    def __str__(self) -> str:
        text = f"{_field(self.hour, 2)}:{_field(self.minute, 2)}:{_field(self.second, 2)}"
        return text if self.hundredths == ANY else f"{text}.{self.hundredths:02d}"


@dataclass(frozen=True, slots=True)
class CosemDateTime:
    """A local date and time of twelve octets.

    ``deviation`` is in minutes from local time to UTC, summer time included: Korea is -540.
    """

    year: int = ANY_YEAR
    month: int = ANY
    day: int = ANY
    weekday: int = ANY
    hour: int = ANY
    minute: int = ANY
    second: int = ANY
    hundredths: int = ANY
    deviation: int = NO_DEVIATION
    status: int = NO_STATUS

    @classmethod
    def from_utc(
        cls, seconds: float, deviation_minutes: int = 0, *, dst: bool = False, status: int = 0
    ) -> Self:
        """Return the local time at ``seconds`` since 1970-01-01T00:00:00Z, to the hundredth.

        Args:
            seconds: the moment; rounded to the nearest hundredth of a second.
            deviation_minutes: local time to UTC, summer time included.
            dst: whether the status says that summer time is active.
            status: the other bits of ``ClockStatus``.
        """
        whole, hundredths = divmod(round(seconds * 100), 100)
        local = datetime.fromtimestamp(whole - deviation_minutes * 60, UTC)
        return cls(
            local.year,
            local.month,
            local.day,
            local.isoweekday(),
            local.hour,
            local.minute,
            local.second,
            hundredths,
            deviation_minutes,
            status | ClockStatus.DST if dst else status,
        )

    def timestamp(self, default_deviation: int | None = None) -> float:
        """Return the moment in seconds since 1970-01-01T00:00:00Z.

        Seconds and hundredths that are not specified count as 0.

        Args:
            default_deviation: used if this value names none.

        Raises:
            ValueError: a field that it takes is not specified, or there is no such moment.
        """
        deviation = self.deviation
        if deviation == NO_DEVIATION:
            if default_deviation is None:
                raise ValueError(f"{self}: the deviation from UTC is not specified")
            deviation = default_deviation
        if not -_MAX_DEVIATION <= deviation <= _MAX_DEVIATION:
            raise ValueError(f"{self}: a deviation of {deviation} minutes is out of range")
        hundredths = 0 if self.hundredths == ANY else self.hundredths
        if hundredths > 99:
            raise ValueError(f"{self}: {hundredths} hundredths of a second")
        seconds = self.local().timestamp() + deviation * 60
        return seconds + hundredths / 100

    def local(self) -> datetime:
        """Return the local time to the second, as if it were in UTC.

        Raises:
            ValueError: a field that it takes is not specified, or there is no such time.
        """
        try:
            day = _month_day(self.year, self.month, self.day)
            second = 0 if self.second == ANY else self.second
            return datetime(self.year, self.month, day, self.hour, self.minute, second, tzinfo=UTC)
        except ValueError as error:
            raise ValueError(f"{self}: not one moment ({error})") from None

    @property
    def date(self) -> CosemDate:
        return CosemDate(self.year, self.month, self.day, self.weekday)

    @property
    def time(self) -> CosemTime:
        return CosemTime(self.hour, self.minute, self.second, self.hundredths)

    @property
    def dst(self) -> bool:
        """Whether the status is specified and says that summer time is active."""
        return self.status != NO_STATUS and bool(self.status & ClockStatus.DST)

    def encode(self) -> bytes:
        return _DATE_TIME.pack(
            self.year,
            self.month,
            self.day,
            self.weekday,
            self.hour,
            self.minute,
            self.second,
            self.hundredths,
            self.deviation,
            self.status,
        )

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read twelve octets.

        Raises:
            DecodeError: there are not twelve.
        """
        return cls(*_unpack(_DATE_TIME, octets, "date-time"))

    def __str__(self) -> str:
        text = f"{self.date} {self.time}"
        if self.deviation != NO_DEVIATION:
            east = -self.deviation
            hours, minutes = divmod(abs(east), 60)
            text = f"{text} UTC{'-' if east < 0 else '+'}{hours:02d}:{minutes:02d}"
        return text if self.status in (0, NO_STATUS) else f"{text} {status_text(self.status)}"


def status_text(status: int) -> str:
    """Return the names of a status octet's bits, in lower case; unknown bits in hexadecimal."""
    names = [bit.name.lower().replace("_", "-") for bit in ClockStatus if status & bit and bit.name]
    rest = status & ~sum(ClockStatus)
    if rest:
        names.append(f"{rest:02X}")
    return "[" + ", ".join(names) + "]"
