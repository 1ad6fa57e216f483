"""One exact bill, each line explained: quantity, rate, rule, source.

Where rates or seasons change within the period, what holds on some of its days counts for that
share of them: quantity times rate times days over the period's days, as KEPCO's terms do it.
Nothing is rounded but a line's amount and the total.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import ConfigError
from openami.mdm.tariffs.model import Amount, Kind, Steps, parts_of
from openami.mdm.tariffs.usage import billed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import date

    from openami.mdm.tariffs.model import Charge, Fixed, Part, Prices, Share, Tariff, Terms
    from openami.mdm.tariffs.month import Period
    from openami.mdm.tariffs.usage import Billed, Usage

TOTAL_ROUNDING: Final = "rounding"
_PLACES: Final = 6
_MONTH: Final = (Decimal(1), "mo")


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a line: so much of something at a rate, on some of the period's days."""

    what: str
    quantity: Decimal
    unit: str
    rate: Decimal
    days: int
    of_days: int
    since: date

    @property
    def exact(self) -> Fraction:
        """What it costs, before anything is rounded."""
        whole = Fraction(self.quantity) * Fraction(self.rate) * self.days / self.of_days
        return whole / 100 if self.unit == "%" else whole

    @property
    def shown(self) -> Decimal:
        """What it costs, to six places."""
        return Decimal(round(self.exact * 10**_PLACES)).scaleb(-_PLACES).normalize() + 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a bill: its amount is what its items add up to, by its rule."""

    name: str
    title: str
    amount: Decimal
    rule: str
    items: tuple[Item, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill; its lines add up to its total."""

    tariff: Tariff
    period: Period
    usage: Usage
    billed: Billed
    lines: tuple[Line, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class _Case:
    """What a charge is calculated from."""

    tariff: Tariff
    usage: Billed
    days: int
    before: Mapping[str, Decimal]

    def base(self, charge: Charge) -> Decimal:
        return sum((self.before.get(name, Decimal(0)) for name in charge.of), Decimal(0))


def make_bill(
    tariff: Tariff, period: Period, usage: Usage, *, discounts: Collection[str] = ()
) -> Bill:
    """Return the bill of a month, or of the days between two readings.

    Args:
        tariff: by which.
        period: which; amounts and steps are those of one month, however many days it has.
        usage: of all of it, kWh by period of the day.
        discounts: ids of those that the customer is given.

    Raises:
        ConfigError: ``bill.discount`` the tariff has none of that id; ``tariff.not-valid``,
            ``tariff.season``; and as ``usage.billed``.
    """
    stretches = tariff.stretches(period)
    check_discounts(tariff, discounts)
    quantities = billed(tariff, usage)
    before: dict[str, Decimal] = {}
    lines = []
    for charge in tariff.charges:
        if not (charge.automatic or charge.name in discounts):
            continue
        case = _Case(tariff, quantities, period.days, before)
        line = _line(case, charge, parts_of(charge.rows, stretches))
        before[charge.name] = line.amount
        lines.append(line)
    summed = sum(before.values(), Decimal(0))
    total = tariff.total.apply(summed)
    if total != summed:
        lines.append(
            Line(TOTAL_ROUNDING, "Rounding of the total", total - summed, f"{tariff.total}")
        )
    return Bill(tariff, period, usage, quantities, tuple(lines), total)


def check_discounts(tariff: Tariff, discounts: Collection[str]) -> None:
    """Raise ConfigError ``bill.discount`` unless a tariff has all of some discounts."""
    known = [charge.name for charge in tariff.charges if not charge.automatic]
    for name in discounts:
        if name not in known:
            has = f"there are: {', '.join(known)}" if known else "it has none"
            reason = f"{tariff.name} has no discount {name!r}"
            raise ConfigError(reason, hint=has, code="bill.discount")


def _line(case: _Case, charge: Charge, parts: Sequence[Part[Terms]]) -> Line:
    items = tuple(item for part in parts for item in _ITEMS[charge.kind](case, charge, part))
    exact = sum((item.exact for item in items), Fraction(0))
    amount = charge.rounding.apply(exact)
    rule = str(charge.rounding)
    if charge.kind in _AFTER:
        amount, rule = _AFTER[charge.kind](amount, case.base(charge), f"{charge.rounding}")
    texts = [case.tariff.sources[part.row.source] for part in parts]
    return Line(charge.name, charge.title, amount, rule, items, tuple(dict.fromkeys(texts)))


def _item(
    case: _Case, part: Part[Any], what: str, amount: tuple[Decimal, str], rate: Decimal
) -> Item:
    quantity, unit = amount
    return Item(what, quantity, unit, rate, part.days, case.days, part.row.since)


def _fixed(case: _Case, charge: Charge, part: Part[Fixed]) -> Iterator[Item]:
    del charge
    terms = part.row.holds
    if terms.per_day:
        yield _item(case, part, "each day", (Decimal(case.days), "d"), terms.rate)
    else:
        yield _item(case, part, "month", _MONTH, terms.rate)


def _bounds(terms: Steps) -> Iterator[tuple[Decimal, Decimal | None, Decimal, str]]:
    """Yield of each step where it begins and ends, its rate, and how it is called."""
    low = Decimal(0)
    for number, step in enumerate(terms.steps, 1):
        over = f"over {low:f}" if low else ""
        upto = "" if step.to is None else f"up to {step.to:f}"
        words = " ".join(word for word in (over, upto) if word)
        called = f"step {number}, {words} kWh" if words else "energy"
        yield low, step.to, step.rate, called
        low = low if step.to is None else step.to


def _tier(case: _Case, charge: Charge, part: Part[Steps]) -> Iterator[Item]:
    del charge
    reached = (
        step for step in _bounds(part.row.holds) if step[1] is None or case.usage.kwh <= step[1]
    )
    _, _, rate, called = next(reached)
    yield _item(case, part, called, _MONTH, rate)


def _energy(case: _Case, charge: Charge, part: Part[Steps]) -> Iterator[Item]:
    del charge
    kwh = case.usage.kwh
    for low, to, rate, called in _bounds(part.row.holds):
        inside = (kwh if to is None else min(kwh, to)) - low
        if inside > 0 or not low:
            yield _item(case, part, called, (inside, "kWh"), rate)


def _time_of_use(case: _Case, charge: Charge, part: Part[Prices]) -> Iterator[Item]:
    del charge
    for period, rate in part.row.holds.by_period.items():
        yield _item(case, part, period, (case.usage.energy[period], "kWh"), rate)


def _demand(case: _Case, charge: Charge, part: Part[Any]) -> Iterator[Item]:
    del charge
    yield _item(case, part, "demand", (case.usage.demand_kw, "kW"), part.row.holds.rate)


def _share(case: _Case, charge: Charge, part: Part[Share]) -> Iterator[Item]:
    what = " + ".join(name for name in charge.of if name in case.before)
    yield _item(case, part, what, (case.base(charge), "%"), part.row.holds.percent)


def _discount(case: _Case, charge: Charge, part: Part[Share | Amount]) -> Iterator[Item]:
    terms = part.row.holds
    if isinstance(terms, Amount):
        yield _item(case, part, "amount", _MONTH, terms.amount)
        return
    for item in _share(case, charge, part):  # type: ignore[arg-type]  # it is one of shares
        over = terms.cap is not None and item.exact > Fraction(terms.cap) * item.days / item.of_days
        if over and terms.cap is not None:
            yield _item(case, part, f"{item.what}, the most", _MONTH, terms.cap)
        else:
            yield item


def _minimum(case: _Case, charge: Charge, part: Part[Amount]) -> Iterator[Item]:
    del charge
    yield _item(case, part, "minimum", _MONTH, part.row.holds.amount)


_ITEMS: Final[Mapping[Kind, Callable[[_Case, Charge, Any], Iterator[Item]]]] = {
    Kind.FIXED: _fixed,
    Kind.TIER: _tier,
    Kind.ENERGY: _energy,
    Kind.TIME_OF_USE: _time_of_use,
    Kind.DEMAND: _demand,
    Kind.SHARE: _share,
    Kind.DISCOUNT: _discount,
    Kind.MINIMUM: _minimum,
}


def _taken_off(amount: Decimal, base: Decimal, rule: str) -> tuple[Decimal, str]:
    least = max(base, Decimal(0))
    return (-least, "all of it") if amount > least else (-amount, f"{rule}, taken off")


def _topped_up(amount: Decimal, base: Decimal, rule: str) -> tuple[Decimal, str]:
    return max(amount - base, Decimal(0)), f"{rule}, less what there is: {base:f}"


_AFTER: Final[Mapping[Kind, Callable[[Decimal, Decimal, str], tuple[Decimal, str]]]] = {
    Kind.DISCOUNT: _taken_off,
    Kind.MINIMUM: _topped_up,
}
