"""Groups are counted one at a time, whoever asks, and not again for a while."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dm_planned import add_devices

from openami.core.errors import NotFoundError
from openami.fleet.ports import DeviceFilter
from openami.headend.management import standings as module
from openami.headend.management.device_groups import DeviceGroups
from openami.headend.management.standings import FRESH_S, QUICK_S, Standings
from openami.store.relational import RelationalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from openami.core.clock import ManualClock


class Slow:
    """The groups of a store whose counts take their time, and last until they are let go."""

    def __init__(self, store: RelationalStore, wall: ManualClock) -> None:
        self.groups = DeviceGroups(store.trees, wall=wall)
        self.takes = QUICK_S
        self._wall = wall
        for name in ("north", "south"):
            self.groups.put(name, DeviceFilter(), priority=0, who="anna")
        self.counts: list[str] = []
        self.at_work = self.most = 0
        self.busy, self.go = threading.Event(), threading.Event()
        self.go.set()
        for name in ("progress", "standing", "differences"):
            setattr(store.trees, name, self._slowly(name, getattr(store.trees, name)))

    def _slowly(self, name: str, count: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.counts.append(name)
            self.at_work += 1
            self.most = max(self.most, self.at_work)
            self.busy.set()
            assert self.go.wait(60)
            self.at_work -= 1
            self._wall.set(self._wall.now() + self.takes)
            return count(*arguments, **options)

        return counted


@pytest.fixture
def slow(tmp_path: Path, wall: ManualClock) -> Iterator[Slow]:
    with closing(RelationalStore.open(tmp_path / "db.sqlite")) as store:
        add_devices(store, "D1", "D2")
        yield Slow(store, wall)


@pytest.fixture
def standings(slow: Slow, wall: ManualClock) -> Standings:
    return Standings(slow.groups, wall=wall)


async def test_one_count_at_a_time_and_one_for_all_who_want_the_same(
    slow: Slow, standings: Standings
) -> None:
    slow.go.clear()
    asked = [
        asyncio.ensure_future(one)
        for one in (
            standings.figures("north"),
            standings.figures("north"),
            standings.progress("north"),
            standings.differences("north", limit=1),
        )
    ]
    await asyncio.to_thread(slow.busy.wait, 60)
    for _ in range(4):  # others have threads, and would be counting by now
        await asyncio.to_thread(slow.groups.get, "south")
    slow.go.set()
    await asyncio.gather(*asked)
    assert slow.most == 1
    assert slow.counts == ["standing", "progress", "differences"]
    assert (await standings.figures("north")).devices == 2


async def test_a_count_is_made_again_after_a_while_or_a_change(
    slow: Slow, standings: Standings, wall: ManualClock
) -> None:
    await standings.figures("north")
    wall.set(wall.now() + FRESH_S)
    await standings.figures("north")
    wall.set(wall.now() - 3600)  # a clock that is set back holds nothing up
    await standings.figures("north")
    standings.forget("north")
    await standings.figures("north")
    assert slow.counts == ["standing"] * 4


async def test_what_is_counted_quickly_is_of_now(slow: Slow, standings: Standings) -> None:
    slow.takes = QUICK_S / 2
    for _ in range(2):
        await standings.figures("north")
        await standings.progress("north")
    assert slow.counts == ["standing", "progress"] * 2


async def test_what_was_counted_of_before_a_change_is_not_kept(
    slow: Slow, standings: Standings
) -> None:
    slow.go.clear()
    asked = asyncio.ensure_future(standings.figures("north"))
    await asyncio.to_thread(slow.busy.wait, 60)
    standings.forget("north")
    slow.go.set()
    await asked
    await standings.figures("north")
    assert slow.counts == ["standing"] * 2


async def test_memory_is_bounded(
    slow: Slow, standings: Standings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_GROUPS", 1)
    for name in ("north", "south", "north"):
        await standings.figures(name)
    assert slow.counts == ["standing"] * 3
    with pytest.raises(NotFoundError):
        await standings.figures("nowhere")
