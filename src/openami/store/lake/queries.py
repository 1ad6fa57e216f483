"""What can be asked of a lake."""

# ruff: noqa: S608 - built from our own names and from integers; texts go as parameters

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from openami.core.errors import ConflictError
from openami.fleet.ports import MAX_READINGS, MAX_READINGS_PAGE, Page
from openami.mdm.gaps import Gaps, count_present, expected_ends, find_gaps
from openami.mdm.readings import STORED_SCHEMA
from openami.mdm.sums import EXACT, SUMS_SCHEMA
from openami.store.relational.paging import decode_cursor, encode_cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.fleet.ports import ReadingFilter
    from openami.store.lake.series import Longs, SeriesIndex

_TIME: Final = pa.timestamp("s", "UTC")
HOURLY_SCHEMA: Final = pa.schema(
    [
        ("time", _TIME),
        ("scaler", pa.int8()),
        ("unit", pa.uint8()),
        ("count", pa.int64()),
        ("sum", EXACT),
    ]
)
GAPS_SCHEMA: Final = pa.schema(
    [("meter", pa.utf8()), ("channel", pa.utf8()), ("first", _TIME), ("last", _TIME)]
)
COVERAGE_SCHEMA: Final = pa.schema(
    [
        ("meter", pa.utf8()),
        ("channel", pa.utf8()),
        ("expected", pa.int64()),
        ("present", pa.int64()),
    ]
)

# As in the lake's files: what DuckDB can compare with their statistics.
_SELECT: Final = "series, epoch(time)::BIGINT AS time, value, status, version"


class Queries:
    """Questions in SQL, which ``run`` answers."""

    def __init__(
        self,
        run: Callable[..., pa.Table],
        index: SeriesIndex,
    ) -> None:
        self._run = run
        self._index = index

    def readings(self, which: ReadingFilter, *, after: str | None, limit: int) -> Page[pa.Table]:
        limit = min(max(limit, 1), MAX_READINGS_PAGE)
        series = self._index.select([which.meter], channels=which.channels, profile=which.profile)
        if not series:
            return Page((STORED_SCHEMA.empty_table(),))
        conditions = [_one_of(series), *_between(which.start, which.end)]
        if after is not None:
            time, number, version = decode_cursor(after, int, int, int)
            conditions.append(f"time >= {_moment(time)}")
            conditions.append(
                f"(epoch(time)::BIGINT, series, version) > ({time}, {number}, {version})"
            )
        source = "lake.readings" if which.all_versions else "lake.latest"
        found = self._run(
            f"SELECT {_SELECT} FROM {source} WHERE {' AND '.join(conditions)}"
            f" ORDER BY time, series, version LIMIT {limit + 1}"
        )
        items = found.slice(0, limit)
        more = found.num_rows > limit
        return Page((self._named(items),), _after(items) if more else None)

    def of_meters(
        self, meters: Sequence[str], channel: str, *, profile: str, start: int, end: int
    ) -> pa.Table:
        series = self._index.select(meters, channels=[channel], profile=profile)
        if not series:
            return STORED_SCHEMA.empty_table()
        where = _where([_one_of(series), *_between(start, end)])
        query = f"SELECT {_SELECT} FROM lake.latest{where} LIMIT {MAX_READINGS + 1}"
        found = self._run(query)
        if found.num_rows > MAX_READINGS:
            raise ConflictError(
                f"{len(meters)} meters have more than {MAX_READINGS:,} readings then",
                hint="ask for fewer at a time, such as openami bills --piece 50",
                code="store.readings",
            )
        return self._named(found)

    def latest(self, meter: str) -> pa.Table:
        series = self._index.select([meter])
        if not series:
            return STORED_SCHEMA.empty_table()
        found = self._run(
            f"SELECT {_SELECT} FROM lake.latest r WHERE {_one_of(series)} QUALIFY"
            " row_number() OVER (PARTITION BY r.series ORDER BY r.time DESC, r.version DESC) = 1"
            " ORDER BY series"
        )
        return self._named(found)

    def cursors(self, meters: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        cursors: dict[str, dict[str, int]] = {}
        series = self._index.select(meters)
        if not series:
            return cursors
        found = self._run(
            "SELECT series, epoch(max(time))::BIGINT AS time FROM lake.readings"
            f" WHERE {_one_of(series)} GROUP BY series"
        )
        for row in found.to_pylist():
            entry = self._index.entries[row["series"]]
            profiles = cursors.setdefault(entry.meter, {})
            profiles[entry.profile] = max(profiles.get(entry.profile, 0), row["time"])
        return cursors

    def sums(self, meters: Sequence[str] | None, *, start: int | None, end: int | None) -> pa.Table:
        conditions = _between(start, end)
        if meters is not None:
            conditions.append(_one_of(self._index.select(meters)))
        found = self._run(
            "SELECT series, count(*) AS count, sum(value)::DECIMAL(38, 0) AS sum,"
            " epoch(min(time))::BIGINT AS first, epoch(max(time))::BIGINT AS last"
            f" FROM lake.latest{_where(conditions)} GROUP BY series ORDER BY series"
        )
        return self._described(found, SUMS_SCHEMA)

    def hourly(
        self,
        channel: str,
        *,
        profile: str,
        start: int,
        end: int,
        meters: Sequence[str] | None,
    ) -> pa.Table:
        conditions = [*_between(start, end), "channel = $channel", "profile = $profile"]
        if meters is not None:
            conditions.append(_one_of(self._index.select(meters, channels=[channel])))
        found = self._run(
            "SELECT (epoch(time)::BIGINT + 3599) // 3600 * 3600 AS time, scaler, unit,"
            " count(*) AS count, sum(value)::DECIMAL(38, 0) AS sum"
            f" FROM lake.latest JOIN lake.series USING (series)"
            f"{_where(conditions)} GROUP BY ALL ORDER BY ALL",
            {"channel": channel, "profile": profile},
        )
        return found.cast(HOURLY_SCHEMA)

    def gaps(
        self, *, start: int, end: int, period: int, profile: str, meters: Sequence[str]
    ) -> pa.Table:
        wanted = np.array(self._index.select(meters, profile=profile), np.int64)
        wanted = self._points(wanted)
        point, time = self._presence(wanted, start, end)
        gaps: Gaps = find_gaps(point, time, wanted=wanted, start=start, end=end, period=period)
        entries = [self._index.entries[number] for number in gaps.series.tolist()]
        columns = [
            pa.array([entry.meter for entry in entries], pa.utf8()),
            pa.array([entry.channel for entry in entries], pa.utf8()),
            pa.array(gaps.first).view(_TIME),
            pa.array(gaps.last).view(_TIME),
        ]
        return pa.Table.from_arrays(columns, schema=GAPS_SCHEMA)

    def coverage(
        self, *, start: int, end: int, period: int, profile: str, meters: Sequence[str]
    ) -> pa.Table:
        wanted = self._points(np.array(self._index.select(meters, profile=profile), np.int64))
        point, time = self._presence(wanted, start, end)
        present = count_present(point, time, wanted=wanted, start=start, end=end, period=period)
        entries = [self._index.entries[number] for number in wanted.tolist()]
        expected = len(expected_ends(start, end, period))
        columns = [
            pa.array([entry.meter for entry in entries], pa.utf8()),
            pa.array([entry.channel for entry in entries], pa.utf8()),
            pa.array(np.full(len(wanted), expected, np.int64)),
            pa.array(present if len(present) else np.zeros(len(wanted), np.int64)),
        ]
        return pa.Table.from_arrays(columns, schema=COVERAGE_SCHEMA)

    def duplicates(self, *, start: int | None, end: int | None) -> int:
        where = _where(_between(start, end))
        found = self._run(
            "WITH repeated AS (SELECT series, time FROM lake.readings"
            f"{where} GROUP BY ALL HAVING count(*) > 1),"
            " keys AS (SELECT DISTINCT point, time FROM repeated JOIN lake.series USING (series)),"
            " neighbours AS (SELECT (series, value, status) AS said, lag(said) OVER w AS before"
            " FROM lake.readings JOIN lake.series USING (series) SEMI JOIN keys USING (point, time)"
            " WINDOW w AS (PARTITION BY point, time ORDER BY version))"
            " SELECT count(*) AS n FROM neighbours WHERE said = before"
        )
        return int(found["n"][0].as_py())

    def count(self, relation: str) -> int:
        return int(self._run(f"SELECT count(*) AS n FROM lake.{relation}")["n"][0].as_py())

    def newest(self) -> int | None:
        found = self._run("SELECT epoch(max(time))::BIGINT AS time FROM lake.readings")
        time: int | None = found["time"][0].as_py()
        return time

    def _presence(self, points: Longs, start: int, end: int) -> tuple[Longs, Longs]:
        series = [s for point in points.tolist() for s in self._index.siblings(point)]
        if not series:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        found = self._run(
            "SELECT series, epoch(time)::BIGINT AS time FROM lake.readings"
            f"{_where([_one_of(series), *_between(start, end)])}"
        )
        owners = self._index.points
        return owners[found["series"].to_numpy()], found["time"].to_numpy()

    def _points(self, series: Longs) -> Longs:
        return np.unique(self._index.points[series])

    def _named(self, found: pa.Table) -> pa.Table:
        """Return rows of ``_SELECT`` with their series spelt out, in ``STORED_SCHEMA``."""
        used, place = np.unique(found["series"].to_numpy(), return_inverse=True)
        entries = [self._index.entries[number] for number in used.tolist()]
        scaler = np.array([entry.scaler for entry in entries], np.int8)
        unit = np.array([entry.unit for entry in entries], np.uint8)
        columns: dict[str, Any] = {
            "meter": _dictionary(place, [entry.meter for entry in entries]),
            "channel": _dictionary(place, [entry.channel for entry in entries]),
            "profile": _dictionary(place, [entry.profile for entry in entries]),
            "time": found["time"].combine_chunks().view(_TIME),
            "value": found["value"],
            "scaler": scaler[place],
            "unit": unit[place],
            "status": found["status"],
            "version": found["version"],
        }
        return pa.table(columns).cast(STORED_SCHEMA).unify_dictionaries().combine_chunks()

    def _described(self, found: pa.Table, schema: pa.Schema) -> pa.Table:
        """Return rows by series with their series spelt out as plain columns."""
        entries = [self._index.entries[number] for number in found["series"].to_pylist()]
        columns = [
            pa.array([getattr(entry, f.name) for entry in entries], f.type)
            if f.name in ("meter", "profile", "channel", "scaler", "unit")
            else found[f.name]
            .cast(f.type if f.name not in ("first", "last") else pa.timestamp("s"))
            .cast(f.type)
            for f in schema
        ]
        return pa.table(columns, schema=schema)


def _dictionary(place: Any, names: Sequence[str]) -> pa.Array:
    return pa.array(names, pa.utf8()).take(pa.array(place)).dictionary_encode()


def _moment(seconds: int) -> str:
    return f"make_timestamp({int(seconds) * 1_000_000}::BIGINT)"


def _between(start: int | None, end: int | None) -> list[str]:
    conditions = [] if start is None else [f"time > {_moment(start)}"]
    return conditions if end is None else [*conditions, f"time <= {_moment(end)}"]


def _one_of(series: Sequence[int]) -> str:
    return f"series IN ({', '.join(map(str, series)) or 'NULL'})"


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _after(items: pa.Table) -> str:
    last = items.slice(items.num_rows - 1).to_pylist()[0]
    return encode_cursor(last["time"], last["series"], last["version"])
