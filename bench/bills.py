"""Bills of a month for a million meters, against the exact path in a loop.

Both sides begin with each meter's energy in Wh and end with every line and the total of its bill;
the exact path also with what explains them. Before anything is timed the two results are compared
for the meters that the loop bills. The whole is timed once more with the energy of 2,976 intervals
a meter split into the periods of a tariff by time of use.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from openami.mdm.tariffs.billing import make_bill
from openami.mdm.tariffs.calendar import interval_ends, period_places
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.fleet import FleetUsage, make_bills
from openami.mdm.tariffs.intervals import split
from openami.mdm.tariffs.month import Month
from openami.mdm.tariffs.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.mdm.tariffs.model import Tariff

METERS = 1_000_000
LOOP = 5_000
SPLIT = 10_000  # 240 MB of intervals
GOAL_S = 10.0
ROUNDS = 5
INTERVAL_S = 900


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that ``work`` takes, the median of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def fleet_of(tariff: Tariff, meters: int) -> FleetUsage:
    """Return the month of so many meters; homes of Korea take some 350 kWh."""
    random = np.random.default_rng(meters)
    rows = max(len(tariff.periods), 1)
    wh = random.gamma(2.0, 175_000.0 / rows, (rows, meters)).astype(np.int64)
    return FleetUsage(wh, random.integers(1000, 300_000, meters))


def exact(tariff: Tariff, month: Month, fleet: FleetUsage, meters: int) -> list[Decimal]:
    """Return the totals of the first meters, one bill after another."""
    periods, totals = tariff.periods or ("",), []
    assert fleet.demand_w is not None
    for wh, watts in zip(fleet.wh.T[:meters].tolist(), fleet.demand_w.tolist(), strict=False):
        energy = {name: Decimal(each) / 1000 for name, each in zip(periods, wh, strict=True)}
        totals.append(make_bill(tariff, month, Usage(energy, Decimal(watts) / 1000)).total)
    return totals


def run(name: str, month: Month) -> tuple[float, float]:
    """Return what a million bills take, and how many times as fast that is as the loop."""
    tariff = tariff_named(name)
    fleet = fleet_of(tariff, METERS)
    some = (make_bills(tariff, month, fleet).totals[:LOOP] * int(tariff.unit)).tolist()
    if some != exact(tariff, month, fleet, LOOP):
        raise AssertionError("different bills")
    ours = seconds(lambda: make_bills(tariff, month, fleet))
    start = time.process_time()
    exact(tariff, month, fleet, LOOP)
    loop = time.process_time() - start
    return ours, (loop / LOOP) / (ours / METERS)


def split_seconds() -> float:
    """Return what it takes to split a month of intervals of meters into periods, for each meter."""
    tariff, month = tariff_named("kr-industrial-a2-high-a1"), Month(2024, 7)
    ends = interval_ends(tariff, month, INTERVAL_S)
    energy = np.random.default_rng(7).integers(0, 500, (len(ends), SPLIT))
    places = period_places(tariff, ends, month, INTERVAL_S)
    return seconds(lambda: split(energy, places, len(tariff.periods))) / SPLIT


def main() -> None:
    """Print the table."""
    print(f"{'a million bills':<40}{'seconds':>9}{'bills/s':>13}{'ratio':>8}{'goal, s':>9}")
    cases = (
        ("progressive, summer", "kr-residential-low", Month(2024, 8)),
        ("by time of use, rates change within", "kr-industrial-a2-high-a1", Month(2024, 10)),
    )
    for title, name, month in cases:
        took, ratio = run(name, month)
        print(f"{title:<40}{took:>9.2f}{METERS / took:>13,.0f}{ratio:>8.0f}{GOAL_S:>9.0f}")
    took = split_seconds()
    print(f"{'a month of 15 minutes into periods':<40}{took * METERS:>9.2f}{1 / took:>13,.0f}")
