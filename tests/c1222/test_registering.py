"""A node that registers: when, with whom, and what it does if that comes to nothing."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.support.c1222_device import KEY_ID, KEYS, METER, SERVER, START, TableDevice

from openami.c1222.codes import Connection, NodeType, Qualifier, ResponseCode, SecurityMode
from openami.c1222.node import Caller, Node, NodeConfig
from openami.c1222.node.registering import (
    FIRST_BACKOFF,
    LEAST_PAUSE,
    LONGEST_BACKOFF,
    Joined,
    NotJoined,
    Parted,
    Registering,
    RegisteringConfig,
    Told,
)
from openami.c1222.repeats import counted
from openami.c1222.security import Keys, unprotect
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Done,
    Failure,
    Register,
    Registered,
    Request,
    Response,
    Write,
)
from openami.c1222.titles import ApTitle

PERIOD: Final = 3600
OTHER: Final = ApTitle.parse(".123.99")


class Registrar(TableDevice):
    """Answers as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Response = Registered(METER, 30, PERIOD)
        self.told: Response = Done()
        self.asked: list[tuple[Request, Caller]] = []

    def serve(self, request: Request, caller: Caller, *, now: float) -> Response:
        del now
        self.asked.append((request, caller))
        if isinstance(request, Register):
            return self.answer
        return self.told if isinstance(request, Write) else Deregistered()


class Line:
    """A node that registers and its registrar, in a time of their own."""

    def __init__(self, mode: SecurityMode = SecurityMode.ENCRYPTED, chance: float = 0.5) -> None:
        self.now = START
        self.chance = chance
        self.cut = False
        self.registrar = Registrar()
        least = SecurityMode.CLEAR
        self.host = Node(NodeConfig(SERVER, KEYS, least), self.registrar, first_id=7)
        config = RegisteringConfig(
            METER,
            SERVER,
            METER.absolute(),
            device_class=b"OAMI",
            native=bytes.fromhex("7f0000010481"),
            period=PERIOD,
            keys=KEYS,
            key_id=KEY_ID,
            mode=mode,
        )
        self.node = Registering(config, chance=lambda: self.chance, ids=counted(1))

    def carry(self) -> None:
        for message in self.node.data_to_send():
            if self.cut:
                continue
            for answer in self.host.receive(message, source="node", now=self.now):
                self.node.receive(answer, now=self.now)

    def events(self) -> list[Any]:
        return list(iter(self.node.next_event, None))

    def pass_to(self, until: float) -> list[Any]:
        """Let the time pass, timer by timer; return what happened."""
        while (due := self.node.next_timer()) is not None and due <= until:
            self.now = due
            self.node.handle_timer(now=due)
            self.carry()
        self.now = until
        return self.events()

    def start(self, delay: float = 0) -> None:
        self.node.start(now=self.now, delay=delay)
        self.carry()


@pytest.mark.parametrize("mode", SecurityMode)
def test_a_node_says_who_it_is_and_renews_in_the_last_part_of_its_period(
    mode: SecurityMode,
) -> None:
    line = Line(mode)
    line.start()
    assert line.events() == [Joined(METER, START + PERIOD, 30)]
    ((request, caller),) = line.registrar.asked
    connection = Connection.CONNECTIONLESS | Connection.ACCEPTS_CONNECTIONLESS
    assert request == Register(
        NodeType.END_DEVICE,
        connection,
        b"OAMI",
        METER,
        METER.absolute(),
        bytes.fromhex("7f0000010481"),
        PERIOD,
    )
    assert (caller.mode, caller.title) == (mode, METER)
    for number in range(1, 4):
        renewal = START + number * 0.85 * PERIOD
        assert line.node.next_timer() == pytest.approx(renewal)
        (again,) = line.pass_to(renewal + 1)
        assert again.until == pytest.approx(renewal + PERIOD)
    assert len(line.registrar.asked) == 4


@pytest.mark.parametrize(("chance", "part"), [(0.0, 0.75), (0.999_999, 0.95)])
def test_chance_says_when(chance: float, part: float) -> None:
    line = Line(chance=chance)
    line.start(delay=100)
    first = START + 100 * chance
    assert line.node.next_timer() is not None
    line.pass_to(first)
    assert line.node.next_timer() == pytest.approx(first + part * PERIOD, abs=0.01)


def test_a_registration_can_be_put_off() -> None:
    line = Line()
    line.node.start(now=line.now, after=10)
    assert line.pass_to(START + 9) == []
    (joined,) = line.pass_to(START + 10)
    assert isinstance(joined, Joined)


def test_who_is_not_heard_tries_again_ever_later() -> None:
    line = Line(chance=0.0)
    line.cut = True
    line.start()
    times = []
    for _ in range(12):
        events: list[Any] = []
        while not events:
            events = line.pass_to(line.node.next_timer() or 0)
        assert events == [NotJoined(None)]
        times.append((line.node.next_timer() or 0) - line.now)
    assert times[:3] == [FIRST_BACKOFF, 2 * FIRST_BACKOFF, 4 * FIRST_BACKOFF]
    assert times[-1] == LONGEST_BACKOFF
    line.cut = False
    assert line.pass_to(line.now + LONGEST_BACKOFF)[-1].title == METER


def test_who_is_refused_tries_again_later() -> None:
    line = Line()
    line.registrar.answer = Failure(ResponseCode.ISC)
    line.start()
    assert line.events() == [NotJoined(ResponseCode.ISC)]
    assert not line.node.joined
    assert line.node.next_timer() == START + FIRST_BACKOFF * 0.75  # half of the jitter
    line.registrar.answer = Registered(METER, 0, PERIOD)
    (joined,) = line.pass_to(START + FIRST_BACKOFF)
    assert isinstance(joined, Joined)


def test_a_registration_that_is_not_renewed_ends() -> None:
    line = Line()
    line.start()
    line.events()
    line.cut = True
    events = line.pass_to(START + PERIOD)
    assert events[-1] == Parted("expired")
    assert not line.node.joined
    line.cut = False
    later = line.pass_to(START + 2 * PERIOD + LONGEST_BACKOFF)
    assert any(isinstance(each, Joined) for each in later)


def test_a_node_whose_clock_was_in_the_future_renews_when_it_would_have() -> None:
    line = Line()
    line.now = START + 365 * 86_400
    line.start()
    line.events()
    line.now = START
    line.node.handle_timer(now=line.now)
    assert line.node.until == START + PERIOD
    (renewed,) = line.pass_to(START + PERIOD)
    assert isinstance(renewed, Joined)
    assert len(line.registrar.asked) == 2


def test_another_title_is_taken_and_used_from_then_on() -> None:
    line = Line()
    line.registrar.answer = Registered(OTHER, 0, PERIOD, Connection.BROADCAST)
    line.start()
    assert line.events() == [Joined(OTHER, START + PERIOD, 0, Connection.BROADCAST)]
    assert line.node.title == OTHER
    line.pass_to(START + PERIOD - 1)
    (_, _), (request, caller) = line.registrar.asked
    assert isinstance(request, Register)
    assert (request.title, caller.title) == (OTHER, OTHER)


def test_a_registration_without_a_period_has_no_end() -> None:
    line = Line()
    line.registrar.answer = Registered(METER, 0, 0)
    line.start()
    assert line.events() == [Joined(METER, None, 0)]
    assert line.node.next_timer() is None


def test_a_short_period_makes_no_flood() -> None:
    line = Line()
    line.registrar.answer = Registered(METER, 0, 1)
    line.start()
    line.pass_to(START + 60)
    assert len(line.registrar.asked) <= 60 / LEAST_PAUSE + 1


def test_a_node_that_stops_deregisters() -> None:
    line = Line()
    line.start()
    line.events()
    line.node.stop(now=line.now)
    waiting = line.node.busy
    line.carry()
    assert line.events() == [Parted("stopped")]
    assert (waiting, line.node.busy) == (True, False)
    assert [type(request) for request, _ in line.registrar.asked] == [Register, Deregister]
    assert line.node.next_timer() is None
    line.node.stop(now=line.now)
    assert line.node.data_to_send() == ()
    line.start()
    assert len(line.events()) == 1


@pytest.mark.parametrize("renews", [False, True])
def test_a_node_that_stops_while_it_registers_is_registered_no_more(renews: bool) -> None:
    line = Line()
    if renews:
        line.start()
        due = line.node.next_timer()
        assert due is not None
        line.now = due
        line.node.handle_timer(now=due)
    else:
        line.node.start(now=line.now)
    line.node.stop(now=line.now)
    waiting = line.node.busy
    line.carry()  # what was asked before is done now, and answered
    line.carry()
    assert [type(asked) for asked, _ in line.registrar.asked][-1] is Deregister
    assert not line.node.joined
    assert (waiting, line.node.busy) == (True, False)
    assert line.node.next_timer() is None


def test_a_node_that_stops_while_it_is_refused_asks_no_more() -> None:
    line = Line()
    line.registrar.answer = Failure(ResponseCode.BSY)
    line.node.start(now=line.now)
    line.node.stop(now=line.now)
    line.carry()
    assert line.events() == []
    assert line.node.next_timer() is None


def test_an_answer_to_who_has_forgotten_is_nothing() -> None:
    line = Line()
    line.node.start(now=line.now)
    line.node.forget()
    line.carry()
    assert line.events() == []
    assert not line.node.joined


def test_who_takes_part_tells_its_registrar() -> None:
    line = Line()
    assert not line.node.notify(Write(3, b"\x00"), now=line.now)
    line.start()
    line.events()
    assert line.node.notify(Write(3, b"\x00"), now=line.now)
    line.carry()
    assert line.events() == [Told(taken=True)]
    assert line.registrar.asked[-1][0] == Write(3, b"\x00")
    line.registrar.told = Failure(ResponseCode.UAT)
    line.node.notify(Write(3, b"\x01"), now=line.now)
    line.carry()
    assert line.events() == [Told(taken=False)]
    (joined,) = line.pass_to(line.now + 2 * LEAST_PAUSE)  # it is told anew who is there
    assert isinstance(joined, Joined)
    line.cut = True
    line.node.notify(Write(3, b"\x01"), now=line.now)
    assert Told(taken=False) in line.pass_to(line.now + 60)


@pytest.mark.parametrize("mode", SecurityMode)
def test_what_it_tells_says_the_class_of_its_tables(mode: SecurityMode) -> None:
    line = Line(mode)
    line.start()
    line.node.notify(Write(3, b"\x00"), now=line.now)
    (message,) = line.node.data_to_send()
    opened = unprotect(message, KEYS)
    assert opened.epsem.ed_class == b"OAMI"
    assert opened.apdu.qualifier is Qualifier.NOTIFICATION
    assert (b"OAMI" in message) == (mode is not SecurityMode.ENCRYPTED)


def test_answers_of_strangers_are_nothing() -> None:
    line = Line()
    line.node.start(now=line.now)
    (message,) = line.node.data_to_send()
    strange = Node(NodeConfig(SERVER, Keys({KEY_ID: bytes(16)})), line.registrar, first_id=1)
    assert strange.receive(message, source="x", now=line.now) == ()
    line.node.receive(b"\x60\x00", now=line.now)
    assert line.events() == []
    assert line.node.busy
