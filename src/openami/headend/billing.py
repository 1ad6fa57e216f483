"""Bills of all meters that are somebody's, piece by piece: one question to the lake for each."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openami.core.errors import ConfigError
from openami.fleet.ports import Page
from openami.headend.errors import BusyError
from openami.headend.homes import IMPORTED, WATT_HOUR
from openami.headend.readings import PROFILE
from openami.mdm.spans import Energies
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.fleet_readings import FleetBill, Standing, bill_fleet
from openami.mdm.tariffs.readings import LEAD_S, watt_hours

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openami.fleet.billable import Billable, BillableStore, Occupancy
    from openami.fleet.ports import ReadingStore
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Period

Longs = npt.NDArray[np.int64]
_Group: TypeAlias = tuple[str, tuple[str, ...]]

# A month of quarters of an hour of so many meters is 1.5 million rows, 60 MB.
MAX_METERS: Final = 500
# Sorting them takes as much again. Whoever asks with many lines at once would take gigabytes.
AT_ONCE: Final = 2
AGAIN_S: Final = 5.0
_DAY_S: Final = 86_400
_NOTHING: Final = Energies(np.array([], np.int64), np.array([], np.int64))


@dataclass(frozen=True, slots=True)
class MeterBill:
    """What became of a meter's bill.

    ``customer`` is who had it last in the period, ``customers`` how many did: the bill is of all
    of the period. ``tariff`` is None if none of that name is shipped any more.
    """

    meter: str
    customer: str
    customers: int
    named: str
    discounts: tuple[str, ...]
    tariff: Tariff | None
    bill: FleetBill | None
    problem: ConfigError | None

    @property
    def standing(self) -> Standing:
        """What the bill is made of, or why there is none."""
        if self.problem is not None:
            return Standing.FAILED
        return Standing.NO_READINGS if self.bill is None else self.bill.standing


class FleetBilling:
    """Bills meters by the tariffs and with the discounts of their customers.

    Each bill is that of ``openami bill --meter``, to the last digit.
    """

    def __init__(self, billable: BillableStore, readings: ReadingStore) -> None:
        self._billable = billable
        self._readings = readings
        self._room = threading.BoundedSemaphore(AT_ONCE)

    def bills(
        self, period: Period, *, after: str | None = None, limit: int = MAX_METERS
    ) -> Page[MeterBill]:
        """Return the bills of some meters by their serials: each meter that was somebody's then.

        None is left out: one without readings and one that can not be billed are told as such.

        Raises:
            BusyError: ``busy.bills``, as many as there is room for are being made.
        """
        with self._in_turn():
            return self._bills(period, after, limit)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):  # who waited would hold a thread of the API
            raise BusyError("others are billed just now", retry_after=AGAIN_S, code="busy.bills")
        try:
            yield
        finally:
            self._room.release()

    def _bills(self, period: Period, after: str | None, limit: int) -> Page[MeterBill]:
        # Midnights of every zone are in it; whose meters those are is then seen in their own.
        wide = (_utc(period, 0) - _DAY_S, _utc(period, 1) + _DAY_S)
        found = self._billable.billable(*wide, after=after, limit=min(limit, MAX_METERS))
        groups: dict[_Group, list[tuple[Occupancy, int]]] = defaultdict(list)
        for billable in found.items:
            for last, customers in _last(billable, period, wide):
                groups[last.tariff, last.discounts].append((last, customers))
        energies = self._columns([each.meter for each in found.items], wide)
        bills = [
            bill
            for group, members in groups.items()
            for bill in _billed(group, members, period, energies)
        ]
        return Page(tuple(sorted(bills, key=lambda bill: bill.meter)), found.next)

    def _columns(self, meters: Sequence[str], wide: tuple[int, int]) -> Mapping[str, _Column]:
        start = wide[0] - LEAD_S
        table = self._readings.of_meters(
            meters, IMPORTED, profile=PROFILE, start=start, end=wide[1]
        )
        return {} if not table.num_rows else dict(_columns(table))


@dataclass(frozen=True, slots=True)
class _Column:
    """What a meter has of the period and the days about it, in order."""

    ends: Longs
    values: Longs
    scalers: npt.NDArray[np.int8]
    units: npt.NDArray[np.uint8]

    def energies(self, start: int, end: int) -> Energies:
        """Return those since a day before ``start`` up to ``end``.

        Raises:
            ConfigError: ``bill.unit``, one of them is no energy.
        """
        low, middle, high = np.searchsorted(self.ends, [start - LEAD_S, start, end], side="right")
        if (self.units[low:high] != WATT_HOUR).any():
            raise ConfigError(f"{IMPORTED} is not in Wh", code="bill.unit")
        parts = [self._wh(slice(low, middle)), self._wh(slice(middle, high))]
        return Energies(self.ends[low:high], np.concatenate(parts))

    def _wh(self, which: slice) -> Longs:
        values, scalers = self.values[which], self.scalers[which]
        if not scalers.any():
            return values
        return watt_hours(values.tolist(), scalers.tolist())


def _columns(table: pa.Table) -> list[tuple[str, _Column]]:
    names = table["meter"].combine_chunks()
    meter = names.indices.to_numpy()
    ends = table["time"].cast(pa.int64()).to_numpy()
    order = np.lexsort((ends, meter))
    columns = [
        column[order]
        for column in (ends, *(table[name].to_numpy() for name in ("value", "scaler", "unit")))
    ]
    places = meter[order]
    edges = [0, *(np.flatnonzero(np.diff(places)) + 1).tolist(), len(places)]
    return [
        (
            names.dictionary[int(places[low])].as_py(),
            _Column(*(column[low:high] for column in columns)),
        )
        for low, high in pairwise(edges)
    ]


def _utc(period: Period, place: int) -> int:
    day = (period.first, period.following)[place]
    return int(datetime.combine(day, time(), UTC).timestamp())


def _last(billable: Billable, period: Period, wide: tuple[int, int]) -> list[tuple[Occupancy, int]]:
    """Return who had a meter last in a period, and how many did; nobody, if none did after all."""
    had = []
    for each in billable.had:
        try:
            start, end = period.span(tariff_named(each.tariff).zone)
        except ConfigError:
            start, end = wide
        tenancy = each.tenancy
        if tenancy.starts < end and (tenancy.ends is None or tenancy.ends > start):
            had.append(each)
    return [(had[-1], len({each.tenancy.customer for each in had}))] if had else []


def _billed(
    group: _Group,
    members: Sequence[tuple[Occupancy, int]],
    period: Period,
    columns: Mapping[str, _Column],
) -> list[MeterBill]:
    name, discounts = group
    tariff = None
    made: Sequence[FleetBill | ConfigError | None]
    try:
        tariff = tariff_named(name)
        made = _bills(tariff, discounts, members, period, columns)
    except ConfigError as error:  # of all that go by this tariff
        made = [error] * len(members)
    return [
        MeterBill(
            meter=had.tenancy.meter,
            customer=had.tenancy.customer,
            customers=customers,
            named=name,
            discounts=discounts,
            tariff=tariff,
            bill=None if isinstance(bill, ConfigError) else bill,
            problem=bill if isinstance(bill, ConfigError) else None,
        )
        for (had, customers), bill in zip(members, made, strict=True)
    ]


def _bills(
    tariff: Tariff,
    discounts: tuple[str, ...],
    members: Sequence[tuple[Occupancy, int]],
    period: Period,
    columns: Mapping[str, _Column],
) -> list[FleetBill | ConfigError | None]:
    span = period.span(tariff.zone)
    energies: list[Energies] = []
    problems: dict[int, ConfigError] = {}
    for place, (had, _) in enumerate(members):
        column = columns.get(had.tenancy.meter)
        try:
            energies.append(_NOTHING if column is None else column.energies(*span))
        except ConfigError as error:
            problems[place] = error
            energies.append(_NOTHING)
    made = bill_fleet(tariff, period, energies, discounts=discounts)
    return [problems.get(place, bill) for place, bill in enumerate(made)]
