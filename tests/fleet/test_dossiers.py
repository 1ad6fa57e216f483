"""What sessions change in the dossier of a device, without any store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import NotFoundError
from openami.fleet.desired import KnownNode, Setting, is_below
from openami.fleet.dossiers import FACTS, Changed, Dossier
from openami.fleet.management import Outcome
from openami.fleet.tasks import Answered, Command, Lost, ManagementJob, Task, TaskKind, TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WINDOW = "./AMI/Link/Window"
RETRIES = "./AMI/Link/Retries"
FOLDER = "./AMI/Meters/7"
SERIAL = f"{FOLDER}/Serial"


@dataclass
class Shelf:
    """What there is to be read, and what was asked for."""

    nodes: dict[str, KnownNode] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def named(self, uid: str, uris: Sequence[str]) -> Mapping[str, KnownNode]:
        self.asked.append(("named", uid, *uris))
        return {uri: self.nodes[uri] for uri in uris if uri in self.nodes}

    def below(self, uid: str, tops: Sequence[str]) -> Mapping[str, KnownNode]:
        self.asked.append(("below", uid, *tops))
        return {
            uri: node
            for uri, node in self.nodes.items()
            if any(uri == top or is_below(uri, top) for top in tops)
        }

    def task(self, uid: str, job: str) -> Task:
        self.asked.append(("task", uid, job))
        if job not in self.tasks:
            raise NotFoundError(f"job {job} has no device {uid}")
        return self.tasks[job]


def leaf(uri: str, value: str = "1", *, refused: str | None = None) -> KnownNode:
    if refused is None:
        return KnownNode(uri, "int", value)
    no = Setting(uri, "int", refused)
    return KnownNode(uri, "int", value, refused=no, status=500, words="no", bond=uri)


def dossier(*nodes: KnownNode, shelf: Shelf | None = None, **parts: object) -> Dossier:
    known = {node.uri: node for node in nodes}
    return Dossier("D1", shelf or Shelf(), nodes=dict(known), **parts)  # type: ignore[arg-type]  # any part


def set_to(uri: str, value: str, status: int = 200, *, pushed: bool = True) -> Outcome:
    return Outcome(Setting(uri, "int", value), status, "x", pushed=pushed)


def test_what_is_not_there_is_read_once() -> None:
    shelf = Shelf({node.uri: node for node in (leaf(FOLDER), leaf(SERIAL), leaf(WINDOW))})
    one = dossier(shelf=shelf)
    assert list(one.below([FOLDER])) == list(one.below([FOLDER])) == [FOLDER, SERIAL]
    one.settle([set_to(WINDOW, "4"), set_to(RETRIES, "5", 0)], now=2.0)
    one.settle([set_to(WINDOW, "5")], now=3.0)
    assert shelf.asked == [("below", "D1", FOLDER), ("named", "D1", WINDOW, RETRIES)]
    assert one.known[WINDOW].value == "5"
    assert RETRIES not in one.known  # no answer brings nothing
    assert one.changed.nodes == {WINDOW}
    assert [(change.old, change.new) for change in one.changed.history] == [("1", "4"), ("4", "5")]


def test_what_has_changed_is_newer_than_what_is_read() -> None:
    shelf = Shelf({node.uri: node for node in (leaf(FOLDER), leaf(SERIAL))})
    one = dossier(shelf=shelf)
    one.settle([set_to(SERIAL, "2")], now=2.0)
    assert one.below([FOLDER])[SERIAL].value == "2"
    one.settle([Outcome(Setting(FOLDER), 200, "x", pushed=True)], now=3.0)
    assert one.below([FOLDER]) == {}
    assert one.changed.nodes == {FOLDER, SERIAL}
    assert one.nodes[SERIAL] is None


def test_a_look_tells_what_is_other_and_what_has_gone() -> None:
    one = dossier(leaf(WINDOW), leaf(SERIAL), complete={"./AMI"}, known_at=1.0)
    one.saw(["./AMI"], [leaf(WINDOW, "2")], now=5.0, whole=False)
    assert (one.known[WINDOW].value, SERIAL in one.known) == ("2", False)
    assert (one.known_at, one.changed.known) == (1.0, False)
    one.saw(["./AMI"], [leaf(WINDOW, "2")], now=6.0, whole=True)
    assert (one.known_at, one.changed.known) == (6.0, True)
    one.doubt()
    assert one.known_at is None
    one.wake(9.0)
    assert one.changed.wake == 9.0
    one.discard()
    assert one.changed == Changed()


@pytest.mark.parametrize(
    ("told", "forgiven"), [(FACTS, True), ("./DevDetail", True), ("./SCHED", False)]
)
def test_another_software_is_forgiven_what_was_refused(told: str, *, forgiven: bool) -> None:
    version = f"{told}/SwV"
    one = dossier(leaf(WINDOW, refused="9"), leaf(version, "1"), complete={told})
    one.saw([told], [leaf(version, "1")], now=5.0, whole=False)
    assert one.known[WINDOW].refused is not None
    one.saw([told], [leaf(version, "2")], now=6.0, whole=False)
    node = one.known[WINDOW]
    assert (node.refused is None, node.status is None) == (forgiven, forgiven)
    assert node.bond == WINDOW  # what was refused together is tried together


def test_what_a_job_sets_is_forgiven_in_its_object_alone() -> None:
    other = "./SCHED/night/Start"
    nodes = [leaf(WINDOW, refused="9"), leaf(RETRIES), leaf(other, refused="9")]
    one = dossier(*nodes)
    one.settle([set_to(RETRIES, "4")], now=5.0)  # as it was wanted
    assert one.known[WINDOW].refused is not None
    one.settle([set_to(RETRIES, "5", pushed=False)], now=5.0)
    assert one.known[WINDOW].refused is None
    assert one.known[other].refused is not None
    assert one.changed.nodes == {WINDOW, RETRIES}


def job(name: str, kind: TaskKind = TaskKind.GET) -> ManagementJob:
    return ManagementJob(name, kind, (Command(WINDOW),), "anna", 1.0, 100.0, devices=("D1",))


def test_tasks_move_in_the_order_of_their_jobs() -> None:
    jobs = {name: job(name) for name in ("j1", "j2", "j3")}
    jobs["once"] = job("once", TaskKind.EXEC)
    tasks = {name: Task(name, "D1", 100.0, once=each.once) for name, each in jobs.items()}
    one = dossier(jobs=jobs, tasks=tasks)
    assert one.waiting
    started = one.start(now=5.0, fresh=True, limit=2)
    assert [(each.id, task.state.value) for each, task in started] == [
        ("j1", "sent"), ("j2", "sent"),
    ]  # fmt: skip
    assert [each.id for each, _ in one.start(now=5.0, fresh=False, limit=9)] == ["j3", "once"]
    assert one.start(now=5.0, fresh=False, limit=9) == ()
    one.discard()
    again = one.start(now=6.0, fresh=True, limit=2)  # another session
    assert [(each.id, task.state.value) for each, task in again] == [
        ("j1", "sent"), ("j2", "sent"), ("j3", "queued"), ("once", "unknown"),
    ]  # fmt: skip
    assert one.changed.tasks == set(jobs)


def test_a_task_that_does_not_wait_is_read() -> None:
    shelf = Shelf(tasks={"old": Task("old", "D1", 9.0, state=TaskState.EXPIRED)})
    one = dossier(shelf=shelf)
    assert not one.waiting
    assert one.apply("old", Lost(5.0)).state is TaskState.EXPIRED
    assert one.changed.tasks == set()
    assert one.apply("old", Answered(6.0, 200)).state is TaskState.DONE
    assert one.changed.tasks == {"old"}
    assert shelf.asked == [("task", "D1", "old")]
    with pytest.raises(NotFoundError):
        one.apply("none", Answered(6.0, 200))
