"""Tables of readings for tests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from openami.fleet.ports import Batch
from openami.mdm.readings import READINGS_SCHEMA, ChannelValues, join, profile_table, to_ipc

if TYPE_CHECKING:
    from collections.abc import Sequence

LOAD = "1.0.99.1.0.255"
CHANNELS = tuple(f"1.0.{c}.29.0.255" for c in (1, 2, 3, 4))
MIDNIGHT = 1_699_920_000  # 2023-11-14T00:00:00Z


def profile(
    meter: str,
    *,
    start: int = MIDNIGHT,
    rows: int = 96,
    seed: int = 0,
    add: int = 0,
    channels: tuple[str, ...] = CHANNELS,
    scaler: int = 0,
    name: str = LOAD,
) -> pa.Table:
    """Return a load profile of 15 minutes that begins after ``start``."""
    random = np.random.default_rng(seed)
    return profile_table(
        meter,
        name,
        time=start + 900 * np.arange(1, rows + 1),
        status=np.zeros(rows, np.uint8),
        channels=[
            ChannelValues(channel, scaler, 30, random.poisson(150, rows) + add)
            for channel in channels
        ],
    )


def single(**columns: Sequence[Any]) -> pa.Table:
    """Return readings from columns with the schema's names; ``time`` in seconds."""
    arrays = []
    for field in READINGS_SCHEMA:
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        arrays.append(pa.array(columns[field.name], plain).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=READINGS_SCHEMA)


def batch(name: str, *tables: pa.Table, dcu: str = "D1") -> Batch:
    """Return an upload of some tables; its digest follows from its content."""
    table = join(tables)
    return Batch(dcu, name, hashlib.sha256(to_ipc(table)).digest(), table)


def day_batch(number: int) -> Batch:
    """Return the upload of day ``number``: always the same, with a correction of the day before."""
    day = MIDNIGHT + 86_400 * number
    return batch(
        f"b{number}",
        profile("A1", start=day, seed=number),
        profile("A2", start=day, seed=number, channels=CHANNELS[:1]),
        profile("A1", start=day - 900, rows=1, seed=number, add=1000),
    )
