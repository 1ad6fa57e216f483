"""What a tariff must fulfil beyond its types.

Every month, hour and date has one rate, and steps rise. More usage never costs less, because every
line is rounded by a rule that never falls and

- a kWh more costs at least as many whole steps as negative rates of a kWh can take off,
- amounts by tier rise, and so do percentages' bases,
- a discount is at most all of what it is of, rounded as finely as that is.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from openami.mdm.tariffs.model import Charge, DayType, Kind, Prices, Row, Share, Steps
from openami.mdm.tariffs.reading import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from openami.mdm.tariffs.model import Amount, Tariff, Terms

_FALLING: Final = frozenset({Kind.DISCOUNT, Kind.MINIMUM})
_PER_KWH: Final = frozenset({Kind.ENERGY, Kind.TIME_OF_USE})


def check(tariff: Tariff) -> None:
    """Raise ConfigError, as ``loading.load`` says, unless bills can be made by a tariff."""
    if tariff.until is not None and tariff.until < tariff.since:
        refuse("until", "is before from", "tariff.order")
    if (tariff.total.step / tariff.unit) % 1:
        refuse("total.step", "is a multiple of unit", "tariff.value")
    _check_hours(tariff)
    for at, charge in enumerate(tariff.charges):
        where = f"charges[{at}]"
        if (charge.rounding.step / tariff.unit) % 1:
            refuse(f"{where}.step", "is a multiple of unit", "tariff.value")
        _check_rows(tariff, charge.rows, f"{where}.rates")
        for row in charge.rows:
            _TERMS.get(charge.kind, _nothing)(tariff, row.holds, f"{where}.rates")
        _check_bases(tariff, charge, where)
    _check_slope(tariff)


def _nothing(tariff: Tariff, terms: Terms, where: str) -> None:
    del tariff, terms, where


def _check_rows(tariff: Tariff, rows: Sequence[Row[object]], where: str) -> None:
    for season in tariff.seasons:
        dates = [row.since for row in rows if season in row.seasons]
        _check_dates(tariff, dates, where, f"season {season}")


def _check_dates(tariff: Tariff, dates: Sequence[date], where: str, what: str) -> None:
    if not dates or dates[0] > tariff.since:
        refuse(where, f"{what} has no rate from {tariff.since} on", "tariff.cover")
    if dates[0] < tariff.since:
        refuse(where, f"{what} begins before the tariff, {tariff.since}", "tariff.order")
    for before, after in pairwise(dates):
        if before == after:
            refuse(where, f"{what} has two rates from {after} on", "tariff.cover")
    if tariff.until is not None and dates[-1] > tariff.until:
        refuse(where, f"{what} has a rate after the tariff's end", "tariff.order")


def _check_hours(tariff: Tariff) -> None:
    if not tariff.periods:
        return
    if not any(charge.kind is Kind.TIME_OF_USE for charge in tariff.charges):
        refuse("periods", "no charge of kind time-of-use has prices for them", "tariff.reference")
    for season in tariff.seasons:
        for day in DayType:
            if day is DayType.HOLIDAY and tariff.holidays is None:
                continue
            rows = [row for row in tariff.hours if season in row.seasons and day in row.holds.days]
            _check_dates(
                tariff, [row.since for row in rows], "hours", f"season {season} on a {day.value}"
            )


def _check_steps(tariff: Tariff, terms: Steps, where: str) -> None:
    bounds = [step.to for step in terms.steps]
    if bounds[-1] is not None or None in bounds[:-1]:
        refuse(where, "the last step, and no other, has no end", "tariff.cover")
    ends = [bound for bound in bounds if bound is not None]
    if any(not bound or (bound / tariff.usage.step) % 1 for bound in ends):
        reason = f"steps end at multiples of the usage's step, {tariff.usage.step:f} kWh"
        refuse(where, reason, "tariff.value")
    if any(after <= before for before, after in pairwise(ends)):
        refuse(where, "steps rise", "tariff.order")


def _check_tier(tariff: Tariff, terms: Steps, where: str) -> None:
    _check_steps(tariff, terms, where)
    if any(after.rate < before.rate for before, after in pairwise(terms.steps)):
        refuse(where, "an amount is less than that of the step before", "tariff.falls")


def _check_discount(tariff: Tariff, terms: Share | Amount, where: str) -> None:
    del tariff
    if isinstance(terms, Share) and terms.percent > 100:
        refuse(where, "a discount is 100 percent at most", "tariff.value")


_TERMS: Final[Mapping[Kind, Callable[[Tariff, Any, str], None]]] = {
    Kind.ENERGY: _check_steps,
    Kind.TIER: _check_tier,
    Kind.DISCOUNT: _check_discount,
}


def _check_bases(tariff: Tariff, charge: Charge, where: str) -> None:
    """Refuse a base that could fall while usage rises."""
    if charge.kind in _FALLING and charge.rounding.step != tariff.unit:
        refuse(f"{where}.step", "of a discount or a minimum is the unit", "tariff.falls")
    base = set(charge.of)
    earlier = [other.name for other in tariff.charges]
    missing: set[str] = set()
    for other in tariff.charges[: earlier.index(charge.name)]:
        overlaps = bool(base & set(other.of)) and charge.kind in _FALLING
        if other.kind in _FALLING and (other.name in base or overlaps):
            missing |= {*other.of, other.name} - base
    if _has_negative(tariff, base):
        missing |= {each.name for each in tariff.charges if each.kind in _PER_KWH} - base
    if missing:
        reason = f"must have {', '.join(sorted(missing))} too, or it could fall"
        refuse(f"{where}.of", reason, "tariff.falls")


def _has_negative(tariff: Tariff, names: set[str]) -> bool:
    return any(
        rate < 0
        for charge in tariff.charges
        if charge.name in names
        for rate in _rates(charge.rows)
    )


def _check_slope(tariff: Tariff) -> None:
    """Refuse negative rates that a further step of usage could bring to light.

    Of all seasons together, for a period of reading may lie in two of them.
    """
    gain = loss = Decimal(0)
    for charge in tariff.charges:
        if charge.kind not in _PER_KWH:
            continue
        rates = list(_rates(charge.rows))
        unit = charge.rounding.step
        change = Fraction(min(rates)) * Fraction(tariff.usage.step) / Fraction(unit)
        steps = change.numerator // change.denominator
        gain += max(steps, 0) * unit
        # What is rounded away from 0 jumps once more where it changes its sign.
        loss += max(-steps, 0) * unit + (unit if min(rates) < 0 < max(rates) else 0)
    if loss > gain:
        refuse("charges", "more usage could cost less", "tariff.falls")


def _rates(rows: Iterable[Row[Terms]]) -> Iterable[Decimal]:
    for row in rows:
        if isinstance(row.holds, Steps):
            yield from (step.rate for step in row.holds.steps)
        elif isinstance(row.holds, Prices):
            yield from row.holds.by_period.values()
