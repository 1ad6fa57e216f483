"""A device and a head-end back to back: sessions in memory over a carrier that fails on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from openami.core.errors import RemoteProtocolError
from openami.omadm.auth import AuthPolicy, AuthType, Credentials, Scheme, basic
from openami.omadm.codes import Status
from openami.omadm.messages.codec import decode_message, encode_message
from openami.omadm.messages.media import MediaType
from openami.omadm.messages.model import (
    Add,
    Chal,
    Copy,
    Cred,
    Delete,
    Exec,
    Get,
    Header,
    Item,
    Location,
    Message,
    Meta,
    Replace,
    StatusReport,
)
from openami.omadm.session.account import Account
from openami.omadm.session.client import ClientConfig, ClientSession
from openami.omadm.session.events import NonceChanged, Order, OrderDone, Outcome, SessionEnded
from openami.omadm.session.server import ServerConfig, ServerSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from openami.omadm.messages.model import Command
    from openami.omadm.session.events import Event, Outgoing
    from openami.omadm.session.perform import Gate, TreeCommand

DEVICE = "urn:openami:dcu:DCU-0001"
SERVER = "https://head-end.example/dm"
TOLD = tuple(
    (f"./DevInfo/{name}", value)
    for name, value in (
        ("DevId", DEVICE),
        ("Man", "openami"),
        ("Mod", "DCU"),
        ("DmV", "1.2"),
        ("Lang", "en"),
    )
)
DEV_INFO = tuple(
    Item(source=Location(uri), meta=Meta(format="chr", type="text/plain"), data=value)
    for uri, value in TOLD
)
NOW = 1_800_000_000.0


def account(*schemes: Scheme, client: bytes = b"c0", server: bytes = b"s0") -> Account:
    """Return an account; without schemes, with the policy that accounts have."""
    return Account(
        "head-end",
        Credentials("head-end", "server secret"),
        Credentials("DCU-0001", "client secret"),
        AuthPolicy(schemes) if schemes else AuthPolicy(),
        client,
        server,
    )


def nonces(prefix: str) -> Callable[[], bytes]:
    """Return a source of nonces that never gives one twice."""
    numbers = count(1)
    return lambda: f"{prefix}{next(numbers)}".encode().ljust(16, b".")


@dataclass
class DictGate:
    """A tree without rules: URI to value."""

    nodes: dict[str, str | bytes] = field(default_factory=dict)
    performed: list[tuple[str, str]] = field(default_factory=list)
    before: dict[str, str | bytes] | None = None
    commits: bool = True
    undoes: bool = True

    def perform(self, command: TreeCommand, item: Item) -> Outcome:
        uri = item.target.uri if item.target else ""
        self.performed.append((type(command).__name__, uri))
        missing = uri not in self.nodes
        if isinstance(command, Exec):
            return Outcome(Status.ACCEPTED_FOR_PROCESSING)
        if isinstance(command, Add):
            return self._put(uri, item) if missing else Outcome(Status.ALREADY_EXISTS)
        if missing and not isinstance(command, Copy):
            return Outcome(Status.NOT_FOUND)
        if isinstance(command, Get):
            return self._get(uri)
        if isinstance(command, Delete):
            del self.nodes[uri]
            return Outcome(Status.OK)
        if item.source:
            item = Item(data=self.nodes[item.source.uri])
        return self._put(uri, item)

    def _get(self, uri: str) -> Outcome:
        data = self.nodes[uri]
        kind = "bin" if isinstance(data, bytes) else "chr"
        return Outcome(Status.OK, (Item(source=Location(uri), meta=Meta(format=kind), data=data),))

    def _put(self, uri: str, item: Item) -> Outcome:
        assert item.data is None or isinstance(item.data, str | bytes)
        self.nodes[uri] = item.data or ""
        return Outcome(Status.OK)

    def begin(self) -> None:
        self.before = dict(self.nodes)

    def commit(self) -> None:
        if not self.commits:
            raise RemoteProtocolError("the disk is full")

    def rollback(self) -> bool:
        assert self.before is not None
        if self.undoes:
            self.nodes = self.before
        return self.undoes


def _whole(outgoing: Outgoing) -> Outgoing:
    return outgoing


@dataclass
class Wire:
    """One session between both ends.

    Attributes:
        instead: of the simple tree ``gate``, the tree behind the client.
        faults: what happens to each exchange: ``lost`` on the way there, ``unanswered`` on the
            way back, ``twice`` there, ``echo`` twice on the way back; afterwards all goes well.
    """

    client_account: Account = field(default_factory=account)
    server_account: Account = field(default_factory=account)
    orders: Iterable[Order] = ()
    gate: DictGate = field(default_factory=DictGate)
    instead: Gate | None = None
    media: MediaType = MediaType.WBXML
    client_size: int = 65_536
    server_size: int = 65_536
    object_size: int = 2**20
    faults: Iterator[str] = field(default_factory=lambda: iter(()))
    there: Callable[[Outgoing], Outgoing] = _whole
    back: Callable[[Outgoing], Outgoing] = _whole

    def __post_init__(self) -> None:
        self.now = NOW
        self.client = ClientSession(
            self.client_account,
            ClientConfig(
                DEVICE,
                SERVER,
                DEV_INFO,
                self.media,
                max_msg_size=self.client_size,
                max_obj_size=self.object_size,
            ),
            self.instead or self.gate,
            session_id=0x2A,
            nonces=nonces("s"),
        )
        self.server = ServerSession(
            self.server_account,
            ServerConfig(SERVER, max_msg_size=self.server_size, max_obj_size=self.object_size),
            nonces=nonces("c"),
            orders=self.orders,
        )
        self.requests: list[Outgoing] = []
        self.answers: list[Outgoing] = []
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []

    def run(self) -> None:
        """Let both talk until the session is over."""
        outgoing: Outgoing | None = self.client.start(self.now)
        while outgoing is not None:
            self._exchange(self.there(outgoing))
            outgoing = self.client.next_outgoing()
            while outgoing is None and not self.client.closed:
                timer = self.client.next_timer()
                assert timer is not None
                self.now = max(self.now, timer)
                self.client.handle_timer(self.now)
                outgoing = self.client.next_outgoing()
        self._collect()

    def _exchange(self, request: Outgoing) -> None:
        fault = next(self.faults, "")
        self.requests.append(request)
        if fault == "lost":
            return
        answer = self._serve(request)
        if fault == "twice":
            assert self._serve(request) == answer
        answer = self.back(answer)
        self.answers.append(answer)
        if fault == "unanswered":
            return
        for _ in range(2 if fault == "echo" else 1):
            self.client.receive(answer.body, answer.content_type, answer.hmac, self.now)
        self._collect()

    def _serve(self, request: Outgoing) -> Outgoing:
        answer = self.server.receive(request.body, request.content_type, request.hmac, self.now)
        self._collect()
        return answer

    def _collect(self) -> None:
        while (event := self.client.next_event()) is not None:
            self.client_events.append(event)
            if isinstance(event, NonceChanged):
                self.client_account = event.account
        while (event := self.server.next_event()) is not None:
            self.server_events.append(event)
            if isinstance(event, NonceChanged):
                self.server_account = event.account

    @property
    def done(self) -> dict[str, OrderDone]:
        """Every order's end."""
        return {event.id: event for event in self.server_events if isinstance(event, OrderDone)}

    @property
    def ends(self) -> tuple[SessionEnded, SessionEnded]:
        """How it ended at the client and at the server."""
        client, server = (
            [event for event in events if isinstance(event, SessionEnded)]
            for events in (self.client_events, self.server_events)
        )
        assert len(client) == 1
        assert len(server) == 1
        return client[0], server[0]


def order(
    name: str, kind: type[Add | Replace | Delete | Get], uri: str, data: str | bytes | None = None
) -> Order:
    """Return an order of one item, named as given."""
    meta = None if data is None else Meta(format="bin" if isinstance(data, bytes) else "chr")
    return Order(name, kind(0, (Item(Location(uri), meta=meta, data=data),)))


@dataclass
class Script:
    """One end by hand: what it sends is written down, what it is sent is decoded.

    Attributes:
        sender: the address of this end, and whom it writes to.
        cred: how it proves itself.
    """

    sender: tuple[str, str]
    cred: Cred | None = None
    chal: Chal | None = None
    status: int = Status.AUTHENTICATED
    session_id: str = "2A"
    msg_id: int = 0

    def message(
        self,
        *commands: Command,
        answers: int | None = None,
        final: bool = True,
        meta: Meta | None = None,
    ) -> bytes:
        """Return the next message; with ``answers``, a Status of the header of that message."""
        self.msg_id += 1
        source, target = self.sender
        header = Header(
            self.session_id,
            self.msg_id,
            Location(target),
            Location(source),
            cred=self.cred,
            meta=meta,
        )
        first: tuple[Command, ...] = ()
        if answers is not None:
            first = (StatusReport(900, answers, 0, "SyncHdr", self.status, chal=self.chal),)
        return encode_message(Message(header, (*first, *commands), final), MediaType.WBXML)


def scripted_server() -> Script:
    """Return a server by hand, of an account with basic authentication."""
    who = account(Scheme.BASIC)
    return Script(
        (SERVER, DEVICE), Cred(Meta(format="b64", type=AuthType.BASIC), basic(who.server))
    )


def scripted_client() -> Script:
    """Return a device by hand, of an account with basic authentication."""
    who = account(Scheme.BASIC)
    return Script(
        (DEVICE, SERVER), Cred(Meta(format="b64", type=AuthType.BASIC), basic(who.client))
    )


def read(outgoing: Outgoing | None) -> Message:
    """Return what a message says."""
    assert outgoing is not None
    return decode_message(outgoing.body, outgoing.content_type)


def statuses(message: Message) -> list[tuple[str, int]]:
    """Return command and status of every Status."""
    return [(c.cmd, c.data) for c in message.commands if isinstance(c, StatusReport)]


def client_of(
    gate: DictGate, who: Account | None = None, *, max_obj_size: int = 2**20
) -> ClientSession:
    """Return a client, as a rule with basic authentication."""
    return ClientSession(
        who or account(Scheme.BASIC),
        ClientConfig(DEVICE, SERVER, DEV_INFO, max_obj_size=max_obj_size),
        gate,
        session_id=0x2A,
        nonces=nonces("s"),
    )


def server_of(
    *orders: Order, who: Account | None = None, max_obj_size: int = 2**20
) -> ServerSession:
    """Return a server, as a rule with basic authentication."""
    return ServerSession(
        who or account(Scheme.BASIC),
        ServerConfig(SERVER, max_obj_size=max_obj_size),
        nonces=nonces("c"),
        orders=orders,
    )


def events(session: ClientSession | ServerSession) -> list[Event]:
    """Return all that has happened since the last time."""
    found = []
    while (event := session.next_event()) is not None:
        found.append(event)
    return found
