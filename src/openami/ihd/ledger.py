"""Energy of a household over time: the meter's intervals, and what has come since the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from openami.ihd import when
from openami.store.home import Energy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from openami.store.home import Longs

NOTHING: Final = Energy.of([])


@dataclass(frozen=True, slots=True)
class Running:
    """What has been used since the last interval that is known.

    Attributes:
        since: the end of that interval, in seconds UTC.
        until: when the registers were read last.
        imported: Wh.
        exported: Wh.
    """

    since: int
    until: int
    imported: int = 0
    exported: int = 0


class Ledger:
    """Intervals, and days of what is older; it does not change.

    Args:
        energy: intervals, of which none overlap.
        days: of before them.
    """

    def __init__(self, energy: Energy = NOTHING, days: Energy = NOTHING) -> None:
        first = int(energy.starts[0]) if len(energy) else 2**62
        old = days.ends <= first
        self.energy, self.days = energy, days
        self._starts = np.concatenate([days.starts[old], energy.starts])
        self._ends = np.concatenate([days.ends[old], energy.ends])
        self._sums = [
            np.concatenate([[0], np.cumsum(np.concatenate([before[old], values]))])
            for before, values in (
                (days.imported, energy.imported),
                (days.exported, energy.exported),
            )
        ]

    @property
    def since(self) -> int | None:
        """When the first interval begins."""
        return int(self._starts[0]) if len(self._starts) else None

    @property
    def until(self) -> int | None:
        """When the last interval ends."""
        return int(self._ends[-1]) if len(self._ends) else None

    def known_to(self, at: int) -> int | None:
        """Return up to when energy is known of the time before ``at``; None: nothing is.

        Intervals that end later are of before the meter's clock was set back.
        """
        place = int(np.searchsorted(self._ends, at, side="right"))
        if place < len(self._ends) and self._starts[place] < at:
            return at
        return int(self._ends[place - 1]) if place else None

    def merged(self, energy: Energy) -> Ledger:
        """Return a ledger with more intervals; those with an end that is there already win."""
        ends = np.concatenate([energy.ends, self.energy.ends])
        _, places = np.unique(ends, return_index=True)
        pairs = (
            (energy.starts, self.energy.starts),
            (energy.ends, self.energy.ends),
            (energy.imported, self.energy.imported),
            (energy.exported, self.energy.exported),
        )
        columns = [np.concatenate(pair)[places] for pair in pairs]
        return Ledger(Energy(*columns), self.days)

    def covers(self, start: int, end: int) -> bool:
        """Tell whether intervals without a hole reach from ``start`` to ``end``."""
        inside = (self._starts >= start) & (self._ends <= end)
        return int((self._ends - self._starts)[inside].sum()) == end - start

    def between(self, start: int, end: int, running: Running | None = None) -> tuple[int, int]:
        """Return imported and exported Wh; of an interval that is cut, as much as of its time."""
        found = self.totals(np.array([start, end], np.int64), running)
        return int(found[0][1] - found[0][0]), int(found[1][1] - found[1][0])

    def totals(self, times: Longs, running: Running | None = None) -> tuple[Longs, Longs]:
        """Return Wh from the beginning to each of some times, which may be in any order.

        Whole Wh, that rise with the time: differences of neighbours sum to that of the outermost.
        """
        imported, exported = (self._at(times, sums) for sums in self._sums)
        if running is None:
            return imported, exported
        span = max(running.until - running.since, 1)
        part = np.clip(times - running.since, 0, span)
        return (
            imported + running.imported * part // span,
            exported + running.exported * part // span,
        )

    def _at(self, times: Longs, sums: Longs) -> Longs:
        place = np.searchsorted(self._ends, times, side="right")
        found = sums[place]
        if not len(self._ends):
            return found
        inside = np.minimum(place, len(self._ends) - 1)
        begun = np.clip(times - self._starts[inside], 0, None)
        length = self._ends[inside] - self._starts[inside]
        cut = np.where(
            place < len(self._ends), (sums[inside + 1] - sums[inside]) * begun // length, 0
        )
        whole: Longs = found + cut
        return whole


def figures(ledger: Ledger, running: Running | None, now: float, zone: ZoneInfo) -> dict[str, Any]:
    """Return what a household used today, this month, and in the same part of those before.

    Args:
        ledger: the intervals.
        running: what has come since.
        now: seconds UTC.
        zone: whose midnights count.
    """
    start, _ = when.today(now, zone)
    before, same, end = when.yesterday(now, zone)
    month = when.month_of(now, zone).span(zone)[0]
    earlier, alike, over = when.last_month(now, zone)
    at = int(now)
    day = ledger.between(start, at, running)
    return {
        "today_wh": day[0],
        "yesterday_wh": ledger.between(before, same)[0],
        "yesterday_total_wh": ledger.between(before, end, running)[0],
        "month_wh": ledger.between(month, at, running)[0],
        "last_month_wh": ledger.between(earlier, alike)[0],
        "last_month_total_wh": ledger.between(earlier, over, running)[0],
        "today_exported_wh": day[1],
    }


def columns(
    ledger: Ledger, running: Running | None, bounds: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return imported and exported Wh between each two bounds that follow each other."""
    found = ledger.totals(np.array(bounds, np.int64), running)
    return np.diff(found[0]).tolist(), np.diff(found[1]).tolist()
