"""Credentials, digests and MACs."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openami.core.errors import DecodeError, LocalProtocolError, SecurityError
from openami.omadm.auth import (
    MAX_HEADER,
    AuthPolicy,
    AuthType,
    Credentials,
    Hash,
    HmacHeader,
    Scheme,
    basic,
    check_basic,
    check_digest,
    digest,
    sign,
)

# OMA-TS-DM_Security 1.2's example account.
BRUCE = Credentials("Bruce2", "OhBehave")
BODY = b"hello body"


@pytest.mark.parametrize("how", Hash)
def test_what_is_right_holds_and_nothing_else(how: Hash) -> None:
    other = Credentials("Bruce2", "OhBehave!")
    value = digest(BRUCE, b"n", how)
    assert check_digest(f" {value}\n", BRUCE, b"n", how)
    assert not check_digest(value, BRUCE, b"m", how)
    assert not check_digest(value, other, b"n", how)
    assert not check_digest(None, BRUCE, b"n", how)
    assert check_basic(basic(BRUCE), BRUCE)
    assert not check_basic(basic(other), BRUCE)
    assert not check_basic("é", BRUCE)
    header = sign(BRUCE, b"n", BODY, how)
    assert header.check(BRUCE, b"n", BODY)
    assert not header.check(BRUCE, b"m", BODY)
    assert not header.check(BRUCE, b"n", BODY + b" ")
    assert not header.check(other, b"n", BODY)
    assert not HmacHeader("Bruce", header.mac, how).check(BRUCE, b"n", BODY)


@pytest.mark.parametrize(
    "text",
    [
        'username="x",mac=AAAA',
        'MAC=AAAA , Username = "x"',
        "mac=AAAA, username=x, algorithm=md5",
    ],
)
def test_header_as_others_write_it(text: str) -> None:
    assert HmacHeader.parse(text) == HmacHeader("x", bytes(3), Hash.MD5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mac=AAAA",
        'username="x"',
        'username="x", mac=AAA',
        'username="x", mac=é',
        'username="x", mac=AA!A',
        'username="x", mac=AAAA, mac=AAAA',
        'username="x, mac=AAAA',
        'username="x" mac=AAAA',
        'username="x", mac=AAAA, algorithm=SHA1',
        'username="' + "x" * MAX_HEADER + '", mac=AAAA',
    ],
)
def test_header_that_is_none(text: str) -> None:
    with pytest.raises(DecodeError):
        HmacHeader.parse(text)


@given(st.text())
def test_any_header_parses_or_is_refused(text: str) -> None:
    with suppress(DecodeError):
        assert HmacHeader.parse(str(HmacHeader.parse(text))) == HmacHeader.parse(text)


@given(st.text(max_size=200), st.binary(max_size=64), st.sampled_from(Hash))
def test_any_header_of_ours_parses(name: str, octets: bytes, how: Hash) -> None:
    header = HmacHeader(name.replace("\n", ""), octets or b"1", how)
    assert HmacHeader.parse(str(header)) == header


def test_names_that_no_scheme_has_room_for() -> None:
    with pytest.raises(LocalProtocolError):
        Credentials("a:b", "c")
    for name in ("é", "a\r\nb"):
        with pytest.raises(SecurityError) as caught:
            sign(Credentials(name, "c"), b"", b"", Hash.MD5)
        assert caught.value.code == "omadm.hmac.name"


def test_a_policy_by_the_labels_of_its_schemes() -> None:
    labels = ["mac-sha256", "digest-sha256", "mac-md5", "digest-md5", "basic"]
    assert [scheme.label for scheme in Scheme] == labels
    assert AuthPolicy.of(labels[::-1]).schemes == tuple(Scheme)  # the best first, as ever
    assert AuthPolicy.of(labels[:2]) == AuthPolicy()
    assert AuthPolicy.of(["basic", "mac-md5"]).labels == ("mac-md5", "basic")
    for wrong in ([], ["MAC-MD5"], ["basic", "x"]):
        with pytest.raises(ValueError, match=", ".join(labels)):
            AuthPolicy.of(wrong)
    assert [len(AuthPolicy.down_to(least).schemes) for least in Scheme] == [1, 2, 3, 4, 5]
    assert AuthPolicy.down_to(Scheme.DIGEST_SHA256) == AuthPolicy()
    assert [AuthPolicy((scheme,)).weak for scheme in Scheme] == [False, False, True, True, True]
    assert AuthPolicy.down_to(Scheme.MAC_MD5).weak


def test_policy() -> None:
    policy = AuthPolicy()
    assert policy.preferred is Scheme.MAC_SHA256
    assert policy.best(AuthType.MAC) is Scheme.MAC_SHA256
    assert policy.best(AuthType.DIGEST) is None
    assert policy.best(None) is None
    assert policy.hashes() == (Hash.SHA256,)
    old = AuthPolicy((Scheme.DIGEST_SHA256, Scheme.MAC_MD5, Scheme.DIGEST_MD5, Scheme.BASIC))
    assert old.best(AuthType.MAC) is Scheme.MAC_MD5
    assert old.hashes() == (Hash.SHA256, Hash.MD5)
    assert AuthPolicy((Scheme.BASIC,)).hashes() == ()
    with pytest.raises(LocalProtocolError):
        AuthPolicy(())


def test_types_in_any_case() -> None:
    assert AuthType.of("syncml:auth-mac") is AuthType.MAC
    assert AuthType.of(" SYNCML:AUTH-MD5") is AuthType.DIGEST
    assert AuthType.of("syncml:auth-none") is None
    assert AuthType.of(None) is None


def test_no_secret_is_shown() -> None:
    assert "OhBehave" not in repr(BRUCE)
    assert "mac=" not in repr(sign(BRUCE, b"", BODY, Hash.MD5))
