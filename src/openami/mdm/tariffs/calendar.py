"""Types of day and periods of the hours of a month, for tariffs whose price depends on them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

import holidays
import numpy as np
import numpy.typing as npt

from openami.core.errors import ConfigError
from openami.mdm.tariffs.model import DayType, row_on

if TYPE_CHECKING:
    from openami.mdm.tariffs.model import HolidayRule, Hours, Tariff
    from openami.mdm.tariffs.month import Period

Places = npt.NDArray[np.int64]

LEAST_S: Final = 60
"""The shortest interval that is billed: 52,000 of a period. A profile comes from a device; rows of
one a second apart would have a month of each of its meters take 20 MB."""

_WEEKEND: Final = {5: DayType.SATURDAY, 6: DayType.SUNDAY}


def is_calendar(country: str, subdivision: str | None) -> bool:
    """Return whether the public holidays of a country, or a part of it, are known."""
    known = holidays.list_supported_countries(include_aliases=False)
    return country in known and (subdivision is None or subdivision in known[country])


@lru_cache(maxsize=64)
def public_holidays(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    """Return the public holidays of a year, those in lieu and of one year alone among them."""
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))


def day_type(day: date, rule: HolidayRule | None) -> DayType:
    """Return what a day is for a tariff; without a rule no day is a holiday."""
    if rule is not None and _is_holiday(day, rule):
        return DayType.HOLIDAY
    return _WEEKEND.get(day.weekday(), DayType.WEEKDAY)


def _is_holiday(day: date, rule: HolidayRule) -> bool:
    if day in rule.added:
        return True
    found = public_holidays(rule.country, rule.subdivision, day.year)
    return day in found and day not in rule.dropped


def interval_ends(tariff: Tariff, month: Period, interval_s: int) -> Places:
    """Return the ends of a period's intervals in the tariff's own time, in seconds UTC.

    Raises:
        ConfigError: ``tariff.interval``, none of them ends in it, or they are shorter than
            ``LEAST_S``.
    """
    if interval_s < LEAST_S:
        reason = f"intervals of {interval_s} s are too short to bill"
        raise ConfigError(reason, code="tariff.interval")
    start, end = month.span(tariff.zone)
    places = np.arange(start // interval_s + 1, end // interval_s + 1, dtype=np.int64)
    if not len(places):
        raise ConfigError(f"no interval of {interval_s} s ends in {month}", code="tariff.interval")
    return places * interval_s


def period_places(tariff: Tariff, ends: Places, month: Period, interval_s: int) -> Places:
    """Return for each interval which of ``tariff.periods`` it belongs to, as a place in them.

    Args:
        tariff: with periods.
        ends: of the intervals, in seconds UTC, each in the month.
        month: the month, or the days, whose seasons and dates choose the hours.
        interval_s: how long an interval is.

    Raises:
        ConfigError: ``tariff.interval``, an interval lies in two periods.
    """
    tariff.stretches(month)
    places = np.empty(len(ends), np.int64)

    @cache
    def hours(day: date) -> Hours:
        return hours_on(tariff, tariff.season_of(day), day)

    def period(seconds: int) -> str:
        local = datetime.fromtimestamp(seconds, UTC).astimezone(tariff.zone)
        return hours(local.date()).period_at(local.hour * 60 + local.minute)

    for at, end in enumerate(ends.tolist()):
        first = period(end - interval_s)
        if period(end - 1) != first:
            raise ConfigError(
                f"intervals of {interval_s} s do not fit the hours of {tariff.name}",
                code="tariff.interval",
            )
        places[at] = tariff.periods.index(first)
    return places


def hours_on(tariff: Tariff, season: str, day: date) -> Hours:
    """Return the hours that hold on a day of a season."""
    kind = day_type(day, tariff.holidays)
    return row_on([row for row in tariff.hours if kind in row.holds.days], season, day)
