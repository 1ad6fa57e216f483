from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from openami.dlms.link import (
    ApduReceived,
    LinkUp,
    Peer,
    PeerApduReceived,
    PeerConnected,
    PeerDisconnected,
)
from openami.dlms.wrapper import Packet, WrapperClientLink, WrapperParameters
from openami.transport.medium import LineProfile, Medium
from openami.transport.memory import MemoryLine, VirtualTime
from openami.transport.switchboard import Switchboard

if TYPE_CHECKING:
    from openami.dlms.link import Machine
    from openami.dlms.wrapper import WrapperServerLink

STATIONS = {17, 18}


class World:
    """A switchboard at one end, a client at the other, in virtual time."""

    def __init__(self, station: int = 17) -> None:
        self.time = VirtualTime(1000.0)
        self.links: dict[int, WrapperServerLink] = {}
        parameters = WrapperParameters(inactivity_timeout=60.0)
        self.board = Switchboard(self._open, parameters, now=self.time.now())
        line = MemoryLine(self.time, Medium(LineProfile(), random.Random(1)))
        self.link = WrapperClientLink(16, station)
        self.client = line.head(self.link)
        self.events: list[tuple[int, Any]] = []
        self.node = line.join(self.board, self._on_event)

    def _open(self, station: int, link: WrapperServerLink) -> Machine[Any] | None:
        if station not in STATIONS:
            return None
        self.links[station] = link
        return link

    def _on_event(self, event: tuple[int, Any]) -> None:
        self.events.append(event)
        station, what = event
        if isinstance(what, PeerApduReceived):
            answer = b"%d:" % station + what.apdu
            self.links[station].send(what.peer, answer, now=self.time.now())
            self.board._collect(station)

    def ask(self, question: bytes) -> Any:
        self.link.send(question, now=self.time.now())
        self.client.pump()
        self.time.run(until=lambda: self.client.events)
        return self.client.events.pop()

    def up(self) -> World:
        self.link.connect(now=self.time.now())
        self.client.pump()
        assert isinstance(self.client.events.pop(), LinkUp)
        return self


def test_the_destination_selects_the_meter() -> None:
    for station in STATIONS:
        world = World(station).up()
        assert world.ask(b"\xc0 hello") == ApduReceived(b"%d:\xc0 hello" % station)
        assert world.ask(b"\xc0 again") == ApduReceived(b"%d:\xc0 again" % station)
        peer = Peer(16, 1)
        assert world.events[:2] == [
            (station, PeerConnected(peer)),
            (station, PeerApduReceived(peer, b"\xc0 hello")),
        ]


def test_nobody_answers_where_there_is_no_meter() -> None:
    world = World(99).up()
    assert world.ask(b"\xc0 hello").code == "timeout"
    assert world.events == []


def test_several_meters_on_one_connection() -> None:
    world = World()
    for station in (17, 18, 17):
        world.node.take(Packet(1, station, b"\xc0").encode())
    heard = [station for station, event in world.events if isinstance(event, PeerApduReceived)]
    assert heard == [17, 18, 17]


def test_silence_ends_the_connection() -> None:
    world = World().up()
    world.ask(b"\xc0")
    assert world.board.next_timer() == 1060.0
    world.time.run()
    assert world.time.now() == 1060.0
    assert world.board.finished
    assert world.events[-1] == (17, PeerDisconnected(Peer(16, 1), "inactivity"))
    assert world.board.next_timer() is None


def test_a_broken_stream_ends_the_connection_and_its_associations() -> None:
    world = World().up()
    world.ask(b"\xc0")
    world.node.take(b"GET / HTTP/1.1\r\n\r\n")
    assert world.board.finished
    assert world.events[-1] == (17, PeerDisconnected(Peer(16, 1), "closed"))
    world.node.take(Packet(1, 17, b"\xc0").encode())
    world.node.end()
    assert world.events[-1] == (17, PeerDisconnected(Peer(16, 1), "closed"))


def test_without_a_limit_silence_is_fine() -> None:
    board = Switchboard(lambda *_: None, WrapperParameters(inactivity_timeout=0), now=0.0)
    assert board.next_timer() is None
    board.handle_timer(now=1e9)
    assert not board.finished
