"""A bill out of the readings of a meter: what was used, what it costs, what it will have cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from openami.core.clock import isoformat
from openami.core.errors import ConfigError
from openami.mdm.tariffs.billing import make_bill
from openami.mdm.tariffs.estimate import CONFIDENCE, METHOD, estimate
from openami.mdm.tariffs.intervals import Metered, metered
from openami.mdm.tariffs.statement import statement

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from decimal import Decimal

    from openami.mdm.tariffs.billing import Bill
    from openami.mdm.tariffs.estimate import Estimate
    from openami.mdm.tariffs.intervals import Octets
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Period

PERIOD_S: Final = 900
# Of what lies before a period, so much tells how long its intervals are.
LEAD_S: Final = 86_400

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MeteredBill:
    """The bill of a meter's period, what it is made of, and what it becomes while that runs."""

    bill: Bill
    found: Metered
    estimate: Estimate | None

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data; numbers are ``Decimal``."""
        return {
            **statement(self.bill),
            "intervals": {
                "expected": self.found.expected,
                "present": self.found.present,
                "missing": self.found.missing,
                "doubtful": self.found.doubtful,
                "until": isoformat(self.found.until),
            },
            "estimate": None if self.estimate is None else _plain(self.estimate),
        }


def bill_readings(
    tariff: Tariff,
    period: Period,
    ends: Longs,
    wh: Longs,
    *,
    status: Octets | None = None,
    kw: Decimal | None = None,
    discounts: Collection[str] = (),
) -> MeteredBill | None:
    """Return the bill of a period, None if it has no interval.

    Args:
        tariff: by which.
        period: which; intervals of the one before are used to foresee one that is running.
        ends: of the intervals that are there, in seconds UTC, in order, each once.
        wh: the energy of each.
        status: the profile status of each, where it is known.
        kw: the demand; else what the intervals say.
        discounts: ids of those that the customer is given.

    Raises:
        ConfigError: as ``make_bill``; ``tariff.interval``.
    """
    start, end = period.span(tariff.zone)
    if not np.any((ends > start) & (ends <= end)):
        return None
    interval_s = interval_in(ends, start)
    found = metered(tariff, period, ends, wh, interval_s, status=status)
    if not found.present:
        return None
    usage = found.usage if kw is None else replace(found.usage, demand_kw=kw)
    made = make_bill(tariff, period, usage, discounts=discounts)
    foreseen = None
    if found.left:
        before = _days_before(tariff, period, ends, wh, interval_s)
        foreseen = estimate(made, found, before, discounts=discounts)
    return MeteredBill(made, found, foreseen)


def watt_hours(values: Sequence[int], scalers: Sequence[int]) -> Longs:
    """Return the energy of intervals in whole Wh; what is over goes on to the next."""
    places = -min((*scalers, 0))
    sums = accumulate(
        value * 10 ** (scaler + places) for value, scaler in zip(values, scalers, strict=True)
    )
    whole = np.array([0, *(each // 10**places for each in sums)], np.int64)
    return whole[1:] - whole[:-1]


def interval_of(ends: Longs) -> int:
    """Return how long an interval is: what lies most often between two that follow each other."""
    lengths, times = np.unique(np.diff(ends), return_counts=True)
    return int(lengths[times.argmax()]) if len(lengths) else PERIOD_S


def interval_in(ends: Longs, start: int) -> int:
    """Return how long an interval is since the day before ``start``.

    What it was earlier does not count: a meter may have been given another since.
    """
    return interval_of(ends[np.searchsorted(ends, start - LEAD_S, side="right") :])


def _days_before(
    tariff: Tariff, period: Period, ends: Longs, wh: Longs, interval_s: int
) -> Longs | None:
    """Return the days of the period before; None where the tariff says nothing of it."""
    try:
        return metered(tariff, period.before, ends, wh, interval_s).days
    except ConfigError:
        return None


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
