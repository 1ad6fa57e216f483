"""What a customer's meters have measured while they were theirs, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from openami.fleet.ports import ReadingFilter
from openami.headend.readings import PERIOD_S, PROFILE
from openami.mdm.spans import Energies
from openami.mdm.tariffs.catalog import tariff_named
from openami.mdm.tariffs.pricing import price_at
from openami.mdm.tariffs.readings import bill_readings, interval_of, watt_hours

if TYPE_CHECKING:
    from openami.core.clock import Clock
    from openami.fleet.customers import Customer, Tenancy
    from openami.fleet.ports import ReadingStore
    from openami.mdm.tariffs.model import Tariff
    from openami.mdm.tariffs.month import Month
    from openami.mdm.tariffs.pricing import Price
    from openami.mdm.tariffs.readings import MeteredBill

IMPORTED: Final = "1.0.1.29.0.255"
EXPORTED: Final = "1.0.2.29.0.255"
WATT_HOUR: Final = 30  # the unit's code
# A year and the year before it, with their leap days: more is on no page.
MOST_S: Final = 732 * 86_400


@dataclass(frozen=True, slots=True)
class Measured:
    """What a meter has taken from the grid and given to it, in what was asked for and is theirs.

    Attributes:
        within: what was looked at: nothing before or after it, nothing of the future.
        interval_s: how long an interval is.
    """

    imported: Energies
    exported: Energies
    within: tuple[int, int]
    interval_s: int

    @property
    def newest(self) -> int | None:
        """The end of the last interval that is there."""
        return int(self.imported.ends[-1]) if len(self.imported.ends) else None

    @property
    def gives(self) -> bool:
        """Whether anything was given to the grid."""
        return bool(self.exported.wh.any())


class Homes:
    """Looks at readings through a tenancy: what is not the customer's is not even asked for."""

    def __init__(self, readings: ReadingStore, *, clock: Clock) -> None:
        self._readings = readings
        self._clock = clock

    def now(self) -> int:
        """Return the time of meters."""
        return int(self._clock.now())

    def measured(self, tenancy: Tenancy, start: int, end: int) -> Measured:
        """Return what was measured in ``start`` < t ≤ ``end``, at most ``MOST_S`` of it."""
        begin, stop = tenancy.clip(max(start, end - MOST_S), min(end, self.now()))
        which = ReadingFilter(
            tenancy.meter, channels=(IMPORTED, EXPORTED), profile=PROFILE, start=begin, end=stop
        )
        tables: list[pa.Table] = []
        after = None
        while begin < stop:
            page = self._readings.readings(which, after=after)
            tables.extend(page.items)
            after = page.next
            if after is None:
                break
        imported, exported = _columns(tables)
        period = interval_of(imported.ends) if len(imported.ends) > 1 else PERIOD_S
        return Measured(imported, exported, (begin, stop), period)

    def bill(self, customer: Customer, tenancy: Tenancy, month: Month) -> MeteredBill | None:
        """Return a month's bill as far as the meter was theirs; None without readings.

        Raises:
            ConfigError: ``tariff.not-valid``, ``tariff.season``, the tariff says nothing of it.
        """
        tariff = tariff_of(customer)
        start, end = month.before.span(tariff.zone)[0], month.span(tariff.zone)[1]
        taken = self.measured(tenancy, start, end).imported
        if not len(taken.ends):
            tariff.stretches(month)
            return None
        return bill_readings(tariff, month, taken.ends, taken.wh, discounts=customer.discounts)

    def price(self, customer: Customer, bill: MeteredBill | None) -> Price:
        """Return what the next kWh costs, after what the running month's bill has.

        Raises:
            ConfigError: ``tariff.not-valid``, ``tariff.season``.
        """
        tariff = tariff_of(customer)
        kwh = Decimal(0) if bill is None else bill.found.usage.kwh
        return price_at(tariff, self._clock.now(), kwh)


def tariff_of(customer: Customer) -> Tariff:
    """Return the tariff that a customer's bills go by."""
    return tariff_named(customer.tariff)


def _columns(tables: list[pa.Table]) -> tuple[Energies, Energies]:
    if not tables or not any(table.num_rows for table in tables):
        nothing = Energies(np.array([], np.int64), np.array([], np.int64))
        return nothing, nothing
    table = pa.concat_tables(tables).combine_chunks()
    channel = np.asarray(table["channel"].cast(pa.utf8()))
    good = np.asarray(table["unit"]) == WATT_HOUR
    ends = np.asarray(table["time"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()))
    values, scalers = np.asarray(table["value"]), np.asarray(table["scaler"])

    def column(name: str) -> Energies:
        mine = (channel == name) & good
        return Energies(ends[mine], _watt_hours(values[mine], scalers[mine]))

    return column(IMPORTED), column(EXPORTED)


def _watt_hours(values: np.ndarray, scalers: np.ndarray) -> np.ndarray:
    if not scalers.any():
        return values.astype(np.int64)
    return watt_hours(values.tolist(), scalers.tolist())
