"""Dates, energies and money as a family reads them, in the language of the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from openami.mdm.spans import Length

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from openami.mdm.spans import Span
    from openami.mdm.tariffs.model import Tariff
    from openami.web.texts import Texts

THIN: Final = "\u202f"  # a narrow space that does not break
MINUS: Final = "\u2212"


@dataclass(frozen=True, slots=True)
class Words:
    """Says values in a language and a time zone."""

    texts: Texts
    zone: ZoneInfo

    def kwh(self, wh: float | None) -> str:
        """Return an energy in kWh: to ten watt-hours of a little, to a tenth of much."""
        if wh is None:
            return "–"
        kwh = wh / 1000
        return f"{kwh:,.{2 if abs(kwh) < 10 else 1 if abs(kwh) < 1000 else 0}f}{THIN}kWh"

    def number(self, value: Decimal) -> str:
        """Return an exact number."""
        plain = value.normalize()
        shown = plain.quantize(Decimal(1)) if plain == plain.to_integral_value() else plain
        return f"{shown:,f}".replace("-", MINUS)

    def money(self, amount: Decimal, tariff: Tariff) -> str:
        """Return an amount in a tariff's currency, to its smallest unit or finer if it is finer."""
        exponent = min(tariff.unit.normalize().as_tuple().exponent, 0)
        places = max(-int(exponent), 2 if tariff.unit < 1 else 0)
        exact = amount.normalize()
        finer = -int(exact.as_tuple().exponent)
        shown = f"{abs(exact):,.{max(places, min(finer, 4))}f}"
        form = self.texts.of(f"money.{tariff.currency}", "{amount} " + tariff.currency)
        return (MINUS if exact < 0 else "") + form.format(amount=shown)

    def carbon(self, wh: float, grams: float) -> str:
        """Return the carbon dioxide of an energy from the grid."""
        return f"{wh / 1000 * grams / 1000:,.1f}{THIN}kg"

    def percent(self, share: float) -> str:
        """Return a share in whole percent, without its sign."""
        return f"{abs(share) * 100:.0f}{THIN}%"

    def local(self, seconds: float) -> datetime:
        """Return a moment in the time zone."""
        return datetime.fromtimestamp(seconds, UTC).astimezone(self.zone)

    def day(self, day: date) -> str:
        """Return a day with its weekday and year."""
        return self._date("date.day", day)

    def short(self, day: date) -> str:
        """Return a day with its weekday."""
        return self._date("date.short", day)

    def moment(self, seconds: float) -> str:
        """Return a day and a time."""
        at = self.local(seconds)
        return self.texts("date.moment", day=self.short(at.date()), time=f"{at:%H:%M}")

    def moments(self, begin: float, end: float) -> dict[str, str]:
        """Return from when to when, ``begin`` and ``end``: the same day is said once."""
        until = self.local(end)
        same = self.local(begin).date() == until.date()
        return {
            "begin": self.moment(begin),
            "end": f"{until:%H:%M}" if same else self.moment(end),
        }

    def since(self, seconds: float) -> str:
        """Return the day that a moment is in."""
        return self.day(self.local(seconds).date())

    def range(self, starts: float, ends: float | None) -> str:
        """Return from which day, and to which if it ends; what ends at midnight has no day more."""
        first = self.since(starts)
        if ends is None:
            return self.texts("date.since", day=first)
        last = self.since(max(ends - 1, starts))
        if first == last:
            return self.texts("date.only", day=first)
        return self.texts("date.between", first=first, last=last)

    def month(self, day: date) -> str:
        """Return the month and year of a day."""
        return self.texts("date.month", month=self._month(day), year=day.year)

    def span(self, span: Span) -> str:
        """Return what a span is called."""
        if span.length is Length.DAY:
            return self.day(span.first)
        if span.length is Length.WEEK:
            return self.texts("date.week", first=self.short(span.first), last=self.day(span.last))
        if span.length is Length.MONTH:
            return self.month(span.first)
        return self.texts("date.year", year=span.first.year)

    def part(self, span: Span, start: int, end: int) -> tuple[str, str]:
        """Return what a part of a span is called, below a bar and at length."""
        at = self.local(start)
        if span.length is Length.DAY:
            last = self.local(end)
            hour = self.texts("date.hour", begin=f"{at:%H:%M}", end=f"{last:%H:%M}")
            return f"{at:%H}", hour
        if span.length is Length.YEAR:
            short = self.texts("date.month_short", month=self._month(at.date()))
            return short, self.month(at.date())
        if span.length is Length.WEEK:
            return self._date("date.day_short", at.date()), self.short(at.date())
        return str(at.day), self.short(at.date())

    def _date(self, key: str, day: date) -> str:
        return self.texts(
            key,
            weekday=self.texts(f"weekdays.{day.isoweekday()}"),
            day=day.day,
            month=self._month(day),
            year=day.year,
        )

    def _month(self, day: date) -> str:
        return self.texts(f"months.{day.month}")
