"""Devices that a head-end manages, for tests."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from tests.support.dm_tree import ALL, grant
from tests.support.dm_wire import DEV_INFO

from openami.omadm.auth import Credentials
from openami.omadm.messages.media import MediaType
from openami.omadm.objects.catalog import device_schema
from openami.omadm.objects.dmacc import AppAuth, DmAcc, Level, put_account
from openami.omadm.session.account import Account
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import Event, NonceChanged, Order, OrderDone, SessionEnded
from openami.omadm.tree.tree import ManagementTree
from openami.omadm.tree.visit import Visit
from openami.store.relational.management_models import AccountRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx

    from openami.headend.management.ports import Answer, Asked
    from openami.headend.server import Running
    from openami.omadm.messages.model import Alert
    from openami.omadm.session.events import Outgoing
    from openami.store.relational.engine import Transactions

SERVER_ID = "openami"
DIGEST = "d1" * 32
NOW = 1_800_000_000.0


class HasTransactions(Protocol):
    _transactions: Transactions


def add_account(store: HasTransactions, uid: str, digest: str, **changes: Any) -> None:
    """Add the account of a device, as its registration does."""
    fields: dict[str, Any] = {
        "suspended": False,
        "created": 1.0,
        "client_nonce": b"",
        "server_nonce": b"",
        "wake_failures": 0,
        "wake_session": 0,
        **changes,
    }
    with store._transactions.writing() as session:
        session.add(AccountRow(uid=uid, digest=digest, **fields))


def change_account(running: Running, uid: str, **changes: Any) -> None:
    """Change the account of a device behind the sessions' back."""
    store: Any = running.services.management.accounts._store
    with store._transactions.writing() as session:
        row = session.get(AccountRow, uid)
        for name, value in changes.items():
            setattr(row, name, value)


def give_account(running: Running, uid: str, digest: str = DIGEST, **changes: Any) -> Account:
    """Make a device's account at the head-end; return the device's half of it."""
    accounts: Any = running.services.management.accounts
    kept = {
        "server_id": SERVER_ID,
        "server_password": secrets.token_urlsafe(32),
        "client_id": f"dcu-{uid}",
        "client_password": secrets.token_urlsafe(32),
        "server_url": f"{running.device_url}/dm",
    }
    accounts._vault.put("dm-account", uid, digest, json.dumps(kept).encode())
    add_account(accounts._store, uid, digest, **changes)
    return Account(
        SERVER_ID,
        Credentials(SERVER_ID, kept["server_password"]),
        Credentials(kept["client_id"], kept["client_password"]),
    )


@dataclass
class ListPlanner:
    """A planner with a list of orders for every device, and of what it was told."""

    orders: dict[str, list[Order]] = field(default_factory=dict)
    more: dict[str, list[Order]] = field(default_factory=dict)
    planned: list[str] = field(default_factory=list)
    results: list[tuple[str, OrderDone]] = field(default_factory=list)
    info: dict[str, dict[str, str]] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    ends: list[tuple[str, SessionEnded]] = field(default_factory=list)
    fault: Exception | None = None

    def _fail_once(self) -> None:
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault

    def together(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        """Answer questions; those of sessions that are ``planning`` go the head-end's own way."""
        return [question() for _, question in asked]

    def plan(self, uid: str, *, now: float) -> Sequence[Order]:
        del now
        self._fail_once()
        self.planned.append(uid)
        return self.orders.get(uid, [])

    def done(
        self, uid: str, results: Sequence[OrderDone], *, session: int, now: float
    ) -> Sequence[Order]:
        del session, now
        self.results += [(uid, result) for result in results]
        return self.more.pop(uid, [])

    def told(self, uid: str, info: Any, alerts: Sequence[Alert], *, now: float) -> None:
        del now
        self.info.setdefault(uid, {}).update(info or {})
        self.alerts += alerts

    def ended(self, uid: str, end: SessionEnded, *, session: int, now: float) -> None:
        del session, now
        self.ends.append((uid, end))

    def statuses(self, uid: str) -> dict[str, int]:
        """Return what became of a device's orders."""
        return {done.id: done.status for whose, done in self.results if whose == uid}


@contextmanager
def planning(running: Running, planner: ListPlanner) -> Iterator[ListPlanner]:
    """Let the sessions of a head-end be planned by a list."""
    sessions: Any = running.services.management.sessions
    before, sessions._planner = sessions._planner, planner
    yield planner
    sessions._planner = before


def device_tree(account: Account) -> ManagementTree:
    """Return the tree of a device with the account of its server."""
    tree = ManagementTree(device_schema())
    auths = (
        AppAuth(Level.CLIENT, "HMAC", account.client.name, account.client.password, b""),
        AppAuth(Level.SERVER, "HMAC", account.server.name, account.server.password, b""),
    )
    draft = tree.draft(NOW)
    put_account(
        draft, "1", DmAcc(SERVER_ID, "https://head-end.example/dm", "Utility", "HMAC", auths)
    )
    tree.commit(draft)
    grant(tree, ".", ALL)
    return tree


class Device:
    """A device that speaks over HTTP; its account and tree outlive its sessions."""

    def __init__(
        self,
        uid: str,
        account: Account,
        http: httpx.AsyncClient,
        *,
        media: MediaType = MediaType.WBXML,
    ) -> None:
        self.uid = uid
        self.account = account
        self.http = http
        self.tree = device_tree(account)
        self.events: list[Event] = []
        self._media = media
        self._ids = count(0x2A)

    def begin(
        self,
        session_id: int | None = None,
        *,
        notified: bool = False,
        alerts: tuple[Alert, ...] = (),
    ) -> ClientSession:
        """Return a new session."""
        config = ClientConfig(
            f"urn:openami:dcu:{self.uid}", "https://head-end.example/dm", DEV_INFO, self._media
        )
        return ClientSession(
            self.account,
            config,
            Visit(self.tree, SERVER_ID, NOW, octets=self._media is MediaType.WBXML),
            session_id=next(self._ids) if session_id is None else session_id,
            nonces=lambda: secrets.token_bytes(16),
            notified=notified,
            alerts=alerts,
        )

    async def post(self, message: Outgoing, **headers: str) -> httpx.Response:
        """Send a message."""
        proof = {} if message.hmac is None else {"x-syncml-hmac": message.hmac}
        kind = {"content-type": str(message.content_type)}
        return await self.http.post(
            "/dm", content=message.body, headers={**kind, **proof, **headers}
        )

    def take(self, session: ClientSession, answer: httpx.Response) -> None:
        """Take the answer to a session's last message."""
        assert answer.status_code == 200, answer.text
        headers = answer.headers
        proof = headers.get("x-syncml-hmac")
        session.receive(answer.content, headers["content-type"], proof, NOW)
        while (event := session.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, NonceChanged):
                self.account = event.account

    async def run(self, session: ClientSession | None = None, **options: Any) -> SessionEnded:
        """Have a whole session, or the rest of one; return its end."""
        if session is None:
            session = self.begin(**options)
            message: Outgoing | None = session.start(NOW)
        else:
            message = session.next_outgoing()
        while message is not None:
            self.take(session, await self.post(message))
            message = session.next_outgoing()
        end = self.events[-1]
        assert isinstance(end, SessionEnded)
        return end

    def forget_password(self) -> None:
        """Have the wrong password from now on."""
        wrong = Credentials(self.account.client.name, "wrong")
        self.account = replace(self.account, client=wrong)
