"""Events whose prices are a tariff's own."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from openami.fleet.demand.model import MAX_INTERVALS, Interval, Payload, PayloadType
from openami.headend.errors import RequestError
from openami.mdm.tariffs.pricing import price_at

if TYPE_CHECKING:
    from openami.mdm.tariffs.model import Tariff

STEP_S: Final = 900
"""How often a price is looked up: no tariff of ours changes within a quarter of an hour."""
_MILLIONTH: Final = Decimal("0.000001")


def price_intervals(
    tariff: Tariff, start: int, seconds: int, *, kwh: Decimal = Decimal(0)
) -> tuple[Interval, ...]:
    """Return the prices of a span as intervals, a new one where the price changes.

    Args:
        tariff: whose prices.
        start: UTC seconds.
        seconds: how long.
        kwh: what a month has used so far, where the price depends on it.

    Raises:
        RequestError: ``request.event``, the price changes too often.
        ConfigError: ``tariff.not-valid``, ``tariff.season``.
    """
    found: list[Interval] = []
    for at in range(start, start + seconds, STEP_S):
        length = min(STEP_S, start + seconds - at)
        price = price_at(tariff, at, kwh).rate.quantize(_MILLIONTH).normalize()
        price = Decimal(f"{price:f}")
        if found and found[-1].payloads[0].value == price:
            last = found.pop()
            found.append(Interval(last.id, last.start, last.duration + length, last.payloads))
        else:
            found.append(Interval(len(found), at, length, (Payload(PayloadType.PRICE, price),)))
    if len(found) > MAX_INTERVALS:
        raise RequestError("the price changes too often for one event", code="request.event")
    return tuple(found)
