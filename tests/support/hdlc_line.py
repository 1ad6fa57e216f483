"""An HDLC client and its stations on a line with faults, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from openami.dlms.link import (
    ApduReceived,
    LinkDown,
    LinkUp,
    PeerApduReceived,
    PeerDisconnected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from openami.dlms.hdlc import HdlcClientLink, HdlcServerLink
    from openami.dlms.link import LinkEvent, Peer, ServerLinkEvent

STEPS = 20_000


class Kind(Enum):
    PASS = "pass"
    DROP = "drop"
    TWICE = "twice"
    FLIP = "flip"
    CUT = "cut"
    NOISE = "noise"
    SPLIT = "split"


@dataclass(frozen=True)
class Fault:
    kind: Kind
    at: int = 0
    noise: bytes = b""

    def apply(self, piece: bytes) -> list[bytes]:
        at = self.at % len(piece)
        flipped = piece[:at] + bytes((piece[at] ^ (self.at % 255 + 1),)) + piece[at + 1 :]
        return {
            Kind.PASS: [piece],
            Kind.DROP: [],
            Kind.TWICE: [piece, piece],
            Kind.FLIP: [flipped],
            Kind.CUT: [piece[:at]],
            Kind.NOISE: [self.noise, piece],
            Kind.SPLIT: [piece[:at], piece[at:]],
        }[self.kind]


@dataclass
class Application:
    """Answers what a station receives, late as told; forgets a client whose link is gone."""

    answer: Callable[[bytes], bytes]
    delays: list[float] = field(default_factory=list)
    due: list[tuple[float, Peer, bytes]] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    events: list[ServerLinkEvent] = field(default_factory=list)

    def take(self, event: ServerLinkEvent, now: float) -> None:
        self.events.append(event)
        if isinstance(event, PeerDisconnected):
            self.due = [entry for entry in self.due if entry[1] != event.peer]
        elif isinstance(event, PeerApduReceived):
            self.received.append(event.apdu)
            if not event.broadcast:
                delay = self.delays.pop(0) if self.delays else 0.0
                self.due.append((now + delay, event.peer, self.answer(event.apdu)))


class Line:
    """Everybody hears everything; each piece meets the next fault of the script."""

    def __init__(
        self,
        client: HdlcClientLink,
        stations: Sequence[HdlcServerLink],
        *,
        answer: Callable[[bytes], bytes] = lambda apdu: apdu[::-1],
        faults: Iterable[Fault] = (),
        delays: Iterable[float] = (),
    ) -> None:
        self.now = 0.0
        self.client = client
        self.stations = stations
        self.applications = [Application(answer, list(delays)) for _ in stations]
        self.events: list[LinkEvent] = []
        self.wire: list[bytes] = []
        self._faults = iter(faults)
        self._machines: tuple[HdlcClientLink | HdlcServerLink, ...] = (client, *stations)

    @property
    def application(self) -> Application:
        return self.applications[0]

    def _carry(self, pieces: Iterable[bytes]) -> list[bytes]:
        out = []
        for piece in pieces:
            self.wire.append(piece)
            out += next(self._faults, Fault(Kind.PASS)).apply(piece)
        return out

    def _exchange(self) -> bool:
        """Carry what anybody has to say; return whether anybody had."""
        busy = False
        for piece in self._carry(self.client.data_to_send()):
            busy = True
            for station in self.stations:
                station.receive_data(piece, now=self.now)
        for station, application in zip(self.stations, self.applications, strict=True):
            while (event := station.next_event()) is not None:
                application.take(event, self.now)
            for entry in [entry for entry in application.due if entry[0] <= self.now]:
                application.due.remove(entry)
                station.send(entry[1], entry[2], now=self.now)
            for piece in self._carry(station.data_to_send()):
                busy = True
                self.client.receive_data(piece, now=self.now)
        while (client_event := self.client.next_event()) is not None:
            self.events.append(client_event)
        return busy

    def _wait(self) -> bool:
        """Let the time pass until something is due; False if nothing ever will be."""
        due = [entry[0] for application in self.applications for entry in application.due]
        timers = [machine.next_timer() for machine in self._machines]
        due += [timer for timer in timers if timer is not None]
        if not due:
            return False
        self.now = max(self.now, min(due))
        for machine in self._machines:
            machine.handle_timer(now=self.now)
        return True

    def until(self, *, wanted: Callable[[], bool]) -> None:
        """Run until ``wanted``; fail if it never comes."""
        for _ in range(STEPS):
            self._exchange()
            if wanted():
                return
            if not self._exchange() and not wanted():
                assert self._wait(), "nothing will ever happen again"
        raise AssertionError("no end")

    def next_event(self) -> LinkEvent:
        self.until(wanted=lambda: bool(self.events))
        return self.events.pop(0)

    def connect(self) -> LinkEvent:
        self.client.connect(now=self.now)
        return self.next_event()

    def ask(self, apdu: bytes) -> LinkEvent:
        self.client.send(apdu, now=self.now)
        return self.next_event()


__all__ = ["ApduReceived", "Application", "Fault", "Kind", "Line", "LinkDown", "LinkUp"]
