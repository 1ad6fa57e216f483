"""The DCU's DM client against servers that misbehave."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from openami.core.clock import ManualClock
from openami.core.errors import StoreFullError
from openami.dcu.device import server_of, take_bootstrap
from openami.dcu.flow import Stop
from openami.dcu.management import ALERTS_MOST, Held, Manager
from openami.omadm.auth import HMAC_HEADER, Credentials
from openami.omadm.codes import AlertCode
from openami.omadm.messages.model import Alert, Item, Location, Replace
from openami.omadm.objects.catalog import device_schema
from openami.omadm.objects.device import DeviceFacts, bind_facts
from openami.omadm.session.account import Account
from openami.omadm.session.events import End, NonceChanged, Order, OrderDone
from openami.omadm.session.server import ServerConfig, ServerSession
from openami.omadm.tree.tree import ManagementTree
from openami.ssmp.bootstrap import BootstrapBlock
from openami.store.device_memory import DeviceMemory
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
    asked: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.account = Account(
            "srv", Credentials("srv", BLOCK.server_password), Credentials("dcu-D1", self.password)
        )

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        body = await request.body()
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


async def test_an_answer_that_was_lost_is_asked_for_again(memory: DeviceMemory) -> None:
    lost = iter([True, False, True, False, True, False, False, False])
    office = Office(fault=lambda made: Response(status_code=503) if next(lost, False) else made)
    async with managed(office, memory) as manager:
        assert (await manager.session()).end is End.DONE
    assert [one.status for one in office.done] == [200]


async def test_a_server_that_stays_away_is_given_up(memory: DeviceMemory) -> None:
    office = Office(fault=lambda _made: Response(status_code=503))
    async with managed(office, memory) as manager:
        assert (await manager.session()).end is End.TIMEOUT
        assert office.asked == 3
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
