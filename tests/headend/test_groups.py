"""Group commit: one transaction for many, an answer for each."""

import asyncio
import threading
from collections.abc import Sequence
from functools import partial

import pytest

from openami.core.errors import ConflictError, StoreError, StoreFullError
from openami.fleet.ports import Batch, BatchResult, BatchStatus
from openami.headend.errors import BusyError
from openami.headend.groups import Grouped, apart
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


def committer(
    store: Faulty, *, batches: int = 64, window_s: float = 0.0
) -> Grouped[Batch, BatchResult]:
    return Grouped(partial(apart, store.commit), "test", most=batches, window_s=window_s)


async def test_what_comes_during_a_commit_is_the_next_group() -> None:
    store = Faulty()
    store.hold.clear()
    groups = committer(store, batches=3)
    first = asyncio.create_task(groups.do(batch("a")))
    await asyncio.to_thread(store.entered.wait, 60)
    rest = [asyncio.create_task(groups.do(batch(name))) for name in "bcde"]
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
    for names in ("abcde", "fghij"):  # that the one before was full opens no window early
        first = [asyncio.create_task(groups.do(batch(name))) for name in names[:4]]
        for _ in range(10):
            await asyncio.sleep(0)
        await asyncio.gather(groups.do(batch(names[4])), *first)
    assert [sorted(group) for group in store.groups] == [list("abcde"), list("fghij")]
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
        *(groups.do(batch(name)) for name in "abc"), return_exceptions=True
    )
    assert [isinstance(result, BatchResult) for result in results] == [True, False, True]
    assert isinstance(results[1], StoreError)
    assert results[1].code == code
    assert sorted(map(len, store.groups)) == [1, 1, 1, 3]
    await groups.stop()


@pytest.mark.parametrize(
    "failure",
    [
        StoreFullError("no room"),
        StoreError("a copy is made", code="store.busy"),
        StoreError("no server", code="store.away"),
    ],
)
async def test_a_store_that_can_do_nothing_is_not_asked_again_for_each(failure: StoreError) -> None:
    store = Faulty()
    store.poison["a"] = failure
    groups = committer(store, batches=2, window_s=60)
    results = await asyncio.gather(
        *(groups.do(batch(name)) for name in "ab"), return_exceptions=True
    )
    assert results == [failure] * 2
    assert len(store.groups) == 1
    await groups.stop()


async def test_each_is_answered_for_itself() -> None:
    def double(items: Sequence[int]) -> list[int | Exception]:
        return [item * 2 if item != 2 else StoreError("two") for item in items]

    told: list[int] = []
    work = Grouped(double, "test", done=lambda count, _seconds: told.append(count))
    answers = await asyncio.gather(*map(work.do, range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, int, StoreError, int]
    assert [answers[0], answers[1], answers[3]] == [0, 2, 6]
    assert told == [4]
    await work.stop()


@pytest.mark.parametrize("fault", ["raises", "forgets one"])
async def test_nobody_waits_for_work_that_failed(fault: str) -> None:
    def fail(items: Sequence[int]) -> Sequence[int]:
        if fault == "raises":
            raise StoreError(f"{len(items)} items")
        return items[1:]

    work = Grouped(fail, "test")
    answers = await asyncio.gather(work.do(1), work.do(2), return_exceptions=True)
    assert all(isinstance(answer, StoreError | ValueError) for answer in answers)
    await work.stop()


@pytest.mark.parametrize("turns", [0, 10], ids=["before it is open", "while it is open"])
async def test_stopping_does_not_wait_for_the_window(turns: int) -> None:
    store = Faulty()
    groups = committer(store, window_s=3600)
    taken = asyncio.create_task(groups.do(batch("a")))
    while not groups.waiting():
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    await groups.stop()
    assert (await taken).status is BatchStatus.STORED


async def test_who_hangs_up_does_not_stop_the_others() -> None:
    store = Faulty()
    store.hold.clear()
    groups = committer(store)
    gone = asyncio.create_task(groups.do(batch("a")))
    await asyncio.to_thread(store.entered.wait, 60)
    gone.cancel()
    stays = asyncio.create_task(groups.do(batch("b")))
    store.hold.set()
    assert (await stays).status is BatchStatus.STORED
    assert store.groups == [["a"], ["b"]]
    await groups.stop()


async def test_stopping_finishes_what_was_taken() -> None:
    store = Faulty()
    store.hold.clear()
    groups = committer(store)
    taken = [asyncio.create_task(groups.do(batch(name))) for name in "abc"]
    await asyncio.to_thread(store.entered.wait, 60)
    stopping = asyncio.create_task(groups.stop())
    await asyncio.sleep(0)
    with pytest.raises(BusyError) as caught:
        await groups.do(batch("late"))
    assert caught.value.code == "busy.stopping"
    store.hold.set()
    await stopping
    assert [one.result().status for one in taken] == [BatchStatus.STORED] * 3
    assert not groups.running()
    await groups.stop()
