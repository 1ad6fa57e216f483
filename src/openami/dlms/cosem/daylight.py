"""When summer time begins and ends: the wildcard date-times of the clock's attributes 5 and 6."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from openami.dlms.datetime import ANY, ANY_YEAR, LAST_DAY, SECOND_LAST_DAY, CosemDateTime

NEVER: Final = CosemDateTime()


@dataclass(frozen=True, slots=True)
class Daylight:
    """A time zone with summer time.

    Args:
        zone: local normal time to UTC in minutes; Korea is -540.
        begin: when summer time begins, in local normal time; every field may be a wildcard.
        end: when it ends, in local summer time.
        deviation: what the clocks are put forward by, in minutes.
        enabled: whether there is summer time at all.
    """

    zone: int = 0
    begin: CosemDateTime = NEVER
    end: CosemDateTime = NEVER
    deviation: int = 60
    enabled: bool = False

    def active(self, utc: float) -> bool:
        """Say whether summer time is in force at ``utc`` (seconds since 1970)."""
        if not self.enabled:
            return False
        local = datetime.fromtimestamp(utc, UTC) - timedelta(minutes=self.zone)
        begin = occurrence(self.begin, local.year)
        end = occurrence(self.end, local.year)
        if begin is None or end is None:
            return False
        end -= timedelta(minutes=self.deviation)  # now both are in normal time
        if begin <= end:
            return begin <= local < end
        return local >= begin or local < end  # the southern half: summer spans the new year

    def minutes(self, utc: float) -> int:
        """Return local time to UTC in minutes at ``utc``, summer time included."""
        return self.zone - (self.deviation if self.active(utc) else 0)


def occurrence(pattern: CosemDateTime, year: int) -> datetime | None:
    """Return when ``pattern`` occurs in ``year``, None if it does not.

    "Sunday, last day" is the last Sunday of the month, "Sunday, day 8" the first Sunday from the
    8th on (Blue Book 4.1.6.1). Unspecified times are 0.
    """
    if pattern.year not in (ANY_YEAR, year) or not 1 <= pattern.month <= 12:
        return None
    found = _day(pattern, year)
    if found is None:
        return None
    fields = (pattern.hour, pattern.minute, pattern.second)
    hour, minute, second = (0 if value == ANY else value for value in fields)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return datetime(found.year, found.month, found.day, hour, minute, second, tzinfo=UTC)


def _day(pattern: CosemDateTime, year: int) -> date | None:
    length = calendar.monthrange(year, pattern.month)[1]
    ends = {LAST_DAY: length, SECOND_LAST_DAY: length - 1, ANY: 1}
    number = ends.get(pattern.day, pattern.day)
    if not 1 <= number <= length:
        return None
    day = date(year, pattern.month, number)
    if not 1 <= pattern.weekday <= 7:
        return day
    step = -1 if pattern.day in (LAST_DAY, SECOND_LAST_DAY) else 1
    while day.isoweekday() != pattern.weekday:
        day += timedelta(days=step)
    return day if day.month == pattern.month else None
