"""The private keys of a DCU, and the TLS contexts made with them.

The factory's key stays in the factory's folder. Of operational keys there are two at most: the one
whose certificate is in use, and the one that waits for its certificate. They rest sealed in a
vault, and go from there to the TLS library through memory, never through a file.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from openami import __version__
from openami.core.errors import ConfigError, NotFoundError, SecurityError
from openami.crypto.certificates import UNREADABLE, Identity, load_certificate, uid_of
from openami.crypto.requests import make_request
from openami.ssmp.messages import MAX_CHAIN, DeviceInfo
from openami.store.vault import FileVault
from openami.transport.tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

_KIND: Final = "identity"
_CURRENT: Final = "current"
_PENDING: Final = "pending"
_LARGEST: Final = 64 * 1024  # octets of a file of the factory's
MAX_ANCHORS: Final = 16
"""Authorities besides the factory's: a utility that moves has two, and some to come."""


@dataclass(frozen=True, slots=True)
class Factory:
    """What a device was made with.

    Args:
        uid: who it is, by its certificate.
        info: what it says of itself.
        security_url: where it registers.
        authority: file of whom it trusts.
        context: connects with the factory's certificate.
    """

    uid: str
    info: DeviceInfo
    security_url: str
    authority: Path
    context: ssl.SSLContext

    @classmethod
    def open(cls, folder: Path, others: bytes = b"") -> Factory:
        """Read the folder that the maker wrote.

        Args:
            folder: it.
            others: whom the device trusts besides, in PEM.

        Raises:
            ConfigError: ``config.factory`` or ``config.tls``: a file is missing, is not what it
                should be, or belongs to another device.
        """
        facts, certificate = _facts(folder / "device.toml"), folder / "certificate.pem"
        try:
            leaf = x509.load_pem_x509_certificates(_read(certificate))[0]
            if uid_of(leaf.subject) != facts["uid"]:
                raise _problem(f"{certificate} is not the certificate of {facts['uid']}")
            info = DeviceInfo(facts["maker"], facts["model"], facts["hardware"], __version__)
        except (*UNREADABLE, SecurityError) as error:
            raise _problem(f"{folder}: {error}") from error
        authority = folder / "authority.pem"
        key = folder / "key.pem"
        context = client_context(authority, certificate=certificate, key=key, others=others)
        return cls(facts["uid"], info, facts["security_url"], authority, context)


class Keystore:
    """The operational keys of the device ``uid``; they leave it only into ``context``.

    Args:
        folder: of the vault, which nobody else may enter.
        uid: the device.
        authority: file of whom to trust.
        others: whom to trust besides, in PEM.

    Raises:
        ConfigError: the vault's key can not be used.
        StoreError: the vault can not be used.
    """

    def __init__(self, folder: Path, uid: str, authority: Path, others: bytes = b"") -> None:
        self._uid = uid
        self._authority = authority
        self._others = others
        self._vault = FileVault(folder / "vault.sqlite", kek=folder / "kek")
        self._context: ssl.SSLContext | None = None
        self._certificate: x509.Certificate | None = None
        self._load()

    def close(self) -> None:
        """Close the vault."""
        self._vault.close()

    @property
    def certificate(self) -> x509.Certificate | None:
        """The operational certificate in use; None before there is one."""
        return self._certificate

    def context(self) -> ssl.SSLContext:
        """Return the context that connects with the operational certificate.

        Raises:
            SecurityError: ``module.no-certificate``.
        """
        if self._context is None:
            raise SecurityError("the device is not registered", code="module.no-certificate")
        return self._context

    def new_key(self) -> bytes:
        """Return the request (DER) for a certificate of the key that waits for one.

        There is one such key until its certificate is installed, so that who asks again, having
        lost the answer, leaves no key behind.
        """
        key = self._pending()
        if key is None:
            key = ec.generate_private_key(ec.SECP256R1())
            self._vault.put(_KIND, self._uid, _PENDING, _pem(key))
        return make_request(self._uid, key)

    def install(self, chain: Sequence[bytes]) -> None:
        """Use a certificate from now on; again is the same as once.

        Args:
            chain: DER, the device's own first.

        Raises:
            SecurityError: ``module.certificate``: it is another device's, or for a key that is
                not here; ``certificate.form``.
        """
        if not 1 <= len(chain) <= MAX_CHAIN:
            raise _refused(f"a chain has 1 to {MAX_CHAIN} certificates")
        certificates = [load_certificate(der) for der in chain]
        leaf = certificates[0]
        if uid_of(leaf.subject) != self._uid:
            raise _refused("a certificate of another device")
        key = next((k for k in self._keys() if k.public_key() == leaf.public_key()), None)
        if key is None:
            raise _refused("a certificate for a key that is not here")
        text = _pem(key) + b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
        self._vault.put(_KIND, self._uid, _CURRENT, text)
        self._load()

    def trust(self, others: bytes) -> None:
        """Trust others than before besides the authority's file.

        Raises:
            ConfigError: they are no certificates in PEM; then nothing is changed.
        """
        before, self._others = self._others, others
        try:
            self._load()
        except ConfigError:
            self._others = before
            raise

    def _load(self) -> None:
        """Take the identity in use, and finish an installation that was cut short."""
        text = self._secret(_CURRENT)
        if text is None:
            return
        identity = Identity.from_pem(text)
        pending = self._pending()
        if pending is not None and pending.public_key() == identity.key.public_key():
            self._vault.delete(_KIND, self._uid, _PENDING)
        self._context = _context(text, self._authority, self._others)
        self._certificate = identity.certificate

    def _keys(self) -> list[ec.EllipticCurvePrivateKey]:
        pending, current = self._pending(), self._secret(_CURRENT)
        found = [] if pending is None else [pending]
        return found if current is None else [*found, Identity.from_pem(current).key]

    def _pending(self) -> ec.EllipticCurvePrivateKey | None:
        text = self._secret(_PENDING)
        if text is None:
            return None
        key = serialization.load_pem_private_key(text, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SecurityError("the vault holds another kind of key", code="module.key")
        return key

    def _secret(self, name: str) -> bytes | None:
        try:
            return self._vault.get(_KIND, self._uid, name)
        except NotFoundError:
            return None


def _context(text: bytes, authority: Path, others: bytes) -> ssl.SSLContext:
    """Return a context; OpenSSL reads files only, so it gets one that is memory."""
    memory = os.memfd_create("identity", os.MFD_CLOEXEC)
    with os.fdopen(memory, "wb") as file:
        file.write(text)
        file.flush()
        name = Path(f"/proc/self/fd/{memory}")
        return client_context(authority, certificate=name, key=name, others=others)


def check_anchors(text: str) -> bytes:
    """Return certificates in PEM, all of them of authorities, as OpenSSL reads them.

    Raises:
        SecurityError: ``module.anchors``: one is none, or there are too many.
    """
    if not text:
        return b""
    try:
        found = x509.load_pem_x509_certificates(text.encode("ascii"))
        wrong = [one for one in found if not _is_authority(one)]
    except (*UNREADABLE, x509.ExtensionNotFound) as error:
        raise SecurityError(f"no authorities in PEM: {error}", code="module.anchors") from error
    if wrong or len(found) > MAX_ANCHORS:
        message = f"1 to {MAX_ANCHORS} certificates of authorities wanted"
        raise SecurityError(message, code="module.anchors")
    return b"".join(one.public_bytes(Encoding.PEM) for one in found)


def _is_authority(certificate: x509.Certificate) -> bool:
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def type_of(folder: Path) -> tuple[str, str]:
    """Return the model and the hardware of a device by the folder that its maker wrote.

    Raises:
        ConfigError: ``config.factory``: it does not say.
    """
    facts = _facts(folder / "device.toml")
    return facts["model"], facts["hardware"]


def _facts(file: Path) -> dict[str, str]:
    try:
        facts: dict[str, Any] = tomllib.loads(_read(file).decode())
    except ValueError as error:
        raise _problem(f"{file}: {error}") from error
    for name in ("uid", "security_url", "maker", "model", "hardware"):
        if not isinstance(facts.get(name), str):
            raise _problem(f"{file}: {name} is required")
    return facts


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise _problem(f"{file}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise _problem(f"{file} is too large")
    return content


def _problem(message: str) -> ConfigError:
    hint = "`openami pki factory` makes the folder of a device"
    return ConfigError(message, hint=hint, code="config.factory")


def _refused(message: str) -> SecurityError:
    return SecurityError(message, code="module.certificate")
