"""Meters with a year of real households, for the customers' pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tests.support.headend import CHANNEL, LOAD_PROFILE, PERIOD

from openami.mdm.readings import ChannelValues, join, profile_table
from openami.meter.recordings import household_energy, recording

if TYPE_CHECKING:
    import pyarrow as pa

EXPORTED = "1.0.2.29.0.255"
HALF = 1800
WEEK = 7 * 86_400
SEOUL_S = 9 * 3600


def profile(
    meter: str, first: int, imported: np.ndarray, exported: np.ndarray | None = None
) -> pa.Table:
    """Return a load profile of what was taken and given; what is negative is a gap."""
    time = np.arange(1, len(imported) + 1, dtype=np.int64) * PERIOD + first
    there = imported >= 0
    columns = [(CHANNEL, imported)]
    if exported is not None:
        columns.append((EXPORTED, exported))
    return profile_table(
        meter,
        LOAD_PROFILE,
        time=time[there],
        status=np.zeros(int(there.sum()), np.uint8),
        channels=[ChannelValues(name, 0, 30, values[there]) for name, values in columns],
    )


def households(now: int, meters: tuple[str, ...]) -> pa.Table:
    """Return the year of the recorded households that ends with a moment, in Seoul's time."""
    start, wh = household_energy()
    homes = wh.reshape(len(wh), -1)
    begin = start - SEOUL_S
    shift = (now - (begin + homes.shape[1] * HALF)) // WEEK * WEEK + WEEK
    count = (now - begin - shift) // PERIOD
    tables = []
    for meter, values in zip(meters, homes, strict=False):
        known = np.where(np.isnan(values), -2, values)
        quarters = np.repeat((known / 2).astype(np.int64), 2)[:count]
        tables.append(profile(meter, begin + shift, quarters))
    return join(tables)


def solar(now: int, meter: str) -> pa.Table:
    """Return the recorded home with panels, up to a moment."""
    found = recording("solar")
    power = np.array([sample.active for sample in found.samples], np.float64)
    wh = power * found.step / 3_600_000  # of mW
    begin = found.start - SEOUL_S
    shift = (now - (begin + len(wh) * found.step)) // WEEK * WEEK + WEEK
    count = (now - begin - shift) // PERIOD
    parts = found.step // PERIOD
    net = np.repeat(wh / parts, parts)[:count]
    taken, given = np.clip(net, 0, None), np.clip(-net, 0, None)
    return profile(meter, begin + shift, taken.astype(np.int64), given.astype(np.int64))
