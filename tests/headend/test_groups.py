"""Group commit: one transaction for many, an answer for each."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from openami.core.errors import ConflictError, StoreError, StoreFullError
from openami.fleet.ports import Batch, BatchResult, BatchStatus
from openami.headend.errors import BusyError
from openami.headend.groups import GroupCommitter, GroupLimits
from openami.mdm.readings import READINGS_SCHEMA


def batch(name: str) -> Batch:
    return Batch("D1", name, b"", READINGS_SCHEMA.empty_table())


class Faulty:
    """A store that fails as it is told, which no real one does on demand."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.poison: dict[str, Exception] = {}
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Event()

    def commit(self, batches: Sequence[Batch]) -> Sequence[BatchResult]:
        self.entered.set()
        assert self.hold.wait(60)
        self.groups.append([one.id for one in batches])
        for one in batches:
            if one.id in self.poison:
                raise self.poison[one.id]
        return [BatchResult(BatchStatus.STORED, 1) for _ in batches]


def committer(store: Faulty, *, batches: int = 64, window_s: float = 0.0) -> GroupCommitter:
    made = GroupCommitter(store, GroupLimits(window_s, batches), committed=lambda *_: None)
    made.start()
    return made


async def test_what_comes_during_a_commit_is_the_next_group() -> None:
    store = Faulty()
    store.hold.clear()
    groups = committer(store, batches=3)
    first = asyncio.create_task(groups.submit(batch("a")))
    await asyncio.to_thread(store.entered.wait, 60)
    rest = [asyncio.create_task(groups.submit(batch(name))) for name in "bcde"]
    while groups.waiting() < 4:
        await asyncio.sleep(0)
    store.hold.set()
    results = await asyncio.gather(first, *rest)
    assert all(result.status is BatchStatus.STORED for result in results)
    assert store.groups == [["a"], ["b", "c", "d"], ["e"]]
    await groups.stop()


async def test_a_window_gathers() -> None:
    store = Faulty()
    groups = committer(store, batches=5, window_s=60)
    await asyncio.gather(*(groups.submit(batch(name)) for name in "abcde"))
    assert [sorted(group) for group in store.groups] == [list("abcde")]
    await groups.stop()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ConflictError("x", code="poison"), "poison"),
        (RuntimeError("a bug of the store"), "store.failed"),
    ],
)
async def test_one_bad_batch_costs_no_other(failure: Exception, code: str) -> None:
    store = Faulty()
    store.poison["b"] = failure
    groups = committer(store, batches=3, window_s=60)
    results = await asyncio.gather(
        *(groups.submit(batch(name)) for name in "abc"), return_exceptions=True
    )
    assert [isinstance(result, BatchResult) for result in results] == [True, False, True]
    assert isinstance(results[1], StoreError)
    assert results[1].code == code
    assert sorted(map(len, store.groups)) == [1, 1, 1, 3]
    await groups.stop()


async def test_a_full_store_is_not_asked_again_for_each() -> None:
    store = Faulty()
    store.poison["a"] = StoreFullError("no room")
    groups = committer(store, batches=2, window_s=60)
    results = await asyncio.gather(
        *(groups.submit(batch(name)) for name in "ab"), return_exceptions=True
    )
    assert all(isinstance(result, StoreFullError) for result in results)
    assert len(store.groups) == 1
    await groups.stop()


async def test_who_hangs_up_does_not_stop_the_others() -> None:
    store = Faulty()
    store.hold.clear()
    groups = committer(store)
    gone = asyncio.create_task(groups.submit(batch("a")))
    await asyncio.to_thread(store.entered.wait, 60)
    gone.cancel()
    stays = asyncio.create_task(groups.submit(batch("b")))
    store.hold.set()
    assert (await stays).status is BatchStatus.STORED
    assert store.groups == [["a"], ["b"]]
    await groups.stop()


async def test_stopping_finishes_what_was_taken() -> None:
    store = Faulty()
    store.hold.clear()
    groups = committer(store)
    taken = [asyncio.create_task(groups.submit(batch(name))) for name in "abc"]
    await asyncio.to_thread(store.entered.wait, 60)
    stopping = asyncio.create_task(groups.stop())
    await asyncio.sleep(0)
    with pytest.raises(BusyError) as caught:
        await groups.submit(batch("late"))
    assert caught.value.code == "busy.stopping"
    store.hold.set()
    await stopping
    assert [one.result().status for one in taken] == [BatchStatus.STORED] * 3
    assert not groups.running()
    await groups.stop()
