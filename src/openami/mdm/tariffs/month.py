"""What a bill is for: a month of the calendar, or the days between two readings of a meter."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_FORM: Final = re.compile(r"([0-9]{4})-([0-9]{2})")
# As for readings: nothing was measured before 2000 or will be after 2100.
_YEARS: Final = range(2000, 2100)
# Meters are read each month, some days sooner or later: amounts and steps are those of one month.
LEAST_DAYS: Final = 25
MOST_DAYS: Final = 36


class Period(ABC):
    """Days that are billed as one month, from midnight to midnight in a tariff's own time."""

    __slots__ = ()

    @property
    @abstractmethod
    def first(self) -> date:
        """Its first day."""

    @property
    @abstractmethod
    def following(self) -> date:
        """The first day after it."""

    @property
    @abstractmethod
    def before(self) -> Period:
        """The one before it."""

    @property
    def last(self) -> date:
        """Its last day."""
        return self.following - timedelta(days=1)

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.following - self.first).days

    def span(self, zone: ZoneInfo) -> tuple[int, int]:
        """Return when it begins and ends in a time zone, in seconds UTC."""
        return _midnight(self.first, zone), _midnight(self.following, zone)

    def midnights(self, zone: ZoneInfo) -> list[int]:
        """Return when each of its days begins in a time zone, and the day after it."""
        return [_midnight(self.first + timedelta(days=day), zone) for day in range(self.days + 1)]


@dataclass(frozen=True, slots=True, order=True)
class Month(Period):
    """A month of the calendar."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the month that is written ``YYYY-MM``.

        Raises:
            ConfigError: ``bill.month``, it is none of the years 2000 to 2099.
        """
        found = _FORM.fullmatch(text)
        year, number = map(int, found.groups()) if found else (0, 0)
        if year not in _YEARS or not 1 <= number <= 12:
            raise ConfigError(f"{text!r} is no month", hint="such as 2024-03", code="bill.month")
        return cls(year, number)

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def following(self) -> date:
        """The first day of the month after it."""
        return date(self.year + self.number // 12, self.number % 12 + 1, 1)

    @property
    def before(self) -> Month:
        """The month before it."""
        earlier = self.first - timedelta(days=1)
        return Month(earlier.year, earlier.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


@dataclass(frozen=True, slots=True)
class Days(Period):
    """The days from one reading of a meter to the next: ``begin`` to ``end``, both among them."""

    begin: date
    end: date

    @classmethod
    def parse(cls, begin: str, end: str) -> Self:
        """Return the days from and to those that are written ``YYYY-MM-DD``.

        Raises:
            ConfigError: ``bill.period``, one is no day of the years 2000 to 2099, or they are not
                ``LEAST_DAYS`` to ``MOST_DAYS``.
        """
        found = cls(_day(begin), _day(end))
        if not LEAST_DAYS <= found.days <= MOST_DAYS:
            raise ConfigError(
                f"a bill is for {LEAST_DAYS} to {MOST_DAYS} days, not {found.days}",
                hint="such as 2024-06-18 to 2024-07-17, the last day included",
                code="bill.period",
            )
        return found

    @property
    def first(self) -> date:
        """Its first day."""
        return self.begin

    @property
    def following(self) -> date:
        """The first day after it."""
        return self.end + timedelta(days=1)

    @property
    def before(self) -> Days:
        """As many days before it."""
        return Days(
            self.begin - timedelta(days=self.days),
            self.begin - timedelta(days=1),
        )

    def __str__(self) -> str:
        return f"{self.begin}/{self.end}"  # ISO 8601's way to write an interval


def parse_period(month: str | None, begin: str | None, end: str | None) -> Period:
    """Return the month, or else the days from and to, that somebody asks for.

    Raises:
        ConfigError: ``bill.period``, it is neither or both of them; as ``parse`` of each.
    """
    if month is not None and begin is None and end is None:
        return Month.parse(month)
    if month is None and begin is not None and end is not None:
        return Days.parse(begin, end)
    raise ConfigError(
        "say a month, or the first and the last day",
        hint="a month such as 2024-03, or from 2024-06-18 to 2024-07-17",
        code="bill.period",
    )


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if day.year not in _YEARS or str(day) != text:
        raise ConfigError(f"{text!r} is no day", hint="such as 2024-06-18", code="bill.period")
    return day


def _midnight(day: date, zone: ZoneInfo) -> int:
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(local.astimezone(UTC).timestamp())
