"""Somebody else writes to the lake's catalogue: SQLite's lock belongs to a process, so it is one."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.readings import MIDNIGHT, batch, profile

from openami.core.errors import StoreError
from openami.store.lake import Lake, catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.stdin:
    connection.execute(statement)
    print("done", flush=True)
"""


class Other:
    """Another process with the catalogue open."""

    def __init__(self, file: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLD, file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, statement: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{statement}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    quick = tuple(option.replace(" 10000", " 1") for option in catalogue._ATTACH)
    monkeypatch.setattr(catalogue, "_ATTACH", quick)
    lake = Lake(tmp_path / "lake", threads=1, memory="512MB")
    lake.commit([batch(f"b{n}", profile("A1", start=MIDNIGHT + 86_400 * n)) for n in range(3)])
    yield lake
    lake.close()


@pytest.fixture
def other(lake: Lake, tmp_path: Path) -> Iterator[Other]:
    other = Other(tmp_path / "lake" / "catalogue.sqlite")
    yield other
    other.close()


def test_compaction_tries_again(lake: Lake, other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    before, pauses = lake.sums(), []

    def let_go(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            other("ROLLBACK")

    monkeypatch.setattr(time, "sleep", let_go)
    other("BEGIN IMMEDIATE")
    lake.compact()
    assert len(pauses) == 2
    assert lake.sums() == before


def test_compaction_gives_up_and_nothing_is_lost(
    lake: Lake, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lake.sums()
    monkeypatch.setattr(time, "sleep", lambda _: None)
    other("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as raised:
        lake.compact()
    assert raised.value.code == "store.busy"
    assert lake.sums() == before
    other("ROLLBACK")
    lake.compact()
    assert lake.sums() == before


def test_a_commit_that_was_in_the_way_is_made_when_it_comes_again(lake: Lake, other: Other) -> None:
    upload = batch("late", profile("A2"))
    other("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as raised:
        lake.commit([upload])
    assert raised.value.code == "store.busy"
    other("ROLLBACK")
    assert [result.status.value for result in lake.commit([upload])] == ["stored"]
    assert [result.status.value for result in lake.commit([upload])] == ["repeated"]
    assert lake.counts().readings == 4 * 96 * 4
