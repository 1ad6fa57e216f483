"""What people may ask of devices' trees, and what is refused before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.dm_planned import add_devices
from tests.support.dossiers import settle

from openami.core.errors import ConflictError, NotFoundError, OpenAmiError, SecurityError
from openami.fleet.desired import MAX_VALUE, Scope, Setting
from openami.fleet.devices import DeviceKind
from openami.fleet.management import Outcome
from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import Command, TaskKind, TaskState
from openami.headend.errors import RequestError
from openami.headend.management import tasks as tasks_module
from openami.headend.management import trees as trees_module
from openami.headend.management.addresses import (
    command_to_exec,
    command_to_get,
    command_to_set,
    node_address,
    setting,
    wish,
)
from openami.headend.management.tasks import LONGEST_S, Whom
from openami.headend.management.trees import MOST, device_scope

if TYPE_CHECKING:
    from openami.core.clock import ManualClock
    from openami.headend.services import Services, Stores

WINDOW = "./AMI/Link/Window"
SECRET = "./DMAcc/1/AppAuth/1/AAuthSecret"


def code(error: pytest.ExceptionInfo[OpenAmiError]) -> str:
    return error.value.code


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (WINDOW, WINDOW),
        ("AMI/Link/Window", WINDOW),
        ("./A%4DI/Link", "./AMI/Link"),
        ("./AMI/Meters/ü", "./AMI/Meters/%C3%BC"),
    ],
)
def test_a_node_has_one_address(text: str, address: str) -> None:
    assert node_address(text) == address


@pytest.mark.parametrize(
    "text", ["", ".", "./", "./AMI//Link", "./AMI?prop=ACL", "./" + "x" * 300, "./a/" * 30, "./\n"]
)
def test_what_is_no_node_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as raised:
        node_address(text)
    assert code(raised) == "request.uri"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        "DMAcc/1/AppAuth/1/AAuthData",
        "./DMA%63c/1/AppAuth/1/aauthsecret",
        f"{SECRET}?prop=Size",
    ],
)
def test_passwords_are_neither_read_nor_set(text: str) -> None:
    for ask in (command_to_get, lambda uri: setting(uri, "x"), lambda uri: setting(uri, None)):
        with pytest.raises(SecurityError) as raised:
            ask(text)
        assert code(raised) == "dm.secret"


@pytest.mark.parametrize(
    "query",
    ["", "?prop=ACL", "?list=Struct", "?list=StructData", "?list=TNDS", "?list=TNDS+ACL+Value"],
)
def test_what_is_read_may_be_a_property_or_a_listing(query: str) -> None:
    assert command_to_get(f"AMI{query}") == Command(f"./AMI{query}")


def test_what_is_executed_may_be_handed_something() -> None:
    assert command_to_exec("AMI/Operations/Collect", "") == Command("./AMI/Operations/Collect")
    assert command_to_exec("./FUMO/1/Update", "x") == Command("./FUMO/1/Update", "chr", "x")
    with pytest.raises(RequestError):
        command_to_exec("./FUMO/1/Update", "x" * (MAX_VALUE + 1))


def test_a_setting_has_the_format_of_its_object() -> None:
    assert setting(WINDOW, "3") == Setting(WINDOW, "int", "3")
    assert command_to_set(setting(WINDOW, "3")) == Command(WINDOW, "int", "3")
    assert setting("./AMI/Meters/7/Serial", "A7").format == "chr"
    assert setting("./AMI/Meters/7", None) == Setting("./AMI/Meters/7")
    assert setting("./AMI/Ext/maker/x", "1").format == "chr"
    assert setting("./AMI/Ext/maker/x", "1", form="int").format == "int"
    assert setting("./FUMO/1/Update/PkgData", "AAEC").format == "bin"
    assert setting("./Other/Object", "1", unchecked=True) == Setting("./Other/Object", "chr", "1")
    assert setting(WINDOW, "99", unchecked=True) == Setting(WINDOW, "int", "99")
    assert setting("./Other/Object", None, unchecked=True).absent


@pytest.mark.parametrize(
    ("uri", "value", "form"),
    [
        (WINDOW, "99", None),  # more than the object allows
        (WINDOW, "three", None),
        (WINDOW, "3", "chr"),
        (WINDOW, "3", "number"),
        (WINDOW, None, None),  # permanent
        ("./AMI", "3", None),
        ("./DevInfo/Man", "me", None),
        ("./FUMO/1/Update/PkgData", "not base64", None),
        ("./AMI/Collection/LoadProfile", "x" * (MAX_VALUE + 1), None),
    ],
)
def test_a_value_that_no_device_would_take_is_refused(
    uri: str, value: str | None, form: str | None
) -> None:
    with pytest.raises(RequestError) as raised:
        setting(uri, value, form=form)
    assert code(raised) == "request.value"


def test_a_node_of_no_object_is_refused() -> None:
    with pytest.raises(RequestError) as raised:
        setting("./Other/Object", "1")
    assert code(raised) == "request.uri"


def test_accounts_are_not_wished_for() -> None:
    assert wish(WINDOW, "3") == Setting(WINDOW, "int", "3")
    assert setting("./DMAcc/1/Name", "Utility").value == "Utility"
    with pytest.raises(RequestError) as raised:
        wish("./DMAcc/1/Name", "Utility")
    assert code(raised) == "request.account"


def test_a_tree_is_shown_with_what_is_wanted(services: Services, stores: Stores) -> None:
    add_devices(stores, "D1")
    trees, groups = services.management.trees, services.management.groups
    view = groups.put("all", DeviceFilter(), priority=1, who="anna")
    assert (view.devices, view.wishes, view.group.which.kind) == (1, 0, DeviceKind.DCU)
    assert trees.want(view.group.scope, [setting(WINDOW, "3")], who="anna") == 1
    empty = trees.view("D1")
    assert (empty.known_at, empty.pending, [node.uri for node in empty.nodes]) == (
        None,
        1,
        [WINDOW],
    )
    settle(stores, "D1", [Outcome(setting(WINDOW, "3"), 500, "x", pushed=True)], now=1.0)
    refused = trees.view("D1")
    assert (refused.pending, refused.refused) == (0, 1)
    assert refused.nodes[0].known is None
    assert refused.nodes[0].status == 500
    assert trees.retry("D1", who="anna") == 1
    assert trees.view("D1", below="./AMI/Link").pending == 1
    assert trees.view("D1", below="./SCHED").nodes == ()
    assert trees.view("D1", below=".").pending == 1
    assert [item.status for item in trees.history("D1", address="./AMI").items] == [500]
    assert [view.group.name for view in groups.list()] == ["all"]
    assert trees.unwant(view.group.scope, ["AMI/Link/Window"], who="anna") == 1
    assert trees.wishes(view.group.scope) == ()
    assert groups.remove("all", who="anna") == 1
    assert trees.refresh("D1")
    assert trees.wake("D1")


def test_what_concerns_nobody_is_refused(services: Services, stores: Stores) -> None:
    trees, groups = services.management.trees, services.management.groups
    for ask in (trees.view, trees.history, trees.refresh, trees.wake):
        with pytest.raises(NotFoundError):
            ask("D9")
    for name in ("", "a/b"):
        with pytest.raises(RequestError):
            device_scope(name)
        with pytest.raises(RequestError):
            groups.get(name)
    with pytest.raises(RequestError):
        groups.put("all", DeviceFilter(), priority=10**9, who="anna")
    scope = Scope.parse("device:D1")
    for some in ([], [setting(WINDOW, "3")] * (MOST + 1)):
        with pytest.raises(RequestError):
            trees.want(scope, some, who="anna")
    for uris in ([], [WINDOW] * (MOST + 1)):
        with pytest.raises(RequestError):
            trees.unwant(scope, uris, who="anna")
    assert stores.audit.list().items == ()


def test_jobs_are_made_for_devices_groups_and_filters(
    services: Services, stores: Stores, wall: ManualClock
) -> None:
    add_devices(stores, "D1", "D2")
    management, get = services.management, [command_to_get(WINDOW)]
    management.groups.put("two", DeviceFilter(search="D2"), priority=0, who="anna")
    tasks = management.tasks
    named = tasks.create(TaskKind.GET, get * 2, Whom(("D1", "D1")), who="anna", why=" for\nfun ")
    assert (named.job.commands, named.job.devices, named.job.why) == (
        tuple(get),
        ("D1",),
        "for fun",
    )
    assert named.counts == {TaskState.QUEUED: 1}
    grouped = tasks.create(TaskKind.GET, get, Whom(group="two"), who="anna")
    assert [task.uid for task in tasks.tasks(grouped.job.id).items] == ["D2"]
    all_of_them = tasks.create(TaskKind.GET, get, Whom(which=DeviceFilter()), who="anna")
    assert all_of_them.counts == {TaskState.QUEUED: 2}
    assert [item.job.id for item in tasks.list(uid="D1").items].count(named.job.id) == 1
    assert tasks.cancel(named.job.id, who="ben").counts == {TaskState.CANCELLED: 1}
    assert tasks.get(named.job.id).job == named.job


def test_jobs_that_can_not_be_are_refused(services: Services, stores: Stores) -> None:
    add_devices(stores, "D1")
    tasks, get = services.management.tasks, command_to_get(WINDOW)
    for changes in (
        {},
        {"devices": ("D1",), "group": "x"},
        {"devices": tuple(map(str, range(1001)))},
    ):
        with pytest.raises(RequestError) as raised:
            Whom(**changes)
        assert code(raised) == "request.devices"
    one = Whom(("D1",))
    for kind, commands, expires in (
        (TaskKind.GET, [], 60.0),
        (TaskKind.GET, [get] * 65, 60.0),
        (TaskKind.EXEC, [get, command_to_get("./AMI")], 60.0),
        (TaskKind.GET, [get], 0.0),
        (TaskKind.GET, [get], LONGEST_S + 1),
    ):
        with pytest.raises(RequestError) as raised:
            tasks.create(kind, commands, one, who="anna", expires_s=expires)
        assert code(raised) == "request.job"
    with pytest.raises(NotFoundError):
        tasks.create(TaskKind.GET, [get], Whom(group="nobody"), who="anna")
    with pytest.raises(ConflictError):
        tasks.create(TaskKind.GET, [get], Whom(which=DeviceFilter(region="moon")), who="anna")
    with pytest.raises(NotFoundError):
        tasks.tasks("none")
    assert tasks.list().items == ()


async def test_what_is_old_is_ended_and_forgotten_slice_by_slice(
    services: Services, stores: Stores, wall: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_module, "SLICE", 2)
    monkeypatch.setattr(trees_module, "SLICE", 1)
    add_devices(stores, "D1")
    tasks, trees = services.management.tasks, services.management.trees
    get = [command_to_get(WINDOW)]
    jobs = [
        tasks.create(TaskKind.GET, get, Whom(("D1",)), who="anna", expires_s=60.0).job.id
        for _ in range(3)
    ]
    await tasks.pass_time()
    assert tasks.get(jobs[0]).counts == {TaskState.QUEUED: 1}
    wall.advance(61.0)
    await tasks.pass_time()
    states = [tasks.get(job).counts for job in jobs]
    assert sorted(states, key=str) == [{TaskState.EXPIRED: 1}] * 2 + [{TaskState.QUEUED: 1}]
    await tasks.pass_time()
    assert [tasks.get(job).counts for job in jobs] == [{TaskState.EXPIRED: 1}] * 3
    sample = services.metrics.registry.get_sample_value
    assert sample("openami_dm_tasks_total", {"kind": "get", "state": "expired"}) == 3
    for value in ("1", "2"):
        outcome = Outcome(setting(WINDOW, value), 200, "x")
        settle(stores, "D1", [outcome], now=wall.now())
    await tasks.forget()
    await trees.forget()
    assert (len(tasks.list().items), len(trees.history("D1").items)) == (3, 2)
    wall.advance(1000 * 86_400.0)
    left = []
    for _ in range(4):
        left.append((len(tasks.list().items), len(trees.history("D1").items)))
        await tasks.forget()
        await trees.forget()
    assert left == [(3, 2), (2, 1), (1, 0), (0, 0)]
