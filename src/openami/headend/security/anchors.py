"""The manufacturers whose factory certificates are believed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from openami.core.clock import utc
from openami.crypto.certificates import MAX_CERTIFICATE, fingerprint
from openami.crypto.chains import Trust
from openami.fleet.certificates import TrustAnchor
from openami.fleet.devices import AuditEntry
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.fleet.certificates import CertificateStore

ANCHORS: Final = 256  # a factory certificate is tried with each of them
MAX_TEXT: Final = 4 * MAX_CERTIFICATE  # octets of a certificate in PEM, and what makers write above
_NAME: Final = 64  # characters


class Anchors:
    """The trust anchors, in memory; each change goes to the database first."""

    def __init__(self, store: CertificateStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._anchors: tuple[TrustAnchor, ...] = ()
        self._trusts: Mapping[str, Trust] = {}
        self._watchers: list[Callable[[], None]] = []

    @property
    def anchors(self) -> Sequence[TrustAnchor]:
        """The anchors by the manufacturers' names."""
        return self._anchors

    @property
    def trusts(self) -> Mapping[str, Trust]:
        """By each manufacturer's name, what vouches for its factory certificates."""
        return self._trusts

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have ``watcher`` called, from any thread, when there are other anchors than before."""
        self._watchers.append(watcher)

    def refresh(self) -> None:
        """Look which anchors there are: another process may have changed them."""
        with self._lock:
            found = tuple(self._store.anchors())
            changed = found != self._anchors
            if changed:
                self._anchors, self._trusts = found, _trusts(found)
        if changed:
            for watcher in self._watchers:
                watcher()

    def add(self, manufacturer: str, text: bytes, *, who: str, now: float) -> TrustAnchor:
        """Trust a certificate, in PEM or DER, to vouch for a manufacturer's devices.

        Raises:
            RequestError: ``request.anchor``: it is no authority's certificate, or is over; it is
                trusted already; the name can not be one; or there are too many.
        """
        name = _checked_name(manufacturer)
        certificate = _authority(text, now)
        anchor = TrustAnchor(
            fingerprint(certificate).hex(), name, certificate.public_bytes(Encoding.DER), now, who
        )
        if len(self._store.anchors()) >= ANCHORS:
            raise _problem(f"there are {ANCHORS} trust anchors already")
        what = f"anchor.added {anchor.fingerprint}"
        if not self._store.add_anchor(anchor, entry=AuditEntry(who, now, what, name)):
            raise _problem("this certificate is a trust anchor already")
        self.refresh()
        return anchor

    def remove(self, print_of: str, *, who: str, now: float) -> TrustAnchor:
        """Trust the certificate with a fingerprint no longer; devices that registered stay.

        Raises:
            NotFoundError: it is no trust anchor.
        """
        wanted = print_of.replace(":", "").lower()
        name = next((a.manufacturer for a in self._store.anchors() if a.fingerprint == wanted), "")
        entry = AuditEntry(who, now, f"anchor.removed {wanted}", name)
        removed = self._store.remove_anchor(wanted, entry=entry)
        self.refresh()
        return removed


def _trusts(anchors: Sequence[TrustAnchor]) -> Mapping[str, Trust]:
    found: dict[str, tuple[x509.Certificate, ...]] = {}
    for anchor in anchors:
        certificate = x509.load_der_x509_certificate(anchor.der)
        found[anchor.manufacturer] = (*found.get(anchor.manufacturer, ()), certificate)
    return {name: Trust(certificates) for name, certificates in found.items()}


def _checked_name(text: str) -> str:
    name = " ".join(text.split())
    if not 0 < len(name) <= _NAME or not name.isprintable():
        raise _problem(f"a manufacturer's name has 1 to {_NAME} characters")
    return name


def _authority(text: bytes, now: float) -> x509.Certificate:
    certificate = _read(text)
    try:
        kind = x509.BasicConstraints
        constraints = certificate.extensions.get_extension_for_class(kind).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        constraints = None
    if constraints is None or not constraints.ca:
        raise _problem("it is not an authority's certificate")
    if certificate.not_valid_after_utc < utc(now):
        raise _problem("the certificate has expired")
    return certificate


def _read(text: bytes) -> x509.Certificate:
    if len(text) > MAX_TEXT:
        raise _problem(f"a certificate has at most {MAX_TEXT} octets")
    try:
        if b"-----BEGIN" not in text:
            return x509.load_der_x509_certificate(text)
        found = x509.load_pem_x509_certificates(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _problem("it is not a certificate in PEM or DER") from error
    if len(found) != 1:
        raise _problem("one certificate wanted, the manufacturer's root")
    return found[0]


def _problem(message: str) -> RequestError:
    return RequestError(message, code="request.anchor")
