"""The wrapper over streams and datagrams: packets, both ends, and the two back to back."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError
from openami.dlms.link import (
    ApduReceived,
    LinkDown,
    LinkEvent,
    LinkUp,
    Peer,
    PeerApduReceived,
    PeerConnected,
    PeerDisconnected,
    ServerLinkEvent,
)
from openami.dlms.wrapper import (
    BROADCAST,
    MAX_APDU,
    Packet,
    PacketReader,
    WrapperClientLink,
    WrapperParameters,
    WrapperServerLink,
)
from openami.dlms.wrapper.server import MAX_PEERS

PEER = Peer(16, 1)
UDP = WrapperParameters(datagrams=True, response_timeout=2.0, retries=2)
STREAM = WrapperParameters(response_timeout=2.0)
GET = bytes.fromhex("C001C1000801000100000000FF0200")
ANSWER = bytes.fromhex("C401C100110A")
AARQ = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F040000181D0400")
AARE = bytes.fromhex("6129A109060760857405080101")
CIPHERED = bytes.fromhex("C8143000000001") + bytes(13)


def client_events(link: WrapperClientLink) -> list[LinkEvent]:
    return list(iter(link.next_event, None))


def server_events(link: WrapperServerLink) -> list[ServerLinkEvent]:
    return list(iter(link.next_event, None))


def up(parameters: WrapperParameters = STREAM) -> WrapperClientLink:
    link = WrapperClientLink(16, 1, parameters)
    link.connect(now=0)
    (event,) = client_events(link)
    assert isinstance(event, LinkUp)
    return link


def from_server(apdu: bytes, source: int = 1, destination: int = 16) -> bytes:
    return Packet(source, destination, apdu).encode()


def from_client(apdu: bytes, source: int = 16, destination: int = 1) -> bytes:
    return Packet(source, destination, apdu).encode()


# -- packets --------------------------------------------------------------------------------------


def test_packet_both_ways() -> None:
    raw = bytes.fromhex("00010010000100 0F") + GET
    assert Packet.decode(raw) == Packet(16, 1, GET)
    assert Packet(16, 1, GET).encode() == raw
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            Packet.decode(raw[:size])
    with pytest.raises(DecodeError):
        Packet.decode(raw + b"\x00")


@pytest.mark.parametrize(
    "raw", ["0002 0010 0001 0001 00", "0001 0010 0001 0000", "0001 0010 0001 0065" + "00" * 101]
)
def test_refused_packets(raw: str) -> None:
    with pytest.raises(DecodeError):
        Packet.decode(bytes.fromhex(raw), max_apdu=100)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 65535), st.integers(0, 65535), st.binary(min_size=1, max_size=300)
        ),
        max_size=6,
    ),
    st.lists(st.integers(1, 40), max_size=40),
)
@settings(max_examples=100)
def test_packets_of_a_stream_in_any_slices(
    parts: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    packets = [Packet(*part) for part in parts]
    stream = b"".join(packet.encode() for packet in packets)
    reader = PacketReader(STREAM)
    found: list[Packet] = []
    start = 0
    for cut in [*cuts, len(stream) + 1]:
        found += reader.feed(stream[start : start + cut])
        start += cut
    assert found == packets
    assert not reader.pending
    assert reader.packets == len(packets)


@pytest.mark.parametrize(
    "wrong",
    [
        {"response_timeout": 0.0},
        {"retries": -1},
        {"inactivity_timeout": -1.0},
        {"max_apdu": 0},
        {"max_apdu": 65536},
    ],
)
def test_parameters_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"."):
        WrapperParameters(**wrong)  # type: ignore[arg-type]  # values by name


# -- the client over a stream ---------------------------------------------------------------------


def test_question_and_answer_octet_by_octet() -> None:
    link = up()
    link.send(GET, now=0)
    assert link.data_to_send() == (from_client(GET),)
    for octet in from_server(ANSWER):
        assert client_events(link) == []
        link.receive_data(bytes((octet,)), now=1)
    assert client_events(link) == [ApduReceived(ANSWER)]
    assert link.next_timer() is None


def test_commands_out_of_order() -> None:
    link = WrapperClientLink(16, 1)
    with pytest.raises(LocalProtocolError):
        link.send(GET, now=0)
    link.connect(now=0)
    with pytest.raises(LocalProtocolError):
        link.connect(now=0)
    for wrong in (b"", bytes(MAX_APDU + 1)):
        with pytest.raises(LocalProtocolError):
            link.send(wrong, now=0)
    link.send(GET, now=0)
    with pytest.raises(LocalProtocolError):
        link.send(GET, now=0)


@pytest.mark.parametrize("tag", [0x0F, 0xC2, 0xCA, 0xD2])
def test_notifications_answer_nothing(tag: int) -> None:
    link = up()
    pushed = bytes((tag, 0, 0, 0, 1))
    link.receive_data(from_server(pushed), now=0)
    link.send(GET, now=0)
    link.receive_data(from_server(pushed) + from_server(ANSWER), now=0)
    assert client_events(link) == [ApduReceived(pushed), ApduReceived(pushed), ApduReceived(ANSWER)]


def test_what_nobody_asked_for_is_dropped() -> None:
    link = up()
    link.receive_data(from_server(ANSWER), now=0)
    link.send(GET, now=0)
    link.receive_data(from_server(ANSWER, source=2) + from_server(ANSWER, destination=1), now=0)
    assert client_events(link) == []


def test_stream_out_of_step() -> None:
    link = up()
    link.send(GET, now=0)
    link.receive_data(from_server(ANSWER)[1:], now=0)
    (event,) = client_events(link)
    assert isinstance(event, LinkDown)
    assert event.code == "protocol"
    link.receive_data(from_server(ANSWER), now=0)
    assert client_events(link) == []
    link.connect(now=0)
    link.send(GET, now=0)
    link.receive_data(from_server(ANSWER), now=0)
    assert client_events(link)[1:] == [ApduReceived(ANSWER)]


def test_no_answer_on_a_stream() -> None:
    link = up()
    link.send(GET, now=0)
    link.data_to_send()
    link.handle_timer(now=1.9)
    assert client_events(link) == []
    link.handle_timer(now=2.0)
    assert client_events(link) == [LinkDown("timeout", "no answer")]
    assert link.data_to_send() == ()
    link.handle_timer(now=9.0)


def test_slow_answer_is_waited_for_but_not_for_ever() -> None:
    link = up()
    link.send(GET, now=0)
    raw = from_server(bytes(1000))
    now = 0.0
    for octet in raw:
        now += 1.0
        link.receive_data(bytes((octet,)), now=now)
        link.handle_timer(now=now)
        if found := client_events(link):
            break
    assert found == [LinkDown("timeout", "no answer")]
    assert now == 20.0


def test_end_of_the_connection() -> None:
    link = up()
    link.receive_eof(now=0)
    link.receive_eof(now=0)
    assert client_events(link) == [LinkDown("closed", "the connection was closed")]


def test_disconnect() -> None:
    link = up()
    link.disconnect(now=0)
    link.disconnect(now=0)
    assert client_events(link) == [LinkDown("disconnected"), LinkDown("disconnected")]
    assert link.data_to_send() == ()


# -- the client over datagrams --------------------------------------------------------------------


@pytest.mark.parametrize("request_", [GET, AARQ, bytes.fromhex("6200")])
def test_what_may_be_repeated_is_sent_again(request_: bytes) -> None:
    link = up(UDP)
    link.send(request_, now=0)
    link.handle_timer(now=2)
    link.handle_timer(now=4)
    assert link.data_to_send() == (from_client(request_),) * 3
    link.handle_timer(now=6)
    assert client_events(link) == [LinkDown("timeout", "no answer")]


@pytest.mark.parametrize("request_", [CIPHERED, b"\xc1\x01\xc1\x00", b"\xc3\x01\xc1\x00"])
def test_what_may_not_be_repeated_is_not(request_: bytes) -> None:
    link = up(UDP)
    link.send(request_, now=0)
    link.handle_timer(now=2)
    assert link.data_to_send() == (from_client(request_),)
    assert client_events(link) == [LinkDown("timeout", "no answer")]


def test_late_copy_of_an_answer() -> None:
    """A request sent twice is answered twice; the second answer must not answer the next request."""
    link = up(UDP)
    link.send(GET, now=0)
    link.handle_timer(now=2)
    link.receive_data(from_server(ANSWER), now=3)
    link.send(GET, now=3)  # a client that does not count its requests
    link.receive_data(from_server(ANSWER), now=3)
    assert client_events(link) == [ApduReceived(ANSWER)]
    link.receive_data(from_server(ANSWER), now=3)
    assert client_events(link) == [ApduReceived(ANSWER)]


@pytest.mark.parametrize(
    ("request_", "late", "answer"),
    [
        (GET, bytes.fromhex("C401C200110A"), ANSWER),  # another invoke id
        (GET, b"\xc4\x01", ANSWER),
        (GET, AARE, ANSWER),
        (AARQ, ANSWER, AARE),
        (CIPHERED, bytes.fromhex("6300"), bytes.fromhex("CC0530") + bytes(8)),
    ],
)
def test_answers_to_something_else(request_: bytes, late: bytes, answer: bytes) -> None:
    link = up(UDP)
    link.send(request_, now=0)
    link.receive_data(from_server(late), now=1)
    assert client_events(link) == []
    link.receive_data(from_server(answer), now=1)
    assert client_events(link) == [ApduReceived(answer)]


def test_exceptions_answer_anything() -> None:
    link = up(UDP)
    link.send(GET, now=0)
    link.receive_data(from_server(b"\xd8\x01\x02"), now=1)
    assert client_events(link) == [ApduReceived(b"\xd8\x01\x02")]


def test_datagrams_that_are_none() -> None:
    link = up(UDP)
    link.send(GET, now=0)
    for wrong in (b"", b"noise", from_server(ANSWER)[:-1], from_server(ANSWER) + b"x"):
        link.receive_data(wrong, now=1)
    assert client_events(link) == []
    link.receive_data(from_server(ANSWER), now=1)
    assert client_events(link) == [ApduReceived(ANSWER)]


def test_datagram_limit() -> None:
    link = WrapperClientLink(16, 1, UDP)
    link.connect(now=0)
    (event,) = client_events(link)
    assert event == LinkUp(65499)
    with pytest.raises(LocalProtocolError):
        link.send(bytes(65500), now=0)


# -- the server -----------------------------------------------------------------------------------


def test_server_on_a_stream() -> None:
    link = WrapperServerLink((1, 2), STREAM)
    assert link.next_timer() is None
    link.receive_data(from_client(GET) + from_client(AARQ, 1, 2), now=0)
    other = Peer(1, 2)
    assert server_events(link) == [
        PeerConnected(PEER),
        PeerApduReceived(PEER, GET),
        PeerConnected(other),
        PeerApduReceived(other, AARQ),
    ]
    link.send(other, AARE, now=0)
    link.send(PEER, ANSWER, now=0)
    link.send(Peer(99, 1), ANSWER, now=0)
    assert link.data_to_send() == (from_server(AARE, 2, 1), from_server(ANSWER))
    link.receive_eof(now=1)
    assert server_events(link) == [
        PeerDisconnected(PEER, "closed"),
        PeerDisconnected(other, "closed"),
    ]
    assert link.finished


def test_server_out_of_step() -> None:
    link = WrapperServerLink((1,), STREAM)
    link.receive_data(from_client(GET) + b"GET / HTTP/1.1\r\n", now=0)
    link.receive_data(from_client(GET), now=0)
    assert server_events(link) == []
    assert link.finished
    again = WrapperServerLink((1,), STREAM)
    again.receive_data(from_client(GET), now=0)
    again.receive_data(b"GET / HTTP/1.1\r\n", now=0)
    assert server_events(again)[-1] == PeerDisconnected(PEER, "protocol")


@pytest.mark.parametrize("addresses", [(0, 1), (BROADCAST, 1), (16, 3), (16, 0)])
def test_server_ignores_what_is_not_for_it(addresses: tuple[int, int]) -> None:
    link = WrapperServerLink((1, 2), STREAM)
    link.receive_data(from_client(GET, *addresses), now=0)
    assert server_events(link) == []


def test_broadcast() -> None:
    link = WrapperServerLink((1, 2), UDP)
    link.receive_data(from_client(GET, 16, BROADCAST), now=0)
    assert server_events(link) == [
        PeerApduReceived(Peer(16, 1), GET, broadcast=True),
        PeerApduReceived(Peer(16, 2), GET, broadcast=True),
    ]


def test_peers_are_bounded() -> None:
    link = WrapperServerLink((1,), STREAM)
    for sap in range(1, MAX_PEERS + 3):
        link.receive_data(from_client(GET, sap), now=0)
    connected = [event for event in server_events(link) if isinstance(event, PeerConnected)]
    assert len(connected) == MAX_PEERS


def test_silence() -> None:
    link = WrapperServerLink((1,), WrapperParameters(inactivity_timeout=10.0), opened_at=0.0)
    assert link.next_timer() == 10.0
    link.receive_data(from_client(GET), now=5)
    link.receive_data(from_client(GET, 2), now=8)
    assert link.next_timer() == 15.0
    link.handle_timer(now=14)
    link.handle_timer(now=15)
    assert server_events(link)[4:] == [PeerDisconnected(PEER, "inactivity")]
    finished = [link.finished]
    link.handle_timer(now=18)
    assert server_events(link) == [PeerDisconnected(Peer(2, 1), "inactivity")]
    assert [*finished, link.finished] == [False, True]
    assert link.next_timer() is None


def test_silence_from_the_start() -> None:
    link = WrapperServerLink((1,), WrapperParameters(inactivity_timeout=10.0), opened_at=0.0)
    link.handle_timer(now=10)
    assert link.finished
    patient = WrapperServerLink((1,), WrapperParameters(inactivity_timeout=0.0), opened_at=0.0)
    patient.receive_data(from_client(GET), now=0)
    assert patient.next_timer() is None
    patient.handle_timer(now=1e9)
    assert not patient.finished


def test_server_that_says_too_much() -> None:
    link = WrapperServerLink((1,), UDP)
    for wrong in (b"", bytes(65500)):
        with pytest.raises(LocalProtocolError):
            link.send(PEER, wrong, now=0)


@pytest.mark.parametrize("request_", [AARQ, CIPHERED, b"\xd0" + bytes(20), b"\xdb" + bytes(20)])
def test_repeated_datagram_is_answered_as_before(request_: bytes) -> None:
    link = WrapperServerLink((1,), UDP)
    link.receive_data(from_client(request_), now=0)
    link.receive_data(from_client(request_), now=0)  # while the answer is being made
    assert server_events(link) == [PeerConnected(PEER), PeerApduReceived(PEER, request_)]
    link.send(PEER, b"\xc2notification", now=0)
    link.send(PEER, AARE, now=0)
    link.data_to_send()
    link.receive_data(from_client(request_), now=1)
    assert server_events(link) == []
    assert link.data_to_send() == (from_server(AARE),)
    link.receive_data(from_client(GET), now=1)
    link.receive_data(from_client(request_), now=1)
    assert len(server_events(link)) == 2


def test_plain_get_is_done_again() -> None:
    link = WrapperServerLink((1,), UDP)
    for _ in range(2):
        link.receive_data(from_client(GET), now=0)
    assert server_events(link)[1:] == [PeerApduReceived(PEER, GET)] * 2


# -- back to back ---------------------------------------------------------------------------------


class Net:
    """A client and a server with datagrams lost, doubled and late, by script, in virtual time."""

    def __init__(self, faults: list[tuple[float, ...]]) -> None:
        self.now = 0.0
        self.client = up(UDP)
        self.server = WrapperServerLink((1,), UDP)
        self.flying: list[tuple[float, bool, bytes]] = []
        self.faults = deque(faults)
        self.executed: list[bytes] = []

    def carry(self) -> None:
        pieces = [(True, piece) for piece in self.client.data_to_send()]
        pieces += [(False, piece) for piece in self.server.data_to_send()]
        for up_, piece in pieces:
            for delay in self.faults.popleft() if self.faults else (0.01,):
                self.flying.append((self.now + delay, up_, piece))
        for event in server_events(self.server):
            if isinstance(event, PeerApduReceived):
                self.executed.append(event.apdu)
                self.server.send(event.peer, b"\xc4\x01" + event.apdu[2:], now=self.now)

    def ask(self, apdu: bytes) -> LinkEvent:
        self.client.send(apdu, now=self.now)
        for _ in range(1000):
            self.carry()
            if found := self.client.next_event():
                return found
            self.flying.sort(key=lambda entry: entry[0])
            times = [entry[0] for entry in self.flying[:1]]
            times += [timer for timer in (self.client.next_timer(),) if timer is not None]
            self.now = max(self.now, min(times))
            while self.flying and self.flying[0][0] <= self.now:
                _, up_, piece = self.flying.pop(0)
                (self.server if up_ else self.client).receive_data(piece, now=self.now)
            self.client.handle_timer(now=self.now)
        raise AssertionError("no end")


fates = st.sampled_from([(0.01,), (0.01,), (), (0.01, 0.02), (2.5,), (0.01, 5.0), (4.5,)])


@given(st.lists(fates, max_size=30), st.integers(1, 8))
@settings(max_examples=300)
def test_answers_are_those_of_their_requests(script: list[tuple[float, ...]], count: int) -> None:
    net = Net(script)
    for number in range(count):
        request = bytes((0xC0, 1, 0xC0 | number, number))
        event = net.ask(request)
        if isinstance(event, LinkDown):
            assert event.code == "timeout"
            return
        assert event == ApduReceived(b"\xc4\x01" + request[2:])
    assert net.now < 100


def test_a_server_that_restarts_knows_nobody() -> None:
    link = WrapperServerLink()
    link.receive_data(from_client(b"\xc0\x01"), now=0.0)
    link.send(Peer(16, 1), b"\xc4\x01", now=0.0)
    link.forget()
    assert link.data_to_send() == ()
    assert server_events(link) == []
    link.send(Peer(16, 1), b"\xc4\x01", now=0.0)
    assert link.data_to_send() == ()
    link.receive_data(from_client(b"\xc0\x01"), now=0.0)
    assert server_events(link)[0] == PeerConnected(Peer(16, 1))
