"""Secrets at rest: sealed under a key-encryption key and bound to where they belong.

A sealed secret is a version octet, a nonce of 12 octets, and AES-GCM's output with its full tag
of 16 octets.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openami.core.errors import SecurityError

NONCE_SIZE: Final = 12
_VERSION: Final = b"\x01"
_SHORTEST: Final = 1 + NONCE_SIZE + 16
_KEK_SIZES: Final = frozenset({16, 24, 32})


def _cipher(kek: bytes) -> AESGCM:
    if len(kek) not in _KEK_SIZES:
        raise SecurityError(
            "a key-encryption key of 16, 24 or 32 octets wanted", code="security.key"
        )
    return AESGCM(kek)


def seal(kek: bytes, plaintext: bytes, context: bytes, *, nonce: bytes) -> bytes:
    """Return ``plaintext`` sealed for ``context``.

    Args:
        kek: the key-encryption key: 16, 24 or 32 octets.
        plaintext: the secret.
        context: names what the secret is for; ``unseal`` needs the same.
        nonce: 12 octets of chance, never used before with this ``kek``.

    Raises:
        SecurityError: the key or the nonce has another size.
    """
    if len(nonce) != NONCE_SIZE:
        raise SecurityError("a nonce of 12 octets wanted", code="security.nonce")
    return _VERSION + nonce + _cipher(kek).encrypt(nonce, plaintext, _VERSION + context)


def unseal(kek: bytes, sealed: bytes, context: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        SecurityError: it was sealed under another key, for another context, or was changed
            (``security.envelope``).
    """
    if len(sealed) < _SHORTEST or sealed[:1] != _VERSION:
        raise SecurityError("not a sealed secret", code="security.envelope")
    nonce, text = sealed[1 : 1 + NONCE_SIZE], sealed[1 + NONCE_SIZE :]
    try:
        return _cipher(kek).decrypt(nonce, text, _VERSION + context)
    except InvalidTag:
        raise SecurityError(
            "a secret that this key does not open", code="security.envelope"
        ) from None
