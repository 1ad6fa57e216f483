"""Bills of a whole fleet in a few numpy passes: to the unit of the currency those of ``billing``.

Every amount is a 64-bit integer over a divisor that is the same for all meters of a charge, so
that nothing is lost; where a month's numbers could leave 63 bits, it says so and computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from openami.core.errors import ConfigError
from openami.mdm.tariffs.billing import check_discounts
from openami.mdm.tariffs.model import Amount, Demand, Fixed, Kind, Prices, Share, Steps, parts_of
from openami.mdm.tariffs.usage import MAX_QUANTITY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from decimal import Decimal

    from openami.mdm.tariffs.model import Charge, Part, Step, Tariff
    from openami.mdm.tariffs.month import Period
    from openami.mdm.tariffs.rounding import Rounding

Longs = npt.NDArray[np.int64]

# A sum of two products still fits.
_MAX: Final = 2**62 - 1
_PER_KILO: Final = 1000


@dataclass(frozen=True, slots=True)
class FleetUsage:
    """A month's usage of many meters, in Wh and W, as they were measured.

    Args:
        wh: a row for each of the tariff's periods in their order, one row where it has none;
            a column for each meter.
        demand_w: one for each meter; None where the tariff wants no demand.

    Integers of any width that 64 bits hold; a bill raises TypeError for others.
    """

    wh: Longs = field(repr=False)
    demand_w: Longs | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FleetBills:
    """Bills of many meters: amounts in units of the currency (``tariff.unit``), one each."""

    tariff: Tariff
    period: Period
    lines: Mapping[str, Longs] = field(repr=False)
    totals: Longs = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Case:
    """What a charge is calculated from: quantities in whole steps, amounts in whole units."""

    tariff: Tariff
    energy: Longs
    kwh: Longs
    demand: Longs
    days: int
    before: Mapping[str, Longs]

    def base(self, charge: Charge) -> Longs:
        return sum((self.before[name] for name in charge.of if name in self.before), self._zeros())

    def _zeros(self) -> Longs:
        return np.zeros(len(self.kwh), np.int64)


def make_bills(
    tariff: Tariff, period: Period, usage: FleetUsage, *, discounts: Collection[str] = ()
) -> FleetBills:
    """Return the bills of a period; all meters are given the same discounts.

    Raises:
        ConfigError: ``bill.range``, a quantity is negative or can not be, or numbers would not
            fit; ``bill.usage``, ``bill.demand``, ``bill.discount``, ``tariff.not-valid``,
            ``tariff.season`` as for one bill.
    """
    stretches = tariff.stretches(period)
    check_discounts(tariff, discounts)
    energy, demand = _quantities(tariff, usage)
    before: dict[str, Longs] = {}
    case = _Case(tariff, energy, energy.sum(axis=0), demand, period.days, before)
    for charge in tariff.charges:
        if charge.automatic or charge.name in discounts:
            parts = parts_of(charge.rows, stretches)
            amounts = _AMOUNTS[charge.kind](case, charge, parts)
            _check_fits(amounts, len(tariff.charges))  # so that their sum does
            before[charge.name] = amounts
    summed = sum(before.values(), np.zeros(energy.shape[1], np.int64))
    per_step = _units(tariff, tariff.total.step)
    totals = tariff.total.divide(summed, per_step) * per_step
    return FleetBills(tariff, period, before, totals)


def _quantities(tariff: Tariff, usage: FleetUsage) -> tuple[Longs, Longs]:
    rows = max(len(tariff.periods), 1)
    if usage.wh.ndim != 2 or usage.wh.shape[0] != rows:
        reason = f"{tariff.name} wants {rows} rows of usage, one for each period"
        raise ConfigError(reason, code="bill.usage")
    if tariff.needs_demand and usage.demand_w is None:
        raise ConfigError(f"{tariff.name} wants the demand", code="bill.demand")
    meters = usage.wh.shape[1]
    watts = np.zeros(meters, np.int64) if usage.demand_w is None else usage.demand_w
    if watts.shape != (meters,):
        raise ConfigError(f"a demand for each of {meters} meters", code="bill.usage")
    return _steps_of(usage.wh, tariff.usage), _steps_of(watts, tariff.demand)


def _steps_of(values: Longs, rounding: Rounding) -> Longs:
    """Return quantities of thousandths in whole steps of their rounding."""
    most = int(MAX_QUANTITY) * _PER_KILO
    if values.size and not 0 <= int(values.min()) <= int(values.max()) <= most:
        raise ConfigError(f"a month has 0 to {MAX_QUANTITY:f} kWh or kW", code="bill.range")
    ratio = Fraction(rounding.step) * _PER_KILO
    longs = values.astype(np.int64, casting="safe", copy=False)
    return rounding.divide(_times(longs, ratio.denominator), ratio.numerator)


def _units(tariff: Tariff, amount: Decimal) -> int:
    return int(amount / tariff.unit)


def _times(values: Longs, factor: int) -> Longs:
    """Return a product; ConfigError ``bill.range`` if it would not fit."""
    _check_fits(values, factor)
    return values * factor


def _check_fits(values: Longs, factor: int) -> None:
    largest = max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0
    if max(largest, 1) * abs(factor) > _MAX:
        raise ConfigError("too large for bills of a fleet", code="bill.range", hint="bill it alone")


def _sum(products: Sequence[tuple[Longs, Fraction]]) -> tuple[Longs, int]:
    """Return the exact sum of values times factors, as integers over one divisor."""
    divisor = lcm(*(factor.denominator for _, factor in products))
    total = np.zeros(len(products[0][0]), np.int64)
    for values, factor in products:
        total = total + _times(values, int(factor * divisor))
        _check_fits(total, 1)
    return total, divisor


def _rounded(case: _Case, charge: Charge, products: Sequence[tuple[Longs, Fraction]]) -> Longs:
    """Return a charge's amounts in units: the sum of products, in the currency, by its rounding."""
    step = Fraction(charge.rounding.step)
    sums, divisor = _sum([(values, factor / step) for values, factor in products])
    return charge.rounding.divide(sums, divisor) * _units(case.tariff, charge.rounding.step)


def _shares(case: _Case, parts: Sequence[Part[Any]]) -> Iterator[tuple[Fraction, Any]]:
    """Yield what holds in the month, and on which share of its days."""
    for part in parts:
        yield Fraction(part.days, case.days), part.row.holds


def _ones(case: _Case) -> Longs:
    return np.ones(len(case.kwh), np.int64)


def _fixed(case: _Case, charge: Charge, parts: Sequence[Part[Fixed]]) -> Longs:
    products = [
        (_ones(case), share * Fraction(terms.rate) * (case.days if terms.per_day else 1))
        for share, terms in _shares(case, parts)
    ]
    return _rounded(case, charge, products)


def _bounds(case: _Case, steps: Sequence[Step]) -> Longs:
    """Return where steps end, in whole steps of quantity; the last has no end."""
    ends = [int(step.to / case.tariff.usage.step) for step in steps if step.to is not None]
    return np.array(ends, np.int64)


def _tier(case: _Case, charge: Charge, parts: Sequence[Part[Steps]]) -> Longs:
    products = []
    for share, terms in _shares(case, parts):
        place = np.searchsorted(_bounds(case, terms.steps), case.kwh, side="left")
        amounts, divisor = _integers([step.rate for step in terms.steps])
        products.append((amounts[place], share / divisor))
    return _rounded(case, charge, products)


def _integers(rates: Sequence[Decimal]) -> tuple[Longs, int]:
    """Return rates as integers over one divisor."""
    fractions = [Fraction(rate) for rate in rates]
    divisor = lcm(*(rate.denominator for rate in fractions))
    return np.array([int(rate * divisor) for rate in fractions], np.int64), divisor


def _energy(case: _Case, charge: Charge, parts: Sequence[Part[Steps]]) -> Longs:
    products = []
    for share, terms in _shares(case, parts):
        rates, divisor = _integers([step.rate for step in terms.steps])
        ends = _bounds(case, terms.steps)
        factor = share * Fraction(case.tariff.usage.step) / divisor
        products.append((_stepped(case.kwh, ends, rates), factor))
    return _rounded(case, charge, products)


def _stepped(kwh: Longs, ends: Longs, rates: Longs) -> Longs:
    """Return what quantities cost by steps: all below their own step, and what is over in it."""
    if not len(ends):
        return _times(kwh, int(rates[0]))
    lows = np.concatenate([np.zeros(1, np.int64), ends])
    below = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(lows) * rates[:-1])])
    largest = max(int(kwh.max()) if kwh.size else 0, int(ends[-1]))
    _check_fits(np.array([largest]), int(np.abs(rates).max()))
    place = np.searchsorted(ends, kwh, side="left")
    amounts: Longs = below[place] + (kwh - lows[place]) * rates[place]
    return amounts


def _time_of_use(case: _Case, charge: Charge, parts: Sequence[Part[Prices]]) -> Longs:
    step = Fraction(case.tariff.usage.step)
    products = [
        (energy, share * step * Fraction(terms.by_period[period]))
        for share, terms in _shares(case, parts)
        for period, energy in zip(case.tariff.periods, case.energy, strict=True)
    ]
    return _rounded(case, charge, products)


def _demand(case: _Case, charge: Charge, parts: Sequence[Part[Demand]]) -> Longs:
    step = Fraction(case.tariff.demand.step)
    products = [
        (case.demand, share * step * Fraction(terms.rate)) for share, terms in _shares(case, parts)
    ]
    return _rounded(case, charge, products)


def _share(case: _Case, charge: Charge, parts: Sequence[Part[Share]]) -> Longs:
    unit, base = Fraction(case.tariff.unit), case.base(charge)
    products = [
        (base, share * unit * Fraction(terms.percent) / 100)
        for share, terms in _shares(case, parts)
    ]
    return _rounded(case, charge, products)


def _capped(case: _Case, base: Longs, terms: Share | Amount) -> tuple[Longs, int]:
    """Return what a discount comes to on all days of a month, over a divisor."""
    if isinstance(terms, Amount):
        amounts, divisor = _integers([terms.amount])
        return amounts.repeat(len(base)), divisor
    percent = Fraction(terms.percent) * Fraction(case.tariff.unit) / 100
    cap = Fraction(0 if terms.cap is None else terms.cap)
    divisor = lcm(percent.denominator, cap.denominator)
    taken = _times(base, int(percent * divisor))
    return (taken if terms.cap is None else np.minimum(taken, int(cap * divisor))), divisor


def _discount(case: _Case, charge: Charge, parts: Sequence[Part[Share | Amount]]) -> Longs:
    base = case.base(charge)
    products = []
    for share, terms in _shares(case, parts):
        taken, divisor = _capped(case, base, terms)
        products.append((taken, share / divisor))
    taken_off: Longs = -np.minimum(_rounded(case, charge, products), np.maximum(base, 0))
    return taken_off


def _minimum(case: _Case, charge: Charge, parts: Sequence[Part[Amount]]) -> Longs:
    products = [
        (_ones(case), share * Fraction(terms.amount)) for share, terms in _shares(case, parts)
    ]
    missing: Longs = np.maximum(_rounded(case, charge, products) - case.base(charge), 0)
    return missing


_AMOUNTS: Final[Mapping[Kind, Callable[[_Case, Charge, Sequence[Part[Any]]], Longs]]] = {
    Kind.FIXED: _fixed,
    Kind.TIER: _tier,
    Kind.ENERGY: _energy,
    Kind.TIME_OF_USE: _time_of_use,
    Kind.DEMAND: _demand,
    Kind.SHARE: _share,
    Kind.DISCOUNT: _discount,
    Kind.MINIMUM: _minimum,
}
