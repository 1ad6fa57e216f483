"""Takes the meter's load profile: what is new, what was missed, and at first all that it has."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from openami.ihd.history import further, unfinished
from openami.store.home import INTERVALS_S
from openami.transport.session import ServiceRefusedError

if TYPE_CHECKING:
    from openami.ihd.history import History
    from openami.ihd.meter_clock import MeterClock
    from openami.store.home import MeterRow
    from openami.transport.home import HomeLink, IntervalEnergy

log = structlog.get_logger(__name__)

PIECE_S: Final = 7 * 86_400
"""Seconds of the profile in one request: 672 rows of 15 minutes, a few kilobytes."""
GATEWAY_PIECE_S: Final = 86_400
"""The same where a street shares the line: two seconds of it, at 9,600 bit/s."""
GATEWAY_PAUSE_S: Final = 60.0
"""Real seconds between two such pieces: a gateway gives a meter three minutes in an hour."""
SOON: Final = 40
"""Pieces that follow each other at once even so: this month and the days before."""
EMPTY_S: Final = 35 * 86_400
"""Seconds without a row after which the meter has nothing older: a meter that was off for a month
has more behind it."""
REFUSED_S: Final = 60.0
"""Real seconds until a reading is tried again that the meter, or a gateway, refused."""
LATE_S: Final = 120
"""Seconds of the meter's clock after the end of an interval, from which on one that is not there
will not come any more; half an interval, if that is less."""
TRIES: Final = 5
"""Looks for it, before that is believed: a demo's clock runs through an interval in a second."""
AGAIN_S: Final = 2.0
"""Real seconds between two looks whether an interval has ended, or has come."""


class Filler:
    """Fills the history from one link, newest first, and goes on with each interval that ends.

    Args:
        history: what is filled.
        clock: the meter's.

    Attributes:
        current: is set once the last interval that has ended is there.
    """

    def __init__(self, history: History, clock: MeterClock) -> None:
        self._history = history
        self._clock = clock
        self._empty_s = self._tries = self._older_pieces = 0
        self._direct = True
        self.current = asyncio.Event()

    @property
    def left_s(self) -> int:
        """Seconds of the profile that have not been taken."""
        row = self._history.meter
        if row is None:
            return 0
        left = unfinished(row, self._reach(row))
        return 0 if left <= row.period and row.whole else left

    async def run(self, link: HomeLink, *, direct: bool) -> None:
        """Take what the meter has until the link is closed.

        Args:
            link: to the meter.
            direct: no line that others share is on the way.

        Raises:
            OpenAmiError: the link broke.
        """
        self._empty_s = self._tries = self._older_pieces = 0
        self._direct = direct
        while True:
            await self._clock.known.wait()
            try:
                await self._look(link)
            except ServiceRefusedError as error:
                log.info("the load profile is refused", code=error.code, message=error.message)
                await asyncio.sleep(REFUSED_S)

    async def _look(self, link: HomeLink) -> None:
        """Take all that there is now."""
        while True:
            row = self._history.meter
            if row is not None and row.until is not None and row.until >= self._reach(row):
                self.current.set()
            if row is None:  # there was no room to keep it
                await self._history.connected(link.serial, link.period)
            elif await self._step(link, row):
                if self._older_pieces > SOON and not self._direct:
                    await asyncio.sleep(GATEWAY_PAUSE_S)
                continue
            await asyncio.sleep(AGAIN_S)

    async def _step(self, link: HomeLink, row: MeterRow) -> bool:
        """Take a piece; False: there is nothing to take now, or nowhere to keep it."""
        reach = self._reach(row)
        if row.until is None or row.since is None:
            return await self._newer(link, row, reach - self._piece_s, reach)
        if row.until > reach + row.period:  # the meter's clock was set back
            known = self._history.ledger.known_to(reach) or reach - self._piece_s
            taken = min(known, reach - row.period)
            return await self._newer(link, replace(row, until=taken), taken, reach)
        newer = min(row.until + self._piece_s, reach)
        if row.until < newer and await self._newer(link, row, row.until, newer):
            return True
        return not row.whole and await self._older(link, self._history.meter or row, row.since)

    async def _newer(self, link: HomeLink, row: MeterRow, start: int, end: int) -> bool:
        found = await self._read(link, row, start, end)
        last = int(found.time[-1]) if len(found) else start
        self._tries = self._tries + 1 if last == start else 0
        reached = end if self._will_not_come(row, end) else last
        taken = await self._history.take(found, further(row, start, reached, whole=False))
        return taken and reached > start

    def _will_not_come(self, row: MeterRow, end: int) -> bool:
        """Tell whether intervals until ``end`` that are not there will never be."""
        if end < self._reach(row):
            return True
        return self._tries >= TRIES and self._clock.now() > end + min(LATE_S, row.period // 2)

    async def _older(self, link: HomeLink, row: MeterRow, end: int) -> bool:
        start = end - self._piece_s
        found = await self._read(link, row, start, end)
        self._older_pieces += 1
        self._empty_s = 0 if len(found) else self._empty_s + self._piece_s
        whole = self._empty_s >= EMPTY_S or start < self._clock.now() - INTERVALS_S
        return await self._history.take(found, further(row, start, end, whole=whole))

    @property
    def _piece_s(self) -> int:
        return PIECE_S if self._direct else GATEWAY_PIECE_S

    async def _read(self, link: HomeLink, row: MeterRow, start: int, end: int) -> IntervalEnergy:
        """Return the intervals that end after ``start`` and up to ``end``."""
        return await link.energy(start + row.period, end)

    def _reach(self, row: MeterRow) -> int:
        """Return the end of the last interval that is over."""
        return int(self._clock.now()) // row.period * row.period
