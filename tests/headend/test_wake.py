"""Notifications: sent, sent again, given up, and with the nonces of ends that have lost theirs."""

from __future__ import annotations

import asyncio
import json
import resource
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from resource import RLIMIT_NOFILE
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dm_wire import DEV_INFO, DEVICE, DictGate
from tests.support.headend import settings_in
from tests.support.management import DIGEST, SERVER_ID, add_account

from openami.core.clock import ManualClock
from openami.core.errors import SecurityError, StoreError
from openami.fleet.accounts import NonceUpdate
from openami.headend.management import wake as wake_module
from openami.headend.management.facade import Management, build_management
from openami.headend.management.wake import Patience, Wake, wake_url
from openami.headend.metrics import Metrics
from openami.omadm.auth import Credentials, Hash
from openami.omadm.notification import CONTENT_TYPE, Verified, verify
from openami.omadm.session.account import Account
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import End, SessionEnded
from openami.store.relational import RelationalStore
from openami.store.vault import FileVault
from openami.transport.descriptors import allow_descriptors
from openami.transport.web import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from openami.fleet.accounts import WakeUp
    from openami.headend.management.ports import Answer, Asked
    from openami.omadm.messages.model import Alert
    from openami.omadm.session.events import Order, OrderDone, Outgoing

NOW = 1_800_000_000.0
PASSWORD = "of the server"


class Quiet:
    """Nobody looks at alarms."""

    def about_dcu(self, uid: str, code: str, message: str) -> None:
        raise AssertionError((uid, code, message))

    def about(self, subject: str, code: str, message: str) -> None:
        raise AssertionError((subject, code, message))


class NoPlan:
    """Plans nothing: devices come, say how they are, and go."""

    def together(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        return [question() for _, question in asked]

    def plan(self, uid: str, *, now: float) -> Sequence[Order]:
        del uid, now
        return ()

    def done(
        self, uid: str, results: Sequence[OrderDone], *, session: int, now: float
    ) -> Sequence[Order]:
        raise AssertionError((uid, results, session, now))  # nobody has ordered anything

    def told(
        self, uid: str, info: Mapping[str, str] | None, alerts: Sequence[Alert], *, now: float
    ) -> None:
        """Nobody wants to know."""

    def ended(self, uid: str, end: SessionEnded, *, session: int, now: float) -> None:
        """Nobody wants to know."""


@dataclass
class Listener:
    """A device's listener for notifications."""

    nonce: bytes = b"s0"
    how: Hash = Hash.SHA256
    status: int | None = None
    seen: set[int] = field(default_factory=set)
    woken: list[Verified] = field(default_factory=list)
    asked: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "lifespan":
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
        assert (scope["method"], scope["path"]) == ("POST", "/wake")
        assert (b"content-type", CONTENT_TYPE.encode()) in scope["headers"]
        self.asked += 1
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": self.take(body), "headers": []})
        await send({"type": "http.response.body"})

    def take(self, body: bytes) -> int:
        if self.status is not None:
            return self.status
        try:
            found = verify(body, PASSWORD, nonce=self.nonce, hashes={self.how}, seen=self.seen)
        except SecurityError:
            return 403
        self.seen.add(found.notification.session_id)
        self.woken.append(found)
        return 202


@dataclass
class Office:
    """Device management without a listener."""

    management: Management
    store: RelationalStore
    clock: ManualClock
    vault: FileVault

    def add(self, uid: str, **changes: Any) -> None:
        """Add a device that something is to be done with."""
        told = {
            "server_id": SERVER_ID,
            "server_password": PASSWORD,
            "client_id": f"dcu-{uid}",
            "client_password": "of the device",
            "server_url": "https://head-end.example/dm",
        }
        self.vault.put("dm-account", uid, DIGEST, json.dumps(told).encode())
        fields = {"wake_due": self.clock.now(), "server_nonce": b"s0", **changes}
        add_account(self.store.accounts, uid, DIGEST, **fields)

    def lane(self, *, silent: bool) -> list[asyncio.Task[WakeUp]]:
        """Return what is under way in a lane."""
        lane = self.management.wake._lanes[silent]
        return [flight.task for flight in lane.flights.values()]

    async def wake(self) -> None:
        """Wake whose time has come, and wait for what becomes of it."""
        wake = self.management.wake
        await wake.round()
        while flights := [*self.lane(silent=False), *self.lane(silent=True)]:
            await asyncio.wait(flights)
            await wake.round()

    def account(self, uid: str) -> Any:
        return self.store.accounts.accounts([uid])[uid]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    clock = ManualClock(NOW)
    with (
        closing(RelationalStore.open(tmp_path / "db.sqlite")) as store,
        closing(FileVault(tmp_path / "vault", kek=tmp_path / "kek")) as vault,
    ):
        management = build_management(
            store.accounts,
            vault,
            NoPlan(),
            trees=store.trees,
            tasks=store.tasks,
            alarms=Quiet(),
            metrics=Metrics(),
            settings=settings_in(tmp_path, wake_first_s=10, wake_most_s=30, wake_attempts=4),
            wall=clock,
        )
        yield Office(management, store, clock, vault)
        await management.stop()


@asynccontextmanager
async def listening(listener: Listener) -> AsyncIterator[str]:
    async with await serve(listener) as server:
        yield wake_url(server.host, server.port)


def test_where_a_device_listens() -> None:
    assert wake_url("192.0.2.1", 7000) == "http://192.0.2.1:7000/wake"
    assert wake_url("2001:db8::1", 7000) == "http://[2001:db8::1]:7000/wake"


def test_patience() -> None:
    patience = Patience(10, 30, 4)
    assert [patience.next(n, 100) for n in range(1, 5)] == [110, 120, 130, None]


async def test_a_device_is_woken(office: Office) -> None:
    listener = Listener()
    async with listening(listener) as url:
        office.add("D1", wake_url=url)
        office.add("D2", wake_url=url, wake_due=NOW + 1)
        await office.wake()
    assert [found.notification.server_id for found in listener.woken] == [SERVER_ID]
    assert (listener.woken[0].notification.session_id, listener.woken[0].resynchronise) == (
        1,
        False,
    )
    record = office.account("D1")
    assert (record.wake_due, record.wake_failures, record.wake_session) == (NOW + 10, 1, 1)


@pytest.mark.parametrize(
    ("allows", "how"),
    [
        ("mac-md5", Hash.MD5),
        ("digest-md5 basic", Hash.MD5),
        ("digest-sha256 mac-md5", Hash.SHA256),  # of two hashes the better one
    ],
)
async def test_a_notification_has_the_hash_of_the_account(
    office: Office, allows: str, how: Hash
) -> None:
    listener = Listener(how=how)
    async with listening(listener) as url:
        office.add("D1", wake_url=url, allows=allows)
        await office.wake()
    assert len(listener.woken) == 1


async def test_one_whose_account_has_no_hash_is_left_to_come_by_itself(office: Office) -> None:
    listener = Listener()
    async with listening(listener) as url:
        office.add("D1", wake_url=url, allows="basic")
        office.add("strange", wake_url=url, allows="rot13")
        await office.wake()
    assert listener.asked == 0
    record = office.account("D1")
    assert (record.wake_due, record.wake_failures, record.wake_silent) == (None, 0, False)
    assert record.wake_session == 0
    assert office.account("strange").wake_failures == 1  # a later version may know how


async def test_one_that_does_not_come_is_woken_again_and_then_left(office: Office) -> None:
    listener = Listener(status=202)
    dues = []
    async with listening(listener) as url:
        office.add("D1", wake_url=url)
        while (due := office.account("D1").wake_due) is not None:
            dues.append(due - NOW)
            office.clock.advance(due - office.clock.now())
            await office.wake()
    assert dues == [0, 10, 30, 60]
    assert listener.asked == 4
    assert office.account("D1").wake_session == 4


async def test_devices_that_are_off_are_tried_all_the_same(office: Office) -> None:
    listener = Listener()
    async with listening(listener) as url:
        pass
    office.add("off", wake_url=url)
    office.add("suspended", wake_url=url, suspended=True)
    office.add("nowhere")
    async with listening(listener) as url:
        office.add("on", wake_url=url)
        await office.wake()
    assert len(listener.woken) == 1
    assert office.account("off").wake_due == NOW + 10
    assert office.account("suspended").wake_failures == 0


async def test_an_account_without_its_passwords_is_no_end_to_the_round(office: Office) -> None:
    listener = Listener()
    async with listening(listener) as url:
        office.add("broken", wake_url=url, wake_due=NOW - 1)
        office.vault.delete("dm-account", "broken", DIGEST)
        office.add("good", wake_url=url)
        await office.wake()
    assert len(listener.woken) == 1


async def test_lost_nonces_are_found_again(office: Office) -> None:
    """The device refuses; the next notification and its session are those of lost nonces."""
    listener = Listener(nonce=b"another")
    async with listening(listener) as url:
        office.add("D1", wake_url=url)
        await office.wake()
        assert listener.woken == []
        office.clock.advance(10)
        await office.wake()
    assert [found.resynchronise for found in listener.woken] == [True]
    number = listener.woken[0].notification.session_id
    assert await session(office, number) is End.DONE
    record = office.account("D1")
    assert (record.wake_due, record.wake_failures) == (None, 0)
    assert len(record.client_nonce) == len(record.server_nonce) == 16
    assert not office.management.sessions.lost_nonces("D1", 9)
    (logged,) = office.management.log.list().items
    shown = office.management.log.show(logged.id)
    assert (logged.orders, len(shown.messages)) == (0, 4)  # nobody ordered what brought the nonce


async def test_lost_nonces_are_believed_in_that_session_only(office: Office) -> None:
    listener = Listener(nonce=b"another")
    async with listening(listener) as url:
        office.add("D1", wake_url=url)
        await office.wake()
        office.clock.advance(10)
        await office.wake()
    number = listener.woken[0].notification.session_id
    client = client_of(number + 1, notified=True)
    message = client.start(office.clock.now())
    await office.management.sessions.handle(
        "D1", message.body, message.content_type, message.hmac, now=office.clock.now()
    )
    assert office.management.sessions.lost_nonces("D1", number)


def client_of(number: int, *, notified: bool) -> ClientSession:
    nonces = iter(range(100))
    account = Account(
        SERVER_ID,
        Credentials(SERVER_ID, PASSWORD),
        Credentials("dcu-D1", "of the device"),
    ).resynchronised()
    config = ClientConfig(DEVICE, "https://head-end.example/dm", DEV_INFO)
    return ClientSession(
        account,
        config,
        DictGate(),
        session_id=number,
        notified=notified,
        nonces=lambda: bytes(15) + bytes([next(nonces)]),
    )


async def session(office: Office, number: int) -> End:
    client = client_of(number, notified=True)
    message: Outgoing | None = client.start(office.clock.now())
    exchanges = 0
    while message is not None:
        now, exchanges = office.clock.now(), exchanges + 1
        answer = await office.management.sessions.handle(
            "D1", message.body, message.content_type, message.hmac, now=now
        )
        client.receive(answer.body, answer.content_type, answer.hmac, now)
        message = client.next_outgoing()
    assert exchanges == 2  # nothing had to be proved twice: the second has the next nonce
    ends = []
    while (event := client.next_event()) is not None:
        ends.append(event)
    assert isinstance(ends[-1], SessionEnded)
    return ends[-1].end


async def test_a_device_in_a_session_is_left_alone(office: Office) -> None:
    listener = Listener()
    async with listening(listener) as url:
        office.add("D1", wake_url=url)
        async with office.management.sessions._alone("D1"):
            await office.wake()
        assert listener.asked == 0
        assert office.account("D1").wake_due == NOW + 5
        office.clock.advance(5)
        await office.wake()
    assert listener.asked == 1


async def test_many_devices_are_woken_some_in_each_round(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_module, "A_ROUND", 8)
    listener = Listener()
    async with listening(listener) as url:
        for number in range(20):
            office.add(f"D{number:02}", wake_url=url)
        await office.management.wake.round()
        assert len(office.lane(silent=False)) == 8
        await office.wake()
    assert listener.asked == 20
    assert {office.account(f"D{number:02}").wake_session for number in range(20)} == {1}


async def test_numbers_of_sessions_begin_anew_after_the_last(office: Office) -> None:
    listener = Listener()
    async with listening(listener) as url:
        office.add("D1", wake_url=url, wake_session=0xFFFF)
        await office.wake()
    assert [found.notification.session_id for found in listener.woken] == [1]


async def test_those_under_way_take_no_others_turn(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_module, "A_ROUND", 1)
    async with silent() as url:
        for number in range(3):
            office.add(f"D{number}", wake_url=url, wake_due=NOW - 9 + number)
        for number in range(1, 4):
            await office.management.wake.round()
            assert len(office.lane(silent=False)) == number


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Listen at a real socket where connections are taken and never answered."""
    over = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with server:
        yield wake_url("127.0.0.1", server.sockets[0].getsockname()[1])
        over.set()


async def test_who_answers_is_not_held_up_by_who_does_not(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are dead: at first they hold a place each, then places of their own."""
    monkeypatch.setattr(wake_module, "ANSWER_S", 0.2)
    for lane in office.management.wake._lanes:
        lane.places = 4
    dead, listener = [f"dead{number:02}" for number in range(12)], Listener(status=202)
    async with silent() as nowhere, listening(listener) as url:
        for uid in dead:
            office.add(uid, wake_url=nowhere, wake_due=NOW - 1)
        await office.wake()  # three times all places; now they are known
        assert all(office.account(uid).wake_silent for uid in dead)
        monkeypatch.setattr(wake_module, "ANSWER_S", 3600.0)  # they never end by themselves
        for number in range(20):
            office.add(f"live{number:02}", wake_url=url)
        office.store.trees.wake([*dead, *(f"live{n:02}" for n in range(20))], now=NOW)
        wake = office.management.wake
        while listener.asked < 20:
            await wake.round()
            await asyncio.wait(office.lane(silent=False), timeout=60.0)
        await wake.round()
        # The dead have all the places of their lane, and none of the other.
        assert len(office.lane(silent=True)) == 4
        assert office.lane(silent=False) == []
        assert {office.account(f"live{n:02}").wake_failures for n in range(20)} == {1}
        # One of the dead comes by itself, and has its place among the living again.
        office.store.accounts.commit([NonceUpdate("dead11", DIGEST, b"", b"", began=NOW)], [])
        office.store.trees.wake(["dead11"], now=NOW)
        await wake.round()
        assert len(office.lane(silent=False)) == 1
        before = office.account("dead00")
        await office.management.stop()
    # What was under way is due again, under another number: the last may have reached the device.
    after = office.account("dead00")
    assert (after.wake_due, after.wake_failures) == (before.wake_due, before.wake_failures)
    assert after.wake_session == before.wake_session + 1


async def test_places_are_a_part_of_the_descriptors(office: Office) -> None:
    wake = office.management.wake
    few = Wake(
        office.store.accounts,
        office.management.accounts,
        office.management.sessions,
        patience=Patience(10, 30, 4),
        metrics=Metrics(),
        wall=office.clock,
        descriptors=1024,
    )
    assert [lane.places for lane in few._lanes] == [192, 64]
    assert sum(lane.places for lane in wake._lanes) <= allow_descriptors() // 4
    # What was allowed is so for good, and asking again changes nothing.
    assert allow_descriptors() == allow_descriptors() <= resource.getrlimit(RLIMIT_NOFILE)[0]


async def test_what_could_not_be_noted_is_sent_to_nobody_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    wake, woken, broken = office.management.wake, office.store.accounts.woken, [StoreError("busy")]

    def once(attempts: Sequence[WakeUp]) -> None:
        if broken:
            raise broken.pop()
        woken(attempts)

    monkeypatch.setattr(office.store.accounts, "woken", once)
    async with listening(listener) as url:
        office.add("D1", wake_url=url)
        with pytest.raises(StoreError):
            await office.wake()
        await office.wake()
    assert listener.asked == 1
    assert office.account("D1").wake_failures == 1
    assert wake._woken == []


async def test_where_a_device_is_reached_is_kept_when_it_is_new(office: Office) -> None:
    office.add("D1")
    for url in ("http://192.0.2.1:1/wake", "http://192.0.2.1:1/wake", "http://192.0.2.1:2/wake"):
        await asyncio.to_thread(office.management.wake.reach, "D1", url)
        assert office.account("D1").wake_url == url
    await asyncio.to_thread(office.management.wake.reach, "nobody", "http://192.0.2.1:1/wake")


async def test_a_bug_with_one_device_costs_the_others_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    wake = office.management.wake
    send = wake._send

    async def stumble(record: Any, number: int) -> Any:
        if record.uid == "D1":
            raise ZeroDivisionError
        return await send(record, number)

    monkeypatch.setattr(wake, "_send", stumble)
    async with listening(listener) as url:
        office.add("D1", wake_url=url)
        office.add("D2", wake_url=url)
        with pytest.raises(ZeroDivisionError):
            await office.wake()
    assert office.account("D2").wake_failures == 1
