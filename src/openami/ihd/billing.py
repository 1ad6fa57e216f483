"""A household's bill so far, what it may become, and what a kWh costs: by its tariff."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.core.errors import ConfigError
from openami.ihd import when
from openami.mdm.tariffs.billing import make_bill
from openami.mdm.tariffs.estimate import CONFIDENCE, METHOD, estimate
from openami.mdm.tariffs.intervals import metered
from openami.mdm.tariffs.pricing import price_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.dlms.cosem.response import Event
    from openami.ihd.ledger import Ledger, Running
    from openami.mdm.tariffs.intervals import Metered
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Month
    from openami.mdm.tariffs.pricing import Price
    from openami.mdm.tariffs.usage import Usage
    from openami.store.home import Longs

_CENT: Final = Decimal("0.0001")
FLAT: Final = "flat"


def text(amount: Decimal) -> str:
    """Return an amount with no more places than it needs, and four at most."""
    return f"{amount.quantize(_CENT).normalize():f}"


def kilo(wh: int) -> Decimal:
    """Return Wh in kWh."""
    return Decimal(wh).scaleb(-3)


def price(tariff: Tariff, now: float, month_wh: int) -> Price | None:
    """Return what the next kWh costs; None where the tariff says nothing of the time."""
    try:
        return price_at(tariff, now, kilo(month_wh))
    except ConfigError:
        return None


def price_now(usual: Price | None, events: Sequence[Event], now: float) -> dict[str, Any] | None:
    """Return the price of a kWh and why it is so, as the API gives them.

    Args:
        usual: by the tariff.
        events: those that hold for the household; the price of the first whose interval is under
            way counts more than the tariff's.
        now: seconds UTC, by the meter.
    """
    for event in sorted(events, key=lambda each: each.priority):
        interval = event.interval(now)
        value = None if interval is None else interval.payload("PRICE")
        if interval is not None and interval.start <= now and value is not None:
            return {"per_kwh": text(value), "reason": event.id}
    if usual is None:
        return None
    reason = f"step {usual.step}" if usual.steps > 1 else usual.period or FLAT
    return {"per_kwh": text(usual.rate), "reason": reason}


def step(usual: Price | None, month_wh: int) -> dict[str, Any] | None:
    """Return the step of a progressive tariff that the next kWh is in, as the API gives it."""
    if usual is None or usual.steps == 1:
        return None
    return {
        "index": usual.step,
        "of": usual.steps,
        "from_kwh": text(usual.since),
        "until_kwh": None if usual.until is None else text(usual.until),
        "used_kwh": text(kilo(month_wh)),
        "rate": text(usual.rate),
    }


def bill(
    tariff: Tariff, ledger: Ledger, running: Running | None, period: int, now: float
) -> dict[str, Any]:
    """Return the bill of the month so far and an estimate of it, as the API gives them.

    Args:
        tariff: by which.
        ledger: the household's intervals; of length ``period``, or they count for nothing.
        running: what has come since the last.
        period: seconds.
        now: seconds UTC.
    """
    named = {"currency": tariff.currency, "tariff": tariff.name}
    try:
        return named | _bill(tariff, ledger, running, period, now)
    except ConfigError as error:
        problem = {"code": error.code, "message": error.message}
        return named | {"so_far": None, "estimate": None, "problem": problem}


def _bill(
    tariff: Tariff, ledger: Ledger, running: Running | None, period: int, now: float
) -> dict[str, Any]:
    month = when.month_of(now, tariff.zone)
    found = _metered(tariff, month, ledger, period)
    made = make_bill(tariff, month, found.usage)
    usage = _with(found.usage, running, tariff, month)
    try:
        before = _metered(tariff, month.before, ledger, period).days
    except ConfigError:  # the tariff says nothing of that month
        before = None
    if not usage.kwh and not found.present:
        return {"so_far": None, "estimate": None}  # nothing is known, which is no bill of nothing
    foreseen = estimate(made, found, before)
    return {
        "so_far": str(make_bill(tariff, month, usage).total),
        "estimate": None
        if foreseen is None
        else {
            "likely": str(foreseen.likely.total),
            "low": str(foreseen.low.total),
            "high": str(foreseen.high.total),
            "method": METHOD,
            "confidence": CONFIDENCE,
            "days": foreseen.days,
        },
    }


def _metered(tariff: Tariff, month: Month, ledger: Ledger, period: int) -> Metered:
    energy = ledger.energy
    whole = energy.ends - energy.starts == period
    return metered(tariff, month, energy.ends[whole], energy.imported[whole], period)


def _with(usage: Usage, running: Running | None, tariff: Tariff, month: Month) -> Usage:
    """Return a month's usage with what has come since the last interval."""
    if running is None:
        return usage
    start, end = month.span(tariff.zone)
    begin, until = max(running.since, start), min(running.until, end)
    wh = running.imported * (until - begin) // max(running.until - running.since, 1)
    if wh <= 0:
        return usage
    period = price_at(tariff, begin, usage.kwh).period or ""
    return replace(usage, energy={**usage.energy, period: usage.energy[period] + kilo(wh)})


def month_totals(
    tariff: Tariff, ledger: Ledger, running: Running | None, period: int, months: Sequence[int]
) -> list[str | None]:
    """Return the bill of each month that begins at one of ``months``; None: it has none."""
    return [bill(tariff, ledger, running, period, start)["so_far"] for start in months]


def costs(
    tariff: Tariff, ledger: Ledger, running: Running | None, bounds: Sequence[int]
) -> list[str | None]:
    """Return what the energy between each two bounds costs, without what costs nothing per kWh.

    Each hour's energy at the price of its beginning: at the step that its month had reached and at
    the time of use. None where the tariff says nothing of the time.
    """
    hours = when.hours(bounds[0], bounds[-1], tariff.zone)
    edges = np.unique(np.array([*hours, *bounds], np.int64))
    edges = edges[(edges >= bounds[0]) & (edges <= bounds[-1])]
    wh = np.diff(ledger.totals(edges, running)[0]).tolist()
    amounts = [
        None if rate is None else rate * kilo(each)
        for rate, each in zip(_rates(tariff, ledger, running, edges[:-1]), wh, strict=True)
    ]
    places = np.searchsorted(edges, np.array(bounds, np.int64)).tolist()
    return [_sum(amounts[low:high]) for low, high in pairwise(places)]


def _sum(amounts: Sequence[Decimal | None]) -> str | None:
    known = [each for each in amounts if each is not None]
    return text(sum(known, Decimal(0))) if len(known) == len(amounts) else None


def _rates(
    tariff: Tariff, ledger: Ledger, running: Running | None, starts: Longs
) -> list[Decimal | None]:
    """Return the price of the next kWh at each of some times."""
    begins = {
        start: when.month_of(start, tariff.zone).span(tariff.zone)[0] for start in starts.tolist()
    }
    since = np.array(list(begins.values()), np.int64)
    used = ledger.totals(starts, running)[0] - ledger.totals(since, running)[0]
    prices = (price(tariff, at, wh) for at, wh in zip(starts.tolist(), used.tolist(), strict=True))
    return [None if each is None else each.rate for each in prices]
