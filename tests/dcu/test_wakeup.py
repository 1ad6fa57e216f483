"""The listener for notifications, in a flood of what is none."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.support.dcu_managed import bootstrap

from openami.dcu import wakeup
from openami.dcu.device import server_of, take_bootstrap
from openami.dcu.threads import WorkThread
from openami.dcu.wakeup import BURST, BURST_ALL, PEERS_MOST, RATE, Throttles, Wakeup
from openami.omadm.auth import AuthPolicy, Hash
from openami.omadm.notification import CONTENT_TYPE, Notification
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.tree import ManagementTree
from openami.store.device_memory import DeviceMemory
from openami.transport.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from openami.dcu.device import ServerAccount
    from openami.omadm.notification import Verified
    from openami.transport.web import HttpServer

HEAD_END, FLOOD = "127.0.0.1", "127.0.0.2"
HEAD = (
    b"POST /wake HTTP/1.1\r\nhost: d\r\ncontent-length: %d\r\ncontent-type: "
    + CONTENT_TYPE.encode()
    + b"\r\n\r\n"
)
BLOCK = bootstrap("https://headend.example/dm")


class Listening:
    """A DCU's ear, and what has woken it."""

    def __init__(self, folder: Path) -> None:
        self.memory = DeviceMemory(folder / "memory.sqlite")
        tree = ManagementTree(device_schema())
        take_bootstrap(tree, BLOCK, now=1.0)
        self.woken: list[Verified] = []
        self.thread = WorkThread("test")
        self.accepts: tuple[str, ...] = ("mac-sha256",)
        self.tree = tree
        self.wakeup = Wakeup(
            self._server,
            self.memory,
            self.woken.append,
            monotonic,
            self.thread,
        )
        server = server_of(tree.root, self.memory)
        assert server is not None
        self.nonce = server.account.server_nonce

    def _server(self) -> ServerAccount | None:
        server = server_of(self.tree.root, self.memory)
        assert server is not None
        account = replace(server.account, policy=AuthPolicy.of(self.accepts))
        return replace(server, account=account)

    def notification(
        self, session: int, password: str = BLOCK.server_password, how: Hash = Hash.SHA256
    ) -> bytes:
        return Notification("srv", session).build(password, self.nonce, how)


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Listening]:
    ear = Listening(tmp_path)
    yield ear
    ear.thread.close()
    ear.memory.close()


@pytest.mark.parametrize(
    ("accepts", "taken"),
    [
        (("mac-sha256", "digest-sha256"), [Hash.SHA256]),
        (("mac-sha256", "mac-md5"), [Hash.MD5, Hash.SHA256]),
        (("digest-md5", "basic"), [Hash.MD5]),
        (("basic",), []),  # a password makes no digest, and MD5 is nobody's who has not said so
    ],
)
async def test_a_notification_has_a_hash_that_the_account_accepts(
    ear: Listening, accepts: tuple[str, ...], taken: list[Hash]
) -> None:
    ear.accepts = accepts
    answers = {
        how: await ear.wakeup.take(ear.notification(number, how=how), peer=HEAD_END)
        for number, how in enumerate(Hash, 1)
    }
    assert answers == {how: 202 if how in taken else 403 for how in Hash}
    assert len(ear.woken) == len(taken)


@asynccontextmanager
async def connection(
    server: HttpServer, peer: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(server.host, server.port, local_addr=(peer, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def post(server: HttpServer, body: bytes, peer: str) -> int:
    """Return the status; the connection is closed after it, or this does not return."""
    async with connection(server, peer) as (reader, writer):
        writer.write(HEAD % len(body) + body)
        answer = await asyncio.wait_for(reader.read(), 30)
    return int(answer.split()[1])


async def test_a_true_notification_gets_through_a_flood(ear: Listening) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await ear.wakeup.listen(HEAD_END, 0))
        idle = [await stack.enter_async_context(connection(server, FLOOD)) for _ in range(60)]
        for _, writer in idle[:20]:
            writer.write(HEAD % 40 + b"x")
        with capture_logs() as logs:
            forged = [ear.notification(n, "another server's password") for n in range(150)]
            answers = [await post(server, body, FLOOD) for body in forged]
            assert set(answers) == {403, 429}
            assert answers.count(403) < 2 * BURST
            assert await post(server, b"x" * 5000, FLOOD) == 413
            true = ear.notification(7)
            assert await post(server, true, HEAD_END) == 202
            assert await post(server, true, HEAD_END) == 403  # and once only
        assert [one.notification.session_id for one in ear.woken] == [7]
        refusals = [line for line in logs if line["event"] == "notification refused"]
        assert 1 <= len(refusals) < 60


async def test_of_two_that_come_at_once_one_is_a_replay(
    ear: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, throttles = ear.memory, ear.wakeup._throttles
    seen, saw, taken = memory.seen, memory.saw, throttles.take
    keeps, go = threading.Event(), threading.Event()
    looked: list[str] = []
    came: list[str] = []

    def looks() -> frozenset[int]:
        looked.append("looked")
        return seen()

    def slowly(session: int) -> None:
        keeps.set()
        assert go.wait(60)
        saw(session)

    def comes(peer: str) -> bool:
        came.append(peer)
        return taken(peer)

    monkeypatch.setattr(memory, "seen", looks)
    monkeypatch.setattr(memory, "saw", slowly)
    monkeypatch.setattr(throttles, "take", comes)
    octets = ear.notification(7)
    async with await ear.wakeup.listen(HEAD_END, 0) as server, asyncio.timeout(60):
        both = [asyncio.ensure_future(post(server, octets, HEAD_END)) for _ in range(2)]
        while len(came) < 2 or not keeps.is_set():
            await asyncio.sleep(0.01)
        assert await post(server, b"x" * 5000, FLOOD) == 413  # who knocks meanwhile is answered
        assert looked == ["looked"]
        go.set()
        assert sorted(await asyncio.gather(*both)) == [202, 403]
    assert [one.notification.session_id for one in ear.woken] == [7]
    assert seen() == {7}


async def test_those_that_wait_for_the_disk_are_bounded(
    ear: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "WAITING_MOST", 2)
    saw, go = ear.memory.saw, threading.Event()

    def slowly(session: int) -> None:
        assert go.wait(60)
        saw(session)

    monkeypatch.setattr(ear.memory, "saw", slowly)
    takes = [
        asyncio.ensure_future(ear.wakeup.take(ear.notification(n), peer=HEAD_END)) for n in (1, 2)
    ]
    await asyncio.sleep(0)
    assert await ear.wakeup.take(ear.notification(3), peer=HEAD_END) == 503
    go.set()
    assert await asyncio.gather(*takes) == [202, 202]
    assert await ear.wakeup.take(ear.notification(3), peer=HEAD_END) == 202


async def test_another_server_s_name_wakes_nobody(ear: Listening) -> None:
    """Not even with this server's password: a server has its own."""
    octets = Notification("other", 7).build(BLOCK.server_password, ear.nonce)
    assert await ear.wakeup.take(octets, peer=HEAD_END) == 403
    assert not ear.memory.seen()
    assert await ear.wakeup.take(ear.notification(7), peer=HEAD_END) == 202


async def test_a_request_that_trickles_in_is_ended(
    ear: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openami.dcu.wakeup.WHOLE_S", 0.2)
    async with (
        await ear.wakeup.listen(HEAD_END, 0) as server,
        connection(server, FLOOD) as (reader, writer),
    ):
        writer.write(HEAD % 1000)
        answer = asyncio.ensure_future(reader.readline())
        async with asyncio.timeout(30):
            while not answer.done():
                writer.write(b"x")
                await asyncio.sleep(0.02)
        assert b"408" in answer.result()


def test_one_peer_takes_no_other_s_turn_and_all_together_are_bounded() -> None:
    now = [0.0]
    throttles = Throttles(lambda: now[0])
    taken = sum(throttles.take("a") for _ in range(1000))
    assert taken == BURST
    assert throttles.take("b")
    now[0] = 1.0
    assert sum(throttles.take("a") for _ in range(1000)) == RATE
    now[0] = 1000.0
    crowd = sum(throttles.take(f"peer {number}") for number in range(10 * PEERS_MOST))
    assert crowd == BURST_ALL
    assert len(throttles._peers) == PEERS_MOST


def test_who_keeps_on_is_not_forgotten_for_others() -> None:
    throttles = Throttles(lambda: 0.0)
    throttles.take("a")
    known = throttles._peers["a"]
    for number in range(2 * PEERS_MOST):
        throttles.take(f"peer {number}")
        throttles.take("a")
    assert throttles._peers["a"] is known  # or it would have a full burst again
