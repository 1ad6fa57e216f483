"""AES key wrap (RFC 3394), as DLMS transfers keys."""

from __future__ import annotations

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from openami.core.errors import SecurityError


def wrap(kek: bytes, key: bytes) -> bytes:
    """Return ``key`` (a multiple of 8 octets, at least 16) wrapped by ``kek``: 8 octets longer.

    Raises:
        SecurityError: a key has another size (``security.key``).
    """
    try:
        return aes_key_wrap(kek, key)
    except ValueError:
        raise SecurityError("a key that can't be wrapped, or wrap", code="security.key") from None


def unwrap(kek: bytes, wrapped: bytes) -> bytes:
    """Return the key that ``wrap`` wrapped.

    Raises:
        SecurityError: it was not wrapped by ``kek`` (``security.key-wrap``), or ``kek`` has a size
            that no key has (``security.key``).
    """
    try:
        return aes_key_unwrap(kek, wrapped)
    except InvalidUnwrap:
        raise SecurityError("not a key wrapped by this one", code="security.key-wrap") from None
    except ValueError:
        raise SecurityError("a key that can't unwrap", code="security.key") from None
