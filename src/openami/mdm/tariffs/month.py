"""The calendar month that a bill is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_FORM: Final = re.compile(r"([0-9]{4})-([0-9]{2})")
# As for readings: nothing was measured before 2000 or will be after 2100.
_YEARS: Final = range(2000, 2100)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the calendar, from midnight to midnight in a tariff's own time."""

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
    def last(self) -> date:
        """Its last day."""
        return self.following - timedelta(days=1)

    @property
    def days(self) -> int:
        """How many days it has."""
        return self.last.day

    def span(self, zone: ZoneInfo) -> tuple[int, int]:
        """Return when it begins and ends in a time zone, in seconds UTC."""
        return _midnight(self.first, zone), _midnight(self.following, zone)

    @property
    def before(self) -> Month:
        """The month before it."""
        earlier = self.first - timedelta(days=1)
        return Month(earlier.year, earlier.month)

    def midnights(self, zone: ZoneInfo) -> list[int]:
        """Return when each of its days begins in a time zone, and the month after it."""
        return [_midnight(self.first + timedelta(days=day), zone) for day in range(self.days + 1)]

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


def _midnight(day: date, zone: ZoneInfo) -> int:
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(local.astimezone(UTC).timestamp())
