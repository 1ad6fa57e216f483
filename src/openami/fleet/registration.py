"""Registrations: which device may have accounts and certificates, how far it is, who keeps it.

What is decided of them is in ``openami.fleet.admission``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from openami.crypto.compare import equal
from openami.fleet.devices import LifecycleState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.fleet.devices import Device
    from openami.fleet.expected import ExpectedDevice
    from openami.fleet.ports import Page


class Standing(StrEnum):
    """How far a registration is."""

    PENDING = "pending"
    APPROVED = "approved"
    OFFERED = "offered"
    LIVE = "live"
    REFUSED = "refused"
    BLOCKED = "blocked"
    RETIRED = "retired"


class Act(StrEnum):
    """What moves a registration."""

    APPROVE = "approve"
    REFUSE = "refuse"
    OFFER = "offer"
    CONFIRM = "confirm"
    SUSPECT = "suspect"
    REPLACE = "replace"
    RETIRE = "retire"


_S, _A = Standing, Act

# Who is suspected stays blocked until a person decides; KEEP goes back to the standing before and
# is therefore not in the table. A retired device never comes back: its certificates are revoked.
# REPLACE of a live registration is a device that was opened to register anew.
TRANSITIONS: Final[Mapping[tuple[Standing, Act], Standing]] = {
    (_S.PENDING, _A.APPROVE): _S.APPROVED,
    (_S.PENDING, _A.REFUSE): _S.REFUSED,
    (_S.REFUSED, _A.APPROVE): _S.APPROVED,
    (_S.APPROVED, _A.REFUSE): _S.REFUSED,
    (_S.APPROVED, _A.OFFER): _S.OFFERED,
    (_S.OFFERED, _A.OFFER): _S.OFFERED,
    (_S.OFFERED, _A.CONFIRM): _S.LIVE,
    (_S.OFFERED, _A.REFUSE): _S.REFUSED,
    (_S.LIVE, _A.REPLACE): _S.APPROVED,
    (_S.BLOCKED, _A.REPLACE): _S.APPROVED,
    (_S.BLOCKED, _A.REFUSE): _S.REFUSED,
    **{(s, _A.SUSPECT): _S.BLOCKED for s in _S if s not in {_S.BLOCKED, _S.RETIRED}},
    **{(s, _A.RETIRE): _S.RETIRED for s in _S if s is not _S.RETIRED},
}

MAX_PAST: Final = 32  # exchanges that are over: two for each time that a device is replaced


class Verdict(StrEnum):
    """What a device is answered; ``make`` and ``again`` are about what it is to be given."""

    APPROVED = "approved"
    PENDING = "pending"
    REFUSED = "refused"
    MAKE = "make"
    AGAIN = "again"
    CONFIRMED = "confirmed"


class Reason(StrEnum):
    """Why a device is refused; the names are those of SSMP's reasons."""

    NOT_EXPECTED = "not expected"
    MISMATCH = "not as expected"
    OPERATOR = "refused by an operator"
    TWICE = "the identity is there twice"
    STALE = "this registration is over"
    EXPIRED = "the offer has expired"
    SPENT = "the offer was taken"
    UNKNOWN = "nothing is known of this"
    RETIRED = "the device is retired"
    CERTIFICATE = "not with this certificate"
    SOON = "the certificate was renewed a short while ago"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who asked to be this device: the exchange, the factory certificate and the key (SHA-256).

    ``public`` is the key itself (SubjectPublicKeyInfo, DER), which is certified once it is granted.
    """

    exchange: bytes
    factory: bytes
    key: bytes
    manufacturer: str
    model: str
    hardware: str
    firmware: str
    when: float
    public: bytes = b""

    def same(self, other: Claim) -> bool:
        """Tell whether both came from one device in one registration."""
        return (
            equal(self.exchange, other.exchange)
            and equal(self.factory, other.factory)
            and equal(self.key, other.key)
        )


@dataclass(frozen=True, slots=True)
class Issued:
    """An operational certificate.

    Args:
        serial: its number.
        key: the SHA-256 of its key.
        renewed: when it took the place of the one before; 0 for one that came by registering.
        ends: until when it is good; as ``renewed``.
    """

    serial: int
    key: bytes
    renewed: float = 0.0
    ends: float = 0.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What was made for a device: the SHA-256 of the message, until when, its certificate."""

    digest: bytes
    until: float
    certificate: Issued


@dataclass(frozen=True, slots=True)
class Registration:
    """One device's registration; there is one at most for each ``uid``.

    Args:
        uid: the device.
        standing: how far it is.
        claim: who is registered, or asks to be.
        grant: names what the claim was granted, until that is live: an answer that was lost is
            given again.
        follows: the ``trace`` of the exchange that follows the grant, by which it is known later.
        reason: why it was refused.
        offer: what was made last, until it is live.
        live: the digest of the live accounts; None when there are none.
        certificate: the operational certificate that is good.
        previous: the one before, until the device has shown the new one.
        rival: who else claims to be this device; None where two hold one operational key.
        before: the standing that a blocked registration came from.
        open: the next claim may take the place of a live one, once.
        past: the traces of exchanges that are over, the newest last.
    """

    uid: str
    standing: Standing
    claim: Claim
    grant: bytes = field(default=b"", repr=False)
    follows: bytes = b""
    reason: Reason | None = None
    offer: Offer | None = None
    live: bytes | None = None
    certificate: Issued | None = None
    previous: Issued | None = None
    rival: Claim | None = None
    before: Standing | None = None
    open: bool = False
    past: tuple[bytes, ...] = ()


ASKS_S: Final = 3600.0
"""A live device that asks to register anew does so every quarter of an hour at least: who has not
for an hour has what it needs, or is gone."""


@dataclass(frozen=True, slots=True)
class RegistrationRecord:
    """A registration, with what else is known of its device.

    Args:
        registration: how far it is.
        device: in the registry; None: it has not come in.
        expected: what the list says of it.
        asked: when, live, it last asked to register anew.
    """

    registration: Registration
    device: Device | None
    expected: ExpectedDevice | None
    asked: float | None

    @property
    def suspended(self) -> bool:
        """Whether the device is shut out for now."""
        return self.device is not None and self.device.state is LifecycleState.SUSPENDED

    def asks_anew(self, now: float) -> bool:
        """Tell whether the device, live, asks to register anew."""
        return self.asked is not None and now - self.asked <= ASKS_S


@dataclass(frozen=True, slots=True)
class Activate:
    """Make the offered accounts the device's only ones."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Suspend:
    """Let nobody use the device's accounts and certificates for now."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Let the device use its accounts and certificates again.

    ``to`` is the state of life that it comes to; None: the one before.
    """

    to: LifecycleState | None = None


@dataclass(frozen=True, slots=True)
class Revoke:
    """Put a certificate on the list of revoked ones; the reason is RFC 5280's (5.3.1)."""

    serial: int
    reason: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tell the operators."""

    code: str
    message: str


Effect = Activate | Suspend | Resume | Revoke | Alarm


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is decided: the answer, the registration as it is to be, and what belongs to it."""

    verdict: Verdict
    registration: Registration | None
    effects: tuple[Effect, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class RegistrationPolicy:
    """What becomes of a device that no list names: held for approval, or refused."""

    hold_unexpected: bool = True


class RegistrationStore(Protocol):
    """Keeps registrations, and with each what it means for the device and its account."""

    def get(self, uid: str) -> Registration | None: ...

    def put(
        self,
        registration: Registration,
        *,
        replacing: Registration | None,
        effects: Sequence[Effect],
        who: str,
        when: float,
        why: str = "",
    ) -> None:
        """Commit a change, its effects and its audit entry in one transaction.

        The registry's device moves along, as ``openami.fleet.lives`` says. What was ``Activate``d
        is the device's account. A registration that took all that the device had, or made one
        account its only one, leaves no other certificate of the device good.

        Raises:
            ConflictError: ``registration.changed``, what is stored is not ``replacing``, or the
                device is suspended: read it and decide again. ``device.transition``, the device is
                retired.
        """
        ...

    def known(self, uid: str) -> RegistrationRecord | None: ...

    def list(
        self,
        standing: Standing | None = None,
        *,
        asked_since: float | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[RegistrationRecord]:
        """Return registrations by uid; ``asked_since``: of those that asked anew at it or later."""
        ...

    def ask_anew(self, uid: str, *, when: float) -> None:
        """Take that a live device asks to register anew; forgotten once it does."""
        ...

    def asking(self, *, since: float) -> int:
        """Return how many live devices have asked to register anew since a time."""
        ...

    def counts(self) -> Mapping[Standing, int]:
        """Return how many registrations stand where."""
        ...


class ExpectedStore(Protocol):
    """Keeps the devices that are expected."""

    def get(self, uid: str) -> ExpectedDevice | None: ...

    def put(self, devices: Sequence[ExpectedDevice], *, who: str, when: float) -> None:
        """Add and replace devices by their uid, all in one transaction."""
        ...

    def remove(self, uid: str, *, who: str, when: float) -> None:
        """Expect a device no more; NotFoundError."""
        ...

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[ExpectedDevice]:
        """Return expected devices by uid."""
        ...
