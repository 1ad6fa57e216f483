"""The load profile as a display reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from openami.core.errors import DecodeError
from openami.core.obis import Obis
from openami.dlms.columns import decode_profile
from openami.dlms.datetime import CosemDateTime
from openami.dlms.references import CLOCK_COLUMN, AttributeRef, CaptureObject, RangeSelection

if TYPE_CHECKING:
    import numpy.typing as npt

    from openami.transport.session import DlmsSession

LOAD_PROFILE: Final = Obis.parse("1.0.99.1.0.255")
_PROFILE: Final = 7
_BUFFER: Final = 2
_COLUMNS: Final = 3
_STATUS: Final = Obis.parse("0.0.96.10.1.255")
_IMPORTED: Final = Obis.parse("1.0.1.29.0.255")
_EXPORTED: Final = Obis.parse("1.0.2.29.0.255")
_WANTED: Final = (CLOCK_COLUMN.obis, _IMPORTED, _EXPORTED, _STATUS)


@dataclass(frozen=True, slots=True)
class IntervalEnergy:
    """Energy by intervals, the oldest first; all columns have as many rows.

    Args:
        time: the interval's end, UTC seconds.
        imported: Wh.
        exported: Wh.
        status: the row's status bits.
    """

    time: npt.NDArray[np.int64]
    imported: npt.NDArray[np.int64]
    exported: npt.NDArray[np.int64]
    status: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time)


async def read_energy(session: DlmsSession, start: int, end: int) -> IntervalEnergy:
    """Return the intervals of the load profile that end from ``start`` to ``end``, UTC seconds.

    Raises:
        OpenAmiError: see ``DlmsSession.request``; DecodeError if it is no load profile.
    """
    captured = (await session.get(AttributeRef(_PROFILE, LOAD_PROFILE, _COLUMNS))).items()
    places = {CaptureObject.of(item).obis: place for place, item in enumerate(captured)}
    if any(name not in places for name in _WANTED):
        raise DecodeError("a load profile of time, status, import and export wanted")
    times = RangeSelection.of_times(*(CosemDateTime.from_utc(at, 0) for at in (start, end)))
    raw = await session.get_raw(AttributeRef(_PROFILE, LOAD_PROFILE, _BUFFER), times)
    clock = places[CLOCK_COLUMN.obis]
    found = decode_profile(raw, clocks=(clock,), width=len(captured))
    if not found.rows:
        nothing = np.zeros(0, np.int64)
        return IntervalEnergy(nothing, nothing, nothing, np.zeros(0, np.uint8))
    columns = [found.columns[places[name]] for name in _WANTED]
    time, *numbers = columns
    if time.dtype.kind != "M" or any(column.dtype.kind not in "iu" for column in numbers):
        raise DecodeError("a load profile with times and numbers wanted")
    known = ~np.isnat(time)  # a row that names no moment is of no use here
    imported, exported, status = (column[known] for column in numbers)
    return IntervalEnergy(
        time[known].astype("datetime64[s]").astype(np.int64),
        imported.astype(np.int64),
        exported.astype(np.int64),
        status.astype(np.uint8),
    )
