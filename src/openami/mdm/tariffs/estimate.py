"""The whole month's bill of a month that is running, with how far it may be off.

Method: the days that are left are like the mean of the last complete days (``WINDOW`` at most,
those of the month before among them). Error: were days independent and their energy normally
distributed with the spread that those days have, the month's energy would lie in the range given
in 90 of 100 months; the mean's own uncertainty is in it. Real days depend on each other: how often
real months lie in the range is measured in docs/how-to/bills.md.
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
WINDOW: Final = 28
# With fewer days their spread says nothing.
LEAST_DAYS: Final = 3
_NORMAL: Final = 1.645  # two-sided, 90 %
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
    spread = float(days.sum(axis=1).std(ddof=1))
    half = _NORMAL * spread * (left + left * left / len(days)) ** 0.5
    coming = float(mean.sum()) * left
    low, likely, high = (
        make_bill(bill.tariff, bill.month, usage, discounts=discounts)
        for usage in _usages(bill.usage, mean, left, half / coming if coming else 0.0)
    )
    return Estimate(likely, low, high, len(days))


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
