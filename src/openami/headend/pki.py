"""The certificates of an installation: an authority, its servers and its DCUs (RFC 5280).

One root signs the servers' certificates and the devices' authority; the devices' authority signs
DCUs and nothing else. All keys are on P-256.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from openami.core.clock import utc
from openami.core.errors import ConfigError
from openami.core.identifiers import DCU_URN

if TYPE_CHECKING:
    from collections.abc import Iterable


_DAY: Final = 86_400
AUTHORITY_DAYS: Final = 20 * 365
SERVER_DAYS: Final = 397  # browsers refuse a server's certificate of more than 398 days
DCU_DAYS: Final = 5 * 365  # until operational certificates renew themselves, a visit is the cost
BACKDATE_S: Final = 3600  # a peer whose clock is an hour slow can still connect


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def pem(self) -> bytes:
        """Return the key and the certificate in one text, so that one file holds both."""
        return self.key_pem() + self.certificate_pem()

    @classmethod
    def from_pem(cls, text: bytes) -> Self:
        """Read what ``pem`` wrote.

        Raises:
            ConfigError: the text is not a key and a certificate that belong together.
        """
        try:
            key = serialization.load_pem_private_key(text, password=None)
            certificate = x509.load_pem_x509_certificate(text)
        except ValueError as error:
            raise ConfigError("not a PEM key with its certificate", code="config.pki") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError("the key is not on an elliptic curve", code="config.pki")
        if key.public_key() != certificate.public_key():
            raise ConfigError("key and certificate do not belong together", code="config.pki")
        return cls(certificate, key)

    def days_left(self, now: float) -> float:
        """Return for how many more days the certificate is valid."""
        return (self.certificate.not_valid_after_utc - utc(now)).total_seconds() / _DAY


def make_root(name: str, *, now: float) -> Identity:
    """Return a new root authority that may sign one level of authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), _name(name), key, now=now, days=AUTHORITY_DAYS)
    return Identity(_as_authority(builder, path_length=1).sign(key, hashes.SHA256()), key)


def make_authority(root: Identity, name: str, *, now: float) -> Identity:
    """Return a new authority under ``root`` that signs only end entities."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), root.certificate.subject, key, now=now, days=AUTHORITY_DAYS)
    builder = _as_authority(_under(builder, root), path_length=0)
    return Identity(builder.sign(root.key, hashes.SHA256()), key)


def issue_server(root: Identity, names: Iterable[str], *, now: float) -> Identity:
    """Return a server's certificate for host names and addresses, the first its common name."""
    listed = list(dict.fromkeys(names))
    return _issue(
        root,
        listed[0],
        x509.SubjectAlternativeName([_general_name(name) for name in listed]),
        ExtendedKeyUsageOID.SERVER_AUTH,
        now=now,
        days=SERVER_DAYS,
    )


def issue_dcu(authority: Identity, dcu: str, *, now: float) -> Identity:
    """Return the certificate with which the DCU ``dcu`` opens its connections."""
    return _issue(
        authority,
        dcu,
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(DCU_URN + dcu)]),
        ExtendedKeyUsageOID.CLIENT_AUTH,
        now=now,
        days=DCU_DAYS,
    )


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the host names and addresses that a server's certificate is good for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return frozenset(str(name.value) for name in names)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate in pairs of hexadecimal digits, for a person."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _issue(
    issuer: Identity,
    name: str,
    alternatives: x509.SubjectAlternativeName,
    purpose: x509.ObjectIdentifier,
    *,
    now: float,
    days: int,
) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), issuer.certificate.subject, key, now=now, days=days)
    builder = (
        _under(builder, issuer)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    return Identity(builder.sign(issuer.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    now: float,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc(now - BACKDATE_S))
        .not_valid_after(utc(now) + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True
    ).add_extension(_usage(signs_certificates=True), critical=True)


def _under(builder: x509.CertificateBuilder, issuer: Identity) -> x509.CertificateBuilder:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return builder.add_extension(identifier, critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
