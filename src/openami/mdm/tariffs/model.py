"""What a tariff is: charges in their order, each with rates that have dates and seasons.

Rates of a charge are rows. A row holds from its date on, in its seasons, until a later row of
the same season; together the rows cover every month that the tariff knows. ``checking`` holds
what a tariff must fulfil beyond its types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from openami.mdm.tariffs.month import Period
    from openami.mdm.tariffs.rounding import Rounding

T_co = TypeVar("T_co", covariant=True)


class Kind(StrEnum):
    """How a charge is calculated."""

    FIXED = "fixed"
    TIER = "tier"
    ENERGY = "energy"
    TIME_OF_USE = "time-of-use"
    DEMAND = "demand"
    SHARE = "share"
    DISCOUNT = "discount"
    MINIMUM = "minimum"


class DayType(StrEnum):
    """What hours may depend on; a holiday is nothing else, whatever its weekday."""

    WEEKDAY = "weekday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"
    HOLIDAY = "holiday"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a table: up to and with ``to`` kWh (None: without end), its rate or amount."""

    to: Decimal | None
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Fixed:
    """An amount for the month, or for each of its days."""

    rate: Decimal
    per_day: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """Rates by step: of energy each kWh at its step's, of a tier one amount for the month."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """A rate for each kWh by the period of the day in which it is used."""

    by_period: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Demand:
    """A rate for each kW of the month's demand."""

    rate: Decimal


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage of other charges; of a discount at most ``cap``."""

    percent: Decimal
    cap: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """What a discount takes off, or what other charges come to at least."""

    amount: Decimal


Terms = Fixed | Steps | Prices | Demand | Share | Amount


@dataclass(frozen=True, slots=True)
class Row(Generic[T_co]):
    """Something that holds from a day on, in some seasons."""

    since: date
    seasons: frozenset[str]
    holds: T_co
    source: str


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a bill."""

    name: str
    title: str
    kind: Kind
    rounding: Rounding
    rows: tuple[Row[Terms], ...]
    of: tuple[str, ...] = ()
    automatic: bool = True


@dataclass(frozen=True, slots=True)
class Hours:
    """Which period each hour of some types of day belongs to; minutes from midnight."""

    days: frozenset[DayType]
    bands: tuple[tuple[int, int, str], ...]
    rest: str

    def period_at(self, minute: int) -> str:
        """Return the period of a minute of the day."""
        for begin, end, period in self.bands:
            inside = begin <= minute < end if begin < end else minute >= begin or minute < end
            if inside:
                return period
        return self.rest


@dataclass(frozen=True, slots=True)
class HolidayRule:
    """Whose public holidays count, with those that the calendar has not, without some it has."""

    country: str
    subdivision: str | None = None
    added: frozenset[date] = frozenset()
    dropped: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class Tariff:
    """A tariff of one utility for one kind of customer, with all its changes over time."""

    name: str
    title: str
    country: str
    currency: str
    unit: Decimal
    zone: ZoneInfo
    since: date
    until: date | None
    revision: int
    digest: str
    sources: Mapping[str, str] = field(repr=False)
    notes: tuple[str, ...]
    usage: Rounding
    demand: Rounding
    seasons: Mapping[str, frozenset[int]]
    charges: tuple[Charge, ...]
    total: Rounding
    periods: tuple[str, ...] = ()
    hours: tuple[Row[Hours], ...] = ()
    holidays: HolidayRule | None = None
    titles: Mapping[str, str] = field(default_factory=dict, repr=False)

    def title_in(self, language: str) -> str:
        """Return the title in a language, such as ``ko``; ``title`` where the file has none."""
        return self.titles.get(language, self.title)

    @property
    def needs_demand(self) -> bool:
        """Whether a bill needs the month's demand."""
        return any(charge.kind is Kind.DEMAND for charge in self.charges)

    def stretches(self, period: Period) -> tuple[Stretch, ...]:
        """Return the seasons of a period, one after another: a month has one.

        Raises:
            ConfigError: ``tariff.season``, the tariff's source says nothing of one of its months;
                ``tariff.not-valid``, the tariff does not hold for all of it.
        """
        if period.first < self.since or (self.until is not None and period.last > self.until):
            held = f"from {self.since}" + (f" to {self.until}" if self.until else " on")
            raise ConfigError(f"{self.name} holds {held}, not in {period}", code="tariff.not-valid")
        found: list[Stretch] = []
        begin = period.first
        while begin < period.following:
            season = self.season_of(begin)
            next_month = (begin.replace(day=28) + timedelta(days=4)).replace(day=1)
            end = min(next_month, period.following)
            if found and found[-1].season == season:
                found[-1] = Stretch(season, found[-1].begin, end)
            else:
                found.append(Stretch(season, begin, end))
            begin = end
        return tuple(found)

    def season_of(self, day: date) -> str:
        """Return the season of a day; ConfigError ``tariff.season``, the source says nothing."""
        for name, months in self.seasons.items():
            if day.month in months:
                return name
        raise ConfigError(
            f"{self.name} has no rates of month {day.month}",
            hint=f"openami tariff show {self.name} tells why",
            code="tariff.season",
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days of one season: ``begin`` is the first, ``end`` the first after them."""

    season: str
    begin: date
    end: date


@dataclass(frozen=True, slots=True)
class Part(Generic[T_co]):
    """A row, and on how many of the period's days it holds."""

    days: int
    row: Row[T_co]


def row_on(rows: Sequence[Row[T_co]], season: str, day: date) -> T_co:
    """Return what holds on a day of a season."""
    return [row.holds for row in rows if season in row.seasons and row.since <= day][-1]


def parts_of(rows: tuple[Row[T_co], ...], stretches: Sequence[Stretch]) -> tuple[Part[T_co], ...]:
    """Return which rows hold in the seasons of a period, one after another."""
    return tuple(part for stretch in stretches for part in _parts(rows, stretch))


def _parts(rows: Sequence[Row[T_co]], stretch: Stretch) -> Iterator[Part[T_co]]:
    mine = [row for row in rows if stretch.season in row.seasons]
    for row, later in zip(mine, [*mine[1:], None], strict=True):
        begin = max(row.since, stretch.begin)
        end = stretch.end if later is None else min(later.since, stretch.end)
        if begin < end:
            yield Part((end - begin).days, row)
