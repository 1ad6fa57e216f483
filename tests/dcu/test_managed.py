"""A managed DCU and a real head-end: its tree is its only configuration."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.support.dcu_headend import Certificates, FakeHeadEnd
from tests.support.dcu_managed import (
    FileIdentity,
    Live,
    Made,
    Registered,
    ask_often,
    bootstrap,
    make,
)
from tests.support.demand import PROGRAM, event
from tests.support.headend import running_headend
from tests.support.management import ListPlanner, change_account, planning

from openami import __version__
from openami.core.errors import StoreError
from openami.dcu import wakeup
from openami.dcu.device import server_of
from openami.dcu.flow import Stop
from openami.dcu.headend import HeadEnd, HeadEndAwayError
from openami.dcu.managed import ManagedDcu
from openami.dcu.restarts import FREE, Restarts
from openami.dcu.scheduler import Scheduler
from openami.dcu.threads import WorkThread
from openami.fleet.demand.model import EventKind
from openami.fleet.desired import Setting
from openami.fleet.devices import Device, DeviceKind
from openami.headend.management.trees import device_scope
from openami.omadm.auth import Hash
from openami.omadm.messages.model import Add, Atomic, Exec, Item, Location, Replace
from openami.omadm.notification import CONTENT_TYPE, Notification
from openami.omadm.objects.sched import tasks
from openami.omadm.session.events import End, Order
from openami.omadm.tree.uri import format_path
from openami.store.salvage import opened
from openami.store.spool import Spool
from openami.store.tree import SqliteTree
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from openami.dcu.management import Held
    from openami.headend.server import Running
    from openami.omadm.tree.tree import ManagementTree

PERIOD = "./AMI/Collection/LoadPeriod"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_headend(tmp_path) as running:
        yield running


@pytest.fixture
def planner(running: Running) -> Iterator[ListPlanner]:
    with planning(running, ListPlanner()) as planner:
        yield planner


@pytest.fixture
def made(running: Running, tmp_path: Path) -> Made:
    return make(running, tmp_path, "D1")


def put(name: str, uri: str, value: str) -> Order:
    return Order(name, Replace(0, (Item(Location(uri), data=value),)))


def together(name: str, *values: tuple[str, str]) -> Order:
    commands = tuple(Replace(0, (Item(Location(uri), data=value),)) for uri, value in values)
    return Order(name, Atomic(0, commands))


def execute(name: str, uri: str) -> Order:
    return Order(name, Exec(0, Item(Location(uri))))


def notification(dcu: ManagedDcu, session: int, **changes: Any) -> bytes:
    """Return a notification of the DCU's server as it is good now."""
    server = server_of(dcu.tree.root, dcu._memory)
    assert server is not None
    found = {"password": server.account.server.password, "nonce": server.account.server_nonce}
    return Notification("openami", session).build(**{**found, **changes})


async def wake(dcu: ManagedDcu, body: bytes, kind: str = CONTENT_TYPE) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        url = f"http://127.0.0.1:{dcu.wake_port}/wake"
        answer = await client.post(url, content=body, headers={"content-type": kind})
    return answer.status_code


@contextmanager
def logs() -> Iterator[list[Any]]:
    with capture_logs() as found:
        yield found


def codes(found: list[Any]) -> list[str]:
    return [line["code"] for line in found if line["event"] == "notification refused"]


async def test_a_replace_takes_effect_at_once_and_outlives_a_restart(
    made: Made, planner: ListPlanner
) -> None:
    async with made.running() as live:
        await live.until(lambda: live.dcu.collecting.agent is not None and "D1" in planner.planned)
        assert live.dcu.collecting.agent is not None
        assert live.dcu.collecting.agent.settings.load_period_s == 900
        planner.orders["D1"] = [
            put("period", PERIOD, "300"),
            put("zone", "./AMI/Collection/Timezone", "Asia/Seoul"),
        ]
        assert await wake(live.dcu, notification(live.dcu, 7)) == 202
        await live.until(
            lambda: (
                live.dcu.collecting.agent is not None
                and live.dcu.collecting.agent.settings.load_period_s == 300
            )
        )
        assert live.dcu.collecting.agent.settings.timezone == "Asia/Seoul"
        await live.until(lambda: planner.statuses("D1") == {"period": 200, "zone": 200})
    async with made.running() as live:
        await live.until(lambda: live.dcu.collecting.agent is not None)
        assert live.dcu.collecting.agent is not None
        assert live.dcu.collecting.agent.settings.load_period_s == 300


async def test_who_is_woken_asks_what_holds_though_the_long_poll_is_down(
    made: Made, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise HeadEndAwayError("the long poll does not come through")

    monkeypatch.setattr(HeadEnd, "work", away)
    demand = running.services.demand
    async with made.running() as live:
        await live.until(lambda: live.dcu.collecting.agent is not None)
        behind = Device(DeviceKind.METER, "OAM1", dcu="D1")
        running.services.registry._devices.add(behind, who="test", when=1.0)
        demand.events.add_program(PROGRAM, who="ann")
        begin = int(running.services.clock.now()) + 60
        demand.events.draft(event("e1", start=begin, kind=EventKind.EMERGENCY), who="ann")
        await asyncio.to_thread(demand.events.publish, "e1", who="ann")
        await live.until(lambda: live.dcu.wake_port is not None)
        assert demand.book.late("e1", frozenset({"D1"})) == ["D1"]
        assert await wake(live.dcu, notification(live.dcu, 7)) == 202
        await live.until(lambda: not demand.book.late("e1", frozenset({"D1"})))


async def test_a_value_that_is_refused_leaves_the_old_one(made: Made, planner: ListPlanner) -> None:
    margin = "./AMI/Time/Margin"
    planner.orders["D1"] = [
        put("alone", PERIOD, "60"),  # the margin is not less than a quarter of it
        put("far", "./AMI/Segment/Addresses", "16-125,200"),
        put("narrow", "./AMI/Segment/AddressOctets", "2"),  # no room for 200
        put("ntp", "./AMI/Time/Source", "https://time.example"),
        together("both", (PERIOD, "60"), (margin, "5")),
        together("neither", (margin, "14"), (PERIOD, "120"), ("./AMI/Time/MaxStep", "1")),
        Order("leave", Replace(0, (Item(Location("./DMAcc/1/AppAddr/1/Addr"), data="http://x"),))),
    ]
    async with made.running() as live:
        await live.until(lambda: len(planner.statuses("D1")) == 7)
        found = planner.statuses("D1")
        assert found.pop("neither") == 507
        assert found == {
            "alone": 500, "far": 200, "narrow": 500, "ntp": 500, "both": 200, "leave": 500,
        }  # fmt: skip
        await live.until(
            lambda: (
                live.dcu.collecting.agent is not None
                and live.dcu.collecting.agent.settings.load_period_s == 60
            )
        )
        agent = live.dcu.collecting.agent
        assert agent is not None
        assert (agent.settings.clock_margin_s, agent.settings.addresses) == (5.0, "16-125,200")
        assert agent.settings.address_octets == 4
        assert live.dcu.tree.text(PERIOD) == "60"


async def test_only_what_is_new_from_its_server_wakes_it(
    made: Made, planner: ListPlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "LOG_EVERY_S", 0.0)
    planner.orders["D1"] = [put("period", PERIOD, "900")]  # what is answered changes the nonces
    async with made.running() as live:
        dcu = live.dcu
        await live.until(lambda: planner.ends != [] and dcu.wake_port is not None)
        stale = notification(dcu, 1)
        with logs() as found:
            forged = notification(dcu, 2, password="another secret of another server")
            assert await wake(dcu, forged) == 403
            assert await wake(dcu, b"\x00" * 20) in (400, 403)
            assert await wake(dcu, stale, "text/plain") == 415
        assert codes(found)[0] == "omadm.notification.digest"
        assert len(planner.ends) == 1
        good = notification(dcu, 3)
        assert await wake(dcu, good) == 202
        await live.until(lambda: len(planner.ends) == 2)
        resynchronised = notification(dcu, 4, nonce=bytes(4))
        with logs() as found:
            assert await wake(dcu, stale) == 403
            assert await wake(dcu, good) == 403
            # The number of a session that was asked for, with the nonce of the next.
            assert await wake(dcu, notification(dcu, 3)) == 403
            assert await wake(dcu, resynchronised) == 202
            assert await wake(dcu, resynchronised) == 403
        stale_code, replayed = "omadm.notification.digest", "omadm.notification.replayed"
        assert codes(found) == [stale_code, stale_code, replayed, replayed]
    async with made.running() as live:
        await live.until(lambda: live.dcu.wake_port is not None)
        with logs() as found:
            assert await wake(live.dcu, resynchronised) == 403
            assert await wake(live.dcu, notification(live.dcu, 5)) == 202
        assert codes(found) == [replayed]


async def test_a_notification_that_is_replayed_disturbs_no_session(
    made: Made, planner: ListPlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "LOG_EVERY_S", 0.0)
    begun, go, plan = threading.Event(), threading.Event(), planner.plan

    def hold(uid: str, *, now: float) -> Sequence[Order]:
        begun.set()
        assert go.wait(60.0)
        return plan(uid, now=now)

    planner.orders["D1"] = [put("period", PERIOD, "300")]
    async with made.running() as live:
        dcu = live.dcu
        await live.until(lambda: planner.ends != [] and dcu.wake_port is not None)
        del planner.ends[:]
        monkeypatch.setattr(planner, "plan", hold)
        good = notification(dcu, 7)
        assert await wake(dcu, good) == 202
        try:
            await live.until(begun.is_set)
            with logs() as found:
                assert await wake(dcu, good) == 403
            assert codes(found) == ["omadm.notification.replayed"]
            assert planner.ends == []
        finally:
            go.set()
        await live.until(lambda: planner.ends != [])
        assert [end.end for _, end in planner.ends] == [End.DONE]
        assert dcu.tree.text(PERIOD) == "300"
        assert dcu.manager._woken is None  # nothing waits for a session of its own
        assert not dcu.manager._nudge.is_set()


async def test_what_it_has_goes_where_the_upload_target_says(
    made: Made, running: Running, planner: ListPlanner
) -> None:
    target, files = "./AMI/Upload/Target", made.identity.folder
    certificates = Certificates(
        running.home.server,
        running.home.clients,
        *(files / f"{name}.pem" for name in ("certificate", "key", "authority")),
    )
    other = FakeHeadEnd(certificates)
    await other.start()
    try:
        async with made.running() as live:
            dcu = live.dcu

            def reports() -> int:
                agent = dcu.collecting.agent
                return 0 if agent is None else agent.figures.reports

            await live.until(lambda: reports() > 0 and planner.ends != [])
            assert not other.requests
            planner.orders["D1"] = [
                put("plain", target, "http://127.0.0.1:1"),
                put("there", target, other.url),
            ]
            dcu.manager.nudge()
            await live.until(lambda: len(other.reports) > 0)
            assert planner.statuses("D1") == {"plain": 500, "there": 200}
        del other.reports[:]
        async with made.running() as live:  # and after a restart
            await live.until(lambda: len(other.reports) > 0)
            assert live.dcu.tree.text(target) == other.url
    finally:
        await other.stop()


BASIC = (
    ("./DMAcc/1/AAuthPref", "BASIC"),
    ("./DMAcc/1/AppAuth/1/AAuthType", "BASIC"),
    ("./DMAcc/1/AppAuth/2/AAuthType", "BASIC"),
)


async def test_a_server_sets_another_proof_and_both_go_by_it(
    made: Made, running: Running, planner: ListPlanner
) -> None:
    planner.orders["D1"] = [together("basic", *BASIC)]
    async with made.running(weakest_proof="basic") as live:
        dcu = live.dcu
        await live.until(lambda: planner.statuses("D1") == {"basic": 200} and planner.ends != [])
        running.services.management.proofs.allow("D1", ["basic"], who="test")
        del planner.ends[:]
        dcu.manager.nudge()
        await live.until(lambda: [end.end for _, end in planner.ends] == [End.DONE])
        for number, how in enumerate(Hash, 7):  # nobody wakes by a password
            assert await wake(dcu, notification(dcu, number, how=how)) == 403
    del planner.ends[:]
    with logs() as found:
        async with made.running() as live:  # who installs it has raised its least
            await live.until(lambda: live.dcu.wake_port is not None)
            live.dcu.manager.nudge()
            await live.until(lambda: any(line["event"] == "session" for line in found))
    assert not planner.ends


async def test_no_server_talks_it_down(made: Made, running: Running, planner: ListPlanner) -> None:
    planner.orders["D1"] = [
        together("basic", *BASIC),
        Order("second", Add(0, (Item(Location("./DMAcc/2/ServerID"), data="other"),))),
    ]
    async with made.running() as live:
        await live.until(lambda: planner.ends != [])
        assert planner.statuses("D1") == {"basic": 507, "second": 500}
        said = [item.data for _, done in planner.results for item in done.items]
        assert said == [
            "AAuthType: weaker than this device's own settings allow",
            "this device has one server, that of ./DMAcc/1",
        ]
        assert live.dcu.tree.text("./DMAcc/1/AAuthPref") == "HMAC"


async def test_a_flood_of_notifications_is_turned_away(made: Made, planner: ListPlanner) -> None:
    async with made.running() as live:
        await live.until(lambda: live.dcu.wake_port is not None)
        url = f"http://127.0.0.1:{live.dcu.wake_port}"
        async with httpx.AsyncClient(trust_env=False, base_url=url, timeout=60) as client:
            headers = {"content-type": CONTENT_TYPE}
            answers = [
                (await client.post("/wake", content=b"x" * 40, headers=headers)).status_code
                for _ in range(40)
            ]
            assert 429 in answers
            assert (await client.get("/wake")).status_code == 405
            assert (await client.post("/other", content=b"")).status_code == 404
            with suppress(httpx.TransportError):  # it is cut off while it is still sending
                large = await client.post("/wake", content=b"x" * 2000, headers=headers)
                assert large.status_code == 413


async def test_operations_reach_collection(made: Made, planner: ListPlanner) -> None:
    planner.orders["D1"] = [
        execute(name, f"./AMI/Operations/{name}") for name in ("Collect", "Discover", "Report")
    ]
    async with made.running() as live:
        await live.until(lambda: len(planner.statuses("D1")) == 3)
        assert set(planner.statuses("D1").values()) == {202}
        # There is no line: the report alone can come to its end.
        await live.until(
            lambda: set(live.dcu.collecting._works) == {("Collect", None), ("Discover", None)}
        )


async def test_a_task_of_the_tree_is_executed_and_says_so(made: Made, planner: ListPlanner) -> None:
    def task(name: str, operation: str, **values: str) -> Order:
        place = f"./SCHED/{name}"
        needed = {"TaskID": name, "Operation": operation, "Start": "20200101T000000Z"}
        adds = (Add(0, (Item(Location(f"{place}/{k}"), data=v),)) for k, v in needed.items())
        sets = (Replace(0, (Item(Location(f"{place}/{k}"), data=v),)) for k, v in values.items())
        return Order(name, Atomic(0, (*adds, *sets)))

    planner.orders["D1"] = [
        task("once", "./AMI/Operations/Collect"),
        task("never", "./AMI/Operations/Collect", Enabled="false"),
        task("wrong", "./AMI/Operations/Explode"),
        task("daily", "./AMI/Operations/Report", Interval="86400"),
    ]
    async with made.running() as live:
        text = live.dcu.tree.text
        await live.until(lambda: text("./SCHED/once/LastStatus") == "202" and planner.ends != [])
        assert text("./SCHED/once/State") == "30"
        assert text("./SCHED/once/LastRun")
        await live.until(lambda: text("./SCHED/daily/NextRun") != "")
        assert text("./SCHED/daily/LastRun") == text("./SCHED/never/LastRun") == ""
        assert live.dcu.tree.names("./SCHED") == ("daily", "never", "once")
        assert planner.statuses("D1")["wrong"] == 507
    ran = Scheduler(live.dcu.tree, "D1", SystemClock(), Stop(), WorkThread("test"))
    (once,) = [task for task in tasks(live.dcu.tree.root) if task.name == "once"]
    assert ran._due(once) is None  # it is not done again after a restart


async def test_what_the_utility_wants_reaches_it_by_a_wake_up(made: Made, running: Running) -> None:
    trees = running.services.management.trees
    scope = device_scope("D1")
    async with made.running() as live:
        await live.until(
            lambda: (
                live.dcu.collecting.agent is not None
                and live.dcu.collecting.agent.figures.reports > 0
            )
        )
        await live.until(lambda: trees.view("D1").known_at is not None)
        trees.want(scope, [Setting(PERIOD, "int", "300")], who="test")
        await live.until(
            lambda: (
                live.dcu.collecting.agent is not None
                and live.dcu.collecting.agent.settings.load_period_s == 300
            )
        )
        await live.until(lambda: trees.view("D1").pending == 0)
        trees.want(scope, [Setting(PERIOD, "int", "60")], who="test")  # the margin is too large
        await live.until(lambda: trees.view("D1").refused == 1)
        assert live.dcu.tree.text(PERIOD) == "300"
        trees.want(scope, [Setting("./AMI/Time/Margin", "float", "5")], who="test")
        await live.until(lambda: live.dcu.tree.text(PERIOD) == "60")
        await live.until(lambda: trees.view("D1").refused == 0)
        told = [n.uri for n in trees.view("D1").nodes if "AAuthSecret" in n.uri]
        assert not told


async def test_it_comes_back_to_a_head_end_that_sent_it_away(
    made: Made, running: Running, planner: ListPlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openami.dcu.management.RETRY_FIRST_S", 0.02)
    monkeypatch.setattr("openami.dcu.management.RESEND_S", 0.01)
    change_account(running, "D1", suspended=True)
    held: list[Held] = []

    async def was_held(one: Held) -> None:
        held.append(one)

    async with made.running() as live:
        monkeypatch.setattr(live.dcu.manager, "_held", was_held)
        await live.until(lambda: len(held) >= 2)
        assert {one.end for one in held} == {End.REFUSED}
        assert not planner.ends
        change_account(running, "D1", suspended=False)
        planner.fault = RuntimeError("a bug at the head-end")
        await live.until(lambda: held[-1].end is End.DONE)
    assert planner.fault is None


async def test_it_polls_where_nothing_wakes_it_and_a_new_interval_holds_at_once(
    made: Made, planner: ListPlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Stop.sleep
    waits: list[float] = []
    planner.orders["D1"] = [put("poll", "./AMI/Management/PollEvery", "40")]
    async with made.running(wake=None) as live:
        nudge = live.dcu.manager._nudge

        async def sleep(stop: Stop, seconds: float, *wakers: asyncio.Event) -> None:
            if nudge in wakers:
                waits.append(seconds)
                seconds = 0.01
            await real(stop, seconds, *wakers)

        monkeypatch.setattr(Stop, "sleep", sleep)
        await live.until(lambda: len(planner.ends) >= 3)
        assert live.dcu.wake_port is None
    assert waits[0] == 0.0  # a new device asks at once
    assert all(32 <= wait <= 48 for wait in waits[1:])
    assert len(set(waits)) == len(waits)
    waits.clear()
    monkeypatch.setattr(Stop, "sleep", real)
    async with made.dcu(wake=None) as dcu:
        assert all(0 <= dcu._start_wait() <= 40 for _ in range(20))


async def test_the_server_hears_of_another_software(made: Made, planner: ListPlanner) -> None:
    async with made.running() as live:
        await live.until(lambda: live.dcu._memory.fact("software") != "")
        live.dcu._memory.put_fact("software", "0.0.1")
    assert not planner.alerts
    async with made.running() as live:
        await live.until(lambda: live.dcu.wake_port is not None)
        assert await wake(live.dcu, notification(live.dcu, 9)) == 202
        await live.until(lambda: planner.alerts != [])
        (alert,) = planner.alerts
        (item,) = alert.items
        assert item.meta is not None
        assert item.meta.type == "urn:openami:alert:tree-changed"
        await live.until(lambda: live.dcu._memory.fact("software") == __version__)


async def test_what_this_version_cannot_do_leaves_it_managed(
    made: Made, planner: ListPlanner
) -> None:
    source = "./AMI/Time/Source"
    async with made.dcu() as dcu:
        await dcu.membership.register(Stop())
        dcu._memory.put_fact("managed", "yes")
        dcu.tree._listeners.clear()  # as a version that took it
        draft = dcu.tree.draft(1.0)
        draft.set_value(dcu.tree.path(source), "https://time.example")
        dcu.tree.commit(draft)
    planner.orders["D1"] = [put("back", source, "system")]
    with logs() as found:
        async with made.running() as live:
            await live.until(lambda: live.dcu.wake_port is not None)
            assert live.dcu.collecting.agent is None
            assert await wake(live.dcu, notification(live.dcu, 9)) == 202
            await live.until(lambda: live.dcu.collecting.agent is not None)
    assert "cannot collect so" in [line["event"] for line in found]


async def test_a_tree_that_was_lost_comes_back_with_the_next_account(
    made: Made, planner: ListPlanner
) -> None:
    registration = Registered(None)
    dcu = ManagedDcu(made.installation(), SystemClock(), made.identity, registration)
    async with dcu:
        ask_often(dcu.tree)
        live = Live(dcu, asyncio.ensure_future(dcu.run()))
        await live.until(lambda: registration.doubts > 1)  # as it starts, and at each session
        assert server_of(dcu.tree.root, dcu._memory) is None
        registration.block = made.block
        registration.come.set()
        await live.until(lambda: planner.ends != [])
        assert registration.forgotten
        await live.until(lambda: registration.doubts == 0)
        dcu.stop()
        await live.task


async def test_after_another_account_its_server_says_first_how_to_collect(made: Made) -> None:
    async with made.dcu() as dcu:
        assert await dcu.membership.register(Stop())
        dcu._memory.put_fact("managed", "yes")
        assert not await dcu.membership.register(Stop())  # the same account once more
        other = replace(made.block, client_password="c" * 43)
        assert dcu.membership._bootstrap(other)
        assert not dcu._memory.fact("managed")


async def test_every_value_that_is_none_is_put_back(made: Made, planner: ListPlanner) -> None:
    """What another version accepted, or a bit that fell, does not end this one."""
    async with made.dcu() as dcu:
        await dcu.membership.register(Stop())
        server = server_of(dcu.tree.root, dcu._memory)
        wanted = dict(leaves(dcu.tree))
        assert len(wanted) > 40
    with closing(SqliteTree(made.state / "tree.sqlite")) as store:
        bad = [
            replace(node, value=b"\xc2\xa0no value")
            for node in store.load()
            if node.format != "node" and node.path in wanted
        ]
        bad.append(replace(bad[0], path="./SCHED/t/Start", format="chr"))
        bad.append(replace(bad[0], path="./SCHED/t", format="node", value=b""))
        store.commit((), bad)
    with logs() as found:
        async with made.running() as live:
            live.dcu.manager.nudge()
            assert server_of(live.dcu.tree.root, live.dcu._memory) == server
            assert {
                path: value for path, value in leaves(live.dcu.tree) if path in wanted
            } == wanted
            await live.until(lambda: planner.ends != [])
    assert "the tree had values that are none" in [line["event"] for line in found]


def leaves(tree: ManagementTree) -> Iterator[tuple[str, str | bytes]]:
    """Yield what AMI and SCHED say, as far as they say what it may be."""
    for path, node in tree.root.walk():
        rule = tree.schema.rule(path)
        own = path[:1] == ("AMI",) and path[-1] != "LongPoll"  # which the tests set
        if own and not node.interior and rule is not None and rule.check:
            yield format_path(path), node.value


DAMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "cut": lambda octets: octets[: len(octets) // 2],
    "empty": lambda octets: b"",
    "garbage": lambda octets: b"\xa5" * len(octets),
    "holes": lambda octets: octets[: len(octets) // 3] + bytes(len(octets) - len(octets) // 3),
}
FILES = ("tree.sqlite", "vault.sqlite", "kek", "management.sqlite", "spool.sqlite")


@pytest.mark.parametrize("file", FILES)
async def test_whatever_file_is_damaged_the_dcu_starts(tmp_path: Path, file: str) -> None:
    identity, block = FileIdentity("D1", tmp_path / "files"), bootstrap("https://127.0.0.1:1/dm")
    for name, damage in DAMAGES.items():
        made = Made(identity, block, tmp_path / name)
        registration = Registered(block)
        async with made.dcu() as dcu:
            await dcu.membership.register(Stop())
        Spool(made.state / "spool.sqlite").close()
        damaged = made.state / file
        before = damage(damaged.read_bytes())
        for end in ("-wal", "-shm"):
            damaged.with_name(file + end).unlink(missing_ok=True)
        damaged.write_bytes(before)
        with logs() as found:
            dcu = ManagedDcu(made.installation(), SystemClock(), identity, registration)
            async with dcu:
                await dcu.membership.register(Stop())
                assert server_of(dcu.tree.root, dcu._memory) is not None
            path = made.state / "spool.sqlite"
            opened(partial(Spool, path), path).close()
        said = [line for line in found if line["event"] == "damaged, kept aside"]
        assert [line["code"] for line in said] in (["store.damaged"], [])
        if name == "garbage":
            assert said
        if said and before:  # one that is empty was begun anew before it was missed
            assert damaged.with_name(file + ".damaged").read_bytes() == before


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    identity, block = FileIdentity("D1", tmp_path / "files"), bootstrap("https://127.0.0.1:1/dm")
    made = Made(identity, block, tmp_path / "state")
    async with made.dcu() as dcu:
        await dcu.membership.register(Stop())
    for file in ("tree.sqlite", "vault.sqlite", "management.sqlite"):
        path = made.state / file
        with closing(sqlite3.connect(path)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version + 1}")
        with pytest.raises(StoreError) as caught:
            async with made.dcu():
                pass
        assert caught.value.code == "store.newer"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
    assert not list(made.state.glob("*.damaged"))


async def test_a_dcu_that_ends_badly_again_and_again_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, block = FileIdentity("D1", tmp_path / "files"), bootstrap("https://127.0.0.1:1/dm")
    made = Made(identity, block, tmp_path / "state")
    rests: list[float] = []

    async def sleep(self: Stop, seconds: float, *_: object) -> None:
        rests.append(seconds)

    monkeypatch.setattr(Stop, "sleep", sleep)
    for _ in range(FREE + 12):
        async with made.dcu() as dcu:
            await Restarts(dcu._memory, lambda: 0.5).rest(Stop())
    assert len(rests) == 12
    assert all(0.5 * 5 * 2**n <= rest <= 5 * 2**n for n, rest in enumerate(rests[:6]))
    assert all(150 <= rest <= 300 for rest in rests[6:])
    async with made.dcu() as dcu:
        dcu._stop.set()
        await dcu.run()  # ends in good order
        rests.clear()
    async with made.dcu() as dcu:
        await Restarts(dcu._memory, lambda: 0.5).rest(Stop())
    assert rests == []
