"""What a lake holds after it was killed, and when there is no room."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from tests.support.killed import run_and_kill
from tests.support.readings import CHANNELS, MIDNIGHT, batch, day_batch, profile
from tests.support.small_disk import kinds, small_disk

from openami.core.errors import StoreError, StoreFullError
from openami.fleet.ports import BatchStatus, ReadingFilter
from openami.store.lake import Lake

if TYPE_CHECKING:
    from pathlib import Path

    from openami.fleet.ports import Batch

DAY = 86_400


def opened(folder: Path) -> Lake:
    return Lake(folder, threads=1, memory="512MB")


def test_kill_9_leaves_every_acknowledged_batch_and_no_half_one(tmp_path: Path) -> None:
    chance = random.Random(4)
    folder = tmp_path / "lake"
    first = 0
    for _ in range(3):
        lines = run_and_kill(
            "tests.support.lake_child", str(folder), str(first), after_lines=4, chance=chance
        )
        acknowledged = int(lines[-1])
        lake = opened(folder)
        count = lake.counts().batches
        assert acknowledged + 1 <= count <= acknowledged + 3
        assert count % 2 == 0, "a group is in whole or not at all"
        check_days(lake, count)
        results = lake.commit([day_batch(number) for number in range(count + 1)])
        assert [result.status for result in results] == [
            *[BatchStatus.REPEATED] * count, BatchStatus.STORED,
        ]  # fmt: skip
        lake.compact()
        check_days(lake, count + 1)
        files = {file.name for file in folder.rglob("*.parquet")}
        assert not [name for name in files if name.startswith("commit-")]
        lake.commit([day_batch(count + 1)])
        first = count + 2
        lake.close()


def check_days(lake: Lake, days: int) -> None:
    """Check that exactly the first ``days`` batches are there."""
    (table,) = lake.readings(ReadingFilter("A1", channels=CHANNELS[:1])).items
    rows = {row["time"].timestamp(): row["value"] for row in table.to_pylist()}
    expected: dict[float, int] = {}
    for number in range(days):
        rows_of_day = day_batch(number).table.to_pylist()
        mine = [r for r in rows_of_day if r["meter"] == "A1" and r["channel"] == CHANNELS[0]]
        expected.update((row["time"].timestamp(), row["value"]) for row in mine)
    assert rows == expected
    counts = lake.counts()
    assert counts.readings == days * (4 * 96 + 96) + 4
    assert counts.versions == counts.readings + (days - 1) * 4
    assert lake.duplicates() == 0


def commit_until_full(lake: Lake, batches: list[Batch]) -> None:
    for one in batches:
        lake.commit([one])


@pytest.mark.parametrize("kind", kinds())
def test_a_full_disk_keeps_nothing_of_a_commit_and_all_of_the_others(
    kind: str, tmp_path: Path
) -> None:
    opened(tmp_path / "empty").close()
    empty = (tmp_path / "empty" / "catalogue.sqlite").stat().st_size
    size = empty + {"limit": 40_000, "tmpfs": 500_000}[kind]
    meters = [f"M{n:03}" for n in range(100)]
    batches = [
        batch(f"b{day}", *(profile(m, start=MIDNIGHT + day * DAY, seed=day) for m in meters))
        for day in range(60)
    ]
    with small_disk(kind, tmp_path / "disk", size) as disk:
        lake = opened(disk.path / "lake")
        with pytest.raises(StoreFullError):
            commit_until_full(lake, batches)
        kept = lake.counts().batches
        assert 0 < kept < 60
        assert lake.counts().readings == kept * 38_400
        with pytest.raises(StoreFullError):
            commit_until_full(lake, batches)
        assert lake.counts().readings == lake.counts().batches * 38_400
        disk.grow()
        results = lake.commit(batches[: kept + 4])
        assert {result.status for result in results[:kept]} == {BatchStatus.REPEATED}
        assert results[-1].status is BatchStatus.STORED
        assert lake.counts().readings == (kept + 4) * 38_400
        lake.compact()
        lake.close()
        lake = opened(disk.path / "lake")
        assert lake.counts().readings == (kept + 4) * 38_400
        assert lake.duplicates() == 0
        lake.close()


class LostAnswers:
    """A connection whose next COMMIT is made, but fails for all that its caller can tell."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.lost = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *arguments: Any) -> Any:
        result = self._connection.execute(sql, *arguments)
        if sql == "COMMIT" and not self.lost:
            self.lost += 1
            raise duckdb.Error("the answer got lost")
        return result


def test_a_commit_that_failed_too_late_is_known_afterwards(tmp_path: Path) -> None:
    lake = opened(tmp_path / "lake")
    lake.commit([day_batch(0)])
    losing: Any = LostAnswers(lake._writer._connection)
    lake._writer._connection = losing
    with pytest.raises(StoreError, match="got lost"):
        lake.commit([day_batch(1), batch("new", profile("A9"))])
    assert losing.lost == 1
    again = lake.commit([day_batch(1), day_batch(2), batch("again", profile("A9"))])
    assert [r.status.value for r in again] == ["repeated", "stored", "stored"]
    counts = lake.counts()
    assert counts.readings == 3 * (5 * 96) + 4 + 4 * 96
    assert lake.duplicates() == 0
    lake.close()
    reopened = opened(tmp_path / "lake")
    assert reopened.counts().readings == counts.readings
    assert list(reopened.meters()) == ["A1", "A2", "A9"]
    reopened.close()
