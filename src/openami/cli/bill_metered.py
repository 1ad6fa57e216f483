"""A bill of the readings that a head-end has stored of a meter, over the REST API."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from openami.cli.api import ask, pages, segment
from openami.core.clock import isoformat, parse_utc
from openami.core.errors import ConfigError, NotFoundError
from openami.mdm.tariffs.billing import make_bill
from openami.mdm.tariffs.estimate import CONFIDENCE, METHOD, estimate
from openami.mdm.tariffs.intervals import Metered, metered
from openami.mdm.tariffs.statement import statement

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from decimal import Decimal

    from openami.cli.api import Target
    from openami.mdm.tariffs.billing import Bill
    from openami.mdm.tariffs.estimate import Estimate
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Month
    from openami.transport.http import HttpClient

IMPORTED: Final = "1.0.1.29.0.255"  # energy taken in each interval
PROFILE: Final = "1.0.99.1.0.255"
PERIOD_S: Final = 900
_WH: Final = 30  # the unit's code

Longs = npt.NDArray[np.int64]


def metered_bill(
    target: Target,
    serial: str,
    tariff: Tariff,
    month: Month,
    kw: Decimal | None,
    discounts: Collection[str],
) -> dict[str, Any]:
    """Return the bill of a meter's month as plain data, with an estimate if the month goes on.

    Raises:
        NotFoundError: ``bill.no-readings``, the month has none.
    """
    start, end = month.before.span(tariff.zone)[0], month.span(tariff.zone)[1]
    ends, wh = ask(target, lambda client: _readings(client, serial, start, end))
    interval_s = _interval(ends)
    found = metered(tariff, month, ends, wh, interval_s)
    if not found.present:
        raise NotFoundError(
            f"{serial} has no load profile of {month}",
            hint=f"openami readings {serial} --latest",
            code="bill.no-readings",
        )
    usage = found.usage if kw is None else replace(found.usage, demand_kw=kw)
    made = make_bill(tariff, month, usage, discounts=discounts)
    before = _days_before(tariff, month, ends, wh, interval_s)
    return {
        "meter": serial,
        **statement(made),
        "intervals": {
            "expected": found.expected,
            "present": found.present,
            "missing": found.missing,
            "until": isoformat(found.until),
        },
        "estimate": _estimated(made, found, before, discounts),
    }


async def _readings(client: HttpClient, serial: str, start: int, end: int) -> tuple[Longs, Longs]:
    """Return the intervals' ends and their energy in Wh."""
    path = f"/meters/{segment(serial)}/readings"
    span = {"start": isoformat(start), "end": isoformat(end)}
    ends, values, scalers = [], [], []
    async for item in pages(client, path, most=None, channel=IMPORTED, profile=PROFILE, **span):
        if item["unit"] != _WH:
            reason = f"{serial} gives {IMPORTED} in {item['symbol']}, not in Wh"
            raise ConfigError(reason, code="bill.unit")
        ends.append(int(parse_utc(item["time"])))
        values.append(item["value"])
        scalers.append(item["scaler"])
    return np.array(ends, np.int64), watt_hours(values, scalers)


def watt_hours(values: Sequence[int], scalers: Sequence[int]) -> Longs:
    """Return the energy of intervals in whole Wh; what is over goes on to the next."""
    places = -min((*scalers, 0))
    sums = accumulate(
        value * 10 ** (scaler + places) for value, scaler in zip(values, scalers, strict=True)
    )
    whole = np.array([0, *(each // 10**places for each in sums)], np.int64)
    return whole[1:] - whole[:-1]


def _interval(ends: Longs) -> int:
    """Return how long an interval is: what lies most often between two that follow each other."""
    lengths, times = np.unique(np.diff(ends), return_counts=True)
    return int(lengths[times.argmax()]) if len(lengths) else PERIOD_S


def _days_before(
    tariff: Tariff, month: Month, ends: Longs, wh: Longs, interval_s: int
) -> Longs | None:
    """Return the days of the month before; None where the tariff says nothing of that month."""
    try:
        return metered(tariff, month.before, ends, wh, interval_s).days
    except ConfigError:
        return None


def _estimated(
    made: Bill, found: Metered, before: Longs | None, discounts: Collection[str]
) -> dict[str, Any] | None:
    if not found.left:
        return None
    foreseen = estimate(made, found, before, discounts=discounts)
    return None if foreseen is None else _plain(foreseen)


def _plain(foreseen: Estimate) -> dict[str, Any]:
    return {
        **_ends(foreseen.likely),
        "low": _ends(foreseen.low),
        "high": _ends(foreseen.high),
        "confidence": CONFIDENCE,
        "method": METHOD,
        "days": foreseen.days,
    }


def _ends(bill: Bill) -> dict[str, Any]:
    return {"total": bill.total, "kwh": bill.billed.kwh}
