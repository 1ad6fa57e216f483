"""The certificates of an installation: what its authorities issue, revoke and believe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from openami.core.errors import ConfigError, NotFoundError
from openami.core.identifiers import DCU_URN, check_serial
from openami.crypto import certificates
from openami.crypto.certificates import Identity, Purpose, Validity
from openami.crypto.chains import Trust, verify
from openami.fleet.certificates import (
    ISSUERS,
    AuthorityName,
    CertificateKind,
    CertificateRecord,
)
from openami.fleet.devices import AuditEntry, DeviceKind, device_id
from openami.headend.errors import RequestError
from openami.headend.security.anchors import Anchors
from openami.headend.security.authorities import (
    AUTHORITIES_HINT,
    BACKDATE_S,
    DAY,
    Authorities,
    AuthorityKeeper,
    new_key,
)
from openami.headend.security.issued import (
    DcuCredentials,
    IssuedCertificate,
    chain_pem,
    key_pem,
)
from openami.headend.security.revocation import FORGOTTEN, KEPT_S, RevocationLists, Revocations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from openami.core.clock import Clock
    from openami.fleet.certificates import CertificateStore, TrustAnchor
    from openami.fleet.ports import Page, Vault
    from openami.headend.installation import Installation
    from openami.headend.settings import HeadendSettings

SERVER_DAYS: Final = 397  # browsers refuse a server's certificate of more than 398 days
ENROLLED_DAYS: Final = 5 * 365  # of a device that can not renew: each time costs a visit
OPERATOR_NAME: Final = 64  # characters, as of an account

REASONS: Final = frozenset(
    reason.value
    for reason in x509.ReasonFlags
    # What is revoked here stays revoked.
    if reason not in {x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl}
)


class Pki:
    """What the authorities of an installation do. Calls block, except where it says so."""

    def __init__(
        self,
        store: CertificateStore,
        authorities: AuthorityKeeper,
        *,
        settings: HeadendSettings,
        wall: Clock,
    ) -> None:
        self._store = store
        self._keeper = authorities
        self._settings = settings
        self._wall = wall
        self._revocations = Revocations(store)
        self._lists = RevocationLists(store, authorities)
        self._anchors = Anchors(store, self.authorities)
        self._watchers: list[Callable[[], None]] = []
        self._anchors.watch(self._trust_changed)
        self.refresh()

    @classmethod
    def open(
        cls,
        home: Installation,
        store: CertificateStore,
        vault: Vault,
        *,
        settings: HeadendSettings,
        wall: Clock,
    ) -> Self:
        """Return the authorities of an installation, made where there are none."""
        authorities = AuthorityKeeper(home, vault, now=wall.now())
        return cls(store, authorities, settings=settings, wall=wall)

    def refresh(self) -> None:
        """Look what other processes have revoked, whom they trust, and who signs."""
        if self._keeper.refresh():
            self._trust_changed()
        self._revocations.refresh(self._authorities.by_id(), now=self._wall.now())
        self._anchors.refresh()

    def look(self, uid: str) -> None:
        """Look what has just been revoked of a device."""
        self._revocations.look(uid, now=self._wall.now())

    @property
    def _authorities(self) -> Authorities:
        return self._keeper.present

    def follow(self, authority: str, *, announce: Callable[[str], None] | None = None) -> str:
        """Make the authority that follows one; from now on it signs. Return what names it.

        Args:
            authority: the one before.
            announce: takes what will name it, before it is there; if that fails, it is not made.

        Raises:
            NotFoundError: there is no such authority.
            RequestError: ``request.authority``, nothing can follow it.
        """
        name = authority_name(authority)
        made = self._keeper.follow(name, now=self._wall.now(), announce=announce)
        self._trust_changed()
        return made

    def _trust_changed(self) -> None:
        for watcher in self._watchers:
            watcher()

    # Certificates that are issued here.

    def issue_device(
        self, uid: str, key: EllipticCurvePublicKey, *, now: float, days: float | None = None
    ) -> IssuedCertificate:
        """Issue the operational certificate (LDevID) of a device; ``days`` as set if not given.

        Raises:
            ValueError: ``uid`` is not a serial number.
        """
        kind, days = CertificateKind.DEVICE, days or self._settings.device_certificate_days
        made = certificates.issue_ldevid(
            self._authorities.devices,
            uid,
            DCU_URN + uid,
            key,
            serial=x509.random_serial_number(),
            validity=self._validity(kind, days, now),
        )
        return self._issued(kind, uid, made, now)

    def issue_operator(
        self, name: str, key: EllipticCurvePublicKey, *, who: str, now: float
    ) -> IssuedCertificate:
        """Issue a certificate with which an operator opens connections.

        Raises:
            RequestError: ``request.name``, that can not be a name.
        """
        if not 0 < len(name) <= OPERATOR_NAME or not name.isprintable():
            raise RequestError(f"a name has 1 to {OPERATOR_NAME} characters", code="request.name")
        kind, days = CertificateKind.OPERATOR, self._settings.operator_certificate_days
        made = certificates.issue_operator(
            self._authorities.operators,
            name,
            key,
            serial=x509.random_serial_number(),
            validity=self._validity(kind, days, now),
        )
        entry = AuditEntry(who, now, f"certificate.issued {made.serial_number:x}", name)
        return self._issued(kind, name, made, now, entry)

    def issue_server(self, names: Iterable[str], *, now: float) -> Identity:
        """Issue a certificate, with a new key, for host names and addresses."""
        kind, listed, key = CertificateKind.SERVER, list(names), new_key()
        made = certificates.issue_server(
            self._authorities.servers,
            listed,
            key.public_key(),
            serial=x509.random_serial_number(),
            validity=self._validity(kind, SERVER_DAYS, now),
        )
        self._issued(kind, listed[0], made, now)
        return Identity(made, key)

    def enroll(self, dcu: str, *, now: float) -> DcuCredentials:
        """Return a new key and certificate for a DCU that does not register by itself.

        Raises:
            ConfigError: ``config.dcu``, that can not be an id.
        """
        try:
            check_serial(dcu)
        except ValueError as error:
            raise ConfigError(str(error), code="config.dcu") from error
        key = new_key()
        issued = self.issue_device(dcu, key.public_key(), now=now, days=ENROLLED_DAYS)
        return DcuCredentials(issued.pem(), key_pem(key), self.root_pem())

    def chain(self, serial: int) -> tuple[bytes, ...]:
        """Return a certificate that was issued and its authority's (DER); NotFoundError."""
        record = self._store.get(serial)
        return (record.der, self._authority_der(record.authority))

    def certificate(self, serial: int) -> CertificateRecord:
        """Return what is known of a certificate; NotFoundError."""
        return self._store.get(serial)

    def certificates(
        self,
        *,
        kind: CertificateKind | None = None,
        subject: str | None = None,
        revoked: bool | None = None,
        expired: bool | None = None,
        ending_days: float | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[CertificateRecord]:
        """Return certificates, those issued last first.

        Args:
            kind: only these.
            subject: only of this device, server or operator.
            revoked: only those that are, or are not.
            expired: only those whose time is over, or is not.
            ending_days: only those that are good now and will not be after so many days.
            after: the ``next`` of the page before.
            limit: most of them.

        Raises:
            RequestError: ``request.expired``, what has expired is not yet to end.
        """
        now, ends = self._wall.now(), None
        if expired is not None:
            ends = (-math.inf, now) if expired else (now, math.inf)
        if ending_days is not None:
            if expired:
                raise RequestError("what has expired does not end", code="request.expired")
            ends, revoked = (now, now + ending_days * DAY), False
        return self._store.list(
            kind=kind, subject=subject, revoked=revoked, ends=ends, after=after, limit=limit
        )

    # Revocation.

    def revoke(self, serial: int, reason: str, *, when: float, who: str, why: str = "") -> None:
        """Revoke a certificate; of one that is revoked already nothing changes.

        Raises:
            NotFoundError: it was not issued here.
            RequestError: ``request.reason``, it is none of ``REASONS``.
        """
        if reason not in REASONS:
            raise RequestError(
                f"the reason is one of {', '.join(sorted(REASONS))}", code="request.reason"
            )
        record = self._store.get(serial)
        what = f"certificate.revoked {serial:x}: {reason}"
        entry = AuditEntry(who, when, what, _subject(record), why)
        self._store.revoke(serial, reason, when=when, entry=entry)
        self._revocations.add(serial)

    def forget(self) -> None:
        """Forget certificates that ended long ago: the audit log still says what they were."""
        while self._store.forget(before=self._wall.now() - KEPT_S, limit=FORGOTTEN) >= FORGOTTEN:
            continue

    def is_revoked(self, serial: int) -> bool:
        """Tell, from memory, whether a certificate has been revoked: seconds ago at the latest."""
        return serial in self._revocations.serials

    def crl(self, authority: str) -> bytes:
        """Return the list of what an authority has revoked (DER); NotFoundError."""
        return self._lists.current(authority, now=self._wall.now())

    # Whom to believe. None of these blocks.

    def check(self, certificate: x509.Certificate, *, now: float) -> None:
        """Check a device's operational certificate.

        Raises:
            SecurityError: it is not good: the codes of ``openami.crypto.chains.verify``.
        """
        verify(certificate, (), self.operational_trust(), purpose=Purpose.CLIENT, now=now)

    def operational_trust(self) -> Trust:
        """Return what vouches for devices' operational certificates, with what is revoked."""
        return Trust(self._believed(), revoked=self._revocations.serials)

    def manufacturer_trusts(self) -> Mapping[str, Trust]:
        """Return by manufacturer what vouches for its factory certificates."""
        return self._anchors.trusts

    def tls_authorities(self) -> bytes:
        """Return in PEM whom the security listener's TLS is to believe: makers and ourselves."""
        own = (*self._believed(), self._authorities.root.certificate)
        makers = tuple(anchor.der for anchor in self._anchors.anchors)
        return chain_pem((*makers, *(_der(certificate) for certificate in own)))

    def authorities(self) -> Mapping[str, x509.Certificate]:
        """Return the authorities' certificates; of one name the last signs."""
        return {name: found.certificate for name, found in self._authorities.by_id().items()}

    def _believed(self) -> tuple[x509.Certificate, ...]:
        """Return the authorities whose certificates devices may have."""
        devices = self._authorities.by_name[AuthorityName.DEVICES]
        return tuple(authority.certificate for authority in devices)

    def root_pem(self) -> bytes:
        """Return the root's certificate: what devices and browsers are to trust."""
        return self._authorities.root.certificate_pem()

    def devices_pem(self) -> bytes:
        """Return the certificates of the devices' authorities: whom their listener believes."""
        return chain_pem(map(_der, self._believed()))

    def servers_pem(self) -> bytes:
        """Return the certificate of the servers' authority, which servers send along."""
        return self._authorities.servers.certificate_pem()

    def serves(self, certificate: x509.Certificate) -> bool:
        """Tell whether a server's certificate is of the authority that signs now, not revoked."""
        signs = self._authorities.servers.certificate.subject
        return certificate.issuer == signs and not self.is_revoked(certificate.serial_number)

    # Trust anchors of manufacturers.

    def anchors(self) -> Sequence[TrustAnchor]:
        """Return the manufacturers' trust anchors, from memory."""
        return self._anchors.anchors

    def add_anchor(self, name: str, text: bytes, *, who: str) -> TrustAnchor:
        """Trust a manufacturer's certificate, in PEM or DER; RequestError ``request.anchor``."""
        return self._anchors.add(name, text, who=who, now=self._wall.now())

    def take_anchor_list(self, text: bytes, *, who: str) -> TrustAnchor:
        """Take a manufacturer's own list of what it has revoked; RequestError ``request.crl``."""
        return self._anchors.take_list(text, who=who, now=self._wall.now())

    def remove_anchor(self, fingerprint: str, *, who: str) -> TrustAnchor:
        """Trust a manufacturer's certificate no longer; NotFoundError."""
        return self._anchors.remove(fingerprint, who=who, now=self._wall.now())

    def watch_trust(self, watcher: Callable[[], None]) -> None:
        """Have ``watcher`` called, from any thread, when others are to be believed than before."""
        self._watchers.append(watcher)

    def _validity(self, kind: CertificateKind, days: float, now: float) -> Validity:
        issuer = self._authorities.of(ISSUERS[kind]).certificate
        end = issuer.not_valid_after_utc.timestamp()
        return Validity(now - BACKDATE_S, min(now + days * DAY, end))

    def _issued(
        self,
        kind: CertificateKind,
        subject: str,
        certificate: x509.Certificate,
        now: float,
        entry: AuditEntry | None = None,
    ) -> IssuedCertificate:
        der, serial = _der(certificate), certificate.serial_number
        not_after = certificate.not_valid_after_utc.timestamp()
        number = self._authorities.number(ISSUERS[kind])
        record = CertificateRecord(serial, kind, subject[:64], der, now, not_after, number=number)
        self._store.add(record, entry=entry)
        chain = (der, self._authority_der(record.authority))
        return IssuedCertificate(serial, certificate, chain)

    def _authority_der(self, name: str) -> bytes:
        return _der(self._authorities.by_id()[name].certificate)


def authority_name(text: str) -> AuthorityName:
    """Return an authority by its name; NotFoundError."""
    try:
        return AuthorityName(text)
    except ValueError as error:
        message = f"there is no authority {text!r}"
        raise NotFoundError(message, hint=AUTHORITIES_HINT) from error


def _subject(record: CertificateRecord) -> str:
    """Return what the audit log names a certificate's holder by."""
    if record.kind is CertificateKind.DEVICE:
        return device_id(DeviceKind.DCU, record.subject)
    return record.subject


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
