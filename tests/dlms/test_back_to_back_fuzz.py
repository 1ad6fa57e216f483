"""Mutated APDUs in both directions: a server goes on serving, a client closes or answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.support.dlms_links import DirectServerLink, ScriptedLink
from tests.support.dlms_meter import (
    ENERGY,
    NAME,
    NOTE,
    PROFILE,
    Meter,
    config_of,
    make_meter,
    octets_of,
)

from openami.dlms import data as d
from openami.dlms.apdu import decode_apdu
from openami.dlms.apdu.get import GetRequestNormal, GetResponseNormal
from openami.dlms.client import (
    Answered,
    Closed,
    DlmsClient,
    Failed,
    GetAttribute,
    GetList,
    InvokeMethod,
    SetAttribute,
)
from openami.dlms.link import Peer, PeerApduReceived
from openami.dlms.references import EntrySelection, MethodRef
from openami.dlms.server import AttributeWritten, DlmsServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.dlms.client import Request

ROUNDS = 1500
SHIFT = MethodRef(8, PROFILE.obis.__class__.parse("0.0.1.0.0.255"), 6)
REQUESTS: tuple[Request, ...] = (
    GetAttribute(ENERGY),
    GetAttribute(PROFILE),
    GetAttribute(PROFILE, EntrySelection(2, 9)),
    GetList.of(NAME, ENERGY, PROFILE),
    SetAttribute(NOTE, d.octets(bytes(500))),
    InvokeMethod(SHIFT, d.i16(1)),
)


def mutate(octets: bytes, change: random.Random) -> bytes:
    """Change an APDU in one of the ways that lines and attackers have."""
    data = bytearray(octets)
    for _ in range(change.choice((1, 1, 1, 2, 5))):
        at = change.randrange(len(data)) if data else 0
        match change.randrange(6):
            case 0 if data:
                data[at] ^= 1 << change.randrange(8)
            case 1 if data:
                data[at] = change.randrange(256)
            case 2:
                del data[at:]
            case 3:
                data[at:at] = change.randbytes(change.randrange(1, 6))
            case 4 if data:
                del data[at : at + change.randrange(1, 6)]
            case _:
                data += change.randbytes(3)
    return bytes(data)


class Talk:
    """A client and a server that exchange APDUs, one of which may be changed on its way."""

    def __init__(self, meter: Meter, name: str, counter: int) -> None:
        sap, config = config_of(name, invocation_counter=counter, max_pdu=220)
        self.peer = Peer(sap, 1)
        self.server_link = DirectServerLink()
        self.server = DlmsServer(meter.device, self.server_link, random_octets=octets_of(1))
        self.client = DlmsClient(ScriptedLink(self.carry), config, random_octets=octets_of(2))
        self.tamper: Callable[[str, bytes], bytes] = lambda _, octets: octets

    def carry(self, request: bytes) -> bytes | str:
        self.server_link.sent.clear()
        apdu = self.tamper("request", request)
        self.server_link.events.append(PeerApduReceived(self.peer, apdu))
        self.server.handle_timer(now=0)
        if not self.server_link.sent:
            return "timeout"
        return self.tamper("answer", self.server_link.sent[0][1])

    def run(self, request: Request) -> object:
        """Open, ask and close; return the last event before the end."""
        self.client.open(now=0)
        if self.client.ready:
            self.client.request(request, now=0)
        if not self.client.ready:  # an answer that became a notification is none
            self.client.handle_timer(now=1000)
        last: object = None
        while (event := self.client.next_event()) is not None:
            last = event
        self.client.close(now=1000)
        self.client.handle_timer(now=2000)
        assert self.client.state.name == "CLOSED"
        return last


def still_serves(meter: Meter, server: DlmsServer, link: DirectServerLink) -> bool:
    link.sent.clear()
    peer = Peer(16, 1)
    aarq = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001E1DFFFF")
    request = GetRequestNormal(0xC1, NAME)
    for octets in (aarq, request.encode()):
        link.events.append(PeerApduReceived(peer, octets))
    server.handle_timer(now=0)
    assert decode_apdu(link.sent[1][1]) == GetResponseNormal(0xC1, d.octets(b"OAM0000000000001"))
    return bool(meter.device)


@pytest.mark.parametrize("name", ["lls", "hls", "hls-both"])
@pytest.mark.parametrize("side", ["request", "answer"])
def test_mutated_sessions(name: str, side: str) -> None:
    change = random.Random(f"{name} {side}")
    meter = make_meter(rows=12, policy=3 if name == "hls-both" else 0)
    written = 0
    counter = 0
    for _ in range(ROUNDS):
        talk = Talk(meter, name, counter)
        seen = 0
        turn = change.randrange(1, 6)

        def tamper(way: str, octets: bytes, turn: int = turn) -> bytes:
            nonlocal seen
            if way != side:
                return octets
            seen += 1
            return mutate(octets, change) if seen == turn else octets

        talk.tamper = tamper
        last = talk.run(change.choice(REQUESTS))
        assert isinstance(last, Answered | Failed | Closed), last
        counter = max(talk.client.invocation_counter, meter.security.counters.last) + 1
        while (event := talk.server.next_event()) is not None:
            written += isinstance(event, AttributeWritten) and event.value != d.octets(bytes(500))
        assert still_serves(meter, talk.server, talk.server_link)
    if name == "hls-both":
        assert written == 0, "nothing but what the client sent was ever written"


def test_octets_of_chance() -> None:
    change = random.Random(3)
    meter = make_meter(rows=4)
    link = DirectServerLink()
    server = DlmsServer(meter.device, link, random_octets=octets_of(1))
    tags = [0x60, 0x62, 0xC0, 0xC1, 0xC3, 0xC8, 0xD0, 0xD8, 0xDB, 0xDC, 0xE0, 0x01, 0x21]
    for _ in range(4000):
        octets = bytes((change.choice(tags),)) + change.randbytes(change.randrange(40))
        link.events.append(PeerApduReceived(Peer(change.choice((1, 2, 3, 16, 99)), 1), octets))
        server.handle_timer(now=0)
    assert still_serves(meter, server, link)


@pytest.mark.parametrize("name", ["lls", "hls-both"])
def test_answers_of_chance(name: str) -> None:
    change = random.Random(4)
    tags = [0x61, 0x63, 0xC4, 0xC5, 0xC7, 0xCC, 0xD4, 0xD8, 0xDB, 0x0E, 0x28]
    for _ in range(1500):
        link = ScriptedLink(
            lambda _: bytes((change.choice(tags),)) + change.randbytes(change.randrange(60))
        )
        client = DlmsClient(link, config_of(name)[1], random_octets=octets_of(2))
        client.open(now=0)
        assert isinstance(client.next_event(), Closed)
