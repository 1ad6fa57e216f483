"""AES-GCM, key wrap, envelopes: published vectors both ways, and all that is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openami.core.errors import SecurityError
from openami.crypto import envelope, keywrap
from openami.crypto.compare import equal
from openami.crypto.gcm import TAG_SIZE, Gcm

h = bytes.fromhex

# NIST GCM test cases 3 and 4 (McGrew and Viega, "The Galois/Counter Mode of Operation", appendix
# B) and 16, tags cut to 12 octets.
NIST_KEY = h("feffe9928665731c6d6a8f9467308308")
NIST_NONCE = h("cafebabefacedbaddecaf888")
NIST_TEXT = h(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
NIST_AAD = h("feedfacedeadbeeffeedfacedeadbeefabaddad2")
NIST_CIPHER = h(
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
)
NIST_TAG = h("5bc94fbc3221a5db94fae95ae7121a47")
NIST_CIPHER_256 = h(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
)
NIST_TAG_256 = h("76fc6ece0f4e1768cddf8853bb2d551b")


@pytest.mark.parametrize(
    ("key", "cipher", "tag"),
    [(NIST_KEY, NIST_CIPHER, NIST_TAG), (NIST_KEY * 2, NIST_CIPHER_256, NIST_TAG_256)],
    ids=["128", "256"],
)
def test_gcm_vectors(key: bytes, cipher: bytes, tag: bytes) -> None:
    gcm = Gcm(key)
    sealed = gcm.seal(NIST_NONCE, NIST_TEXT, NIST_AAD)
    assert sealed == cipher + tag[:TAG_SIZE]
    assert gcm.open(NIST_NONCE, sealed, NIST_AAD) == NIST_TEXT
    assert gcm.crypt(NIST_NONCE, NIST_TEXT) == cipher
    assert gcm.crypt(NIST_NONCE, cipher) == NIST_TEXT


def test_gmac_vector() -> None:
    """NIST GCM test case 1: nothing ciphered, nothing authenticated."""
    gcm = Gcm(bytes(16))
    assert gcm.tag(bytes(12), b"") == h("58e2fccefa7e3061367f1d57a4e7455a")[:TAG_SIZE]
    gcm.verify(bytes(12), b"", h("58e2fccefa7e3061367f1d57"))


@given(st.binary(max_size=70), st.binary(max_size=40), st.data())
@settings(max_examples=60, deadline=None)
def test_any_changed_bit_is_refused(text: bytes, aad: bytes, data: st.DataObject) -> None:
    gcm = Gcm(NIST_KEY)
    sealed = bytearray(gcm.seal(NIST_NONCE, text, aad))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SecurityError) as caught:
        gcm.open(NIST_NONCE, bytes(sealed), aad)
    assert caught.value.code == "security.tag"


@pytest.mark.parametrize("size", [0, 11])
def test_nothing_shorter_than_a_tag(size: int) -> None:
    with pytest.raises(SecurityError, match="no authentication tag"):
        Gcm(NIST_KEY).open(NIST_NONCE, bytes(size), b"")


def test_another_tag_another_aad_another_nonce() -> None:
    gcm = Gcm(NIST_KEY)
    tag = gcm.tag(NIST_NONCE, b"aad")
    for nonce, aad, found in (
        (NIST_NONCE, b"aae", tag),
        (bytes(12), b"aad", tag),
        (NIST_NONCE, b"aad", tag[:-1]),
        (NIST_NONCE, b"aad", b""),
    ):
        with pytest.raises(SecurityError, match="tag is not right"):
            gcm.verify(nonce, aad, found)


@pytest.mark.parametrize("size", [0, 15, 17, 24, 33])
def test_keys_of_other_sizes(size: int) -> None:
    with pytest.raises(SecurityError) as caught:
        Gcm(bytes(size))
    assert caught.value.code == "security.key"


@pytest.mark.parametrize("size", [0, 8, 11, 13, 16])
def test_nonces_of_other_sizes(size: int) -> None:
    with pytest.raises(SecurityError) as caught:
        Gcm(NIST_KEY).crypt(bytes(size), b"text")
    assert caught.value.code == "security.nonce"


def test_a_key_is_in_no_repr() -> None:
    gcm = Gcm(b"sixteen octets!!")
    assert "sixteen" not in repr(gcm)
    assert b"sixteen octets!!".hex() not in repr(gcm)


# RFC 3394, 4.1 to 4.6; the first is also that of the Green Book's key transfer.
KEYWRAP = [
    (
        "000102030405060708090A0B0C0D0E0F",
        "00112233445566778899AABBCCDDEEFF",
        "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5",
    ),
    (
        "000102030405060708090A0B0C0D0E0F1011121314151617",
        "00112233445566778899AABBCCDDEEFF",
        "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D",
    ),
    (
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
        "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
    ),
]


@pytest.mark.parametrize(("kek", "key", "wrapped"), KEYWRAP, ids=["4.1", "4.2", "4.6"])
def test_key_wrap_vectors(kek: str, key: str, wrapped: str) -> None:
    assert keywrap.wrap(h(kek), h(key)) == h(wrapped)
    assert keywrap.unwrap(h(kek), h(wrapped)) == h(key)


def test_key_wrap_refuses() -> None:
    kek, wrapped = h(KEYWRAP[0][0]), h(KEYWRAP[0][2])
    for bad in (wrapped[:-1] + b"\x00", wrapped[:-8], wrapped[:-1], b""):
        with pytest.raises(SecurityError) as caught:
            keywrap.unwrap(kek, bad)
        assert caught.value.code == "security.key-wrap"
    with pytest.raises(SecurityError) as caught:
        keywrap.unwrap(bytes(16), wrapped)
    assert caught.value.code == "security.key-wrap"
    for wrapper, key in ((b"short", bytes(16)), (kek, bytes(9))):
        with pytest.raises(SecurityError) as caught:
            keywrap.wrap(wrapper, key)
        assert caught.value.code == "security.key"
    with pytest.raises(SecurityError) as caught:
        keywrap.unwrap(b"short", wrapped)
    assert caught.value.code == "security.key"


KEK = bytes(range(32))
NONCE = bytes(range(12))


def test_envelopes_open_only_for_their_context_and_key() -> None:
    sealed = envelope.seal(KEK, b"swordfish", b"meter 1 guek", nonce=NONCE)
    assert b"swordfish" not in sealed
    assert envelope.unseal(KEK, sealed, b"meter 1 guek") == b"swordfish"
    for kek, text, context in (
        (KEK, sealed, b"meter 2 guek"),
        (bytes(32), sealed, b"meter 1 guek"),
        (KEK, sealed[:-1], b"meter 1 guek"),
        (KEK, b"\x02" + sealed[1:], b"meter 1 guek"),
        (KEK, b"", b"meter 1 guek"),
    ):
        with pytest.raises(SecurityError) as caught:
            envelope.unseal(kek, text, context)
        assert caught.value.code == "security.envelope"
        assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_envelopes_take_every_aes_key(size: int) -> None:
    sealed = envelope.seal(bytes(size), b"", b"", nonce=NONCE)
    assert envelope.unseal(bytes(size), sealed, b"") == b""


def test_envelopes_refuse_other_sizes() -> None:
    with pytest.raises(SecurityError) as caught:
        envelope.seal(b"short", b"", b"", nonce=NONCE)
    assert caught.value.code == "security.key"
    with pytest.raises(SecurityError) as caught:
        envelope.seal(KEK, b"", b"", nonce=b"")
    assert caught.value.code == "security.nonce"


def test_comparison() -> None:
    assert equal(b"same", b"same")
    assert not equal(b"same", b"sane")
    assert not equal(b"same", b"samesame")
