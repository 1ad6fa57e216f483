"""Reading one profile of one meter, from where it was left.

What a window brought whole is kept even if the next one fails; what is cut in its middle is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.obis import Obis
from openami.dcu.buffers import EventRows, ReadingRows, decode_events, decode_readings
from openami.dlms.client import GetAttribute
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import AttributeRef, EntrySelection, RangeSelection
from openami.fleet.collection import (
    Known,
    Window,
    gaps,
    next_window,
    rewound,
    settled_after,
    sift,
    start_of,
)
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from openami.dcu.batches import Harvest
    from openami.dcu.known import Layout
    from openami.fleet.collection import Sifted
    from openami.transport.session import DlmsSession

PROFILE: Final = 7
_BUFFER: Final = 2

# Gaps of one visit that are looked at again: a meter that was off now and then has as many.
GAPS_MOST: Final = 4
# Longer captures are at local midnights and months, which are no multiples of a period.
GAP_PERIOD_MOST: Final = 3600
# Empty windows are doubled, so that years without an entry take some twenty requests; a meter
# that never comes to an end is left after this many.
WINDOWS_MOST: Final = 64

log = structlog.get_logger("dcu.reading")


@dataclass(frozen=True, slots=True)
class Situation:
    """What a visit knows when it begins to read.

    Attributes:
        wall: the DCU's time.
        shown: what the meter's clock shows at the same moment.
        elapsed: seconds since the last visit, or a guess.
        deviation: the meter's own, minutes local to UTC.
        span: seconds of the longest window.
        rows: how many rows may be read before others get their turn.
        history: seconds to go back if the meter cannot say where its profile begins.
    """

    wall: float
    shown: float
    elapsed: float
    deviation: int
    span: int
    rows: int
    history: int

    @property
    def horizon(self) -> float:
        """Nothing is later: entries are made by the meter's clock, which may be ahead of ours."""
        return max(self.wall, self.shown) + 1


@dataclass(slots=True)
class ProfileReader:
    """Reads one profile or event log; its harvest is good whenever it stops.

    Attributes:
        cursor: time of the last entry kept.
        highest: the latest that the cursor ever was.
        more: some was left for the next visit.
        fresh: the layout was read just now.
        misplaced: entries that were left out because their time can not be.
        misshapen: entries that were left out because they have more or fewer columns.
        odd: cells that were left out because they are no reading.
    """

    session: DlmsSession
    meter: str
    profile: str
    layout: Layout
    now: Situation
    known: Known
    harvest: Harvest
    cursor: int | None
    highest: int | None = None
    events: bool = False
    more: bool = False
    fresh: bool = False
    misplaced: int = 0
    misshapen: int = 0
    odd: int = 0
    _ahead: dict[Window, bytes] = field(default_factory=dict, init=False)
    _again: bool = field(default=False, init=False)
    _rows: int = field(default=0, init=False)
    _gaps: int = field(default=0, init=False)

    @property
    def fault(self) -> tuple[str, str] | None:
        """What was wrong with entries that were read: code and message."""
        if self.misplaced:
            return "meter.clock", f"{self.profile}: {self.misplaced} entries have no possible time"
        if self.misshapen:
            wanted = len(self.layout.columns)
            return (
                "meter.row",
                f"{self.profile}: {self.misshapen} entries have not {wanted} columns",
            )
        if self.odd:
            return "meter.value", f"{self.profile}: {self.odd} captured values are no readings"
        return None

    def foresee(self) -> tuple[Window, GetAttribute] | None:
        """Return the first window that will be read, and the request for it, if that is known."""
        if self.cursor is None:
            return None
        start = start_of(
            self.cursor,
            shown=self.now.shown,
            elapsed=self.now.elapsed,
            period=self.layout.period,
        )
        window = next_window(start, horizon=self.now.horizon, span=self.now.span)
        return window, self._request(window)

    def supply(self, window: Window, raw: bytes) -> None:
        """Give the answer about a window, which was asked for together with others."""
        self._ahead[window] = raw

    async def read(self) -> None:
        """Read up to now, or as far as one visit goes.

        Raises:
            OpenAmiError: the meter, the line, or what came was not as it should be; what was
                read before is in the harvest.
        """
        start = await self._start()
        if start is None:
            return
        span, window = self.now.span, None
        for _ in range(WINDOWS_MOST):
            window = next_window(start, horizon=self.now.horizon, span=span)
            rows = await self._fetch(window)
            found = self._sift(rows, again=self._again)
            if found.set_back and self.cursor is not None:
                start = self._rewind(self.cursor)
                continue
            span = span * 2 if not len(rows) else self.now.span
            await self._fill(rows, window)
            self._keep(rows, found)
            if window.end >= int(self.now.horizon):
                return
            if self._rows >= self.now.rows:
                break
            start = window.end + 1
        self.more = True

    async def _start(self) -> int | None:
        if self.cursor is None:
            return await self._oldest()
        start = start_of(
            self.cursor,
            shown=self.now.shown,
            elapsed=self.now.elapsed,
            period=self.layout.period,
        )
        self._again = self.events or start < self.cursor
        if start < self.cursor:
            log.warning("clock before the cursor", meter=self.meter, profile=self.profile)
        return start

    def _rewind(self, cursor: int) -> int:
        log.warning("clock was set back", meter=self.meter, profile=self.profile)
        self._again = True
        return rewound(cursor, elapsed=self.now.elapsed, period=self.layout.period)

    async def _oldest(self) -> int | None:
        """Return the time of the first entry, None if there is none."""
        name = AttributeRef(PROFILE, Obis.parse(self.profile), _BUFFER)
        try:
            raw = await self.session.get_raw(name, EntrySelection(1, 1))
        except ServiceRefusedError:
            return max(0, int(self.now.wall) - self.now.history)
        rows = self._decode(raw)
        if not len(rows):
            more = rows.misplaced or rows.misshapen
            return max(0, int(self.now.wall) - self.now.history) if more else None
        return int(rows.times.min())

    async def _fetch(self, window: Window) -> ReadingRows | EventRows:
        raw = self._ahead.pop(window, None)
        if raw is None:
            request = self._request(window)
            raw = await self.session.get_raw(request.ref, request.selection)
        return self._decode(raw)

    def _request(self, window: Window) -> GetAttribute:
        start, end = (
            CosemDateTime.from_utc(moment, self.now.deviation)
            for moment in (window.start, window.end)
        )
        name = AttributeRef(PROFILE, Obis.parse(self.profile), _BUFFER)
        return GetAttribute(name, RangeSelection.of_times(start, end))

    def _decode(self, raw: bytes) -> ReadingRows | EventRows:
        deviation = self.now.deviation
        rows: ReadingRows | EventRows
        if self.events:
            rows = decode_events(raw, self.layout, deviation=deviation, fresh=self.fresh)
        else:
            rows = decode_readings(raw, self.layout, deviation=deviation, fresh=self.fresh)
            self.odd += rows.odd
        self.misplaced += rows.misplaced
        self.misshapen += rows.misshapen
        return rows

    def _sift(self, rows: ReadingRows | EventRows, *, again: bool) -> Sifted:
        settled = settled_after(
            self.cursor, self.highest, elapsed=self.now.elapsed, period=self.layout.period
        )
        return sift(
            rows.times.tolist(),
            rows.digests.tolist(),
            cursor=self.cursor,
            known=self.known,
            again=again,
            settled=None if again else settled,
        )

    async def _fill(self, rows: ReadingRows | EventRows, window: Window) -> None:
        """Look once more at the stretches in which captures are missing."""
        if self.events or self._again or not 0 < self.layout.period <= GAP_PERIOD_MOST:
            return
        came = {int(time) for time in rows.times if window.start <= time <= window.end}
        times = sorted(came | ({self.cursor} if self.cursor is not None else set()))
        for gap in gaps(times, period=self.layout.period):
            if self._gaps >= GAPS_MOST:
                return
            self._gaps += 1
            missing = await self._fetch(gap)
            found = self._sift(missing, again=True)
            log.info("gap", meter=self.meter, profile=self.profile, start=gap.start, end=gap.end,
                     found=len(found.keep))  # fmt: skip
            self._store(missing, found.keep)

    def _keep(self, rows: ReadingRows | EventRows, found: Sifted) -> None:
        self._store(rows, found.keep)
        for entry in zip(rows.times.tolist(), rows.digests.tolist(), strict=True):
            self.known.add(*entry)  # the one at the cursor too, which was known before a restart
        if found.cursor is not None:
            self.cursor = found.cursor
            self.harvest.cursors[self.meter, self.profile] = found.cursor

    def _store(self, rows: ReadingRows | EventRows, keep: tuple[int, ...]) -> None:
        self._rows += len(rows)
        for place in keep:
            self.known.add(int(rows.times[place]), int(rows.digests[place]))
        if keep:
            kept = self.harvest.events if self.events else self.harvest.readings
            kept.extend(rows.tables(self.meter, self.profile, keep))
