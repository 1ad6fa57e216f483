"""Devices that ask at one moment are answered together, and what fails for one fails for no other."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from tests.support.dm_planned import add_devices
from tests.support.dossiers import saw

from openami.core.clock import ManualClock
from openami.core.errors import StoreError, StoreFullError
from openami.fleet.desired import KnownNode, Scope, Setting
from openami.fleet.tasks import Command, ManagementJob, TaskKind, TaskState
from openami.headend.bus import LocalBus, Topic
from openami.headend.management.moments import once_each
from openami.headend.management.planner import TreePlanner
from openami.headend.management.troubles import Troubles
from openami.headend.metrics import Metrics
from openami.headend.security.alarms import Alarms
from openami.omadm.session.events import End, OrderDone, SessionEnded
from openami.store.relational import RelationalStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from openami.core.errors import OpenAmiError
    from openami.headend.bus import LiveEvent
    from openami.headend.management.ports import Answer, Asked
    from openami.omadm.session.events import Order

NOW = 1_800_000_000.0
WINDOW = "./AMI/Link/Window"
UIDS = ("D1", "D2", "D3")


class Heard(LocalBus):
    """A bus whose events are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[LiveEvent] = []

    def publish(self, event: LiveEvent) -> None:
        self.heard.append(event)


class Fleet:
    """Devices whose trees are known, with a task each, and the planner that they ask."""

    def __init__(self, store: RelationalStore) -> None:
        self.store = store
        self.bus = Heard()
        self.heard = self.bus.heard
        self.metrics = Metrics()
        self.alarms = Alarms(store.alarms, bus=self.bus, wall=ManualClock(NOW))
        self.planner = TreePlanner(
            store.dossiers, bus=self.bus, troubles=Troubles(self.alarms, self.metrics)
        )
        add_devices(store, *UIDS)
        for uid in UIDS:
            saw(store, uid, [], [KnownNode(WINDOW, "int", "1")], now=NOW, whole=True)
        self.job("j1", TaskKind.SET, Command(WINDOW, "int", "4"))

    def job(self, name: str, kind: TaskKind, *commands: Command) -> None:
        self.store.tasks.add(
            ManagementJob(name, kind, commands, "anna", NOW, NOW + 1e6, devices=UIDS)
        )

    def plan(self, uid: str) -> Asked:
        return uid, lambda: self.planner.plan(uid, now=NOW)

    def done(self, uid: str, orders: Sequence[Order], status: int = 200) -> Asked:
        ends = [OrderDone(order.id, status) for order in orders]
        return uid, lambda: self.planner.done(uid, ends, session=1, now=NOW)

    def states(self, name: str = "j1") -> list[str]:
        return [task.state.value for task in self.store.tasks.tasks(name).items]

    def commits(self) -> list[None]:
        made: list[None] = []
        event.listen(self.store._engine, "commit", lambda _: made.append(None))
        return made


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with closing(RelationalStore.open(tmp_path / "db.sqlite")) as store:
        yield Fleet(store)


def ids(answer: Answer) -> list[str]:
    assert not isinstance(answer, Exception), answer
    return [order.id.partition("-")[0] for order in answer]


def orders(answers: Sequence[Answer]) -> dict[str, Sequence[Order]]:
    found = dict(zip(UIDS, answers, strict=True))
    return {uid: answer for uid, answer in found.items() if not isinstance(answer, Exception)}


def test_what_is_asked_at_one_moment_is_kept_at_once(fleet: Fleet) -> None:
    commits = fleet.commits()
    answers = fleet.planner.together([fleet.plan(uid) for uid in UIDS])
    assert [ids(answer) for answer in answers] == [["job"]] * 3
    assert len(commits) == 1
    assert fleet.states() == ["sent"] * 3
    told = orders(answers)
    commits.clear()
    answers = fleet.planner.together([fleet.done(uid, told[uid]) for uid in UIDS])
    assert list(answers) == [()] * 3
    assert len(commits) == 1
    assert fleet.states() == ["done"] * 3
    assert [fleet.store.trees.known(uid)[WINDOW].value for uid in UIDS] == ["4"] * 3
    moved = [(one.dcu, one.data["state"]) for one in fleet.heard if one.topic is Topic.JOB]
    assert sorted(moved) == [(uid, state) for uid in UIDS for state in ("done", "sent")]


def test_who_asks_for_nothing_that_is_kept_opens_nothing(fleet: Fleet) -> None:
    commits = fleet.commits()
    assert fleet.planner.together([fleet.done("D1", ())]) == [()]
    assert commits == []


def test_an_error_in_one_question_is_no_others_loss(fleet: Fleet) -> None:
    broken = RuntimeError("a bug")

    def fail() -> Sequence[Order]:
        fleet.planner.plan("D2", now=NOW)  # has its task sent
        raise broken

    answers = fleet.planner.together([fleet.plan("D1"), ("D2", fail), fleet.plan("D3")])
    assert [ids(answers[0]), answers[1], ids(answers[2])] == [["job"], broken, ["job"]]
    assert fleet.states() == ["sent", "queued", "sent"]
    assert {one.dcu for one in fleet.heard} == {"D1", "D3"}
    assert fleet.planner.together([fleet.done("D2", ())]) == [()]  # it is in no session
    [again] = fleet.planner.together([fleet.plan("D2")])
    assert ids(again) == ["job"]
    assert fleet.states() == ["sent"] * 3
    [task] = [task for task in fleet.store.tasks.tasks("j1").items if task.uid == "D2"]
    assert task.attempts == 1


@pytest.mark.parametrize(
    "error",
    [StoreError("locked", code="store.busy"), StoreFullError("no room")],
    ids=lambda error: error.code,
)
def test_a_failed_commit_has_changed_nothing(fleet: Fleet, error: OpenAmiError) -> None:
    told = orders(fleet.planner.together([fleet.plan(uid) for uid in UIDS]))
    fleet.heard.clear()
    faults = [error]

    def commits(_: Any) -> None:
        if faults:
            raise faults.pop()

    event.listen(fleet.store._engine, "commit", commits)
    questions = [fleet.done(uid, told[uid]) for uid in UIDS]
    assert list(fleet.planner.together(questions)) == [error] * 3
    assert (fleet.states(), fleet.heard) == (["sent"] * 3, [])
    sample = fleet.metrics.registry.get_sample_value
    done = {"kind": "set", "state": TaskState.DONE.value}
    assert sample("openami_dm_tasks_total", done) is None
    assert list(fleet.planner.together(questions)) == [()] * 3  # with the same
    assert fleet.states() == ["done"] * 3
    assert sample("openami_dm_tasks_total", done) == 3
    assert len([one for one in fleet.heard if one.topic is Topic.JOB]) == 3


def test_what_cannot_be_kept_of_one_is_no_others_loss(fleet: Fleet) -> None:
    told = orders(fleet.planner.together([fleet.plan(uid) for uid in UIDS]))

    def refuses(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("INSERT INTO dm_change") and "D2" in repr(parameters):
            raise StoreError("this text is none", code="store.failed")

    event.listen(fleet.store._engine, "before_cursor_execute", refuses)
    answers = fleet.planner.together([fleet.done(uid, told[uid]) for uid in UIDS])
    assert [getattr(answer, "code", answer) for answer in answers] == [(), "store.failed", ()]
    assert fleet.states() == ["done", "sent", "done"]
    event.remove(fleet.store._engine, "before_cursor_execute", refuses)
    assert fleet.planner.together([fleet.done("D2", told["D2"])]) == [()]
    assert fleet.states() == ["done"] * 3


def test_a_store_that_cannot_be_read_is_not_asked_for_each(fleet: Fleet) -> None:
    tried: list[None] = []

    def begins(_: Any) -> None:
        tried.append(None)
        raise StoreError("locked", code="store.busy")

    event.listen(fleet.store._engine, "begin", begins, insert=True)
    answers = fleet.planner.together([fleet.plan(uid) for uid in UIDS])
    assert [getattr(answer, "code", None) for answer in answers] == ["store.busy"] * 3
    assert len(tried) == 1


def test_a_device_that_asks_twice_is_answered_twice(fleet: Fleet) -> None:
    """Its first message was not waited for, so that it has sent it again."""
    first, other, again = fleet.planner.together(
        [fleet.plan("D1"), fleet.plan("D2"), fleet.plan("D1")]
    )
    assert [ids(first), ids(other), ids(again)] == [["job"]] * 3
    assert {task.uid: task.attempts for task in fleet.store.tasks.tasks("j1").items} == {
        "D1": 2, "D2": 1, "D3": 0,
    }  # fmt: skip
    assert [[uid for uid, _ in some] for some in once_each([fleet.plan(u) for u in "ABACA"])] == [
        ["A", "B"], ["A", "C"], ["A"],
    ]  # fmt: skip


def test_an_alarm_that_cannot_be_raised_is_raised_after_the_next_moment(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = Scope.parse("device:D1")
    fleet.store.tasks.cancel("j1", who="anna", now=NOW)
    fleet.store.trees.want(scope, [Setting(WINDOW, "int", "99")], who="anna", now=NOW)
    [pushed] = fleet.planner.together([fleet.plan("D1")])
    assert not isinstance(pushed, Exception)
    add, faults = fleet.store.alarms.add, [StoreError("locked", code="store.busy")]

    def later(*args: Any, **options: Any) -> Any:
        if faults:
            raise faults.pop()
        return add(*args, **options)

    monkeypatch.setattr(fleet.store.alarms, "add", later)
    assert fleet.planner.together([fleet.done("D1", pushed, 500)]) == [()]
    node = fleet.store.trees.known("D1")[WINDOW]
    assert (node.status, fleet.store.alarms.list().items) == (500, ())
    fleet.planner.together([fleet.plan("D2")])
    assert [alarm.subject for alarm in fleet.store.alarms.list().items] == ["dcu-D1"]


def test_who_cannot_be_told_costs_nobody_his_answer(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, faults = fleet.bus.publish, [KeyError("a bug of a listener's")]

    def fails_once(event: LiveEvent) -> None:
        if faults:
            raise faults.pop()
        heard(event)

    monkeypatch.setattr(fleet.bus, "publish", fails_once)
    answers = fleet.planner.together([fleet.plan(uid) for uid in UIDS])
    assert [ids(answer) for answer in answers] == [["job"]] * 3
    assert [task.attempts for task in fleet.store.tasks.tasks("j1").items] == [1, 1, 1]
    assert [one.dcu for one in fleet.heard if one.topic is Topic.JOB] == ["D2", "D3"]


def test_a_store_that_cannot_be_told_is_not_asked_for_each_alarm(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.store.tasks.cancel("j1", who="anna", now=NOW)
    for uid in UIDS:
        scope = Scope.parse(f"device:{uid}")
        fleet.store.trees.want(scope, [Setting(WINDOW, "int", "99")], who="anna", now=NOW)
    told = orders(fleet.planner.together([fleet.plan(uid) for uid in UIDS]))
    add = fleet.store.alarms.add
    tried: list[str] = []

    def locked(code: str, subject: str, *_: Any, **__: Any) -> Any:
        tried.append(subject)
        raise StoreError("locked", code="store.busy")

    monkeypatch.setattr(fleet.store.alarms, "add", locked)
    fleet.planner.together([fleet.done(uid, told[uid], 500) for uid in UIDS])
    assert tried == ["dcu-D1"]
    monkeypatch.setattr(fleet.store.alarms, "add", add)
    fleet.planner.together([fleet.plan("D1")])
    found = {alarm.subject for alarm in fleet.store.alarms.list().items}
    assert found == {"dcu-D1", "dcu-D2", "dcu-D3"}


def test_nobody_asks_about_another_or_out_of_turn(fleet: Fleet) -> None:
    [answer] = fleet.planner.together([("D1", fleet.plan("D2")[1])])
    assert isinstance(answer, RuntimeError)
    with pytest.raises(AttributeError):
        fleet.planner.plan("D1", now=NOW)
    assert fleet.states() == ["queued"] * 3


def test_a_session_that_is_over_is_forgotten(fleet: Fleet) -> None:
    [told] = fleet.planner.together([fleet.plan("D1")])
    assert not isinstance(told, Exception)
    for uid in ("D1", "D9"):
        fleet.planner.ended(uid, SessionEnded(End.TIMEOUT), session=1, now=NOW)
    assert fleet.planner.together([fleet.done("D1", told)]) == [()]
    assert fleet.states() == ["sent", "queued", "queued"]
