"""What a meter's registers say of the time since its last interval.

The load profile gives energy by intervals; what has come since the last of them is the register
now less the register at its end. That end is never read: it is known from a push at a boundary
of intervals, the anchor, and from the intervals since then.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from openami.ihd.ledger import Running

if TYPE_CHECKING:
    from openami.dlms.home import Live
    from openami.ihd.ledger import Ledger

MOST_W: Final = 300_000
"""No home draws more: three phases of 400 A. A register that says so was changed or rolled over."""
SLACK_WH: Final = 10
"""Registers and intervals are cut to whole Wh."""
WRAPS: Final[tuple[int, ...]] = tuple(
    sorted({2**32, 2**31, *(10**digits for digits in range(6, 13))})
)
"""Where registers begin again: those of 32 bits, and those of so many digits."""
_PENDING: Final = 8
"""Boundaries whose interval has not been taken yet: it comes seconds later."""


class Reading(NamedTuple):
    """Registers 1.8.0 and 2.8.0 at a moment, in Wh."""

    at: int
    imported: int
    exported: int


def used(before: int, after: int, seconds: float) -> int | None:
    """Return the Wh between two readings of a register; None if it is not the same register."""
    most = MOST_W * max(seconds, 0.0) / 3600 + SLACK_WH
    for wrap in (0, *(each for each in WRAPS if each > before)):
        difference = after + wrap - before
        if 0 <= difference <= most:
            return difference
    return None


class Registers:
    """Follows the registers of one meter.

    Args:
        period: of its load profile, in seconds.
        anchor: of an earlier run.
    """

    def __init__(self, period: int, anchor: Reading | None = None) -> None:
        self.anchor = anchor
        self._period = period
        self._last: Live | None = None
        self._first: Live | None = None
        self._seen: deque[Reading] = deque(maxlen=_PENDING)

    def saw(self, live: Live) -> None:
        """Take a push."""
        last, self._last = self._last, live
        boundary = self._begin(live)
        while self._seen and self._seen[-1].at > live.at:  # the meter's clock was set back
            self._seen.pop()
        if self._first is None or not boundary <= self._first.at <= live.at:
            self._first = live
        if live.at == boundary:
            self._seen.append(Reading(boundary, live.imported, live.exported))
        elif last is not None and boundary - self._period < last.at < boundary:
            self._seen.append(_between(last, live, boundary))

    def lost(self) -> None:
        """Say that pushes may be missing between the last one and the next."""
        self._last = None

    def running(self, ledger: Ledger, live: Live) -> Running:
        """Return what has come since the ledger's last interval, by the registers in a push."""
        until = ledger.known_to(live.at)
        if until is None:
            return Running(live.at, live.at)
        self._settle(ledger, until)
        return self._measured(ledger, live, until) or self._estimated(
            ledger, live, max(until, self._begin(live))
        )

    def _begin(self, live: Live) -> int:
        return live.at // self._period * self._period

    def _settle(self, ledger: Ledger, until: int) -> None:
        """Take the newest boundary whose interval has come as the anchor."""
        while self._seen and self._seen[0].at <= until:
            self.anchor = self._seen.popleft()
        anchor = self.anchor
        if anchor is not None and not (anchor.at == until or ledger.covers(anchor.at, until)):
            self.anchor = None

    def _measured(self, ledger: Ledger, live: Live, until: int) -> Running | None:
        anchor = self.anchor
        if anchor is None:
            return None
        since = ledger.between(anchor.at, until)
        seconds = live.at - anchor.at
        found = (
            used(anchor.imported, live.imported, seconds),
            used(anchor.exported, live.exported, seconds),
        )
        if found[0] is None or found[1] is None:
            self.anchor = None
            return None
        return Running(until, live.at, max(found[0] - since[0], 0), max(found[1] - since[1], 0))

    def _estimated(self, ledger: Ledger, live: Live, since: int) -> Running:
        """Return what has come since an interval began of which no boundary was seen.

        Before the first push it is that push's power that counts, from then on the registers.
        """
        first = self._first
        if first is None or not since <= first.at <= live.at:
            first = live
        before = first.active * (first.at - since) // 3_600_000
        known = ledger.between(0, since)
        seconds = live.at - first.at
        imported = max(before, 0) + (used(first.imported, live.imported, seconds) or 0)
        exported = max(-before, 0) + (used(first.exported, live.exported, seconds) or 0)
        return Running(
            since,
            live.at,
            min(imported, _room(live.imported, known[0])),
            min(exported, _room(live.exported, known[1])),
        )


def _room(register: int, known: int) -> int:
    """Return the most that a register has counted beside the intervals that are known.

    A register below these is of a meter that is not the household's first.
    """
    return register - known if register >= known else register


def _between(last: Live, live: Live, at: int) -> Reading:
    """Return the registers at a time between two pushes, as if power had stayed the same."""
    part, whole = at - last.at, live.at - last.at
    imported = (live.imported - last.imported) * part // whole
    exported = (live.exported - last.exported) * part // whole
    return Reading(at, last.imported + imported, last.exported + exported)
