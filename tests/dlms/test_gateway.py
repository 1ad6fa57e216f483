"""The gateway's prefix, and the client's way through a gateway."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError
from openami.dlms.gateway import MAX_ADDRESS, GatewayClientLink, Prefixed
from openami.dlms.link import ApduReceived, LinkDown, LinkUp
from openami.dlms.wrapper import Packet, WrapperClientLink, WrapperParameters

SERIAL = b"OAM00000001"

VECTORS = (
    ("E6 00 0B 4F414D3030303030303031 C0 01 C1", Prefixed(False, SERIAL, b"\xc0\x01\xc1")),
    ("E7 00 0B 4F414D3030303030303031 C4", Prefixed(True, SERIAL, b"\xc4")),
    ("E6 FF 01 31 60", Prefixed(False, b"1", b"\x60", 0xFF)),
)


@pytest.mark.parametrize(("text", "prefixed"), VECTORS)
def test_vector_both_ways_and_cut(text: str, prefixed: Prefixed) -> None:
    octets = bytes.fromhex(text)
    assert Prefixed.decode(octets) == prefixed
    assert prefixed.encode() == octets
    for size in range(len(octets) - len(prefixed.apdu) + 1):
        with pytest.raises(DecodeError):
            Prefixed.decode(octets[:size])


@pytest.mark.parametrize(
    ("text", "offset"),
    [("60 00 01 31 60", 0), ("E6 00 00 60", 2), ("E6 00 21" + "31" * 33 + "60", 2), ("E7", 1)],
)
def test_what_is_no_prefix_is_refused_where_it_is_wrong(text: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        Prefixed.decode(bytes.fromhex(text))
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "wrong",
    [
        Prefixed(False, b"", b"\x60"),
        Prefixed(False, b"1" * (MAX_ADDRESS + 1), b"\x60"),
        Prefixed(True, SERIAL, b""),
        Prefixed(False, SERIAL, b"\x60", 256),
    ],
)
def test_what_does_not_fit_is_not_sent(wrong: Prefixed) -> None:
    with pytest.raises(LocalProtocolError):
        wrong.encode()


@given(st.binary(max_size=80))
def test_decoding_anything_gives_one_or_the_one_error(octets: bytes) -> None:
    try:
        found = Prefixed.decode(octets)
    except DecodeError:
        return
    assert found.encode() == octets


def made(*, datagrams: bool = False) -> GatewayClientLink:
    inner = WrapperClientLink(0x30, 1, WrapperParameters(datagrams=datagrams, response_timeout=5))
    link = GatewayClientLink(inner, SERIAL)
    link.connect(now=0.0)
    assert link.next_event() == LinkUp(0xFFFF - 3 - len(SERIAL))
    return link


def sent(link: GatewayClientLink) -> Prefixed:
    (octets,) = link.data_to_send()
    packet = Packet.decode(octets)
    assert (packet.source, packet.destination) == (0x30, 1)
    return Prefixed.decode(packet.apdu)


def answered(link: GatewayClientLink, prefixed: bytes) -> None:
    for octet in Packet(1, 0x30, prefixed).encode():
        link.receive_data(bytes([octet]), now=1.0)


def test_a_request_goes_out_and_its_answer_comes_in() -> None:
    link = made()
    link.send(b"\xc0\x01", now=0.0)
    assert sent(link) == Prefixed(False, SERIAL, b"\xc0\x01")
    assert link.next_timer() == 5.0
    answered(link, Prefixed(True, SERIAL, b"\xc4\x01").encode())
    assert link.next_event() == ApduReceived(b"\xc4\x01")
    assert link.next_event() is None
    link.disconnect(now=2.0)
    assert link.next_event() == LinkDown("disconnected")


@pytest.mark.parametrize(
    "answer",
    [
        b"\xc4\x01",
        Prefixed(True, b"OAM00000002", b"\xc4").encode(),
        Prefixed(False, SERIAL, b"\xc4").encode(),
    ],
)
def test_an_answer_that_is_not_this_meters_ends_the_link(answer: bytes) -> None:
    link = made()
    link.send(b"\xc0", now=0.0)
    answered(link, answer)
    event = link.next_event()
    assert isinstance(event, LinkDown)
    assert event.code == "protocol"
    assert link.next_event() is None
    with pytest.raises(LocalProtocolError):
        link.send(b"\xc0", now=2.0)


def test_silence_and_the_end_of_the_connection_are_told() -> None:
    link = made()
    link.send(b"\xc0", now=0.0)
    link.handle_timer(now=5.0)
    assert link.next_event() == LinkDown("timeout", "no answer")
    link.connect(now=6.0)
    link.next_event()
    link.receive_eof(now=7.0)
    assert link.next_event() == LinkDown("closed", "the connection was closed")
