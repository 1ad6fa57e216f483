"""Events whose prices are a tariff's own."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from openami.fleet.demand.model import (
    MAX_INTERVALS,
    MAX_SPAN_S,
    MIN_INTERVAL_S,
    Interval,
    Payload,
    PayloadType,
)
from openami.headend.errors import RequestError
from openami.mdm.tariffs.pricing import price_at

if TYPE_CHECKING:
    from openami.mdm.tariffs.model import Tariff

STEP_S: Final = 900
"""A price changes at quarters of an hour alone, in every time zone and by every tariff of ours."""
_MILLIONTH: Final = Decimal("0.000001")


def price_intervals(
    tariff: Tariff, start: int, seconds: int, *, kwh: Decimal = Decimal(0)
) -> tuple[Interval, ...]:
    """Return the prices of a span as intervals, a new one where the price changes.

    What would be shorter than an interval may be, at either end, has the price beside it.

    Args:
        tariff: whose prices.
        start: UTC seconds.
        seconds: how long.
        kwh: what a month has used so far, where the price depends on it.

    Raises:
        RequestError: ``request.event``, no event lasts so long, or the price changes too often.
        ConfigError: ``tariff.not-valid``, ``tariff.season``.
    """
    if not MIN_INTERVAL_S <= seconds <= MAX_SPAN_S:
        reason = f"an event lasts {MIN_INTERVAL_S} s to {MAX_SPAN_S // 86_400} days"
        raise RequestError(reason, code="request.event")
    end, found = start + seconds, list[tuple[int, Decimal]]()
    for at in (start, *range(start - start % STEP_S + STEP_S, end, STEP_S)):
        price = _price(tariff, at, kwh)
        if not found or found[-1][1] != price:
            found.append((at, price))
    if len(found) > 1 and found[1][0] - start < MIN_INTERVAL_S:
        found[:2] = [(start, found[1][1])]
    if len(found) > 1 and end - found[-1][0] < MIN_INTERVAL_S:
        found.pop()
    if len(found) > MAX_INTERVALS:
        raise RequestError("the price changes too often for one event", code="request.event")
    ends = [*(at for at, _ in found[1:]), end]
    return tuple(
        Interval(number, at, until - at, (Payload(PayloadType.PRICE, price),))
        for number, ((at, price), until) in enumerate(zip(found, ends, strict=True))
    )


def _price(tariff: Tariff, at: int, kwh: Decimal) -> Decimal:
    price = price_at(tariff, at, kwh).rate.quantize(_MILLIONTH).normalize()
    return Decimal(f"{price:f}")
