"""Bills of many meters by one tariff out of their intervals: those of ``readings``, all at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from openami.core.errors import ConfigError
from openami.mdm.tariffs.billing import TOTAL_ROUNDING, make_bill
from openami.mdm.tariffs.calendar import interval_ends, period_places
from openami.mdm.tariffs.fleet import FleetUsage, make_bills
from openami.mdm.tariffs.intervals import split
from openami.mdm.tariffs.readings import interval_in
from openami.mdm.tariffs.usage import Usage, billed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from openami.mdm.spans import Energies
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Period

Longs = npt.NDArray[np.int64]

_HOUR: Final = 3600


class Standing(StrEnum):
    """What a bill is made of.

    ``complete``: all intervals. ``partial``: all until its readings end, before the period does.
    ``missing``: some are not there though later ones are; they count nothing. ``no-readings`` and
    ``failed``: there is no bill.
    """

    COMPLETE = "complete"
    PARTIAL = "partial"
    MISSING = "missing"
    NO_READINGS = "no-readings"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FleetBill:
    """A meter's bill: its charges add up to its total.

    ``whole`` counts the period's intervals, ``expected`` those up to the last that is there.
    """

    usage: Usage
    kwh: Decimal
    charges: Mapping[str, Decimal] = field(repr=False)
    total: Decimal
    whole: int
    expected: int
    present: int
    until: int

    @property
    def standing(self) -> Standing:
        """What it is made of."""
        if self.present < self.expected:
            return Standing.MISSING
        return Standing.COMPLETE if self.expected == self.whole else Standing.PARTIAL


@dataclass(frozen=True, slots=True)
class _Counted:
    """Of each meter: what was used by price period, and its highest interval, both in Wh."""

    interval_s: int
    wh: Longs
    highest: Longs
    whole: int
    expected: Longs
    present: Longs
    until: Longs


def bill_fleet(
    tariff: Tariff, period: Period, meters: Sequence[Energies], *, discounts: Collection[str] = ()
) -> list[FleetBill | ConfigError | None]:
    """Return the bill of each meter; None if it has no interval, or why it can not be billed.

    Args:
        tariff: by which.
        period: which; intervals of the day before tell how long an interval is.
        meters: of each the intervals that are there, each once, in order.
        discounts: ids of those that all of them are given.

    Raises:
        ConfigError: none of them can be billed: ``bill.discount``, ``tariff.not-valid``,
            ``tariff.season``.
    """
    make_bills(tariff, period, _nobody(tariff), discounts=discounts)
    start, end = period.span(tariff.zone)
    alike: dict[int, list[int]] = defaultdict(list)
    for place, energies in enumerate(meters):
        alike[interval_in(energies.ends, start)].append(place)
    bills: list[FleetBill | ConfigError | None] = [None] * len(meters)
    for interval_s, places in alike.items():
        inside = [meters[place].within(start, end) for place in places]
        try:
            found = _billed(tariff, period, inside, interval_s, discounts)
        except ConfigError as error:  # the tariff's hours, or no such intervals
            found = [error if len(each.ends) else None for each in inside]
        for place, bill in zip(places, found, strict=True):
            bills[place] = bill
    return bills


def _nobody(tariff: Tariff) -> FleetUsage:
    nothing = np.zeros((max(len(tariff.periods), 1), 0), np.int64)
    return FleetUsage(nothing, nothing[0])


def _billed(
    tariff: Tariff,
    period: Period,
    meters: Sequence[Energies],
    interval_s: int,
    discounts: Collection[str],
) -> list[FleetBill | ConfigError | None]:
    counted = _counted(tariff, period, meters, interval_s)
    watts, over = np.divmod(counted.highest * _HOUR, interval_s)
    usage = FleetUsage(counted.wh, watts)
    if over.any():  # not whole watts, which the fast path counts in
        return _one_by_one(tariff, period, counted, discounts)
    try:
        made = make_bills(tariff, period, usage, discounts=discounts)
    except ConfigError:  # one that can not be holds up no other
        return _one_by_one(tariff, period, counted, discounts)
    names = list(made.lines)
    lines = np.stack([made.lines[name] for name in names]).T.tolist()
    totals = made.totals.tolist()

    def bill(place: int) -> FleetBill:
        charges = {
            name: units * tariff.unit for name, units in zip(names, lines[place], strict=True)
        }
        return _with(tariff, counted, place, charges, totals[place] * tariff.unit)

    return [bill(place) if counted.present[place] else None for place in range(len(meters))]


def _one_by_one(
    tariff: Tariff, period: Period, counted: _Counted, discounts: Collection[str]
) -> list[FleetBill | ConfigError | None]:
    def bill(place: int) -> FleetBill | ConfigError | None:
        if not counted.present[place]:
            return None
        try:
            made = make_bill(tariff, period, _usage(tariff, counted, place), discounts=discounts)
        except ConfigError as error:
            return error
        charges = {line.name: line.amount for line in made.lines if line.name != TOTAL_ROUNDING}
        return _with(tariff, counted, place, charges, made.total)

    return [bill(place) for place in range(len(counted.present))]


def _with(
    tariff: Tariff, counted: _Counted, place: int, charges: dict[str, Decimal], total: Decimal
) -> FleetBill:
    usage = _usage(tariff, counted, place)
    rounding = total - sum(charges.values(), Decimal(0))
    return FleetBill(
        usage=usage,
        kwh=billed(tariff, usage).kwh,
        charges={**charges, TOTAL_ROUNDING: rounding} if rounding else charges,
        total=total,
        whole=counted.whole,
        expected=int(counted.expected[place]),
        present=int(counted.present[place]),
        until=int(counted.until[place]),
    )


def _usage(tariff: Tariff, counted: _Counted, place: int) -> Usage:
    wh = counted.wh[:, place].tolist()
    demand = Decimal(int(counted.highest[place]) * _HOUR).scaleb(-3) / counted.interval_s
    periods = zip(tariff.periods or ("",), wh, strict=True)
    return Usage({name: Decimal(each).scaleb(-3) for name, each in periods}, demand)


def _counted(
    tariff: Tariff, period: Period, meters: Sequence[Energies], interval_s: int
) -> _Counted:
    """Return what was used, a column for each meter; intervals off the grid count for nothing."""
    grid = interval_ends(tariff, period, interval_s)
    lengths = [len(each.ends) for each in meters]
    column = np.repeat(np.arange(len(meters)), lengths)
    ends = np.concatenate([each.ends for each in meters])
    place = np.searchsorted(grid, ends).clip(max=len(grid) - 1)
    good = grid[place] == ends
    energy = np.zeros((len(grid), len(meters)), np.int64)
    there = np.zeros((len(grid), len(meters)), np.bool_)
    energy[place[good], column[good]] = np.concatenate([each.wh for each in meters])[good]
    there[place[good], column[good]] = True
    places = (
        period_places(tariff, grid, period, interval_s)
        if tariff.periods
        else np.zeros(len(grid), np.int64)
    )
    present = there.sum(axis=0)
    expected = np.where(present > 0, len(grid) - there[::-1].argmax(axis=0), 0)
    return _Counted(
        interval_s=interval_s,
        wh=split(energy, places, max(len(tariff.periods), 1)),
        highest=energy.max(axis=0),
        whole=len(grid),
        expected=expected,
        present=present,
        until=grid[np.maximum(expected, 1) - 1],
    )
