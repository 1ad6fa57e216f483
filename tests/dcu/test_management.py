"""The DCU's DM client against servers that misbehave."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from tests.support.small_disk import kinds, small_disk

from openami.core.clock import ManualClock
from openami.core.errors import StoreFullError
from openami.dcu.device import server_of, take_bootstrap
from openami.dcu.flow import Stop
from openami.dcu.management import ALERTS_MOST, Held, Manager
from openami.dcu.threads import WorkThread
from openami.omadm.auth import HMAC_HEADER, RESYNC_NONCE, Credentials, HmacHeader
from openami.omadm.codes import AlertCode
from openami.omadm.messages.codec import decode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import Alert, Item, Location, Meta, Replace
from openami.omadm.notification import Notification, Verified
from openami.omadm.objects.catalog import device_schema
from openami.omadm.objects.device import DeviceFacts, bind_facts
from openami.omadm.session.account import Account
from openami.omadm.session.events import End, NonceChanged, Order, OrderDone
from openami.omadm.session.server import ServerConfig, ServerSession
from openami.omadm.tree.tree import ManagementTree
from openami.ssmp.bootstrap import BootstrapBlock
from openami.store import sqlite
from openami.store.device_memory import DeviceMemory
from openami.store.sealed_tree import SealedTree
from openami.store.tree import SqliteTree
from openami.store.vault import FileVault
from openami.transport.http import HttpClient
from openami.transport.web import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request

NOW = 1_800_000_000.0
BLOCK = BootstrapBlock(
    server_id="srv",
    server_password="a" * 43,
    server_url="https://headend.example/dm",
    client_id="dcu-D1",
    client_password="b" * 43,
    not_before=0,
    not_after=2**32,
)


@dataclass
class Office:
    """A server of one device; ``fault`` may answer in its place."""

    config: ServerConfig = field(default_factory=lambda: ServerConfig("https://headend.example/dm"))
    password: str = BLOCK.client_password
    fault: Callable[[Response], Response] | None = None
    account: Account = field(init=False)
    session: ServerSession | None = None
    done: list[OrderDone] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    proofs: list[HmacHeader] = field(default_factory=list)
    asked: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.account = Account(
            "srv", Credentials("srv", BLOCK.server_password), Credentials("dcu-D1", self.password)
        )

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        body = await request.body()
        self.bodies.append(body)
        self.proofs.append(HmacHeader.parse(request.headers[HMAC_HEADER]))
        session = self.session
        if session is None:
            item = Item(Location("./AMI/Link/Retries"), data="5")
            orders = [Order("one", Replace(0, (item,)))]
            self.session = session = ServerSession(
                self.account, self.config, nonces=lambda: secrets.token_bytes(16), orders=orders
            )
        headers = request.headers
        answer = session.receive(body, headers["content-type"], headers.get(HMAC_HEADER), NOW)
        while (event := session.next_event()) is not None:
            if isinstance(event, NonceChanged):
                self.account = event.account
            elif isinstance(event, OrderDone):
                self.done.append(event)
        proof = {} if answer.hmac is None else {HMAC_HEADER: answer.hmac}
        made = Response(answer.body, media_type=str(answer.content_type), headers=proof)
        return self.fault(made) if self.fault else made


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[DeviceMemory]:
    memory = DeviceMemory(tmp_path / "memory.sqlite")
    yield memory
    memory.close()


@asynccontextmanager
async def managed(office: Office, memory: DeviceMemory) -> AsyncIterator[Manager]:
    """Run the server, and return the device's client of it."""
    tree = ManagementTree(device_schema())
    bind_facts(tree, DeviceFacts("urn:openami:dcu:D1", "m", "m", "dcu", "m", "1", "1", "1"))
    take_bootstrap(tree, BLOCK, now=NOW)
    app = Starlette(routes=[Route("/dm", office.answer, methods=["POST"])])
    async with await serve(app) as server:
        office.url = server.url
        yield Manager(
            tree,
            memory,
            server=lambda: server_of(tree.root, memory),
            connect=lambda _origin: HttpClient(server.url),
            clock=ManualClock(NOW),
            poll_every=lambda: 3600.0,
            chance=lambda: 0.5,
            stop=Stop(),
            thread=WorkThread("test"),
        )


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openami.dcu.management.RESEND_S", 0.01)


async def test_a_session_through(memory: DeviceMemory) -> None:
    office = Office()
    async with managed(office, memory) as manager:
        assert await manager.session() == Held(End.DONE, 1)
        office.session = None
        assert await manager.session() == Held(End.DONE, 1)
    assert [one.status for one in office.done] == [200, 200]
    first = decode_message(office.bodies[0], MediaType.WBXML)
    (info,) = [command for command in first.commands if isinstance(command, Replace)]
    told = {item.source.uri: (item.target, item.meta) for item in info.items if item.source}
    names = ("DevId", "DmV", "Lang", "Man", "Mod")
    meta = Meta(format="chr", type="text/plain")
    assert told == {f"./DevInfo/{name}": (None, meta) for name in names}


@pytest.mark.parametrize("lost", [False, True], ids=["kept nonces", "lost nonces"])
async def test_who_is_woken_by_a_server_that_lost_its_nonces_proves_itself_with_the_reset_one(
    memory: DeviceMemory, lost: bool
) -> None:
    """The first proof already (OMA-TS-DM_Security 1.2, 5.3.3); the session after uses new ones."""
    office = Office()
    async with managed(office, memory) as manager:
        assert await manager.session() == Held(End.DONE, 1)
        kept, office.session = office.account, None
        assert kept.client_nonce != RESYNC_NONCE
        if lost:
            office.account = kept.resynchronised()
        nonces, at = {kept.client_nonce, RESYNC_NONCE}, len(office.bodies)
        manager.wake(Verified(Notification("srv", 7), resynchronise=lost))
        assert await manager.session() == Held(End.DONE, 1)
        body, proof = office.bodies[at], office.proofs[at]
        proves = {nonce for nonce in nonces if proof.check(kept.client, nonce, body)}
        assert proves == {RESYNC_NONCE if lost else kept.client_nonce}

        office.session, at = None, len(office.bodies)
        given = office.account.client_nonce
        assert given not in nonces
        assert await manager.session() == Held(End.DONE, 1)
        assert office.proofs[at].check(kept.client, given, office.bodies[at])


async def test_an_answer_that_was_lost_is_asked_for_again(memory: DeviceMemory) -> None:
    lost = iter([True, False, True, False, True, False, False, False])
    office = Office(fault=lambda made: Response(status_code=503) if next(lost, False) else made)
    async with managed(office, memory) as manager:
        assert (await manager.session()).end is End.DONE
    assert [one.status for one in office.done] == [200]


async def test_a_server_that_stays_away_is_given_up(memory: DeviceMemory) -> None:
    office = Office(fault=lambda _made: Response(status_code=503))
    async with managed(office, memory) as manager:
        waits = Alert(0, AlertCode.GENERIC, correlator="j1")
        manager.alert(waits)
        assert (await manager.session()).end is End.TIMEOUT
        assert office.asked == 3
        assert manager._alerts == [waits]
        office.fault = office.session = None
        assert (await manager.session()).end is End.DONE


@pytest.mark.parametrize(
    ("fault", "end", "code"),
    [
        (lambda _m: Response(status_code=403), End.REFUSED, "dm.http-403"),
        (lambda _m: Response(status_code=302), End.BROKEN, "dm.http"),
        (lambda m: Response(m.body, media_type="text/html"), End.BROKEN, "omadm.media-type"),
        (lambda m: Response(b"x" * 2**21, media_type=m.media_type), End.BROKEN, "http.too-large"),
        (lambda m: Response(m.body[:-3], headers=dict(m.headers) | {"content-length": str(len(m.body) - 3)}), End.BROKEN, None),
    ],
)  # fmt: skip
async def test_what_is_no_answer_ends_the_session(
    memory: DeviceMemory, fault: Any, end: End, code: str | None
) -> None:
    office = Office(fault=fault)
    async with managed(office, memory) as manager:
        held = await manager.session()
        assert held.end is end
        assert code in (None, held.code)
        assert held.why()
        office.fault = office.session = None
        assert (await manager.session()).end is End.DONE


async def test_a_server_with_another_password_is_not_obeyed(memory: DeviceMemory) -> None:
    office = Office()
    office.account = Account("srv", Credentials("srv", "c" * 43), office.account.client)
    async with managed(office, memory) as manager:
        held = await manager.session()
        assert held.end in (End.REFUSED, End.BROKEN)
        assert held.performed == 0
        assert manager._tree.text("./AMI/Link/Retries") == "3"


async def test_a_session_is_not_sent_to_another_host(memory: DeviceMemory) -> None:
    office = Office(
        config=ServerConfig("https://headend.example/dm", resp_uri="https://elsewhere.example/dm")
    )
    async with managed(office, memory) as manager:
        held = await manager.session()
        assert (held.end, held.code) == (End.REFUSED, "dm.other-host")


async def test_a_session_has_a_number_that_was_not_used_lately(
    memory: DeviceMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter([6, 6, 8])
    memory.saw(7)
    async with managed(Office(), memory) as manager:
        monkeypatch.setattr(secrets, "randbelow", lambda _most: next(numbers))
        assert manager._number() == 9


async def test_without_an_account_there_is_no_session(memory: DeviceMemory) -> None:
    async with managed(Office(), memory) as manager:
        manager._server = lambda: None
        assert await manager.session() == Held(End.REFUSED, code="dm.no-account")


async def test_a_full_disk_breaks_a_session_and_not_the_device(
    memory: DeviceMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreFullError("no room")

    office = Office()
    async with managed(office, memory) as manager:
        monkeypatch.setattr(memory, "keep_nonces", full)
        assert (await manager.session()).end is End.BROKEN
        monkeypatch.undo()
        office.session = None
        assert (await manager.session()).end is End.DONE


async def test_what_happens_during_a_session_is_told_in_the_next(memory: DeviceMemory) -> None:
    office = Office()
    async with managed(office, memory) as manager:
        manager.alert(Alert(0, AlertCode.GENERIC, correlator="before"))
        news = [Alert(0, AlertCode.GENERIC, correlator=str(n)) for n in range(ALERTS_MOST)]

        def while_it_runs(made: Response) -> Response:
            while news:
                manager.alert(news.pop())
            return made

        office.fault = while_it_runs
        assert (await manager.session()).end is End.DONE
        assert {alert.correlator for alert in manager._alerts} == set(map(str, range(ALERTS_MOST)))
        manager.alert(Alert(0, AlertCode.GENERIC, correlator="latest"))
        assert len(manager._alerts) == ALERTS_MOST
        assert manager._alerts[-1].correlator == "latest"


class Disk:
    """A DCU's files; ``tree`` is as it is in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = ExitStack()
        self.memory = self.stack.enter_context(closing(DeviceMemory(folder / "memory.sqlite")))
        self.tree = ManagementTree(device_schema(), self._store(self.stack))
        bind_facts(
            self.tree, DeviceFacts("urn:openami:dcu:D1", "m", "m", "dcu", "m", "1", "1", "1")
        )
        if not self.tree.names("./DMAcc"):
            take_bootstrap(self.tree, BLOCK, now=NOW)

    def _store(self, stack: ExitStack) -> SealedTree:
        store = stack.enter_context(closing(SqliteTree(self.folder / "tree.sqlite")))
        vault = FileVault(self.folder / "vault.sqlite", kek=self.folder / "kek")
        return SealedTree(store, stack.enter_context(closing(vault)))

    def manager(self, office: Office) -> Manager:
        return Manager(
            self.tree,
            self.memory,
            server=lambda: server_of(self.tree.root, self.memory),
            connect=lambda _origin: HttpClient(office.url),
            clock=ManualClock(NOW),
            poll_every=lambda: 3600.0,
            chance=lambda: 0.5,
            stop=Stop(),
            thread=WorkThread("test"),
        )

    def check_kept(self) -> None:
        """Assert that the disk has what the DCU believes, and no other secret."""
        root = self.tree.root
        self.stack.close()
        with ExitStack() as stack:
            sealed = self._store(stack)
            assert ManagementTree(device_schema(), sealed).root == root


SECRET = "./DMAcc/1/AppAuth/1/AAuthSecret"


def set_both(office: Office, retries: str) -> None:
    """Let the server set a value, and a secret of the account to what it is."""
    items = {"./AMI/Link/Retries": retries, SECRET: BLOCK.client_password}
    orders = [Order(uri, Replace(0, (Item(Location(uri), data=d),))) for uri, d in items.items()]
    office.done.clear()
    office.session = ServerSession(
        office.account, office.config, nonces=lambda: secrets.token_bytes(16), orders=orders
    )


@asynccontextmanager
async def served(office: Office) -> AsyncIterator[None]:
    app = Starlette(routes=[Route("/dm", office.answer, methods=["POST"])])
    async with await serve(app) as server:
        office.url = server.url
        yield


async def test_no_room_at_any_write_leaves_the_old_value_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = sqlite.Database.transaction, 0
    for last in count():
        (tmp_path / str(last)).mkdir()
        disk, office = Disk(tmp_path / str(last)), Office()
        async with served(office):
            left = iter(range(last))

            def transaction(self: sqlite.Database) -> Any:
                if next(left, None) is None:  # noqa: B023 -- called within this turn only
                    raise StoreFullError("no room left")
                return real(self)

            set_both(office, "7")
            with monkeypatch.context() as patched:
                patched.setattr(sqlite.Database, "transaction", transaction)
                held = await disk.manager(office).session()
                done = held.end is End.DONE and next(left, None) is not None
            assert {one.status for one in office.done} <= {200, 420, 424}
            assert disk.tree.text("./AMI/Link/Retries") in {"3", "7"}
            assert disk.tree.get(SECRET) == BLOCK.client_password
            failed += not done
            for _ in range(3):  # the first may have to agree on nonces
                set_both(office, "9")
                if (await disk.manager(office).session()).end is End.DONE:
                    break
            assert [one.status for one in office.done] == [200, 200]
            assert disk.tree.text("./AMI/Link/Retries") == "9"
            disk.check_kept()
        if done:
            break
    assert failed > 5


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind == "tmpfs"])
async def test_on_a_full_disk_a_command_is_answered_with_420(kind: str, tmp_path: Path) -> None:
    with small_disk(kind, tmp_path / "disk", 4 << 20) as place:
        disk, office = Disk(place.path), Office()
        async with served(office):
            with suppress(OSError), (place.path / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            for value in "789":
                set_both(office, value)
                assert (await disk.manager(office).session()).end is End.DONE
                assert [one.status for one in office.done] == [420, 420]
            assert disk.tree.text("./AMI/Link/Retries") == "3"
            (place.path / "filler").unlink()
            set_both(office, "9")
            assert (await disk.manager(office).session()).end is End.DONE
            assert [one.status for one in office.done] == [200, 200]
        disk.check_kept()
