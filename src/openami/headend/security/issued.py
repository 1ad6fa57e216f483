"""What was issued, in the forms in which it leaves, and its number as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from openami.core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{1,40}")  # RFC 5280 4.1.2.2: 20 octets


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate that was issued, and the authority's that goes with it; DER, leaf first."""

    serial: int
    certificate: x509.Certificate
    chain: tuple[bytes, ...]

    def pem(self) -> bytes:
        """Return the chain in PEM."""
        return chain_pem(self.chain)


class DcuCredentials(NamedTuple):
    """What a DCU needs to connect, each in PEM; the key is kept nowhere else."""

    certificate: bytes
    key: bytes
    authority: bytes

    def __repr__(self) -> str:
        return "DcuCredentials(...)"


def chain_pem(chain: Iterable[bytes]) -> bytes:
    """Return certificates (DER) in PEM."""
    loaded = map(x509.load_der_x509_certificate, chain)
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in loaded)


def key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM, not encrypted: for its owner alone."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def serial_number(text: str) -> int:
    """Return the number of a certificate as people write it: hexadecimal, colons or not.

    Raises:
        NotFoundError: no certificate can have that number.
    """
    digits = text.replace(":", "")
    if not _SERIAL.fullmatch(digits):
        raise NotFoundError(
            "a certificate's number has 1 to 40 hexadecimal digits",
            hint="openami pki list has the numbers",
        )
    return int(digits, 16)
