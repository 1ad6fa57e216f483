"""The manufacturers whose factory certificates are believed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from openami.core.clock import utc
from openami.core.errors import SecurityError
from openami.crypto.certificates import MAX_CERTIFICATE, UNREADABLE, fingerprint
from openami.crypto.chains import Trust
from openami.crypto.revocation import ReadList, load_crl
from openami.fleet.certificates import TrustAnchor
from openami.fleet.devices import AuditEntry
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.fleet.certificates import CertificateStore

ANCHORS: Final = 256  # a factory certificate is tried with each of them
MAX_TEXT: Final = 4 * MAX_CERTIFICATE  # octets of a certificate in PEM, and what makers write above
MAX_LIST: Final = 4 << 20  # octets: a hundred thousand revoked certificates
_NAME: Final = 64  # characters


class Anchors:
    """The trust anchors, in memory; each change goes to the database first.

    Args:
        store: keeps them.
        own: gives the head-end's own authorities, which vouch for no factory certificate.
    """

    def __init__(
        self, store: CertificateStore, own: Callable[[], Mapping[str, x509.Certificate]]
    ) -> None:
        self._store = store
        self._own = own
        self._lock = threading.Lock()
        self._anchors: tuple[TrustAnchor, ...] = ()
        self._trusts: Mapping[str, Trust] = {}
        self._lists: Mapping[str, ReadList] = {}  # by their SHA-256
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
        """Look which anchors there are: another process may have changed them.

        A list is read once, and only where there is another than before.
        """
        with self._lock:
            found = tuple(self._store.anchors())
            changed = found != self._anchors
            if changed:
                self._lists = {one.listed: self._read(one) for one in found if one.listed}
                self._anchors, self._trusts = found, _trusts(found, self._lists)
        if changed:
            for watcher in self._watchers:
                watcher()

    def add(self, manufacturer: str, text: bytes, *, who: str, now: float) -> TrustAnchor:
        """Trust a certificate, in PEM or DER, to vouch for a manufacturer's devices.

        Raises:
            RequestError: ``request.anchor``: it is no authority's certificate, or is over, or our
                own; it is trusted already; the name can not be one; or there are too many.
        """
        name = _checked_name(manufacturer)
        certificate = _authority(text, now)
        if certificate in self._own().values():
            # A revoked operational certificate would pass for a factory certificate.
            raise _problem("it is an authority of this head-end")
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

    def take_list(self, text: bytes, *, who: str, now: float) -> TrustAnchor:
        """Take a manufacturer's list of what it has revoked, in PEM or DER.

        From then on one in force is needed: when it ends, its factory certificates are refused
        until there is another.

        Raises:
            RequestError: ``request.crl``: it is none in force, is older than the one there, or no
                trust anchor has signed it.
        """
        crl = _read_list(text)
        ends = crl.next_update_utc
        if ends is None or ends <= utc(now):
            raise _wrong_list("the list has no end, or it is over")
        anchor, listed = self._signer(crl)
        before = self._read(anchor) if anchor.listed else None
        if before is not None and listed.made < before.made:
            raise _wrong_list("it is older than the list that is there")
        what = f"anchor.list {anchor.fingerprint}: {len(listed.serials)} revoked"
        entry = AuditEntry(who, now, what, anchor.manufacturer)
        der = crl.public_bytes(Encoding.DER)
        changed = self._store.set_anchor_list(
            anchor.fingerprint, der, ends=ends.timestamp(), entry=entry
        )
        self.refresh()
        return changed

    def _signer(self, crl: x509.CertificateRevocationList) -> tuple[TrustAnchor, ReadList]:
        for anchor in self._store.anchors():
            try:
                return anchor, ReadList.of(crl, x509.load_der_x509_certificate(anchor.der))
            except SecurityError:
                continue
        raise _wrong_list("no trust anchor has signed it")

    def _read(self, anchor: TrustAnchor) -> ReadList:
        known = self._lists.get(anchor.listed)
        if known is not None:
            return known
        crl = load_crl(self._store.anchor_list(anchor.fingerprint))
        return ReadList.of(crl, x509.load_der_x509_certificate(anchor.der))

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


def _trusts(anchors: Sequence[TrustAnchor], lists: Mapping[str, ReadList]) -> Mapping[str, Trust]:
    found: dict[str, Trust] = {}
    for anchor in anchors:
        before = found.get(anchor.manufacturer, Trust(()))
        certificate = x509.load_der_x509_certificate(anchor.der)
        own = (lists[anchor.listed],) if anchor.listed else ()
        found[anchor.manufacturer] = Trust((*before.anchors, certificate), (*before.lists, *own))
    return found


def _read_list(text: bytes) -> x509.CertificateRevocationList:
    if len(text) > MAX_LIST:
        raise _wrong_list(f"a list has at most {MAX_LIST} octets")
    try:
        return x509.load_pem_x509_crl(text) if b"-----BEGIN" in text else load_crl(text)
    except (*UNREADABLE, SecurityError) as error:
        raise _wrong_list("it is not a list of revoked certificates") from error


def _wrong_list(message: str) -> RequestError:
    return RequestError(message, code="request.crl")


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
