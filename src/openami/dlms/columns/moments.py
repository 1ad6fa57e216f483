"""COSEM date-times of twelve octets, many at once, as seconds since 1970-01-01T00:00:00Z.

The rules are those of ``CosemDateTime.timestamp``: "last" and "second last" days are resolved,
unspecified seconds and hundredths count as 0, and what is not one moment becomes NaT.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from openami.dlms.datetime import ANY, ANY_YEAR, LAST_DAY, NO_DEVIATION, SECOND_LAST_DAY

Octets = npt.NDArray[np.uint8]
Moments = npt.NDArray[np.datetime64]
Seconds = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SIZE: Final = 12
NAT: Final = np.iinfo(np.int64).min
MAX_DEVIATION: Final = 840  # minutes; UTC+14 is the farthest local time there is
_MAX_YEAR: Final = 9999
_DAY: Final = 86400

PLAIN_LOWEST: Final = bytes((1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0))
PLAIN_HIGHEST: Final = bytes((0x26, 255, 12, 31, 255, 23, 59, 59, 255, 255, 255, 255))
"""Octet by octet, what a date-time may be that names its year, month, day, hour and minute with
plain numbers: the years 256 to 9983."""

_HUNDREDTHS: Final = bytes((*range(100), ANY))
_SHORT_MONTH: Final = bytes(range(1, 29))

# A date-time's octets times this are its month, counted from the year 0, and the seconds since the
# month's begin, a day too many: floats, for which there are fast matrix products, are exact here.
_WEIGHTS: Final = np.array(
    (
        (256 * 12, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (0, 0, 0, _DAY, 0, 3600, 60, 1, 0, 0, 0, 0),
    ),
    dtype=np.float64,
).T.copy()


@lru_cache(maxsize=1)
def _months() -> tuple[Floats, Floats]:
    """Return the first second of each month less a day, and its days; month 1 is January, 0."""
    first = np.datetime64("0000-01", "M")
    months = first + np.arange(-1, (_MAX_YEAR + 1) * 12 + 1)
    days = months.astype("datetime64[D]").astype(np.float64)
    return (days[:-1] - 1) * _DAY, np.diff(days)


def is_plausible(octets: bytes) -> bool:
    """Return whether twelve octets look like a date-time, wildcards allowed."""
    year = octets[0] << 8 | octets[1]
    deviation = int.from_bytes(octets[9:11], "big", signed=True)
    return (
        (1 <= year <= _MAX_YEAR or year == ANY_YEAR)
        and (1 <= octets[2] <= 12 or octets[2] >= 0xFD)
        and (1 <= octets[3] <= 31 or octets[3] >= SECOND_LAST_DAY)
        and (octets[4] <= 7 or octets[4] == ANY)
        and all(
            octet <= highest or octet == ANY
            for octet, highest in zip(octets[5:9], (23, 59, 59, 99), strict=True)
        )
        and (abs(deviation) <= MAX_DEVIATION or deviation == NO_DEVIATION)
    )


def plain_moments(block: Octets, data: bytes, at: int, default: int | None) -> Moments | None:
    """Return the moments of date-times within PLAIN_LOWEST and PLAIN_HIGHEST, quickly.

    Args:
        block: rows of octets.
        data: the same octets; not a row more.
        at: where in a row the date-time stands.
        default: the deviation of those that name none.

    Returns:
        None if ``moments`` must have a look: deviations differ, a day its month hasn't.
    """
    rows, stride = block.shape
    high, low = data[at + 9 :: stride], data[at + 10 :: stride]
    if high != high[:1] * rows or low != low[:1] * rows:
        return None
    deviation = int.from_bytes(high[:1] + low[:1], "big", signed=True)
    if deviation == NO_DEVIATION and default is not None:
        deviation = default
    if abs(deviation) > MAX_DEVIATION or data[at + 8 :: stride].translate(None, _HUNDREDTHS):
        return None
    octets = block[:, at : at + SIZE].astype(np.float64)
    product = octets @ _WEIGHTS
    month = product[:, 0].astype(np.intp)
    starts, lengths = _months()
    if (
        data[at + 3 :: stride].translate(None, _SHORT_MONTH)
        and (octets[:, 3] > lengths[month]).any()
    ):
        return None
    seconds = starts[month] + product[:, 1]
    seconds += deviation * 60
    return seconds.astype(np.int64).view("datetime64[s]")


def moments(octets: Octets, default: int | None) -> Moments:
    """Return the moments of any date-times, NaT for what is none.

    Args:
        octets: one date-time a row.
        default: the deviation of those that name none.
    """
    fields = octets.astype(np.int64)
    year = fields[:, 0] << 8 | fields[:, 1]
    month, day, hour, minute = (fields[:, column] for column in (2, 3, 5, 6))
    good = (year >= 1) & (year <= _MAX_YEAR) & (month >= 1) & (month <= 12)
    index = np.where(good, year * 12 + month, 0)
    starts, lengths = _months()
    length = lengths[index].astype(np.int64)
    day = np.where(day == LAST_DAY, length, np.where(day == SECOND_LAST_DAY, length - 1, day))
    second, hundredths = (np.where(fields[:, at] == ANY, 0, fields[:, at]) for at in (7, 8))
    deviation = _deviations(fields, default)
    good &= (day >= 1) & (day <= length) & (hour <= 23) & (minute <= 59)
    good &= (second <= 59) & (hundredths <= 99) & (np.abs(deviation) <= MAX_DEVIATION)
    minutes = hour * 60 + minute + deviation
    seconds = starts[index].astype(np.int64) + day * _DAY + minutes * 60 + second
    return np.where(good, seconds, NAT).view("datetime64[s]")


def _deviations(fields: npt.NDArray[Any], default: int | None) -> Seconds:
    deviation: Seconds = (fields[:, 9] << 8 | fields[:, 10]).astype(np.uint16).astype(np.int64)
    deviation -= (deviation & 0x8000) << 1
    if default is not None:
        deviation[deviation == NO_DEVIATION] = default
    return deviation
