"""The lake: versions, ledger, queries, compaction."""

from __future__ import annotations

import concurrent.futures
import random
import threading
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.readings import CHANNELS, LOAD, MIDNIGHT, batch, profile, single

from openami.core.errors import ConfigError, ConflictError, StoreError
from openami.fleet.ledger import KEEP_LAST, KEEP_S
from openami.fleet.ports import Batch, BatchStatus, ReadingFilter, StoreCounts
from openami.mdm.readings import STORED_SCHEMA
from openami.store.lake import Lake, catalogue, queries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    lake = opened(tmp_path)
    yield lake
    lake.close()


def opened(folder: Path) -> Lake:
    return Lake(folder / "lake", threads=1, memory="512MB", now=lambda: 1_700_000_000.0)


def commit(lake: Lake, *batches: Batch) -> list[str]:
    return [result.status.value for result in lake.commit(batches)]


def every(lake: Lake, which: ReadingFilter, limit: int = 100_000) -> list[dict[str, Any]]:
    """Return all pages of some readings."""
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        page = lake.readings(which, after=after, limit=limit)
        (table,) = page.items
        assert table.schema.equals(STORED_SCHEMA)
        assert table.num_rows <= limit
        rows += table.to_pylist()
        if page.next is None:
            return rows
        after = page.next


def test_readings_come_back_as_they_went_in(lake: Lake) -> None:
    table = profile("A1")
    assert commit(lake, batch("b1", table)) == ["stored"]
    rows = every(lake, ReadingFilter("A1"))
    given = sorted(table.to_pylist(), key=lambda r: (r["time"], r["channel"]))
    assert [{k: v for k, v in row.items() if k != "version"} for row in rows] == given
    assert every(lake, ReadingFilter("A1"), limit=7) == rows
    assert every(lake, ReadingFilter("A1"), limit=384) == rows
    assert every(lake, ReadingFilter("nobody")) == []


def test_filters(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1"), profile("A2"), profile("A1", name="1.0.99.2.0.255")))
    assert len(every(lake, ReadingFilter("A1"))) == 2 * 384
    assert len(every(lake, ReadingFilter("A1", profile=LOAD))) == 384
    assert len(every(lake, ReadingFilter("A1", channels=CHANNELS[:2], profile=LOAD))) == 192
    hour = ReadingFilter("A1", CHANNELS[:1], LOAD, start=MIDNIGHT + 3600, end=MIDNIGHT + 7200)
    times = [row["time"].timestamp() - MIDNIGHT for row in every(lake, hour)]
    assert times == [4500, 5400, 6300, 7200]


def test_a_repeated_batch_changes_nothing_and_another_under_its_name_is_refused(
    lake: Lake,
) -> None:
    first = batch("b1", profile("A1"))
    assert commit(lake, first, first) == ["stored", "repeated"]
    before = lake.counts()
    assert commit(lake, first) == ["repeated"]
    other = batch("b1", profile("A1", seed=5))
    assert commit(lake, other) == ["conflict"]
    assert commit(lake, batch("b2", profile("A2")), other, replace(first, dcu="D2")) == [
        "stored", "conflict", "stored",
    ]  # fmt: skip
    assert lake.commit([]) == ()
    after = lake.counts()
    assert (before.readings, before.batches) == (384, 1)
    assert (after.readings, after.versions, after.batches) == (768, 768, 3)
    assert lake.commit([first])[0].rows == 384


def test_an_empty_batch_is_noted(lake: Lake) -> None:
    nothing = batch("b1", profile("A1", rows=0))
    assert commit(lake, nothing) == ["stored"]
    assert commit(lake, nothing) == ["repeated"]
    assert lake.counts() == StoreCounts(0, 0, 0, 1, lake.counts().octets, None)


def test_the_same_readings_in_another_batch_are_kept_once(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1")))
    assert commit(lake, batch("b2", profile("A1"))) == ["stored"]
    assert commit(lake, batch("b3", profile("A1").slice(0, 50), profile("A1"))) == ["stored"]
    counts = lake.counts()
    assert (counts.readings, counts.versions, counts.batches) == (384, 384, 3)
    assert lake.duplicates() == 0


def test_a_later_value_is_a_new_version_and_the_old_one_stays(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1")))
    commit(lake, batch("b2", profile("A1", rows=10, add=1)))
    latest = every(lake, ReadingFilter("A1"))
    versions = every(lake, ReadingFilter("A1", all_versions=True))
    assert (len(latest), len(versions)) == (384, 424)
    assert {row["version"] for row in latest[:40]} == {2}
    assert {row["version"] for row in latest[40:]} == {1}
    assert versions[0]["value"] + 1 == versions[1]["value"] or versions[0]["version"] == 1
    counts = lake.counts()
    assert (counts.readings, counts.versions) == (384, 424)
    assert lake.duplicates() == 0


def test_a_meter_whose_clock_was_set_back_has_both_values(lake: Lake) -> None:
    """One batch with the same interval twice: two versions, the later row is the latest."""
    commit(lake, batch("b1", profile("A1", rows=4), profile("A1", rows=2, add=7)))
    assert lake.counts().versions == 16 + 8
    assert lake.counts().readings == 16
    latest = every(lake, ReadingFilter("A1", channels=CHANNELS[:1]))
    assert [row["version"] for row in latest] == [2, 2, 1, 1]
    assert commit(lake, batch("b2", profile("A2"))) == ["stored"]
    assert every(lake, ReadingFilter("A2"))[0]["version"] == 3


def test_a_channel_may_change_its_scaler(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1", rows=4)))
    commit(lake, batch("b2", profile("A1", rows=2, start=MIDNIGHT + 900, scaler=-3)))
    rows = every(lake, ReadingFilter("A1", channels=CHANNELS[:1]))
    assert [row["scaler"] for row in rows] == [0, -3, -3, 0]
    assert lake.counts().readings == 16
    both = batch(
        "b3", profile("A2", rows=2), profile("A2", rows=2, start=MIDNIGHT + 1800, scaler=1)
    )
    commit(lake, both)
    assert [r["scaler"] for r in every(lake, ReadingFilter("A2", CHANNELS[:1]))] == [0, 0, 1, 1]


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    commit(lake, batch("b1", profile("A1")), batch("b2", profile("A1", add=1)))
    before = every(lake, ReadingFilter("A1", all_versions=True))
    lake.close()
    lake.close()
    again = opened(tmp_path)
    assert every(again, ReadingFilter("A1", all_versions=True)) == before
    assert commit(again, batch("b1", profile("A1")), batch("b3", profile("A1", add=1))) == [
        "repeated", "stored",
    ]  # fmt: skip
    assert again.counts().versions == 768
    commit(again, batch("b4", profile("A1", add=2)))
    assert every(again, ReadingFilter("A1"))[0]["version"] == 4
    again.close()


def test_a_lake_may_be_moved(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    commit(lake, batch("b1", profile("A1")))
    lake.close()
    place = tmp_path / "it's elsewhere"
    (tmp_path / "lake").rename(place)
    moved = Lake(place, threads=1, memory="512MB")
    assert len(every(moved, ReadingFilter("A1"))) == 384
    moved.compact()
    assert len(every(moved, ReadingFilter("A1"))) == 384
    moved.close()


def test_months_go_to_files_of_their_own(tmp_path: Path, lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1", start=MIDNIGHT + 10 * DAY, rows=96 * 50)))
    months = {file.parent.name for file in (tmp_path / "lake").rglob("readings/*/*.parquet")}
    assert months == {"month=24286", "month=24287", "month=24288"}
    assert lake.counts().readings == 96 * 50 * 4


def test_compaction_changes_nothing_but_the_files(tmp_path: Path, lake: Lake) -> None:
    for day in range(12):
        commit(lake, batch(f"b{day}", profile("A1", start=MIDNIGHT + day * DAY, seed=day)))
    commit(lake, batch("again", profile("A1", add=1)))
    before = every(lake, ReadingFilter("A1", all_versions=True))
    data = tmp_path / "lake" / "data"
    assert len(list(data.rglob("readings/*/*.parquet"))) == 13
    (data / "main" / "readings" / "month=24286" / "orphan.parquet").write_bytes(b"x")
    lake.compact()
    assert len(list(data.rglob("readings/*/*.parquet"))) == 1
    assert every(lake, ReadingFilter("A1", all_versions=True)) == before
    lake.compact()
    assert every(lake, ReadingFilter("A1", all_versions=True)) == before
    assert commit(lake, batch("b3", profile("A1", start=MIDNIGHT + 3 * DAY, seed=3))) == [
        "repeated"
    ]
    assert lake.duplicates() == 0


def test_duplicates_are_found_where_there_are_any(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1", rows=3), profile("A2", rows=3)))
    span = {"start": MIDNIGHT + 900, "end": MIDNIGHT + 1800}
    lake._run(
        "INSERT INTO lake.readings SELECT * REPLACE (version + 9 AS version) FROM lake.readings"
    )
    assert lake.duplicates() == 24
    assert lake.duplicates(**span) == 8
    lake._run("UPDATE lake.readings SET value = value + 1 WHERE version > 9")
    assert lake.duplicates() == 0


def test_latest_cursors_sums(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1"), profile("A2", rows=10)))
    commit(lake, batch("b2", profile("A1", start=MIDNIGHT + 95 * 900, rows=1, add=1000)))
    newest = lake.latest("A1").to_pylist()
    assert [row["channel"] for row in newest] == list(CHANNELS)
    assert all(row["value"] > 1000 and row["version"] == 2 for row in newest)
    assert lake.latest("nobody").num_rows == 0
    assert lake.cursors(["A1", "A2", "nobody"]) == {
        "A1": {LOAD: MIDNIGHT + DAY},
        "A2": {LOAD: MIDNIGHT + 9000},
    }
    assert lake.cursors(["nobody"]) == {}
    rows = lake.sums().to_pylist()
    assert [(r["meter"], r["channel"], r["count"]) for r in rows] == [
        *(("A1", channel, 96) for channel in CHANNELS),
        *(("A2", channel, 10) for channel in CHANNELS),
    ]
    stored = every(lake, ReadingFilter("A1", channels=CHANNELS[:1]))
    assert rows[0]["sum"] == Decimal(sum(row["value"] for row in stored))
    assert rows[0]["first"].timestamp() == MIDNIGHT + 900
    assert rows[0]["last"].timestamp() == MIDNIGHT + DAY
    assert lake.sums(["A2"]).num_rows == 4
    assert lake.sums([]).num_rows == 0
    assert lake.sums(["A1"], start=MIDNIGHT, end=MIDNIGHT + 900)["count"].to_pylist() == [1] * 4
    assert lake.meters() == ("A1", "A2")
    assert lake.counts().newest == MIDNIGHT + DAY


def test_sums_do_not_overflow(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1", rows=3, add=2**62)))
    assert lake.sums()["sum"].to_pylist()[0] > 3 * 2**62
    found = lake.hourly(CHANNELS[0], profile=LOAD, start=MIDNIGHT, end=MIDNIGHT + DAY)
    assert found["sum"].to_pylist()[0] > 2**63


def test_hours_are_named_by_their_ends(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1"), profile("A2", seed=1), profile("A3", rows=2, scaler=3)))
    span: dict[str, Any] = {"profile": LOAD, "start": MIDNIGHT, "end": MIDNIGHT + 7200}
    found = lake.hourly(CHANNELS[0], **span).to_pylist()
    assert [(r["time"].timestamp() - MIDNIGHT, r["scaler"], r["count"]) for r in found] == [
        (3600, 0, 8), (3600, 3, 2), (7200, 0, 8),
    ]  # fmt: skip
    one = lake.hourly(CHANNELS[0], **span, meters=["A2"]).to_pylist()
    values = [r["value"] for r in every(lake, ReadingFilter("A2", CHANNELS[:1]))]
    assert [r["sum"] for r in one] == [sum(values[:4]), sum(values[4:8])]
    assert lake.hourly("x' OR 1=1 --", **span).num_rows == 0
    assert lake.hourly(CHANNELS[0], **{**span, "profile": "x' OR 1=1 --"}).num_rows == 0
    assert lake.hourly(CHANNELS[0], **{**span, "end": MIDNIGHT + DAY}).num_rows == 25


def test_single_reads_are_no_intervals(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1", rows=4, channels=CHANNELS[:1])))
    span: dict[str, Any] = {"start": MIDNIGHT, "end": MIDNIGHT + DAY}
    before = lake.hourly(CHANNELS[0], profile=LOAD, **span)
    single = profile("A1", rows=2, channels=CHANNELS[:1], add=7000, name="instant")
    commit(lake, batch("b2", single))
    assert lake.hourly(CHANNELS[0], profile=LOAD, **span) == before
    assert lake.hourly(CHANNELS[0], profile="instant", **span)["count"].to_pylist() == [2]


def test_gaps_and_coverage(lake: Lake) -> None:
    commit(
        lake,
        batch(
            "b1",
            profile("A1", rows=4, channels=CHANNELS[:1]),
            profile("A1", rows=2, start=MIDNIGHT + 8 * 900, channels=CHANNELS[:1], scaler=1),
            profile("A2", rows=12, channels=CHANNELS[:1]),
        ),
    )
    span: dict[str, Any] = {
        "start": MIDNIGHT, "end": MIDNIGHT + 12 * 900, "period": 900, "profile": LOAD,
    }  # fmt: skip
    found = lake.gaps(meters=["A1", "A2", "nobody"], **span).to_pylist()
    assert [
        (
            r["meter"],
            (r["first"].timestamp() - MIDNIGHT) / 900,
            (r["last"].timestamp() - MIDNIGHT) / 900,
        )
        for r in found
    ] == [("A1", 5, 8), ("A1", 11, 12)]
    present = lake.coverage(meters=["A2", "A1"], **span).to_pylist()
    assert [(r["meter"], r["expected"], r["present"]) for r in present] == [
        ("A1", 12, 6), ("A2", 12, 12),
    ]  # fmt: skip
    assert lake.gaps(meters=["nobody"], **span).num_rows == 0
    assert lake.coverage(meters=[], **span).num_rows == 0
    empty = {**span, "end": MIDNIGHT}
    assert lake.coverage(meters=["A1"], **empty)["expected"].to_pylist() == [0]


def test_a_cursor_of_another_kind_is_refused(lake: Lake) -> None:
    commit(lake, batch("b1", profile("A1")))
    for cursor in ("", "x", "WzFd", "WyJhIiwxLDJd", "é"):
        with pytest.raises(ConflictError) as refused:
            lake.readings(ReadingFilter("A1"), after=cursor)
        assert refused.value.code == "store.cursor"


def test_one_process_alone_has_a_lake(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(StoreError) as busy:
        opened(tmp_path)
    assert busy.value.code == "store.busy"
    assert commit(lake, batch("b1", profile("A1"))) == ["stored"]


def test_what_is_no_lake_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        Lake(tmp_path / "file")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "catalogue.sqlite").write_text("no database" * 1000)
    with pytest.raises(StoreError):
        opened(tmp_path)
    (tmp_path / "lake" / "catalogue.sqlite").unlink()
    opened(tmp_path).close()


def test_a_missing_extension_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="duckdb-extension-nothing"):
        catalogue.extension_file("nothing")
    monkeypatch.setattr("duckdb.__version__", "0.0.0")
    with pytest.raises(ConfigError, match=r"DuckDB 0\.0\.0"):
        catalogue.extension_file("ducklake")


def test_no_snapshot_goes_away_while_somebody_reads(lake: Lake) -> None:
    def snapshots() -> int:
        with closing(lake._connection.cursor()) as cursor:
            return int(
                cursor.execute("SELECT count(*) FROM ducklake_snapshots('lake')").fetchall()[0][0]
            )

    commit(lake, batch("b1", profile("A1")))
    commit(lake, batch("b2", profile("A2")))
    gate = lake._gate
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with gate.reading():
            compaction = pool.submit(lake.compact)
            while not gate._closed:  # nobody is told that it closes
                assert not compaction.done()
                time.sleep(0.001)
            assert snapshots() > 2
        compaction.result()
    assert snapshots() == 1


def test_threads_may_commit_read_and_compact_at_once(lake: Lake) -> None:
    stop = threading.Event()

    def write(dcu: int) -> int:
        return sum(
            result.status is BatchStatus.STORED
            for day in range(6)
            for result in lake.commit(
                [batch(f"b{day}", profile(f"M{dcu}", start=MIDNIGHT + day * DAY), dcu=f"D{dcu}")]
            )
        )

    def read() -> int:
        rounds = 0
        while not stop.is_set() or not rounds:
            for row in lake.sums().to_pylist():
                assert row["count"] % 96 == 0
            rounds += 1
        return rounds

    def compact() -> None:
        while not stop.is_set():
            lake.compact()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read), pool.submit(read)]
        compactor = pool.submit(compact)
        writers = [pool.submit(write, dcu) for dcu in range(3)]
        try:
            assert [writer.result() for writer in writers] == [6, 6, 6]
        finally:
            stop.set()
        assert all(reader.result() > 0 for reader in readers)
        compactor.result()
    assert lake.counts().readings == 3 * 6 * 384
    assert lake.duplicates() == 0


Key = tuple[str, str, int]


def some_batch(chance: random.Random, number: int) -> Batch:
    """Return a batch of random rows with few keys, so that they meet."""
    rows = chance.randint(0, 25)
    table = single(
        meter=[chance.choice(["A1", "A2", "A3"]) for _ in range(rows)],
        channel=[chance.choice(CHANNELS[:3]) for _ in range(rows)],
        profile=[LOAD] * rows,
        time=[MIDNIGHT + 900 * chance.randint(1, 6) for _ in range(rows)],
        value=[chance.randint(0, 2) for _ in range(rows)],
        scaler=[chance.choice([0, 0, 0, -1]) for _ in range(rows)],
        unit=[30] * rows,
        status=[chance.choice([0, 0, 0, 4]) for _ in range(rows)],
    )
    return batch(f"b{number}", table)


def test_against_a_plain_model(tmp_path: Path) -> None:
    """Any order of commits, groups, repeats, compactions and restarts: the same as a dict of lists."""
    chance = random.Random(11)
    model: dict[Key, list[tuple[int, ...]]] = defaultdict(list)
    sent: list[Batch] = []
    lake = opened(tmp_path)
    for step in range(30):
        group = [some_batch(chance, 100 * step + n) for n in range(chance.randint(1, 3))]
        repeats = chance.sample(sent, min(len(sent), chance.randint(0, 2)))
        assert commit(lake, *group, *repeats) == ["stored"] * len(group) + ["repeated"] * len(
            repeats
        )
        sent += group
        for row in pa.concat_tables([b.table.unify_dictionaries() for b in group]).to_pylist():
            versions = model[row["meter"], row["channel"], row["time"]]
            said = (row["value"], row["scaler"], row["unit"], row["status"])
            if not versions or versions[-1] != said:
                versions.append(said)
        if step % 7 == 3:
            lake.compact()
        if step % 10 == 5:
            lake.close()
            lake = opened(tmp_path)
    for all_versions in (False, True):
        found = defaultdict(list)
        for meter in ("A1", "A2", "A3"):
            rows = every(lake, ReadingFilter(meter, all_versions=all_versions), limit=11)
            for row in sorted(rows, key=lambda r: r["version"]):
                key = (row["meter"], row["channel"], row["time"])
                found[key].append((row["value"], row["scaler"], row["unit"], row["status"]))
        expected = {k: v if all_versions else v[-1:] for k, v in model.items()}
        assert found == expected
    counts = lake.counts()
    assert counts.readings == len(model)
    assert counts.versions == sum(map(len, model.values()))
    assert counts.batches == len(sent)
    assert lake.duplicates() == 0
    assert sum(lake.sums()["sum"].to_pylist()) == sum(v[-1][0] for v in model.values())
    lake.close()


def test_the_ledger_forgets_what_can_not_come_again(tmp_path: Path) -> None:
    now = 1_700_000_000.0
    lake = Lake(tmp_path / "lake", threads=1, memory="512MB", now=lambda: now)
    empty = profile("A1", rows=0)
    old = [batch(f"b{number:03}", empty) for number in range(KEEP_LAST + 6)]
    lake.commit([batch("readings", profile("A1")), *old, batch("quiet", profile("A2"), dcu="D2")])
    now += KEEP_S - 1
    lake.compact()
    assert lake.counts().batches == KEEP_LAST + 8
    new = [batch(f"n{number:03}", empty) for number in range(3)]
    lake.commit(new)
    now += 2
    lake.compact()
    assert lake.counts().batches == KEEP_LAST + 1 + 3
    # What may come again is known: all of the last month, and the last of each DCU.
    assert set(commit(lake, *old[-KEEP_LAST:], *new)) == {"repeated"}
    assert commit(lake, batch("quiet", profile("A2"), dcu="D2")) == ["repeated"]
    # A copy of what was forgotten adds nothing.
    versions = lake.counts().versions
    assert commit(lake, batch("readings", profile("A1"))) == ["stored"]
    assert lake.counts().versions == versions == 2 * 384
    lake.close()


def test_versions_go_on_though_the_ledger_has_forgotten(tmp_path: Path) -> None:
    now = 1_700_000_000.0
    lake = Lake(tmp_path / "lake", threads=1, memory="512MB", now=lambda: now)
    for number in range(KEEP_LAST + 1):
        lake.commit([batch(f"b{number}", profile("A1", rows=1, add=number))])
    now += KEEP_S + 1
    lake.compact()
    lake.close()
    lake = Lake(tmp_path / "lake", threads=1, memory="512MB", now=lambda: now)
    assert lake.counts().batches == KEEP_LAST
    lake.commit([batch("last", profile("A1", rows=1, add=-1))])
    rows = every(lake, ReadingFilter("A1", CHANNELS[:1], all_versions=True))
    assert len({row["version"] for row in rows}) == len(rows) == KEEP_LAST + 2
    (latest,) = every(lake, ReadingFilter("A1", CHANNELS[:1]))
    assert latest["value"] == min(row["value"] for row in rows)
    lake.close()


def test_a_long_ledger_is_written_anew_when_much_of_it_is_forgotten(tmp_path: Path) -> None:
    now = 1_700_000_000.0
    lake = Lake(tmp_path / "lake", threads=1, memory="512MB", now=lambda: now)
    empty = profile("A1", rows=0)
    lake.commit([batch(f"b{n}", empty, dcu=f"D{n % 4}") for n in range(1000)])
    now += KEEP_S + 1
    lake.compact()
    assert lake.counts().batches == 4 * KEEP_LAST
    (file,) = (tmp_path / "lake" / "data" / "main" / "batch").glob("*.parquet")
    assert pq.read_metadata(file).num_rows == 4 * KEEP_LAST
    lake.close()


def test_one_channel_of_many_meters_at_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest versions, of one profile, after the start and up to the end."""
    tables = [profile(meter, seed=n) for n, meter in enumerate(("A1", "A2", "A3"))]
    other = profile("A1", name="1.0.99.2.0.255", channels=CHANNELS[:1])
    commit(lake, batch("b1", *tables, other), batch("b2", profile("A1", rows=4, add=1000)))
    start, end = MIDNIGHT + 900, MIDNIGHT + 10 * 900
    table = lake.of_meters(["A1", "A3", "A9"], CHANNELS[0], profile=LOAD, start=start, end=end)
    assert table.schema.equals(STORED_SCHEMA)
    found = sorted(table.to_pylist(), key=lambda row: (row["meter"], row["time"]))
    assert [row["meter"] for row in found] == ["A1"] * 9 + ["A3"] * 9
    for meter in ("A1", "A3"):
        which = ReadingFilter(meter, (CHANNELS[0],), LOAD, start, end)
        mine = [row for row in found if row["meter"] == meter]
        assert mine == every(lake, which)
    assert max(row["value"] for row in found[:3]) > 1000
    monkeypatch.setattr(queries, "MAX_READINGS", len(found))
    again = lake.of_meters(["A1", "A3"], CHANNELS[0], profile=LOAD, start=start, end=end)
    assert again.num_rows == len(found)
    with pytest.raises(ConflictError) as caught:
        lake.of_meters(["A1", "A3"], CHANNELS[0], profile=LOAD, start=start, end=end + 900)
    assert caught.value.code == "store.readings"
    nothing = lake.of_meters(["A9"], CHANNELS[0], profile=LOAD, start=start, end=end)
    assert nothing.schema.equals(STORED_SCHEMA)
    assert nothing.num_rows == 0
