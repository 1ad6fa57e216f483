"""The lists of a meter, and how far they have been read: procedures 4 and 5 (C12.19, 9.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openami.c1222.tables import EntryList
from openami.meter.c1222 import events
from openami.metrology.events import Ring

if TYPE_CHECKING:
    from openami.meter.c1222.events import EventLog
    from openami.meter.c1222.profile import ProfileTable
    from openami.meter.device import Meter

_RINGS: Final = {
    EntryList.EVENT_LOG: events.EVENT_RINGS,
    EntryList.SELF_READS: (Ring.SELF_READ,),
    EntryList.LOAD_PROFILE_1: (Ring.LOAD_PROFILE,),
}


class Lists:
    """The lists of one meter.

    Args:
        meter: the meter.
        profile: its load profile; None: it cannot be shown.
        log: its events.
    """

    def __init__(self, meter: Meter, profile: ProfileTable | None, log: EventLog) -> None:
        self._meter = meter
        self._log = log
        self._profile = profile

    def known(self, number: int) -> bool:
        """Tell whether the meter has a list."""
        return number in _RINGS and (number != EntryList.LOAD_PROFILE_1 or bool(self._profile))

    def read(self, number: EntryList) -> int:
        """Return the number of the last entry that has been read; 0: none."""
        return self._meter.c1222.read.get(str(int(number)), 0)

    def take(self, number: int, entries: int) -> bool:
        """Take note that the oldest ``entries`` of the unread have been read.

        Returns:
            False if there are not as many.
        """
        last, unread = self._extent(EntryList(number))
        if entries > unread:
            return False
        self._meter.c1222.read[str(number)] = last - unread + entries
        return True

    def clear(self, number: int) -> None:
        """Forget all entries."""
        for ring in _RINGS[EntryList(number)]:
            if len(self._meter.engine.rows[ring]):
                self._meter.engine.clear(ring)
        self._meter.c1222.read.pop(str(number), None)

    def _extent(self, number: EntryList) -> tuple[int, int]:
        """Return the number of the newest entry, and how many are there and unread."""
        engine, read = self._meter.engine, self.read(number)
        if number is EntryList.LOAD_PROFILE_1 and self._profile is not None:
            return self._profile.filled(engine).newest, self._profile.unread(engine, read)
        if number is EntryList.EVENT_LOG:
            last, kept = events.count(engine), len(self._log.newest())
        else:
            ring = engine.rows[Ring.SELF_READ]
            last, kept = ring.last, len(ring)
        return last, min(last - read, kept)
