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
_FOLLOWING: Final = "{name}-{number}"


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


def authority_id(name: AuthorityName, number: int) -> str:
    """Return what names the ``number``-th authority of a name: ``devices``, then ``devices-2``."""
    return name.value if number == 1 else _FOLLOWING.format(name=name.value, number=number)


def authority_number(text: str) -> int:
    """Return which of its name an authority is, by what ``authority_id`` gave."""
    _, _, number = text.partition("-")
    return int(number or "1")


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
        number: which of the authorities has issued it that followed each other.
    """

    serial: int
    kind: CertificateKind
    subject: str
    der: bytes = field(repr=False)
    issued: float
    not_after: float
    revoked: float | None = None
    reason: str = ""
    number: int = 1

    @property
    def authority(self) -> str:
        """Who has issued it, as ``authority_id`` names it."""
        return authority_id(ISSUERS[self.kind], self.number)

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

    Args:
        fingerprint: SHA-256 of the certificate, in hexadecimal digits.
        manufacturer: whose it is.
        der: the certificate.
        added: when, in UTC seconds.
        who: added it.
        listed: SHA-256, in hexadecimal digits, of its own list of what it has revoked; empty where
            none was given.
        list_ends: until when that is in force.
    """

    fingerprint: str
    manufacturer: str
    der: bytes = field(repr=False)
    added: float
    who: str
    listed: str = ""
    list_ends: float | None = None


@dataclass(frozen=True, slots=True)
class RevocationList:
    """The last list of an authority: its number, and from when until when it is in force."""

    authority: str
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
        self, authority: str, *, now: float, since: float = 0.0
    ) -> Sequence[RevokedCertificate]:
        """Return what was revoked at ``since`` or later and would be good at ``now`` otherwise."""
        ...

    def revoked_of(self, subject: str, *, now: float) -> Sequence[int]:
        """Return the numbers of a device's revoked certificates that would be good otherwise."""
        ...

    def forget(self, *, before: float, limit: int = 1000) -> int:
        """Forget certificates that ended before a time; return how many.

        As many as ``limit``: more may be left. One that a registration names stays.
        """
        ...

    def revocation_list(self, authority: str) -> RevocationList | None: ...

    def put_revocation_list(self, made: RevocationList) -> bool:
        """Keep a list; False where the number of the one before is not one less: it is not kept."""
        ...

    def anchors(self) -> Sequence[TrustAnchor]:
        """Return the manufacturers' trust anchors by name."""
        ...

    def add_anchor(self, anchor: TrustAnchor, *, entry: AuditEntry) -> bool:
        """Trust a certificate; False where it is trusted already, under whatever name."""
        ...

    def anchor_list(self, fingerprint: str) -> bytes:
        """Return what a trusted certificate has revoked (DER), empty for no list; NotFoundError."""
        ...

    def set_anchor_list(
        self, fingerprint: str, crl: bytes, *, ends: float, entry: AuditEntry
    ) -> TrustAnchor:
        """Take what a trusted certificate has revoked; NotFoundError."""
        ...

    def remove_anchor(self, fingerprint: str, *, entry: AuditEntry) -> TrustAnchor:
        """Trust a certificate no longer; NotFoundError."""
        ...
