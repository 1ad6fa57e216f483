"""The Parquet files of a lake, durable before anything refers to them."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openami.store.durable import sync
from openami.store.lake.versions import Rows, split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_SCHEMA: Final = pa.schema(
    [
        ("series", pa.int32()),
        ("time", pa.timestamp("us")),
        ("value", pa.int64()),
        ("status", pa.uint8()),
        ("version", pa.int64()),
    ]
)
_MONTHS_TO_1970: Final = 1970 * 12


def write_months(folder: Path, rows: Rows) -> Iterator[Path]:
    """Write one file for each month (counted from year 0), and yield it once it is durable."""
    if not len(rows):
        return
    time = split(rows.key)[1]
    months = time.view("datetime64[s]").astype("datetime64[M]").astype(np.int64) + _MONTHS_TO_1970
    name = f"commit-{uuid.uuid4()}.parquet"
    first, last = int(months.min()), int(months.max())
    if first == last:
        yield _write(folder / f"month={first}", name, rows)
        return
    for month in np.unique(months).tolist():
        yield _write(folder / f"month={month}", name, rows.take(months == month))


def _write(folder: Path, name: str, rows: Rows) -> Path:
    if not folder.exists():
        folder.mkdir(parents=True)
        sync(folder.parent)
    columns = [
        pa.array(rows.series.astype(np.int32)),
        pa.array((split(rows.key)[1] * 1_000_000).view("datetime64[us]")),
        pa.array(rows.value),
        pa.array(rows.status),
        pa.array(rows.version),
    ]
    table = pa.Table.from_arrays(columns, schema=FILE_SCHEMA)
    pq.write_table(table, folder / name, compression="zstd")
    sync(folder / name)
    sync(folder)
    return folder / name


@contextmanager
def syncing(folder: Path) -> Iterator[None]:
    """Make the files that DuckDB writes into a folder durable: it does not."""
    before = set(folder.rglob("*.parquet"))
    yield
    new = set(folder.rglob("*.parquet")) - before
    for path in sorted(new | {parent for file in new for parent in file.parents[:3]}):
        sync(path)
