"""Decisions on registrations (``docs/ssmp.md``).

Each takes a registration as it is and returns a ``Ruling``: the answer, the registration as it is
to be, and the effects that belong to the change. A store commits the registration and its effects
in one transaction, or neither; a request that comes twice meets the same registration twice and is
answered the same, without a second effect.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.crypto.compare import equal
from openami.crypto.succession import following, trace
from openami.fleet.expected import Approval
from openami.fleet.moves import SHUT, conflict, granted, move, over, refusal, strip, suspect
from openami.fleet.registration import (
    Act,
    Activate,
    Alarm,
    Claim,
    Effect,
    Issued,
    Offer,
    Reason,
    Registration,
    RegistrationPolicy,
    Resume,
    Revoke,
    Ruling,
    Standing,
    Verdict,
)

if TYPE_CHECKING:
    from openami.fleet.expected import ExpectedDevice

RENEWAL_S: Final = 3600.0
"""Between two renewals of one device: each leaves a revoked certificate, which is kept and listed
until its end, so that a device could fill a head-end with them."""

RENEWABLE_LEFT: Final = 1 / 2
"""Of a certificate's life: with no more left it is renewed at once. Devices renew when a third is
left; the rest is room for their clocks."""

# A list that is imported later, or mended, lets these in without a person.
_OPEN_TO_THE_LIST: Final = frozenset({Reason.NOT_EXPECTED, Reason.MISMATCH})


def request(
    registration: Registration | None,
    uid: str,
    claim: Claim,
    expected: ExpectedDevice | None,
    policy: RegistrationPolicy,
    *,
    grant: bytes,
    expired: bool = False,
) -> Ruling:
    """Decide on a device that asks to be registered.

    Args:
        registration: the device's, if there is one.
        uid: the device, as its factory certificate names it.
        claim: who asks.
        expected: what the list says of the device, if it does.
        policy: what becomes of others.
        grant: 16 octets of chance, for a claim that is let in.
        expired: the certificate that the registered device has is out of its time.
    """
    if registration is None:
        new = Registration(uid, Standing.PENDING, claim)
        return _judge(new, expected, policy, grant)
    if registration.standing is Standing.RETIRED:
        return refusal(registration, Reason.RETIRED)
    live, same = registration.standing is Standing.LIVE, claim.same(registration.claim)
    if same and not live:
        return _repeat(registration, expected, policy, grant)
    known = claim.exchange == registration.claim.exchange
    if not known and trace(claim.exchange) in registration.past:
        return refusal(registration, Reason.STALE)
    its_own = same or _follows(registration, claim)
    if live and (registration.open or (expired and its_own)):
        return _anew(registration, claim, expected, grant)
    return _keep_out(registration, claim, its_own=its_own)


def fetch(
    registration: Registration | None,
    *,
    exchange: bytes,
    factory: bytes,
    grant: bytes,
    now: float,
) -> Ruling:
    """Decide whether a device is given its accounts: made now, or sent again as they were made."""
    problem = _not_granted(registration, exchange, factory, grant)
    if problem is not None or registration is None:
        return refusal(registration, problem or Reason.UNKNOWN)
    if registration.standing is Standing.LIVE:
        return refusal(registration, Reason.SPENT)  # passwords are not shown again
    offer = registration.offer
    again = offer is not None and now <= offer.until
    return Ruling(Verdict.AGAIN if again else Verdict.MAKE, registration)


def offered(registration: Registration, offer: Offer) -> Ruling:
    """Return the registration with what was made after ``Verdict.MAKE``.

    A certificate that was made before and never acknowledged is revoked.
    """
    old = registration.offer
    effects = () if old is None else (Revoke(old.certificate.serial, "superseded"),)
    return Ruling(Verdict.MAKE, replace(move(registration, Act.OFFER), offer=offer), effects)


def acknowledge(
    registration: Registration | None,
    *,
    exchange: bytes,
    factory: bytes,
    grant: bytes,
    digest: bytes,
    now: float,
) -> Ruling:
    """Decide on a device that says what it keeps: here the accounts become live."""
    problem = _not_granted(registration, exchange, factory, grant)
    if problem is not None or registration is None:
        return refusal(registration, problem or Reason.UNKNOWN)
    if registration.standing is Standing.LIVE:
        same = registration.live is not None and equal(registration.live, digest)
        return (
            Ruling(Verdict.CONFIRMED, registration) if same else refusal(registration, Reason.SPENT)
        )
    offer = registration.offer
    if offer is None:
        return refusal(registration, Reason.UNKNOWN)
    if now > offer.until or not equal(offer.digest, digest):
        return refusal(registration, Reason.EXPIRED)
    return Ruling(Verdict.CONFIRMED, *_confirm(registration, offer))


def renew(registration: Registration | None, *, shown: int, key: bytes, now: float) -> Ruling:
    """Decide on a device that asks for its next certificate.

    Args:
        registration: the device's.
        shown: the serial number of the certificate with which it connected.
        key: the SHA-256 of the key that is to be certified.
        now: seconds UTC.

    ``MAKE``: call ``renewed`` with what was issued. ``AGAIN``: the answer to the same request was
    lost; send the certificate that there is.
    """
    if registration is None or registration.standing in SHUT:
        shut = None if registration is None else SHUT[registration.standing]
        return refusal(registration, shut or Reason.UNKNOWN)
    good, previous = registration.certificate, registration.previous
    if good is not None and shown == good.serial:
        ruling = show(registration, shown)
        again, soon = equal(good.key, key), renewable_in(good, now) > 0
        if soon and not again:
            return replace(ruling, verdict=Verdict.REFUSED, reason=Reason.SOON)
        return replace(ruling, verdict=Verdict.AGAIN if again else Verdict.MAKE)
    if good is None or previous is None or shown != previous.serial:
        return refusal(registration, Reason.CERTIFICATE)
    if equal(good.key, key):
        return Ruling(Verdict.AGAIN, registration)
    # One device keeps the key it asked for. Another key after the old certificate was used up
    # means that two hold it.
    return suspect(registration, None)


def renewable_in(good: Issued, now: float) -> float:
    """Return the seconds until a certificate may be renewed; 0 where it may be now."""
    if now < good.renewed:  # our clock was set back: nobody waits for it to come there again
        return 0.0
    late = good.ends - RENEWABLE_LEFT * (good.ends - good.renewed)
    return max(0.0, min(good.renewed + RENEWAL_S, late) - now)


def renewed(registration: Registration, issued: Issued) -> Ruling:
    """Return the registration with what was issued after ``renew`` said ``MAKE``."""
    changed = replace(registration, certificate=issued, previous=registration.certificate)
    return Ruling(Verdict.MAKE, changed)


def show(registration: Registration, serial: int) -> Ruling:
    """Take that the device connected with a certificate: the one before it is not needed more."""
    good, previous = registration.certificate, registration.previous
    if good is None or previous is None or serial != good.serial:
        return Ruling(Verdict.CONFIRMED, registration)
    effect = Revoke(previous.serial, "superseded")
    return Ruling(Verdict.CONFIRMED, replace(registration, previous=None), (effect,))


def approve(registration: Registration, *, grant: bytes) -> Ruling:
    """Let in a device that is held or was refused; ``grant`` is 16 octets of chance.

    Raises:
        ConflictError: as for every decision of a person, ``registration.transition`` where the
            standing does not allow it.
    """
    moved = granted(move(registration, Act.APPROVE), grant)
    return Ruling(Verdict.APPROVED, replace(moved, reason=None))


def refuse(registration: Registration) -> Ruling:
    """Keep out a device; what it had is revoked."""
    changed, effects = strip(registration, Act.REFUSE, "privilegeWithdrawn")
    return refusal(replace(changed, reason=Reason.OPERATOR), Reason.OPERATOR, effects)


def reopen(registration: Registration) -> Ruling:
    """Let a live device, or the one that replaces it, register anew; the old stays until then."""
    if registration.standing is not Standing.LIVE:
        raise conflict(registration, "register anew")
    return Ruling(Verdict.APPROVED, replace(registration, open=True, reason=None))


def keep(registration: Registration) -> Ruling:
    """Decide that the first of two is the device; the other's exchange is over."""
    before, previous = registration.before, registration.previous
    if registration.standing is not Standing.BLOCKED or before is None:
        raise conflict(registration, "be kept")
    effects: tuple[Effect, ...] = (Resume(),)
    if registration.rival is None and previous is not None:
        # The one before the good certificate is the key that two hold.
        effects += (Revoke(previous.serial, "keyCompromise"),)
        registration = replace(registration, previous=None)
    past = over(registration, registration.rival)
    changed = replace(registration, standing=before, before=None, rival=None, past=past)
    return Ruling(Verdict.APPROVED, changed, effects)


def take_rival(registration: Registration, *, grant: bytes) -> Ruling:
    """Decide that the second of two is the device; what the first had is revoked.

    ``grant`` is 16 octets of chance.
    """
    rival = registration.rival
    if registration.standing is not Standing.BLOCKED or rival is None:
        raise conflict(registration, "give way to another")
    changed, effects = strip(registration, Act.REPLACE, "keyCompromise")
    past = over(registration, registration.claim)
    changed = replace(granted(changed, grant), claim=rival, reason=None, past=past)
    return Ruling(Verdict.APPROVED, changed, effects)


def retire(registration: Registration) -> Ruling:
    """Take a device out for good."""
    changed, effects = strip(registration, Act.RETIRE, "cessationOfOperation")
    return refusal(changed, Reason.RETIRED, effects)


def _judge(
    registration: Registration,
    expected: ExpectedDevice | None,
    policy: RegistrationPolicy,
    grant: bytes,
) -> Ruling:
    """Return what the list and the policy say of a device that no person has decided on."""
    problem = _mismatch(registration.claim, expected)
    if expected is None and not policy.hold_unexpected:
        problem = Reason.NOT_EXPECTED
    if problem is not None:
        changed = replace(registration, standing=Standing.REFUSED, reason=problem)
        told = problem is Reason.NOT_EXPECTED or registration.reason is problem
        return refusal(changed, problem, () if told else (_not_as_expected(registration.uid),))
    if expected is None or expected.approval is Approval.MANUAL:
        held = replace(registration, standing=Standing.PENDING, reason=None)
        return Ruling(Verdict.PENDING, held)
    changed = replace(granted(registration, grant), standing=Standing.APPROVED, reason=None)
    return Ruling(Verdict.APPROVED, changed)


def _mismatch(claim: Claim, expected: ExpectedDevice | None) -> Reason | None:
    if expected is None:
        return None
    fits = (
        expected.manufacturer in {"", claim.manufacturer}
        and expected.model in {"", claim.model}
        and expected.fingerprint in {None, claim.factory}
    )
    return None if fits else Reason.MISMATCH


def _not_as_expected(uid: str) -> Alarm:
    return Alarm("registration.mismatch", f"{uid} asks to be registered and is not as expected")


def _repeat(
    registration: Registration,
    expected: ExpectedDevice | None,
    policy: RegistrationPolicy,
    grant: bytes,
) -> Ruling:
    standing, reason = registration.standing, registration.reason
    if standing is Standing.PENDING or (
        standing is Standing.REFUSED and reason in _OPEN_TO_THE_LIST
    ):
        return _judge(registration, expected, policy, grant)
    if standing in SHUT:
        return refusal(registration, SHUT[standing])
    return Ruling(Verdict.APPROVED, registration)


def _follows(registration: Registration, claim: Claim) -> bool:
    """Tell whether a claim is of the device that is registered, which alone knows the grant."""
    mine = equal(claim.factory, registration.claim.factory)
    return mine and equal(trace(claim.exchange), registration.follows)


def _keep_out(registration: Registration, claim: Claim, *, its_own: bool) -> Ruling:
    """Refuse who may not take the place; whoever is not its own device makes it suspect."""
    if registration.standing is Standing.LIVE and its_own:
        return refusal(registration, Reason.SPENT)  # it only asks whether it is to register anew
    known = claim.exchange == registration.claim.exchange
    if registration.standing is Standing.REFUSED and its_own and not known:
        # It was live; now it is who is let in, should a person think better of the refusal.
        past = over(registration, registration.claim)
        return refusal(replace(registration, claim=claim, past=past), Reason.OPERATOR)
    return suspect(registration, claim)


def _anew(
    registration: Registration, claim: Claim, expected: ExpectedDevice | None, grant: bytes
) -> Ruling:
    """Let a claim take the place of a live one, whose accounts stay until the new ones are."""
    if _mismatch(claim, expected) is not None:
        told = registration.reason is Reason.MISMATCH  # once, however often it asks
        alarms = () if told else (_not_as_expected(registration.uid),)
        return refusal(replace(registration, reason=Reason.MISMATCH), Reason.MISMATCH, alarms)
    moved = granted(move(registration, Act.REPLACE), grant)
    changed = replace(moved, claim=claim, open=False, reason=None)
    if not claim.same(registration.claim):
        changed = replace(changed, past=over(registration, registration.claim))
    return Ruling(Verdict.APPROVED, changed)


def _not_granted(
    registration: Registration | None, exchange: bytes, factory: bytes, grant: bytes
) -> Reason | None:
    if registration is None:
        return Reason.UNKNOWN
    claim, standing = registration.claim, registration.standing
    if standing is not Standing.RETIRED and not (
        equal(claim.exchange, exchange) and equal(claim.factory, factory)
    ):
        return Reason.STALE
    if standing in SHUT:
        return SHUT[standing]
    known = equal(registration.follows, trace(following(grant)))
    return None if known else Reason.UNKNOWN


def _confirm(registration: Registration, offer: Offer) -> tuple[Registration, tuple[Effect, ...]]:
    old = (registration.certificate, registration.previous)
    effects = tuple(Revoke(one.serial, "superseded") for one in old if one is not None)
    changed = replace(
        move(registration, Act.CONFIRM),
        grant=b"",
        live=offer.digest,
        certificate=offer.certificate,
        previous=None,
        offer=None,
    )
    return changed, (Activate(offer.digest), *effects)
