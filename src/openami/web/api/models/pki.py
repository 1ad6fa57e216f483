"""What the REST API takes and gives about certificates."""

from datetime import datetime
from typing import Annotated, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field

from openami.core.clock import utc
from openami.crypto.certificates import MAX_CERTIFICATE, fingerprint
from openami.crypto.requests import MAX_REQUEST
from openami.fleet.certificates import (
    CertificateKind,
    CertificateRecord,
    TrustAnchor,
)
from openami.headend.security.issued import chain_pem
from openami.headend.security.pki import REASONS
from openami.web.api.models.common import Cursor, Model, moment

_PEM: int = 2  # octets of PEM for one of DER, with lines and head, at most
_DAY = 86_400


class AuthorityModel(Model):
    """An authority of the head-end."""

    name: str = Field(description="Such as `devices`, and `devices-2` of the one that followed.")
    subject: str
    fingerprint: str = Field(description="SHA-256 of the certificate.")
    not_after: datetime
    days_left: float
    certificate: str = Field(description="In PEM.")

    @classmethod
    def of(cls, name: str, certificate: x509.Certificate, now: float) -> Self:
        """Return the model of an authority."""
        ends = certificate.not_valid_after_utc
        return cls(
            name=name,
            subject=certificate.subject.rfc4514_string(),
            fingerprint=fingerprint(certificate).hex(),
            not_after=ends,
            days_left=max(0.0, (ends.timestamp() - now) / _DAY),
            certificate=certificate.public_bytes(Encoding.PEM).decode(),
        )


class AnchorModel(Model):
    """A manufacturer's certificate that vouches for factory certificates."""

    fingerprint: str = Field(description="SHA-256 of the certificate.")
    manufacturer: str
    subject: str
    not_after: datetime
    list_ends: datetime | None = Field(
        description="Until when its own list of revoked certificates is in force; null: none."
    )
    added: datetime
    who: str
    certificate: str = Field(description="In PEM.")

    @classmethod
    def of(cls, anchor: TrustAnchor) -> Self:
        """Return the model of an anchor."""
        certificate = x509.load_der_x509_certificate(anchor.der)
        return cls(
            fingerprint=anchor.fingerprint,
            manufacturer=anchor.manufacturer,
            subject=certificate.subject.rfc4514_string(),
            not_after=certificate.not_valid_after_utc,
            list_ends=moment(anchor.list_ends),
            added=utc(anchor.added),
            who=anchor.who,
            certificate=chain_pem([anchor.der]).decode(),
        )


class NewAnchor(Model):
    """A manufacturer to trust."""

    manufacturer: Annotated[str, Field(min_length=1, max_length=64, examples=["Example Works"])]
    certificate: Annotated[
        str, Field(max_length=_PEM * MAX_CERTIFICATE, description="The root, in PEM.")
    ]


class AnchorList(Model):
    """What a manufacturer has revoked."""

    crl: str = Field(description="A list (CRL) that a trust anchor has signed, in PEM.")


class CertificateModel(Model):
    """A certificate that was issued here."""

    serial: str = Field(description="In hexadecimal digits.")
    authority: str
    kind: CertificateKind
    subject: str = Field(description="Serial number of the device, name of server or operator.")
    issued: datetime
    not_after: datetime
    days_left: float = Field(description="0 for one that is revoked.")
    revoked: datetime | None
    reason: str = Field(description="Why it was revoked, by a name of RFC 5280.")
    certificate: str = Field(description="In PEM.")

    @classmethod
    def of(cls, record: CertificateRecord, now: float) -> Self:
        """Return the model of a certificate."""
        return cls(
            serial=f"{record.serial:x}",
            authority=record.authority,
            kind=record.kind,
            subject=record.subject,
            issued=utc(record.issued),
            not_after=utc(record.not_after),
            days_left=record.days_left(now),
            revoked=moment(record.revoked),
            reason=record.reason,
            certificate=chain_pem([record.der]).decode(),
        )


class CertificatePage(Model):
    """Certificates, those issued last first."""

    items: list[CertificateModel]
    next: Cursor


class Revocation(Model):
    """Why a certificate is no longer good; it stays so."""

    reason: Annotated[
        str, Field(description=f"One of {', '.join(sorted(REASONS))}.", max_length=32)
    ] = "unspecified"
    why: Annotated[str, Field(min_length=1, max_length=500)]


class OperatorRequest(Model):
    """An operator's wish for a certificate of a key that nobody else has."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    request: Annotated[
        str, Field(max_length=_PEM * MAX_REQUEST, description="PKCS #10, P-256, in PEM.")
    ]


class IssuedModel(Model):
    """A certificate that was issued just now."""

    serial: str
    chain: str = Field(description="The certificate and its authority's, in PEM.")
