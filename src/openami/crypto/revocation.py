"""Lists of revoked certificates (RFC 5280 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from openami.core.clock import utc
from openami.core.errors import SecurityError
from openami.crypto.certificates import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openami.crypto.certificates import Identity, Validity


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that is no longer good: its serial number, since when, and why."""

    serial: int
    when: float
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified


@dataclass(frozen=True, slots=True)
class ReadList:
    """A list that was read and found to be signed, once: looking into it costs nothing.

    Args:
        issuer: who has signed it.
        serials: what it names.
        made: since when it is good, in UTC seconds.
        ends: until when; None where it does not say.
    """

    issuer: x509.Certificate
    serials: frozenset[int] = field(repr=False)
    made: float
    ends: float | None

    @classmethod
    def of(cls, crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> Self:
        """Read a list.

        Raises:
            SecurityError: ``issuer`` has not signed it, or it names only some of what that has
                revoked (``certificate.crl``).
        """
        try:
            problem = _problem(crl, issuer)
            serials = frozenset(entry.serial_number for entry in crl)
        except ValueError:
            problem, serials = "extensions in a wrong form", frozenset()
        if problem is not None:
            raise SecurityError(problem, code="certificate.crl")
        ends = crl.next_update_utc
        return cls(
            issuer,
            serials,
            crl.last_update_utc.timestamp(),
            None if ends is None else ends.timestamp(),
        )

    def speaks_for(self, authority: x509.Certificate) -> bool:
        """Tell whether this is the list of an authority, whose certificate may be a later one."""
        return (
            authority.subject == self.issuer.subject
            and authority.public_key() == self.issuer.public_key()
        )


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
    except UNREADABLE as error:
        raise SecurityError("not a list of revoked certificates", code="certificate.crl") from error


def _problem(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> str | None:
    if crl.issuer != issuer.subject:
        return "the list of somebody else"
    if not _may_sign(issuer):
        return "its issuer may sign no list"
    if not _signed(crl, issuer):
        return "its issuer has not signed it"
    # A list of a part of the certificates (RFC 5280 5.2.5) says nothing of the others.
    if any(extension.critical for extension in crl.extensions):
        return "a list of a part, or one that is not understood"
    return None


def _may_sign(issuer: x509.Certificate) -> bool:
    try:  # RFC 5280 6.3.3 (f)
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        key = issuer.public_key()
        return isinstance(
            key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)
        ) and crl.is_signature_valid(key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


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
