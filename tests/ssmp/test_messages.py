"""The messages and the bootstrap block, both ways, cut, tampered with and made of anything."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError
from openami.ssmp import messages as m
from openami.ssmp.bootstrap import BLOCK, BootstrapBlock, address_in

BLOCK_1 = BootstrapBlock(
    server_id="openami.example",
    server_password="S" * 22,
    server_url="https://dm.example:8443/dm",
    client_id="dcu-D1",
    client_password="C" * 128,
    not_before=1_800_000_000,
    not_after=1_800_604_800,
    address=IPv4Address("192.0.2.7"),
    port=8443,
)
E, G, D = bytes(range(16)), bytes(range(16, 32)), bytes(32)
INFO = m.DeviceInfo("OpenAMI", "OA-DCU", "1", "0.2 β")
MESSAGES: tuple[m.Message, ...] = (
    m.Register(E, "D1", INFO, b"csr"),
    m.Approved(E, G),
    m.Pending(E, 60),
    m.Refused(E, m.Reason.TWICE, m.MAX_RETRY),
    m.Fetch(E, G),
    m.Bootstrap(E, G, BLOCK_1, (b"leaf", b"authority")),
    m.Acknowledge(E, G, D),
    m.Confirmed(E, D),
    m.Renew(E, b"csr"),
    m.Renewed(E, (b"leaf",)),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_both_ways_cut_and_with_more(message: m.Message) -> None:
    octets = m.encode(message)
    assert m.decode(octets) == message
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            m.decode(octets[:size])
    with pytest.raises(DecodeError):
        m.decode(octets + b"\0")
    # A body that is longer than its fields.
    longer = octets[:22] + (len(octets) - 24 + 1).to_bytes(2, "big") + octets[24:] + b"\0"
    with pytest.raises(DecodeError):
        m.decode(longer)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_no_message_shows_a_secret(message: m.Message) -> None:
    secrets = (G, BLOCK_1.server_password, BLOCK_1.client_password)
    shown = (str(message), repr(message))
    assert not any(part in text for text in shown for part in (repr(s)[2:-1] for s in secrets))


def test_octets_of_the_document() -> None:
    """The example of docs/ssmp.md."""
    assert m.encode(m.Pending(E, 300)).hex() == (
        "53534d500103000102030405060708090a0b0c0d0e0f00040000012c"
    )


def test_block_fields_stand_where_the_paper_has_them() -> None:
    octets = BLOCK_1.encode()
    assert len(octets) == BLOCK == 820
    fields, at = [], 0
    for size in (16, 6, 128, 128, 256, 128, 128, 30):
        fields.append(octets[at : at + size])
        at += size
    assert fields[0] == bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7])
    assert fields[1] == b"8443\0\0"
    assert fields[2].rstrip(b"\0") == b"openami.example"
    assert fields[3].rstrip(b"\0") == b"S" * 22
    assert fields[4].rstrip(b"\0") == b"https://dm.example:8443/dm"
    assert fields[5].rstrip(b"\0") == b"dcu-D1"
    assert fields[6] == b"C" * 128
    assert fields[7] == b"20270115080000Z20270122080000Z"
    assert BootstrapBlock.decode(octets) == BLOCK_1


@pytest.mark.parametrize(
    ("address", "port"),
    [(None, None), (IPv6Address("2001:db8::1"), 443), (IPv4Address("10.0.0.1"), 65535)],
)
def test_address_is_optional_and_of_either_kind(
    address: IPv4Address | IPv6Address | None, port: int | None
) -> None:
    block = replace(BLOCK_1, address=address, port=port)
    assert BootstrapBlock.decode(block.encode()) == block


@pytest.mark.parametrize(
    "wrong",
    [
        {"server_id": ""},
        {"server_id": "a+b"},
        {"server_id": "a:b"},
        {"client_id": "a:b"},
        {"client_id": "x" * 129},
        {"server_password": "short"},
        {"client_password": "p" * 129},
        {"client_password": "with:colon" * 3},
        {"client_password": "S" * 22},
        {"server_url": "http://dm.example/"},
        {"server_url": "https:///dm"},
        {"server_url": "https://user:pw@dm.example/"},
        {"server_url": "https://dm.example:99999/"},
        {"server_url": "https://dm.example/ü"},
        {"server_url": "https://dm.example/" + "x" * 256},
        {"port": None},
        {"port": 65536},
        {"address": None},
        {"address": IPv4Address("0.0.0.0")},
        {"address": IPv6Address("ff02::1")},
        {"address": IPv6Address("::ffff:10.0.0.1")},
        {"not_after": BLOCK_1.not_before},
        {"not_before": -1},
        {"not_after": 253_402_300_800},
    ],
)
def test_blocks_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="of a bootstrap block"):
        replace(BLOCK_1, **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_block_errors_do_not_tell_the_secret() -> None:
    assert "SSSS" not in repr(BLOCK_1)
    octets = bytearray(BLOCK_1.encode())
    octets[150 + 30] = ord("x")  # text after the zeros of the server's password
    with pytest.raises(DecodeError) as caught:
        BootstrapBlock.decode(bytes(octets))
    octets = bytearray(BLOCK_1.encode())
    octets[150 + 5] = ord('"')
    with pytest.raises(DecodeError) as also:
        BootstrapBlock.decode(bytes(octets))
    assert "SSSS" not in str(caught.value) + str(also.value)


@pytest.mark.parametrize(
    ("at", "field"),
    [
        (16, b"08443\0"),
        (16, b"x\0\0\0\0\0"),
        (790, b"20271315080000Z"),
        (790, b"2027 115080000Z"),
        (790, b"20270115080060Z"),
    ],
)
def test_blocks_with_a_wrong_field(at: int, field: bytes) -> None:
    octets = BLOCK_1.encode()
    with pytest.raises(DecodeError):
        BootstrapBlock.decode(octets[:at] + field + octets[at + len(field) :])


@pytest.mark.parametrize(
    "message",
    [
        m.Register(E, "D1", INFO, b""),
        m.Register(E, "D1", INFO, bytes(m.MAX_REQUEST + 1)),
        m.Register(E, "not a serial", INFO, b"csr"),
        m.Register(b"short", "D1", INFO, b"csr"),
        m.Pending(E, 0),
        m.Pending(E, m.MAX_RETRY + 1),
        m.Approved(E, b""),
        m.Renewed(E, ()),
        m.Renewed(E, (b"x",) * (m.MAX_CHAIN + 1)),
        m.Renewed(E, (bytes(m.MAX_CERTIFICATE + 1),)),
    ],
)
def test_what_is_out_of_bounds_is_not_sent(message: m.Message) -> None:
    with pytest.raises((DecodeError, ValueError)):
        m.encode(message)


@pytest.mark.parametrize("text", ["x" * 65, "a\nb"])
def test_device_info_is_short_and_printable(text: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        m.DeviceInfo(text, "", "", "")


def test_other_headers() -> None:
    octets = m.encode(m.Pending(E, 60))
    for at, value in ((0, b"X"), (5, b"\0"), (5, b"\x0b")):
        with pytest.raises(DecodeError):
            m.decode(octets[:at] + value + octets[at + 1 :])
    with pytest.raises(DecodeError) as caught:
        m.decode(octets[:4] + b"\2" + octets[5:])
    assert caught.value.code == "protocol.version"
    with pytest.raises(DecodeError):
        m.decode(octets[:4] + bytes(m.MAX_MESSAGE))
    with pytest.raises(DecodeError):  # a text too long, one that is no text, a reason without name
        m.decode(b"SSMP\1\1" + E + b"\0\1\x41")
    with pytest.raises(DecodeError):
        m.decode(b"SSMP\1\1" + E + b"\0\2\1\xff")
    with pytest.raises(DecodeError):
        m.decode(b"SSMP\1\4" + E + b"\0\5\xff\0\0\0\1")


@given(st.sampled_from(MESSAGES), st.data())
def test_flipped_octets_give_a_message_or_the_one_error(
    message: m.Message, data: st.DataObject
) -> None:
    octets = bytearray(m.encode(message))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(DecodeError):
        assert m.encode(m.decode(bytes(octets))) == octets


@given(st.integers(0, 255), st.binary(max_size=900))
def test_anything_gives_a_message_or_the_one_error(kind: int, body: bytes) -> None:
    octets = b"SSMP\1" + bytes([kind]) + E + len(body).to_bytes(2, "big") + body
    with contextlib.suppress(DecodeError):
        assert m.encode(m.decode(octets)) == octets


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("https://dm.example:8444/dm", None, None),
        ("https://192.0.2.7:8444/dm", IPv4Address("192.0.2.7"), 8444),
        ("https://[2001:db8::1]/dm", IPv6Address("2001:db8::1"), 443),
        ("https://[::ffff:192.0.2.7]:1/dm", IPv4Address("192.0.2.7"), 1),
        ("https://192.0.2.7:99999/dm", None, None),
        ("/dm", None, None),
    ],
)
def test_an_address_in_a_url(
    url: str, address: IPv4Address | IPv6Address | None, port: int | None
) -> None:
    assert address_in(url) == (address, port)
