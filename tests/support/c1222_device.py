"""A device behind a C12.22 node, for tests: tables in a dict, and a little network."""

from __future__ import annotations

import hmac
from collections import deque
from typing import TYPE_CHECKING, Final

from openami.c1222.client import Client, ClientConfig, ClientEvent
from openami.c1222.codes import ResponseCode, SecurityMode, Standard
from openami.c1222.node import Caller, Node, NodeConfig, NodeEvent
from openami.c1222.security import Keys
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Disconnect,
    Done,
    Failure,
    Features,
    Identified,
    Read,
    ReadOffset,
    Register,
    Registered,
    Request,
    Resolve,
    Resolved,
    Response,
    TableData,
    Trace,
    Traced,
    Write,
)
from openami.c1222.titles import ApTitle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The titles of the paper's test.
METER: Final = ApTitle.parse(".123.8437")
SERVER: Final = ApTitle.parse(".123.4")
KEY_ID: Final = 2
KEYS: Final = Keys({KEY_ID: bytes(range(16)), 3: bytes(16)})
START: Final = 1_774_742_400.0
USER: Final = 2
PASSWORD: Final = b"PASSWORD".ljust(20)


class TableDevice:
    """Reads whole tables and parts for everybody, writes for who has shown the password."""

    def __init__(self) -> None:
        self.tables = {1: b"OAMI    METER   ", 5: b"8437", 64: bytes(3000)}
        self.served: list[tuple[Request, Caller]] = []
        self.connected = True

    def identify(self) -> Identified:
        return Identified(Standard.C12_22, 1, 0, Features(sessions=4, sessionless=True))

    def authorizes(self, user_id: int, password: bytes) -> bool:
        return user_id == USER and hmac.compare_digest(password, PASSWORD)

    def serve(self, request: Request, caller: Caller, *, now: float) -> Response:
        self.served.append((request, caller))
        handler = _HANDLERS.get(type(request))
        return Failure(ResponseCode.SNS) if handler is None else handler(self, request, caller)

    def read(self, request: Read, _: Caller) -> Response:
        data = self.tables.get(request.table)
        return Failure(ResponseCode.ONP) if data is None else TableData(data)

    def read_offset(self, request: ReadOffset, _: Caller) -> Response:
        data = self.tables.get(request.table, b"")
        return TableData(data[request.offset : request.offset + request.count])

    def write(self, request: Write, caller: Caller) -> Response:
        if not caller.authorized:
            return Failure(ResponseCode.ISC)
        self.tables[request.table] = request.data
        return Done()

    def disconnect(self, _: Disconnect, __: Caller) -> Response:
        self.connected = False
        return Done()

    def register(self, request: Register, _: Caller) -> Response:
        return Registered(request.title, 30, request.period)

    def deregister(self, request: Deregister, _: Caller) -> Response:
        return Deregistered(request.title)

    def resolve(self, _: Resolve, __: Caller) -> Response:
        return Resolved(bytes.fromhex("c0a801640481"))

    def trace(self, request: Trace, _: Caller) -> Response:
        return Traced(request.titles)


_HANDLERS: Final[Mapping[type[Request], Callable[..., Response]]] = {
    Read: TableDevice.read,
    ReadOffset: TableDevice.read_offset,
    Write: TableDevice.write,
    Disconnect: TableDevice.disconnect,
    Register: TableDevice.register,
    Deregister: TableDevice.deregister,
    Resolve: TableDevice.resolve,
    Trace: TableDevice.trace,
}


class Pair:
    """A client and a node, back to back in a time of their own."""

    def __init__(
        self,
        mode: SecurityMode = SecurityMode.CLEAR,
        *,
        least: SecurityMode = SecurityMode.CLEAR,
        largest: int | None = None,
        sessions: int = 4,
    ) -> None:
        self.now = START
        self.device = TableDevice()
        self.node = Node(NodeConfig(METER, KEYS, least, sessions), self.device, first_id=1000)
        config = ClientConfig(SERVER, METER, KEYS, KEY_ID, mode, largest=largest)
        self.client = Client(config, first_id=1)
        self.largest = largest
        self.sent: list[bytes] = []
        self.answers: list[bytes] = []

    def carry(self) -> None:
        """Bring what was sent over, and the answers back."""
        waiting = deque(self.client.data_to_send())
        while waiting:
            message = waiting.popleft()
            self.sent.append(message)
            for answer in self.to_node(message):
                self.client.receive(answer, now=self.now)

    def to_node(self, message: bytes) -> tuple[bytes, ...]:
        """Give the node a message; return its answer."""
        found = self.node.receive(message, source="client", now=self.now, largest=self.largest)
        self.answers += found
        return found

    def events(self) -> list[ClientEvent]:
        """Return all that the client tells."""
        return list(iter(self.client.next_event, None))

    def node_events(self) -> list[NodeEvent]:
        """Return all that the node tells."""
        return list(iter(self.node.next_event, None))

    def ask(self, *requests: Request) -> tuple[Response, ...]:
        """Return the answers to one message."""
        self.client.ask(*requests, now=self.now)
        self.carry()
        (event,) = self.events()
        return event.responses  # type: ignore[union-attr]  # another event fails the test
