"""Peers that break the rules: each is answered, told of and harms nobody else's session."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from tests.support.dm_wire import order
from tests.support.headend import client_with, dcu_client
from tests.support.management import NOW, Device, ListPlanner, give_account, planning
from tests.support.pki import authorities_of, issue_by_hand

from openami.core.clock import ManualClock
from openami.crypto.certificates import Validity
from openami.fleet.devices import LifecycleState
from openami.omadm.codes import Status
from openami.omadm.messages.codec import decode_message, encode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Get, Item, Location, StatusReport
from openami.omadm.session.events import End, Outgoing
from openami.web import dm_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

    Logs = list[MutableMapping[str, Any]]

NAME = "./DMAcc/1/Name"
BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><SyncML>&c;</SyncML>'
# WBXML 1.2, public identifier 1201, UTF-8, no string table; a SyncML in a SyncML in a SyncML …
DEEP = bytes.fromhex("02 A401 6A 00") + b"\x6d" * 10_000
HOUR = 3600.0


@dataclass
class Street:
    """A head-end, a device that is in the middle of a session, and others.

    Attributes:
        good: goes on with its session, one message after another, whatever the others do.
    """

    running: Running
    folder: Path
    stack: AsyncExitStack
    planner: ListPlanner = field(default_factory=ListPlanner)
    steps: int = 0

    async def begin(self) -> None:
        self.stack.enter_context(planning(self.running, self.planner))
        self.good = await self.device("GOOD")
        self.planner.orders["GOOD"] = [order("0", Get, NAME)]
        self.session = self.good.begin()
        self.message: Outgoing | None = self.session.start(NOW)
        await self._send()

    async def device(self, uid: str, *, account: bool = True) -> Device:
        http = await self.stack.enter_async_context(dcu_client(self.running, self.folder, uid))
        return Device(uid, give_account(self.running, uid if account else f"not-{uid}"), http)

    async def step(self) -> None:
        """Let the good device send its next message, and be asked for more."""
        self.steps += 1
        self.planner.more["GOOD"] = [order(str(self.steps), Get, NAME)]
        await self._send()
        assert self.message is not None

    async def finish(self) -> None:
        """Let the good device end its session: it has been asked for all, and has answered."""
        self.planner.more.pop("GOOD", None)
        while self.message is not None:
            await self._send()
        done = self.planner.statuses("GOOD")
        assert done == {str(number): 200 for number in range(self.steps + 1)}
        assert self.steps > 1
        assert [end.end for uid, end in self.planner.ends if uid == "GOOD"] == [End.DONE]

    async def _send(self) -> None:
        assert self.message is not None
        self.good.take(self.session, await self.good.post(self.message))
        self.message = self.session.next_outgoing()

    def alarms(self) -> set[tuple[str, str]]:
        found = self.running.services.alarms.list().items
        return {(one.subject.removeprefix("dcu-"), one.code) for one in found}


@pytest.fixture
async def street(running: Running, tmp_path: Path) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        yield Street(running, tmp_path, stack)


def told(logs: Logs) -> list[tuple[str, str]]:
    """Return of whom the log tells what."""
    return [
        (line["dcu"], line["code"])
        for line in logs
        if line["log_level"] == "warning" and "dcu" in line
    ]


def answered(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def too_many(device: Device) -> bytes:
    opening = device.begin().start(NOW)
    message = decode_message(opening.body, opening.content_type)
    commands = tuple(Get(n, (Item(Location(".")),)) for n in range(1, 2_050))
    body = encode_message(replace(message, commands=commands), MediaType.WBXML)
    assert len(body) < 65_536
    return body


BROKEN: dict[str, tuple[Callable[[Device], bytes], MediaType, int, str]] = {
    "BOMB": (lambda _: BOMB, MediaType.XML, 422, "omadm.doctype"),
    "DEEP": (lambda _: b"<a>" * 10_000, MediaType.XML, 413, "omadm.too-deep"),
    "DEEP-WBXML": (lambda _: DEEP, MediaType.WBXML, 413, "omadm.too-deep"),
    "MANY": (too_many, MediaType.WBXML, 413, "omadm.too-many"),
    "LARGE": (lambda _: b"x" * 65_537, MediaType.XML, 413, "request.too-large"),
}


async def test_messages_that_are_none(street: Street) -> None:
    await street.begin()
    bad = {uid: await street.device(uid) for uid in BROKEN}
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):  # the second time is no news
            for uid, (make, media, *expected) in BROKEN.items():
                answer = await bad[uid].post(Outgoing(make(bad[uid]), media))
                assert answered(answer) == tuple(expected)
                await street.step()
    assert told(logs) == [(uid, code) for uid, (*_, code) in BROKEN.items()]
    assert street.alarms() == {(uid, "dm.message") for uid in BROKEN}
    await street.finish()
    for device in bad.values():
        assert (await device.run()).end is End.DONE


async def test_a_message_that_does_not_end(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    await street.begin()
    slow, sent = await street.device("SLOW"), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"<"
        await sent.wait()

    monkeypatch.setattr(dm_api, "MESSAGE_S", 2.0)
    kind = {"content-type": str(MediaType.XML)}
    with structlog.testing.capture_logs() as logs:
        posted = asyncio.create_task(slow.http.post("/dm", content=body(), headers=kind))
        async with asyncio.timeout(60):
            while not street.alarms():
                await street.step()
        sent.set()
        assert answered(await posted) == (408, "request.slow")
    assert told(logs) == [("SLOW", "request.slow")]
    assert street.alarms() == {("SLOW", "dm.message")}
    await street.finish()


def header_status(answer: httpx.Response) -> int:
    status = decode_message(answer.content, answer.headers["content-type"]).commands[0]
    assert isinstance(status, StatusReport)
    return status.data


async def wrong_password(street: Street, bad: Device) -> None:
    bad.forget_password()
    assert (await bad.run()).end is End.REFUSED


async def stale_nonce(street: Street, bad: Device) -> None:
    before = bad.account
    await bad.run()
    bad.account = before
    answer = await bad.post(bad.begin().start(NOW))
    assert header_status(answer) == Status.INVALID_CREDENTIALS


async def replayed(street: Street, bad: Device) -> None:
    street.planner.orders[bad.uid] = [order("a", Get, NAME)]
    street.planner.more[bad.uid] = [order("b", Get, NAME)]
    session = bad.begin()
    first = session.start(NOW)
    bad.take(session, await bad.post(first))
    second = session.next_outgoing()
    assert second is not None
    bad.take(session, await bad.post(second))
    await street.step()
    assert answered(await bad.post(first)) == (409, "omadm.session.replay")


async def unknown(street: Street, bad: Device) -> None:
    assert answered(await bad.post(bad.begin().start(NOW))) == (403, "dm.unknown")


async def revoked(street: Street, bad: Device) -> None:
    assert (await bad.run()).end is End.DONE
    pki = street.running.services.pki
    (record,) = pki.certificates(subject=bad.uid).items
    pki.revoke(record.serial, "keyCompromise", when=NOW, who="test")
    await street.step()
    assert answered(await bad.post(bad.begin().start(NOW))) == (403, "certificate.revoked")


async def expired(street: Street, bad: Device) -> None:
    answer = await bad.post(bad.begin().start(NOW))
    assert answered(answer) == (403, "certificate.expired")


STRANGERS: dict[str, tuple[Any, str, str | None]] = {
    "WRONG": (wrong_password, "dm.proof", "dm.authentication"),
    "STALE": (stale_nonce, "dm.proof", None),
    "REPLAYED": (replayed, "omadm.session.replay", "dm.replay"),
    "UNKNOWN": (unknown, "dm.unknown", None),
    "REVOKED": (revoked, "certificate.revoked", "certificate.revoked"),
    "EXPIRED": (expired, "certificate.expired", "certificate.expired"),
}


async def ending(street: Street, device: Device) -> None:
    """Give a device a connection with a certificate that ends in an hour, which then is over."""
    now = time.time()
    chain, key = issue_by_hand(
        authorities_of(street.running.home).devices,
        device.uid,
        now=now,
        validity=Validity(now - 10, now + HOUR),
    )
    device.http = await street.stack.enter_async_context(
        client_with(street.running, street.folder, chain, key)
    )
    assert (await device.http.get("/")).status_code == 404
    object.__setattr__(street.running.services, "wall", ManualClock(now + 2 * HOUR))


async def test_who_is_not_who_he_should_be(street: Street) -> None:
    bad = {uid: await street.device(uid, account=uid != "UNKNOWN") for uid in STRANGERS}
    await ending(street, bad["EXPIRED"])
    await street.begin()
    with structlog.testing.capture_logs() as logs:
        for uid, (misbehave, *_) in STRANGERS.items():
            await misbehave(street, bad[uid])
            await street.step()
        for uid, again in (("UNKNOWN", unknown), ("EXPIRED", expired)):
            await again(street, bad[uid])  # is no news
    assert told(logs) == [(uid, code) for uid, (_, code, _) in STRANGERS.items()]
    assert street.alarms() == {(uid, alarm) for uid, (*_, alarm) in STRANGERS.items() if alarm}
    await street.finish()


async def test_who_was_shut_out_and_has_expired_raises_no_alarm(
    street: Street,
) -> None:
    one = await street.device("D1")
    await ending(street, one)
    registry = street.running.services.registry
    registry.move("dcu-D1", LifecycleState.SUSPENDED, who="test", why="stolen")
    with structlog.testing.capture_logs() as logs:
        await expired(street, one)
    assert told(logs) == [("D1", "certificate.expired")]
    assert street.alarms() == set()
