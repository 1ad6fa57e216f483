"""Verification of certificates (RFC 5280 6): the way to a trust anchor, validity, purpose, CRLs.

What this project needs and no more: no policies, no name constraints. A critical extension that
is not understood here refuses the certificate (RFC 5280 4.2).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from openami.core.errors import SecurityError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from cryptography.x509 import Certificate

    from openami.crypto.certificates import Purpose
    from openami.crypto.revocation import ReadList

MAX_CHAIN: Final = 4  # certificates below an anchor: makers sign by line, by plant and by product
E = TypeVar("E", bound=x509.ExtensionType)

_RSA_BITS: Final = 2048  # NIST SP 800-131A; makers' roots are still often RSA
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD: Final = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
    }
)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust.

    Args:
        anchors: certificates that are trusted as they are, while they are valid.
        lists: what authorities have revoked. A missing list passes, one that is out of date never.
        revoked: serial numbers of end entities that one's own authorities, the only anchors, have
            revoked: their lists before they are signed.
    """

    anchors: tuple[Certificate, ...]
    lists: tuple[ReadList, ...] = ()
    revoked: AbstractSet[int] = frozenset()


def verify(
    leaf: Certificate,
    others: Sequence[Certificate],
    trust: Trust,
    *,
    purpose: Purpose,
    now: float,
) -> tuple[Certificate, ...]:
    """Return the way from ``leaf`` to the anchor that vouches for it, the anchor last.

    Args:
        leaf: an end entity's certificate.
        others: what the peer sent along, in any order; at most ``MAX_CHAIN`` are looked at.
        trust: whom to trust.
        purpose: what the certificate must be good for; one that names no purpose is good for all.
        now: UTC seconds.

    Raises:
        SecurityError: ``certificate.untrusted``, ``certificate.not-yet-valid``,
            ``certificate.expired``, ``certificate.purpose``, ``certificate.revoked``,
            ``certificate.crl`` or ``certificate.form``.
    """
    try:
        way = _way(leaf, tuple(others)[:MAX_CHAIN], trust.anchors)
        for certificate in way:
            _check_form(certificate)
            _check_validity(certificate, now)
        if leaf.serial_number in trust.revoked:
            raise SecurityError("revoked", code="certificate.revoked")
        _check_purpose(leaf, purpose)
        for depth, (certificate, issuer) in enumerate(itertools.pairwise(way)):
            _check_issuer(issuer, below=depth)
            _check_revocation(certificate, issuer, trust, now)
    except ValueError as error:
        raise SecurityError("extensions in a wrong form", code="certificate.form") from error
    return way


def _way(
    leaf: Certificate, others: tuple[Certificate, ...], anchors: tuple[Certificate, ...]
) -> tuple[Certificate, ...]:
    way = [leaf]
    for _ in range(MAX_CHAIN):
        if anchor := _issuer_of(way[-1], anchors):
            return (*way, anchor)
        issuer = _issuer_of(way[-1], others)
        if issuer is None or issuer in way:
            break
        way.append(issuer)
    raise SecurityError("no trusted authority vouches for it", code="certificate.untrusted")


def _issuer_of(certificate: Certificate, among: tuple[Certificate, ...]) -> Certificate | None:
    return next((issuer for issuer in among if _signed_by(certificate, issuer)), None)


def _signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_form(certificate: Certificate) -> None:
    unknown = [
        extension.oid.dotted_string
        for extension in certificate.extensions
        if extension.critical and extension.oid not in _UNDERSTOOD
    ]
    if unknown:
        raise SecurityError(f"critical extension {unknown[0]}", code="certificate.form")
    key = certificate.public_key()
    strong = isinstance(key, ec.EllipticCurvePublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS
    )
    if not strong or not isinstance(certificate.signature_hash_algorithm, _HASHES):
        raise SecurityError("a key or a signature that is too weak", code="certificate.form")


def _check_validity(certificate: Certificate, now: float) -> None:
    # RFC 5280 4.1.2.5: both moments are included.
    if now < certificate.not_valid_before_utc.timestamp():
        raise SecurityError("not valid yet", code="certificate.not-yet-valid")
    if now > certificate.not_valid_after_utc.timestamp():
        raise SecurityError("expired", code="certificate.expired")


def _check_purpose(leaf: Certificate, purpose: Purpose) -> None:
    constraints = _find(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise SecurityError("an authority is no end entity", code="certificate.purpose")
    usage = _find(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:  # RFC 8446 4.4.2.2
        raise SecurityError("its key may not sign", code="certificate.purpose")
    extended = _find(leaf, x509.ExtendedKeyUsage)
    if extended is not None and purpose.value not in extended:
        raise SecurityError("it is for another purpose", code="certificate.purpose")


def _check_issuer(issuer: Certificate, *, below: int) -> None:
    constraints = _find(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:  # RFC 5280 6.1.4 (k)
        raise SecurityError("its issuer is no authority", code="certificate.untrusted")
    if constraints.path_length is not None and constraints.path_length < below:  # 6.1.4 (l)
        raise SecurityError("the chain is longer than allowed", code="certificate.untrusted")
    usage = _find(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:  # 6.1.4 (n)
        raise SecurityError("its issuer may not sign it", code="certificate.untrusted")


def _check_revocation(
    certificate: Certificate, issuer: Certificate, trust: Trust, now: float
) -> None:
    lists = [one for one in trust.lists if one.speaks_for(issuer)]
    if not lists:
        return
    # Any list that names it is enough: a revocation is never taken back here.
    if any(certificate.serial_number in one.serials for one in lists):
        raise SecurityError("revoked", code="certificate.revoked")
    ends = max(lists, key=lambda one: one.made).ends
    if ends is not None and ends < now:  # RFC 5280 6.3.3 (a)
        raise SecurityError("the list of revoked ones is out of date", code="certificate.crl")


def _find(certificate: Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
