"""The contract of the stores for device management, on every backend."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, select, update
from tests.support.dossiers import apply, saw, settle, start

from openami.core.errors import ConflictError, NotFoundError, StoreError
from openami.fleet.desired import MAX_GROUPS, MAX_WANTED, Group, KnownNode, Scope, Setting
from openami.fleet.devices import DeviceKind, LifecycleState, Sighting
from openami.fleet.dossiers import FACTS
from openami.fleet.management import Outcome
from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import (
    Answered,
    Command,
    Lost,
    ManagementJob,
    Result,
    Task,
    TaskKind,
    TaskState,
    Ticket,
)
from openami.store.relational import RelationalStore, management_nodes, management_work
from openami.store.relational.management_models import AccountRow
from openami.store.relational.models import DeviceRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from openami.fleet.dossiers import Dossier

WINDOW = "./AMI/Link/Window"
SERIAL = "./AMI/Meters/7/Serial"
NORTH = Group("north", DeviceFilter(DeviceKind.DCU, region="north"), 10)
FLEET = 3000


def uid(number: int) -> str:
    return f"D{number:05}"


def fill(store: RelationalStore, count: int = 4) -> None:
    """Make DCUs, every other one in the north, each with an account."""
    uids = [uid(n) for n in range(count)]
    store.devices.sight([Sighting(DeviceKind.DCU, name) for name in uids], now=1.0)
    accounts = [
        {"uid": name, "digest": "", "suspended": False, "created": 1.0, "client_nonce": b"",
         "server_nonce": b"", "wake_failures": 3, "wake_session": 0}
        for name in uids
    ]  # fmt: skip
    with store.trees._transactions.writing() as session:
        session.execute(insert(AccountRow), accounts)
        session.execute(
            update(DeviceRow).where(DeviceRow.serial.in_(uids[::2])).values(region="north")
        )


def due(store: RelationalStore) -> dict[str, float | None]:
    query = select(AccountRow.uid, AccountRow.wake_due)
    with store.trees._transactions.reading() as session:
        return {name: at for name, at in session.execute(query) if at is not None}


def setting(uri: str = WINDOW, value: str = "3", form: str = "int") -> Setting:
    return Setting(uri, form, value)


def job(
    name: str = "j1",
    kind: TaskKind = TaskKind.GET,
    *,
    which: DeviceFilter | None = None,
    devices: Iterable[str] = (),
    created: float = 10.0,
    repeatable: bool = False,
) -> ManagementJob:
    return ManagementJob(
        name, kind, (Command(WINDOW),), "anna", created, created + 90.0,
        which, tuple(devices), "because", repeatable,
    )  # fmt: skip


def device(name: str) -> Scope:
    return Scope.parse(f"device:{name}")


def test_groups_are_kept_and_found_by_their_filters(store: RelationalStore) -> None:
    fill(store)
    everything = Group("all", DeviceFilter(DeviceKind.DCU))
    odd = Group(
        "odd",
        DeviceFilter(DeviceKind.DCU, state=LifecycleState.REGISTERED, search="d00001"),
        5,
    )
    assert store.trees.put_group(NORTH, who="anna", now=2.0) == 2
    assert store.trees.put_group(everything, who="anna", now=3.0) == 4
    assert store.trees.put_group(odd, who="anna", now=4.0) == 1
    assert [group.name for group in store.trees.groups()] == ["all", "odd", "north"]
    assert store.trees.group("odd").which == odd.which
    assert [group.name for group in store.trees.groups_of(uid(0))] == ["all", "north"]
    assert [group.name for group in store.trees.groups_of(uid(1))] == ["all", "odd"]
    assert store.trees.groups_of("nobody") == ()
    assert store.trees.count(NORTH.which) == 2
    # The filter of a group and the list of devices are one thing.
    for group in store.trees.groups():
        found = {found.serial for found in store.devices.list(group.which).items}
        assert found == {
            uid(n)
            for n in range(4)
            if group.name in {g.name for g in store.trees.groups_of(uid(n))}
        }
    assert store.trees.remove_group("odd", who="anna", now=5.0) == 1
    with pytest.raises(NotFoundError):
        store.trees.group("odd")
    assert [entry.subject for entry in store.audit.list(limit=4).items] == [
        "group:odd", "group:odd", "group:all", "group:north",
    ]  # fmt: skip


def test_who_leaves_a_group_is_woken_too(store: RelationalStore) -> None:
    fill(store)
    store.trees.put_group(NORTH, who="anna", now=2.0)
    store.trees.put_group(
        Group("north", DeviceFilter(DeviceKind.DCU, search=uid(3))), who="anna", now=9.0
    )
    assert due(store) == {uid(0): 9.0, uid(2): 9.0, uid(3): 9.0}


def test_groups_are_bounded(store: RelationalStore) -> None:
    for n in range(MAX_GROUPS):
        store.trees.put_group(Group(f"g{n}", DeviceFilter(DeviceKind.DCU)), who="a", now=1.0)
    fill(store, 1)
    assert len(store.trees.groups_of(uid(0))) == MAX_GROUPS
    with pytest.raises(ConflictError) as raised:
        store.trees.put_group(NORTH, who="a", now=1.0)
    assert raised.value.code == "dm.groups"


def test_wishes_reach_their_devices(store: RelationalStore) -> None:
    fill(store)
    store.trees.put_group(NORTH, who="anna", now=2.0)
    store.trees.wake([], now=0.0)
    assert store.trees.want(NORTH.scope, [setting()], who="anna", now=5.0) == 2
    assert store.trees.want(NORTH.scope, [setting()], who="ben", now=6.0) == 0  # nothing new
    assert store.trees.want(device(uid(0)), [setting(value="7")], who="anna", now=7.0) == 1
    assert due(store) == {uid(0): 7.0, uid(2): 5.0}
    assert store.trees.wanted(uid(0))[WINDOW].setting.value == "7"
    assert store.trees.wanted(uid(2))[WINDOW].setting.value == "3"
    assert store.trees.wanted(uid(1)) == {}
    [wish] = store.trees.wishes(NORTH.scope)
    assert (wish.who, wish.at, wish.setting) == ("anna", 5.0, setting())
    assert store.trees.unwant(device(uid(0)), [WINDOW], who="anna", now=8.0) == 1
    assert store.trees.wanted(uid(0))[WINDOW].setting.value == "3"
    store.trees.remove_group("north", who="anna", now=9.0)
    assert store.trees.wishes(NORTH.scope) == ()
    assert [entry.what for entry in store.audit.list(subject=f"dcu-{uid(0)}").items][:2] == [
        f"dm.unwanted {WINDOW}", f"dm.wanted {WINDOW}=7",
    ]  # fmt: skip


def test_a_wish_for_nobody_is_refused(store: RelationalStore) -> None:
    fill(store, 1)
    with pytest.raises(NotFoundError):
        store.trees.want(device("D9"), [setting()], who="anna", now=5.0)
    with pytest.raises(NotFoundError):
        store.trees.want(NORTH.scope, [setting()], who="anna", now=5.0)
    with pytest.raises(NotFoundError):
        store.trees.unwant(device(uid(0)), [WINDOW], who="anna", now=5.0)
    many = [setting(f"./AMI/Ext/{n}") for n in range(MAX_WANTED + 1)]
    with pytest.raises(ConflictError) as raised:
        store.trees.want(device(uid(0)), many, who="anna", now=5.0)
    assert raised.value.code == "dm.wanted"
    assert store.trees.wishes(device(uid(0))) == ()


def test_a_tree_is_seen_and_seen_again(store: RelationalStore) -> None:
    fill(store, 2)
    name = uid(0)
    nodes = [
        KnownNode("./AMI", "node", acl="Get=*"),
        KnownNode(WINDOW, "int", "1"),
        KnownNode("./SCHED", "node"),
    ]
    assert store.trees.known_at(name) is None
    saw(store, name, [], nodes, now=5.0, whole=True)
    assert store.trees.history(name).items == ()
    assert store.trees.known_at(name) == 5.0
    assert store.trees.known(uid(1)) == {}
    known = store.trees.known(name)
    assert {node: (known[node].format, known[node].value, known[node].acl) for node in known} == {
        "./AMI": ("node", "", "Get=*"), WINDOW: ("int", "1", ""), "./SCHED": ("node", "", ""),
    }  # fmt: skip
    saw(store, name, ["./AMI"], [KnownNode(WINDOW, "int", "2")], now=6.0, whole=False)
    [change] = store.trees.history(name).items
    assert (change.uri, change.old, change.new, change.origin) == (WINDOW, "1", "2", "device")
    assert set(store.trees.known(name)) == {WINDOW, "./SCHED"}
    assert set(store.trees.known(name, below="./AMI")) == {WINDOW}
    store.trees.doubt(name)
    assert store.trees.known_at(name) is None


def test_the_like_of_a_name_is_not_below_it(store: RelationalStore) -> None:
    nodes = [KnownNode(uri, "chr", "x") for uri in ("./A_B/x", "./AXB/x", "./A_Bc")]
    saw(store, "D1", [], nodes, now=5.0, whole=True)
    assert set(store.trees.known("D1", below="./A_B")) == {"./A_B/x"}


def test_refusals_stand_until_something_of_the_object_changes(store: RelationalStore) -> None:
    fill(store)
    store.trees.put_group(NORTH, who="anna", now=2.0)
    for name in (uid(0), uid(1), uid(2)):
        saw(store, name, [], [KnownNode(WINDOW, "int", "1")], now=3.0, whole=True)
        refused = [
            Outcome(setting(value="99"), 500, "group:north", pushed=True),
            Outcome(setting(SERIAL, "A1", "chr"), 405, "group:north", pushed=True),
            Outcome(setting("./SCHED/a/Start", "x", "chr"), 415, "group:north", pushed=True),
        ]
        settle(store, name, refused, now=4.0)
        known = store.trees.known(name)
        assert (known[WINDOW].value, known[WINDOW].status) == ("1", 500)
        assert known[WINDOW].refused == setting(value="99")
        assert (known[SERIAL].format, known[SERIAL].refused) == ("", setting(SERIAL, "A1", "chr"))
    store.trees.want(NORTH.scope, [setting("./AMI/Link/Retries")], who="anna", now=5.0)
    for name in (uid(0), uid(2)):  # another wish for AMI, so all of AMI is tried again
        known = store.trees.known(name)
        assert known[WINDOW].refused is None
        assert (known[SERIAL].format, known[SERIAL].refused) == ("", None)
        assert (known[WINDOW].bond, known[SERIAL].bond) == (WINDOW, SERIAL)  # each by itself
        assert known["./SCHED/a/Start"].status == 415
    assert store.trees.known(uid(1))[WINDOW].status == 500
    assert store.trees.forgive(uid(1), who="anna", now=6.0) == 3
    assert all(node.refused is None for node in store.trees.known(uid(1)).values())
    assert store.trees.forgive(uid(1), who="anna", now=6.0) == 0
    assert due(store)[uid(1)] == 6.0
    history = [(c.uri, c.new, c.status) for c in store.trees.history(uid(1)).items]
    assert (WINDOW, "99", 500) in history


def test_what_a_group_was_refused_is_tried_again_when_the_group_changes(
    store: RelationalStore,
) -> None:
    fill(store)
    name = uid(0)
    no = Outcome(setting(value="9"), 507, f"device:{name}", pushed=True, bond="./AMI/Link/A")
    store.trees.put_group(NORTH, who="anna", now=2.0)
    store.trees.want(NORTH.scope, [setting("./AMI/Link/Retries")], who="anna", now=3.0)
    changes: tuple[Callable[[], object], ...] = (
        lambda: store.trees.put_group(NORTH, who="anna", now=4.0),
        lambda: store.trees.remove_group("north", who="anna", now=5.0),
    )
    for change in changes:
        settle(store, name, [no], now=4.0)
        assert store.trees.known(name)[WINDOW].refused is not None
        change()
        node = store.trees.known(name)[WINDOW]
        assert (node.refused, node.bond) == (None, "./AMI/Link/A")


def test_what_a_job_has_set_is_known_and_forgives(store: RelationalStore) -> None:
    fill(store, 1)
    name = uid(0)
    saw(store, name, [], [KnownNode(WINDOW, "int", "1", "Get=*")], now=3.0, whole=True)
    no = Outcome(setting("./AMI/Link/Retries", "9"), 500, "group:x", pushed=True)
    settle(store, name, [no], now=4.0)
    outcomes = [
        Outcome(setting(value="2"), 200, "job j1"),
        Outcome(setting("./SCHED/a/Start"), 404, "job j1"),
        Outcome(setting("./SCHED/a/Until"), 0, "job j1"),
    ]
    settle(store, name, outcomes, now=5.0)
    known = store.trees.known(name)
    assert {uri for uri, node in known.items() if node.format} == {WINDOW}
    assert known["./AMI/Link/Retries"].refused is None
    assert (known[WINDOW].value, known[WINDOW].acl, known[WINDOW].at) == ("2", "Get=*", 5.0)
    page = store.trees.history(name, limit=1)
    rest = store.trees.history(name, after=page.next)
    told = [(c.uri, c.old, c.new, c.status) for c in (*page.items, *rest.items)]
    assert told == [
        ("./SCHED/a/Start", None, "3", 404),
        (WINDOW, "1", "2", 200),
        ("./AMI/Link/Retries", None, "9", 500),
    ]
    assert [c.uri for c in store.trees.history(name, uri="./AMI/Link").items] == [
        WINDOW, "./AMI/Link/Retries",
    ]  # fmt: skip
    assert store.trees.purge(before=5.0) == 1
    assert len(store.trees.history(name).items) == 2


def test_what_was_removed_is_known_no_more(store: RelationalStore) -> None:
    nodes = [KnownNode("./AMI/Meters/7", "node"), KnownNode(SERIAL, "chr", "A1")]
    saw(store, "D1", [], nodes, now=3.0, whole=True)
    settle(store, "D1", [Outcome(Setting("./AMI/Meters/7"), 200, "x", pushed=True)], now=4.0)
    assert store.trees.known("D1") == {}
    assert [(c.uri, c.old, c.new) for c in store.trees.history("D1").items] == [
        (SERIAL, "A1", None)
    ]
    saw(store, "D1", [], nodes, now=5.0, whole=True)
    gone = Setting("./AMI/Meters/7")
    settle(store, "D1", [Outcome(gone, 405, "x", pushed=True)], now=6.0)
    assert store.trees.known("D1")["./AMI/Meters/7"].refused == gone


def test_a_dossier_holds_what_a_session_asks_for(store: RelationalStore) -> None:
    fill(store, 2)
    name = uid(0)

    def read() -> Dossier:
        with store.dossiers.opened([name, uid(1)], now=12.0) as found:
            other = found[uid(1)]
            assert (other.known_at, other.wanted, other.nodes, other.jobs) == (None, {}, {}, {})
            return found[name]

    nodes = [KnownNode(WINDOW, "int", "1"), KnownNode(SERIAL, "chr", "A1")]
    saw(store, name, [], nodes, now=3.0, whole=True)
    store.trees.want(device(name), [setting(), Setting("./AMI/Ext/x")], who="anna", now=4.0)
    dossier = read()
    assert (dossier.known_at, dossier.waiting) == (3.0, False)
    assert set(dossier.wanted) == set(dossier.nodes) == {WINDOW, "./AMI/Ext/x"}
    assert set(dossier.known) == {WINDOW}
    store.tasks.add(job(devices=[name]))
    dossier = read()
    assert (dossier.waiting, set(dossier.jobs), set(dossier.known)) == (True, {"j1"}, {WINDOW})
    store.tasks.add(replace(job("j2", TaskKind.SET, devices=[name]), commands=(Command(SERIAL),)))
    assert set(read().known) == {WINDOW, SERIAL}
    start(store, name, now=20.0, fresh=True)
    assert set(read().known) == {WINDOW, SERIAL}
    apply(store, "j2", name, Answered(21.0, 200))
    assert set(read().known) == {WINDOW}


def test_dossiers_of_many_devices_are_of_each_its_own(store: RelationalStore) -> None:
    fill(store, 5)
    uids = [uid(n) for n in range(5)]
    store.trees.put_group(NORTH, who="anna", now=2.0)
    everything = Group("all", DeviceFilter(DeviceKind.DCU))
    store.trees.put_group(everything, who="anna", now=3.0)
    store.trees.want(NORTH.scope, [setting(value="7")], who="anna", now=3.0)
    store.trees.want(everything.scope, [setting(value="5")], who="anna", now=3.0)
    store.trees.want(device(uid(4)), [setting(value="9")], who="anna", now=3.0)
    store.tasks.add(job("j1", TaskKind.SET, devices=uids[:3]))
    store.tasks.add(job("j2", devices=uids[1:], created=9.0))
    with store.dossiers.opened(uids, now=20.0, begin=uids[2:4]) as found:
        assert [found[name].wanted[WINDOW].setting.value for name in uids] == list("75759")
        assert [list(found[name].jobs) for name in uids] == [
            ["j1"], ["j2", "j1"], ["j2", "j1"], ["j2"], ["j2"],
        ]  # fmt: skip
        for number, name in enumerate(uids):
            found[name].saw(["./DevInfo"], [KnownNode("./DevInfo/Man", "chr", f"m{number}")],
                            now=20.0, whole=True)  # fmt: skip
            found[name].start(now=20.0, fresh=True, limit=1)
        found[uid(1)].discard()
    known = [store.trees.known(name) for name in uids]
    assert [list(each) for each in known] == [["./DevInfo/Man"], [], *[["./DevInfo/Man"]] * 3]
    assert [store.trees.known_at(name) for name in uids] == [20.0, None, 20.0, 20.0, 20.0]
    sent = [task.uid for name in ("j1", "j2") for task in store.tasks.tasks(name).items
            if task.state is TaskState.SENT]  # fmt: skip
    assert sent == [uid(0), uid(2), uid(3), uid(4)]
    with store.dossiers.opened(uids, now=21.0, begin=uids) as found:
        assert [found[name].complete for name in uids] == [{"./DevInfo"}] * 5
        assert [list(found[name].known) for name in uids] == [list(each) for each in known]


def test_a_dossier_reads_on_where_it_has_to(store: RelationalStore) -> None:
    fill(store, 1)
    name, folder = uid(0), "./AMI/Meters/7"
    nodes = [KnownNode(folder, "node"), KnownNode(SERIAL, "chr", "A1"), KnownNode(WINDOW, "int")]
    saw(store, name, [], [*nodes, KnownNode("./AMI/Meters/77", "node")], now=3.0, whole=True)
    maker = KnownNode(f"{FACTS}/Man", "chr", "Maker")
    saw(store, name, [FACTS], [maker], now=3.0, whole=False)
    store.tasks.add(job(devices=[name]))
    store.tasks.cancel("j1", who="anna", now=11.0)
    with store.dossiers.opened([name], now=20.0) as found:
        dossier = found[name]
        assert dossier.below([FACTS])[maker.uri].value == "Maker"
        dossier.settle([Outcome(setting(SERIAL, "A2", "chr"), 200, "x", pushed=True)], now=20.0)
        assert [node.value for node in dossier.below([folder]).values()] == ["", "A2"]
        dossier.settle([Outcome(Setting(folder), 200, "x", pushed=True)], now=20.0)
        assert dossier.below([folder]) == {}
        assert dossier.apply("j1", Answered(20.0, 200)).state is TaskState.CANCELLED
        with pytest.raises(NotFoundError):
            dossier.apply("j9", Answered(20.0, 200))
    assert set(store.trees.known(name)) == {WINDOW, "./AMI/Meters/77", maker.uri}
    told = [(change.old, change.new) for change in store.trees.history(name).items]
    assert told == [("A2", None), ("A1", "A2")]


def test_what_raises_or_cannot_be_kept_keeps_nothing(store: RelationalStore) -> None:
    fill(store, 2)
    uids = [uid(0), uid(1)]
    store.tasks.add(job(devices=uids))

    def change(error: Exception | None = None) -> None:
        with store.dossiers.opened(uids, now=20.0) as found:
            for name in uids:
                found[name].saw([], [KnownNode(WINDOW, "int", "1")], now=20.0, whole=True)
                found[name].start(now=20.0, fresh=True, limit=1)
                found[name].wake(20.0)
            if error is not None:
                raise error

    def commits(_: Any) -> None:
        raise StoreError("no room", code="store.full")

    with pytest.raises(RuntimeError):
        change(RuntimeError())
    event.listen(store._engine, "commit", commits)
    with pytest.raises(StoreError):
        change()
    event.remove(store._engine, "commit", commits)
    assert store.tasks.get("j1").counts == {TaskState.QUEUED: 2}
    assert [store.trees.known(name) for name in uids] == [{}, {}]
    assert due(store) == dict.fromkeys(uids, 10.0)
    change()
    assert store.tasks.get("j1").counts == {TaskState.SENT: 2}
    assert due(store) == dict.fromkeys(uids, 20.0)


def test_a_suspended_device_is_not_woken_by_its_dossier(store: RelationalStore) -> None:
    fill(store, 1)
    with store.trees._transactions.writing() as session:
        session.execute(update(AccountRow).values(suspended=True))
    with store.dossiers.opened([uid(0)], now=20.0) as found:
        found[uid(0)].wake(30.0)
    assert due(store) == {}


def test_a_job_for_a_filter_has_a_task_for_every_device(store: RelationalStore) -> None:
    fill(store, FLEET)
    made = store.tasks.add(job(which=DeviceFilter(DeviceKind.DCU, region="north")))
    progress = store.tasks.get("j1")
    assert made == progress
    assert progress.counts == {TaskState.QUEUED: FLEET // 2}
    assert progress.job == job(which=DeviceFilter(DeviceKind.DCU, region="north"))
    assert due(store) == {uid(n): 10.0 for n in range(0, FLEET, 2)}
    seen, after = [], None
    while True:
        page = store.tasks.tasks("j1", after=after, limit=700)
        seen += [task.uid for task in page.items]
        after = page.next
        if after is None:
            break
    assert seen == sorted(due(store))
    assert store.tasks.cancel("j1", who="ben", now=11.0) == FLEET // 2
    assert store.tasks.get("j1").counts == {TaskState.CANCELLED: FLEET // 2}
    assert store.tasks.cancel("j1", who="ben", now=11.0) == 0


def test_devices_without_a_live_account_have_no_part(store: RelationalStore) -> None:
    fill(store, 3)
    store.devices.sight([Sighting(DeviceKind.DCU, "D9")], now=1.0)
    with store.trees._transactions.writing() as session:
        session.execute(update(AccountRow).where(AccountRow.uid == uid(1)).values(suspended=True))
    made = store.tasks.add(job("j1", which=DeviceFilter(DeviceKind.DCU)))
    assert made.counts == {TaskState.QUEUED: 2}
    with pytest.raises(NotFoundError, match="D9") as raised:
        store.tasks.add(job("j2", devices=[uid(0), "D9"]))
    assert raised.value.code == "dm.no-account"
    with pytest.raises(NotFoundError, match=uid(1)):
        store.tasks.add(job("j3", devices=[uid(1)]))
    with pytest.raises(ConflictError) as none:
        store.tasks.add(job("j4", which=DeviceFilter(DeviceKind.DCU, region="moon")))
    assert none.value.code == "dm.no-device"
    with pytest.raises(ConflictError):
        store.tasks.add(job("j1", devices=[uid(0)]))
    assert [progress.job.id for progress in store.tasks.list().items] == ["j1"]


def test_tasks_are_started_oldest_first_and_answered(store: RelationalStore) -> None:
    fill(store, 2)
    name = uid(0)
    for number in (3, 1, 2):
        store.tasks.add(job(f"j{number}", devices=[name], created=10.0 + number))
    started = start(store, name, now=20.0, fresh=True, limit=2)
    assert [(found.id, task.state, task.attempts) for found, task in started] == [
        ("j1", TaskState.SENT, 1), ("j2", TaskState.SENT, 1),
    ]  # fmt: skip
    assert [found.id for found, _ in start(store, name, now=21.0, fresh=False)] == ["j3"]
    assert start(store, name, now=21.0, fresh=False) == ()
    assert start(store, uid(1), now=21.0, fresh=True) == ()
    result = Result(WINDOW, 200, "int", "5")
    done = apply(store, "j1", name, Answered(22.0, 200, (result,)))
    assert (done.state, done.results) == (TaskState.DONE, (result,))
    assert store.tasks.tasks("j1").items == (done,)
    assert store.tasks.tasks("j1", state=TaskState.QUEUED).items == ()
    with pytest.raises(NotFoundError):
        apply(store, "j1", uid(1), Answered(22.0, 200))
    page = store.tasks.list(uid=name, limit=2)
    rest = store.tasks.list(uid=name, limit=2, after=page.next)
    assert [p.job.id for p in (*page.items, *rest.items)] == ["j3", "j2", "j1"]
    assert store.tasks.list(uid=uid(1)).items == ()


def test_a_new_session_sends_again_what_an_old_one_lost(store: RelationalStore) -> None:
    fill(store, 1)
    name = uid(0)
    store.tasks.add(job("get", devices=[name]))
    store.tasks.add(job("once", TaskKind.EXEC, devices=[name]))
    store.tasks.add(job("again", TaskKind.EXEC, devices=[name], repeatable=True))
    start(store, name, now=20.0, fresh=True)
    again = start(store, name, now=30.0, fresh=True)
    assert {(found.id, task.state.value, task.attempts) for found, task in again} == {
        ("get", "sent", 2), ("again", "sent", 2), ("once", "unknown", 1),
    }  # fmt: skip
    assert [task.state for task in store.tasks.tasks("once").items] == [TaskState.UNKNOWN]
    assert apply(store, "get", name, Lost(31.0)).state is TaskState.QUEUED


def test_time_ends_what_nobody_has_done(store: RelationalStore) -> None:
    fill(store, 2)
    name = uid(0)
    assert store.tasks.pass_time(now=1.0) == {}
    store.tasks.add(job("get", devices=[name, uid(1)]))
    store.tasks.add(job("once", TaskKind.EXEC, devices=[name]))
    start(store, name, now=20.0, fresh=True)
    assert store.tasks.pass_time(now=99.0) == {}
    assert start(store, name, now=101.0, fresh=True) == ()
    assert store.tasks.pass_time(now=101.0) == {
        (TaskKind.GET, TaskState.EXPIRED): 2, (TaskKind.EXEC, TaskState.UNKNOWN): 1,
    }  # fmt: skip
    assert store.tasks.get("get").counts == {TaskState.EXPIRED: 2}
    assert store.tasks.get("once").counts == {TaskState.UNKNOWN: 1}
    late = apply(store, "get", name, Answered(102.0, 200))
    assert late.state is TaskState.DONE
    assert store.tasks.purge(before=100.0) == 0
    assert [store.tasks.purge(before=101.0) for _ in range(3)] == [3, 2, 0]
    with pytest.raises(NotFoundError):
        store.tasks.get("get")
    with pytest.raises(NotFoundError):
        store.tasks.cancel("get", who="anna", now=1.0)
    assert store.tasks.tasks("get").items == ()


def test_a_task_is_what_was_added(store: RelationalStore) -> None:
    fill(store, 1)
    store.tasks.add(job("once", TaskKind.EXEC, devices=[uid(0)]))
    expected = Task("once", uid(0), 100.0, once=True, updated=10.0)
    assert store.tasks.tasks("once").items == (expected,)


def test_a_groups_progress_is_counted(store: RelationalStore) -> None:
    fill(store, 8)
    store.trees.put_group(NORTH, who="anna", now=2.0)  # 0, 2, 4, 6
    gone = "./AMI/Meters/7"
    store.trees.want(NORTH.scope, [setting(value="3"), Setting(gone)], who="anna", now=3.0)
    for number, value in ((0, "3"), (1, "3"), (2, "1"), (4, "1")):
        nodes = [KnownNode(WINDOW, "int", value)]
        nodes += [KnownNode(gone, "node")] if number == 4 else []
        saw(store, uid(number), ["./AMI"], nodes, now=4.0, whole=True)
    refused = Outcome(setting(value="3"), 500, "group:north", pushed=True, words="too many")
    settle(store, uid(4), [refused], now=5.0)
    window, absent = store.trees.progress("north")
    assert (window.wish.setting.uri, absent.wish.setting.uri) == (WINDOW, gone)
    assert (window.devices, window.so, window.refused) == (4, 1, 1)
    assert (absent.devices, absent.so, absent.refused) == (4, 2, 0)  # 6 was never seen
    with pytest.raises(NotFoundError):
        store.trees.progress("south")


def test_refusals_of_a_fleet_are_listed(store: RelationalStore) -> None:
    fill(store)
    for number in (0, 1, 2):
        outcomes = [
            Outcome(setting(uri, "99"), 500, "x", pushed=True, words="too many")
            for uri in (WINDOW, "./AMI/Link/Retries")
        ]
        settle(store, uid(number), outcomes, now=5.0)
    everything = DeviceFilter(DeviceKind.DCU)
    page = store.trees.refused(everything, limit=4)
    rest = store.trees.refused(everything, limit=4, after=page.next)
    found = [(name, node.uri, node.words) for name, node in (*page.items, *rest.items)]
    assert found == [
        (uid(number), uri, "too many")
        for number in (0, 1, 2)
        for uri in ("./AMI/Link/Retries", WINDOW)
    ]
    assert {name for name, _ in store.trees.refused(NORTH.which).items} == {uid(0), uid(2)}


def test_another_software_may_take_what_was_refused(store: RelationalStore) -> None:
    fill(store, 1)
    name, version = uid(0), "./DevDetail/SwV"
    saw(store, name, ["./DevDetail"], [KnownNode(version, "chr", "1")], now=3.0, whole=True)
    settle(store, name, [Outcome(setting(value="9"), 500, "x", pushed=True)], now=4.0)
    same = [KnownNode(version, "chr", "1")]
    saw(store, name, ["./DevDetail"], same, now=5.0, whole=True)
    assert WINDOW in store.trees.known(name)
    new = [KnownNode(version, "chr", "2")]
    saw(store, name, ["./DevDetail"], new, now=6.0, whole=True)
    assert store.trees.known(name)[WINDOW].refused is None


def test_what_is_overdue_ends_and_what_is_old_goes_slice_by_slice(store: RelationalStore) -> None:
    fill(store, 7)
    everyone = DeviceFilter(DeviceKind.DCU)
    for name in ("j1", "j2"):
        store.tasks.add(job(name, which=everyone))
    ended = []
    while counts := store.tasks.pass_time(now=101.0, limit=5):
        ended.append(sum(counts.values()))
    assert ended == [5, 5, 4]
    gone = []
    while count := store.tasks.purge(before=1e9, limit=3):
        gone.append(count)
        left = [progress.job.id for progress in store.tasks.list().items]
        # A job goes with its last task: what is left of it can be seen.
        assert all(store.tasks.tasks(name, limit=1).items for name in left)
    assert gone == [3, 3, 2, 3, 3, 2]
    assert store.tasks.list().items == ()


def test_a_session_begins_with_few_tasks_however_many_wait(store: RelationalStore) -> None:
    fill(store, 1)
    for number in range(9):
        store.tasks.add(job(f"j{number}", devices=[uid(0)], created=10.0 + number))
    moved = start(store, uid(0), now=20.0, fresh=True, limit=3)
    assert [found.id for found, _ in moved] == ["j0", "j1", "j2"]
    # What was lost comes first again, and nothing else is even read.
    again = start(store, uid(0), now=30.0, fresh=True, limit=2)
    assert [(found.id, task.state.value) for found, task in again] == [
        ("j0", "sent"), ("j1", "sent"), ("j2", "queued"),
    ]  # fmt: skip


def test_of_each_device_so_many_tasks_are_read_beside_what_was_sent(store: RelationalStore) -> None:
    fill(store, 2)
    most = management_work.QUEUED
    for number in range(most + 10):
        store.tasks.add(job(f"j{number}", devices=[uid(0), uid(1)], created=10.0 + number / 100))
    start(store, uid(0), now=20.0, fresh=True, limit=5)
    with store.dossiers.opened([uid(0), uid(1)], now=30.0) as found:
        assert [len(found[uid(number)].tasks) for number in range(2)] == [most + 5, most]
        assert "j5" in found[uid(0)].tasks


def test_a_job_and_what_it_keeps_come_together_or_not_at_all(store: RelationalStore) -> None:
    fill(store, 2)
    scopes = [device(uid(0)), device(uid(1))]
    made = store.tasks.add(
        job(devices=[uid(0), uid(1)]), wishes={key: [setting()] for key in scopes}
    )
    assert made.counts == {TaskState.QUEUED: 2}
    assert [wish.who for scope in scopes for wish in store.trees.wishes(scope)] == ["anna"] * 2
    many = [setting(f"./AMI/Ext/{n}") for n in range(MAX_WANTED)]
    with pytest.raises(ConflictError) as raised:
        store.tasks.add(
            job("j2", devices=[uid(0)]), wishes={scopes[0]: [setting(value="9")], scopes[1]: many}
        )
    assert raised.value.code == "dm.wanted"
    assert [progress.job.id for progress in store.tasks.list().items] == ["j1"]
    assert [wish.setting.value for wish in store.trees.wishes(scopes[0])] == ["3"]


def test_a_request_that_comes_again_makes_no_second_job(store: RelationalStore) -> None:
    fill(store, 1)
    ticket, name = Ticket("k1", "digest"), uid(0)
    first = store.tasks.add(job("j1", devices=[name]), ticket=ticket)
    start(store, name, now=20.0, fresh=True)
    again = store.tasks.add(
        job("j2", devices=[name]), ticket=ticket, wishes={device(name): [setting()]}
    )
    assert (again.job, again.counts) == (first.job, {TaskState.SENT: 1})
    assert store.trees.wishes(device(name)) == ()
    with pytest.raises(ConflictError) as raised:
        store.tasks.add(job("j3", devices=[name]), ticket=Ticket("k1", "another"))
    assert raised.value.code == "dm.key"
    other = replace(job("j4", devices=[name]), who="ben")  # has keys of his own
    assert store.tasks.add(other, ticket=ticket).job.id == "j4"
    with pytest.raises(ConflictError):
        store.tasks.add(job("j1", devices=[name]), ticket=Ticket("k2", "digest"))
    while store.tasks.purge(before=1e9):
        pass
    assert store.tasks.add(job("j5", devices=[name]), ticket=ticket).job.id == "j5"


def test_requests_that_come_together_make_one_job(store: RelationalStore) -> None:
    fill(store, 1)
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(
            lambda n: store.tasks.add(job(f"j{n}", devices=[uid(0)]), ticket=Ticket("k", "d")),
            range(8),
        )
        assert len({progress.job.id for progress in made}) == 1
    assert len(store.tasks.list().items) == 1


@pytest.mark.parametrize(("every", "most"), [(1, 10), (4, 16), (4096, 10)])
def test_a_device_fills_no_history(
    store: RelationalStore, monkeypatch: pytest.MonkeyPatch, every: int, most: int
) -> None:
    """What is beyond goes with each addition, now and then, or for each of very many changes."""

    def seen(value: int) -> list[KnownNode]:
        return [KnownNode(f"./AMI/Ext/{n}", "int", str(value)) for n in range(3)]

    monkeypatch.setattr(management_nodes, "_BEYOND", management_nodes._BEYOND.offset(10))
    monkeypatch.setattr(management_nodes, "TRIM_EVERY", every)
    for name in (uid(0), uid(1)):
        for value in range(6):
            saw(store, name, ["./AMI"], seen(value), now=float(value), whole=True)
    for name in (uid(0), uid(1)):
        kept = store.trees.history(name).items
        assert 10 <= len(kept) <= most
        kept = kept[:10]
        assert [change.at for change in kept] == [5.0] * 3 + [4.0] * 3 + [3.0] * 3 + [2.0]


def test_values_written_otherwise_are_as_wanted(store: RelationalStore) -> None:
    fill(store, 12)
    store.trees.put_group(Group("all", DeviceFilter(DeviceKind.DCU)), who="anna", now=2.0)
    wants = [
        setting(value="16"),
        Setting("./AMI/Ext/on", "bool", "true"),
        Setting("./AMI/Ext/document", "xml", "<a><b c='1'/></a>"),
        Setting("./AMI/Ext/text", "chr", "16"),
    ]
    store.trees.want(Scope.parse("group:all"), wants, who="anna", now=3.0)
    ways = [
        ("16", "true", "<a><b c='1'/></a>", "16"),
        ("0x10", "1", '<a>\n  <b c="1"></b>\n</a>', "0x10"),
        ("17", "0", "<a/>", "17"),
        ("rubbish", "rubbish", "<a>", ""),
    ]
    for number in range(11):  # one was never seen
        values = ways[number % 4]
        nodes = [
            KnownNode(want.uri, want.format, value)
            for want, value in zip(wants, values, strict=True)
        ]
        saw(store, uid(number), ["./AMI"], nodes, now=4.0, whole=number != 9)
    found = {item.wish.setting.uri: item.so for item in store.trees.progress("all")}
    # Three each have the first way and the third; two of the second's three were seen whole.
    assert found == {want.uri: 5 for want in wants[:3]} | {"./AMI/Ext/text": 3}


def test_a_session_asks_for_its_own_tasks_however_many_the_fleet_has(tmp_path: Path) -> None:
    """By the index of devices: the one of states leads through those of all devices."""
    with closing(RelationalStore.open(tmp_path / "db.sqlite")) as store:
        fill(store, 2)
        store.tasks.add(job(which=DeviceFilter(DeviceKind.DCU)))
        asked: list[tuple[str, Any]] = []

        def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
            asked.append((statement, parameters))

        event.listen(store._engine, "before_cursor_execute", note)
        assert len(start(store, uid(0), now=20.0, fresh=True)) == 1
        apply(store, "j1", uid(0), Answered(20.0, 200))
        event.remove(store._engine, "before_cursor_execute", note)
        with store._engine.connect() as connection:
            for statement, parameters in [one for one in asked if "dm_task" in one[0]]:
                query = f"EXPLAIN QUERY PLAN {statement}"
                plan = [row[3] for row in connection.exec_driver_sql(query, parameters)]
                ways = [step for step in plan if "dm_task" in step]
                assert all("uid=?" in way for way in ways), (statement, plan)
