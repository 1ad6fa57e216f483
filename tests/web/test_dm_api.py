"""Sessions of device management, over real mutual TLS, between real ends with a real tree."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dm_wire import DEVICE, order
from tests.support.headend import dcu_client, running_headend
from tests.support.management import (
    NOW,
    Device,
    ListPlanner,
    change_account,
    give_account,
    planning,
)

from openami.core.errors import StoreError
from openami.headend.errors import BusyError
from openami.headend.management import sessions as sessions_module
from openami.omadm.auth import RESYNC_NONCE
from openami.omadm.codes import Status
from openami.omadm.messages.codec import decode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Atomic,
    Exec,
    Get,
    Item,
    Location,
    Meta,
    Replace,
    StatusReport,
)
from openami.omadm.session.budget import Budget
from openami.omadm.session.events import (
    NO_ANSWER,
    AuthenticationFailed,
    End,
    Order,
    OrderDone,
    Outgoing,
)
from openami.omadm.tree.node import Format, Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    import httpx

    from openami.headend.server import Running
    from openami.omadm.session.client import ClientSession

    Make = Callable[..., Awaitable[Device]]

NAME = "./DMAcc/1/Name"


@pytest.fixture
async def planner(running: Running) -> AsyncIterator[ListPlanner]:
    with planning(running, ListPlanner()) as planner:
        yield planner


@pytest.fixture
async def device(running: Running, planner: ListPlanner, tmp_path: Path) -> AsyncIterator[Make]:
    """Return a function that makes a device with an account."""
    async with AsyncExitStack() as stack:

        async def make(uid: str, **options: Any) -> Device:
            client = await stack.enter_async_context(dcu_client(running, tmp_path, uid))
            return Device(uid, give_account(running, uid), client, **options)

        yield make


def get(name: str, uri: str = NAME) -> Order:
    return order(name, Get, uri)


def code(answer: httpx.Response) -> str:
    found: str = answer.json()["error"]["code"]
    return found


def alarms(running: Running) -> list[tuple[str, str]]:
    return [(one.code, one.subject) for one in running.services.alarms.list().items]


def logged(running: Running, uid: str) -> list[tuple[str, str | None]]:
    """Return ends and codes of a device's sessions, the earliest first."""
    found = running.services.management.log.list(uid=uid).items
    return [(one.end, one.code) for one in reversed(found)]


def start(device: Device, **options: Any) -> tuple[ClientSession, Any]:
    session = device.begin(**options)
    return session, session.start(NOW)


def following_of(session: ClientSession) -> Outgoing:
    message = session.next_outgoing()
    assert message is not None
    return message


@pytest.mark.parametrize("media", list(MediaType))
async def test_a_whole_session(
    running: Running, planner: ListPlanner, device: Make, media: MediaType
) -> None:
    item = Item(Location(NAME), data="Metering")
    planner.orders["D1"] = [
        get("name"),
        Order("rename", Atomic(0, (Replace(0, (item,)),))),
        get("none", "./DMAcc/9"),
        Order("report", Exec(0, Item(Location("./AMI/Nothing")))),
    ]
    planner.more["D1"] = [get("renamed")]
    one = await device("D1", media=media)
    assert (await one.run()).end is End.DONE
    assert planner.statuses("D1") == {
        "name": 200,
        "rename": 200,
        "none": 404,
        "report": 404,
        "renamed": 200,
    }
    found = {
        done.id: [item.data for item in done.items]
        for _, done in planner.results
        if done.status == Status.OK and done.items
    }
    assert found == {"name": ["Utility"], "renamed": ["Metering"]}
    assert planner.info["D1"]["./DevInfo/DevId"] == DEVICE
    assert [(uid, end.end) for uid, end in planner.ends] == [("D1", End.DONE)]
    assert not [e for e in one.events if isinstance(e, AuthenticationFailed)]
    entry = running.services.management.log.list().items[0]
    assert (entry.uid, entry.session, entry.end) == ("D1", "2A", "done")
    assert (entry.orders, entry.messages, entry.notified) == (5, 6, False)
    assert running.services.management.sessions.count() == 0


async def test_nonces_go_on_from_session_to_session(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    for _ in range(3):
        assert (await one.run(notified=True)).end is End.DONE
    assert not [e for e in one.events if isinstance(e, AuthenticationFailed)]
    record = running.services.management.accounts._store.accounts(["D1"])["D1"]
    assert record.client_nonce == one.account.client_nonce
    assert len(record.client_nonce) == 16
    assert record.last_session is not None
    assert logged(running, "D1") == [("done", None)] * 3
    assert planner.planned == ["D1"] * 3
    assert all(one.notified for one in running.services.management.log.list().items)


async def test_a_head_end_that_was_restarted_knows_the_nonces(tmp_path: Path) -> None:
    async with running_headend(tmp_path) as running, dcu_client(running, tmp_path, "D1") as http:
        one = Device("D1", give_account(running, "D1"), http)
        await one.run()
        half, message = start(one)
        one.take(half, await one.post(message))
    async with running_headend(tmp_path) as running:
        async with dcu_client(running, tmp_path, "D1") as http:
            one.http = http
            assert (await one.run()).end is End.DONE
        assert logged(running, "D1") == [("done", None), ("done", None), ("done", None)]
    assert not [e for e in one.events if isinstance(e, AuthenticationFailed)]


async def test_two_devices_at_once(planner: ListPlanner, device: Make) -> None:
    devices = [await device(f"D{n}") for n in range(4)]
    for one in devices:
        planner.orders[one.uid] = [get(f"{one.uid}-{n}") for n in range(10)]
    ends = await asyncio.gather(*(one.run() for one in devices))
    assert {end.end for end in ends} == {End.DONE}
    for one in devices:
        assert planner.statuses(one.uid) == {f"{one.uid}-{n}": 200 for n in range(10)}


@pytest.mark.parametrize("session_id", [None, 0x2A])
async def test_a_device_that_dies_and_comes_again(
    running: Running, planner: ListPlanner, device: Make, session_id: int | None
) -> None:
    """It remembers its nonces, and perhaps begins with the same session id."""
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    half, message = start(one)
    one.take(half, await one.post(message))
    assert (await one.run(session_id=session_id)).end is End.DONE
    assert [done.status for _, done in planner.results] == [NO_ANSWER, 200]
    assert [end.end for _, end in planner.ends] == [End.ABORTED, End.DONE]
    assert logged(running, "D1") == [("aborted", None), ("done", None)]
    assert alarms(running) == []


async def test_a_device_that_has_lost_its_nonces(running: Running, device: Make) -> None:
    """A stale proof is refused once, with the nonce for the next; that is no alarm."""
    one = await device("D1")
    before = one.account
    await one.run()
    one.account = before
    session, message = start(one)
    answer = await one.post(message)
    assert _header_status(answer) == Status.INVALID_CREDENTIALS
    one.take(session, answer)
    assert (await one.run(session)).end is End.DONE
    session, message = start(one)
    assert _header_status(await one.post(message)) == Status.OK
    assert alarms(running) == []


async def test_a_resynchronised_device_gets_new_nonces(running: Running, device: Make) -> None:
    """The nonces of resynchronisation are nobody's any more after a session, even an idle one."""
    one = await device("D1")
    sessions = running.services.management.sessions
    sessions.resynchronise("D1")
    assert sessions.lost_nonces("D1", 0x77)
    one.account = one.account.resynchronised()
    assert (await one.run(session_id=0x77, notified=True)).end is End.DONE
    there = (await running.services.management.accounts.read("D1")).account
    assert RESYNC_NONCE not in {there.client_nonce, there.server_nonce}
    assert (one.account.client_nonce, one.account.server_nonce) == (
        there.client_nonce,
        there.server_nonce,
    )
    assert alarms(running) == []


async def test_a_message_again_is_answered_as_before(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    session, message = start(one)
    while message is not None:
        answer, again = await one.post(message), await one.post(message)
        assert answer.content == again.content
        assert answer.headers["x-syncml-hmac"] == again.headers["x-syncml-hmac"]
        one.take(session, answer)
        message = session.next_outgoing()
    assert planner.planned == ["D1"]
    assert planner.statuses("D1") == {"name": 200}
    assert logged(running, "D1") == [("done", None)]


async def test_a_message_twice_at_once_is_taken_once(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    """A device that has waited too long sends it again, while the first is still being answered."""
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    session, message = start(one)
    while message is not None:
        answers = await asyncio.gather(*(one.post(message) for _ in range(4)))
        assert len({answer.content for answer in answers}) == 1
        one.take(session, answers[0])
        message = session.next_outgoing()
    assert planner.planned == ["D1"]
    assert [done.id for _, done in planner.results] == ["name"]
    assert logged(running, "D1") == [("done", None)]


async def test_who_waits_for_a_device_keeps_others_from_it(running: Running) -> None:
    """Who is done leaves the device, and its lock, to who waits: nobody else gets a new one."""
    sessions: Any = running.services.management.sessions
    leave = asyncio.Event()

    async def use() -> None:
        async with sessions._alone("D1"):
            await leave.wait()

    async with sessions._alone("D1") as device:
        second = asyncio.create_task(use())
        await asyncio.sleep(0)
    assert sessions._devices["D1"] is device
    leave.set()
    await second
    assert sessions.count() == 0


async def test_last_answers_are_bounded_and_forgotten(
    running: Running, device: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: Any = running.services.management.sessions
    assert sessions._lasts._most == sessions._lost._most == sessions_module.REPEATS
    monkeypatch.setattr(sessions._lasts, "_most", 2)
    for uid in ("D1", "D2", "D3"):
        assert (await (await device(uid)).run()).end is End.DONE
    assert list(sessions._lasts) == ["D2", "D3"]
    await sessions.pass_time(running.services.wall.now() + sessions_module.REPEAT_S)
    assert not sessions._lasts


async def test_a_replayed_message_is_refused_and_harms_nothing(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    session, first = start(one)
    one.take(session, await one.post(first))
    second = following_of(session)
    one.take(session, await one.post(second))
    planner.orders["D1"] = []
    other = one.begin()
    opening = other.start(NOW)
    one.take(other, await one.post(opening))
    # Of a session that is over, nothing is known but its last message.
    replayed = await one.post(second)
    assert (replayed.status_code, code(replayed)) == (409, "omadm.session.unknown")
    replayed = await one.post(first)
    assert replayed.status_code == 200
    assert _header_status(replayed) == Status.INVALID_CREDENTIALS
    assert (await one.run()).end is End.DONE


async def test_a_message_of_this_session_replayed(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"], planner.more["D1"] = [get("a")], [get("b")]
    session, first = start(one)
    one.take(session, await one.post(first))
    second = following_of(session)
    one.take(session, await one.post(second))
    replayed = await one.post(first)
    assert (replayed.status_code, code(replayed)) == (409, "omadm.session.replay")
    assert alarms(running) == [("dm.replay", "dcu-D1")]
    assert (await one.run(session)).end is End.DONE
    assert planner.statuses("D1") == {"a": 200, "b": 200}


def _header_status(answer: httpx.Response) -> int:
    message = decode_message(answer.content, answer.headers["content-type"])
    status = message.commands[0]
    assert isinstance(status, StatusReport)
    assert status.cmd_ref == 0
    return status.data


async def test_a_wrong_password_is_an_alarm_and_ends_nobody_elses_session(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    good, bad = await device("D1"), await device("D2")
    planner.orders["D1"] = [get("name")]
    session, message = start(good)
    good.take(session, await good.post(message))
    bad.forget_password()
    assert (await bad.run()).end is End.REFUSED
    assert planner.planned == ["D1"]
    assert logged(running, "D2") == [("refused", "omadm.auth.failed")]
    assert alarms(running) == [("dm.authentication", "dcu-D2")]
    assert (await good.run(session)).end is End.DONE
    assert planner.statuses("D1") == {"name": 200}


async def test_who_proves_nothing_ends_no_session_of_the_same_device(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    session, message = start(one)
    one.take(session, await one.post(message))
    thief = Device("D1", one.account, one.http)
    thief.forget_password()
    for number in (0x100, 0x101):
        _, opening = start(thief, session_id=number)
        assert _header_status(await one.post(opening)) == Status.INVALID_CREDENTIALS
    assert logged(running, "D1") == [("aborted", None)]  # one beside the true one at a time
    assert (await one.run(session)).end is End.DONE
    assert planner.statuses("D1") == {"name": 200}


async def test_a_proof_weaker_than_asked_for(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    session, message = start(one)
    one.take(session, await one.post(message))
    following = following_of(session)
    answer = await one.post(replace(following, hmac=None))
    assert (answer.status_code, code(answer)) == (403, "omadm.auth.downgrade")
    assert alarms(running) == [("dm.downgrade", "dcu-D1")]
    assert logged(running, "D1") == [("refused", "omadm.auth.downgrade")]
    assert planner.statuses("D1") == {"name": NO_ANSWER}


async def test_a_device_without_an_account(running: Running, device: Make, tmp_path: Path) -> None:
    one = await device("D1")
    async with dcu_client(running, tmp_path, "D9") as http:
        stranger = Device("D9", one.account, http)
        _, message = start(stranger)
        answer = await stranger.post(message)
        assert (answer.status_code, code(answer)) == (403, "dm.unknown")
    assert (await one.run()).end is End.DONE


async def test_the_certificate_says_which_account(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    """A device with another's password is that other's not."""
    one, two = await device("D1"), await device("D2")
    one.account = two.account
    assert (await one.run()).end is End.REFUSED
    assert planner.planned == []


async def test_a_suspended_device(running: Running, planner: ListPlanner, device: Make) -> None:
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    session, message = start(one)
    one.take(session, await one.post(message))
    change_account(running, "D1", suspended=True)
    following = following_of(session)
    answer = await one.post(following)
    assert (answer.status_code, code(answer)) == (403, "dm.suspended")
    assert logged(running, "D1") == [("refused", "dm.suspended")]
    _, message = start(one)
    answer = await one.post(message)
    assert (answer.status_code, code(answer)) == (403, "dm.suspended")


async def test_a_device_suspended_in_the_middle(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"], planner.more["D1"] = [get("a")], [get("b")]
    session, message = start(one)
    one.take(session, await one.post(message))
    change_account(running, "D1", suspended=True)
    answer = await one.post(following_of(session))
    assert (answer.status_code, code(answer)) == (403, "dm.suspended")
    assert logged(running, "D1") == [("aborted", None)]
    assert planner.statuses("D1") == {"a": 200, "b": NO_ANSWER}


async def test_a_revoked_certificate(running: Running, device: Make) -> None:
    one = await device("D1")
    assert (await one.run()).end is End.DONE
    pki = running.services.pki
    record = pki.certificates(subject="D1").items[0]
    pki.revoke(record.serial, "keyCompromise", when=NOW, who="test")
    _, message = start(one)
    answer = await one.post(message)
    assert (answer.status_code, code(answer)) == (403, "certificate.revoked")


async def _send(device: Device, body: bytes, kind: str = MediaType.XML) -> tuple[int, str]:
    answer = await device.post(Outgoing(body, kind))
    return answer.status_code, code(answer)


async def test_messages_that_are_none(running: Running, planner: ListPlanner, device: Make) -> None:
    good, bad = await device("D1"), await device("D2")
    planner.orders["D1"] = [get("name")]
    session, message = start(good)
    good.take(session, await good.post(message))
    assert await _send(bad, b"\x02\xa4\x01\x6a\x00\x6d", MediaType.WBXML) == (
        422,
        "protocol.decode",
    )
    assert await _send(bad, b"{}", "application/json") == (415, "omadm.media-type")
    assert alarms(running) == []
    assert (await good.run(session)).end is End.DONE
    assert (await bad.run()).end is End.DONE


async def test_a_session_that_is_not_known(device: Make) -> None:
    one = await device("D1")
    session, message = start(one)
    one.take(session, await one.post(message))
    stale = decode_message(message.body, message.content_type)
    assert stale.header.msg_id == 1
    body = message.body.replace(b"\x5b\x03" + b"1\x00", b"\x5b\x03" + b"7\x00")
    assert body != message.body
    answer = await one.post(Outgoing(body, message.content_type, message.hmac))
    assert (answer.status_code, code(answer)) == (409, "omadm.session.unknown")


async def test_what_fails_goes_on_where_it_stopped(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    planner.fault = StoreError("the disk is slow", code="store.busy")
    session, message = start(one)
    assert (await one.post(message)).status_code == 503
    one.take(session, await one.post(message))
    following = following_of(session)
    store: Any = running.services.management.accounts._store
    commit, faults = store.commit, [StoreError("locked")]

    def commit_later(*items: Any) -> Any:
        if faults:
            raise faults.pop()
        return commit(*items)

    store.commit = commit_later
    assert (await one.post(following)).status_code == 503
    one.take(session, await one.post(following))
    assert planner.planned == ["D1"]
    assert planner.statuses("D1") == {"name": 200}
    assert logged(running, "D1") == [("done", None)]
    kept = (await running.services.management.accounts.read("D1")).account
    nonces = kept.client_nonce, kept.server_nonce
    assert nonces == (one.account.client_nonce, one.account.server_nonce)


async def test_what_fails_for_one_device_fails_for_no_other(
    planner: ListPlanner, device: Make
) -> None:
    """Devices that come at one moment are planned for together."""
    devices = [await device(uid) for uid in ("D1", "D2", "D3")]
    opened = [start(one) for one in devices]
    planner.fault = StoreError("the disk is slow", code="store.busy")
    answers = await asyncio.gather(
        *(one.post(message) for one, (_, message) in zip(devices, opened, strict=True))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503]


class Held(ListPlanner):
    """Is at work until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work, self.go = threading.Event(), threading.Event()

    def plan(self, uid: str, *, now: float) -> Sequence[Order]:
        self.at_work.set()
        assert self.go.wait(60)
        return super().plan(uid, now=now)


@pytest.mark.parametrize("back", [True, False], ids=["comes back", "stays away"])
async def test_what_was_planned_for_one_who_hung_up_is_sent_or_known_to_be_unsent(
    running: Running, device: Make, back: bool
) -> None:
    one, now = await device("D1"), running.services.wall.now()
    sessions = running.services.management.sessions
    with planning(running, Held()) as planner:
        assert isinstance(planner, Held)
        planner.orders["D1"] = [get("name")]
        session, message = start(one)
        media = str(message.content_type)
        asked = asyncio.create_task(
            sessions.handle("D1", message.body, media, message.hmac, now=now)
        )
        await asyncio.to_thread(planner.at_work.wait, 60)
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()
        planner.go.set()
        if back:
            one.take(session, await one.post(message))
            await one.run(session)
        else:
            await sessions.pass_time(now + 130)
        assert planner.planned == ["D1"]
        [(_, done)] = planner.results
        assert (done.id, done.status, done.sent) == ("name", 200 if back else NO_ANSWER, back)


class Reader(ListPlanner):
    """Does not come to an end with what one device tells until another has been planned for."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self.slow, self.at_work, self.other = slow, threading.Event(), threading.Event()

    def plan(self, uid: str, *, now: float) -> Sequence[Order]:
        if uid != self.slow:
            self.other.set()
        return super().plan(uid, now=now)

    def done(
        self, uid: str, results: Sequence[OrderDone], *, session: int, now: float
    ) -> Sequence[Order]:
        if uid == self.slow:
            self.at_work.set()
            if not self.other.wait(20.0):
                raise StoreError("the other device was not served")
        return super().done(uid, results, session=session, now=now)


async def test_a_device_that_tells_a_huge_tree_keeps_no_other_waiting(
    running: Running, device: Make
) -> None:
    look = Get(0, (Item(Location("./AMI?list=TNDS+ACL+Format+Type+Value")),))
    planner = Reader("D1")
    with planning(running, planner):
        planner.orders["D1"] = [Order("look", look)]
        huge, other = await device("D1"), await device("D2")
        draft = huge.tree.draft(NOW)
        for n in range(300):
            draft.add(huge.tree.path(f"./AMI/Meters/{n}"), Node(Format.NODE))
            draft.add(huge.tree.path(f"./AMI/Meters/{n}/Serial"), Node(Format.CHR, f"OAM{n:08}"))
        huge.tree.commit(draft)
        first = asyncio.create_task(huge.run())
        await asyncio.to_thread(planner.at_work.wait, 20.0)
        assert (await other.run()).end is End.DONE
        assert (await first).end is End.DONE
        assert planner.statuses("D1") == {"look": 200}


async def test_what_devices_send_is_held_within_one_bound(
    running: Running, planner: ListPlanner, device: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: Any = running.services.management.sessions
    monkeypatch.setattr(sessions, "_budget", Budget(1_200))
    planner.orders["D1"] = [get("all", "./DMAcc?list=TNDS"), get("name")]
    planner.orders["D2"] = [get("name")]
    one, other = await device("D1"), await device("D2")
    assert [(await each.run()).end for each in (one, other)] == [End.DONE, End.DONE]
    assert planner.statuses("D1") == {"all": Status.ENTITY_TOO_LARGE, "name": 200}
    assert planner.statuses("D2") == {"name": 200}
    assert sessions._budget.left == 1_200


async def test_a_silent_device_is_not_waited_for(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"] = [get("name")]
    session, message = start(one)
    one.take(session, await one.post(message))
    sessions = running.services.management.sessions
    now = running.services.wall.now()
    await sessions.pass_time(now + 100)
    assert sessions.count() == 1
    await sessions.pass_time(now + 130)
    assert sessions.count() == 0
    assert planner.statuses("D1") == {"name": NO_ANSWER}
    assert logged(running, "D1") == [("timeout", None)]
    answer = await one.post(following_of(session))
    assert (answer.status_code, code(answer)) == (409, "omadm.session.unknown")
    assert (await one.run()).end is End.DONE


async def test_a_device_that_still_speaks_is_not_silent(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    """It is silent since its last message, not since its first; nobody waits for one at work."""
    one = await device("D1")
    planner.orders["D1"], planner.more["D1"] = [get("a")], [get("b")]
    sessions: Any = running.services.management.sessions
    session, message = start(one)
    one.take(session, await one.post(message))
    talk = sessions._devices["D1"].current
    talk._touched -= 110
    one.take(session, await one.post(following_of(session)))
    later = running.services.wall.now() + 100
    await sessions.pass_time(later)
    assert sessions.count() == 1
    async with sessions._alone("D1"):
        await asyncio.wait_for(sessions.pass_time(later + 100), 30)
    assert sessions.count() == 1
    assert (await one.run(session)).end is End.DONE


async def test_orders_that_come_too_late_for_a_session_are_known_not_to_be_sent(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    one = await device("D1")
    planner.orders["D1"], planner.more["D1"] = [get("a")], [get("b")]
    session, message = start(one)
    one.take(session, await one.post(message))
    talk = running.services.management.sessions._devices["D1"].current
    assert talk is not None
    results = [OrderDone("a", 200)]
    assert talk._tell(results, NOW, over=True) == ()
    never = OrderDone("b", NO_ANSWER, sent=False)
    assert [done for _, done in planner.results] == [*results, never]


async def test_a_session_without_an_end_is_ended(
    running: Running, planner: ListPlanner, device: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await device("D1")
    planner.orders["D1"], planner.more["D1"] = [get("a")], [get("b")]
    session, message = start(one)
    one.take(session, await one.post(message))
    monkeypatch.setattr(sessions_module, "LONGEST_S", 0.0)
    await running.services.management.sessions.pass_time(running.services.wall.now())
    assert (await one.run(session)).end is End.ABORTED
    assert logged(running, "D1") == [("aborted", None)]


async def test_more_sessions_than_there_may_be(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, dm_sessions=1) as running,
        dcu_client(running, tmp_path, "D1") as first,
        dcu_client(running, tmp_path, "D2") as second,
    ):
        one = Device("D1", give_account(running, "D1"), first)
        two = Device("D2", give_account(running, "D2"), second)
        with planning(running, ListPlanner({"D1": [get("name")]})):
            session, message = start(one)
            one.take(session, await one.post(message))
            _, other = start(two)
            answer = await two.post(other)
            assert (answer.status_code, code(answer)) == (503, "busy.sessions")
            assert answer.headers["retry-after"] == "10"
            assert (await one.run(session)).end is End.DONE
            assert (await two.run()).end is End.DONE


async def test_a_head_end_that_stops_ends_its_sessions(tmp_path: Path) -> None:
    planner = ListPlanner({"D1": [get("name")]})
    async with running_headend(tmp_path) as running, dcu_client(running, tmp_path, "D1") as http:
        one = Device("D1", give_account(running, "D1"), http)
        sessions: Any = running.services.management.sessions
        sessions._planner = planner
        session, message = start(one)
        one.take(session, await one.post(message))
    assert planner.statuses("D1") == {"name": NO_ANSWER}
    assert [end.end for _, end in planner.ends] == [End.ABORTED]
    message = following_of(session)
    with pytest.raises(BusyError, match="stopping"):
        await sessions.handle("D1", message.body, message.content_type, message.hmac, now=NOW)


async def test_passwords_are_not_in_the_log(
    running: Running, planner: ListPlanner, device: Make
) -> None:
    secret = "./DMAcc/1/AppAuth/1/AAuthSecret"
    item = Item(Location(secret), meta=Meta(format="chr"), data="tell-nobody")
    planner.orders["D1"] = [Order("secret", Replace(0, (item,)))]
    one = await device("D1")
    await one.run()
    log = running.services.management.log
    shown = log.show(log.list().items[0].id)
    notes = [message.note.partition(":")[0] for message in shown.messages]
    assert notes == ["", "not kept", "not kept", ""]
    assert shown.note == ""
    assert [message.node is None for message in shown.messages] == [False, True, True, False]


async def test_a_report_says_where_notifications_go(running: Running, device: Make) -> None:
    one = await device("D1")
    for port, status in ((7001, 200), (7002, 200), (0, 422)):
        body = {"dcu": {"wake_port": port}}
        assert (await one.http.post("/device/v1/report", json=body)).status_code == status
    record = running.services.management.accounts._store.accounts(["D1"])["D1"]
    assert record.wake_url == "http://127.0.0.1:7002/wake"


async def test_the_log_over_the_rest_api(
    planner: ListPlanner, device: Make, viewer: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    one, two = await device("D1"), await device("D2", media=MediaType.XML)
    planner.orders["D1"] = [get("name")]
    for who in (one, two, one):
        await who.run()
    first = (await viewer.get("/api/v1/dm/sessions", params={"limit": 2})).json()
    rest = (await viewer.get("/api/v1/dm/sessions", params={"after": first["next"]})).json()
    assert [item["uid"] for item in first["items"] + rest["items"]] == ["D1", "D2", "D1"]
    assert rest["next"] is None
    of_one = (await viewer.get("/api/v1/dm/sessions", params={"device": "D2"})).json()["items"]
    assert [(item["end"], item["orders"]) for item in of_one] == [("done", 0)]
    number = rest["items"][0]["id"]
    assert (await viewer.get(f"/api/v1/dm/sessions/{number}")).status_code == 403
    shown = (await operator.get(f"/api/v1/dm/sessions/{number}")).json()
    assert shown["session"] == rest["items"][0]
    assert [(m["number"], m["sent"]) for m in shown["messages"]] == [
        (1, False),
        (2, True),
        (3, False),
        (4, True),
    ]
    assert [m["content"]["name"] for m in shown["messages"]] == ["SyncML"] * 4
    values = _values(shown["messages"][1]["content"])
    assert ("LocURI", NAME, "") in values
    assert ("NextNonce", None, "hidden") in values
    assert (await operator.get("/api/v1/dm/sessions/1")).status_code == 404


def _values(node: dict[str, Any]) -> list[tuple[str, Any, str]]:
    inside = [value for child in node["children"] for value in _values(child)]
    return [(node["name"], node["value"], node["note"]), *inside]
