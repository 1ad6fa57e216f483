"""Days and months of a household: where they begin, in its own time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from openami.mdm.tariffs.month import Month

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

HOUR_S: Final = 3600


def local(now: float, zone: ZoneInfo) -> datetime:
    """Return a moment by the clock on the wall."""
    return datetime.fromtimestamp(now, UTC).astimezone(zone)


def moment(day: date, at: time, zone: ZoneInfo) -> int:
    """Return when the clock on the wall shows ``at`` on a day, for the first time if twice."""
    return int(datetime.combine(day, at, tzinfo=zone).astimezone(UTC).timestamp())


def midnight(day: date, zone: ZoneInfo) -> int:
    """Return when a day begins."""
    return moment(day, time(), zone)


def month_of(now: float, zone: ZoneInfo) -> Month:
    """Return the month that a moment is in."""
    day = local(now, zone).date()
    return Month(day.year, day.month)


def today(now: float, zone: ZoneInfo) -> tuple[int, int]:
    """Return when the day of a moment begins and ends."""
    day = local(now, zone).date()
    return midnight(day, zone), midnight(day + timedelta(days=1), zone)


def yesterday(now: float, zone: ZoneInfo) -> tuple[int, int, int]:
    """Return when the day before began, when the wall's clock showed what it does now, its end."""
    here = local(now, zone)
    day = here.date() - timedelta(days=1)
    start, end = midnight(day, zone), midnight(here.date(), zone)
    return start, min(moment(day, here.time(), zone), end), end


def last_month(now: float, zone: ZoneInfo) -> tuple[int, int, int]:
    """Return when the month before began, when it was as old as this one is, and its end.

    A month that is older than the one before ever was is as old as that became.
    """
    here = local(now, zone)
    before = Month(here.year, here.month).before
    start, end = before.span(zone)
    if here.day > before.days:
        return start, end, end
    return start, min(moment(before.first.replace(day=here.day), here.time(), zone), end), end


def hours(start: int, end: int, zone: ZoneInfo) -> list[int]:
    """Return when each hour from that of ``start`` on begins, and where the last one ends.

    Where the wall's clock is off by parts of an hour, these are not those of UTC.
    """
    off = int((local(start, zone).utcoffset() or timedelta()).total_seconds()) % HOUR_S
    first = start - (start + off) % HOUR_S
    return list(range(first, max(end, first + HOUR_S) + HOUR_S - 1, HOUR_S))


def days(start: int, end: int, zone: ZoneInfo) -> list[int]:
    """Return when each day from that of ``start`` on begins, and where the last one ends."""
    day = local(start, zone).date()
    found = [midnight(day, zone)]
    while found[-1] < end or len(found) == 1:
        day += timedelta(days=1)
        found.append(midnight(day, zone))
    return found


def months(start: int, end: int, zone: ZoneInfo) -> list[int]:
    """Return when each month from that of ``start`` on begins, and where the last one ends."""
    month = month_of(start, zone)
    found = [month.span(zone)[0]]
    while found[-1] < end or len(found) == 1:
        found.append(month.span(zone)[1])
        month = Month(month.following.year, month.following.month)
    return found
