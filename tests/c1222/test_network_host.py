"""A host: who registers, who is asked, and what comes of what strangers send."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from tests.support.c1222_device import START
from tests.support.c1222_hosting import HOST, Meter, Town

from openami.c1222.client import Client, ClientConfig
from openami.c1222.codes import ResponseCode, SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.network import host as hosts
from openami.c1222.network.host_events import (
    Answered,
    Denied,
    Joined,
    Left,
    Notified,
    Refused,
    Unanswered,
)
from openami.c1222.security import Keys
from openami.c1222.segments import split
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Done,
    Failure,
    Identified,
    Identify,
    Logon,
    Read,
    ReadOffset,
    Registered,
    Resolve,
    Resolved,
    Security,
    TableData,
    Trace,
    Traced,
    Write,
)
from openami.core.errors import LocalProtocolError, SecurityError


def joined(town: Town) -> Town:
    for meter in town.meters:
        assert isinstance(one(town.tell(meter, meter.register())), Registered)
    town.events()
    return town


def one(answers: tuple[object, ...] | None) -> object:
    assert answers is not None
    (answer,) = answers
    return answer


def test_a_node_registers_is_asked_and_leaves() -> None:
    town = Town()
    meter = town.meters[0]
    assert one(town.tell(meter, meter.register(600))) == Registered(meter.title, 0, 600)
    (event,) = town.events()
    assert isinstance(event, Joined)
    assert (event.registration.title, event.registration.expires_at) == (meter.title, START + 600)
    number = town.host.ask(meter.title, Read(5), Read(1), now=town.now)
    assert town.carry() == 1
    data = (TableData(b"8437"), TableData(b"OAMI    METER   "))
    assert town.events() == [Answered(meter.title, number, data)]
    assert one(town.tell(meter, Deregister(meter.title))) == Deregistered(meter.title)
    assert town.events() == [Left(meter.title)]
    with pytest.raises(LocalProtocolError) as caught:
        town.host.ask(meter.title, Read(5), now=town.now)
    assert caught.value.code == "c1222.unregistered"


def test_many_questions_to_one_node_come_back_each_with_its_number() -> None:
    town = joined(Town())
    meter = town.meters[1]
    numbers = [town.host.ask(meter.title, Read(5), now=town.now) for _ in range(5)]
    assert len(set(numbers)) == 5
    town.carry()
    assert [event.invocation_id for event in town.events()] == numbers  # type: ignore[union-attr]
    assert town.host.next_timer() == START + 600, "nothing is kept of what was answered"


def test_who_does_not_answer_is_asked_again_and_then_given_up() -> None:
    town = joined(Town())
    meter = town.meters[0]
    meter.reachable = False
    number = town.host.ask(meter.title, Read(5), now=town.now)
    assert town.carry() == 0
    assert town.host.next_timer() == START + 10
    town.pass_time(10)
    assert len(town.host.outgoing()) == 1
    town.pass_time(10)
    assert town.events() == [Unanswered(meter.title, number)]
    meter.reachable = True
    town.host.ask(meter.title, Read(5), now=town.now)
    town.carry()
    assert isinstance(town.events()[0], Answered)


def test_whoever_comes_not_all_who_are_asked_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = joined(Town(30))
    for meter in town.meters:
        town.host.ask(meter.title, Read(5), now=town.now)
    looks: list[Client] = []
    look = Client.next_timer

    def counted(client: Client) -> float | None:
        looks.append(client)
        return look(client)

    monkeypatch.setattr(Client, "next_timer", counted)
    assert town.tell(town.meters[0], town.meters[0].register()) is not None
    assert town.host.next_timer() == START + 10
    town.pass_time(9)
    assert looks == []
    town.pass_time(1)
    assert len(looks) == 30
    assert len(town.host.outgoing()) == 60


def test_who_waits_when_the_clock_is_set_back_waits_no_longer() -> None:
    town = joined(Town(2))
    for meter in town.meters:
        meter.reachable = False
        town.host.ask(meter.title, Read(5), now=town.now)
    town.pass_time(-3600)
    assert town.host.next_timer() == town.now + 10
    for _ in range(2):
        town.pass_time(10)
    assert [type(event) for event in town.events()] == [Unanswered] * 2


def test_a_registration_ends_by_itself_and_what_was_asked_then_is_given_up() -> None:
    town = joined(Town(1))
    meter = town.meters[0]
    town.pass_time(595)
    meter.reachable = False
    number = town.host.ask(meter.title, Read(5), now=town.now)
    town.carry()
    town.pass_time(10)
    assert town.host.outgoing() == ()
    town.pass_time(10)
    assert town.events() == [Left(meter.title, expired=True), Unanswered(meter.title, number)]
    assert town.host.next_timer() is None


def test_a_registration_that_ended_is_told_before_a_new_one() -> None:
    town = joined(Town(2))
    town.now += 601
    assert town.tell(town.meters[0], town.meters[0].register()) is not None
    kinds = [type(event) for event in town.events()]
    assert kinds == [Left, Left, Joined]


def test_long_answers_come_in_segments() -> None:
    town = joined(Town(1))
    meter = town.meters[0]
    town.host.ask(meter.title, ReadOffset(64, 0, 2000), now=town.now)
    (out,) = town.host.outgoing()
    (whole,) = meter.node.receive(out.message, source="host", now=town.now)
    segments = split(whole, 500)
    assert len(segments) > 3
    for segment in reversed(segments):
        assert town.host.receive(segment, source=meter.source, now=town.now) == ()
    (event,) = town.events()
    assert isinstance(event, Answered)
    assert event.responses == (TableData(bytes(2000)),)


def test_a_node_finds_others_and_its_way_only_when_it_is_registered() -> None:
    town = Town(2)
    here, there = town.meters
    asked = (Resolve(there.title), Trace((here.title,)), Write(3, b"x"), Deregister(here.title))
    answers = town.tell(here, *asked)
    assert answers == (Failure(ResponseCode.ISC),) * 4
    joined(town)
    assert town.tell(here, *asked[:3]) == (
        Resolved(there.address.encode()),
        Traced((here.title, HOST)),
        Done(),
    )
    assert town.events() == [Notified(here.title, Write(3, b"x"))]
    assert one(town.tell(here, Deregister(there.title))) == Failure(ResponseCode.ISC)
    town.tell(there, Deregister(there.title))
    assert one(town.tell(here, Resolve(there.title))) == Failure(ResponseCode.UAT)


def test_a_host_is_no_meter() -> None:
    town = joined(Town(1))
    answers = town.tell(town.meters[0], Identify(), Read(1), Security(bytes(20), 2))
    assert answers is not None
    assert isinstance(answers[0], Identified)
    assert answers[1:] == (Failure(ResponseCode.SNS), Failure(ResponseCode.ISC))
    assert one(town.tell(town.meters[0], Logon.of(2, b"x", 60))) == Failure(ResponseCode.BSY)


def test_who_registers_in_clear_is_told_that_it_may_not() -> None:
    town = Town(1)
    meter = Meter(1, mode=SecurityMode.CLEAR)
    town.meters[0] = meter
    assert one(town.tell(meter, meter.register())) == Failure(ResponseCode.SME)
    code, mode = ResponseCode.SME, SecurityMode.CLEAR
    assert town.events() == [Denied(meter.title, meter.source, code, mode)]
    assert one(town.tell(meter, Write(3, b"x"))) == Failure(ResponseCode.ISC)


def test_a_stranger_gets_no_answer_and_is_told_of() -> None:
    town = Town(1)
    stranger = Meter(77)
    for _ in range(9):
        assert town.tell(stranger, stranger.register()) is None
    event = Refused(stranger.title, stranger.source, "security.key-id")
    assert town.events() == [event] * 9
    assert set(town.strangers_asked) == {stranger.title}
    meter = town.meters[0]
    meter.source = stranger.source  # behind the same relay
    assert town.tell(meter, meter.register()) is not None
    assert [each.title for each in town.host.registrations] == [meter.title]


def test_a_wrong_key_and_rubbish_are_refused() -> None:
    town = joined(Town(1))
    meter = town.meters[0]
    forger = Meter(1)
    forger.client = Client(
        ClientConfig(forger.title, HOST, Keys({2: bytes(16)}), 2, SecurityMode.ENCRYPTED),
        first_id=9,
    )
    assert town.tell(forger, forger.register()) is None
    assert town.host.receive(b"\x60\x03\x01", source="x", now=town.now) == ()
    events = town.events()
    assert events[0] == Refused(meter.title, meter.source, "security.tag", 1)
    assert isinstance(events[1], Refused)
    assert (events[1].title, events[1].code) == (None, "protocol.decode")


def test_who_guesses_in_the_name_of_one_stops_nobody_else_behind_the_same_relay() -> None:
    town = Town(2)
    guessed, other = town.meters
    other.source = guessed.source
    forger = Meter(1)
    forger.client = Client(
        ClientConfig(forger.title, HOST, Keys({2: bytes(16)}), 2, SecurityMode.ENCRYPTED)
    )
    for _ in range(9):
        assert town.tell(forger, forger.register()) is None
    assert [event.failures for event in town.events() if isinstance(event, Refused)][-1] == 5
    assert town.tell(guessed, guessed.register()) is None, "nobody tries more keys at once"
    assert town.tell(other, other.register()) is not None


def test_an_answer_that_nobody_waits_for_is_passed_over_and_a_forged_one_refused() -> None:
    town = joined(Town(1))
    meter = town.meters[0]
    number = town.host.ask(meter.title, Read(5), now=town.now)
    (out,) = town.host.outgoing()
    (answer,) = meter.node.receive(out.message, source="host", now=town.now)
    town.host.receive(answer[:-1] + bytes((answer[-1] ^ 1,)), source="liar", now=town.now)
    assert town.events() == [Refused(meter.title, "liar", "security.tag")]
    town.host.receive(answer, source=meter.source, now=town.now)
    assert isinstance(town.events()[0], Answered)
    assert town.host.receive(answer, source=meter.source, now=town.now) == ()
    assert town.events() == []
    assert number


def test_no_more_nodes_are_asked_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MAX_ASKED", 1)
    town = joined(Town(2))
    town.host.ask(town.meters[0].title, Read(5), now=town.now)
    with pytest.raises(LocalProtocolError) as caught:
        town.host.ask(town.meters[1].title, Read(5), now=town.now)
    assert caught.value.code == "c1222.busy"


def test_a_node_whose_keys_are_gone_can_not_be_asked() -> None:
    town = joined(Town(1))
    meter = town.meters.pop()
    with pytest.raises(SecurityError):
        town.host.ask(meter.title, Read(5), now=town.now)
    assert town.host.next_timer() == START + 600, "no client is left behind"


def test_a_node_is_asked_where_it_says_that_it_listens_and_then_where_it_came_from() -> None:
    town = Town(1)
    meter = town.meters[0]
    home = NativeAddress.of("127.0.0.1", 1153, Transport.TCP)
    town.tell(meter, replace(meter.register(), native=home.encode()))
    town.events()
    number = town.host.ask(meter.title, Read(5), now=town.now)
    (out,) = town.host.outgoing()
    assert out.to == home
    town.pass_time(10)
    town.carry()
    assert [type(event) for event in town.events()] == [Answered]
    assert number


def test_a_node_behind_something_is_asked_through_that_and_then_directly() -> None:
    town = Town(1)
    meter = town.meters[0]
    home = NativeAddress.of("192.168.0.9", 1153, Transport.TCP)
    town.tell(meter, replace(meter.register(), native=home.encode()))
    town.host.ask(meter.title, Read(5), now=town.now)
    (out,) = town.host.outgoing()
    assert out.to == meter.source
    town.pass_time(10)
    (out,) = town.host.outgoing()
    assert out.to == home


def test_what_was_taken_before_a_restart_is_not_taken_again() -> None:
    town = Town(1)
    meter = town.meters[0]
    meter.client.ask(meter.register(), now=town.now)
    (message,) = meter.client.data_to_send()
    after = Town(1, heard=town.now)
    assert after.host.receive(message, source="thief", now=after.now + 5) == ()
    (event,) = after.events()
    assert isinstance(event, Refused)
    assert event.code == "security.time"


def test_who_has_the_key_of_one_node_keeps_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_MAX_REMEMBERED", 8)
    monkeypatch.setattr(hosts, "_MAX_OF_NODE", 5)
    town = joined(Town(2))
    taken, other = town.meters
    for _ in range(30):
        taken.client.ask(Trace(()), now=town.now + 800)
        for message in taken.client.data_to_send():
            town.host.receive(message, source="thief", now=town.now)
    assert {each.code for each in town.events() if isinstance(each, Refused)} == {"security.rate"}
    assert town.tell(other, other.register()) is not None


def test_whatever_comes_the_host_goes_on() -> None:
    chance = Random(1222)
    town = joined(Town(2))
    meter = town.meters[0]
    meter.client.ask(Resolve(town.meters[1].title), now=town.now)
    (asked,) = meter.client.data_to_send()
    town.host.ask(meter.title, Read(5), now=town.now)
    (out,) = town.host.outgoing()
    (answer,) = meter.node.receive(out.message, source="host", now=town.now)
    known = [*split(answer, 90), answer, asked]
    for number in range(3000):
        octets = bytearray(chance.choice(known))
        for _ in range(chance.randrange(1, 4)):
            octets[chance.randrange(len(octets))] = chance.randrange(256)
        cut = chance.randrange(len(octets)) if chance.random() < 0.2 else len(octets)
        if bytes(octets) not in known:
            town.host.receive(bytes(octets[:cut]), source=f"stranger {number}", now=town.now)
    assert not any(isinstance(event, (Joined, Left, Notified)) for event in town.events())
    assert town.host.receive(answer, source=meter.source, now=town.now) == ()
    assert [type(event) for event in town.events()] == [Answered]
    assert town.host.receive(asked, source=meter.source, now=town.now) != ()
