"""What fails at many devices is an alarm, once; one device fills no log and no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from openami.core.errors import StoreError
from openami.fleet.desired import Refusal, Scope, ScopeKind, Setting, Step, StepKind, Wish
from openami.fleet.tasks import Result, Task, TaskState
from openami.headend.management import troubles as module
from openami.headend.management.troubles import MANY, TASK_FAILED, Troubles
from openami.headend.metrics import Metrics

if TYPE_CHECKING:
    from openami.headend.services import Services, Stores


@pytest.fixture
def troubles(services: Services) -> Troubles:
    return Troubles(services.alarms, Metrics())


def failed(number: int, state: TaskState = TaskState.FAILED, job: str = "j1") -> Task:
    return Task(job, f"D{number}", 100.0, state=state, updated=float(number), status=500)


def alarms(stores: Stores) -> list[tuple[str, str]]:
    return [(one.subject, one.code) for one in stores.alarms.list().items]


def test_a_job_that_fails_at_many_devices_is_an_alarm(troubles: Troubles, stores: Stores) -> None:
    for number in range(MANY - 1):
        for _ in range(3):  # again and again at one device is one device
            troubles.moved("get", failed(number))
        troubles.moved("get", failed(100 + number, TaskState.DONE))
        troubles.moved("get", failed(200 + number, job="j2"))
    assert alarms(stores) == []
    for number in range(MANY, MANY + 20):
        troubles.moved("exec", failed(number, TaskState.UNKNOWN))
    assert alarms(stores) == [("job:j1", "dm.failed")]


def test_a_task_of_their_own_that_fails_at_many_devices_is_an_alarm(
    troubles: Troubles, stores: Stores
) -> None:
    told = Result("./SCHED/night", 500, "chr", "500")
    for number in range(MANY):
        assert alarms(stores) == []
        troubles.told(f"D{number}", [TASK_FAILED], told, now=1.0)
        troubles.told(f"D{number}", ["urn:another"], told, now=1.0)
    assert alarms(stores) == [("node:./SCHED/night", "dm.failed")]


def test_a_refusal_is_an_alarm_for_each_who_wants_what_is_refused(
    troubles: Troubles, stores: Stores
) -> None:
    scopes = [Scope(ScopeKind.GROUP, "north"), Scope(ScopeKind.DEVICE, "D1")]
    steps = [
        Step(StepKind.REPLACE, Wish(scope, Setting("./AMI/Link/Window", "int", "99")))
        for scope in scopes * 2
    ]
    troubles.refused("D1", [Refusal(step, 500) for step in steps], now=1.0)
    assert sorted(alarms(stores)) == [("dcu-D1", "dm.refused"), ("group:north", "dm.refused")]


def test_an_alarm_that_could_not_be_raised_is_raised_by_the_next(
    troubles: Troubles, services: Services, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("busy")

    with monkeypatch.context() as patched:
        patched.setattr(services.alarms, "about", fail)
        for number in range(MANY):
            troubles.moved("get", failed(number))
    assert alarms(stores) == []
    troubles.moved("get", failed(MANY))
    assert alarms(stores) == [("job:j1", "dm.failed")]


def test_what_is_counted_is_bounded(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCHED", 4)
    troubles = Troubles(services.alarms, Metrics())
    for number in range(9):
        troubles.told("D1", [TASK_FAILED], Result(f"./SCHED/{number}", 500), now=1.0)
    assert list(troubles._failures) == [f"node:./SCHED/{n}" for n in (5, 6, 7, 8)]


def test_lines_about_one_device_are_seldom(troubles: Troubles) -> None:
    with structlog.testing.capture_logs() as logged:
        for second in range(120):
            told = Result(f"./x/{second}", 500, "chr", str(second))
            troubles.told("D1", [f"urn:{second}"], told, now=float(second))
            troubles.unreadable("D1", "./AMI", "protocol.decode", now=float(second))
            troubles.moved("get", failed(1, job=f"j{second}"))
    events = [line["event"] for line in logged]
    assert {event: events.count(event) for event in set(events)} == {
        "a device tells": 2, "a tree is unreadable": 2, "a task has failed": 1,
    }  # fmt: skip
