"""C12.18 and C12.21: packets, a line that damages them, and a client and a server on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.c1222_device import PASSWORD, START, USER, TableDevice

from openami.c1222.codes import ResponseCode, Standard
from openami.c1222.psem import (
    Link,
    LinkParameters,
    Negotiate,
    Negotiated,
    PsemAnswered,
    PsemClient,
    PsemFailed,
    PsemServer,
    ServerLimits,
    TimingSet,
    TimingSetup,
)
from openami.c1222.psem.link import Delivered, LinkFailed, Received
from openami.c1222.psem.packets import ACK, NAK, Broken, Packet, PacketReader, Reply
from openami.c1222.psem.server import State
from openami.c1222.psem.services import decode, decode_answer, encode
from openami.c1222.services import (
    Disconnect,
    Done,
    Failure,
    Identified,
    Identify,
    Logoff,
    Logon,
    Read,
    ReadOffset,
    Resolve,
    Security,
    TableData,
    Terminate,
    Wait,
    Write,
)
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, LocalProtocolError

if TYPE_CHECKING:
    from openami.c1222.psem.services import PsemRequest
    from openami.c1222.services import Response

IDENTIFY: Final = bytes.fromhex("ee000000000120" + "1310")  # a published example
LOGON: Final = Logon.of(USER, b"reader", 0)


# -- packets ---------------------------------------------------------------------------------------


def test_the_published_packet_both_ways() -> None:
    assert Packet(b"\x20").encode() == IDENTIFY
    assert PacketReader().feed(IDENTIFY) == [Packet(b"\x20")]
    for size in range(len(IDENTIFY)):
        assert PacketReader().feed(IDENTIFY[:size]) == []


def test_octets_in_any_slices_and_noise_between() -> None:
    stream = b"\x00\x06" + IDENTIFY + b"\xff\x15" + Packet(b"x", 3, True, True, True, 9).encode()
    reader = PacketReader()
    found = [piece for at in range(len(stream)) for piece in reader.feed(stream[at : at + 1])]
    assert found == [Reply.ACK, Packet(b"\x20"), Reply.NAK, Packet(b"x", 3, True, True, True, 9)]
    assert not reader.pending


def test_what_is_broken_takes_the_rest_with_it() -> None:
    reader = PacketReader(most=64)
    assert reader.feed(IDENTIFY[:-1] + b"\x00" + IDENTIFY) == [Broken.CRC]
    assert reader.feed(b"\xee\x00\x00\x00\xff\xff" + IDENTIFY) == [Broken.LENGTH]
    assert reader.feed(IDENTIFY) == [Packet(b"\x20")]
    with pytest.raises(LocalProtocolError):
        Packet(bytes(8192)).encode()


@given(st.binary(max_size=200))
def test_any_octets_are_read(octets: bytes) -> None:
    for piece in PacketReader().feed(octets):
        assert isinstance(piece, Packet | Reply | Broken)


# -- services --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "octets"),
    [
        (Negotiate(512, 8), "60020008"),
        (Negotiate(512, 8, (6, 8)), "620200080608"),
        (TimingSetup(6, 1, 2, 3), "7106010203"),
        (LOGON, "500002" + b"reader    ".hex()),
        (Read(1), "300001"),
    ],
)
def test_requests_both_ways(request_: PsemRequest, octets: str) -> None:
    raw = bytes.fromhex(octets)
    assert encode(request_) == raw
    assert decode(raw) == request_
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            decode(raw[:size])


def test_answers() -> None:
    assert decode_answer(b"\x00", LOGON) == Done()
    assert decode_answer(b"\x0a", LOGON) == Failure(ResponseCode.ISSS)
    assert decode_answer(bytes.fromhex("0002000806"), Negotiate(9, 9)) == Negotiated(512, 8, 6)
    assert decode_answer(b"\x00\x06\x01\x02\x03", TimingSetup(6, 1, 2, 3)) == TimingSet(6, 1, 2, 3)
    with pytest.raises(DecodeError):
        decode_answer(b"\x00\x01", LOGON)


# -- a line ----------------------------------------------------------------------------------------


class Line:
    """A client and a server on a line that loses what it is told, in a time of its own."""

    def __init__(self, lose: frozenset[int] = frozenset(), damage: frozenset[int] = frozenset(),
                 double: frozenset[int] = frozenset(), **limits: int) -> None:  # fmt: skip
        self.now = START
        self.device = TableDevice()
        self.client = PsemClient()
        self.server = PsemServer(self.device, limits=ServerLimits(**limits))
        self.lose, self.damage, self.double = lose, damage, double
        self.pieces = 0

    def _carry(self, pieces: tuple[bytes, ...], end: PsemClient | PsemServer) -> bool:
        for piece in pieces:
            number, self.pieces = self.pieces, self.pieces + 1
            shown = piece[:-1] + bytes((piece[-1] ^ 1,)) if number in self.damage else piece
            for _ in range((number not in self.lose) + (number in self.double)):
                for at in range(0, len(shown), 7):
                    end.receive_data(shown[at : at + 7], now=self.now)
        return bool(pieces)

    def ask(self, request: PsemRequest) -> Response | str:
        """Return the answer, or why there is none."""
        self.client.ask(request, now=self.now)
        for _ in range(500):
            moved = self._carry(self.client.data_to_send(), self.server)
            moved |= self._carry(self.server.data_to_send(), self.client)
            event = self.client.next_event()
            if event is not None:
                self.settle()
                return event.response if isinstance(event, PsemAnswered) else event.code
            if not moved:
                self.wait()
        raise AssertionError("no end")

    def settle(self) -> None:
        while self._carry(self.client.data_to_send(), self.server) or self._carry(
            self.server.data_to_send(), self.client
        ):
            pass

    def wait(self) -> None:
        timers = [self.client.next_timer(), self.server.next_timer()]
        self.now = max(self.now, min(at for at in timers if at is not None))
        self.client.handle_timer(now=self.now)
        self.server.handle_timer(now=self.now)

    def begin(self) -> None:
        assert isinstance(self.ask(Identify()), Identified)
        assert self.ask(LOGON) == Done()


def state_of(line: Line) -> State:
    return line.server.state


def code(response: Response | str) -> ResponseCode:
    assert isinstance(response, Failure)
    return response.code


def test_a_session() -> None:
    line = Line()
    named = line.ask(Identify())
    assert isinstance(named, Identified)
    assert named.standard == Standard.C12_18
    assert line.ask(Negotiate(512, 8)) == Negotiated(512, 8, 0)
    assert line.client.most == (512 - 8) * 8
    assert line.ask(LOGON) == Done()
    assert code(line.ask(Write(5, b"1"))) is ResponseCode.ISC
    assert line.ask(Security(PASSWORD)) == Done()
    assert line.ask(Write(5, bytes(1000))) == Done()
    assert line.ask(Read(5)) == TableData(bytes(1000))
    assert line.ask(Read(64)) == TableData(bytes(3000))  # in several packets
    assert line.ask(Wait(60)) == Done()
    assert line.ask(Logoff()) == Done()
    assert line.ask(Terminate()) == Done()
    assert line.server.state is State.BASE
    assert line.client.most == 56
    caller = line.device.served[-1][1]
    assert (caller.title, caller.source, caller.user_id, caller.authorized) == (
        None, "optical", USER, True,
    )  # fmt: skip


def test_each_request_has_its_place() -> None:
    line = Line()
    for early in (LOGON, Read(1), Security(PASSWORD), Logoff(), Negotiate(64, 1)):
        assert code(line.ask(early)) is ResponseCode.ISSS
    line.begin()
    for late in (Identify(), LOGON, Negotiate(64, 1)):
        assert code(line.ask(late)) is ResponseCode.ISSS
    assert code(line.ask(Resolve(ApTitle.parse(".1")))) is ResponseCode.SNS
    assert line.ask(Disconnect()) == Done()
    assert code(line.ask(Read(1))) is ResponseCode.ISSS


def test_what_is_no_request() -> None:
    server, client = PsemServer(TableDevice()), Link()
    for octets, wanted in ((b"\x53\x00", b"\x02"), (b"\x30", b"\x01"), (b"", b"\x01")):
        client.send(octets, now=START)
        server.receive_data(client.data_to_send(), now=START)
        client.receive(b"".join(server.data_to_send()), now=START)
        assert [client.next_event(), client.next_event()] == [Delivered(), Received(wanted)]
        server.receive_data(client.data_to_send(), now=START)


def test_an_answer_that_is_too_long_for_the_line() -> None:
    line = Line()
    line.begin()
    assert code(line.ask(Read(64))) is ResponseCode.ONP
    assert line.ask(ReadOffset(64, 0, 40)) == TableData(bytes(40))
    with pytest.raises(LocalProtocolError, match="octets at most"):
        line.client.ask(Write(5, bytes(100)), now=START)


def test_times_are_agreed_on() -> None:
    line = Line()
    line.ask(Identify())
    assert line.ask(TimingSetup(30, 1, 4, 5)) == TimingSet(30, 1, 4, 5)
    assert code(line.ask(TimingSetup(0, 1, 4, 5))) is ResponseCode.IAR
    assert line.server._link.parameters.silence_s == 30


def test_silence_ends_a_session() -> None:
    line = Line()
    line.begin()
    line.now += 5
    assert line.ask(Wait(60)) == Done()
    line.now += 59
    line.server.handle_timer(now=line.now)
    assert state_of(line) is State.SESSION
    line.wait()
    assert state_of(line) is State.BASE
    assert line.server.next_timer() is None
    line.server.next_event()
    line.server.receive_eof(now=line.now)


def test_guesses_are_followed_by_pauses() -> None:
    line = Line()
    line.begin()
    codes = [code(line.ask(Security(b"guess".ljust(20)))) for _ in range(7)]
    assert codes == [ResponseCode.ISC] * 5 + [ResponseCode.BSY] * 2
    line.now += 3
    line.server._silent_at = None
    assert line.ask(Security(PASSWORD)) == Done()


def test_nobody_there() -> None:
    line = Line(lose=frozenset(range(1000)))
    assert line.ask(Identify()) == "c1222.psem-silence"
    assert line.pieces == 4  # once, and three times again
    line.lose = frozenset()
    assert isinstance(line.ask(Identify()), Identified)


def test_a_line_that_damages_everything() -> None:
    line = Line(damage=frozenset(range(0, 1000, 2)))
    assert line.ask(Identify()) == "c1222.psem-nak"


def test_an_answer_that_does_not_come() -> None:
    client = PsemClient()
    client.ask(Identify(), now=START)
    with pytest.raises(LocalProtocolError):
        client.ask(Identify(), now=START)
    client.receive_data(bytes((ACK,)), now=START)
    client.handle_timer(now=START + 5.9)
    assert client.next_event() is None
    client.handle_timer(now=START + 6)
    assert client.next_event() == PsemFailed("c1222.psem-silence")
    client.ask(Identify(), now=START)
    client.receive_eof(now=START)
    assert client.next_event() == PsemFailed("c1222.psem-silence")
    client.receive_eof(now=START)


def test_answers_that_are_none() -> None:
    client = PsemClient()
    client.receive_data(Packet(b"\x00").encode(), now=START)  # nobody asked
    assert client.next_event() is None
    client.ask(Read(1), now=START)
    client.receive_data(bytes((ACK,)) + Packet(b"\xff", toggle=True).encode(), now=START)
    assert client.next_event() == PsemFailed("protocol.decode")


def test_a_packet_that_does_not_end_is_asked_for_again() -> None:
    link = Link()
    link.receive(IDENTIFY[:5], now=0.0)
    assert link.next_timer() == 0.5
    link.handle_timer(now=0.5)
    assert link.data_to_send() == bytes((NAK,))
    link.receive(IDENTIFY, now=1.0)
    assert link.next_event() == Received(b"\x20")


def test_one_that_comes_again_is_taken_once_and_another_one_is_taken() -> None:
    """A caller that went away, and one who comes anew, may have the same toggle."""
    link = Link()
    for packet in (IDENTIFY, IDENTIFY, Packet(b"\x21").encode()):
        link.receive(packet, now=0.0)
    assert link.data_to_send() == bytes((ACK,)) * 3
    found = list(iter(link.next_event, None))
    assert found == [Received(b"\x20"), Received(b"\x21")]


def test_packets_out_of_order_and_for_others() -> None:
    link = Link()
    link.receive(Packet(b"a", multi=True, first=True, sequence=2).encode(), now=0.0)
    link.receive(Packet(b"c", multi=True, toggle=True).encode(), now=0.0)
    assert link.next_event() == LinkFailed("c1222.psem-sequence")
    link.data_to_send()
    link.receive(Packet(b"x", identity=5).encode(), now=0.0)
    assert (link.data_to_send(), link.next_event()) == (b"", None)
    link.send(b"one", now=0.0)
    with pytest.raises(LocalProtocolError):
        link.send(b"two", now=0.0)


def test_limits_have_bounds() -> None:
    bounded = LinkParameters().limited(1, 0)
    assert (bounded.packet, bounded.packets) == (9, 1)
    bounded = LinkParameters().limited(99999, 99999)
    assert (bounded.packet, bounded.packets) == (8192, 256)


FAULTS: Final = st.frozensets(st.integers(0, 60), max_size=12)


@settings(max_examples=60)
@given(FAULTS, FAULTS, FAULTS)
def test_a_line_that_loses_damages_and_doubles(
    lose: frozenset[int], damage: frozenset[int], double: frozenset[int]
) -> None:
    """What is answered is right, what is not fails with a code, and nothing is done twice."""
    line = Line(lose, damage, double)
    wanted: list[tuple[PsemRequest, Response | type]] = [
        (Identify(), Identified), (Negotiate(64, 64), Negotiated(64, 64, 0)), (LOGON, Done()),
        (Security(PASSWORD), Done()), (Write(5, bytes(range(100))), Done()),
        (Read(5), TableData(bytes(range(100)))),
    ]  # fmt: skip
    for request, expected in wanted:
        answer = line.ask(request)
        if isinstance(answer, str):
            assert answer.startswith(("c1222.psem-", "protocol."))
            break
        if code_of(answer) is ResponseCode.ISSS:  # the server has given up before the client
            break
        right = isinstance(answer, expected) if isinstance(expected, type) else answer == expected
        assert right
    assert sum(isinstance(request, Write) for request, _ in line.device.served) <= 1


def code_of(response: Response) -> ResponseCode | None:
    return response.code if isinstance(response, Failure) else None


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=40), max_size=12))
def test_a_server_bears_anything(slices: list[bytes]) -> None:
    device = TableDevice()
    server = PsemServer(device)
    for number, octets in enumerate(slices):
        server.receive_data(octets, now=START + number)
        server.receive_data(Packet(octets, toggle=bool(number % 2)).encode(), now=START + number)
        server.handle_timer(now=START + number + 0.6)
    assert not any(isinstance(request, Write) for request, _ in device.served)
