"""What a head-end does by itself, and what it says of its own health."""

import asyncio
import shutil
import threading
from pathlib import Path

import pytest

from openami.core.clock import ManualClock
from openami.core.errors import StoreError, StoreFullError
from openami.headend import chores
from openami.headend.chores import Chores
from openami.headend.health import Health, disk_probe
from openami.headend.services import Services, Stores
from openami.headend.statistics import Fresh, ReadRate


def test_health_is_what_every_check_says() -> None:
    trouble: list[str] = []

    def probe() -> str:
        if trouble:
            raise StoreError(trouble[0])
        return "fine"

    health = Health({"store": probe})
    assert health.state().ok
    assert health.look().checks["store"].detail == "fine"
    trouble.append("gone")
    state = health.look()
    assert (state.ok, state.checks["store"].detail) == (False, "gone")
    trouble.clear()
    health.note("compaction", ok=False, detail="no room")
    assert not health.look().ok
    health.note("compaction", ok=True, detail="done")
    assert health.look().ok


def test_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    assert disk_probe(tmp_path, free=1)().endswith("MiB free")
    with pytest.raises(StoreError) as caught:
        disk_probe(tmp_path, free=shutil.disk_usage(tmp_path).total + 1)()
    assert caught.value.code == "store.low"


async def test_chores_come_round_and_failures_are_noted(
    services: Services, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chores, "JOBS_EVERY_S", 0.001)
    monkeypatch.setattr(chores, "HEALTH_EVERY_S", 0.001)
    rounds = 0
    seen = asyncio.Event()

    async def pass_time() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise StoreFullError("no room left")
        if rounds == 2:
            raise RuntimeError("a bug")
        if rounds > 5:
            seen.set()

    monkeypatch.setattr(services.jobs, "pass_time", pass_time)
    upkeep = Chores(services, stores.readings, services.jobs.forget)
    upkeep.start()
    await seen.wait()
    while "disk" not in services.health.state().checks:
        await asyncio.sleep(0)
    await upkeep.stop()
    await services.ingest.stop()
    checks = services.health.look().checks
    assert checks["jobs"].ok
    assert checks["ingest"].detail == "commits uploads"
    await upkeep.stop()


async def test_a_chore_that_finds_nothing_looks_again_later(
    services: Services, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What forgets goes on slice by slice, until there is nothing old any more."""
    monkeypatch.setattr(chores, "SLICE_EVERY_S", 0.0)
    monkeypatch.setattr(chores, "REVOKED_EVERY_S", 0.0)
    left, found = iter([2, 2, 1, 0]), []
    rounds = 0
    gone_on = asyncio.Event()

    async def forget() -> int:
        found.append(next(left))
        return found[-1]

    async def refresh() -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 50 and len(found) == 4:
            gone_on.set()

    monkeypatch.setattr(services.management.log, "forget", forget)
    upkeep = Chores(services, stores.readings, services.jobs.forget)
    monkeypatch.setattr(upkeep, "_revocations", refresh)
    upkeep.start()
    await gone_on.wait()
    await upkeep.stop()
    await services.ingest.stop()
    assert found == [2, 2, 1, 0]
    assert services.health.look().checks["old device sessions"].ok


def test_the_health_of_the_lake_costs_no_look_at_the_fleet(
    services: Services, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.statistics, "overview", None)
    assert services.health.look().checks["lake"].detail == "0 readings"


async def test_no_chore_outlives_its_head_end(
    services: Services, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that is at work when the head-end stops is waited for."""
    monkeypatch.setattr(chores, "JOBS_EVERY_S", 0.0)
    begun, go = threading.Event(), threading.Event()
    finished: list[bool] = []

    def slow() -> None:
        begun.set()
        assert go.wait(60)
        finished.append(True)

    async def pass_time() -> None:
        await asyncio.to_thread(slow)

    monkeypatch.setattr(services.jobs, "pass_time", pass_time)
    upkeep = Chores(services, stores.readings, services.jobs.forget)
    upkeep.start()
    await asyncio.to_thread(begun.wait, 60)
    stopping = asyncio.create_task(upkeep.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    go.set()
    await stopping
    assert finished == [True]


def test_figures_stay_fresh_for_a_moment() -> None:
    clock, made = ManualClock(100.0), iter(range(10))
    fresh = Fresh(lambda: next(made), clock, for_s=2.0)
    assert [fresh.get(), fresh.get()] == [0, 0]
    clock.advance(2.0)
    assert fresh.get() == 1
    clock.set(0.0)  # the machine's clock was set back
    assert fresh.get() == 2


def test_a_read_rate() -> None:
    assert ReadRate(0, 0).share == 1.0
    assert ReadRate(3, 4).share == 0.75
    assert ReadRate(9, 4).share == 1.0
