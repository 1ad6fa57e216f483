"""The DCU's spool."""

from __future__ import annotations

import random
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.support.killed import run_and_kill
from tests.support.small_disk import kinds, small_disk

from openami.core.errors import ConflictError, StoreError, StoreFullError
from openami.store.spool import Spool, SpoolBatch, SpoolSize

if TYPE_CHECKING:
    from pathlib import Path

A1 = ("A1", "1.0.99.1.0.255")


def made(name: str, octets: int = 10) -> SpoolBatch:
    return SpoolBatch(name, "readings", name.encode()[:1] * octets, 3)


def test_batches_come_out_in_the_order_they_came(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([made("z"), made("a")], {A1: 900})
    spool.append([made("m")], {A1: 1800})
    assert [batch.id for batch in spool.oldest(9)] == ["z", "a", "m"]
    assert spool.oldest() == (made("z"),)
    assert spool.size == SpoolSize(3, 9, 30)
    spool.acknowledge(["z", "m", "unknown"])
    assert [batch.id for batch in spool.oldest(9)] == ["a"]
    assert spool.size == SpoolSize(1, 3, 10)
    assert spool.cursors() == {A1: 1800}
    spool.close()


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([made("a")], {A1: 900, ("A2", "p"): 5})
    spool.put("meters", b"known")
    spool.close()
    again = Spool(tmp_path / "spool")
    assert again.oldest(9) == (made("a"),)
    assert again.size == SpoolSize(1, 3, 10)
    assert again.cursors() == {A1: 900, ("A2", "p"): 5}
    assert again.get("meters") == b"known"
    again.close()


def test_a_batch_repeated_is_kept_once_and_another_under_its_name_is_refused(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([made("a")], {A1: 900})
    spool.append([made("a"), made("b")], {A1: 1800})
    assert spool.size == SpoolSize(2, 6, 20)
    with pytest.raises(ConflictError):
        spool.append([made("c"), SpoolBatch("a", "readings", b"other", 1)], {A1: 2700})
    assert [batch.id for batch in spool.oldest(9)] == ["a", "b"]
    assert spool.cursors() == {A1: 1800}
    assert spool.size == SpoolSize(2, 6, 20)
    spool.close()


def test_a_cursor_never_goes_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([], {A1: 1800})
    spool.append([], {A1: 900})
    assert spool.cursors() == {A1: 1800}
    spool.close()


def test_a_full_spool_takes_nothing_and_moves_no_cursor(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_octets=25)
    spool.append([made("a"), made("b")], {A1: 900})
    assert [spool.full] == [False]
    with pytest.raises(StoreFullError) as full:
        spool.append([made("c")], {A1: 1800})
    assert full.value.code == "spool.full"
    assert spool.cursors() == {A1: 900}
    spool.append([made("d", 5)])
    assert [spool.full] == [True]
    spool.append([], {A1: 2700})
    spool.acknowledge(["a"])
    spool.append([made("c")], {A1: 3600})
    assert spool.cursors() == {A1: 3600}
    spool.close()


def test_small_state(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.put("counter/A1", b"1")
    spool.put("counter/A1", b"2")
    spool.put("counter/A2", b"3")
    spool.put("other", b"4")
    assert spool.get("counter/A1") == b"2"
    assert spool.get("none") is None
    assert spool.keys("counter/") == ("counter/A1", "counter/A2")
    assert len(spool.keys()) == 3
    spool.delete("counter/A1")
    spool.delete("counter/A1")
    assert spool.get("counter/A1") is None
    spool.close()


def test_one_process_alone_has_a_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openami.store.sqlite.BUSY_SECONDS", 0.0)
    spool = Spool(tmp_path / "spool")
    with pytest.raises(StoreError) as busy:
        Spool(tmp_path / "spool")
    assert busy.value.code == "store.busy"
    spool.close()
    Spool(tmp_path / "spool").close()


def test_what_is_no_spool_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is not a database" * 100)
    with pytest.raises(StoreError):
        Spool(tmp_path / "text")
    with pytest.raises(StoreError):
        Spool(tmp_path / "no folder" / "spool")
    Spool(tmp_path / "newer").close()
    with sqlite3.connect(tmp_path / "newer") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        Spool(tmp_path / "newer")


def test_a_body_is_in_no_repr() -> None:
    assert "body" not in repr(made("a"))


def fill(spool: Spool, body: bytes) -> None:
    for number in range(1000):
        spool.append([SpoolBatch(f"b{number}", "readings", body, 1)], {A1: number})


@pytest.mark.parametrize("kind", kinds())
def test_a_full_disk_loses_nothing_and_can_be_emptied(kind: str, tmp_path: Path) -> None:
    with small_disk(kind, tmp_path / "disk", 12 << 20) as disk:
        spool = Spool(disk.path / "spool")
        body = random.Random(1).randbytes(200_000)
        with pytest.raises(StoreFullError) as full:
            fill(spool, body)
        kept = spool.size.batches
        assert full.value.code == "store.full"
        assert 20 < kept < 120
        assert spool.cursors() == {A1: kept - 1}
        assert [b.id for b in spool.oldest(999)] == [f"b{n}" for n in range(kept)]
        if kind == "limit":  # a file that may not grow cannot be helped by room elsewhere
            disk.grow()
        for number in range(kept):
            spool.acknowledge([f"b{number}"])
        assert spool.oldest() == ()
        spool.append([SpoolBatch("after", "readings", body, 1)], {A1: kept})
        spool.close()
        again = Spool(disk.path / "spool")
        assert [b.id for b in again.oldest(9)] == ["after"]
        assert again.cursors() == {A1: kept}
        again.close()


def test_kill_9_loses_no_batch_and_no_cursor(tmp_path: Path) -> None:
    chance = random.Random(3)
    last = -1
    for _ in range(3):
        lines = run_and_kill(
            "tests.support.spool_child", str(tmp_path / "spool"), after_lines=10, chance=chance
        )
        said = int(lines[-1].split()[1])
        assert said > last
        spool = Spool(tmp_path / "spool")
        last = spool.cursors()["A1", "p"]
        assert said <= last <= said + 1
        names = [batch.id for batch in spool.oldest(10_000)]
        first = int(names[0][1:])
        assert names == [f"b{n}" for n in range(first, last + 1)]
        assert all(batch.body == batch.id.encode() * 2000 for batch in spool.oldest(10_000))
        assert spool.size.batches == len(names)
        spool.close()


def test_its_size_is_right_when_threads_append_and_acknowledge(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")

    def count(sign: int) -> None:
        for _ in range(5000):
            spool._grow(sign, 3 * sign, 10 * sign)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(count, (1, -1, 1, -1)))
    finally:
        sys.setswitchinterval(interval)
    assert spool.size == SpoolSize(0, 0, 0)
    spool.close()
