"""What a server has a DCU do, from its acceptance to the alert that concludes it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.dcu_chain import HOUR, LOAD, identity
from tests.support.dcu_managed import Live, Made, ask_often, come_with, make
from tests.support.dcu_street import modem_of, street
from tests.support.headend import START, running_headend

from openami.core.clock import ManualClock
from openami.core.errors import StoreFullError
from openami.dcu import collecting
from openami.dcu.agent import Dcu
from openami.dcu.operations import KEPT_MOST, MAX_CORRELATOR, Operations
from openami.dcu.rounds import Ending, Rounds
from openami.dcu.threads import WorkThread
from openami.fleet.collection import Line, Moment
from openami.fleet.desired import Setting
from openami.fleet.shipment import Shipment
from openami.fleet.tasks import Command, Result, TaskKind, TaskState
from openami.headend.management.answers import conclusion_of
from openami.headend.management.tasks import Whom
from openami.headend.management.trees import device_scope
from openami.omadm.tree.tree import Execution
from openami.store.device_memory import DeviceMemory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from openami.fleet.tasks import Task
    from openami.headend.server import Running
    from openami.omadm.messages.model import Alert

WHO = identity(1)
PLACE = "./AMI/Operations"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + 86_430.0)


@pytest.fixture
async def running(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Running]:
    async with running_headend(tmp_path, clock=clock) as running:
        running.services.shipments.take(Shipment((WHO.shipped(),)).encode(), who="test")
        yield running


@pytest.fixture
def made(running: Running, tmp_path: Path) -> Made:
    return make(running, tmp_path, "D1")


@asynccontextmanager
async def collecting_nothing(made: Made, clock: ManualClock, modem: str) -> AsyncIterator[Live]:
    """Run a DCU that reads its meter only when it is told to."""
    async with made.dcu(clock, modem=modem) as dcu:
        ask_often(dcu.tree)
        values = {"Collection/Enabled": "false", "Segment/Addresses": str(WHO.address)}
        come_with(dcu.tree, {f"./AMI/{name}": value for name, value in values.items()})
        live = Live(dcu, asyncio.ensure_future(dcu.run()))
        try:
            yield live
        finally:
            dcu.stop()
            await live.task


def ask(running: Running, name: str) -> str:
    """Have D1 execute an operation; return the job."""
    tasks = running.services.management.tasks
    command = Command(f"{PLACE}/{name}")
    return tasks.create(TaskKind.EXEC, (command,), Whom(("D1",)), who="test").job.id


def task(running: Running, job: str) -> Task:
    (found,) = running.services.management.tasks.tasks(job).items
    return found


async def test_what_a_server_executes_is_done_and_its_job_says_so(
    running: Running, made: Made, tmp_path: Path, clock: ManualClock
) -> None:
    async with (
        street(tmp_path, WHO, clock) as line,
        collecting_nothing(made, clock, modem_of(line)) as live,
    ):
        await live.until(lambda: live.dcu.collecting.agent is not None)
        agent = live.dcu.collecting.agent
        assert agent is not None
        await live.until(lambda: WHO.serial in agent.line.meters() and not agent.roster.new)
        assert LOAD not in agent.line.progress(WHO.serial)
        assert not agent.figures.uploaded

        job = ask(running, "Collect")
        await live.until(lambda: not task(running, job).open)
        ended = task(running, job)
        assert (ended.state, ended.status) == (TaskState.DONE, 200)
        told = Result(f"{PLACE}/Collect", 200, "chr", "200 1 of 1 meters read")
        assert ended.results == (told,)
        cursor = agent.line.progress(WHO.serial)[LOAD].cursor
        assert cursor is not None
        assert clock.now() - cursor < HOUR
        await live.until(lambda: agent.figures.uploaded > 0)

        for name, words in (("Discover", "1 meters known"), ("Report", "reported")):
            job = ask(running, name)
            await live.until(lambda job=job: not task(running, job).open)  # type: ignore[misc]  # a default binds it
            assert task(running, job).results[-1].value == f"200 {words}"
        await live.until(lambda: live.dcu._memory.fact("operations") == "[]")


async def test_collection_follows_a_task_of_sched(
    running: Running, made: Made, tmp_path: Path, clock: ManualClock
) -> None:
    """What a server wants in SCHED reads the meter, though nothing is collected by itself."""
    trees = running.services.management.trees
    async with (
        street(tmp_path, WHO, clock) as line,
        collecting_nothing(made, clock, modem_of(line)) as live,
    ):
        await live.until(lambda: live.dcu.collecting.agent is not None)
        agent = live.dcu.collecting.agent
        assert agent is not None
        await live.until(lambda: WHO.serial in agent.line.meters() and not agent.roster.new)
        assert LOAD not in agent.line.progress(WHO.serial)
        values = {
            "TaskID": "daily reading",
            "Operation": f"{PLACE}/Collect",
            "Start": "20200101T000000Z",
        }
        wanted = [Setting(f"./SCHED/t/{name}", "chr", value) for name, value in values.items()]
        trees.want(device_scope("D1"), wanted, who="test")
        await live.until(lambda: live.dcu.tree.text("./SCHED/t/LastStatus") == "202")

        def cursor() -> float:
            progress = agent.line.progress(WHO.serial).get(LOAD)
            return 0.0 if progress is None or progress.cursor is None else progress.cursor

        await live.until(lambda: clock.now() - cursor() < HOUR)
        await live.until(lambda: agent.figures.uploaded > 0)
        assert running.services.readings.latest(WHO.serial).num_rows > 0
        assert trees.view("D1").refused == 0


async def test_a_round_is_over_when_every_meter_and_address_had_its_turn() -> None:
    line, now = Line(()), Moment(0.0, 0.0)
    for number in range(3):
        line.add(f"M{number}", 16 + number, jitter=0.0)
    rounds = Rounds(line, (16, 17, 18, 19))
    rounds.begin()
    sweep, search = rounds.sweep(now), rounds.search()
    rounds.visited("M0", good=True)  # by a visit that began before the round did
    for number in range(3):
        rounds.begin()
        rounds.visited(f"M{number}", good=number != 1)
        assert rounds.over is (number == 2)
    rounds.end()
    assert sweep.result() == Ending(500, "2 of 3 meters read")
    assert not search.done()
    rounds.probed(19)
    assert rounds.over
    rounds.end()
    assert search.result() == Ending(200, "3 meters known")
    given_up = rounds.sweep(now)
    rounds.give_up()
    assert given_up.result() is None


async def test_what_was_under_way_when_the_dcu_ended_is_concluded_as_failed(
    running: Running, made: Made, clock: ManualClock
) -> None:
    gone = "hdlc+tcp://127.0.0.1:1"
    async with collecting_nothing(made, clock, gone) as live:
        job = ask(running, "Discover")
        await live.until(lambda: task(running, job).state is TaskState.ACCEPTED)
        kept = json.loads(live.dcu._memory.fact("operations"))
        assert kept == [["Discover", job]]  # on disk: a kill would find it there
        assert task(running, job).open
    async with collecting_nothing(made, clock, gone) as live:
        await live.until(lambda: not task(running, job).open)
        ended = task(running, job)
        assert (ended.state, ended.status) == (TaskState.FAILED, 500)
        assert ended.results[-1].value == "500 the DCU ended before it was over"
        await live.until(lambda: live.dcu._memory.fact("operations") == "[]")
        assert not live.dcu.collecting._works  # nor is it done again


async def test_what_takes_too_long_is_concluded(
    running: Running, made: Made, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "OPERATION_MOST_S", 0.1)
    async with collecting_nothing(made, clock, "hdlc+tcp://127.0.0.1:1") as live:
        job = ask(running, "Discover")
        await live.until(lambda: not task(running, job).open)
        assert task(running, job).status == 408


async def test_an_operation_goes_over_to_the_collection_that_follows(
    running: Running, made: Made, tmp_path: Path, clock: ManualClock
) -> None:
    del running
    async with (
        street(tmp_path, WHO, clock) as line,
        collecting_nothing(made, clock, modem_of(line)) as live,
    ):
        dcu = live.dcu
        # Asked for before anything collects, and again: it is one operation.
        asked = Execution(("AMI", "Operations", "Report"), "", "j9", "srv")
        works: list[object] = []
        for _ in range(2):
            assert await dcu._thread.do(dcu.collecting.execute, asked) == 202
            works += dcu.collecting._works.values()
        assert works == works[:1] * 2
        long = replace(asked, correlator="x" * (MAX_CORRELATOR + 1))
        assert await dcu._thread.do(dcu.collecting.execute, long) == 413
        assert len(dcu.collecting._works) == 1
        await live.until(lambda: dcu.collecting.agent is not None)
        await live.until(lambda: not dcu.collecting._works)
    assert not dcu.collecting._up.is_set()  # who would wait for the next one takes no turn


async def test_an_operation_that_its_collection_did_not_finish_is_begun_again(
    made: Made, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Dcu] = []

    async def discover(agent: Dcu) -> Ending | None:
        begun.append(agent)
        return await Dcu.discover(agent)

    monkeypatch.setattr(collecting, "OPERATIONS", {"Discover": discover})
    async with collecting_nothing(made, clock, "hdlc+tcp://127.0.0.1:1") as live:
        asked = Execution(("AMI", "Operations", "Discover"), "", "j9", "srv")
        assert await live.dcu._thread.do(live.dcu.collecting.execute, asked) == 202
        await live.until(lambda: len(begun) == 1)
        come_with(live.dcu.tree, {"./AMI/Collection/LoadPeriod": "300"})
        live.dcu.collecting.look()
        await live.until(lambda: len(begun) == 2, timeout=30)
        assert begun[0] is not begun[1]
        assert live.dcu.collecting._operations.under_way("Discover", "j9")
        live.dcu.collecting.look()  # what is as it was is looked at once
        await live.until(lambda: not live.dcu.collecting._changed.is_set(), timeout=30)
        assert live.dcu.collecting.agent is begun[1]


async def test_an_operation_without_a_correlator_takes_the_place_of_the_one_before(
    made: Made,
) -> None:
    asked = Execution(("AMI", "Operations", "Collect"), "", None, "srv")
    async with made.dcu() as dcu:  # nothing collects yet, so that both wait
        works: list[asyncio.Task[None]] = []
        for _ in range(2):
            assert await dcu._thread.do(dcu.collecting.execute, asked) == 202
            works += dcu.collecting._works.values()
        first, second = works
        await asyncio.wait([first])
        assert first.cancelled()
        assert not second.done()
        assert list(dcu.collecting._works.values()) == [second]


async def test_what_is_asked_for_as_the_dcu_ends_is_concluded_when_it_starts_again(
    made: Made,
) -> None:
    asked = Execution(("AMI", "Operations", "Collect"), "", "j1", "srv")
    async with made.dcu() as dcu:
        await dcu.collecting.close()
        assert await dcu._thread.do(dcu.collecting.execute, asked) == 202
        assert not dcu.collecting._works
    async with made.dcu() as dcu:
        await asyncio.sleep(0)
        (alert,) = dcu.manager._alerts
        assert (alert.correlator, conclusion_of(alert).status) == ("j1", 500)


async def test_what_is_kept_is_bounded_and_told_until_it_was_heard(tmp_path: Path) -> None:
    told: list[Alert] = []
    memory, thread = DeviceMemory(tmp_path / "memory.sqlite"), WorkThread("test")
    try:
        kept = Operations(memory, told.append, thread)
        for number in range(KEPT_MOST):
            assert kept.accept("Collect", f"j{number}") == 202
        assert kept.accept("Collect", "one more") == 420
        assert kept.accept("Collect", "j0") == 202
        assert kept.accept("Collect", "x" * (MAX_CORRELATOR + 1)) == 413
        await kept.conclude("Collect", "j0", Ending(200, "3 of 3 meters read"))
        (alert,) = told
        assert alert.correlator == "j0"
        assert conclusion_of(alert).status == 200
        told.clear()
        again = Operations(memory, told.append, thread)  # the DCU was killed here
        again.recall()
        assert [conclusion_of(one).status for one in told] == [200] + [500] * (KEPT_MOST - 1)
        again.told(told)
        assert memory.fact("operations") == "[]"
        assert again.accept("Collect", "one more") == 202
    finally:
        thread.close()
        memory.close()


async def test_what_could_not_be_kept_was_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreFullError("no room")

    told: list[Alert] = []
    with (
        closing(DeviceMemory(tmp_path / "memory.sqlite")) as memory,
        closing(WorkThread("test")) as thread,
    ):
        kept = Operations(memory, told.append, thread)
        with monkeypatch.context() as patched:
            patched.setattr(memory, "put_fact", full)
            with pytest.raises(StoreFullError):
                kept.accept("Collect", "j1")
        assert not kept.under_way("Collect", "j1")  # or a server that asks again is told 202
        assert kept.accept("Collect", "j1") == 202
        monkeypatch.setattr(memory, "put_fact", full)
        await kept.conclude("Collect", "j1", Ending(200, "read"))
        assert [conclusion_of(one).status for one in told] == [200]  # it is over all the same


async def test_what_is_asked_for_again_is_not_over_with_the_end_of_before(tmp_path: Path) -> None:
    told: list[Alert] = []
    with (
        closing(DeviceMemory(tmp_path / "memory.sqlite")) as memory,
        closing(WorkThread("test")) as thread,
    ):
        kept = Operations(memory, told.append, thread)
        kept.accept("Collect", "j1")
        await kept.conclude("Collect", "j1", Ending(200, "read"))
        assert kept.accept("Collect", "j1") == 202
        kept.told(told)
        assert kept.under_way("Collect", "j1")
        assert memory.fact("operations") == '[["Collect", "j1"]]'
