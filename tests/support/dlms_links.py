"""Links without any framing, for talking to a client or a server in APDUs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tests.support.dlms_meter import octets_of

from openami.dlms.apdu import decode_apdu
from openami.dlms.link import (
    ApduReceived,
    LinkDown,
    LinkEvent,
    LinkUp,
    Peer,
    PeerApduReceived,
    PeerConnected,
    PeerDisconnected,
    ServerLinkEvent,
)
from openami.dlms.server import DlmsServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.apdu import Apdu
    from openami.dlms.server import LogicalDevice, ServerEvent
    from openami.dlms.server.throttle import Throttle


class _Quiet:
    """What links without octets and timers have in common."""

    def receive_data(self, data: bytes, *, now: float) -> None:
        raise AssertionError("no octets come here")

    def data_to_send(self) -> tuple[bytes, ...]:
        return ()

    def next_timer(self) -> float | None:
        return None

    def handle_timer(self, *, now: float) -> None:
        """There is none."""


class DirectServerLink(_Quiet):
    """Takes events that a test puts in, and keeps what the server sends."""

    def __init__(self) -> None:
        self.events: deque[ServerLinkEvent] = deque()
        self.sent: list[tuple[Peer, bytes]] = []

    def next_event(self) -> ServerLinkEvent | None:
        return self.events.popleft() if self.events else None

    def receive_eof(self, *, now: float) -> None:
        """Nothing is open."""

    def send(self, peer: Peer, apdu: bytes, *, now: float) -> None:
        self.sent.append((peer, apdu))


class Desk:
    """A server that is asked in APDUs."""

    def __init__(
        self, *devices: LogicalDevice, throttle: Throttle | None = None, client: int = 16
    ) -> None:
        self.link = DirectServerLink()
        self.server = DlmsServer(devices, self.link, random_octets=octets_of(1), throttle=throttle)
        self.peer = Peer(client, devices[0].sap)
        self.now = 0.0

    def put(self, event: ServerLinkEvent) -> None:
        self.link.events.append(event)
        self.server.handle_timer(now=self.now)

    def ask_octets(self, octets: bytes, *, broadcast: bool = False) -> bytes:
        """Return the octets of the answer, none if there is no answer."""
        self.link.sent.clear()
        self.put(PeerApduReceived(self.peer, octets, broadcast=broadcast))
        assert len(self.link.sent) <= 1
        return self.link.sent[0][1] if self.link.sent else b""

    def ask(self, apdu: Apdu) -> Apdu | None:
        answer = self.ask_octets(apdu.encode())
        return decode_apdu(answer) if answer else None

    def connect(self) -> None:
        self.put(PeerConnected(self.peer))

    def disconnect(self, code: str = "disconnected") -> None:
        self.put(PeerDisconnected(self.peer, code))

    def events(self) -> list[ServerEvent]:
        found = []
        while (event := self.server.next_event()) is not None:
            found.append(event)
        return found


class ScriptedLink(_Quiet):
    """A meter that answers as a function says; None: not at all; "down": hangs up."""

    def __init__(self, answer: Callable[[bytes], bytes | str | None], *, limit: int = 0) -> None:
        self.answer = answer
        self.limit = limit
        self.events: deque[LinkEvent] = deque()
        self.sent: list[bytes] = []
        self.disconnected = 0

    def connect(self, *, now: float) -> None:
        self.events.append(LinkUp(self.limit))

    def send(self, apdu: bytes, *, now: float) -> None:
        self.sent.append(apdu)
        answer = self.answer(apdu)
        if isinstance(answer, bytes):
            self.events.append(ApduReceived(answer))
        elif answer is not None:
            self.events.append(LinkDown(answer, "it hung up"))

    def disconnect(self, *, now: float) -> None:
        self.disconnected += 1
        self.events.append(LinkDown("disconnected"))

    def receive_eof(self, *, now: float) -> None:
        self.events.append(LinkDown("closed"))

    def next_event(self) -> LinkEvent | None:
        return self.events.popleft() if self.events else None
