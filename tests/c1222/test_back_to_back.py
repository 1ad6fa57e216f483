"""A client and a node back to back: sessions, protection, loss, and whatever strangers send."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1222_device import (
    KEY_ID,
    KEYS,
    METER,
    PASSWORD,
    SERVER,
    START,
    USER,
    Pair,
)

from openami.c1222.apdu import Apdu, KeyUse, parts
from openami.c1222.client import Answered, AnswerRefused, Client, Notified, Unanswered
from openami.c1222.codes import (
    Connection,
    NodeType,
    Qualifier,
    ResponseCode,
    ResponseControl,
    SecurityMode,
)
from openami.c1222.epsem import Epsem
from openami.c1222.limits import MAX_APDU
from openami.c1222.node import MessageRefused, SessionBegan, SessionEnded
from openami.c1222.repeats import MAX_TIMES
from openami.c1222.security import canonical, protect
from openami.c1222.services import (
    Deregister,
    Disconnect,
    Done,
    Failure,
    Identify,
    LoggedOn,
    Logoff,
    Logon,
    Read,
    ReadDefault,
    ReadOffset,
    Register,
    Request,
    Resolve,
    Security,
    TableData,
    Terminate,
    Trace,
    Wait,
    Write,
)
from openami.core.errors import LocalProtocolError
from openami.crypto.eax import EaxPrime

if TYPE_CHECKING:
    from openami.c1222.services import Response

TITLE: Final = str(SERVER.absolute())
LOGON: Final = Logon.of(USER, b"reader", 60)
IN_SESSION: Final = Security(PASSWORD)
ALONE: Final = Security(PASSWORD, USER)
WRONG: Final = Security(b"guess".ljust(20), USER)
MODES: Final = pytest.mark.parametrize("mode", SecurityMode)


def code(response: Response) -> ResponseCode:
    assert isinstance(response, Failure)
    return response.code


# -- services --------------------------------------------------------------------------------------


@MODES
def test_the_paper_s_table(mode: SecurityMode) -> None:
    """Each service of its Table 1, with the three that it could not test."""
    pair = Pair(mode)
    register = Register(NodeType.END_DEVICE, Connection(0x50), b"OAMI", METER, METER, b"", 3600)
    services: list[Request] = [
        *(register, Identify(), LOGON, IN_SESSION, Read(1), Write(5, b"12"), Read(5), Wait(90)),
        *(Logoff(), Resolve(METER), Trace((METER,)), Deregister(METER), Terminate(), Disconnect()),
    ]
    for service in services:
        (response,) = pair.ask(service)
        assert not isinstance(response, Failure), service
    assert pair.device.tables[5] == b"12"
    assert not pair.device.connected
    begun, ended = pair.node_events()
    assert begun == SessionBegan(TITLE, USER)
    assert ended == SessionEnded(TITLE, USER, "logoff")
    assert all((b"OAMI    METER" in m) == (mode < 2) for m in pair.answers[4:5])


@MODES
def test_an_answer_mirrors_its_request(mode: SecurityMode) -> None:
    pair = Pair(mode)
    pair.ask(Read(1))
    request, answer = Apdu.decode(pair.sent[0]), Apdu.decode(pair.answers[0])
    assert (answer.called, answer.calling) == (request.calling, request.called)
    assert answer.answers == request.invocation_id
    assert answer.invocation_id == 1000
    assert (answer.key is None) == (mode is SecurityMode.CLEAR)
    if request.key and answer.key:
        assert answer.key.key_id == request.key.key_id


def test_many_services_in_one_message_without_a_session() -> None:
    pair = Pair()
    asked = (ALONE, Write(5, b"12"), Read(5), Read(99), ReadDefault())
    answers = pair.ask(*asked)
    assert answers[:3] == (Done(), Done(), TableData(b"12"))
    assert [code(each) for each in answers[3:]] == [ResponseCode.ONP, ResponseCode.SNS]
    assert code(pair.ask(Write(5, b"13"))[0]) is ResponseCode.ISC  # the next stands alone


def test_who_asks() -> None:
    pair = Pair(SecurityMode.ENCRYPTED)
    pair.ask(Read(1))
    pair.ask(LOGON, Read(1), IN_SESSION, Read(1))
    callers = [caller for _, caller in pair.device.served]
    assert [(c.user_id, c.authorized) for c in callers] == [
        (None, False),
        (USER, False),
        (USER, True),
    ]
    assert {(c.title, c.mode, c.key_id, c.source) for c in callers} == {
        (SERVER, SecurityMode.ENCRYPTED, KEY_ID, "client")
    }


def test_what_is_no_service() -> None:
    pair = Pair()
    services = (b"\x77", b"\x30\x00", Read(1).encode())
    (raw,) = pair.to_node(protect(Apdu(1, METER, SERVER), Epsem(services)))
    answer = Epsem.read(0x80, Apdu.decode(raw).information[1:])
    assert [each[0] for each in answer.services] == [
        ResponseCode.SNS,
        ResponseCode.ERR,
        ResponseCode.OK,
    ]


@pytest.mark.parametrize(
    ("requests", "answers"),
    [
        ((Logoff(),), [ResponseCode.ISSS]),
        ((Wait(5),), [ResponseCode.ISSS]),
        ((IN_SESSION,), [ResponseCode.ISSS]),
        ((Terminate(),), [ResponseCode.OK]),
        ((LOGON, LOGON), [ResponseCode.OK, ResponseCode.ISSS]),
        ((LOGON, Security(PASSWORD, 9)), [ResponseCode.OK, ResponseCode.ISSS]),
        ((LOGON, ALONE), [ResponseCode.OK, ResponseCode.OK]),
        ((LOGON, Logoff(), Logoff()), [ResponseCode.OK, ResponseCode.OK, ResponseCode.ISSS]),
        ((LOGON, Terminate(), LOGON), [ResponseCode.OK] * 3),
        ((LOGON, WRONG, Write(5, b"x")), [ResponseCode.OK, ResponseCode.ISC, ResponseCode.ISC]),
        ((WRONG, ALONE, Write(5, b"x")), [ResponseCode.ISC] * 3),
    ],
)
def test_sequences(requests: tuple[Request, ...], answers: list[ResponseCode]) -> None:
    found = Pair().ask(*requests)
    assert [getattr(each, "code", ResponseCode.OK) for each in found] == answers


def test_a_session_ends_in_silence() -> None:
    pair = Pair()
    assert pair.ask(LOGON) == (LoggedOn(60),)
    assert pair.node.next_timer() == START + 60
    pair.now += 59
    pair.ask(Read(1))
    pair.ask(Wait(200))
    assert pair.node.next_timer() == START + 259
    pair.now += 200
    pair.node.handle_timer(now=pair.now)
    assert pair.node_events()[1:] == [SessionEnded(TITLE, USER, "timeout")]
    assert pair.node.next_timer() is None
    assert code(pair.ask(Logoff())[0]) is ResponseCode.ISSS


@pytest.mark.parametrize(("asked", "granted"), [(0, 300), (1, 1), (0xFFFF, 300)])
def test_timeouts_are_granted_up_to_the_longest(asked: int, granted: int) -> None:
    assert Pair().ask(Logon.of(1, b"", asked)) == (LoggedOn(granted),)


def test_sessions_are_bounded_and_need_a_title() -> None:
    pair = Pair(sessions=0)
    assert code(pair.ask(LOGON)[0]) is ResponseCode.BSY
    (raw,) = pair.to_node(protect(Apdu(1, METER, None), Epsem((LOGON.encode(),))))
    assert Apdu.decode(raw).information[-1] == ResponseCode.ONP
    assert len(pair.node.sessions) == 0


@pytest.mark.parametrize(
    ("respond", "request_", "answered"),
    [
        (ResponseControl.NEVER, Read(99), False),
        (ResponseControl.ON_EXCEPTION, Read(1), False),
        (ResponseControl.ON_EXCEPTION, Read(99), True),
    ],
)
def test_response_control(respond: ResponseControl, request_: Request, answered: bool) -> None:
    pair = Pair()
    number = pair.client.ask(request_, now=pair.now, respond=respond, qualifier=Qualifier.TEST)
    pair.carry()
    assert [type(event) for event in pair.events()] == [Answered] * answered
    assert len(pair.device.served) == 1
    pair.client.handle_timer(now=pair.now + 10)
    assert pair.client.data_to_send() == ()
    waited = respond is ResponseControl.ON_EXCEPTION and not answered
    assert pair.events() == [Unanswered(number)] * waited


def test_a_notification() -> None:
    pair = Pair(SecurityMode.ENCRYPTED)
    apdu = Apdu(9, SERVER, METER, qualifier=Qualifier.NOTIFICATION, key=KeyUse.at(KEY_ID, START))
    service = Write(3, b"\x01").encode()
    epsem = Epsem((service,), SecurityMode.ENCRYPTED, ResponseControl.NEVER, b"TEMP")
    raw = protect(apdu, epsem, KEYS)
    pair.client.receive(raw, now=START)
    pair.client.receive(raw, now=START)
    notified, refused = pair.events()
    assert isinstance(notified, Notified)
    assert notified.opened.epsem.services == (service,)
    assert refused == AnswerRefused("security.replay")


# -- length ----------------------------------------------------------------------------------------


def test_long_messages_go_in_segments_both_ways() -> None:
    pair = Pair(SecurityMode.ENCRYPTED, largest=548)
    pair.ask(ALONE, Write(64, bytes(range(256)) * 8))
    assert len(pair.sent) > 3
    assert pair.ask(Read(64)) == (TableData(bytes(range(256)) * 8),)
    assert len(pair.answers) > 4
    assert max(map(len, pair.answers + pair.sent)) <= 548


def test_an_answer_that_cannot_be_sent_says_so() -> None:
    pair = Pair()
    pair.device.tables[7] = bytes(MAX_APDU)
    assert code(pair.ask(Read(7))[0]) is ResponseCode.RSTL
    pair.largest = 40
    assert code(pair.ask(Read(64))[0]) is ResponseCode.SGNP


# -- loss ------------------------------------------------------------------------------------------


def test_a_request_that_comes_again_is_done_once() -> None:
    pair = Pair(SecurityMode.ENCRYPTED)
    number = pair.client.ask(Read(1), now=pair.now)
    first = pair.client.data_to_send()
    assert pair.client.next_timer() == START + 10
    assert len(pair.to_node(first[0])) == 1  # and is lost
    pair.now += 10
    pair.client.handle_timer(now=pair.now - 1)
    pair.client.handle_timer(now=pair.now)
    assert pair.client.data_to_send() == first
    for answer in pair.to_node(first[0]):
        pair.client.receive(answer, now=pair.now)
    assert pair.events() == [Answered(number, (TableData(b"OAMI    METER   "),))]
    assert len(pair.device.served) == 1


def test_a_session_does_not_wait_for_a_clock_that_was_set_back() -> None:
    pair = Pair()
    pair.ask(LOGON)
    pair.node.handle_timer(now=START - 100)
    assert len(pair.node.sessions) == 1
    pair.node.handle_timer(now=START - 3600)
    assert len(pair.node.sessions) == 0
    assert pair.node_events()[-1] == SessionEnded(TITLE, USER, "timeout")


@MODES
def test_who_has_recorded_a_protected_request_gets_so_many_answers(mode: SecurityMode) -> None:
    pair = Pair(mode)
    pair.ask(Read(1))
    times = 4 * MAX_TIMES
    out = [pair.node.receive(pair.sent[0], source="thief", now=START) for _ in range(times)]
    assert sum(map(bool, out)) == (MAX_TIMES if mode else times)
    assert {b"".join(each) for each in out if each} == {pair.answers[0]}


def test_nobody_answers() -> None:
    pair = Pair()
    number = pair.client.ask(Read(1), now=START)
    for step in range(3):
        assert len(pair.client.data_to_send()) == 1
        pair.client.handle_timer(now=START + 10 * (step + 1))
    assert pair.events() == [Unanswered(number)]
    assert pair.client.next_timer() is None


@given(st.randoms(use_true_random=False), st.sampled_from(SecurityMode), st.booleans())
@settings(max_examples=40, deadline=None)
def test_loss_repetition_and_disorder(
    chance: random.Random, mode: SecurityMode, segmented: bool
) -> None:
    """Every message is answered rightly or given up, and none is done twice."""
    pair = Pair(mode, largest=200 if segmented else None)
    pair.device.authorizes = lambda *_: True  # type: ignore[method-assign]  # passwords are not looked at here
    asked = {}
    for number in range(4):
        request = ReadOffset(64, number, 300) if number % 2 else Write(9, bytes((number,)) * 300)
        asked[pair.client.ask(ALONE, request, now=pair.now)] = request
    ended: dict[int, Answered | Unanswered] = {}
    back: list[bytes] = []
    while len(ended) < len(asked):
        out = [m for m in pair.client.data_to_send() for _ in range(chance.choice((0, 1, 1, 2)))]
        chance.shuffle(out)
        for message in out:
            back += pair.to_node(message)
        chance.shuffle(back)
        for message in [m for m in back if chance.random() > 0.2]:
            pair.client.receive(message, now=pair.now)
        back = []
        for event in pair.events():
            if isinstance(event, Answered | Unanswered):
                assert event.invocation_id not in ended
                ended[event.invocation_id] = event
        pair.now += 10
        pair.client.handle_timer(now=pair.now)
    for number, event in ended.items():
        if isinstance(event, Answered):
            assert len(event.responses) == 2
            assert isinstance(
                event.responses[1], Done if isinstance(asked[number], Write) else TableData
            )
    writes = [request for request, _ in pair.device.served]
    assert all(writes.count(request) <= 1 for request in asked.values())


# -- what is refused -------------------------------------------------------------------------------


def refused(pair: Pair, message: bytes, source: str = "stranger") -> str:
    """Return why the node does not answer, and check that nothing changed."""
    before = (dict(pair.device.tables), len(pair.device.served), len(pair.node.sessions))
    assert pair.node.receive(message, source=source, now=pair.now) == ()
    assert before == (dict(pair.device.tables), len(pair.device.served), len(pair.node.sessions))
    (event,) = pair.node_events()
    assert isinstance(event, MessageRefused)
    assert event.source == source
    return event.code


def sealed(
    *requests: Request,
    mode: SecurityMode = SecurityMode.ENCRYPTED,
    key_id: int = KEY_ID,
    at: float = START,
    number: int = 1,
) -> bytes:
    key = KeyUse.at(key_id, at) if mode else None
    apdu = Apdu(number, METER, SERVER, key=key)
    return protect(apdu, Epsem(tuple(r.encode() for r in requests), mode), KEYS)


def test_messages_that_are_refused() -> None:
    pair = Pair(least=SecurityMode.AUTHENTICATED)
    good = sealed(Read(1))
    assert refused(pair, b"\x60\x00") == "protocol.decode"
    assert refused(pair, good[:-1] + bytes((good[-1] ^ 1,))) == "security.tag"
    assert refused(pair, sealed(Read(1), at=START - 901)) == "security.time"
    assert refused(pair, sealed(Read(1), mode=SecurityMode.CLEAR)) == "security.mode"
    late = sealed(Read(1), number=7)
    assert pair.to_node(late)
    pair.now += 61  # the answer is forgotten, the message is not
    assert refused(pair, late) == "security.replay"
    unknown = replace(Apdu.decode(good), key=KeyUse(9, bytes(4))).encode()
    assert refused(pair, unknown) == "security.key-id"


def test_a_protected_message_says_who_sent_it() -> None:
    pair = Pair()
    use = KeyUse.at(KEY_ID, START)
    body = Epsem((Read(1).encode(),)).body()
    draft = Apdu(1, METER, None, key=use, information=b"\x88" + body + bytes(4)).encode()
    at = len(draft) - len(body) - 4
    raw = draft[:at] + EaxPrime(bytes(range(16))).seal(
        canonical(draft, parts(draft), at, use), body
    )
    assert refused(pair, raw) == "security.title"


@pytest.mark.parametrize(
    "apdu",
    [Apdu(1, SERVER, METER), Apdu(1, METER, SERVER, answers=1)],
    ids=["to another node", "an answer"],
)
def test_what_is_not_for_the_node(apdu: Apdu) -> None:
    pair = Pair()
    assert pair.to_node(protect(apdu, Epsem((Read(1).encode(),)))) == ()
    assert pair.node_events() == []
    assert pair.device.served == []


def test_a_message_to_nobody_is_for_whoever_takes_it() -> None:
    pair = Pair()
    (raw,) = pair.to_node(protect(Apdu(1, None, SERVER), Epsem((Read(1).encode(),))))
    assert Apdu.decode(raw).calling == METER


def test_a_session_belongs_to_its_key_and_mode() -> None:
    pair = Pair(SecurityMode.AUTHENTICATED)
    pair.ask(LOGON, IN_SESSION)
    pair.node_events()
    assert refused(pair, sealed(Write(5, b"x"), mode=SecurityMode.CLEAR)) == "security.mode"
    assert refused(pair, sealed(Write(5, b"x"), key_id=3, number=9)) == "security.key-id"
    assert pair.to_node(sealed(Write(5, b"x"), number=10))
    assert pair.device.tables[5] == b"x"


def test_guesses_at_a_key_cost_pauses() -> None:
    pair = Pair()
    good = sealed(Read(1))
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    for _ in range(5):
        assert refused(pair, bad) == "security.tag"
    assert pair.node.receive(good, source="stranger", now=pair.now) == ()
    assert pair.node_events() == []
    assert pair.to_node(good)  # from elsewhere
    pair.now += 1
    assert pair.node.receive(sealed(Read(1), number=2), source="stranger", now=pair.now)


def test_guesses_at_a_password_cost_pauses_too() -> None:
    pair = Pair(SecurityMode.ENCRYPTED)
    for _ in range(5):
        assert code(pair.ask(WRONG)[0]) is ResponseCode.ISC
    events = [e for e in pair.node_events() if isinstance(e, MessageRefused)]
    assert [event.failures for event in events] == [1, 2, 3, 4, 5]
    assert {event.code for event in events} == {"security.password"}
    pair.client.ask(ALONE, now=pair.now)
    pair.carry()
    assert pair.events() == []
    pair.now += 1
    assert pair.ask(ALONE)[0] == Done()
    assert code(pair.ask(WRONG)[0]) is ResponseCode.ISC


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"called": METER}, id="another called title"),
        pytest.param({"called": SERVER.absolute()}, id="the title in another form"),
        pytest.param({"calling": SERVER}, id="another calling title"),
        pytest.param({"answers": 99}, id="another invocation id"),
        pytest.param({"key": KeyUse.at(3, START)}, id="another key"),
        pytest.param({"mode": SecurityMode.AUTHENTICATED}, id="a lower mode"),
    ],
)
def test_answers_that_are_none(change: dict[str, Any]) -> None:
    """Each is told of, and the right one still counts."""
    pair = Pair(SecurityMode.ENCRYPTED)
    number = pair.client.ask(Wait(1), now=START)
    mode = change.get("mode", SecurityMode.ENCRYPTED)
    right = Apdu(5, SERVER, METER, answers=number, key=KeyUse.at(KEY_ID, START))
    wrong = replace(right, **{name: value for name, value in change.items() if name != "mode"})
    pair.client.receive(protect(wrong, Epsem((b"\x00",), mode), KEYS), now=START)
    pair.client.receive(b"\x00", now=START)
    short = protect(replace(right, invocation_id=4), Epsem((), SecurityMode.ENCRYPTED), KEYS)
    pair.client.receive(short, now=START)
    good = protect(right, Epsem((b"\x00",), SecurityMode.ENCRYPTED), KEYS)
    pair.client.receive(good, now=START)
    assert pair.events() == [
        AnswerRefused("c1222.answer"),
        AnswerRefused("protocol.decode"),
        AnswerRefused("protocol.decode"),
        Answered(number, (Done(),)),
    ]


def test_a_client_asks_only_so_much() -> None:
    client = Client(Pair().client.config, first_id=0xFFFF_FFFF)
    with pytest.raises(LocalProtocolError):
        client.ask(now=START)
    numbers = [client.ask(Read(1), now=START) for _ in range(64)]
    assert numbers[:2] == [0xFFFF_FFFF, 0]
    with pytest.raises(LocalProtocolError):
        client.ask(Read(1), now=START)


def test_segments_that_do_not_come_are_a_timer_of_the_client() -> None:
    pair = Pair()
    lonely = Apdu(1, SERVER, METER, total=500, reference=0, information=b"x").encode()
    pair.client.receive(lonely, now=START)
    assert pair.client.next_timer() == START + 30
    pair.client.handle_timer(now=START + 30)
    assert pair.client.next_timer() is None


@pytest.mark.no_cover
@MODES
def test_mutated_messages_change_nothing(mode: SecurityMode) -> None:
    """In a mode with a tag, nothing that was changed on the way is served."""
    chance = random.Random(1153)
    pair = Pair(mode, least=mode)
    message = sealed(ALONE, Write(5, b"x" * 20), Read(1), mode=mode)
    for _ in range(3000):
        changed = bytearray(message)
        for _ in range(chance.choice((1, 1, 2, 3))):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        if bytes(changed) == message:
            continue
        pair.now += 0.01
        pair.node.receive(bytes(changed), source=chance.random(), now=pair.now)
        while pair.node.next_event():
            """Each is told of."""
    if mode:
        assert pair.device.served == []
    assert not isinstance(pair.ask(Identify())[0], Failure)
