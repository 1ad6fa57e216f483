"""The steps that decisions on registrations are made of (``openami.fleet.admission``)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError
from openami.crypto.succession import following, trace
from openami.fleet.registration import (
    MAX_PAST,
    TRANSITIONS,
    Act,
    Alarm,
    Claim,
    Effect,
    Reason,
    Registration,
    Revoke,
    Ruling,
    Standing,
    Suspend,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SHUT: Final[Mapping[Standing, Reason]] = {
    Standing.BLOCKED: Reason.TWICE,
    Standing.REFUSED: Reason.OPERATOR,
    Standing.RETIRED: Reason.RETIRED,
}

_DONE: Final[Mapping[Act, str]] = {
    Act.APPROVE: "approved",
    Act.REFUSE: "refused",
    Act.OFFER: "offered accounts",
    Act.CONFIRM: "confirmed",
    Act.SUSPECT: "suspected",
    Act.REPLACE: "replaced",
    Act.RETIRE: "retired",
}


def refusal(
    registration: Registration | None, reason: Reason, effects: tuple[Effect, ...] = ()
) -> Ruling:
    """Return a refusal."""
    return Ruling(Verdict.REFUSED, registration, effects, reason)


def granted(registration: Registration, grant: bytes) -> Registration:
    """Return the registration with a grant that is new: 16 octets of chance."""
    return replace(registration, grant=grant, follows=trace(following(grant)))


def suspect(registration: Registration, rival: Claim | None) -> Ruling:
    """Block a device that is there twice: which of the two is right, only a person can find out."""
    if registration.standing is Standing.BLOCKED:
        return refusal(registration, Reason.TWICE)
    moved = move(registration, Act.SUSPECT)
    changed = replace(moved, rival=rival, before=registration.standing)
    alarm = Alarm("registration.twice", f"{registration.uid} is there twice: both are blocked")
    return refusal(changed, Reason.TWICE, (Suspend(), alarm))


def suspects(ruling: Ruling) -> bool:
    """Tell whether a ruling has just blocked a device that is there twice."""
    after = ruling.registration
    blocked = after is not None and after.standing is Standing.BLOCKED
    return blocked and bool(ruling.effects)


def strip(
    registration: Registration, act: Act, why: str
) -> tuple[Registration, tuple[Effect, ...]]:
    """Return the registration after ``act`` without all that it had, which is revoked."""
    offer = registration.offer
    issued = (
        registration.certificate,
        registration.previous,
        None if offer is None else offer.certificate,
    )
    changed = replace(
        move(registration, act),
        grant=b"",
        offer=None,
        live=None,
        certificate=None,
        previous=None,
        rival=None,
        before=None,
        open=False,
        past=over(registration, registration.rival),
    )
    return changed, (Suspend(), *(Revoke(one.serial, why) for one in issued if one is not None))


def over(registration: Registration, claim: Claim | None) -> tuple[bytes, ...]:
    """Return the traces of what is over, with that of ``claim``; the oldest fall out.

    With the registered claim goes the exchange that would have followed it: its device finds out
    that another has its place, and makes nobody suspect.
    """
    if claim is None:
        return registration.past
    gone = [trace(claim.exchange)]
    if claim is registration.claim and registration.follows:
        gone.append(registration.follows)
    new = (one for one in gone if one not in registration.past)
    return (*registration.past, *new)[-MAX_PAST:]


def move(registration: Registration, act: Act) -> Registration:
    """Return a registration after an act.

    Raises:
        ConflictError: ``registration.transition``, it does not stand so that it could be.
    """
    to = TRANSITIONS.get((registration.standing, act))
    if to is None:
        raise conflict(registration, f"be {_DONE[act]}")
    return replace(registration, standing=to)


def conflict(registration: Registration, what: str) -> ConflictError:
    """Return the error for what cannot be done with a registration as it stands."""
    return ConflictError(
        f"{registration.uid} is {registration.standing}: it cannot {what}",
        code="registration.transition",
    )
