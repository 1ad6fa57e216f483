"""AES-GCM as DLMS uses it: tags of 12 octets, and encryption without any (NIST SP 800-38D)."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openami.core.errors import SecurityError
from openami.crypto.compare import equal

TAG_SIZE: Final = 12
NONCE_SIZE: Final = 12
_FULL_TAG: Final = 16
_KEY_SIZES: Final = frozenset({16, 32})


class Gcm:
    """One key, ready to use; it may be kept as long as the key.

    Every nonce has 12 octets and must be used for one message only.

    Raises:
        SecurityError: the key has neither 16 nor 32 octets (``security.key``).
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        if len(key) not in _KEY_SIZES:
            raise SecurityError("a key of 16 or 32 octets wanted", code="security.key")
        self._aead = AESGCM(key)

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Return the ciphertext and its tag over ciphertext and ``aad``."""
        return self._encrypt(nonce, plaintext, aad)[: TAG_SIZE - _FULL_TAG]

    def open(self, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        """Return the plaintext of what ``seal`` returned.

        Raises:
            SecurityError: the tag is not right (``security.tag``).
        """
        if len(sealed) < TAG_SIZE:
            raise SecurityError("no authentication tag", code="security.tag")
        plaintext = self.crypt(nonce, sealed[:-TAG_SIZE])
        tag = self._encrypt(nonce, plaintext, aad)[-_FULL_TAG : TAG_SIZE - _FULL_TAG]
        _check(tag, sealed[-TAG_SIZE:])
        return plaintext

    def tag(self, nonce: bytes, aad: bytes) -> bytes:
        """Return the tag over ``aad`` alone (GMAC)."""
        return self._encrypt(nonce, b"", aad)[:TAG_SIZE]

    def verify(self, nonce: bytes, aad: bytes, tag: bytes) -> None:
        """Check what ``tag`` returned.

        Raises:
            SecurityError: it is not right (``security.tag``).
        """
        _check(self.tag(nonce, aad), tag)

    def crypt(self, nonce: bytes, text: bytes) -> bytes:
        """Encrypt without a tag, or decrypt that: the same exclusive-or with the key stream."""
        return self._encrypt(nonce, text, None)[:-_FULL_TAG]

    def _encrypt(self, nonce: bytes, text: bytes, aad: bytes | None) -> bytes:
        if len(nonce) != NONCE_SIZE:  # the library would hash others into another counter block
            raise SecurityError("a nonce of 12 octets wanted", code="security.nonce")
        return self._aead.encrypt(nonce, text, aad)


def _check(wanted: bytes, found: bytes) -> None:
    if not equal(wanted, found):
        raise SecurityError("the authentication tag is not right", code="security.tag")
