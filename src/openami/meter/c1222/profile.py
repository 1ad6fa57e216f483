"""ST-63 and ST-64 out of the ring of the load profile.

A block is a day of standard time, from midnight to midnight; its place in the table is its number,
counted from 1970, modulo their count: a block that is being read does not move. Intervals without a
row (the power was away for a month, the clock was set forward) are there, marked as skipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openami.meter.c1222.fixed import Profile, block_size
from openami.meter.c1222.sources import CHANNELS
from openami.metrology.events import Ring, RowStatus

if TYPE_CHECKING:
    from openami.metrology.engine import MeterEngine
    from openami.metrology.memory import Row

_ROW: Final = struct.Struct(f">18x{'xI' * len(CHANNELS)}")
"""A row after its clock: see ``openami.metrology.rows``."""
_STATUS_AT: Final = 17
_STATUS_OCTETS: Final = len(CHANNELS) // 2 + 1
_INTERVAL: Final = struct.Struct(f"<{_STATUS_OCTETS}B{len(CHANNELS)}I")

# Nibbles of EXTENDED_INT_STATUS (C12.19, ST-64).
_DAYLIGHT: Final = 0x1
_POWER_FAILED: Final = 0x2
_CLOCK_SET: Final = 0x4 | 0x8  # forward or back: the row does not say which
_SKIPPED: Final = 0x4  # of a channel

_COMMON: Final = {
    RowStatus.DAYLIGHT_SAVING: _DAYLIGHT,
    RowStatus.POWER_DOWN: _POWER_FAILED,
    RowStatus.CLOCK_ADJUSTED: _CLOCK_SET,
}
_WRONG: Final = RowStatus.CRITICAL_ERROR | RowStatus.CLOCK_INVALID | RowStatus.DATA_NOT_VALID

_NOTHING: Final = bytes((_SKIPPED, *(_SKIPPED << 4 | _SKIPPED,) * (_STATUS_OCTETS - 1)))
_NO_INTERVAL: Final = _NOTHING + bytes(4 * len(CHANNELS))


@dataclass(frozen=True, slots=True)
class Filled:
    """What the table holds.

    Attributes:
        octets: ST-64.
        newest: the number of the newest block.
        valid: how many blocks there are.
        intervals: how many the newest one has.
    """

    octets: bytes
    newest: int = 0
    valid: int = 0
    intervals: int = 0


class ProfileTable:
    """The load profile of one meter.

    Args:
        profile: how it is cut.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._known: tuple[int, int, int] | None = None
        self._filled = Filled(b"")

    def filled(self, engine: MeterEngine) -> Filled:
        """Return what the table holds now."""
        ring = engine.rows[Ring.LOAD_PROFILE]
        shift = engine.state.zone.minutes * 60
        known = (ring.last, len(ring), shift)
        if known != self._known:
            self._known, self._filled = known, _fill(ring.since(0), self.profile, shift)
        return self._filled

    def status(self, engine: MeterEngine, read: int) -> dict[str, Any]:
        """Return ST-63; ``read``: the number of the last block that has been read."""
        filled, blocks = self.filled(engine), self.profile.blocks
        unread = self.unread(engine, read)
        flags = {"ORDER": False, "LIST_TYPE": True, "INHIBIT": False, "INTERVAL_ORDER": False}
        lost = filled.valid == blocks and unread == filled.valid
        return {
            "SET1": {
                "FLAGS": {**flags, "OVERFLOW": lost, "ACTIVE": True, "TEST": False},
                "NBR_VALID_BLOCKS": filled.valid,
                "LAST_BLOCK_ELEMENT": filled.newest % blocks,
                "LAST_BLOCK_SEQ_NBR": filled.newest,
                "NBR_UNREAD_BLOCKS": unread,
                "NBR_VALID_INT": filled.intervals,
            }
        }

    def unread(self, engine: MeterEngine, read: int) -> int:
        """Return how many blocks have not been read."""
        filled = self.filled(engine)
        # What was read when the clock was ahead is gone: rather all again than none for years.
        known = read if read <= filled.newest else 0
        return min(filled.newest - known, filled.valid)


def _fill(rows: list[Row], profile: Profile, shift: int) -> Filled:
    blocks, intervals = profile.blocks, profile.intervals
    size = block_size(profile)
    bits = 4 + -(-intervals // 8)
    table = bytearray((bytes(bits) + _NO_INTERVAL * intervals) * blocks)
    if not rows:
        return Filled(bytes(table))
    # What was captured last is the newest, also if the clock was ahead before.
    newest, slot = _place(rows[-1].time, profile, shift)
    oldest, last = newest, slot
    for row in rows:
        number, slot = _place(row.time, profile, shift)
        if not newest - blocks < number <= newest:
            continue
        oldest = min(oldest, number)
        last = max(last, slot) if number == newest else last
        at = number % blocks * size
        wrong = row.data[_STATUS_AT] & _WRONG
        table[at + 4 + slot // 8] |= 0 if wrong else 1 << slot % 8
        at += bits + slot * _INTERVAL.size
        table[at : at + _INTERVAL.size] = _interval(row.data)
    for number in range(oldest, newest + 1):
        full = intervals if number < newest else last + 1
        end = (number * intervals + full) * profile.period - shift
        at = number % blocks * size
        table[at : at + 4] = end.to_bytes(4, "little")
    return Filled(bytes(table), newest, newest - oldest + 1, last + 1)


def _place(end: int, profile: Profile, shift: int) -> tuple[int, int]:
    """Return the block and the place in it of the interval that ended at a time."""
    return divmod((end + shift) // profile.period - 1, profile.intervals)


def _interval(row: bytes) -> bytes:
    status = row[_STATUS_AT]
    common = 0
    for bit, nibble in _COMMON.items():
        common |= nibble if status & bit else 0
    return _INTERVAL.pack(common << 4, *bytes(_STATUS_OCTETS - 1), *_ROW.unpack(row))
