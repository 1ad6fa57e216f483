"""Certificates (RFC 5280), and the names of devices in them.

All keys made here are on P-256. Keys, serial numbers and times are the caller's: nothing here
takes chance or reads a clock. A device's factory certificate (IDevID) and operational one (LDevID)
follow IEEE 802.1AR-2018: the subject's ``serialNumber`` names the device (8.6), an IDevID does not
expire (8.7), and its ``hwModuleName`` (RFC 4108 5) says which hardware holds the key.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from openami.core.clock import utc
from openami.core.errors import ConfigError, SecurityError
from openami.core.identifiers import check_serial
from openami.crypto.hardware import HARDWARE_MODULE_NAME, HardwareModule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.x509 import Certificate, CertificateBuilder, Name

MAX_CERTIFICATE: Final = 4096  # octets; an IDevID with every extension that 802.1AR knows has 1 kB
UNREADABLE: Final = (ValueError, x509.InvalidVersion)
"""What the library raises for octets that are not what they should be: two that are no kin."""
NO_EXPIRY: Final = 253_402_300_799  # 9999-12-31T23:59:59Z: never (RFC 5280 4.1.2.5)


class Purpose(Enum):
    """What an end entity's certificate is for; the value is its extended key usage."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when, in UTC seconds, both included."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key."""

    certificate: Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def pem(self) -> bytes:
        """Return the key, unencrypted, and the certificate in one text."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return key + self.certificate_pem()

    @classmethod
    def from_pem(cls, text: bytes) -> Self:
        """Read what ``pem`` wrote.

        Raises:
            ConfigError: the text is not a key on P-256 and its certificate (``config.pki``).
        """
        try:
            key = serialization.load_pem_private_key(text, password=None)
            certificate = x509.load_pem_x509_certificate(text)
            public = certificate.public_key()
        except (*UNREADABLE, TypeError, UnsupportedAlgorithm):
            # The text holds a key: neither it nor the cause goes out.
            raise ConfigError("not a PEM key with its certificate", code="config.pki") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != public:
            raise ConfigError("not an EC key with its own certificate", code="config.pki")
        return cls(certificate, key)


def make_root(
    name: str, key: ec.EllipticCurvePrivateKey, *, serial: int, validity: Validity
) -> Identity:
    """Return a root that may sign one level of authorities below it."""
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), serial, validity)
    return Identity(_authority(builder, path_length=1).sign(key, hashes.SHA256()), key)


def make_authority(
    root: Identity,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    serial: int,
    validity: Validity,
) -> Identity:
    """Return an authority under ``root`` that signs end entities and nothing else."""
    issuer = root.certificate.subject
    builder = _builder(_name(name), issuer, key.public_key(), serial, validity)
    builder = _authority(_under(builder, root), path_length=0)
    return Identity(builder.sign(root.key, hashes.SHA256()), key)


def issue_server(
    authority: Identity,
    names: Iterable[str],
    key: ec.EllipticCurvePublicKey,
    *,
    serial: int,
    validity: Validity,
) -> Certificate:
    """Return a server's certificate for host names and addresses, the first its common name.

    Raises:
        ConfigError: there is no name (``config.pki``).
    """
    listed = list(dict.fromkeys(names))
    if not listed:
        raise ConfigError("a server's certificate wants a name", code="config.pki")
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in listed])
    return _issue(
        authority,
        _name(listed[0]),
        key,
        purpose=Purpose.SERVER,
        alternatives=alternatives,
        serial=serial,
        validity=validity,
    )


def issue_operator(
    authority: Identity,
    name: str,
    key: ec.EllipticCurvePublicKey,
    *,
    serial: int,
    validity: Validity,
) -> Certificate:
    """Return the certificate with which the operator ``name`` opens connections."""
    return _issue(
        authority,
        _name(name),
        key,
        purpose=Purpose.CLIENT,
        alternatives=None,
        serial=serial,
        validity=validity,
    )


def issue_ldevid(
    authority: Identity,
    uid: str,
    urn: str,
    key: ec.EllipticCurvePublicKey,
    *,
    serial: int,
    validity: Validity,
) -> Certificate:
    """Return the operational certificate of the device ``uid``, which ``urn`` names for TLS."""
    alternatives = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(urn)])
    subject = device_name(uid)
    return _issue(
        authority,
        subject,
        key,
        purpose=Purpose.CLIENT,
        alternatives=alternatives,
        serial=serial,
        validity=validity,
    )


def issue_idevid(
    authority: Identity,
    uid: str,
    hardware: HardwareModule,
    key: ec.EllipticCurvePublicKey,
    *,
    serial: int,
    start: float,
) -> Certificate:
    """Return the factory certificate of the device ``uid``, which never expires."""
    name = x509.OtherName(HARDWARE_MODULE_NAME, hardware.encode())
    validity = Validity(start, NO_EXPIRY)
    alternatives = x509.SubjectAlternativeName([name])
    subject = device_name(uid)
    return _issue(
        authority,
        subject,
        key,
        purpose=Purpose.CLIENT,
        alternatives=alternatives,
        serial=serial,
        validity=validity,
    )


def device_name(uid: str) -> Name:
    """Return the subject that names a device (802.1AR 8.6).

    Raises:
        ValueError: ``uid`` is not a serial number.
    """
    check_serial(uid)
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, uid),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, uid),
        ]
    )


def uid_of(subject: Name) -> str:
    """Return the serial number by which a subject names a device.

    Raises:
        SecurityError: there is not exactly one that is fit to be one (``certificate.name``).
    """
    found = subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    if len(found) != 1:
        raise SecurityError("one serialNumber wanted in the subject", code="certificate.name")
    try:
        return check_serial(str(found[0].value))
    except ValueError:
        raise SecurityError("a serialNumber we cannot use", code="certificate.name") from None


def names_of(certificate: Certificate) -> frozenset[str]:
    """Return the host names and addresses that a server's certificate is good for.

    Raises:
        ConfigError: it names none, or in a wrong form (``config.pki``).
    """
    try:
        kind = x509.SubjectAlternativeName
        names = certificate.extensions.get_extension_for_class(kind).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise ConfigError("a server's certificate has no names", code="config.pki") from error
    return frozenset(str(name.value) for name in names)


def load_certificate(der: bytes) -> Certificate:
    """Read a certificate.

    Raises:
        SecurityError: it is none, or larger than we take (``certificate.form``).
    """
    if len(der) > MAX_CERTIFICATE:
        raise SecurityError("a certificate larger than we take", code="certificate.form")
    try:
        return x509.load_der_x509_certificate(der)
    except UNREADABLE as error:
        raise SecurityError("not a certificate", code="certificate.form") from error


def fingerprint(certificate: Certificate) -> bytes:
    """Return the SHA-256 of the certificate."""
    return certificate.fingerprint(hashes.SHA256())


def key_fingerprint(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the SHA-256 of a public key (its SubjectPublicKeyInfo)."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return digest.finalize()


def _issue(
    authority: Identity,
    subject: Name,
    key: ec.EllipticCurvePublicKey,
    *,
    purpose: Purpose,
    alternatives: x509.SubjectAlternativeName | None,
    serial: int,
    validity: Validity,
) -> Certificate:
    builder = _builder(subject, authority.certificate.subject, key, serial, validity)
    builder = (
        _under(builder, authority)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose.value]), critical=False)
    )
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    subject: Name,
    issuer: Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    validity: Validity,
) -> CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(utc(validity.start))
        .not_valid_after(utc(validity.end))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(builder: CertificateBuilder, *, path_length: int) -> CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    return builder.add_extension(constraints, critical=True).add_extension(
        _usage(authority=True), critical=True
    )


def _under(builder: CertificateBuilder, issuer: Identity) -> CertificateBuilder:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return builder.add_extension(identifier, critical=False)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> Name:
    # X.520 gives a common name 64 characters; a longer host name stands in the alternatives.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
