"""How much homes like one use: a mean and the best fifth, never another home's figure."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Final, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc

from openami.dlms.cosem.said import Comparison
from openami.fleet.devices import DeviceKind
from openami.fleet.ports import MAX_PAGE, DeviceFilter
from openami.headend.homes import IMPORTED, WATT_HOUR
from openami.headend.readings import PERIOD_S, PROFILE
from openami.mdm.spans import Length, Span, day_of, midnight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from openami.core.clock import Clock
    from openami.fleet.customers import CustomerStore
    from openami.fleet.ports import DeviceStore, ReadingStore

Group: TypeAlias = tuple[str, str]  # model and region

LEAST: Final = 8  # homes: in a smaller group a mean tells too much of each
FIFTH: Final = 5
# Of a home that was silent for longer the sum says little.
ENOUGH: Final = 0.9
DAYS: Final = 30  # looked at instead, where nobody has a whole month yet
ROUND_WH: Final = 100  # a mean to the watt-hour would tell what its one unknown part is


@dataclass(frozen=True, slots=True)
class _Figures:
    """What was found for one day.

    Attributes:
        start: where the span begins that was looked at.
        groups: how homes of a group compare.
        homes: a meter's group, and what its home used.
        moved: meters of which somebody has moved in or out since the span began.
    """

    day: int = -1
    start: int = 0
    groups: Mapping[Group, Comparison] = field(default_factory=dict)
    homes: Mapping[str, tuple[Group, int | None]] = field(default_factory=dict)
    moved: frozenset[str] = frozenset()


class Similar:
    """Compares homes of the same region whose meters are of the same model.

    A model has one number of phases, so homes with one and with three are not compared. All homes
    are summed in one query, once a day, by a chore: whoever asks is told what it found last.

    Attributes:
        on_change: called, in the thread of ``look``, with the meters whose homes compare otherwise
            than before, or with None: any may.
    """

    def __init__(
        self,
        devices: DeviceStore,
        readings: ReadingStore,
        customers: CustomerStore,
        *,
        clock: Clock,
        timezone: str,
    ) -> None:
        self._devices = devices
        self._readings = readings
        self._customers = customers
        self._clock = clock
        self._zone = ZoneInfo(timezone)
        self._figures = _Figures()
        self.on_change: Callable[[frozenset[str] | None], None] | None = None

    def of(self, serial: str) -> Comparison | None:
        """Return how a meter's home compares; None if too few are like it, or nobody looked yet.

        The span is the last whole month, or the last 30 days where homes have no whole month yet.
        What the home used itself is left out if anybody has moved in or out since it began.
        """
        figures = self._figures
        if serial not in figures.homes:
            return None
        group, own = figures.homes[serial]
        return replace(figures.groups[group], own_wh=None if serial in figures.moved else own)

    async def round(self) -> None:
        """Look, beside the event loop."""
        await asyncio.to_thread(self.look)

    def look(self) -> None:
        """See who has moved, and on a new day sum all homes. Blocks; one caller at a time.

        Raises:
            OpenAmiError: what the stores raise; what was found before is told on.
        """
        now, before = self._clock.now(), self._figures
        self._figures = self._since_moves(before, now)
        day = day_of(now, self._zone)
        if before.day != day.toordinal():
            self._figures = self._since_moves(self._compared(day), now)
        self._tell(before, self._figures)

    def _tell(self, before: _Figures, found: _Figures) -> None:
        if self.on_change is None:
            return
        if (found.groups, found.homes) != (before.groups, before.homes):
            self.on_change(None)
        elif moved := found.moved ^ before.moved:
            self.on_change(moved)

    def _since_moves(self, figures: _Figures, now: float) -> _Figures:
        if not figures.groups:
            return figures
        return replace(figures, moved=self._customers.moved(after=figures.start, until=now))

    def _compared(self, day: date) -> _Figures:
        groups = dict(self._grouped())
        month, end = Span.holding(Length.MONTH, day, self._zone).before, midnight(day, self._zone)
        for start, stop in ((month.start, month.end), (end - DAYS * 86_400, end)):
            sums = self._sums(start, stop)
            found = _compare(groups, sums, start, stop)
            if found:
                homes = {
                    meter: (group, sums.get(meter))
                    for meter, group in groups.items()
                    if group in found
                }
                return _Figures(day.toordinal(), start, found, homes)
        return _Figures(day.toordinal())

    def _grouped(self) -> Iterator[tuple[str, Group]]:
        """Yield every meter with the group that it is compared in."""
        after = None
        same: dict[Group, Group] = {}  # a million meters are of a few groups
        while True:
            page = self._devices.list(
                DeviceFilter(kind=DeviceKind.METER), after=after, limit=MAX_PAGE
            )
            for device in page.items:
                group = (device.model, device.region)
                yield device.serial, same.setdefault(group, group)
            after = page.next
            if after is None:
                return

    def _sums(self, start: int, end: int) -> dict[str, int]:
        """Return by meter the Wh of a span, of those that have nearly all of it."""
        least = ENOUGH * (end - start) / PERIOD_S
        table = self._readings.sums(start=start, end=end)
        wanted = (
            pc.equal(table["profile"], PROFILE),
            pc.equal(table["channel"], IMPORTED),
            pc.equal(table["unit"], WATT_HOUR),
            pc.greater_equal(table["count"], least),
        )
        homes = table.filter(reduce(pc.and_, wanted))
        columns = (homes[name].to_pylist() for name in ("meter", "scaler", "sum"))
        return {
            meter: int(value.scaleb(scaler)) for meter, scaler, value in zip(*columns, strict=True)
        }


def _compare(
    groups: Mapping[str, Group], sums: Mapping[str, int], start: int, end: int
) -> dict[Group, Comparison]:
    members: dict[Group, list[int]] = defaultdict(list)
    for meter, wh in sums.items():
        if meter in groups:
            members[groups[meter]].append(wh)
    found = {}
    for group, values in members.items():
        if len(values) >= LEAST:
            used = np.sort(np.array(values, np.int64))
            best = used[: -(-len(used) // FIFTH)]  # of eight homes two
            found[group] = Comparison(start, end, len(used), _mean(used), _mean(best), None)
    return found


def _mean(values: np.ndarray) -> int:
    return round(float(values.mean()) / ROUND_WH) * ROUND_WH
