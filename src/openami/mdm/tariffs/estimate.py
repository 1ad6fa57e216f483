"""The whole month's bill of a month that is running, with how far it may be off.

Method: the days that are left are like the mean of the last complete days (``WINDOW`` at most,
those of the month before among them). Error: the energy to come spreads as that of so many days
does which spread as those days did, each like the one before it by as much as they were (a
first-order autoregression), with the mean's own uncertainty. The range is as wide as it takes for
nine in ten months of real homes to lie in it: docs/how-to/bills.md has what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from openami.mdm.tariffs.billing import Bill, make_bill
from openami.mdm.tariffs.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from openami.mdm.tariffs.intervals import Metered

METHOD: Final = "days left × mean of the last complete days"
CONFIDENCE: Final = 90
WINDOW: Final = 14
# With fewer days their spread says nothing.
LEAST_DAYS: Final = 3
# Standard deviations to either side. Of a normal distribution 1.645 would do; real homes also go
# away and turn on heaters, which the days before do not tell.
_WIDTH: Final = 2.8
# Days more alike than this are a trend, whose end nobody knows.
_MOST_ALIKE: Final = 0.9
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Estimate:
    """A month's bill as it may become: what is likely, and from where to where."""

    likely: Bill
    low: Bill
    high: Bill
    days: int


def estimate(
    bill: Bill,
    found: Metered,
    before: npt.NDArray[np.int64] | None = None,
    *,
    discounts: Collection[str] = (),
) -> Estimate | None:
    """Return what the bill of a running month becomes; None with too few complete days.

    Args:
        bill: so far.
        found: what the bill was made of.
        before: complete days before the month, oldest first, by period in Wh.
        discounts: as for the bill.
    """
    days = found.days if before is None else np.concatenate([before, found.days])
    days = days[-WINDOW:]
    if len(days) < LEAST_DAYS:
        return None
    left = found.left / _DAY_S
    mean = days.mean(axis=0)
    half = _WIDTH * _deviation(days.sum(axis=1)) * (left + left * left / len(days)) ** 0.5
    coming = float(mean.sum()) * left
    low, likely, high = (
        make_bill(bill.tariff, bill.period, usage, discounts=discounts)
        for usage in _usages(bill.usage, mean, left, half / coming if coming else 0.0)
    )
    return Estimate(likely, low, high, len(days))


def _deviation(daily: npt.NDArray[np.int64]) -> float:
    """Return the standard deviation of a day, widened by how much days are like those before."""
    off = daily - daily.mean()
    squares = float((off * off).sum())
    if not squares:
        return 0.0
    seen = float((off[1:] * off[:-1]).sum()) / squares
    # Of few days the estimate is too small by this much on average (Kendall 1954).
    alike = min(max(seen + (1 + 3 * seen) / len(daily), 0.0), _MOST_ALIKE)
    widened = (1 + alike) / (1 - alike)
    return float((squares / (len(daily) - 1) * widened) ** 0.5)


def _usages(
    so_far: Usage, mean: npt.NDArray[np.float64], left: float, spread: float
) -> Sequence[Usage]:
    """Return usages of the month, with less, as much and more than the mean to come."""
    return [
        Usage(
            {
                name: kwh + Decimal(round(wh * left * factor)).scaleb(-3)
                for (name, kwh), wh in zip(so_far.energy.items(), mean.tolist(), strict=True)
            },
            so_far.demand_kw,
        )
        for factor in (max(1 - spread, 0.0), 1.0, 1 + spread)
    ]
