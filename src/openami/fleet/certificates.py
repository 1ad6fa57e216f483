"""What the head-end's authorities have issued and revoked, and which manufacturers are trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.fleet.devices import AuditEntry
    from openami.fleet.ports import Page

_DAY: Final = 86_400


class AuthorityName(StrEnum):
    """The authorities of one installation; the root signs the others and nothing else."""

    ROOT = "root"
    DEVICES = "devices"
    SERVERS = "servers"
    OPERATORS = "operators"


class CertificateKind(StrEnum):
    """Whom a certificate is for."""

    DEVICE = "device"
    SERVER = "server"
    OPERATOR = "operator"


ISSUERS: Final[Mapping[CertificateKind, AuthorityName]] = {
    CertificateKind.DEVICE: AuthorityName.DEVICES,
    CertificateKind.SERVER: AuthorityName.SERVERS,
    CertificateKind.OPERATOR: AuthorityName.OPERATORS,
}


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """A certificate that was issued.

    Args:
        serial: its number.
        kind: whom it is for; the authority follows from it.
        subject: the device's serial number, the server's first name, the operator's name.
        der: the certificate.
        issued: when, in UTC seconds.
        not_after: until when it is good.
        revoked: since when it is no longer good; None: it is.
        reason: why, by a name of RFC 5280 5.3.1.
    """

    serial: int
    kind: CertificateKind
    subject: str
    der: bytes = field(repr=False)
    issued: float
    not_after: float
    revoked: float | None = None
    reason: str = ""

    @property
    def authority(self) -> AuthorityName:
        """Who has issued it."""
        return ISSUERS[self.kind]

    def days_left(self, now: float) -> float:
        """Return for how many more days it is good; 0 for one that is not."""
        return 0.0 if self.revoked is not None else max(0.0, (self.not_after - now) / _DAY)


@dataclass(frozen=True, slots=True)
class RevokedCertificate:
    """A certificate that is no longer good, as a list of them says it."""

    serial: int
    when: float
    reason: str


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A manufacturer's certificate that vouches for factory certificates.

    ``crl`` is its own list of what it has revoked (DER), empty where none was given.
    """

    fingerprint: str
    manufacturer: str
    der: bytes = field(repr=False)
    added: float
    who: str
    crl: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """The last list of an authority: its number, and from when until when it is in force."""

    authority: AuthorityName
    number: int
    der: bytes = field(repr=False)
    made: float
    ends: float


class CertificateStore(Protocol):
    """Keeps certificates, trust anchors and lists of what is revoked."""

    def add(self, record: CertificateRecord, *, entry: AuditEntry | None = None) -> None:
        """Note a certificate, with an entry of the audit log; ConflictError if there is one."""
        ...

    def get(self, serial: int) -> CertificateRecord:
        """Return a certificate; NotFoundError."""
        ...

    def list(
        self,
        *,
        kind: CertificateKind | None = None,
        subject: str | None = None,
        revoked: bool | None = None,
        ends: tuple[float, float] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[CertificateRecord]:
        """Return certificates, those issued last first; ``ends``: after one time, by another."""
        ...

    def revoke(self, serial: int, reason: str, *, when: float, entry: AuditEntry) -> bool:
        """Revoke a certificate, with the audit entry.

        Returns:
            False for one that was revoked before: nothing changes, and no entry is made.

        Raises:
            NotFoundError: there is no such certificate.
        """
        ...

    def revoked(
        self, authority: AuthorityName, *, now: float, since: float = 0.0
    ) -> Sequence[RevokedCertificate]:
        """Return what was revoked at ``since`` or later and would be good at ``now`` otherwise."""
        ...

    def revocation_list(self, authority: AuthorityName) -> RevocationList | None: ...

    def put_revocation_list(self, made: RevocationList) -> bool:
        """Keep a list; False where the number of the one before is not one less: it is not kept."""
        ...

    def anchors(self) -> Sequence[TrustAnchor]:
        """Return the manufacturers' trust anchors by name."""
        ...

    def add_anchor(self, anchor: TrustAnchor, *, entry: AuditEntry) -> bool:
        """Trust a certificate; False where it is trusted already, under whatever name."""
        ...

    def set_anchor_list(self, fingerprint: str, crl: bytes, *, entry: AuditEntry) -> TrustAnchor:
        """Take what a trusted certificate has revoked; NotFoundError."""
        ...

    def remove_anchor(self, fingerprint: str, *, entry: AuditEntry) -> TrustAnchor:
        """Trust a certificate no longer; NotFoundError."""
        ...
