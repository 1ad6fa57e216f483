"""Requests for certificates (RFC 2986, PKCS #10): a key, signed by itself, and who has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from openami.core.errors import SecurityError
from openami.crypto.certificates import UNREADABLE, device_name, uid_of

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REQUEST: Final = 2048  # octets; a request on P-256 has about 300
_PEM: Final = 2  # octets of PEM for one of DER, with its lines, at most


def make_request(uid: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the device's request (DER) for a certificate of ``key``, signed by it."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(device_name(uid))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def read_request(der: bytes) -> tuple[str, ec.EllipticCurvePublicKey]:
    """Return which device asks for a certificate of which key.

    Nothing else is taken from a request: what stands in the certificate, the authority decides.

    Raises:
        SecurityError: it is no request on P-256 signed by its own key (``certificate.request``),
            or names no device (``certificate.name``).
    """
    if len(der) > MAX_REQUEST:
        raise _not_a_request()
    request, key = _proven(x509.load_der_x509_csr, der)
    return uid_of(request.subject), key


def requested_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return which key a request in PEM asks a certificate for.

    Raises:
        SecurityError: it is no request on P-256 signed by its own key (``certificate.request``).
    """
    if len(pem) > _PEM * MAX_REQUEST:
        raise _not_a_request()
    return _proven(x509.load_pem_x509_csr, pem)[1]


def _proven(
    load: Callable[[bytes], x509.CertificateSigningRequest], octets: bytes
) -> tuple[x509.CertificateSigningRequest, ec.EllipticCurvePublicKey]:
    try:
        request = load(octets)
        key = request.public_key()
        # RFC 2986 4.2: the signature proves that the sender holds the private key.
        proven = request.is_signature_valid
    except (*UNREADABLE, UnsupportedAlgorithm):
        raise _not_a_request() from None
    if not (
        isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(key.curve, ec.SECP256R1)
        and proven
    ):
        raise _not_a_request()
    return request, key


def _not_a_request() -> SecurityError:
    return SecurityError("not a request signed by its P-256 key", code="certificate.request")
