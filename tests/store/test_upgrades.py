"""What a DCU keeps of its meters' upgrades."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from openami.core.errors import StoreError
from openami.store.salvage import opened
from openami.store.upgrades import Changes, KeptMark, KeptMeter, KeptTask, Upgrades

if TYPE_CHECKING:
    from pathlib import Path

TASK = KeptTask("c1", 1, b"order", None, 7, None)
METER = KeptMeter("c1", "M1", 1, True, "one.img", 3, b"state")


def test_what_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Upgrades(tmp_path / "upgrades.sqlite")
    assert (store.epoch(), store.tasks(), store.images()) == (None, (), {})
    other = replace(TASK, campaign="c0", place=2, void=5.0, failed=b"why")
    marks = [KeptMark("c1", b"a"), KeptMark("c0", b"x"), KeptMark("c1", b"b")]
    store.keep(Changes(3, [TASK, other], [METER], marks))
    store.keep_manifest("p1", b"manifest")
    store.keep_image("s1", "/file")
    store.close()
    store = Upgrades(tmp_path / "upgrades.sqlite")
    assert store.epoch() == 3
    assert store.tasks() == (TASK, other)
    assert store.meters("c1") == (METER,)
    assert store.meters("c0") == ()
    assert [mark.body for mark in store.marks("c1", 9)] == [b"a", b"b"]
    assert [mark.body for mark in store.marks("c1", 1)] == [b"a"]
    assert store.manifest("p1") == b"manifest"
    assert store.manifest("p2") is None
    assert store.images() == {"s1": "/file"}
    store.close()


def test_the_epoch_never_goes_back(tmp_path: Path) -> None:
    store = Upgrades(tmp_path / "upgrades.sqlite")
    for epoch, kept in ((0, 0), (4, 4), (2, 4), (5, 5)):
        store.keep(Changes(epoch))
        assert store.epoch() == kept
    store.close()


def test_marks_are_dropped_up_to_what_was_told(tmp_path: Path) -> None:
    store = Upgrades(tmp_path / "upgrades.sqlite")
    store.keep(Changes(marks=[KeptMark("c1", b"a"), KeptMark("c2", b"x"), KeptMark("c1", b"b")]))
    first = store.marks("c1", 1)[0]
    store.acknowledge([("c1", first.id)])
    store.keep(Changes(marks=[KeptMark("c1", b"c")]))
    assert [mark.body for mark in store.marks("c1", 9)] == [b"b", b"c"]
    assert [mark.body for mark in store.marks("c2", 9)] == [b"x"]
    store.acknowledge([("c1", first.id), ("nobody", 9)])
    assert len(store.marks("c1", 9)) == 2
    store.close()


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    store = Upgrades(tmp_path / "upgrades.sqlite")
    store.keep(Changes(1, [TASK], [METER], [KeptMark("c1", b"a")]))
    for package in ("p1", "p2"):
        store.keep_manifest(package, b"m")
    store.keep_image("s1", "/file")
    store.keep(Changes(forgotten=["c1"]))
    store.keep_only(["p2"])
    store.forget_image("s1")
    assert (store.tasks(), store.meters("c1"), store.marks("c1", 9)) == ((), (), ())
    assert (store.manifest("p1"), store.manifest("p2"), store.images()) == (None, b"m", {})
    store.close()


def test_a_change_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Upgrades(tmp_path / "upgrades.sqlite")
    broken = KeptMark("c1", cast("bytes", None))  # what the file does not take
    with pytest.raises(StoreError):
        store.keep(Changes(1, [TASK], [METER], [broken]))
    assert (store.epoch(), store.tasks(), store.meters("c1")) == (None, (), ())
    store.close()


def test_a_damaged_file_is_kept_aside(tmp_path: Path) -> None:
    file = tmp_path / "upgrades.sqlite"
    file.write_bytes(b"junk" * 2000)
    store = opened(lambda: Upgrades(file), file)
    assert store.tasks() == ()
    store.close()
    assert (tmp_path / "upgrades.sqlite.damaged").exists()
