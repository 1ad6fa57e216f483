"""TLS contexts from PEM files: TLS 1.2 with forward secrecy and AEAD ciphers only, or TLS 1.3."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self, cast

from cryptography import x509

from openami.core.errors import ConfigError
from openami.crypto.certificates import UNREADABLE

if TYPE_CHECKING:
    from pathlib import Path

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2 (RFC 9325 4.2); TLS 1.3 has none but good ones."""

_DER: Final = 2  # what Python's ssl calls the encoding of octets


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The certificate of a peer, whose chain TLS has verified.

    Attributes:
        der: the certificate.
        uris: the URIs among its subject's alternative names.
        serial: the number that its issuer gave it.
        not_after: until when it is good, in UTC seconds: a connection may last longer.
        chain: what the peer sent along with it, as it came.
    """

    der: bytes
    uris: tuple[str, ...]
    serial: int = 0
    not_after: float = 0.0
    chain: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, tls: ssl.SSLObject | None) -> Self | None:
        """Return the certificate of a connection's peer; None if it has shown none."""
        der = None if tls is None else tls.getpeercert(binary_form=True)
        if tls is None or der is None:
            return None
        return replace(cls.from_der(der), chain=_sent(tls)[1:])

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Read a certificate; one that cannot be read has no URIs and is over."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            uris = _uris(certificate)
            not_after = certificate.not_valid_after_utc.timestamp()
        except (*UNREADABLE, x509.DuplicateExtension):
            return cls(der, ())
        return cls(der, uris, certificate.serial_number, not_after)


def _sent(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """Return what the peer sent, its own certificate first."""
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain())
    # Before Python 3.13 the same is there, but not in public.
    inner = cast("Any", tls)._sslobj  # noqa: SLF001 -- there is no other way
    return tuple(one.public_bytes(_DER) for one in inner.get_unverified_chain() or ())


def _uris(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.value.get_values_for_type(x509.UniformResourceIdentifier))


def server_context(
    certificate: Path, key: Path, *, client_authority: Path | None = None
) -> ssl.SSLContext:
    """Return a server's context.

    Args:
        certificate: its chain in PEM.
        key: its private key in PEM, not encrypted.
        client_authority: mutual TLS: clients must show a certificate that these authorities signed.

    Raises:
        ConfigError: ``config.tls``: a file is missing or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    _load_identity(context, certificate, key)
    if client_authority is not None:
        _load_authority(context, client_authority)
        # Who signed it, not who signed that one: the root's other authorities are for others.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def factory_context(certificate: Path, key: Path, authorities: bytes) -> ssl.SSLContext:
    """Return the context of a server whose clients show certificates of many makers.

    An authority that is trusted need not be a root. No session is resumed: a resumed one does not
    say again what the client sent along with its certificate.

    Args:
        certificate: the server's chain in PEM.
        key: its private key in PEM, not encrypted.
        authorities: whom to trust, in PEM; ``trust_too`` adds to them.

    Raises:
        ConfigError: ``config.tls``: a file is missing or is not what it should be.
    """
    context = server_context(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    trust_too(context, authorities)
    return context


def trust_too(context: ssl.SSLContext, authorities: bytes) -> None:
    """Let later handshakes of ``context`` also trust these authorities, in PEM."""
    context.load_verify_locations(cadata=authorities.decode("ascii"))


def reload_identity(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Give later handshakes of ``context`` another certificate; connections that are open stay.

    Raises:
        ConfigError: ``config.tls``: a file is missing or is not what it should be.
    """
    _load_identity(context, certificate, key)


def client_context(
    authority: Path | None = None,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    others: bytes = b"",
) -> ssl.SSLContext:
    """Return a client's context; the server's name is always checked.

    Args:
        authority: who signs the servers' certificates, in PEM; None: whom this machine trusts.
        certificate: the client's own chain in PEM.
        key: its private key in PEM, not encrypted.
        others: who signs them besides ``authority``, in PEM.

    Raises:
        ConfigError: ``config.tls``: a file is missing or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if authority is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authority(context, authority)
    if others:
        _load_others(context, others)
    if certificate is not None and key is not None:
        _load_identity(context, certificate, key)
    elif certificate is not None or key is not None:
        raise ConfigError("a client certificate needs its key, and a key its certificate",
                          code="config.tls")  # fmt: skip
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load_identity(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"{certificate} and {key} are no certificate and key in PEM: {_reason(exc)}",
            hint="the key must belong to the certificate and must not be encrypted",
            code="config.tls",
        ) from exc


def _load_authority(context: ssl.SSLContext, authority: Path) -> None:
    try:
        context.load_verify_locations(authority)
    except OSError as exc:
        raise ConfigError(
            f"{authority} holds no certificates in PEM: {_reason(exc)}", code="config.tls"
        ) from exc


def _load_others(context: ssl.SSLContext, others: bytes) -> None:
    try:
        context.load_verify_locations(cadata=others.decode("ascii"))
    except (ValueError, OSError) as exc:
        raise ConfigError(f"no certificates in PEM: {exc}", code="config.tls") from exc


def _no_password() -> str:
    """Keep OpenSSL from asking on the terminal."""
    raise ValueError("the key is encrypted")


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "strerror", None) or exc)
