"""An alarm that is open costs nothing to raise again, and one that was cleared is raised anew."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.support.registering import watch_writing

from openami.core.errors import StoreError
from openami.headend.bus import LocalBus
from openami.headend.security import alarms as module
from openami.headend.security.alarms import REMEMBERED_S, Alarms
from openami.store.relational import RelationalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openami.core.clock import ManualClock
    from openami.fleet.alarms import RaisedAlarm

CODE, WORDS = "dm.authentication", "it proved itself wrongly, again and again"


class Counted:
    """A store of alarms, with how often it was asked and how often that took the write lock."""

    def __init__(self, folder: Path) -> None:
        self.store = RelationalStore.open(folder / "db.sqlite")
        self.asked = self.written = 0
        add = self.store.alarms.add

        def counted(code: str, subject: str, message: str, *, when: float) -> RaisedAlarm | None:
            self.asked += 1
            return add(code, subject, message, when=when)

        self.store.alarms.add = counted  # type: ignore[method-assign]  # counts and goes on
        watch_writing(self.store.alarms._transactions, self._note)

    def _note(self, moment: str) -> None:
        self.written += moment == "before"

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    with closing(Counted(tmp_path)) as counted:
        yield counted


@pytest.fixture
def alarms(counted: Counted, wall: ManualClock) -> Alarms:
    return Alarms(counted.store.alarms, bus=LocalBus(), wall=wall)


def test_what_repeats_itself_takes_no_write_lock(
    counted: Counted, alarms: Alarms, wall: ManualClock
) -> None:
    for _ in range(30):
        alarms.about_dcu("D1", CODE, WORDS)
    assert (counted.asked, counted.written) == (1, 1)
    wall.set(wall.now() + REMEMBERED_S)
    for _ in range(30):
        alarms.about_dcu("D1", CODE, WORDS)
    assert (counted.asked, counted.written) == (2, 1)
    alarms.about_dcu("D2", CODE, WORDS)
    alarms.about_dcu("D1", "dm.replay", WORDS)
    assert alarms.open_count() == 3


def test_one_that_was_cleared_is_raised_at_once(counted: Counted, alarms: Alarms) -> None:
    alarms.about_dcu("D1", CODE, WORDS)
    (first,) = alarms.list().items
    alarms.clear(first.id, who="anna")
    alarms.about_dcu("D1", CODE, WORDS)
    assert alarms.open_count() == 1
    assert counted.written == 3


@pytest.mark.parametrize("step", [REMEMBERED_S, -7200.0], ids=["later", "set back"])
def test_one_that_was_cleared_unseen_is_raised_within_the_minute(
    counted: Counted, alarms: Alarms, wall: ManualClock, step: float
) -> None:
    """However the clock goes: one that is set back does not hold alarms up until it has caught up."""
    alarms.about_dcu("D1", CODE, WORDS)
    (first,) = alarms.list().items
    counted.store.alarms.clear(first.id, who="anna", when=wall.now())
    wall.set(wall.now() + step)
    alarms.about_dcu("D1", CODE, WORDS)
    assert alarms.open_count() == 1


def test_one_that_could_not_be_kept_is_tried_again(
    counted: Counted, alarms: Alarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(counted.store.alarms, "add", full)
        with pytest.raises(StoreError):
            alarms.about_dcu("D1", CODE, WORDS)
    alarms.about_dcu("D1", CODE, WORDS)
    assert alarms.open_count() == 1


def test_memory_is_bounded(
    counted: Counted, wall: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    alarms = Alarms(counted.store.alarms, bus=LocalBus(), wall=wall)
    for number in range(5):
        alarms.about(f"job:{number}", "dm.failed", "it fails")
    assert len(alarms._open) == 2
