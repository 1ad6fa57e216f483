"""Published values, both ways; beside each stands where it is from."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from openami.core.errors import DecodeError, SecurityError
from openami.omadm import auth, notification
from openami.omadm.auth import (
    Credentials,
    Hash,
    HmacHeader,
    basic,
    check_basic,
    check_digest,
    digest,
    mac,
)
from openami.omadm.bootstrap import seal as sealing
from openami.omadm.bootstrap.seal import Method, check_seal, seal
from openami.omadm.notification import Notification, verify

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = dict[str, Any]
PATH = Path(__file__).parents[1] / "vectors" / "omadm" / "vectors.json"
VECTORS: list[Vector] = json.loads(PATH.read_text("utf-8"))


def parts(vector: Vector) -> tuple[Credentials, bytes, Hash]:
    name, password = vector["account"]
    return Credentials(name, password), b64decode(vector["nonce"]), Hash(vector["algorithm"])


def check_basic_vector(vector: Vector) -> None:
    who = Credentials(*vector["account"])
    assert basic(who) == vector["value"]
    assert check_basic(vector["value"], who)


def check_digest_vector(vector: Vector) -> None:
    assert digest(*parts(vector)) == vector["value"]
    assert check_digest(vector["value"], *parts(vector))


def check_mac_vector(vector: Vector) -> None:
    """The standard's is plain concatenation; RFC 2104 in its place is a known mistake."""
    who, nonce, how = parts(vector)
    body = vector["body"].encode()
    assert b64encode(mac(who, nonce, body, how)).decode() == vector["value"]
    assert HmacHeader(who.name, b64decode(vector["value"]), how).check(who, nonce, body)
    if "mistake" in vector:
        assert not HmacHeader(who.name, b64decode(vector["mistake"]), how).check(who, nonce, body)


def check_header_vector(vector: Vector) -> None:
    header = HmacHeader.parse(vector["value"])
    assert (header.username, header.mac) == (vector["username"], vector["mac"].encode())
    assert str(header) == vector["value"]


def check_notification_vector(vector: Vector) -> None:
    who, nonce, how = parts(vector)
    octets = bytes.fromhex(vector["value"])
    said = Notification(who.name, vector["session"])
    assert Notification.parse(octets) == said
    assert said.build(who.password, nonce, how) == octets
    assert verify(octets, who.password, nonce=nonce, hashes=[how]).notification == said
    for size in range(len(octets)):
        with pytest.raises(DecodeError):
            Notification.parse(octets[:size])


def check_seal_vector(vector: Vector) -> None:
    body, key = vector["body"].encode(), vector["key"].encode()
    header = seal("a/b", body, Method.PIN, key)
    assert header == f"a/b; SEC=USERPIN; MAC={vector['value'].upper()}"
    assert check_seal(header, body, Method.PIN, key) == "a/b"


CHECKS: dict[str, Callable[[Vector], None]] = {
    "basic": check_basic_vector,
    "digest": check_digest_vector,
    "mac": check_mac_vector,
    "header": check_header_vector,
    "notification": check_notification_vector,
    "seal": check_seal_vector,
}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vector(vector: Vector) -> None:
    assert vector["source"]
    CHECKS[vector["kind"]](vector)


@pytest.mark.parametrize("right", [True, False])
def test_every_proof_is_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    """All of them, and by ``crypto.compare`` alone: what it says holds, and nothing else does."""
    compared: list[tuple[bytes, bytes]] = []

    def equal(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return right

    for module in (auth, notification, sealing):
        monkeypatch.setattr(module, "equal", equal)
    who = Credentials("Bruce2", "OhBehave")
    assert check_basic("x", who) is right
    assert check_digest("x", who, b"n", Hash.SHA256) is right
    assert HmacHeader("x", b"x", Hash.SHA256).check(who, b"n", b"body") is right
    octets = Notification("head-end", 1).build("a", b"n")
    if right:
        assert check_seal(f"a/b; SEC=USERPIN; MAC={'0' * 40}", b"", Method.PIN, b"k") == "a/b"
        assert verify(octets, "b", nonce=b"n", hashes=[Hash.SHA256])
    else:
        good = seal("a/b", b"", Method.PIN, b"k")
        with pytest.raises(SecurityError):
            check_seal(good, b"", Method.PIN, b"k")
        with pytest.raises(SecurityError):
            verify(octets, "a", nonce=b"n", hashes=[Hash.SHA256])
    kinds = {(len(one), len(other)) for one, other in compared}
    assert {(1, 20), (1, 44), (1, 32), (20, 20), (16, 16)} <= kinds
