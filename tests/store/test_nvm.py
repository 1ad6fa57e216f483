"""Meters' non-volatile memory: one contract for the file and for the one that dies."""

from __future__ import annotations

import os
import random
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.killed import run_and_kill
from tests.support.small_disk import kinds, small_disk

from openami.core.errors import StoreError, StoreFullError
from openami.metrology.memory import MeterCommit, MeterImage, MeterMemory, Row, VolatileMemory
from openami.store.nvm import SqliteMemory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["file", "volatile"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MeterMemory]:
    if request.param == "volatile":
        yield VolatileMemory()
        return
    memory = SqliteMemory(tmp_path / "nvm")
    yield memory
    memory.close()


def row(ring: int, sequence: int, data: bytes = b"x") -> Row:
    return Row(ring, sequence, 900 * sequence, data)


def test_a_meter_never_seen_has_no_image(memory: MeterMemory) -> None:
    memory.commit([])
    assert memory.load("A1") is None


def test_what_was_committed_is_loaded(memory: MeterMemory) -> None:
    memory.commit(
        [
            MeterCommit("A1", b"one", (row(1, 1), row(0, 1), row(0, 2))),
            MeterCommit("A2", b"two"),
        ]
    )
    memory.commit([MeterCommit("A1", b"three", (row(0, 3),))])
    assert memory.load("A1") == MeterImage(b"three", (row(0, 1), row(0, 2), row(0, 3), row(1, 1)))
    assert memory.load("A2") == MeterImage(b"two")


def test_a_ring_forgets_its_oldest_rows(memory: MeterMemory) -> None:
    memory.commit([MeterCommit("A1", b"", tuple(row(r, n) for r in (0, 1) for n in range(1, 6)))])
    memory.commit([MeterCommit("A1", b"", (row(0, 6),), {0: 5, 7: 3})])
    image = memory.load("A1")
    assert image is not None
    assert [(r.ring, r.sequence) for r in image.rows] == [
        (0, 5), (0, 6), (1, 1), (1, 2), (1, 3), (1, 4), (1, 5),
    ]  # fmt: skip


def test_a_row_given_again_replaces_itself(memory: MeterMemory) -> None:
    memory.commit([MeterCommit("A1", b"", (row(0, 1, b"old"),))])
    memory.commit([MeterCommit("A1", b"", (row(0, 1, b"new"),))])
    assert memory.load("A1") == MeterImage(b"", (row(0, 1, b"new"),))


def test_a_restart_finds_everything(tmp_path: Path) -> None:
    memory = SqliteMemory(tmp_path / "nvm")
    memory.commit([MeterCommit(f"A{n}", bytes([n]), (row(0, n),)) for n in range(50)])
    memory.close()
    again = SqliteMemory(tmp_path / "nvm")
    for n in range(50):
        assert again.load(f"A{n}") == MeterImage(bytes([n]), (row(0, n),))
    again.close()


def test_another_process_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openami.store.sqlite.BUSY_SECONDS", 0.0)
    memory = SqliteMemory(tmp_path / "nvm")
    with pytest.raises(StoreError):
        SqliteMemory(tmp_path / "nvm")
    memory.close()


def fill(memory: SqliteMemory, data: bytes) -> None:
    for tick in range(1000):
        memory.commit(
            [MeterCommit(m, str(tick).encode(), (row(0, tick, data),)) for m in ("A1", "A2")]
        )


@pytest.mark.parametrize("kind", kinds())
def test_a_full_disk_keeps_all_or_nothing(kind: str, tmp_path: Path) -> None:
    with small_disk(kind, tmp_path / "disk", 4 << 20) as disk:
        memory = SqliteMemory(disk.path / "nvm")
        data = random.Random(1).randbytes(100_000)
        with pytest.raises(StoreFullError):
            fill(memory, data)
        first = memory.load("A1")
        assert first is not None
        tick = int(first.snapshot) + 1
        for meter in ("A1", "A2"):
            image = memory.load(meter)
            assert image is not None
            assert image.snapshot == str(tick - 1).encode()
            assert [r.sequence for r in image.rows] == list(range(tick))
        disk.grow()
        memory.commit([MeterCommit("A1", b"after", (row(0, tick, data),))])
        image = memory.load("A1")
        assert image is not None
        assert image.snapshot == b"after"
        memory.close()


def test_kill_9_leaves_the_state_of_one_moment(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(3):
        lines = run_and_kill(
            "tests.support.nvm_child", str(tmp_path / "nvm"), after_lines=10, chance=chance
        )
        said = int(lines[-1])
        memory = SqliteMemory(tmp_path / "nvm")
        images = [memory.load(f"A{n}") for n in range(20)]
        ticks = {int(image.snapshot) for image in images if image is not None}
        assert len(ticks) == 1
        assert said <= ticks.pop() <= said + 1
        for image in images:
            assert image is not None
            assert image.rows[-1].sequence == int(image.snapshot)
            assert len(image.rows) == min(int(image.snapshot), 8)
        memory.close()


def test_only_its_owner_reads_the_keys_that_a_memory_holds(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        memory = SqliteMemory(tmp_path / "nvm")
        memory.commit([MeterCommit("A1", b"keys")])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        memory.close()
    finally:
        os.umask(mask)
    assert modes.keys() >= {"nvm", "nvm-wal"}
    assert set(modes.values()) == {0o600}
