"""What is wanted of a device reaches its tree, session by session, whatever happens."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import structlog
from tests.support.dm_planned import UID, Plant, add_devices
from tests.support.dossiers import saw

from openami.core.errors import StoreError
from openami.fleet.desired import Group, Scope, ScopeKind, Setting
from openami.fleet.devices import DeviceKind
from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import Command, ManagementJob, TaskKind, TaskState
from openami.headend.management import turns
from openami.headend.management.answers import found_nodes
from openami.headend.metrics import Metrics
from openami.omadm.codes import AlertCode
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Alert, Item, Location, Meta
from openami.omadm.session.events import NO_ANSWER, OrderDone
from openami.store.relational import RelationalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from openami.fleet.desired import KnownNode
    from openami.fleet.dossiers import Dossier, Dossiers, Reader
    from openami.fleet.tasks import Task
    from openami.omadm.objects.ami import AmiConfig
    from openami.omadm.session.events import Order

DEVICE = Scope(ScopeKind.DEVICE, UID)
WINDOW = "./AMI/Link/Window"
RETRIES = "./AMI/Link/Retries"
SERIAL = "./AMI/Meters/7/Serial"
COLLECT = "./AMI/Operations/Collect"
TREE_CHANGED = Alert(
    0,
    AlertCode.GENERIC,
    (Item(meta=Meta(format="chr", type="urn:openami:alert:tree-changed"), data=""),),
)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    store = RelationalStore.open(tmp_path / "db.sqlite")
    add_devices(store, UID)
    yield Plant(store)
    store.close()


def want(plant: Plant, *settings: Setting) -> None:
    plant.store.trees.want(DEVICE, settings, who="anna", now=plant.now)


def number(uri: str, value: int) -> Setting:
    return Setting(uri, "int", str(value))


def ask(
    plant: Plant, kind: TaskKind, *commands: Command, name: str = "j1", repeatable: bool = False
) -> None:
    job = ManagementJob(
        name,
        kind,
        commands,
        "anna",
        plant.now,
        plant.now + 1e6,
        devices=(UID,),
        repeatable=repeatable,
    )
    plant.store.tasks.add(job)


def task(plant: Plant, name: str = "j1") -> Task:
    [found] = plant.store.tasks.tasks(name).items
    return found


@pytest.mark.parametrize("media", list(MediaType))
def test_the_first_session_makes_the_tree_known(plant: Plant, media: MediaType) -> None:
    plant.media = media
    assert plant.session() == 2
    known = plant.store.trees.known(UID)
    assert known[WINDOW].value == plant.tree.text(WINDOW)
    assert known[WINDOW].format == "int"
    assert known["./DevInfo/Man"].value == "openami"
    assert known["./DevDetail/FwV"].value == "1.0"
    assert known["./AMI"].format == "node"
    assert {"./SCHED", "./DMAcc", "./FUMO", "./SCOMO"} <= known.keys()
    assert plant.store.trees.known_at(UID) == plant.now
    assert plant.store.trees.history(UID).items == ()
    assert plant.session() == 1  # there is nothing left to say
    assert plant.orders == []


TASK = {
    "Enabled": ("bool", "false"),
    "Interval": ("int", "3600"),
    "Operation": ("chr", COLLECT),
    "Spread": ("int", "60"),
    "Start": ("chr", "20260101T000000Z"),
    "TaskID": ("chr", "nightly"),
}


def test_a_whole_task_is_wanted_though_some_of_it_comes_by_itself(plant: Plant) -> None:
    plant.session()
    want(plant, *(Setting(f"./SCHED/night/{leaf}", *told) for leaf, told in TASK.items()))
    assert plant.session() <= 4  # not one by one, having been refused together
    assert {leaf: plant.tree.text(f"./SCHED/night/{leaf}") for leaf in TASK} == {
        leaf: value for leaf, (_, value) in TASK.items()
    }


def test_a_job_makes_a_whole_task_in_any_order(plant: Plant) -> None:
    plant.session()
    leaves = sorted(TASK, reverse=True)
    ask(plant, TaskKind.SET, *(Command(f"./SCHED/night/{leaf}", *TASK[leaf]) for leaf in leaves))
    plant.session()
    assert task(plant).state is TaskState.DONE
    assert plant.tree.text("./SCHED/night/Interval") == "3600"
    assert plant.tree.text("./SCHED/night/Enabled") == "false"


@pytest.mark.parametrize("media", list(MediaType))
def test_what_is_wanted_is_pushed_together(plant: Plant, media: MediaType) -> None:
    plant.media = media
    want(
        plant,
        number(WINDOW, 3),
        number(RETRIES, 9),
        Setting(SERIAL, "chr", "A7"),
        Setting("./SCHED/night/Start", "chr", "20260101T000000Z"),
    )
    plant.session()
    assert [plant.tree.text(uri) for uri in (WINDOW, RETRIES, SERIAL)] == ["3", "9", "A7"]
    assert plant.tree.text("./SCHED/night/Start") == "20260101T000000Z"
    assert len(plant.applied) == 1  # AMI has changed once
    known = plant.store.trees.known(UID)
    assert known[SERIAL].value == "A7"
    assert known["./AMI/Meters/7/Enabled"].value == "true"  # it has come along, and was seen
    changes = {c.uri: (c.old, c.new, c.origin) for c in plant.store.trees.history(UID).items}
    assert changes[WINDOW] == ("1", "3", f"device:{UID}")
    assert changes[SERIAL] == (None, "A7", f"device:{UID}")
    assert changes["./AMI/Meters/7/Enabled"][2] == "device"
    assert plant.session() == 1


def test_what_is_not_to_be_goes(plant: Plant) -> None:
    want(plant, Setting(SERIAL, "chr", "A7"))
    plant.session()
    plant.store.trees.unwant(DEVICE, [SERIAL], who="anna", now=plant.now)
    want(plant, Setting("./AMI/Meters/7"))
    plant.session()
    assert plant.tree.names("./AMI/Meters") == ()
    assert not [uri for uri in plant.store.trees.known(UID) if uri.startswith("./AMI/Meters/")]
    assert plant.session() == 1


def test_a_refused_value_leaves_the_old_and_is_not_sent_again(plant: Plant) -> None:
    plant.session()
    want(plant, number(WINDOW, 99), number(RETRIES, 9))
    plant.session()
    assert (plant.tree.text(WINDOW), plant.tree.text(RETRIES)) == ("1", "9")
    node = plant.store.trees.known(UID)[WINDOW]
    assert (node.value, node.refused, node.status) == ("1", number(WINDOW, 99), 500)
    assert node.words == "the value is 1 to 7"
    assert plant.store.trees.known(UID)[RETRIES].value == "9"
    [refused] = [c for c in plant.store.trees.history(UID).items if c.uri == WINDOW]
    assert (refused.old, refused.new, refused.status) == ("1", "99", 500)
    assert refused.words == "the value is 1 to 7"
    plant.session()
    assert plant.orders == []
    plant.store.trees.forgive(UID, who="anna", now=plant.now)
    plant.session()
    assert len(plant.orders) == 1
    want(plant, number(WINDOW, 5))
    plant.session()
    assert plant.tree.text(WINDOW) == "5"
    assert plant.store.trees.known(UID)[WINDOW].refused is None


def test_values_that_do_not_go_together_are_refused_together(plant: Plant) -> None:
    plant.session()
    first, most = "./AMI/Segment/BackoffFirst", "./AMI/Segment/BackoffMost"
    before = plant.tree.text(first), plant.tree.text(most)
    want(plant, Setting(first, "float", "500"), Setting(most, "float", "400"))
    plant.session()
    assert (plant.tree.text(first), plant.tree.text(most)) == before
    known = plant.store.trees.known(UID)
    assert {known[first].status, known[most].status} == {507}
    # What the device says of both is said of each.
    why = "Segment/BackoffFirst is at most Segment/BackoffMost"
    assert {known[first].words, known[most].words} == {why}
    want(plant, Setting(most, "float", "600"))  # so the other may be right now
    plant.session()
    assert (plant.tree.text(first), plant.tree.text(most)) == ("500", "600")
    assert plant.store.trees.known(UID)[first].refused is None


def test_what_was_refused_keeps_no_later_wish_out(plant: Plant) -> None:
    plant.session()
    first, most = "./AMI/Segment/BackoffFirst", "./AMI/Segment/BackoffMost"
    want(plant, Setting(first, "float", "500"), Setting(most, "float", "400"))
    want(plant, number(RETRIES, 99))
    plant.session()
    want(plant, number(WINDOW, 5))
    plant.session()
    assert plant.tree.text(WINDOW) == "5"
    known = plant.store.trees.known(UID)
    assert known[WINDOW].refused is None
    assert known[first].status == known[most].status
    assert known[RETRIES].status == 500
    plant.session()
    assert plant.orders == []  # nothing is told in each session for ever
    plant.store.trees.forgive(UID, who="anna", now=plant.now)
    want(plant, number(WINDOW, 4))  # before it is tried again: still apart
    plant.session()
    assert plant.tree.text(WINDOW) == "4"
    want(plant, Setting(most, "float", "600"), number(WINDOW, 3))
    plant.session()
    assert [plant.tree.text(uri) for uri in (first, most, WINDOW)] == ["500", "600", "3"]
    assert plant.store.trees.known(UID)[RETRIES].status == 500
    plant.session()
    assert plant.orders == []


def test_what_was_refused_is_tried_when_the_rest_is_as_wanted(plant: Plant) -> None:
    first, most = "./AMI/Segment/BackoffFirst", "./AMI/Segment/BackoffMost"
    want(plant, Setting(first, "float", "500"))
    plant.session()
    want(plant, Setting(most, "float", "400"))
    plant.session()
    assert plant.store.trees.known(UID)[most].status == 500
    want(plant, Setting(first, "float", "100"), number(RETRIES, 99))
    plant.session()
    assert (plant.tree.text(first), plant.tree.text(most)) == ("100", "400")


def test_a_device_may_refuse_by_itself(plant: Plant) -> None:
    def refuse(config: AmiConfig) -> None:
        if config.link.window > 5:
            raise ValueError("this modem takes a window of 5")

    plant.refuse = refuse
    want(plant, number(WINDOW, 6))
    plant.session()
    assert plant.tree.text(WINDOW) == "1"
    node = plant.store.trees.known(UID)[WINDOW]
    assert (node.status, node.words) == (500, "this modem takes a window of 5")
    assert all(config.link.window == 1 for config in plant.applied)


def test_what_the_device_changes_by_itself_is_put_right(plant: Plant) -> None:
    want(plant, number(WINDOW, 3))
    plant.session()
    plant.set(WINDOW, "2")
    plant.set(RETRIES, "8")
    plant.session()
    assert plant.tree.text(WINDOW) == "2"  # nobody knows
    plant.session(TREE_CHANGED)
    assert plant.tree.text(WINDOW) == "3"
    told = [(c.uri, c.old, c.new, c.origin) for c in plant.store.trees.history(UID, limit=3).items]
    assert set(told) == {
        (WINDOW, "2", "3", f"device:{UID}"),
        (WINDOW, "3", "2", "device"),
        (RETRIES, "3", "8", "device"),
    }
    assert plant.store.trees.known_at(UID) == plant.now


def test_a_look_is_taken_when_asked_for(plant: Plant) -> None:
    plant.session()
    plant.set(RETRIES, "8")
    plant.store.trees.doubt(UID)
    plant.session()
    assert plant.store.trees.known(UID)[RETRIES].value == "8"


@pytest.mark.parametrize("media", list(MediaType))
def test_a_get_gives_values_and_refusals(plant: Plant, media: MediaType) -> None:
    plant.media = media
    plant.session()
    ask(
        plant,
        TaskKind.GET,
        Command(WINDOW),
        Command("./AMI/Segment?list=TNDS"),
        Command("./AMI"),
        Command("./Nowhere"),
    )
    ask(plant, TaskKind.GET, Command(f"{WINDOW}?prop=Format"), name="j2")
    plant.session()
    done = task(plant)
    assert (done.state, done.status) == (TaskState.FAILED, 404)
    found = {result.uri: result for result in done.results}
    assert (found[WINDOW].value, found[WINDOW].format) == ("1", "int")
    assert found["./AMI/Segment/BackoffFirst"].value == plant.tree.text(
        "./AMI/Segment/BackoffFirst"
    )
    assert "Link" in (found["./AMI"].value or "").split("/")
    assert (found["./Nowhere"].status, found["./Nowhere"].value) == (404, None)
    [result] = task(plant, "j2").results
    assert (result.value, task(plant, "j2").state) == ("int", TaskState.DONE)


def test_passwords_are_in_no_result(plant: Plant) -> None:
    from openami.omadm.objects.dmacc import AppAuth, DmAcc, Level, put_account

    auth = AppAuth(Level.CLIENT, "HMAC", "dcu", "hidden", b"nonce")
    draft = plant.tree.draft(plant.now)
    put_account(draft, "x", DmAcc("head-end", "https://h/dm", auth=(auth,)))
    plant.tree.commit(draft)
    ask(plant, TaskKind.GET, Command("./DMAcc?list=TNDS"))
    plant.session()
    found = {result.uri: result.value for result in task(plant).results}
    assert found["./DMAcc/x/ServerID"] == "head-end"
    assert not [uri for uri in found if "AAuthSecret" in uri or "AAuthData" in uri]
    known = plant.store.trees.known(UID)
    assert known["./DMAcc/x/ServerID"].value == ""  # only what there is
    assert not [uri for uri in known if "AAuthSecret" in uri or "AAuthData" in uri]


def test_a_set_sets_all_or_nothing(plant: Plant) -> None:
    plant.session()
    ask(plant, TaskKind.SET, Command(WINDOW, "int", "4"), Command(SERIAL, "chr", "A7"))
    plant.session()
    assert task(plant).state is TaskState.DONE
    assert [(r.uri, r.status) for r in task(plant).results] == [(WINDOW, 200), (SERIAL, 200)]
    assert (plant.tree.text(WINDOW), plant.tree.text(SERIAL)) == ("4", "A7")
    assert plant.store.trees.known(UID)["./AMI/Meters/7/Enabled"].value == "true"
    origins = {c.uri: c.origin for c in plant.store.trees.history(UID).items}
    assert origins[WINDOW] == "job j1"
    ask(plant, TaskKind.SET, Command(WINDOW, "int", "2"), Command(RETRIES, "int", "99"), name="j2")
    plant.session()
    failed = task(plant, "j2")
    assert (failed.state, failed.status) == (TaskState.FAILED, 507)
    told = {result.uri: result for result in failed.results}
    assert (told[WINDOW].status, told[RETRIES].status) == (216, 500)
    assert told[RETRIES].value == "the value is 0 to 20"
    assert plant.tree.text(WINDOW) == "4"
    assert plant.store.trees.known(UID)[WINDOW].value == "4"
    ask(plant, TaskKind.SET, Command("./AMI/Meters/7"), name="j3")  # no format: away with it
    plant.session()
    assert task(plant, "j3").state is TaskState.DONE
    assert plant.tree.names("./AMI/Meters") == ()


def test_new_values_of_known_leaves_are_not_looked_at_again(plant: Plant) -> None:
    plant.session()
    ask(plant, TaskKind.SET, Command(WINDOW, "int", "4"), Command(RETRIES, "int", "2"))
    plant.session()
    [only] = plant.orders
    assert only.startswith("job-")
    known = plant.store.trees.known(UID)
    assert (known[WINDOW].value, known[RETRIES].value) == ("4", "2")
    # With a node comes more than was said, and what is refused may have been otherwise before.
    more = (Command(WINDOW, "int", "3"), Command(SERIAL, "chr", "A7"))
    wrong = (Command(RETRIES, "int", "99"),)
    for name, commands in (("j2", more), ("j3", wrong)):
        ask(plant, TaskKind.SET, *commands, name=name)
        plant.session()
        assert [order for order in plant.orders if order.startswith("look-")], name


def test_what_a_job_has_set_against_a_wish_is_put_right_at_once(plant: Plant) -> None:
    want(plant, number(WINDOW, 3))
    plant.session()
    ask(plant, TaskKind.SET, Command(WINDOW, "int", "4"))
    plant.session()
    assert task(plant).state is TaskState.DONE
    assert plant.tree.text(WINDOW) == "3"
    values = [c.new for c in plant.store.trees.history(UID, uri=WINDOW).items]
    assert values == ["3", "4", "3"]


def test_an_exec_is_carried_out_and_concluded_by_an_alert(plant: Plant) -> None:
    plant.session()
    plant.status = 202
    ask(plant, TaskKind.EXEC, Command(COLLECT, "chr", "now"))
    plant.session()
    [execution] = plant.executed
    assert (execution.data, execution.correlator) == ("now", "j1")
    assert (task(plant).state, task(plant).status) == (TaskState.ACCEPTED, 202)
    plant.session()
    assert len(plant.executed) == 1

    def ended(correlator: str, data: str) -> Alert:
        meta = Meta(format="int", type="urn:openami:alert:operation", mark="critical")
        item = Item(source=Location(COLLECT), meta=meta, data=data)
        return Alert(0, AlertCode.GENERIC, (item,), correlator=correlator)

    plant.session(ended("nobody's", "200"), ended("j1", "410"))
    assert (task(plant).state, task(plant).status) == (TaskState.FAILED, 410)
    assert task(plant).results[-1].uri == COLLECT


@pytest.mark.parametrize(
    ("kind", "repeatable", "after"),
    [
        (TaskKind.GET, False, TaskState.DONE),
        (TaskKind.SET, False, TaskState.DONE),
        (TaskKind.EXEC, True, TaskState.DONE),
        (TaskKind.EXEC, False, TaskState.UNKNOWN),
    ],
)
def test_a_head_end_that_is_killed_between_order_and_answer(
    plant: Plant, kind: TaskKind, *, repeatable: bool, after: TaskState
) -> None:
    plant.session()
    command = {
        TaskKind.GET: Command(WINDOW),
        TaskKind.SET: Command(WINDOW, "int", "4"),
        TaskKind.EXEC: Command(COLLECT),
    }[kind]
    ask(plant, kind, command, repeatable=repeatable)
    plant.session(cut=1)  # the device has acted, and its answer was lost
    assert task(plant).state is TaskState.SENT
    plant.session()
    assert task(plant).state is after
    assert len(plant.executed) == (kind is TaskKind.EXEC) + repeatable
    assert (plant.tree.text(WINDOW) == "4") == (kind is TaskKind.SET)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_push_that_is_cut_off_is_finished_in_the_next_session(plant: Plant, cut: int) -> None:
    want(plant, number(WINDOW, 3), Setting(SERIAL, "chr", "A7"))
    plant.session(cut=cut)
    plant.session()
    assert (plant.tree.text(WINDOW), plant.tree.text(SERIAL)) == ("3", "A7")
    known = plant.store.trees.known(UID)
    assert (known[WINDOW].value, known[SERIAL].value) == ("3", "A7")
    assert not [node for node in known.values() if node.refused]
    assert plant.session() == 1


def test_a_set_that_was_done_unseen_is_done(plant: Plant) -> None:
    plant.session()
    ask(plant, TaskKind.SET, Command(SERIAL, "chr", "A7"), Command(RETRIES, "int", "5"))
    plant.session(cut=1)
    plant.session()
    assert (task(plant).state, task(plant).attempts) == (TaskState.DONE, 2)
    assert (plant.tree.text(SERIAL), plant.tree.text(RETRIES)) == ("A7", "5")


def test_a_set_of_what_can_not_be_there_fails(plant: Plant) -> None:
    plant.session()
    plant.set(RETRIES, "7")
    ask(plant, TaskKind.SET, Command("./AMI/Nowhere", "chr", "x"))
    plant.session()
    assert task(plant).state is TaskState.FAILED
    assert task(plant).status in {404, 405}


def test_many_tasks_go_out_by_the_dozen(plant: Plant) -> None:
    plant.session()
    for n in range(40):
        ask(plant, TaskKind.GET, Command(WINDOW), name=f"j{n:02}")
    plant.session()
    assert {task(plant, f"j{n:02}").state for n in range(40)} == {TaskState.DONE}


def test_a_segment_of_hundreds_of_meters_is_pushed_in_parts(plant: Plant) -> None:
    settings = [
        setting
        for n in range(300)
        for setting in (
            Setting(f"./AMI/Meters/{n:03}/Serial", "chr", f"OAM{n:08}"),
            Setting(f"./AMI/Meters/{n:03}/Address", "int", str(16 + n)),
        )
    ]
    want(plant, *settings)
    plant.session()
    assert len(plant.tree.names("./AMI/Meters")) == 300
    assert plant.store.trees.known(UID)["./AMI/Meters/299/Serial"].value == "OAM00000299"
    assert plant.session() == 1


def test_a_small_device_gets_what_fits(plant: Plant) -> None:
    plant.size = 4096
    want(plant, number(WINDOW, 3))
    plant.session()
    assert plant.tree.text(WINDOW) == "3"


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        (TaskKind.GET, TaskState.QUEUED),
        (TaskKind.SET, TaskState.QUEUED),
        (TaskKind.EXEC, TaskState.UNKNOWN),
    ],
)
def test_a_device_that_goes_silent(plant: Plant, kind: TaskKind, after: TaskState) -> None:
    plant.session()
    command = Command(COLLECT) if kind is TaskKind.EXEC else Command(WINDOW, "int", "4")
    ask(plant, kind, command)
    want(plant, number(RETRIES, 9))
    plant.session(silent=1)
    assert task(plant).state is after
    # What it may have changed is looked at again.
    assert (plant.store.trees.known_at(UID) is None) == (kind is not TaskKind.GET)
    plant.session()
    assert task(plant).state is (after if kind is TaskKind.EXEC else TaskState.DONE)
    assert plant.store.trees.known(UID)[RETRIES].value == "9"


def test_what_never_went_out_waits_though_the_session_broke_off(plant: Plant) -> None:
    """It stood behind something large: nobody has to wonder whether it was executed."""
    plant.session()
    plant.size = 2048
    ask(plant, TaskKind.SET, Command("./AMI/Ext/large", "chr", "x" * 4000), name="j1")
    ask(plant, TaskKind.EXEC, Command(COLLECT), name="j2")
    plant.session(silent=1)
    assert (task(plant, "j1").state, task(plant, "j1").attempts) == (TaskState.QUEUED, 1)
    assert (task(plant, "j2").state, task(plant, "j2").attempts) == (TaskState.QUEUED, 0)
    assert plant.executed == []
    plant.session()
    assert {task(plant, name).state for name in ("j1", "j2")} == {TaskState.DONE}
    assert len(plant.executed) == 1


def test_a_push_that_never_went_out_raises_no_doubt(plant: Plant) -> None:
    plant.session()
    want(plant, number(WINDOW, 3))
    [order] = plant.plan()
    never = OrderDone(order.id, 0, sent=False)
    assert plant.done([never]) == ()
    assert plant.store.trees.known_at(UID) is not None
    plant.session()
    assert plant.tree.text(WINDOW) == "3"


def test_a_push_that_is_not_answered_is_looked_after(plant: Plant) -> None:
    plant.session()
    want(plant, number(WINDOW, 3))
    plant.session(silent=1)
    assert plant.store.trees.known_at(UID) is None
    assert plant.store.trees.known(UID)[WINDOW].value == "1"
    plant.session()
    assert plant.store.trees.known(UID)[WINDOW].value == "3"
    # It was seen, not told: nobody knows who changed it.
    assert [c.origin for c in plant.store.trees.history(UID, uri=WINDOW).items] == ["device"]


def told(orders: Sequence[Order], status: int, *items: Item) -> list[OrderDone]:
    return [OrderDone(order.id, status, items) for order in orders]


def test_a_tree_that_can_not_be_read_is_not_asked_for_for_ever(plant: Plant) -> None:
    orders = plant.plan()
    kind = "application/vnd.syncml.dmtnds+wbxml"
    rubbish = Item(source=Location("./AMI"), meta=Meta(format="bin", type=kind), data=b"rubbish")
    assert plant.done(told(orders, 200, rubbish)) == ()
    assert plant.store.trees.known(UID) == {}
    assert plant.store.trees.known_at(UID) == plant.now


def test_a_device_without_our_objects_is_known_to_have_none(plant: Plant) -> None:
    orders = plant.plan()
    assert plant.done(told(orders, 404)) == ()
    assert plant.store.trees.known_at(UID) == plant.now


def test_a_device_that_refuses_to_be_looked_at_keeps_its_secrets(plant: Plant) -> None:
    want(plant, number(WINDOW, 3))
    orders = plant.plan()
    pushed = plant.done(told(orders, 425))
    assert len(pushed) == 1
    # It is there already, which a look does not show: that is a refusal.
    looks = plant.done(told(pushed, 418))
    assert len(looks) == 1
    again = plant.done(told(looks, 425))
    assert plant.done(told(again, 418)) == ()
    assert plant.store.trees.known(UID)[WINDOW].status == 418


def test_a_full_device_is_tried_again_in_another_session(plant: Plant) -> None:
    plant.session()
    want(plant, number(WINDOW, 3))
    orders = plant.plan()
    following = plant.done(told(orders, 420))
    assert all(order.id.startswith("look-") for order in following)
    assert plant.store.trees.known(UID)[WINDOW].refused is None
    plant.session()
    assert plant.tree.text(WINDOW) == "3"


def test_a_device_without_atomic_is_told_one_by_one(plant: Plant) -> None:
    plant.session()
    want(plant, number(WINDOW, 3), number(RETRIES, 9))
    [both] = plant.plan()
    singles = plant.done(told([both], 406))
    assert [type(order.command).__name__ for order in singles] == ["Replace", "Replace"]
    assert plant.done(told(singles, 200)) == ()
    assert plant.store.trees.known(UID)[WINDOW].value == "3"


def test_what_belongs_to_no_session_is_left_alone(plant: Plant) -> None:
    orders = plant.plan()
    late = told(orders, 200)
    assert plant.done(late, "D9") == ()
    plant.restart()
    assert plant.done(late) == ()
    assert plant.plan()
    assert plant.store.trees.known_at(UID) is None


def test_a_session_comes_to_an_end(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_ROUNDS", 2)
    monkeypatch.setattr(turns, "TASKS", 1)
    plant.session()
    for n in range(4):
        ask(plant, TaskKind.GET, Command(WINDOW), name=f"j{n}")
    plant.session()
    assert [task(plant, f"j{n}").state.value for n in range(4)] == ["done"] * 2 + ["queued"] * 2
    plant.session()
    assert task(plant, "j3").state is TaskState.DONE


def ends(orders: Sequence[Order], status: int, *items: Item) -> list[OrderDone]:
    return [OrderDone(order.id, status, items) for order in orders]


def test_the_next_package_waits_for_the_whole_of_this_one(plant: Plant) -> None:
    want(plant, number(WINDOW, 3))
    first, *others = plant.plan()
    assert plant.done(ends([first], 404)) == ()
    [push] = plant.done(ends(others, 404))
    assert push.id.startswith("want-")


def test_a_tree_that_changes_while_it_is_looked_at_is_looked_at_again(plant: Plant) -> None:
    looks = plant.plan()
    plant.told(TREE_CHANGED)
    again = plant.done(ends(looks, 404))
    assert [order.command for order in again] == [order.command for order in looks]


def test_a_look_that_cannot_be_read_leaves_what_is_known(plant: Plant) -> None:
    plant.session()
    before = plant.store.trees.known(UID)
    plant.store.trees.doubt(UID)
    looks = plant.plan()
    garbage = Item(
        source=Location("./AMI"),
        meta=Meta(format="xml", type="application/vnd.syncml.dmtnds+xml"),
        data="<MgmtTree",
    )
    plant.done(ends(looks, 200, garbage))
    assert plant.store.trees.known(UID) == before


@pytest.mark.parametrize(("status", "whole"), [(500, True), (425, True), (NO_ANSWER, False)])
def test_a_look_that_fails_leaves_what_is_known(plant: Plant, status: int, whole: bool) -> None:
    plant.session()
    before = plant.store.trees.known(UID)
    plant.store.trees.doubt(UID)
    looks = plant.plan()
    plant.done(ends(looks, status))
    assert plant.store.trees.known(UID) == before
    assert (plant.store.trees.known_at(UID) is not None) == whole


def test_what_a_device_was_too_full_for_waits_for_the_next_session(plant: Plant) -> None:
    want(plant, number(WINDOW, 3))
    looks = plant.plan()
    pushes = plant.done(ends(looks, 404))
    again = plant.done(ends(pushes, 420))
    assert plant.done(ends(again, 404)) == ()
    assert WINDOW in plant.store.trees.wanted(UID)


def test_of_one_message_so_many_alerts_are_looked_at(plant: Plant) -> None:
    many = [failed(f"./SCHED/{n}") for n in range(2 * turns.MAX_ALERTS)]
    plant.told(*many)
    assert len(plant.troubles._failures) == turns.MAX_ALERTS


def failed(node: str) -> Alert:
    meta = Meta(format="chr", type="Reversed-Domain-Name: urn:openami:alert:task-failed")
    item = Item(source=Location(node), meta=meta, data="500")
    return Alert(0, AlertCode.GENERIC, (item,), correlator="night")


def test_what_a_device_tells_besides_is_in_the_log(plant: Plant) -> None:
    with structlog.testing.capture_logs() as logged:
        plant.session(failed("./SCHED/night"), *(failed(f"./SCHED/{n}") for n in range(9)))
    # It may say as much as it likes, and fills no log.
    [line] = [line for line in logged if line["event"] == "a device tells"]
    assert (line["node"], line["data"], line["what"]) == (
        "./SCHED/night", "500", ["urn:openami:alert:task-failed"],
    )  # fmt: skip


def test_a_format_that_nobody_knows_is_text() -> None:
    item = Item(source=Location("./AMI"), meta=Meta(format="y" * 40), data="1")
    [node] = found_nodes(OrderDone("1", 200, (item,)), "./AMI")
    assert (node.format, node.value) == ("chr", "1")


class Failing:
    """Dossiers of which one step fails, counted from the first.

    To read, to read on, to keep; or to hear that all is kept (``after``).
    """

    def __init__(self, dossiers: Dossiers, fails: int, *, after: bool) -> None:
        self.steps: list[str] = []
        self._dossiers = dossiers
        self._fails = fails
        self._after = after

    @contextmanager
    def opened(
        self, uids: Collection[str], *, now: float, begin: Collection[str] = ()
    ) -> Iterator[Mapping[str, Dossier]]:
        self._step("read")
        with self._dossiers.opened(uids, now=now, begin=begin) as found:
            for dossier in found.values():
                dossier.reader = FailingReader(dossier.reader, self._step)
            yield found
            if not self._after:
                self._step("keep")
        if self._after:
            self._step("keep")

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) == self._fails:
            raise StoreError(f"{name} fails", code="store.busy")


@dataclass
class FailingReader:
    reader: Reader
    step: Callable[[str], None]

    def named(self, uid: str, uris: Sequence[str]) -> Mapping[str, KnownNode]:
        self.step("named")
        return self.reader.named(uid, uris)

    def below(self, uid: str, tops: Sequence[str]) -> Mapping[str, KnownNode]:
        self.step("below")
        return self.reader.below(uid, tops)

    def task(self, uid: str, job: str) -> Task:
        self.step("task")
        return self.reader.task(uid, job)


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done all the same"])
def test_a_store_that_fails_at_any_step_changes_nothing(plant: Plant, *, after: bool) -> None:
    """The device repeats its message; what was to be done is done once, and told once."""
    plant.session()
    store, fails, states = plant.store, 1, []
    while True:
        # What is known of the tree is wrong, so that steps and tasks are mistaken at first.
        saw(store, UID, ["./AMI/Link"], [], now=plant.now, whole=False)
        want(plant, number(WINDOW, 1 + fails % 7))
        value = str(1 + fails % 20)
        names = {kind: f"{kind}{fails}" for kind in TaskKind}
        ask(plant, TaskKind.GET, Command("./AMI?list=TNDS"), name=names[TaskKind.GET])
        ask(plant, TaskKind.SET, Command(RETRIES, "int", value), name=names[TaskKind.SET])
        ask(plant, TaskKind.EXEC, Command(COLLECT), name=names[TaskKind.EXEC])
        plant.dossiers = Failing(store.dossiers, fails, after=after)
        plant.metrics, plant.failures = Metrics(), 0
        plant.executed.clear()
        plant.restart()
        plant.session()
        found = {kind: task(plant, name) for kind, name in names.items()}
        assert found[TaskKind.GET].state is found[TaskKind.SET].state is TaskState.DONE
        assert plant.tree.text(RETRIES) == store.trees.known(UID)[RETRIES].value == value
        assert plant.tree.text(WINDOW) == store.trees.known(UID)[WINDOW].value == str(1 + fails % 7)
        assert not [node for node in store.trees.known(UID).values() if node.refused]
        state = found[TaskKind.EXEC].state
        states.append(state)
        assert len(plant.executed) == (state is TaskState.DONE)
        told = plant.metrics.registry.get_sample_value(
            "openami_dm_tasks_total", {"kind": "exec", "state": state.value}
        )
        assert told == 1
        if not plant.failures:
            break
        fails += 1
    assert {"read", "below", "keep"} <= set(plant.dossiers.steps)
    assert fails > 6
    # Where the store says that nothing was done, nothing was sent; else nobody knows.
    assert states.count(TaskState.UNKNOWN) == after
    assert set(states) <= {TaskState.DONE, TaskState.UNKNOWN}


def test_a_refusal_of_what_is_wanted_is_an_alarm(plant: Plant) -> None:
    plant.session()
    plant.store.trees.put_group(Group("all", DeviceFilter(DeviceKind.DCU)), who="anna", now=1.0)
    plant.store.trees.want(Scope.parse("group:all"), [number(WINDOW, 99)], who="anna", now=2.0)
    want(plant, number(RETRIES, 99))
    with structlog.testing.capture_logs() as logged:
        plant.session()
    alarms = {(one.subject, one.code) for one in plant.store.alarms.list().items}
    assert alarms == {("group:all", "dm.refused"), (f"dcu-{UID}", "dm.refused")}
    assert len([line for line in logged if line["event"] == "values are refused"]) == 1
    sample = plant.metrics.registry.get_sample_value
    assert sample("openami_dm_refused_values_total", {"status": "5xx"}) == 2


def test_a_tree_that_has_changed_is_noted_once_for_a_message(plant: Plant) -> None:
    plant.session()
    plant.restart()
    plant.session(*[TREE_CHANGED] * 50)
    assert len(plant.orders) == len(set(plant.orders)) == 6
    assert plant.store.trees.known_at(UID) == plant.now  # it was looked at


def test_a_device_has_its_tree_looked_at_now_and_then(plant: Plant) -> None:
    """Whoever says all the time that it has changed is looked at when a pause is over, and woken."""
    plant.session()
    looked = plant.now
    plant.session(TREE_CHANGED)
    assert plant.orders == []
    assert plant.store.trees.known_at(UID) is None  # nobody takes it for the present one
    [due] = accounts_due(plant, looked + turns.LOOK_S)
    assert due == looked + turns.LOOK_S
    plant.session()
    assert plant.store.trees.known_at(UID) == plant.now == due
    plant.now += turns.LOOK_S
    plant.session(TREE_CHANGED)
    assert plant.store.trees.known_at(UID) == plant.now


def test_a_tree_is_kept_up_to_a_bound(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_NODES", 9)
    plant.session()
    known = plant.store.trees.known(UID)
    assert len([uri for uri in known if not uri.startswith("./DevInfo")]) == 9


def accounts_due(plant: Plant, at: float) -> list[float | None]:
    plant.store.accounts.reach(UID, "https://dcu.example")
    return [one.wake_due for one in plant.store.accounts.due(now=at, silent=False, limit=9)]
