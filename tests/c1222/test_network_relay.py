"""Relays in a row: what they pass on, what they learn, and what they tell whom they cannot serve."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1222_device import KEY_ID, KEYS, METER, START
from tests.support.c1222_net import (
    MASTER,
    MIDDLE,
    NEAR,
    OFFICE,
    Asker,
    Chain,
    Net,
    events,
    register,
    relay,
    told,
)

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.client import Answered, AnswerRefused, Client, ClientConfig, Unanswered
from openami.c1222.codes import Qualifier, ResponseCode, ResponseControl, SecurityMode
from openami.c1222.epsem import Epsem
from openami.c1222.limits import MAX_APDU
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.network import host_events as hosts
from openami.c1222.network.flights import MAX_PASSES, Limits
from openami.c1222.network.host import Host, HostConfig, Partner
from openami.c1222.network.policy import KeyPolicy
from openami.c1222.network.registrations import Registrations
from openami.c1222.network.relay import Relay
from openami.c1222.network.relay_config import MessageDropped, RelayConfig, RouteLearned, RouteLost
from openami.c1222.node.registering import Joined
from openami.c1222.security import protect
from openami.c1222.segments import split
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Failure,
    Identified,
    Identify,
    Logon,
    Read,
    ReadOffset,
    Registered,
    Resolve,
    Resolved,
    TableData,
    Trace,
    Traced,
    Write,
)
from openami.c1222.station import Peer
from openami.c1222.titles import ApTitle

if TYPE_CHECKING:
    import random

    from openami.c1222.services import Request, Response

MODES: Final = pytest.mark.parametrize("mode", SecurityMode)
WHOLE: Final = bytes(range(250)) * 12
STRANGER: Final = ApTitle.parse(".123.666")
NOWHERE: Final = ApTitle.parse(".77.1")
HOME: Final = bytes.fromhex("c0a801640481")


def code(response: Response) -> ResponseCode:
    assert isinstance(response, Failure)
    return response.code


def drops(station: Relay) -> list[str]:
    return [each.code for each in told(station) if isinstance(each, MessageDropped)]


def sealed(
    *requests: Request,
    calling: ApTitle = METER,
    called: ApTitle = MASTER,
    number: int = 1,
    mode: SecurityMode = SecurityMode.ENCRYPTED,
    at: float = START,
    **epsem: Any,
) -> bytes:
    key = KeyUse.at(KEY_ID, at) if mode else None
    services = tuple(request.encode() for request in requests)
    return protect(Apdu(number, called, calling, key=key), Epsem(services, mode, **epsem), KEYS)


# -- a chain of three ------------------------------------------------------------------------------


@MODES
def test_a_chain_of_three(mode: SecurityMode) -> None:
    """Register, read what fits into no message of one link, deregister."""
    chain = Chain(mode)
    chain.open()
    for name, way in (("near", "meter"), ("middle", "near"), ("master", "middle")):
        assert chain.relays[name].registrations.route(METER) == way
        assert RouteLearned(METER, way) in told(chain.relays[name])
    assert chain.ask(chain.office, Read(64)) == (TableData(WHOLE),)
    between = {m for a, b, m in chain.carried if (a, b) == ("near", "middle")}
    above = {m for a, b, m in chain.carried if (a, b) == ("middle", "master")}
    assert max(map(len, between)) <= 200
    assert sum(len(m) > 150 for m in between & above) > 15  # what fits is passed on as it is
    assert chain.ask(chain.office, Write(64, bytes(900)))  # and long requests go the other way
    assert chain.ask(chain.meter, Deregister(METER)) == (Deregistered(METER),)
    assert chain.relays["master"].registrations.route(METER) is None
    if mode is not SecurityMode.ENCRYPTED:  # else only the two ends know what was said
        assert all(RouteLost(METER) in told(each) for each in chain.relays.values())
        assert chain.relays["near"].registrations.route(METER) is None


@MODES
def test_resolve(mode: SecurityMode) -> None:
    """Whoever does not know asks above; what nobody knows is no title."""
    chain = Chain(mode)
    chain.open()
    chain.ask(chain.meter, register(native=HOME))
    other = chain.asker(STRANGER, NEAR, first_id=0x8000)
    chain.stations["other"] = Asker(other, "near")
    chain.ask(chain.meter, register(OFFICE, native=HOME))
    asked = len(chain.carried)
    if mode is not SecurityMode.ENCRYPTED:
        assert chain.ask(other, Resolve(METER)) == (Resolved(HOME),)
        assert len(chain.carried) == asked + 2  # the nearest one has read it
    chain.relays["near"].registrations.deregister(METER)
    chain.relays["near"].registrations.deregister(METER)
    assert chain.ask(other, Resolve(METER)) == (Resolved(HOME),)
    assert len(chain.carried) >= asked + 6
    assert code(chain.ask(other, Resolve(NOWHERE))[0]) is ResponseCode.UAT


def test_trace_tells_the_way() -> None:
    chain = Chain(SecurityMode.CLEAR)
    chain.open()
    assert chain.ask(chain.office, Trace(())) == (Traced((MASTER, MIDDLE, NEAR)),)
    assert chain.ask(chain.meter, Trace(())) == (Traced((NEAR, MIDDLE, MASTER)),)
    first = ApTitle.parse(".123.5")
    (answer,) = chain.ask(chain.office, Trace((first,)))
    assert answer == Traced((first, MASTER, MIDDLE, NEAR))


def test_a_trace_that_fails_tells_how_far_it_came() -> None:
    chain = Chain(SecurityMode.CLEAR)
    chain.open()
    lost = chain.asker(OFFICE, METER, first_id=0x9000)
    chain.stations["office"] = Asker(lost, "master")
    chain.relays["near"].registrations.deregister(METER)
    assert chain.ask(lost, Trace(())) == (Failure(ResponseCode.UAT, titles=(MASTER, MIDDLE, NEAR)),)
    again = Trace((MIDDLE,))  # it has been there
    assert chain.ask(lost, again) == (Failure(ResponseCode.NETR, titles=(MIDDLE, MASTER, MIDDLE)),)
    far = Trace((NOWHERE,) * 63)
    answer = chain.ask(lost, far)[0]
    assert isinstance(answer, Failure)
    assert (answer.code, len(answer.titles)) == (ResponseCode.NETR, 64)


def test_a_trace_without_room_for_another_title_stays_as_it_is() -> None:
    station = relay(MASTER, mode=SecurityMode.CLEAR, routes={METER: "meter"})
    sizes = (0xFFFE, 0xFFFE, 0xFFFE, 65_460)
    services = (Trace(()).encode(), *(Write(1, bytes(size)).encode() for size in sizes))
    raw = protect(Apdu(1, METER, OFFICE), Epsem(services))
    assert 0 <= MAX_APDU - len(raw) < 4
    station.receive(raw, source="x", now=START)
    assert [out.message for out in station.outgoing()] == [raw]


@pytest.mark.parametrize("mode", [SecurityMode.AUTHENTICATED, SecurityMode.ENCRYPTED])
def test_a_protected_trace_stays_as_it_is(mode: SecurityMode) -> None:
    chain = Chain(mode)
    chain.open()
    assert chain.ask(chain.office, Trace((OFFICE,))) == (Traced((OFFICE,)),)


@MODES
def test_what_a_relay_answers_itself(mode: SecurityMode) -> None:
    chain = Chain(mode)
    chain.open()
    client = chain.asker(OFFICE, MIDDLE, first_id=0xA000)
    chain.stations["office"] = Asker(client, "master")
    assert isinstance(chain.ask(client, Identify())[0], Identified)
    expected = (MIDDLE,) if mode else (MASTER, MIDDLE)
    assert chain.ask(client, Trace(())) == (Traced(expected),)
    assert code(chain.ask(client, Read(1))[0]) is ResponseCode.SNS
    assert code(chain.ask(client, Logon.of(1, b"", 60))[0]) is ResponseCode.BSY


def test_what_is_for_a_relay_itself_is_put_together() -> None:
    station = relay(MASTER, mode=SecurityMode.CLEAR)
    pieces = split(sealed(Trace((OFFICE,) * 30), mode=SecurityMode.CLEAR), 120)
    assert len(pieces) > 2
    replies = [station.receive(each, source="x", now=START, largest=120) for each in pieces]
    assert not any(replies[:-1])
    assert len(replies[-1]) > 2


def test_a_relay_has_no_users() -> None:
    assert not relay(MASTER, mode=SecurityMode.CLEAR)._desk.authorizes(2, b"PASSWORD")


@MODES
def test_notifications_pass(mode: SecurityMode) -> None:
    chain = Chain(mode)
    chain.open()
    chain.office.ask(Read(1), now=chain.now)  # somebody waits for the same node
    chain.stations["near"].outgoing()
    key = KeyUse.at(KEY_ID, chain.now) if mode else None
    apdu = Apdu(77, OFFICE, METER, qualifier=Qualifier.NOTIFICATION, key=key)
    epsem = Epsem((Write(3, bytes(500)).encode(),), mode, ResponseControl.NEVER)
    chain.relays["master"].registrations.learn(
        register(OFFICE), "office", title=OFFICE, period=600, now=chain.now
    )
    chain.send("meter", "near", protect(apdu, epsem, KEYS))
    before = [len(each._flights) for each in chain.relays.values()]
    chain.carry()
    passed = [m for a, b, m in chain.carried if b == "office"]
    assert passed
    assert before == [0, 0, 0]


# -- who registers ---------------------------------------------------------------------------------


@MODES
def test_relays_register_and_bring_their_nodes_along(mode: SecurityMode) -> None:
    chain = Chain(mode)
    chain.open()
    table = chain.relays["master"].registrations
    assert {str(each.title): each.via for each in table} == {
        ".123.2": None,
        ".123.3": MIDDLE,
        ".123.8437": MIDDLE,
    }
    assert [type(each) for each in told(chain.relays["near"])][:1] == [Joined]
    chain.wait(3000)  # they renew
    assert table.find(NEAR) is not None
    chain.wait(700)
    assert table.find(METER) is None
    assert RouteLost(METER, expired=True) in told(chain.relays["master"])


@pytest.mark.parametrize("mode", [SecurityMode.AUTHENTICATED, SecurityMode.ENCRYPTED])
def test_a_node_may_ask_the_relay_that_it_knows(mode: SecurityMode) -> None:
    """The relay asks for it, further up each passes that on."""
    chain = Chain(mode)
    chain.open()
    own = ApTitle.parse(".123.55")
    client = chain.asker(own, NEAR, first_id=0xB000)
    chain.stations["node"] = Asker(client, "near")
    (answer,) = chain.ask(client, register(own, 9999))
    assert isinstance(answer, Registered)
    assert (answer.title, answer.period) == (own, 3600)
    assert chain.relays["near"].registrations.route(own) == "node"
    assert chain.relays["master"].registrations.route(own) == "middle"
    middle = [m for a, b, m in chain.carried if (a, b) == ("middle", "master")]
    assert Apdu.decode(middle[-1]).information[0] & 0x20  # it says that it asks for another
    # Downwards each relay knows a way, if only because the next one has registered.
    office = chain.asker(OFFICE, own, first_id=0xC000)
    chain.stations["office"] = Asker(office, "master")
    assert chain.ask(client, Deregister(own)) == (Deregistered(own),)
    assert chain.relays["master"].registrations.find(own) is None
    assert RouteLost(own) in told(chain.relays["near"])
    for wrong in (register(METER), Deregister(METER)):  # of somebody else
        assert code(chain.ask(client, wrong)[0]) is ResponseCode.ISC
    both = chain.ask(client, Identify(), Resolve(NOWHERE))  # asked above only alone
    assert code(both[1]) is ResponseCode.BSY


def test_a_relay_vouches_for_nobody_whom_it_does_not_know() -> None:
    chain = Chain(SecurityMode.AUTHENTICATED)
    chain.open()
    config = ClientConfig(STRANGER, NEAR)
    client = Client(config, first_id=1)
    chain.stations["stranger"] = Asker(client, "near")
    assert code(chain.ask(client, register(STRANGER))[0]) is ResponseCode.ISC
    assert code(chain.ask(client, Deregister(STRANGER))[0]) is ResponseCode.ISC
    assert code(chain.ask(client, Resolve(NOWHERE))[0]) is ResponseCode.UAT
    chain.send("stranger", "near", protect(Apdu(9, NEAR, STRANGER), Epsem((b"\x27",))))
    chain.carry()  # no request at all
    assert [code(each) for each in answers(client)] == []


def answers(client: Client) -> list[Response]:
    return [r for each in events(client) if isinstance(each, Answered) for r in each.responses]


def test_a_relay_asks_above_only_so_much() -> None:
    chain = Chain()
    near = chain.relays["near"]
    for number in range(65):
        raw = sealed(Resolve(NOWHERE), called=NEAR, number=number)
        replies = near.receive(raw, source="meter", now=START)
        assert bool(replies) == (number == 64)  # the last is told at once that it is busy
    assert len(near.outgoing()) == 64
    chain.wait(100)
    assert len([1 for a, b, _ in chain.carried if (a, b) == ("near", "meter")]) == 64


def test_a_relay_on_its_own() -> None:
    """It has configured ways, and nobody to ask."""
    ways = {ApTitle.parse(".5"): "five", ApTitle.parse(".5.6"): "six"}
    alone = relay(NEAR, mode=SecurityMode.CLEAR, routes=ways)
    alone.config = replace(alone.config, master=False)
    alone._desk._config = alone.config
    net = Net()
    net.stations["relay"] = alone
    client = Client(ClientConfig(OFFICE, NEAR), first_id=1)
    net.stations["office"] = Asker(client, "relay")
    for request in (register(OFFICE), Deregister(OFFICE)):
        client.ask(request, now=net.now)
        net.carry()
        assert [code(each) for each in answers(client)] == [ResponseCode.SNS]
    alone.start(now=START)
    for title, way in ((".5.7", "five"), (".5.6", "six"), (".5.6.1.2", "six")):
        alone.receive(
            sealed(Read(1), called=ApTitle.parse(title), mode=SecurityMode.CLEAR),
            source="office",
            now=START,
        )
        assert [out.to for out in alone.outgoing()] == [way]
    answer = protect(Apdu(5, NEAR, OFFICE, answers=3), Epsem((b"\x00",)))
    alone.receive(answer, source="office", now=START)
    told(alone)
    assert alone.outgoing() == ()


# -- what does not arrive --------------------------------------------------------------------------


def test_unknown_titles() -> None:
    chain = Chain(SecurityMode.CLEAR)
    chain.open()
    client = chain.asker(OFFICE, NOWHERE, first_id=1)
    chain.stations["office"] = Asker(client, "master")
    assert code(chain.ask(client, Read(1))[0]) is ResponseCode.UAT
    assert drops(chain.relays["master"]) == ["c1222.uat"]
    chain.stations["office"] = Asker(client, "near")
    assert code(chain.ask(client, Read(1))[0]) is ResponseCode.UAT  # asked up to the master
    asked = len(chain.carried)
    client.ask(Read(1), now=chain.now, respond=ResponseControl.NEVER)
    chain.carry()
    assert {m for a, b, m in chain.carried[asked:] if b == "office"} == set()
    client.ask(Write(1, bytes(500)), now=chain.now, respond=ResponseControl.ON_EXCEPTION)
    chain.carry()
    assert [code(each) for each in answers(client)] == [ResponseCode.UAT]


def test_a_node_that_nobody_can_reach() -> None:
    chain = Chain(SecurityMode.CLEAR)
    chain.open()
    table = chain.relays["master"].registrations
    rows = [replace(row, native=b"", via=None) for row in table.snapshot()]
    table.restore(rows, now=chain.now)
    assert code(chain.ask(chain.office, Read(1))[0]) is ResponseCode.NETR
    del chain.stations["meter"]
    table.learn(register(), "middle", title=METER, period=9000, now=chain.now)
    chain.office.ask(Read(1), now=chain.now)
    chain.wait(60)
    told_first, *late = events(chain.office)
    assert isinstance(told_first, Unanswered)
    assert [type(each) for each in late] == [AnswerRefused]  # it had given up
    assert all("c1222.nett" in drops(each) for each in chain.relays.values())


def test_what_waits_when_the_clock_is_set_back_takes_no_places() -> None:
    net = Net()
    master = net.stations["master"] = relay(MASTER, mode=SecurityMode.CLEAR)
    assert isinstance(master, Relay)
    net.send("meter", "master", sealed(register(), mode=SecurityMode.CLEAR))
    net.send(
        "office", "master", sealed(Read(5), calling=OFFICE, called=METER, mode=SecurityMode(0))
    )
    net.carry()
    assert len(master._flights) == 1
    master.handle_timer(now=net.now - 1)
    assert len(master._flights) == 1
    master.handle_timer(now=net.now - 3600)
    assert len(master._flights) == 0
    assert drops(master) == ["c1222.nett"]


def test_nobody_who_wants_no_answer_is_told_that_there_is_none() -> None:
    station = relay(MASTER, mode=SecurityMode.CLEAR, routes={METER: "meter"})
    quiet = (ResponseControl.ON_EXCEPTION, ResponseControl.NEVER)
    for number, respond in enumerate((*quiet, ResponseControl.ALWAYS)):
        station.receive(
            sealed(Read(1), number=number, called=METER, mode=SecurityMode.CLEAR, respond=respond),
            source="office",
            now=START,
        )
    assert len(station.outgoing()) == 3
    assert station.next_timer() == START + 30
    station.handle_timer(now=START + 30)
    (out,) = station.outgoing()
    assert Apdu.decode(out.message).answers == 2
    assert drops(station) == ["c1222.nett"]


def test_a_relay_is_busy() -> None:
    limits = Limits(messages=3, octets=400, of_destination=2, of_host=4)
    ways = {METER: "meter", NOWHERE: "nowhere"}
    station = relay(MASTER, mode=SecurityMode.CLEAR, routes=ways, limits=limits)

    def ask(number: int, called: ApTitle = METER, size: int = 1) -> str:
        asked = Write(1, bytes(size))
        raw = sealed(asked, number=number, called=called, mode=SecurityMode.CLEAR)
        station.receive(raw, source="office", now=START)
        (out,) = station.outgoing()
        return str(out.to)

    assert [ask(1), ask(2), ask(3)] == ["meter", "meter", "office"]
    assert ask(2) == "meter"  # it comes again
    assert [ask(4, NOWHERE), ask(5, NOWHERE)] == ["nowhere", "office"]
    station.receive(
        protect(Apdu(1, METER, METER, answers=2), Epsem((b"\x00",))), source="meter", now=START
    )
    assert len(station.outgoing()) == 1
    assert [ask(6, NOWHERE, 300), ask(7)] == ["office", "meter"]
    assert drops(station) == ["c1222.bsy"] * 3
    station.handle_timer(now=START + 30)
    assert station.next_timer() is None
    assert station._flights.octets == len(station._flights) == 0


def test_one_host_does_not_take_the_places_of_others() -> None:
    limits = Limits(of_host=2)
    station = relay(MASTER, mode=SecurityMode.CLEAR, routes={METER: "meter"}, limits=limits)
    found = []
    for number, (host, port) in enumerate([(1, 1), (1, 2), (1, 3), (2, 1)]):
        source = Peer(NativeAddress.of(f"10.0.0.{host}", port, Transport.UDP))
        raw = sealed(Read(1), number=number, called=METER, mode=SecurityMode.CLEAR)
        station.receive(raw, source=source, now=START)
        found += [out.to == "meter" for out in station.outgoing()]
    assert found == [True, True, False, True]
    station.handle_timer(now=START + 30)
    assert not station._flights._from


def test_what_is_no_message() -> None:
    station = relay(MASTER, mode=SecurityMode.CLEAR, routes={METER: "meter"})
    for raw in (b"", b"\x60\x00", Apdu(1, METER, OFFICE, information=b"\x00").encode()):
        assert station.receive(raw, source="x", now=START) == ()
    station.receive(Apdu(1, METER, OFFICE).encode(), source="x", now=START)
    assert drops(station) == ["protocol.decode"] * 4
    assert station.outgoing() == ()


def test_a_message_without_a_sender_goes_on_and_nobody_waits() -> None:
    station = relay(MASTER, mode=SecurityMode.CLEAR, routes={METER: "meter"})
    raw = protect(Apdu(1, METER, None), Epsem((Read(1).encode(),)))
    station.receive(raw, source="x", now=START)
    segment = Apdu(1, METER, None, total=500, reference=0, information=b"x").encode()
    station.receive(segment, source="x", now=START)
    unanswerable = Apdu(1, METER, None, answers=4, information=raw[-5:]).encode()
    station.receive(unanswerable, source="x", now=START)
    assert [(out.to, out.message) for out in station.outgoing()] == [
        ("meter", raw),
        ("meter", segment),
    ]
    assert len(station._flights) == 0
    assert drops(station) == ["c1222.answer"]


def test_a_circle_of_relays_ends() -> None:
    """Two relays that take each other for the way: a message stops, whoever sent it is told."""
    net = Net()
    names = ("one", "two", "three")
    for at, name in enumerate(names):
        ways = {NOWHERE: names[(at + 1) % 3]}
        net.stations[name] = relay(ApTitle.parse(f".9.{at}"), mode=SecurityMode.CLEAR, routes=ways)
    client = Client(ClientConfig(OFFICE, NOWHERE), first_id=1)
    net.stations["office"] = Asker(client, "one")
    client.ask(Read(1), now=net.now)
    net.carry()
    assert len(net.carried) <= 1 + 3 * (MAX_PASSES + 1)
    client.ask(Trace(()), now=net.now)
    net.carry()
    (traced,) = answers(client)
    assert isinstance(traced, Failure)
    assert [str(each) for each in traced.titles] == [".9.0", ".9.1", ".9.2", ".9.0"]
    one = net.stations["one"]
    told(one)  # type: ignore[arg-type]  # it is a relay
    one.handle_timer(now=net.now + 60)
    client.ask(Read(1), now=net.now + 60)
    net.now += 60
    net.carry()


def test_what_would_go_back_goes_nowhere() -> None:
    station = relay(MASTER, mode=SecurityMode.CLEAR, routes={METER: "meter"})
    station.receive(
        sealed(Read(1), called=METER, calling=OFFICE, mode=SecurityMode.CLEAR),
        source="meter",
        now=START,
    )
    assert drops(station) == ["c1222.netr"]


# -- strangers -------------------------------------------------------------------------------------


def routes(chain: Chain) -> list[object]:
    tables = [each.registrations for each in chain.relays.values()]
    return [table.find(METER) for table in tables] + [table.route(METER) for table in tables]


@pytest.mark.parametrize("mode", [SecurityMode.AUTHENTICATED, SecurityMode.ENCRYPTED])
def test_a_forged_registration_moves_no_way(mode: SecurityMode) -> None:
    chain = Chain(mode)
    chain.open()
    before = routes(chain)
    good = sealed(register(), mode=mode, number=900, at=chain.now)
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    clear = sealed(register(), mode=SecurityMode.CLEAR, number=901)
    other = sealed(register(), mode=mode, number=902, at=chain.now, called=NEAR)
    forged = other[:-1] + bytes((other[-1] ^ 1,))
    for message in (bad, clear, forged, sealed(Deregister(METER), mode=SecurityMode.CLEAR)):
        chain.send("stranger", "near", message)
        chain.wait(60)
        assert routes(chain) == before


@pytest.mark.parametrize("mode", [SecurityMode.AUTHENTICATED, SecurityMode.ENCRYPTED])
def test_what_comes_again_from_elsewhere_moves_no_way(mode: SecurityMode) -> None:
    """The registrar answers it once more, for a minute: its sender may have missed that."""
    chain = Chain(mode)
    chain.open()
    for request in (register(), Identify()):  # from the one something is learned, or nothing new
        chain.meter.ask(request, now=chain.now)
        chain.carry()
    before = routes(chain)
    for message in [m for a, b, m in chain.carried if (a, b) == ("meter", "near")][-2:]:
        chain.send("stranger", "near", message)
        chain.carry()
    assert len([1 for a, b, m in chain.carried if b == "stranger"]) == 2
    assert routes(chain) == before


def test_a_forged_answer_moves_no_way_and_reaches_nobody() -> None:
    chain = Chain(SecurityMode.CLEAR)
    chain.open()
    before = routes(chain)
    near = chain.relays["near"]
    asked = sealed(register(period=60), mode=SecurityMode.CLEAR, number=900)
    near.receive(asked, source="stranger", now=chain.now)
    near.outgoing()
    answer = Epsem((Registered(METER, 0, 60).encode(),))
    for number, source in ((900, "stranger"), (900, "meter"), (901, "middle")):
        raw = protect(Apdu(5, METER, MASTER, answers=number), answer)
        near.receive(raw, source=source, now=chain.now)
    assert near.outgoing() == ()
    assert drops(near) == ["c1222.answer"] * 3
    assert routes(chain) == before
    # The registrar's own word is believed, if it is one about what was asked.
    wrong = (Epsem((b"\x00",)), Epsem((b"\x00", b"\x00")), Epsem((b"\x03",)))
    for number, epsem in enumerate(wrong, start=910):
        again = sealed(register(period=60), mode=SecurityMode.CLEAR, number=number)
        near.receive(again, source="stranger", now=chain.now)
        near.receive(
            protect(Apdu(5, METER, MASTER, answers=number), epsem), source="middle", now=chain.now
        )
    assert routes(chain) == before


def test_two_who_ask_the_same_both_hear_and_none_moves_the_way() -> None:
    """Who copies a registration on the way gains nothing, but may delay it."""
    chain = Chain()
    chain.open()
    near = chain.relays["near"]
    near.registrations.deregister(METER)
    raw = sealed(register(), number=900, at=chain.now)
    for source in ("a", "b", "c", "d", "e", "meter"):
        near.receive(raw, source=source, now=chain.now)
    chain.wait(10)
    heard = [b for a, b, _ in chain.carried if a == "near" and b not in {"middle", "meter"}]
    assert heard == ["c", "d", "e"]  # the last four, with the node itself
    assert near.registrations.find(METER) is None
    other = sealed(register(), number=901, at=chain.now)
    near.receive(other, source="meter", now=chain.now)
    near.receive(sealed(Read(1), number=901, at=chain.now), source="meter", now=chain.now)
    chain.wait(10)
    assert near.registrations.find(METER) is None
    assert isinstance(chain.ask(chain.meter, register())[0], Registered)
    assert near.registrations.route(METER) == "meter"


def test_only_the_registrar_is_believed() -> None:
    """Two strangers who talk to each other do not make a way to somebody else."""
    chain = Chain()
    chain.open()
    before = routes(chain)
    near = chain.relays["near"]
    near.receive(sealed(Read(1), called=OFFICE), source="stranger", now=START)
    key = KeyUse.at(KEY_ID, START)
    raw = protect(
        Apdu(5, METER, OFFICE, answers=1, key=key), Epsem((b"\x00",), SecurityMode.ENCRYPTED), KEYS
    )
    near.receive(raw, source="middle", now=START)
    assert [out.to for out in near.outgoing()] == ["middle", "stranger"]
    # What a relay says in clear is no proof of who sent what was enciphered.
    near.receive(sealed(Read(1), number=2), source="stranger", now=START)
    error = protect(Apdu(5, METER, MASTER, answers=2), Epsem((b"\x0c",)))
    near.receive(error, source="middle", now=START)
    assert routes(chain) == before


def test_who_deregisters_whom() -> None:
    """At a master that takes registrations in clear, the way has to be that of the node."""
    master = relay(MASTER, mode=SecurityMode.CLEAR)

    def ask(request: Request, source: str, calling: ApTitle = METER) -> Response:
        net = Net()
        client = Client(ClientConfig(calling, MASTER), first_id=ask.number)  # type: ignore[attr-defined]
        ask.number += 10  # type: ignore[attr-defined]
        net.stations |= {"master": master, source: Asker(client, "master")}
        client.ask(request, now=net.now)
        net.carry()
        (answer,) = answers(client)
        return answer

    ask.number = 1  # type: ignore[attr-defined]
    assert isinstance(ask(register(), "meter"), Registered)
    assert code(ask(register(), "thief")) is ResponseCode.ISC  # it is taken
    assert code(ask(register(MASTER), "thief")) is ResponseCode.ISC
    assert code(ask(register(OFFICE), "thief")) is ResponseCode.ISC  # of somebody else
    assert code(ask(Deregister(METER), "thief")) is ResponseCode.ISC
    assert code(ask(Deregister(METER), "meter", OFFICE)) is ResponseCode.ISC
    assert code(ask(Deregister(OFFICE), "meter")) is ResponseCode.UAT
    assert ask(Deregister(METER), "meter") == Deregistered(METER)


# -- loss ------------------------------------------------------------------------------------------


@given(st.randoms(use_true_random=False), st.sampled_from(SecurityMode), st.integers(100, 400))
@settings(max_examples=25, deadline=None)
def test_loss_repetition_and_disorder(
    chance: random.Random, mode: SecurityMode, largest: int
) -> None:
    """Across three relays every request is answered rightly or given up, and none is done twice."""
    chain = Chain(mode, largest=largest)
    chain.open()
    chain.device.authorizes = lambda *_: True  # type: ignore[method-assign]  # not looked at here
    chain._chance, chain._loss = chance, 0.05
    asked = {}
    for number in range(4):
        request = ReadOffset(64, number, 200) if number % 2 else Write(9, bytes((number,)) * 200)
        asked[chain.office.ask(request, now=chain.now)] = request
    chain.wait(60)
    found = events(chain.office)
    ended = [each for each in found if isinstance(each, Answered | Unanswered)]
    assert sorted(each.invocation_id for each in ended) == sorted(asked)
    for each in ended:
        if isinstance(each, Answered) and isinstance(asked[each.invocation_id], ReadOffset):
            request = asked[each.invocation_id]
            assert isinstance(request, ReadOffset)
            assert each.responses == (TableData(WHOLE[request.offset : request.offset + 200]),)
    writes = [request for request, _ in chain.device.served if isinstance(request, Write)]
    assert all(writes.count(request) == 1 for request in writes)
    for each_relay in chain.relays.values():
        assert each_relay._flights.octets >= 0
    chain._chance = None
    assert chain.ask(chain.office, Read(1)) == (TableData(b"OAMI    METER   "),)


# -- the rest of what it is told --------------------------------------------------------------------


def test_the_way_to_a_relay_is_the_way_to_all_that_begin_with_its_title() -> None:
    chain = Chain(SecurityMode.CLEAR)
    chain.open()
    below = ApTitle.parse(".123.2.7.1")
    master = chain.relays["master"]
    master.receive(sealed(Read(1), called=below, mode=SecurityMode.CLEAR), source="x", now=START)
    assert [out.to for out in master.outgoing()] == ["middle"]


def test_a_registrar_that_does_not_answer() -> None:
    chain = Chain()
    chain.open()
    client = chain.asker(STRANGER, NEAR, first_id=1)
    chain.stations["node"] = Asker(client, "near")
    del chain.stations["master"]
    client.config = replace(client.config, timeout=60)
    client.ask(Resolve(NOWHERE), now=chain.now)
    chain.wait(59)
    assert [code(each) for each in answers(client)] == [ResponseCode.NETT]


def test_a_relay_without_room_learns_nothing() -> None:
    chain = Chain(SecurityMode.AUTHENTICATED)
    near = chain.relays["near"]
    near.registrations._most = 0
    chain.open()
    assert len(near.registrations) == 0
    assert isinstance(chain.ask(chain.meter, register(native=HOME))[0], Registered)
    assert isinstance(chain.ask(chain.meter, Deregister(METER))[0], Deregistered)


def test_a_relay_that_is_no_master_and_has_nobody_above_admits_nobody() -> None:
    ids = iter(range(10))
    alone = Relay(RelayConfig(NEAR), chance=lambda: 0.5, ids=lambda: next(ids))
    alone.start(now=START)
    told_ = alone.registrations.register(register(), METER, "x", now=START)
    assert told_ == Failure(ResponseCode.SNS)


def test_services_that_nobody_knows_pass_through() -> None:
    """A relay does not judge what it brings: registrations among others are seen all the same."""
    chain = Chain(SecurityMode.CLEAR)
    chain.open()
    near = chain.relays["near"]
    near.registrations.deregister(METER)
    services = (b"\x77\x01", register().encode())
    near.receive(
        protect(Apdu(900, MASTER, METER), Epsem(services)), source="elsewhere", now=chain.now
    )
    answer = Epsem((b"\x02", Registered(METER, 0, 0).encode()))
    said = protect(Apdu(5, METER, MASTER, answers=900), answer)
    near.receive(said, source="middle", now=chain.now)
    entry = near.registrations.find(METER)
    assert entry is not None
    assert (entry.source, entry.expires_at) == ("elsewhere", chain.now + 86_400)


def test_who_is_deregistered_elsewhere_keeps_the_way_that_is_known() -> None:
    chain = Chain(SecurityMode.AUTHENTICATED)
    chain.open()
    near = chain.relays["near"]
    near.registrations.learn(register(), "elsewhere", title=METER, period=900, now=chain.now)
    assert isinstance(chain.ask(chain.meter, Deregister(METER))[0], Deregistered)
    assert near.registrations.route(METER) == "elsewhere"


def test_segments_of_an_answer_come_from_where_the_request_went() -> None:
    station = relay(MASTER, mode=SecurityMode.CLEAR, routes={METER: "meter"})
    asked = sealed(Read(1), calling=OFFICE, called=METER, mode=SecurityMode.CLEAR)
    station.receive(asked, source="office", now=START)
    station.outgoing()
    segment = Apdu(9, OFFICE, METER, total=500, reference=10, information=b"x").encode()
    for source, to in (("thief", []), ("meter", ["office"])):
        station.receive(segment, source=source, now=START)
        assert [out.to for out in station.outgoing()] == to
    station.handle_timer(now=START + 30)
    assert station.outgoing() == ()  # who has begun to answer is not late


# -- a host above ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [SecurityMode.AUTHENTICATED, SecurityMode.ENCRYPTED])
def test_a_host_asks_nodes_through_relays(mode: SecurityMode) -> None:
    """The head-end's station registers what relays bring, and reaches it through them."""
    chain = Chain(mode)
    ids = iter(range(0x10_0000, 0x20_0000))
    host = Host(
        HostConfig(MASTER, least=mode),
        Registrations(KeyPolicy(MASTER, mode)),
        lambda _: Partner(KEYS, KEY_ID, mode),
        chance=lambda: next(ids),
    )
    chain.stations["master"] = host
    del chain.relays["master"], chain.stations["office"]
    for each in chain.relays.values():
        each.start(now=chain.now)
        chain.carry()
    assert isinstance(chain.ask(chain.meter, register())[0], Registered)
    entry = host.registrations.find(METER)
    assert entry is not None
    assert (entry.via, entry.source) == (MIDDLE, "middle")
    number = host.ask(METER, Read(64), now=chain.now)
    chain.wait(5)
    found = list(iter(host.next_event, None))
    assert hosts.Answered(METER, number, (TableData(WHOLE),)) in found
    own = ApTitle.parse(".123.55")
    client = chain.asker(own, NEAR, first_id=0xB000)
    chain.stations["node"] = Asker(client, "near")
    assert isinstance(chain.ask(client, register(own))[0], Registered)
    assert host.registrations.route(own) == "middle"
