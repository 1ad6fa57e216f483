"""Native addresses: RFC 6142's six forms, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.vectors import attempt

from openami.c1222.native import MULTICAST_IPV4, MULTICAST_IPV6, NativeAddress, Transport
from openami.core.errors import DecodeError

V6 = "20010db8000000000000000000000001"


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("c0a80164", "192.168.1.100:1153"),
        ("c0a801640481", "192.168.1.100:1153"),
        ("c0a801640482" + "06", "192.168.1.100:1154/tcp"),
        (V6, "[2001:db8::1]:1153"),
        (V6 + "0482", "[2001:db8::1]:1154"),
        (V6 + "0481" + "11", "[2001:db8::1]:1153/udp"),
    ],
)
def test_the_six_forms_both_ways(octets: str, text: str) -> None:
    address = NativeAddress.decode(bytes.fromhex(octets))
    assert str(address) == text
    assert address.encode().hex() == octets


def test_a_port_of_nothing_says_nothing() -> None:
    address = NativeAddress.decode(bytes.fromhex("c0a80164000011"))
    assert address.encode().hex() == "c0a80164"
    for port in (0, -1, 0x10000):
        with pytest.raises(ValueError, match="a port is"):
            NativeAddress.of("192.0.2.1", port)


@pytest.mark.parametrize(
    "octets", ["", "c0a801", "c0a8016404", "c0a80164048101", V6 + "04", V6 + "04810000"]
)
def test_no_addresses(octets: str) -> None:
    with pytest.raises(DecodeError):
        NativeAddress.decode(bytes.fromhex(octets))


def test_from_text() -> None:
    assert str(NativeAddress.of("192.0.2.1", transport=Transport.UDP)) == "192.0.2.1:1153/udp"
    assert NativeAddress.of(MULTICAST_IPV4).host.is_multicast
    assert NativeAddress.of(MULTICAST_IPV6).host.is_multicast
    with pytest.raises(ValueError, match="does not appear"):
        NativeAddress.of("meter.example")


@given(st.binary(max_size=24))
def test_any_octets_are_one_address_or_the_one_error(octets: bytes) -> None:
    address = attempt(NativeAddress.decode, octets)
    if not isinstance(address, DecodeError):
        assert NativeAddress.decode(address.encode()) == address
