"""Exact sums over tables of readings."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

# What a sum is of: values with another scaler or unit are never added up.
KEYS: Final = ("meter", "profile", "channel", "scaler", "unit")
# 38 digits: the sum of 64-bit values never overflows it.
EXACT: Final = pa.decimal128(38, 0)

SUMS_SCHEMA: Final = pa.schema(
    [
        ("meter", pa.utf8()),
        ("profile", pa.utf8()),
        ("channel", pa.utf8()),
        ("scaler", pa.int8()),
        ("unit", pa.uint8()),
        ("count", pa.int64()),
        ("sum", EXACT),
        ("first", pa.timestamp("s", "UTC")),
        ("last", pa.timestamp("s", "UTC")),
    ]
)


def sums(table: pa.Table) -> pa.Table:
    """Return count, sum, first and last time of each channel, in ``SUMS_SCHEMA``.

    Every row counts: where there may be several versions of a reading, choose before.
    """
    plain = table.select([*KEYS, "time", "value"])
    for name in KEYS[:3]:
        place = plain.schema.get_field_index(name)
        plain = plain.set_column(place, name, plain[name].cast(pa.utf8()))
    place = plain.schema.get_field_index("value")
    plain = plain.set_column(place, "value", plain["value"].cast(EXACT))
    grouped = plain.group_by(list(KEYS)).aggregate(
        [("value", "count"), ("value", "sum"), ("time", "min"), ("time", "max")]
    )
    renamed = grouped.rename_columns([*KEYS, "count", "sum", "first", "last"])
    return renamed.cast(SUMS_SCHEMA).sort_by([(name, "ascending") for name in KEYS])
