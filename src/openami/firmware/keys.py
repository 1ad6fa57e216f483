"""The keys that sign meter images: ECDSA on P-256 over SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from openami.core.errors import ConfigError

# SHA-256 of what is to be signed → the signature in DER. The key may rest in another machine.
Signer = Callable[[bytes], bytes]

MAX_SIGNATURE: Final = 72  # octets of DER: two integers of 33, their heads and the sequence's
_CODE: Final = "config.firmware-key"
_DIGEST: Final = utils.Prehashed(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class ImageKey:
    """A public key that images are checked with.

    Raises:
        ConfigError: the key is on another curve than P-256 (``config.firmware-key``).
    """

    public: ec.EllipticCurvePublicKey

    def __post_init__(self) -> None:
        if not isinstance(self.public.curve, ec.SECP256R1):
            raise _unusable()

    @property
    def id(self) -> bytes:
        """SHA-256 of its SubjectPublicKeyInfo: what an image's KEYHASH names it by."""
        return hashlib.sha256(self._der()).digest()

    def verifies(self, digest: bytes, signature: bytes) -> bool:
        """Tell whether the signature over a SHA-256 digest is this key's."""
        try:
            self.public.verify(signature, digest, ec.ECDSA(_DIGEST))
        except InvalidSignature:
            return False
        return True

    def _der(self) -> bytes:
        return self.public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def pem(self) -> bytes:
        """Return what ``from_pem`` reads."""
        return self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def from_pem(cls, text: bytes) -> Self:
        """Read a public key in PEM.

        Raises:
            ConfigError: it is none on P-256 (``config.firmware-key``).
        """
        try:
            key = serialization.load_pem_public_key(text)
        except (ValueError, UnsupportedAlgorithm):
            raise _unusable() from None
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise _unusable()
        return cls(key)


def signer(key: ec.EllipticCurvePrivateKey) -> Signer:
    """Return what signs with a key in this process: the same digest always gets the same octets."""

    def sign(digest: bytes) -> bytes:
        return key.sign(digest, ec.ECDSA(_DIGEST, deterministic_signing=True))  # RFC 6979

    return sign


def private_key(text: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a private key in PEM, as imgtool and ``signer`` want it.

    Raises:
        ConfigError: it is none on P-256, or has a password (``config.firmware-key``).
    """
    try:
        key = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # what it shows may be a key
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        message = "a private key on P-256 wanted, in PEM, without a password"
        raise ConfigError(message, code=_CODE)
    return key


def _unusable() -> ConfigError:
    return ConfigError("a public key on P-256 wanted, in PEM", code=_CODE)
