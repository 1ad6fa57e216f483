"""What the bill that is foreseen of a running month is wrong by, on real homes.

Eight homes over a year, half-hourly (their origin is in the meter's data folder), eleven years
later: then the tariff holds. Each whole month is billed after so many of its days and the days
before it, and the estimate compared with the bill of all of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.estimate import CONFIDENCE
from openami.mdm.tariffs.month import Month
from openami.mdm.tariffs.readings import bill_readings
from openami.meter.recordings import household_energy

if TYPE_CHECKING:
    from collections.abc import Iterator

TARIFF = tariff_named("kr-residential-low")
AFTER = (5, 10, 15, 20, 25)
LEAST_KWH = 30  # a home in which nobody lives yet is foreseen by nobody
MONTHS = [Month(2024 + place // 12, place % 12 + 1) for place in range(2, 13)]
YEARS_LATER = MONTHS[0].span(TARIFF.zone)[0] - int(datetime(2013, 3, 1, tzinfo=UTC).timestamp())
STEP_S = 1800
DAY_S = 86_400

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trial:
    """An estimate and what became of it: its error as a part of the bill, and the range's."""

    after: int
    error: float
    within: bool


def trials() -> list[Trial]:
    """Return what the estimates of each month of each home were wrong by."""
    return [trial for ends, wh in _homes() for month in MONTHS for trial in _month(month, ends, wh)]


def _homes() -> Iterator[tuple[Longs, Longs]]:
    """Yield of each home the ends of the intervals that are there, and their Wh."""
    start, energy = household_energy()
    for home in energy.reshape(len(energy), -1):
        ends = start + YEARS_LATER + STEP_S * np.arange(1, len(home) + 1, dtype=np.int64)
        there = ~np.isnan(home)
        yield ends[there], home[there].round().astype(np.int64)


def _month(month: Month, ends: Longs, wh: Longs) -> Iterator[Trial]:
    """Yield the trials of a month; none if it has gaps or next to no usage."""
    whole = bill_readings(TARIFF, month, ends, wh)
    if whole is None or whole.found.left or whole.found.missing:
        return
    if whole.bill.usage.kwh <= LEAST_KWH:
        return
    for after in AFTER:
        known = ends <= month.span(TARIFF.zone)[0] + after * DAY_S
        running = bill_readings(TARIFF, month, ends[known], wh[known])
        if running is None or running.estimate is None:
            continue
        became, foreseen = whole.bill.total, running.estimate
        yield Trial(
            after,
            float(abs(foreseen.likely.total - became) / became),
            foreseen.low.total <= became <= foreseen.high.total,
        )


def main() -> None:
    """Print the errors by the days that are known, and how long an estimate takes."""
    began = time.process_time()
    found = trials()
    took = time.process_time() - began
    print(f"{TARIFF.name}, {MONTHS[0]} to {MONTHS[-1]}; range meant for {CONFIDENCE} % of bills")
    print("days  months  error: half below  nine in ten below  in the range")
    for after in AFTER:
        mine = [trial for trial in found if trial.after == after]
        half, most = np.quantile([trial.error for trial in mine], [0.5, 0.9])
        within = np.mean([trial.within for trial in mine])
        print(f"{after:4}  {len(mine):6}  {half:17.0%}  {most:17.0%}  {within:12.0%}")
    print(f"{len(found)} bills with estimates: {took / len(found) * 1000:.1f} ms each, one core")


if __name__ == "__main__":
    main()
