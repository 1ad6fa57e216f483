"""What the next kWh costs: for displays, and for signals that follow the tariff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from openami.mdm.tariffs.calendar import hours_on
from openami.mdm.tariffs.model import Kind, Share, Steps, row_on
from openami.mdm.tariffs.month import Month

if TYPE_CHECKING:
    from datetime import date

    from openami.mdm.tariffs.model import Charge, Tariff


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a kWh at a moment.

    ``rate`` has everything in it that rises with each kWh, percentages of it too, but no discount,
    minimum or rounding. ``step`` of ``steps`` is that of the progressive charge, 1 of 1 where
    there is none; ``since`` and ``until`` are where it begins and ends, in kWh of the month.
    """

    rate: Decimal
    period: str | None
    step: int
    steps: int
    until: Decimal | None
    since: Decimal = Decimal(0)


def price_at(tariff: Tariff, seconds: float, kwh: Decimal) -> Price:
    """Return what the next kWh costs.

    Args:
        tariff: by which.
        seconds: the moment, UTC.
        kwh: what the month has used so far.

    Raises:
        ConfigError: ``tariff.not-valid``, ``tariff.season``.
    """
    local = datetime.fromtimestamp(seconds, UTC).astimezone(tariff.zone)
    day = local.date()
    season = tariff.stretches(Month(day.year, day.month))[0].season
    period = None
    if tariff.periods:
        period = hours_on(tariff, season, day).period_at(local.hour * 60 + local.minute)
    rates: dict[str, Decimal] = {}
    for charge in tariff.charges:
        rates[charge.name] = _rate(charge, season, day, (period, kwh, rates))
    step, steps, until, since = max(
        (_step(charge, season, day, kwh) for charge in tariff.charges), key=lambda found: found[1]
    )
    return Price(sum(rates.values(), Decimal(0)), period, step, steps, until, since)


def _rate(
    charge: Charge, season: str, day: date, known: tuple[str | None, Decimal, dict[str, Decimal]]
) -> Decimal:
    """Return what a charge takes for one kWh more."""
    period, kwh, before = known
    terms = row_on(charge.rows, season, day)
    if charge.kind is Kind.ENERGY and isinstance(terms, Steps):
        return terms.steps[_place(terms, kwh)].rate
    if charge.kind is Kind.SHARE and isinstance(terms, Share):
        return sum((before[name] for name in charge.of), Decimal(0)) * terms.percent / 100
    by_period = getattr(terms, "by_period", {})
    rate: Decimal = by_period.get(period, Decimal(0))
    return rate


def _step(
    charge: Charge, season: str, day: date, kwh: Decimal
) -> tuple[int, int, Decimal | None, Decimal]:
    terms = row_on(charge.rows, season, day)
    if charge.kind is not Kind.ENERGY or not isinstance(terms, Steps):
        return 1, 1, None, Decimal(0)
    place = _place(terms, kwh)
    since = terms.steps[place - 1].to if place else None
    return place + 1, len(terms.steps), terms.steps[place].to, since or Decimal(0)


def _place(terms: Steps, kwh: Decimal) -> int:
    """Return which step the next kWh is in."""
    return sum(1 for step in terms.steps if step.to is not None and step.to <= kwh)
