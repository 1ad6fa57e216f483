"""EAX' before published vectors both ways, and all that it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import SecurityError
from openami.crypto.eax import TAG_SIZE, EaxPrime

if TYPE_CHECKING:
    from collections.abc import Callable

h = bytes.fromhex

# ANSI C12.22's examples: key, cleartext, plaintext, ciphertext, tag.
KEY = h("01020304050607080102030405060708")
VECTORS = [
    (
        KEY,
        h(
            "a20c060a607c86f7540116001702a703020104a803020102ac0fa20da00ba10980010281"
            "0448e99388be19281781159aa60d060b607c86f7540116001782110248e99388"
        ),
        h("54454d500b40000700051a00000200e4"),
        h("4031cc957d4edf9a357f3db0fa9fe838"),
        h("6555c029"),
    ),
    (
        KEY,
        h(
            "a20c060a607c86f7540116007b02a703020104a803020102ac0fa20da00ba10980010281"
            "0448f3d2f8be19281781159aa60d060b607c86f7540116007b82110248f3d2f8"
        ),
        h("54454d500b40000700051a00000200e4"),
        h("8d2fbb7a0a8c4d40edaa10a46431c9b8"),
        h("fec6d9e8"),
    ),
    (
        h("102030405060708090a0b0c0d0e0f000"),
        h(
            "a20e060c6086480186fc2f811caa4e01a806020439a00ebbac0fa20da00ba10980010081"
            "044bcee2c3be252823812188a60a06082b06010401828563004bcee2c3"
        ),
        h("17513030303030303030303030303030303030303030000003300001"),
        h("9cf32c7ec24c250be7b0749feee71a220d0eee976ec23dbf0caa08ea"),
        h("00543e66"),
    ),
]
CLEARTEXT = bytes(17)


@pytest.mark.parametrize(("key", "cleartext", "plaintext", "cipher", "tag"), VECTORS)
def test_vectors_both_ways(
    key: bytes, cleartext: bytes, plaintext: bytes, cipher: bytes, tag: bytes
) -> None:
    eax = EaxPrime(key)
    assert eax.seal(cleartext, plaintext) == cipher + tag
    assert eax.open(cleartext, cipher + tag) == plaintext


@given(st.binary(max_size=70), st.binary(min_size=17, max_size=50), st.data())
@settings(max_examples=60, deadline=None)
def test_any_changed_bit_is_refused(text: bytes, cleartext: bytes, data: st.DataObject) -> None:
    eax = EaxPrime(KEY)
    sealed = eax.seal(cleartext, text)
    assert len(sealed) == len(text) + TAG_SIZE
    assert eax.open(cleartext, sealed) == text
    whole = bytearray(cleartext + sealed)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SecurityError) as caught:
        eax.open(bytes(whole[: len(cleartext)]), bytes(whole[len(cleartext) :]))
    assert caught.value.code == "security.tag"


def test_what_is_authenticated_only() -> None:
    eax = EaxPrime(KEY)
    signed = eax.sign(CLEARTEXT, b"text")
    assert signed[:4] == b"text"
    assert eax.verify(CLEARTEXT, signed) == b"text"
    assert eax.seal(CLEARTEXT, b"") == eax.sign(CLEARTEXT, b"")
    # Where the cleartext ends is for the message to say: the tag is over both as one.
    assert eax.sign(CLEARTEXT + b"te", b"xt")[-TAG_SIZE:] == signed[-TAG_SIZE:]
    for cleartext, found in ((CLEARTEXT + b"\0", signed), (CLEARTEXT, signed[1:])):
        with pytest.raises(SecurityError, match="tag is not right"):
            eax.verify(cleartext, found)


@pytest.mark.parametrize("size", [0, 3])
def test_nothing_shorter_than_a_tag(size: int) -> None:
    with pytest.raises(SecurityError, match="no authentication tag"):
        EaxPrime(KEY).open(CLEARTEXT, bytes(size))
    with pytest.raises(SecurityError, match="no authentication tag"):
        EaxPrime(KEY).verify(CLEARTEXT, bytes(size))


@pytest.mark.parametrize("size", [0, 1, 15, 16])
def test_one_block_of_cleartext_is_refused_before_any_cipher_runs(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was not, tags could be forged without the key (eprint 2012/018)."""
    eax = EaxPrime(KEY)
    monkeypatch.setattr(Cipher, "encryptor", lambda _: pytest.fail("a cipher ran"))
    calls: tuple[Callable[[], bytes], ...] = (
        lambda: eax.seal(bytes(size), b"text"),
        lambda: eax.open(bytes(size), bytes(20)),
        lambda: eax.sign(bytes(size), bytes(20)),
        lambda: eax.verify(bytes(size), bytes(20)),
    )
    for call in calls:
        with pytest.raises(SecurityError) as caught:
            call()
        assert caught.value.code == "security.nonce"


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_keys_of_other_sizes(size: int) -> None:
    with pytest.raises(SecurityError) as caught:
        EaxPrime(bytes(size))
    assert caught.value.code == "security.key"


def test_a_key_is_in_no_repr() -> None:
    eax = EaxPrime(b"sixteen octets!!")
    assert "sixteen" not in repr(eax)
    assert b"sixteen octets!!".hex() not in repr(eax)
