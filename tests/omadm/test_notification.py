"""The notification that wakes a device."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError, SecurityError
from openami.omadm.auth import RESYNC_NONCE, Hash
from openami.omadm.notification import MAX_OCTETS, Notification, UiMode, verify

# tests/vectors/omadm/vectors.json says where it is from.
VECTOR = bytes.fromhex("96dfbe3b29d843bf7cf77c5c06920bb302d8000000002a0866756e616d626f6c")


@given(
    st.text(min_size=1, max_size=60).filter(lambda name: ":" not in name),
    st.integers(0, 0xFFFF),
    st.sampled_from(UiMode),
    st.booleans(),
    st.binary(max_size=100),
    st.sampled_from(Hash),
    st.binary(max_size=20),
)
def test_any_notification_both_ways(
    server: str, session: int, mode: UiMode, by_server: bool, vendor: bytes, how: Hash, nonce: bytes
) -> None:
    notification = Notification(server, session, mode, by_server, vendor)
    octets = notification.build("secret", nonce, how)
    assert Notification.parse(octets) == notification
    assert verify(octets, "secret", nonce=nonce, hashes=[how]).notification == notification


@given(st.binary(max_size=200))
def test_any_octets_parse_or_are_refused(octets: bytes) -> None:
    with suppress(DecodeError):
        assert Notification.parse(octets).server_id


def test_every_flipped_bit_is_refused() -> None:
    for at in range(8 * len(VECTOR)):
        flipped = bytearray(VECTOR)
        flipped[at // 8] ^= 0x80 >> at % 8
        with pytest.raises((DecodeError, SecurityError)):
            verify(bytes(flipped), "srvpwd", nonce=b"", hashes=[Hash.MD5])


def refused(octets: bytes, nonce: bytes = b"new", seen: tuple[int, ...] = ()) -> str:
    with pytest.raises(SecurityError) as caught:
        verify(octets, "secret", nonce=nonce, hashes=[Hash.SHA256], seen=seen)
    return caught.value.code


def test_what_is_stale_forged_or_repeated_is_refused() -> None:
    notification = Notification("head-end", 7)
    good = notification.build("secret", b"new")
    assert refused(notification.build("secret", b"old")) == "omadm.notification.digest"
    assert refused(notification.build("wrong", b"new")) == "omadm.notification.digest"
    assert refused(notification.build("secret", b"new", Hash.MD5)) == "omadm.notification.digest"
    assert refused(good, seen=(1, 7)) == "omadm.notification.replayed"
    assert verify(good, "secret", nonce=b"new", hashes=[Hash.SHA256], seen=(1, 2))


def test_a_server_that_lost_the_nonce() -> None:
    octets = Notification("head-end", 7).build("secret", RESYNC_NONCE)
    assert verify(octets, "secret", nonce=b"new", hashes=[Hash.SHA256]).resynchronise
    assert refused(octets, seen=(7,)) == "omadm.notification.replayed"
    # The first nonce of an account may be that one.
    assert not verify(octets, "secret", nonce=RESYNC_NONCE, hashes=[Hash.SHA256]).resynchronise


@pytest.mark.parametrize("name", [b"", b"\xff", b"a:b"])
def test_servers_that_are_none(name: bytes) -> None:
    octets = VECTOR[:23] + bytes([len(name)]) + name
    with pytest.raises(DecodeError):
        Notification.parse(octets)


def test_another_version() -> None:
    with pytest.raises(DecodeError) as caught:
        Notification.parse(VECTOR[:16] + b"\x03\x00" + VECTOR[18:])
    assert caught.value.code == "omadm.notification.version"


def test_bounds() -> None:
    with pytest.raises(DecodeError):
        Notification.parse(VECTOR + bytes(MAX_OCTETS))
    for wrong in (
        Notification("", 1),
        Notification("x" * 256, 1),
        Notification("x", 0x10000),
        Notification("x", 1, vendor=bytes(MAX_OCTETS)),
    ):
        with pytest.raises(LocalProtocolError):
            wrong.trigger()
