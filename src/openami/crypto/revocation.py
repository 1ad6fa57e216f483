"""Lists of revoked certificates (RFC 5280 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from openami.core.clock import utc
from openami.core.errors import SecurityError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.crypto.certificates import Identity, Validity


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that is no longer good: its serial number, since when, and why."""

    serial: int
    when: float
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified


def make_crl(
    authority: Identity, revoked: Iterable[Revoked], *, number: int, validity: Validity
) -> x509.CertificateRevocationList:
    """Return the list of all that ``authority`` has revoked.

    Args:
        authority: who issued the certificates.
        revoked: in any order; of one serial number twice the first counts.
        number: greater than that of every list before it (RFC 5280 5.2.3).
        validity: from now until the next list is there at the latest.
    """
    key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    listed = {entry.serial: entry for entry in reversed(list(revoked))}
    # The builder's own method copies the whole list for each entry.
    entries = [_entry(listed[serial]) for serial in sorted(listed)]
    builder = (
        x509.CertificateRevocationListBuilder(revoked_certificates=entries)
        .issuer_name(authority.certificate.subject)
        .last_update(utc(validity.start))
        .next_update(utc(validity.end))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(key, critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256())


def load_crl(der: bytes) -> x509.CertificateRevocationList:
    """Read a list.

    Raises:
        SecurityError: it is none (``certificate.crl``).
    """
    try:
        return x509.load_der_x509_crl(der)
    except ValueError as error:
        raise SecurityError("not a list of revoked certificates", code="certificate.crl") from error


def _entry(revoked: Revoked) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(revoked.serial)
        .revocation_date(utc(revoked.when))
    )
    if revoked.reason is not x509.ReasonFlags.unspecified:
        # RFC 5280 5.3.1: "unspecified" is said by leaving the extension out.
        builder = builder.add_extension(x509.CRLReason(revoked.reason), critical=False)
    return builder.build()
