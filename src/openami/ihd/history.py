"""What a display remembers: in memory to show it, in its store to have it tomorrow.

A full disk ends nothing: what is shown goes on, ``trouble`` says so, and points wait for room.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.errors import StoreError
from openami.dlms.home import Live
from openami.ihd import when
from openami.ihd.ledger import Ledger
from openami.ihd.points import PowerPoints, filling, slots, spread
from openami.ihd.registers import Reading, Registers
from openami.store.home import DAMAGED, INTERVALS_S, POINTS_S, Energy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

    from openami.ihd.ledger import Running
    from openami.store.home import HomeStore, MeterRow
    from openami.transport.home import IntervalEnergy

log = structlog.get_logger(__name__)

LIVE: Final = "live"
_PRUNED_DAYS: Final = 31
"""Days made of intervals at a time."""


class History:
    """The household's past, and its present; one for the life of a display.

    Args:
        store: keeps it.
        zone: whose days those are that outlive their intervals.

    Raises:
        StoreError: the store cannot be read.
    """

    def __init__(self, store: HomeStore, zone: ZoneInfo) -> None:
        self._store = store
        self.ledger = self._kept()
        self.live = _live(store.value(LIVE))
        self.meter: MeterRow | None = None
        self.running: Running | None = None
        self._troubles: dict[str, StoreError] = {}
        self._zone = zone
        self._points = PowerPoints()
        self._registers: Registers | None = None
        self._anchored: Reading | None = None
        self._changing = asyncio.Lock()
        if store.damage is not None:
            reason = store.damage.message
            log.error("the history was damaged and begins anew", aside=DAMAGED, message=reason)

    @property
    def trouble(self) -> StoreError | None:
        """Why something can not be kept; None: all is."""
        return next(iter(tuple(self._troubles.values())), None)

    async def connected(self, serial: str, period: int) -> None:
        """Begin, or go on, with a meter; if it can not be kept now, ``meter`` is None."""
        async with self._changing:
            try:
                row = await asyncio.to_thread(self._store.meter, serial, period)
            except StoreError as error:
                self._fails("meter", error)
                self.meter, self._registers = None, self._registers or Registers(period)
                return
            self._goes("meter")
        if self.meter is None or (self.meter.number, self.meter.period) != (row.number, period):
            anchor = None if row.anchor is None else Reading(*row.anchor)
            self._registers, self._anchored = Registers(period, anchor), anchor
            self.meter = row

    def parted(self) -> None:
        """Show no meter any more; what it measured stays."""
        self.live = self.running = self.meter = self._registers = None

    def saw(self, live: Live) -> None:
        """Take a push."""
        self.live = live
        self._points.saw(live)
        if self._registers is not None:
            self._registers.saw(live)
            self.running = self._registers.running(self.ledger, live)

    def lost(self) -> None:
        """Say that no pushes come."""
        self._points.lost()
        if self._registers is not None:
            self._registers.lost()

    async def take(self, found: IntervalEnergy, row: MeterRow) -> bool:
        """Take intervals of the meter; they are shown also if they can not be kept.

        Returns:
            Whether they are kept, and with them how far ``row`` says that they reach.
        """
        async with self._changing:
            kept, ledger = await asyncio.to_thread(self._took, found, row)
            self._show(ledger)
            if kept:
                self.meter = row
        return kept

    async def tidy(self, now: float) -> None:
        """Drop what is too old; of intervals, whole days are kept as such."""
        async with self._changing:
            ledger = await asyncio.to_thread(self._prune, now)
            if ledger is not None:
                self._show(ledger)

    async def flush(self) -> None:
        """Keep what has come since the last time: at most what comes until the next is lost."""
        async with self._changing:
            await asyncio.to_thread(self._flush)

    async def forget(self) -> None:
        """Forget the household; StoreError."""
        async with self._changing:
            await asyncio.to_thread(self._store.forget)
            self.parted()
            self.ledger, self._points, self._anchored = Ledger(), PowerPoints(), None

    def _show(self, ledger: Ledger) -> None:
        self.ledger = ledger
        if self._registers is not None and self.live is not None:
            self.running = self._registers.running(ledger, self.live)

    # Blocking: for threads

    def _took(self, found: IntervalEnergy, row: MeterRow) -> tuple[bool, Ledger]:
        energy = Energy(found.time - row.period, found.time, found.imported, found.exported)
        since = (row.until or 0) - POINTS_S
        points = filling(energy.ends, energy.imported, energy.exported, row.period, since)
        columns = (found.time, found.imported, found.exported, found.status)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        ledgers: list[Ledger] = []

        def keep() -> None:
            self._store.keep_energy(row, rows, points)
            ledgers.append(self._kept())

        kept = self._try("energy", keep)
        return kept, ledgers[0] if kept else self.ledger.merged(energy)

    def _kept(self) -> Ledger:
        return Ledger(self._store.energy(), self._store.days())

    def _flush(self) -> None:
        points, live = self._points.pending(), self.live
        kept = None if live is None else json.dumps(asdict(live))

        def keep() -> None:
            if points or kept:
                self._store.keep_points(points, LIVE, kept)
                self._points.kept(points)
            self._keep_anchor()

        self._try("points", keep)

    def _prune(self, now: float) -> Ledger | None:
        limit = int(now) - INTERVALS_S
        days = list(self._old_days(limit))
        ledgers: list[Ledger] = []

        def prune() -> None:
            self._store.prune(int(now), days)
            if days:
                ledgers.append(self._kept())

        self._try("room", prune)
        return ledgers[0] if ledgers else None

    def _old_days(self, limit: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield days that are over before ``limit``: start, end, imported and exported Wh."""
        energy = self.ledger.energy
        if not len(energy) or int(energy.starts[0]) >= limit:
            return
        bounds = when.days(int(energy.starts[0]), limit, self._zone)[: _PRUNED_DAYS + 1]
        for start, end in pairwise([each for each in bounds if each <= limit]):
            yield (start, end, *self.ledger.between(start, end))

    def keep(self, name: str, value: str) -> None:
        """Keep a text."""
        # With the points, which are kept soon again: the meter says what is lost once more.
        self._try("points", lambda: self._store.keep_value(name, value))

    def points(self, start: int, end: int) -> dict[str, Any]:
        """Return power by five seconds, as the API gives it."""
        first, count = slots(start, end)
        kept = self._store.points(first, end)
        watts, filled = spread(first, count, kept, self._points.shown(first, end))
        return {"step_s": 5, "start": first, "w": watts, "filled": filled}

    def _keep_anchor(self) -> None:
        if self._registers is None or self.meter is None:
            return
        anchor = self._registers.anchor
        if anchor is not None and anchor != self._anchored:
            self._store.keep_anchor(
                self.meter.number, (anchor.at, anchor.imported, anchor.exported)
            )
            self._anchored = anchor

    def _try(self, what: str, write: Callable[[], object]) -> bool:
        """Write, and remember whether it went; what can not be kept now is not lost from sight."""
        try:
            write()
        except StoreError as error:
            self._fails(what, error)
            return False
        self._goes(what)
        return True

    def _goes(self, what: str) -> None:
        """Take that something is kept; that a little has room says nothing of the rest."""
        if self._troubles.pop(what, None) is not None and not self._troubles:
            log.info("the store takes what it is given again")

    def _fails(self, what: str, error: StoreError) -> None:
        if error.code not in {each.code for each in tuple(self._troubles.values())}:
            log.warning("nothing can be kept", code=error.code, message=error.message)
        self._troubles[what] = error


def unfinished(row: MeterRow, reach: int) -> int:
    """Return how many seconds of a meter's profile have not been taken, as far as is known.

    Args:
        row: how far it has been taken.
        reach: the end of the last interval that the meter can have.
    """
    if row.since is None or row.until is None:
        return INTERVALS_S
    older = 0 if row.whole else max(0, row.since - (reach - INTERVALS_S))
    return max(0, reach - row.until) + older


def further(row: MeterRow, since: int, until: int, *, whole: bool) -> MeterRow:
    """Return a row that reaches further."""
    begin = since if row.since is None else min(row.since, since)
    end = until if row.until is None else max(row.until, until)
    return replace(row, since=begin, until=end, whole=row.whole or whole)


def _live(kept: str | None) -> Live | None:
    if kept is None:
        return None
    try:
        values = json.loads(kept)
        for name in ("voltage", "current"):
            values[name] = tuple(values[name])
        return Live(**values)
    except (ValueError, TypeError, KeyError):  # of another version: the next push is seconds away
        return None
