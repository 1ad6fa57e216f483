"""Maintenance windows in local time.

A window is open at a moment if the clock on the wall shows a time within it. So a window that
begins in the hour that daylight saving leaves out opens at the change of the clocks, one that lies
wholly within it does not open that night, and one in the hour that comes twice opens twice. Nothing
is ever begun at a time that the wall clock puts outside.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES_OF_DAY: Final = 1440
MAX_WINDOWS: Final = 32
"""Windows of one step: four for each day of the week, and some for feast days' neighbours."""
HORIZON_DAYS: Final = 3660
"""How far ahead an end is looked for: what takes ten years of windows is never going to end."""
_MORE_THAN_A_WEEK_S: Final = 8 * 86_400
"""What is open for so long without a break is always open, for windows come again each week."""
ALL_DAYS: Final = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Window:
    """A part of some days of the week, by the local clock.

    Attributes:
        opens: minutes after midnight, included.
        closes: minutes after midnight, not included; at or before ``opens``: on the next day.
        days: on which it opens, 0 for Monday to 6 for Sunday.
    """

    opens: int
    closes: int
    days: frozenset[int] = ALL_DAYS

    def __post_init__(self) -> None:
        if not (0 <= self.opens < MINUTES_OF_DAY and 0 <= self.closes <= MINUTES_OF_DAY):
            raise ValueError("a window opens and closes at minutes of a day")
        if not self.days or not self.days <= ALL_DAYS:
            raise ValueError("a window opens on days of the week, 0 (Monday) to 6")

    def shows(self, local: datetime) -> bool:
        """Return whether a clock that shows ``local`` is within the window."""
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.opens < self.closes:
            return day in self.days and self.opens <= minute < self.closes
        late = day in self.days and minute >= self.opens
        return late or ((day - 1) % 7 in self.days and minute < self.closes)


Windows = tuple[Window, ...]


def is_open(windows: Windows, now: float, tz: tzinfo) -> bool:
    """Return whether a window is open at ``now``; without any, it is always."""
    local = datetime.fromtimestamp(now, tz)
    return not windows or any(window.shows(local) for window in windows)


def stretches(windows: Windows, start: float, tz: tzinfo) -> Iterator[tuple[float, float]]:
    """Yield when it is open from ``start`` on: beginnings and ends, ascending, apart.

    What is always open is one stretch without an end; else they end after ``HORIZON_DAYS``.
    """
    if not windows:
        yield start, float("inf")
        return
    first = datetime.fromtimestamp(start, tz).replace(tzinfo=None)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    held = float("-inf"), float("-inf")
    for day in range(HORIZON_DAYS):
        for begin, end in _of_day(windows, midnight + timedelta(days=day), tz):
            if end <= start:
                continue
            if held[1] == begin:
                held = held[0], end
                if end - held[0] > _MORE_THAN_A_WEEK_S:
                    yield held[0], float("inf")
                    return
                continue
            if held[1] > start:
                yield held
            held = max(begin, start), end
    yield held  # there is one: windows come again each week


def opens_at(windows: Windows, now: float, tz: tzinfo) -> float:
    """Return when it is next open: ``now`` if it is."""
    return next(stretches(windows, now, tz))[0]


def after(windows: Windows, start: float, seconds: float, tz: tzinfo) -> float:
    """Return when ``seconds`` of open time have passed since ``start``; infinity if never."""
    for begin, end in stretches(windows, start, tz):
        if seconds <= end - begin:
            return begin + seconds
        seconds -= end - begin
    return float("inf")


def open_seconds(windows: Windows, start: float, end: float, tz: tzinfo) -> float:
    """Return for how long it was open between two moments."""
    total = 0.0
    for begin, close in stretches(windows, start, tz):
        if begin >= end:
            break
        total += min(close, end) - begin
    return total


def _of_day(windows: Windows, midnight: datetime, tz: tzinfo) -> Iterator[tuple[float, float]]:
    """Yield the parts of a local day that are open, by the moments at which anything may change."""
    begin, end = _instant(midnight, tz), _instant(midnight + timedelta(days=1), tz)
    cuts = {begin, end}
    for window in windows:
        for minute in (window.opens, window.closes):
            local = midnight + timedelta(minutes=minute)
            cuts |= {_instant(local, tz, fold=fold) for fold in (0, 1)}
    cuts |= _change_of_clocks(begin, end, tz)
    inside = sorted(cut for cut in cuts if begin <= cut <= end)
    for one, other in itertools.pairwise(inside):
        if is_open(windows, one, tz):
            yield one, other


def _change_of_clocks(begin: float, end: float, tz: tzinfo) -> set[float]:
    """Return the second between two moments at which the offset from UTC changes, if it does."""
    offset = datetime.fromtimestamp(begin, tz).utcoffset()
    if datetime.fromtimestamp(end, tz).utcoffset() == offset:
        return set()
    low, high = int(begin), int(end)
    while high - low > 1:
        middle = (low + high) // 2
        same = datetime.fromtimestamp(middle, tz).utcoffset() == offset
        low, high = (middle, high) if same else (low, middle)
    return {float(high)}


def _instant(local: datetime, tz: tzinfo, *, fold: int = 0) -> float:
    return local.replace(tzinfo=tz, fold=fold).timestamp()
