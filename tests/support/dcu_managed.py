"""A managed DCU whose certificate and account are there already, against a real head-end."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.management import give_account

from openami.dcu.installation import Installation
from openami.dcu.managed import ManagedDcu
from openami.dcu.module.keystore import check_anchors
from openami.ssmp.bootstrap import BootstrapBlock
from openami.ssmp.messages import DeviceInfo
from openami.transport.clock import SystemClock
from openami.transport.http import HttpClient
from openami.transport.tls import client_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.dcu.flow import Stop
    from openami.headend.server import Running
    from openami.omadm.tree.tree import ManagementTree
    from openami.transport.http import HttpAnswer

FOREVER = 2**32


@dataclass
class FileIdentity:
    """Proves the device by files, as a security module does by keys that nobody sees."""

    uid: str
    folder: Path
    info: DeviceInfo = field(default_factory=lambda: DeviceInfo("Maker", "M1", "rev A", "1.0"))

    def write(self, certificate: bytes, key: bytes, authority: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("certificate", certificate), ("key", key), ("authority", authority)):
            (self.folder / f"{name}.pem").write_bytes(content)

    async def trust(self, anchors: str) -> None:
        (self.folder / "anchors.pem").write_bytes(check_anchors(anchors))

    def operational_client(self, url: str) -> HttpClient:
        files = [self.folder / f"{name}.pem" for name in ("authority", "certificate", "key")]
        others = self.folder / "anchors.pem"
        known = others.read_bytes() if others.exists() else b""
        tls = client_context(files[0], certificate=files[1], key=files[2], others=known)
        return PatientClient(url, tls=tls)


class PatientClient(HttpClient):
    """Lets a handshake come to its end, though nobody waits for it any more.

    The library below leaves a socket open whose TLS handshake is cancelled. A DCU's connections
    have none: they end in its security module.
    """

    _HANDSHAKE_S = 10.0

    def __init__(self, base_url: str, **options: Any) -> None:
        super().__init__(base_url, **options)
        self._asked: set[asyncio.Task[HttpAnswer]] = set()

    async def request(self, method: str, path: str, **options: Any) -> HttpAnswer:
        asked = asyncio.ensure_future(super().request(method, path, **options))
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)
        return await asyncio.shield(asked)

    async def close(self) -> None:
        if self._asked:
            _, late = await asyncio.wait(self._asked, timeout=self._HANDSHAKE_S)
            for asked in late:
                asked.cancel()
            if late:
                await asyncio.wait(late)
        await super().close()


@dataclass
class Registered:
    """A registration that has come to its end; ``come`` is set when there is another block."""

    block: BootstrapBlock | None
    forgotten: bool = False
    doubts: int = 0
    come: asyncio.Event = field(default_factory=asyncio.Event)

    async def register(self, stop: Stop) -> None:
        del stop

    async def forget(self) -> None:
        self.forgotten = True

    async def renew(self, stop: Stop, taken: Callable[[], Awaitable[None]]) -> None:
        while not stop:
            await stop.sleep(3600.0, self.come)
            if self.come.is_set():
                self.come.clear()
                await taken()

    def doubt(self) -> None:
        self.doubts += 1

    def trust(self) -> None:
        self.doubts = 0


@dataclass
class Made:
    """What a managed DCU of a head-end is made of."""

    identity: FileIdentity
    block: BootstrapBlock
    state: Path

    def installation(self, **options: Any) -> Installation:
        base = {
            "factory": self.state,
            "state": self.state,
            "modem": "hdlc+tcp://127.0.0.1:1",
            "wake": "127.0.0.1:0",
            "stop_s": 5.0,
        }
        return Installation(**{**base, **options})

    def dcu(self, clock: Clock | None = None, **options: Any) -> ManagedDcu:
        return ManagedDcu(
            self.installation(**options),
            clock or SystemClock(),
            self.identity,
            Registered(self.block),
        )

    @asynccontextmanager
    async def running(self, clock: Clock | None = None, **options: Any) -> AsyncIterator[Live]:
        """Run the DCU as long as the block lasts, and end it in good order."""
        async with self.dcu(clock, **options) as dcu:
            ask_often(dcu.tree)
            live = Live(dcu, asyncio.ensure_future(dcu.run()))
            try:
                yield live
            finally:
                dcu.stop()
                await live.task


def ask_often(tree: ManagementTree) -> None:
    """Let a DCU that ends not wait for the answer to a long request for work."""
    come_with(tree, {"./AMI/Upload/LongPoll": "0.2"})


def come_with(tree: ManagementTree, values: Mapping[str, str]) -> None:
    """Let a tree have values as it comes from the factory."""
    listeners, tree._listeners = tree._listeners, []
    draft = tree.draft(1.0)
    for uri, value in values.items():
        draft.set_value(tree.path(uri), value)
    tree.commit(draft)
    tree._listeners = listeners


@dataclass
class Live:
    """A DCU that runs."""

    dcu: ManagedDcu
    task: asyncio.Task[None]

    async def until(self, reached: Callable[[], bool], timeout: float = 60.0) -> None:
        """Return when something is so; a DCU that ends meanwhile is a failure."""
        async with asyncio.timeout(timeout):
            while not reached():
                if self.task.done():
                    self.task.result()
                    raise AssertionError("the DCU has ended")
                await asyncio.sleep(0.01)


def bootstrap(url: str) -> BootstrapBlock:
    """Return an account of a server that nobody asks."""
    return BootstrapBlock(
        server_id="srv",
        server_password="a" * 43,
        server_url=url,
        client_id="dcu-D1",
        client_password="b" * 43,
        not_before=0,
        not_after=FOREVER,
    )


def make(running: Running, folder: Path, uid: str, **changes: Any) -> Made:
    """Enrol a DCU at a head-end, and give it an account."""
    issued = running.services.registry.enroll_dcu(uid, who="test")
    identity = FileIdentity(uid, folder / f"{uid}-files")
    identity.write(issued.certificate, issued.key, issued.authority)
    account = give_account(running, uid, hashlib.sha256(uid.encode()).hexdigest())
    block = BootstrapBlock(
        server_id=account.server_id,
        server_password=account.server.password,
        server_url=f"{running.device_url}/dm",
        client_id=account.client.name,
        client_password=account.client.password,
        not_before=0,
        not_after=FOREVER,
        **changes,
    )
    return Made(identity, block, folder / f"{uid}-state")
