"""A meter's time zone and daylight saving rule, and the date-times it stamps rows with.

Times are UTC seconds since 1970. The rule is the one that COSEM's clock class can hold: a wildcard
date for the begin and the end of daylight saving (Blue Book, class 8, attributes 3 and 5 to 8), so
it does not need a time zone database.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

LAST: Final = 0xFE  # day of month: the last one (Blue Book 4.1.6.1)
SECOND_LAST: Final = 0xFD

DAY: Final = 86_400
HOUR: Final = 3_600

STATUS_INVALID: Final = 0x01  # Blue Book 4.1.6.1, clock status
STATUS_DST: Final = 0x80


@dataclass(frozen=True, slots=True)
class SwitchRule:
    """When daylight saving begins or ends in any year, in the local time shown until then.

    Args:
        month: 1 to 12.
        day: 1 to 31, ``LAST`` or ``SECOND_LAST``.
        weekday: 1 (Monday) to 7; 0 for any. With a numbered day: the first such weekday on or
            after it; with ``LAST``: the last such weekday of the month.
        hour: 0 to 23.
        minute: 0 to 59.
    """

    month: int
    day: int
    weekday: int = 0
    hour: int = 0
    minute: int = 0

    def __post_init__(self) -> None:
        day_known = 1 <= self.day <= 31 or self.day in {LAST, SECOND_LAST}
        time_known = 0 <= self.hour <= 23 and 0 <= self.minute <= 59
        if not (1 <= self.month <= 12 and day_known and 0 <= self.weekday <= 7 and time_known):
            raise ValueError("a daylight saving switch needs a month, a day and a time")

    def in_year(self, year: int) -> int:
        """Return the switch as local seconds: what UTC seconds would be if local time were UTC."""
        length = calendar.monthrange(year, self.month)[1]
        day = self._from_end(year, length) if self.day > 31 else self._from_start(year, length)
        moment = datetime(year, self.month, day, self.hour, self.minute, tzinfo=UTC)
        return int(moment.timestamp())

    def _from_start(self, year: int, length: int) -> int:
        day = min(self.day, length)
        if self.weekday:
            first = calendar.weekday(year, self.month, day) + 1
            day += (self.weekday - first) % 7
        return day if day <= length else day - 7

    def _from_end(self, year: int, length: int) -> int:
        step = 7 if self.weekday else 1
        if self.weekday:
            length -= (calendar.weekday(year, self.month, length) + 1 - self.weekday) % 7
        return length - (step if self.day == SECOND_LAST else 0)


@dataclass(frozen=True, slots=True)
class Zone:
    """Local time: ``minutes`` ahead of UTC, ``dst_minutes`` more between ``begin`` and ``end``."""

    minutes: int = 0
    begin: SwitchRule | None = None
    end: SwitchRule | None = None
    dst_minutes: int = 60
    enabled: bool = True

    def __post_init__(self) -> None:
        if not -720 <= self.minutes <= 840 or self.minutes % 15:
            raise ValueError("a time zone is -720 to 840 minutes ahead of UTC, in quarter hours")
        if not -120 <= self.dst_minutes <= 120:
            raise ValueError("daylight saving is at most two hours")

    def is_dst(self, at: int) -> bool:
        """Tell whether daylight saving is on at the UTC second ``at``."""
        if self.begin is None or self.end is None or not self.enabled:
            return False
        year = _date(at + self.minutes * 60).year
        begin = _switch(self.begin, year) - 60 * self.minutes
        end = _switch(self.end, year) - 60 * (self.minutes + self.dst_minutes)
        return begin <= at < end if begin < end else not end <= at < begin

    def offset(self, at: int) -> int:
        """Return the seconds that local time is ahead of UTC at ``at``."""
        return 60 * (self.minutes + (self.dst_minutes if self.is_dst(at) else 0))

    def local(self, at: int) -> datetime:
        """Return local time at ``at``, naive in all but name (its tzinfo says UTC)."""
        return _date(at + self.offset(at))

    def day(self, at: int) -> int:
        """Return the number of the local day that ``at`` is in."""
        return (at + self.offset(at)) // DAY

    def month(self, at: int) -> int:
        """Return the number of the local month that ``at`` is in: years times 12 plus months."""
        local = self.local(at)
        return local.year * 12 + local.month

    def midnight_after(self, at: int) -> int:
        """Return when the next local day begins, strictly after ``at``."""
        ends = (self.day(at) + 1) * DAY
        standard = ends - 60 * self.minutes
        for candidate in (standard - 60 * self.dst_minutes, standard):
            if candidate > at and candidate + self.offset(candidate) == ends:
                return candidate
        return standard  # midnight itself is skipped by the switch, which is at this moment

    def midnight_of(self, at: int) -> int:
        """Return when the local day that ``at`` is in began."""
        start = self.midnight_after(at - 28 * HOUR)
        while (following := self.midnight_after(start)) <= at:
            start = following
        return start

    def stamp(self, at: int, status: int = 0) -> bytes:
        """Return ``at`` as a COSEM date-time of 12 octets in local time (Blue Book 4.1.6.1)."""
        dst = self.is_dst(at)
        ahead = self.minutes + (self.dst_minutes if dst else 0)
        local = _date(at + 60 * ahead)
        return (
            local.year.to_bytes(2, "big")
            + bytes((local.month, local.day, local.isoweekday()))
            + bytes((local.hour, local.minute, local.second, 0))
            + (-ahead).to_bytes(2, "big", signed=True)
            + bytes((status | (STATUS_DST if dst else 0),))
        )


def _date(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@lru_cache(maxsize=256)  # a year's switches are asked for at every row of that year
def _switch(rule: SwitchRule, year: int) -> int:
    return rule.in_year(year)


_EU_BEGIN: Final = SwitchRule(3, LAST, 7, 2)
_EU_END: Final = SwitchRule(10, LAST, 7, 3)

ZONES: Final[dict[str, Zone]] = {
    "UTC": Zone(),
    "Asia/Seoul": Zone(540),
    "Asia/Tokyo": Zone(540),
    "Asia/Kolkata": Zone(330),
    "Europe/London": Zone(0, SwitchRule(3, LAST, 7, 1), SwitchRule(10, LAST, 7, 2)),
    "Europe/Berlin": Zone(60, _EU_BEGIN, _EU_END),
    "Europe/Paris": Zone(60, _EU_BEGIN, _EU_END),
    "Europe/Helsinki": Zone(120, SwitchRule(3, LAST, 7, 3), SwitchRule(10, LAST, 7, 4)),
    "Australia/Sydney": Zone(600, SwitchRule(10, 1, 7, 2), SwitchRule(4, 1, 7, 3)),
    "America/New_York": Zone(-300, SwitchRule(3, 8, 7, 2), SwitchRule(11, 1, 7, 2)),
    "America/Los_Angeles": Zone(-480, SwitchRule(3, 8, 7, 2), SwitchRule(11, 1, 7, 2)),
}
"""Zones that can be given by name; any other by its rule."""
