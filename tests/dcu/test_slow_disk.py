"""A DCU whose flash is slow: its management waits, and nothing else does."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from tests.support.dcu_chain import HOUR, LOAD, identity
from tests.support.dcu_managed import Made, come_with, make
from tests.support.dcu_street import modem_of, street
from tests.support.headend import START, running_headend
from tests.support.management import ListPlanner, planning
from tests.support.slow_disk import SlowDisk

from openami.core.clock import ManualClock
from openami.core.obis import Obis
from openami.dcu.device import server_of
from openami.dcu.flow import Stop
from openami.dcu.threads import WorkThread, on_loop
from openami.fleet.jobs import JobState, Target
from openami.fleet.shipment import Shipment
from openami.omadm.messages.model import Atomic, Exec, Get, Item, Location, Replace
from openami.omadm.notification import CONTENT_TYPE, Notification
from openami.omadm.objects.catalog import device_schema
from openami.omadm.session.events import Order
from openami.omadm.tree.tree import ManagementTree
from openami.store.tree import SqliteTree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from openami.dcu.managed import ManagedDcu
    from openami.headend.server import Running

WHO = identity(1)
ENERGY = Target(3, Obis.parse("1.0.1.8.0.255"), 2)
QUICK: Final = {"./AMI/Upload/BatchAge": "0.1", "./AMI/Segment/Addresses": str(WHO.address)}
PERIOD, MARGIN = "./AMI/Collection/LoadPeriod", "./AMI/Time/Margin"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + 86_430.0)


@pytest.fixture
async def running(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Running]:
    async with running_headend(tmp_path, clock=clock) as running:
        running.services.shipments.take(Shipment((WHO.shipped(),)).encode(), who="test")
        yield running


@pytest.fixture
def planner(running: Running) -> Iterator[ListPlanner]:
    with planning(running, ListPlanner()) as planner:
        yield planner


@pytest.fixture
def made(running: Running, tmp_path: Path) -> Made:
    return make(running, tmp_path, "D1")


ITEMS = (Item(Location(PERIOD), data="300"), Item(Location(MARGIN), data="5"))
SET: Final = Order("set", Atomic(0, tuple(Replace(0, (item,)) for item in ITEMS)))
GET: Final = Order("get", Get(0, (Item(Location(PERIOD)),)))


async def knock(dcu: ManagedDcu, body: bytes, kind: str = CONTENT_TYPE) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        url = f"http://127.0.0.1:{dcu.wake_port}/wake"
        return (await client.post(url, content=body, headers={"content-type": kind})).status_code


@pytest.mark.parametrize(("file", "order"), [("tree.sqlite", SET), ("management.sqlite", GET)])
async def test_while_a_commit_takes_long_meters_are_read_and_notifications_answered(
    running: Running,
    made: Made,
    planner: ListPlanner,
    tmp_path: Path,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    order: Order,
) -> None:
    disk, jobs = SlowDisk(monkeypatch, made.state / file), running.services.jobs
    async with (
        street(tmp_path, WHO, clock) as line,
        made.running(clock, modem=modem_of(line)) as live,
    ):
        dcu = live.dcu
        come_with(dcu.tree, QUICK)
        await live.until(lambda: planner.ends != [] and dcu.collecting.agent is not None)
        agent = dcu.collecting.agent
        assert agent is not None
        await live.until(lambda: WHO.serial in agent.line.meters() and agent.figures.uploaded > 0)

        planner.orders["D1"] = [order]
        disk.hold()
        dcu.manager.nudge()
        await disk.holds()
        try:
            job = await jobs.read(WHO.serial, [ENERGY], who="test")
            while (found := await jobs.get(job.id)).state is not JobState.DONE:
                assert found.state in {JobState.QUEUED, JobState.OFFERED, JobState.RUNNING}
                await asyncio.sleep(0.01)

            before = agent.figures.uploaded
            clock.advance(HOUR)
            for meter in line.meters.values():
                meter.refresh()
            agent.collector.nudge.set()
            await live.until(lambda: agent.figures.uploaded > before)
            cursor = agent.line.progress(WHO.serial)[LOAD].cursor
            assert cursor is not None
            assert clock.now() - cursor < HOUR

            dcu.collecting.look()  # whoever asks how to collect does not wait either
            await asyncio.sleep(0)
            assert await knock(dcu, b"", "text/plain") == 415
            if file == "tree.sqlite":
                server = server_of(dcu.tree.root, dcu._memory)
                assert server is not None
                secret, nonce = server.account.server.password, server.account.server_nonce
                assert await knock(dcu, Notification("openami", 7).build("x" * 43, nonce)) == 403
                assert await knock(dcu, Notification("openami", 7).build(secret, nonce)) == 202
            assert (dcu.tree.text(PERIOD), planner.statuses("D1")) == ("900", {})
        finally:
            disk.let_go()
        await live.until(lambda: planner.statuses("D1") == {order.id: 200})
        wanted = 300 if order is SET else 900
        await live.until(
            lambda: (
                dcu.collecting.agent is not None
                and dcu.collecting.agent.settings.load_period_s == wanted
            )
        )


async def test_a_commit_that_began_is_whole_when_the_dcu_has_ended(
    made: Made, planner: ListPlanner, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch, made.state / "tree.sqlite")
    planner.orders["D1"] = [SET]
    async with made.dcu(clock) as dcu:
        await dcu.membership.register(Stop())
        disk.hold()
        session = asyncio.ensure_future(dcu.manager.session())
        await disk.holds()
        session.cancel()
        with suppress(asyncio.CancelledError):
            await session
        assert dcu.tree.text(PERIOD) == "900"
        shutdown = dcu._thread._executor.shutdown

        def ending(**options: Any) -> None:
            disk.let_go()
            shutdown(**options)

        monkeypatch.setattr(dcu._thread._executor, "shutdown", ending)
    store = SqliteTree(made.state / "tree.sqlite")
    try:
        tree = ManagementTree(device_schema(), store)
        assert (tree.text(PERIOD), tree.text(MARGIN)) == ("300", "5")
    finally:
        store.close()


async def test_what_is_accepted_as_the_dcu_ends_is_concluded_when_it_is_started_again(
    made: Made, planner: ListPlanner, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "./AMI/Operations/Report"
    planner.orders["D1"] = [Order("run", Exec(0, Item(Location(place)), correlator="j1"))]
    asked, ended = threading.Event(), threading.Event()
    async with made.dcu(clock) as dcu:
        await dcu.membership.register(Stop())
        put = dcu._memory.put_fact

        def slowly(name: str, value: str) -> None:
            asked.set()
            ended.wait(60)
            put(name, value)

        monkeypatch.setattr(dcu._memory, "put_fact", slowly)
        session = asyncio.ensure_future(dcu.manager.session())
        assert await asyncio.to_thread(asked.wait, 60)
        session.cancel()
        with suppress(asyncio.CancelledError):
            await session
        await dcu.collecting.close()
        ended.set()
        await dcu._thread.do(int)  # what began before it is over
        await asyncio.sleep(0)
        assert not dcu.collecting._works
    planner.orders["D1"] = []
    async with made.running(clock) as live:
        await live.until(lambda: planner.alerts != [])
    (alert,) = planner.alerts
    assert alert.correlator == "j1"
    assert alert.items[0].data == "500 the DCU ended before it was over"


async def test_one_thing_is_done_after_another_and_what_began_is_done() -> None:
    thread, began, go = WorkThread("test"), threading.Event(), threading.Event()
    done: list[str] = []

    def first() -> None:
        began.set()
        assert go.wait(60)
        done.append("first")

    waiting = [asyncio.ensure_future(thread.do(first)),
               asyncio.ensure_future(thread.do(done.append, "second"))]  # fmt: skip
    assert await asyncio.to_thread(began.wait, 60)
    for one in waiting:
        one.cancel()
    third: asyncio.Future[Any] = asyncio.ensure_future(thread.do(done.append, "third"))
    await asyncio.sleep(0)
    assert done == []
    go.set()
    await third
    thread.close()
    assert done == ["first", "third"]  # nobody waited for the second before it began


async def test_what_a_thread_has_to_tell_is_told_in_the_loop() -> None:
    told: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    tell = on_loop(lambda what: told.put_nowait((what, threading.get_ident())))
    await asyncio.to_thread(tell, "news")
    assert await told.get() == ("news", threading.get_ident())
