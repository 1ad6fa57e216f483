"""Mutated messages against everything that listens: it serves on, and no stranger changes anything.

Each message is given to a node, a master relay, a relay below one, and a client that waits. The
mutations are drawn from a seed, so that a failure can be had again; ``OPENAMI_FUZZ_PDUS=100000``
sends as many.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.c1222_device import KEY_ID, KEYS, METER, PASSWORD, START, USER, TableDevice
from tests.support.c1222_net import MASTER, NEAR, OFFICE, register, relay

from openami.c1222.apdu import Apdu, KeyUse, parts
from openami.c1222.client import Answered, Client, ClientConfig, Notified
from openami.c1222.codes import Qualifier, ResponseControl, SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.node import Node, NodeConfig
from openami.c1222.security import protect
from openami.c1222.segments import MAX_OCTETS, split
from openami.c1222.services import (
    Deregister,
    Disconnect,
    Done,
    Identify,
    Logoff,
    Logon,
    Read,
    ReadIndex,
    ReadOffset,
    Registered,
    Request,
    Resolve,
    Response,
    Security,
    TableData,
    Terminate,
    Trace,
    Wait,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.station import Peer
from openami.core.errors import DecodeError

if TYPE_CHECKING:
    from openami.c1222.network.relay import Relay
    from openami.c1222.titles import ApTitle

# What is looked for is what nobody thought of: the lines that it treads have tests of their own.
pytestmark = pytest.mark.no_cover

SEED: Final = 1222
MUTATIONS: Final = int(os.environ.get("OPENAMI_FUZZ_PDUS", "50000"))
EACH: Final = 500
"""Messages after which everything is asked whether it still serves."""
INTERESTING: Final = bytes.fromhex("00 01 02 06 0D 28 60 7F 80 81 82 84 8B A2 A3 A4 A6 A8 AC BE FF")
ALONE: Final = Security(PASSWORD, USER)
REQUESTS: Final[tuple[tuple[Request, ...], ...]] = (
    (Identify(),),
    (Read(1), Read(5)),
    (ReadOffset(64, 10, 200), ReadIndex(64, (1, 2), 3)),
    (ALONE, Write(5, b"x" * 40), WriteOffset(5, 2, b"yy"), WriteIndex(5, (1,), b"z")),
    (Logon.of(USER, b"reader", 60), Security(PASSWORD), Write(5, b"12"), Wait(9), Logoff()),
    (Logon.of(USER, b"reader", 60), Terminate(), Disconnect()),
    (register(),),
    (register(OFFICE), Deregister(METER)),
    (Deregister(METER),),
    (Resolve(METER), Trace((OFFICE, MASTER))),
    (Trace(()),),
)
RESPONSES: Final[tuple[Response, ...]] = (
    Done(),
    TableData(b"y" * 90),
    Registered(METER, 30, 3600),
)


def message(
    services: tuple[bytes, ...],
    titles: tuple[ApTitle, ApTitle],
    number: int,
    mode: SecurityMode,
    at: float = START,
    *,
    answers: int | None = None,
    qualifier: Qualifier = Qualifier(0),  # noqa: B008 - it is frozen
) -> bytes:
    key = KeyUse.at(KEY_ID, at) if mode else None
    respond = ResponseControl(number % 3)
    apdu = Apdu(number, *titles, answers, qualifier, key)
    return protect(apdu, Epsem(services, mode, respond, proxy=number % 5 == 0), KEYS)


def valid() -> list[bytes]:
    """Return messages of every service, in every mode, to and from everybody, and segments."""
    found = []
    pairs = [(METER, OFFICE), (MASTER, METER), (NEAR, METER), (OFFICE, METER)]
    for mode in SecurityMode:
        for number, requests in enumerate(REQUESTS):
            services = tuple(request.encode() for request in requests)
            found += [message(services, pair, number, mode) for pair in pairs]
        for number, response in enumerate(RESPONSES):
            octets = (response.encode(),)
            back = (OFFICE, METER)
            found.append(message(octets, back, 100 + number, mode, answers=number + 1))
            found.append(message(octets, (METER, MASTER), 200 + number, mode, answers=number))
            found.append(message(octets, back, 300, mode, qualifier=Qualifier.NOTIFICATION))
    return found + [piece for each in found[::9] for piece in split(each, 90) if len(each) > 90]


VALID: Final = valid()


def lie(octets: bytes, chance: random.Random) -> bytearray:
    """Change one of the lengths of a message's fields, or of the message."""
    out = bytearray(octets)
    heads = [1] + [part.content - 1 for part in parts(octets)]
    at = chance.choice(heads)
    out[at] = chance.choice((0, 1, out[at] - 1 & 0xFF, out[at] + 1 & 0xFF, 0x7F, 0x80, 0x82, 0xFF))
    return out


def retag(octets: bytes, chance: random.Random) -> bytearray:
    """Give one field another's tag."""
    out = bytearray(octets)
    out[chance.choice(parts(octets)).start] = chance.choice(INTERESTING)
    return out


def reorder(octets: bytes, chance: random.Random) -> bytearray:
    """Leave fields out, repeat them, or change their order."""
    fields = [octets[part.start : part.end] for part in parts(octets)]
    picked = chance.choices(fields, k=chance.randrange(1, len(fields) + 2))
    body = b"".join(picked)
    size = len(body)
    return bytearray(
        (b"\x60\x81" + bytes((size,)) if size < 256 else b"\x60\x82" + size.to_bytes(2)) + body
    )


def flip(octets: bytes, chance: random.Random) -> bytearray:
    """Flip bits."""
    out = bytearray(octets)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return out


def cut(octets: bytes, chance: random.Random) -> bytearray:
    """Take something out, or put something in."""
    out = bytearray(octets)
    at = chance.randrange(len(out))
    if chance.random() < 0.5:
        del out[at : at + chance.choice((1, 2, 4, len(out)))]
    else:
        out[at:at] = chance.choice((chance.randbytes(3), octets[: chance.randrange(40)]))
    if chance.random() < 0.5 and 2 < len(out) < 0x82:
        out[1] = len(out) - 2
    return out


def join(octets: bytes, chance: random.Random) -> bytearray:
    """Put two messages together: one after the other, or the head of one before the other's end."""
    other = chance.choice(VALID)
    if chance.random() < 0.3:
        return bytearray(octets + other)
    mine, its = parts(octets), parts(other)
    body = octets[mine[0].start : mine[-1].start] + other[its[-1].start :]
    size = len(body)
    return bytearray(
        (b"\x60\x81" + bytes((size,)) if size < 256 else b"\x60\x82" + size.to_bytes(2)) + body
    )


def replay(octets: bytes, _: random.Random) -> bytearray:
    """Change nothing: it came before."""
    return bytearray(octets)


MUTATORS: Final = (flip, flip, cut, join, lie, retag, reorder, replay)


def mutated(chance: random.Random) -> bytes:
    """Return a valid message that something was done to, mostly once."""
    octets = chance.choice(VALID)
    for _ in range(chance.choice((1, 1, 2))):
        try:
            octets = bytes(chance.choice(MUTATORS)(octets, chance)) or octets
        except (DecodeError, IndexError):  # it has no fields any more
            octets = bytes(flip(octets, chance))
    return octets


@dataclass
class Scene:
    """Everything that listens, in its own network."""

    now: float = START
    device: TableDevice = field(default_factory=TableDevice)

    def __post_init__(self) -> None:
        least = SecurityMode.AUTHENTICATED
        self.node = Node(NodeConfig(METER, KEYS, least), self.device, first_id=1)
        mode = SecurityMode.ENCRYPTED
        self.master: Relay = relay(MASTER, mode=mode)
        self.near: Relay = relay(NEAR, "parent", mode=mode)
        self.master.registrations.learn(
            register(), "home", title=METER, period=10**6, now=START, mode=mode
        )
        self.near.registrations.learn(
            register(), "home", title=METER, period=10**6, now=START, mode=mode
        )
        self.client = Client(
            ClientConfig(OFFICE, METER, KEYS, KEY_ID, mode, timeout=10**6), first_id=1
        )
        for _ in range(3):
            self.client.ask(Read(1), now=START)
        self.client.data_to_send()
        self.heard: list[object] = []
        self.number = 0x4000_0000

    def give(self, octets: bytes, source: object) -> None:
        """Give everybody a message."""
        self.now += 0.01  # what waits in relays, and the window of replays, go by, too
        self.node.receive(octets, source=source, now=self.now, largest=548)
        for each in (self.master, self.near):
            each.receive(octets, source=source, now=self.now, largest=548)
            each.outgoing()
        self.client.receive(octets, now=self.now)
        while self.node.next_event() is not None:
            """Each is told of."""
        for each in (self.master, self.near):
            while each.next_event() is not None:
                """Each is told of."""
        while (event := self.client.next_event()) is not None:
            if isinstance(event, Answered | Notified):
                self.heard.append(event)

    def state(self) -> object:
        """Return what only who has a key may change."""
        device = self.device
        tables = [each.registrations.snapshot() for each in (self.master, self.near)]
        routes = [each.registrations.route(METER) for each in (self.master, self.near)]
        return (
            *(dict(device.tables), len(device.served), device.connected),
            *(len(self.node.sessions), tables, routes, len(self.heard)),
        )

    def serves(self) -> bool:
        """Tell whether everybody still answers who has a key."""
        mode, called = SecurityMode.ENCRYPTED, (METER, MASTER, NEAR)
        answered = 0
        stations: tuple[Node | Relay, ...] = (self.node, self.master, self.near)
        for title, station in zip(called, stations, strict=True):
            self.number += 3  # an answer is always wanted
            self.number -= self.number % 3
            raw = message((Identify().encode(),), (title, OFFICE), self.number, mode, self.now)
            answered += bool(station.receive(raw, source="office", now=self.now))
        raw = message((Read(1).encode(),), (METER, OFFICE), self.number + 3, mode, self.now)
        self.master.receive(raw, source="office", now=self.now)
        passed = [out.to for out in self.master.outgoing()] == ["home"]
        return answered == 3 and passed

    def bounded(self) -> bool:
        """Tell whether strangers have filled nothing beyond its bounds."""
        return all(
            len(each._flights) <= each.config.limits.messages
            and each._flights.octets <= each.config.limits.octets
            and each._reassembler._octets <= MAX_OCTETS
            and len(each._events) <= 256
            for each in (self.master, self.near)
        )


def stranger(chance: random.Random) -> Peer:
    """Return somebody whom nobody has paused yet."""
    host = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}"
    kind = chance.choice(tuple(Transport))
    return Peer(
        NativeAddress.of(host, chance.randrange(1, 0x10000), kind), connection=kind is Transport.TCP
    )


def test_mutated_messages_change_nothing_and_stop_nobody() -> None:
    chance = random.Random(SEED)
    scene = Scene()
    for each in VALID:
        scene.give(each, "home")
    before = scene.state()
    known, kinds = set(VALID), Counter[str]()
    for number in range(MUTATIONS):
        octets = mutated(chance)
        kinds["known" if octets in known else "new"] += 1
        scene.give(octets, stranger(chance))
        if number % EACH == 0:
            assert scene.state() == before, (number, octets.hex())
            assert scene.serves(), number
            before = scene.state()
    assert scene.state() == before
    assert scene.serves()
    assert scene.bounded()
    assert kinds["known"] > MUTATIONS // 50
    assert kinds["new"] > MUTATIONS // 2
