"""The tasks of a tree, on a clock by hand."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dm_tree import Server, open_tree

from openami.core.clock import ManualClock
from openami.core.errors import StoreFullError
from openami.dcu import scheduler as scheduler_module
from openami.dcu.flow import Stop
from openami.dcu.scheduler import REST_MOST_S, Scheduler
from openami.dcu.threads import WorkThread
from openami.omadm.objects.values import moment

if TYPE_CHECKING:
    from openami.omadm.objects.sched import SchedTask
    from openami.omadm.tree.tree import Execution, ManagementTree

NOON = moment("20260601T120000Z")


class Device:
    """A tree whose Collect does as it is told to."""

    def __init__(self) -> None:
        self.tree: ManagementTree = open_tree()
        self.clock = ManualClock(float(NOON))
        self.done: list[float] = []
        self.failed: list[tuple[str, int]] = []
        self.status = 202
        self.error: Exception | None = None
        self.tree.on_exec("./AMI/Operations", self._execute)
        self.scheduler = self.started()

    def started(self) -> Scheduler:
        """Return what runs after a start."""
        thread = WorkThread("test")
        made = Scheduler(self.tree, "D1", self.clock, Stop(), thread, failed=self._failed)
        self.tree.watch("./SCHED", made)
        return made

    def _execute(self, _execution: Execution) -> int:
        self.done.append(self.clock.now())
        if self.error is not None:
            raise self.error
        return self.status

    def _failed(self, task: SchedTask, status: int) -> None:
        self.failed.append((task.task_id, status))

    def task(self, **values: str) -> None:
        server = Server(self.tree)
        needed = {"TaskID": "T", "Operation": "./AMI/Operations/Collect"}
        for name, value in {**needed, **values}.items():
            if server.replace(f"./SCHED/t/{name}", value) != 200:
                assert server.add(f"./SCHED/t/{name}", value) == 200, server.visit.words

    def at(self, text: str) -> float:
        """Let it be some time; return how long the scheduler then rests."""
        self.clock.set(float(moment(f"20260601T{text}Z")))
        return self.scheduler._round()

    def says(self, leaf: str) -> str:
        return self.tree.text(f"./SCHED/t/{leaf}")


def test_a_task_that_repeats() -> None:
    device = Device()
    device.task(Start="20260101T000000Z", Interval="3600")
    assert device.at("120001") == REST_MOST_S
    assert device.says("NextRun") == "20260601T130000Z"
    assert device.at("125930") == 30.0
    device.at("130000")
    assert device.done == [NOON + 3600.0]
    assert (device.says("LastRun"), device.says("State")) == ("20260601T130000Z", "10")
    assert device.says("NextRun") == "20260601T140000Z"
    assert device.says("LastStatus") == "202"
    device.at("130001")
    assert len(device.done) == 1


def test_times_that_were_slept_through_are_made_up_for_once() -> None:
    device = Device()
    device.task(Start="20260101T000000Z", Interval="3600")
    device.at("130000")
    device.scheduler = device.started()
    device.at("173000")
    assert len(device.done) == 2
    assert device.says("NextRun") == "20260601T180000Z"


def test_a_clock_that_was_wrong_holds_nothing_up_once_it_is_set_back() -> None:
    device = Device()
    device.clock.advance(86_400.0)  # a day ahead when the device starts
    device.scheduler = device.started()
    device.task(Start="20260601T123000Z", Interval="3600")
    device.clock.advance(3600.0)
    device.scheduler._round()
    assert len(device.done) == 1
    device.at("120000")
    assert device.says("NextRun") == "20260601T123000Z"
    device.at("122959")
    assert len(device.done) == 1
    device.at("123000")
    device.at("123001")
    assert len(device.done) == 2
    device.at("122930")  # half a minute back is no reason to do it again
    device.at("123000")
    assert len(device.done) == 2
    assert device.says("NextRun") == "20260601T133000Z"


def test_a_task_of_one_time_is_not_done_again_when_the_clock_is_set_back() -> None:
    device = Device()
    device.task(Start="20260601T123000Z")
    device.at("133000")
    device.at("120000")
    device.at("123000")
    assert len(device.done) == 1


def test_a_task_of_one_time_is_done_once_even_late() -> None:
    device = Device()
    device.task(Start="20260601T110000Z")
    device.at("120001")
    device.at("120002")
    assert len(device.done) == 1
    assert device.says("State") == "30"


def test_a_task_that_ends_or_is_switched_off() -> None:
    device = Device()
    device.task(Start="20260601T123000Z", Interval="3600", Until="20260601T140000Z")
    device.at("123000")
    device.task(Enabled="false")
    device.at("133000")
    assert len(device.done) == 1
    device.task(Enabled="true")
    device.at("133100")
    assert len(device.done) == 2
    assert device.says("State") == "30"


def test_devices_are_spread() -> None:
    device = Device()
    device.task(Start="20260601T123000Z", Spread="3600")
    device.at("123000")
    assert device.done == []
    device.at("133001")
    assert len(device.done) == 1


@pytest.mark.parametrize("error", [None, StoreFullError("no room")])
def test_a_task_that_fails_is_told_of(error: Exception | None) -> None:
    device = Device()
    device.status, device.error = 500, error
    device.task(Start="20260601T110000Z")
    device.at("120001")
    assert device.failed == [("T", 500)]
    assert (device.says("State"), device.says("LastStatus")) == ("40", "500")


def test_an_operation_that_nobody_knows_is_refused() -> None:
    device = Device()
    server = Server(device.tree)
    assert server.add("./SCHED/x/TaskID", "X") == 200
    assert server.add("./SCHED/x/Start", "20260601T110000Z") == 200
    assert server.add("./SCHED/x/Operation", "./AMI/Collection") == 500
    assert "executes" in server.visit.words
    device.task(Start="20260601T110000Z")
    device.tree._executors.clear()
    device.at("120001")
    assert device.says("LastStatus") == "404"


async def test_the_loop_wakes_up_for_what_is_new() -> None:
    device = Device()
    stop = Stop()
    scheduler = device.scheduler
    scheduler._stop = stop

    def once(_execution: Execution) -> int:
        stop.set()
        return 200

    device.tree.on_exec("./AMI/Operations/Report", once)
    device.task(Start="20260601T110000Z", Operation="./AMI/Operations/Report")
    assert scheduler.nudge.is_set()
    with suppress(TimeoutError):
        await scheduler.run()
    assert device.says("LastStatus") == "200"


async def test_without_room_to_note_it_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    device.task(Start="20260601T110000Z")
    stop = Stop()
    device.scheduler._stop = stop

    def full(*_: object) -> None:
        stop.set()
        raise StoreFullError("no room")

    monkeypatch.setattr(device.tree._store, "commit", full)
    await device.scheduler.run()
    assert device.done == []


async def test_who_waits_for_the_disk_is_the_scheduler_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Device()
    device.task(Start="20260601T110000Z")
    store = device.tree._store
    commit, waits, go = store.commit, threading.Event(), threading.Event()

    def slowly(*changes: Any) -> None:
        waits.set()
        assert go.wait(60)
        commit(*changes)

    monkeypatch.setattr(store, "commit", slowly)
    device.scheduler._stop = stop = Stop()
    running = asyncio.ensure_future(device.scheduler.run())
    while not waits.is_set():  # in an event loop that goes on
        await asyncio.sleep(0.01)
    assert device.says("LastRun") == ""
    stop.set()
    go.set()
    await asyncio.wait_for(running, 60)
    assert device.says("LastStatus") == "202"  # what was begun was brought to its end


def test_a_dcu_that_is_to_end_begins_no_other_task() -> None:
    device = Device()
    device.task(Start="20260601T110000Z")
    device.scheduler._stop = stop = Stop()
    stop.set()
    device.at("120001")
    assert device.done == []


async def test_once_there_is_room_again_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_module, "REST_MOST_S", 0.01)
    device = Device()
    device.task(Start="20260601T110000Z")
    store = device.tree._store
    stop, commit, faults = Stop(), store.commit, [StoreFullError("no room")] * 2
    device.scheduler._stop = stop

    def full_at_first(*changes: Any) -> None:
        if faults:
            raise faults.pop()
        commit(*changes)
        if device.done:  # its end is noted
            stop.set()

    monkeypatch.setattr(store, "commit", full_at_first)
    await asyncio.wait_for(device.scheduler.run(), 30)
    assert not faults
    assert len(device.done) == 1
