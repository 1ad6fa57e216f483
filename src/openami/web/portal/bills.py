"""A bill as a page shows it: each line in the reader's language, and how it comes about."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from openami.core.errors import ConfigError
from openami.mdm.spans import day_of
from openami.mdm.tariffs.model import Kind, Steps, row_on
from openami.mdm.tariffs.month import Month

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from openami.fleet.customers import Customer, Tenancy
    from openami.headend.homes import Homes
    from openami.mdm.tariffs.billing import Bill, Item, Line
    from openami.mdm.tariffs.intervals import Metered
    from openami.mdm.tariffs.model import Step, Tariff
    from openami.mdm.tariffs.pricing import Price
    from openami.mdm.tariffs.readings import MeteredBill
    from openami.web.portal.words import Words

# What ``billing`` calls a step, and how ``rounding`` describes itself.
_STEP: Final = re.compile(r"step (\d+),(?: over ([\d.]+))?(?: up to ([\d.]+))? kWh")
_ROUNDING: Final = re.compile(r"(cut|rounded up|rounded half up|rounded half to even) to ([\d.]+)")
_MOST: Final = ", the most"
_SCALE: Final = 1000  # a step bar is so wide
_BEYOND: Final = Decimal("1.15")  # so far behind the last boundary the bar goes on


def month_of(text: str | None, tenancy: Tenancy, words: Words, now: int) -> Month:
    """Return the month that is asked for, the running one if none is; ConfigError."""
    if text:
        return Month.parse(text)
    last = now if tenancy.ends is None else min(now, int(tenancy.ends) - 1)
    day = day_of(last, words.zone)
    return Month(day.year, day.month)


def months_around(
    month: Month, tenancy: Tenancy, tariff: Tariff, now: int
) -> tuple[Month | None, Month | None]:
    """Return the months before and after, each if any of it is theirs and not to come."""

    def theirs(other: Month) -> Month | None:
        start, end = other.span(tariff.zone)
        begin, stop = tenancy.clip(start, min(end, now))
        return other if begin < stop else None

    following = month.following
    return theirs(month.before), theirs(Month(following.year, following.month))


def summary(homes: Homes, customer: Customer, tenancy: Tenancy, month: Month) -> dict[str, Any]:
    """Return a month's bill with what stands around it; ``bill`` is None if there is none. Blocks.

    ``problem`` says then why: ``none`` or ``not_valid``.
    """
    try:
        made = homes.bill(customer, tenancy, month)
    except ConfigError:
        return {"bill": None, "problem": "not_valid", "price": None}
    try:
        price = homes.price(customer, made)
    except ConfigError:
        price = None
    return {"bill": made, "problem": None if made else "none", "price": price}


def shown(made: MeteredBill, tenancy: Tenancy, words: Words) -> dict[str, Any]:
    """Return a bill as the page shows it; what was before the tenancy is not missing."""
    bill, found = made.bill, made.found
    tariff = bill.tariff
    start = bill.period.span(tariff.zone)[0]
    foreseen = made.estimate
    return {
        "total": words.money(bill.total, tariff),
        "kwh": words.kwh(float(bill.usage.kwh) * 1000),
        "running": found.left > 0,
        "days": (found.until - start + 86_399) // 86_400,
        "of": bill.period.days,
        "missing": found.missing - _not_theirs(found, start, tenancy),
        "lines": [_line(line, bill, words) for line in bill.lines],
        "tariff": tariff.title_in(words.texts.language),
        "steps": step_bar(tariff, bill, words),
        "estimate": None
        if foreseen is None
        else {
            "likely": words.money(foreseen.likely.total, tariff),
            "range": None
            if foreseen.low.total == foreseen.high.total
            else {
                "low": words.money(foreseen.low.total, tariff),
                "high": words.money(foreseen.high.total, tariff),
            },
            "days": foreseen.days,
        },
    }


def _not_theirs(found: Metered, start: int, tenancy: Tenancy) -> int:
    """Return how many intervals of a month were over before a tenancy began."""
    before = min(int(tenancy.starts), found.until) - start
    interval_s = (found.until - start) // found.expected
    return max(before // interval_s, 0)


def price_words(price: Price, tariff: Tariff, words: Words) -> dict[str, str]:
    """Return the price of the next kWh, and why it is that."""
    texts = words.texts
    if price.steps > 1:
        why = texts("energy.price_step", step=price.step, steps=price.steps)
    elif price.period:
        why = texts("energy.price_period", period=texts.of(f"what.{price.period}", price.period))
    else:
        why = texts("energy.price_fixed")
    return {"rate": words.money(round(price.rate, 2), tariff), "why": why}


def step_bar(tariff: Tariff, bill: Bill, words: Words) -> dict[str, Any] | None:
    """Return the tariff's steps as a bar with what was used; None if it has none."""
    steps = _steps(tariff, bill.period.last)
    if len(steps) < 2:
        return None
    kwh = bill.usage.kwh
    bounds = [step.to for step in steps if step.to is not None]
    reached = next((end for end in bounds if kwh < end), None)
    # A bound that is far away is not drawn: nobody would see the ones that matter.
    near = [end for end in bounds if end <= max(kwh, bounds[min(1, len(bounds) - 1)])] or bounds[:1]
    width = max(kwh, near[-1]) * _BEYOND
    place = sum(1 for end in bounds if end <= kwh)
    texts = words.texts
    return {
        "used": _at(kwh, width),
        "marks": [{"at": _at(end, width), "kwh": f"{end:f}"} for end in near],
        "now": texts("bill.step", step=place + 1, steps=len(steps)),
        "left": texts("bill.step_last")
        if reached is None
        else texts("bill.step_left", kwh=words.kwh(float(reached - kwh) * 1000)),
        "each": [
            texts("bill.step_each", step=number, price=words.money(step.rate, tariff))
            for number, step in enumerate(steps, 1)
        ],
    }


def _at(kwh: Decimal, width: Decimal) -> int:
    return int(kwh / width * _SCALE) if width else 0


def _steps(tariff: Tariff, day: date) -> Sequence[Step]:
    season = tariff.season_of(day)
    found = [
        row_on(charge.rows, season, day) for charge in tariff.charges if charge.kind is Kind.ENERGY
    ]
    return max((terms.steps for terms in found if isinstance(terms, Steps)), key=len, default=())


def _line(line: Line, bill: Bill, words: Words) -> dict[str, Any]:
    titles = {charge.name: charge.title for charge in bill.tariff.charges}
    return {
        "title": _title(line.name, line.title, words),
        "amount": words.money(line.amount, bill.tariff),
        "items": [_item(item, bill, titles, words) for item in line.items],
        "rule": _rule(line.rule, words),
        "sources": line.sources,
    }


def _title(name: str, title: str, words: Words) -> str:
    return words.texts.of(f"charge.{name}", title)


def _item(item: Item, bill: Bill, titles: Mapping[str, str], words: Words) -> dict[str, str]:
    texts, tariff = words.texts, bill.tariff
    if item.unit == "%":
        base = words.money(item.quantity, tariff)
        times = texts("bill.share", quantity=base, rate=words.number(item.rate))
    else:
        unit = texts.of(f"unit.{item.unit}", item.unit)
        quantity = f"{words.number(item.quantity)} {unit}"
        times = texts("bill.times", quantity=quantity, rate=words.money(item.rate, tariff))
    if item.days != item.of_days:
        times += f", {texts('bill.days', days=item.days, of=item.of_days)}"
    return {"what": what(item.what, titles, words), "times": times}


def what(called: str, titles: Mapping[str, str], words: Words) -> str:
    """Return what a part of a line is, in the reader's language."""
    texts = words.texts
    if called.endswith(_MOST):
        return texts("what.most", what=what(called.removesuffix(_MOST), titles, words))
    step = _STEP.fullmatch(called)
    if step:
        number, over, to = step.groups()
        return texts("what.step", step=number, range=_range(over, to, words))
    key = f"what.{called.replace(' ', '_')}"
    if texts.has(key):
        return texts(key)
    return " + ".join(_title(name, titles.get(name, name), words) for name in called.split(" + "))


def _range(over: str | None, to: str | None, words: Words) -> str:
    texts = words.texts
    if over and to:
        return texts("what.between", over=over, to=to)
    return texts("what.over", over=over) if over else texts("what.up_to", to=to)


def _rule(rule: str, words: Words) -> str | None:
    """Return how a line is rounded; None where that is not what the rule says."""
    found = _ROUNDING.match(rule)
    if found is None:
        return None
    mode, step = found.groups()
    return words.texts(f"rule.{mode.replace(' ', '_')}", step=step)
