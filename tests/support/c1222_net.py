"""A little network in memory: stations that are neighbours, and links that lose, repeat, disorder.

A station calls its neighbours by their names here: these are its sources and its next hops.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from tests.support.c1222_device import KEY_ID, KEYS, METER, START, TableDevice

from openami.c1222.client import Answered, Client, ClientConfig, ClientEvent
from openami.c1222.codes import Connection, NodeType, SecurityMode
from openami.c1222.network.policy import KeyPolicy
from openami.c1222.network.relay import Relay
from openami.c1222.network.relay_config import Above, RelayConfig, RelayEvent
from openami.c1222.node import Node, NodeConfig
from openami.c1222.node.registering import RegisteringConfig
from openami.c1222.segments import split
from openami.c1222.services import Register
from openami.c1222.station import Outgoing
from openami.c1222.titles import ApTitle

if TYPE_CHECKING:
    import random
    from collections.abc import Hashable

    from openami.c1222.services import Request, Response
    from openami.c1222.station import Station

MASTER: Final = ApTitle.parse(".123.1")
MIDDLE: Final = ApTitle.parse(".123.2")
NEAR: Final = ApTitle.parse(".123.3")
OFFICE: Final = ApTitle.parse(".123.9")
SERIAL: Final = ApTitle.parse("1.3.6.1.4.1.99.8437")


class Asker:
    """A client as a station: it asks through one neighbour."""

    def __init__(self, client: Client, neighbour: str) -> None:
        self.client = client
        self.neighbour = neighbour

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        del source, largest
        self.client.receive(data, now=now)
        return ()

    def outgoing(self) -> tuple[Outgoing, ...]:
        return tuple(Outgoing(self.neighbour, each) for each in self.client.data_to_send())

    def next_timer(self) -> float | None:
        return self.client.next_timer()

    def handle_timer(self, *, now: float) -> None:
        self.client.handle_timer(now=now)


class Meter(Asker):
    """A node that asks, too: to register."""

    def __init__(self, node: Node, client: Client, neighbour: str) -> None:
        super().__init__(client, neighbour)
        self.node = node

    def receive(
        self, data: bytes, *, source: Hashable, now: float, largest: int | None = None
    ) -> tuple[bytes, ...]:
        self.client.receive(data, now=now)
        return self.node.receive(data, source=source, now=now, largest=largest)


class Net:
    """Stations by their names, and what is on its way between them.

    Args:
        chance: decides what is lost, comes twice, or overtakes; nothing is, if not given.
        loss: how much is lost, 0 to 1.
    """

    def __init__(self, chance: random.Random | None = None, loss: float = 0.2) -> None:
        self.now = START
        self.stations: dict[str, Station] = {}
        self.largest: dict[frozenset[str], int] = {}
        self.carried: list[tuple[str, str, bytes]] = []
        self._chance = chance
        self._loss = loss
        self._under_way: deque[tuple[str, str, bytes]] = deque()

    def send(self, sender: str, to: str, message: bytes) -> None:
        """Put a message on the link between two neighbours, in segments where that wants them."""
        largest = self.largest.get(frozenset((sender, to)))
        pieces = (message,) if largest is None else split(message, largest)
        for each in pieces:
            if self._chance is not None and self._chance.random() < self._loss:
                continue
            self._under_way.append((sender, to, each))
            if self._chance is not None and self._chance.random() < self._loss:
                self._under_way.append((sender, to, each))

    def carry(self, most: int = 10_000) -> None:
        """Bring everything where it is to go."""
        for _ in range(most):
            for name, station in self.stations.items():
                for out in station.outgoing():
                    self.send(name, str(out.to), out.message)
            if not self._under_way:
                return
            if self._chance is not None:
                self._under_way.rotate(self._chance.randrange(len(self._under_way)))
            sender, to, message = self._under_way.popleft()
            self.carried.append((sender, to, message))
            if to in self.stations:
                largest = self.largest.get(frozenset((sender, to)))
                for reply in self.stations[to].receive(
                    message, source=sender, now=self.now, largest=largest
                ):
                    self.send(to, sender, reply)
        raise AssertionError("messages run in circles")

    def wait(self, seconds: float) -> None:
        """Let time go by, step by step, and carry what comes of it."""
        end = self.now + seconds
        self.carry()
        while (
            due := min((t for s in self.stations.values() if (t := s.next_timer())), default=end)
        ) <= end:
            self.now = max(self.now, due)
            for station in self.stations.values():
                station.handle_timer(now=self.now)
            self.carry()
        self.now = end


def relay(title: ApTitle, parent: str | None = None, *, mode: SecurityMode, **config: Any) -> Relay:
    """Return a relay; one without a parent is the master of all others."""
    above = None
    if parent is not None:
        own = RegisteringConfig(
            *(title, MASTER, title),
            node_type=NodeType.RELAY,
            period=600,
            keys=KEYS,
            key_id=KEY_ID,
            mode=mode,
        )
        above = Above(parent, own)
    ids = count(0x1000)
    wanted = RelayConfig(title, KEYS, master=parent is None, above=above, **config)
    policy = KeyPolicy(title, mode) if parent is None else None
    return Relay(wanted, chance=lambda: 0.5, ids=lambda: next(ids), policy=policy)


class Chain(Net):
    """office — master — middle — near — meter; between middle and near little fits in a message."""

    def __init__(
        self,
        mode: SecurityMode = SecurityMode.ENCRYPTED,
        *,
        chance: random.Random | None = None,
        largest: int = 200,
    ) -> None:
        super().__init__(chance)
        self.mode = mode
        self.device = TableDevice()
        self.device.tables[64] = bytes(range(250)) * 12
        self.relays = {
            "master": relay(MASTER, mode=mode),
            "middle": relay(MIDDLE, "master", mode=mode),
            "near": relay(NEAR, "middle", mode=mode),
        }
        self.largest[frozenset(("middle", "near"))] = largest
        self.meter = self.asker(METER, MASTER, first_id=0x5000)
        node = Node(NodeConfig(METER, KEYS, mode), self.device, first_id=0x6000)
        self.office = self.asker(OFFICE, METER, first_id=0x7000)
        self.stations |= {
            **self.relays,
            "meter": Meter(node, self.meter, "near"),
            "office": Asker(self.office, "master"),
        }

    def asker(self, title: ApTitle, node: ApTitle, *, first_id: int) -> Client:
        """Return a client of the chain's mode."""
        config = ClientConfig(title, node, KEYS, KEY_ID, self.mode, timeout=5, retries=3)
        return Client(config, first_id=first_id)

    def open(self) -> None:
        """Let all relays register, and the meter."""
        for each in self.relays.values():
            each.start(now=self.now)
            self.carry()
        self.ask(self.meter, register())

    def ask(self, client: Client, *requests: Request) -> tuple[Response, ...]:
        """Return what a client is answered."""
        number = client.ask(*requests, now=self.now)
        self.wait(40)
        (event,) = [each for each in events(client) if isinstance(each, Answered)]
        assert event.invocation_id == number
        return event.responses


def register(title: ApTitle = METER, period: int = 3600, **changes: Any) -> Register:
    """Return the request of a node that wants to be registered."""
    values: dict[str, Any] = {
        "node_type": NodeType.END_DEVICE,
        "connection": Connection(0x50),
        "device_class": b"OAMI",
        "title": title,
        "serial": SERIAL,
        "native": b"",
        "period": period,
    }
    return Register(**(values | changes))


def events(client: Client) -> list[ClientEvent]:
    """Return all that a client tells."""
    return list(iter(client.next_event, None))


def told(station: Relay) -> list[RelayEvent]:
    """Return all that a relay tells."""
    return list(iter(station.next_event, None))
