"""Requests and decisions in any order: what must hold of accounts and certificates, holds."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openami.core.errors import ConflictError
from openami.crypto.succession import following, trace
from openami.fleet import admission as a
from openami.fleet.registration import (
    Activate,
    Claim,
    Issued,
    Offer,
    Registration,
    RegistrationPolicy,
    Resume,
    Revoke,
    Ruling,
    Standing,
    Suspend,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

GRANTS = (b"g" * 16, b"G" * 16, b"a" * 16)
FIRST = Claim(b"e" * 16, b"f" * 32, b"k" * 32, "Maker", "OA-DCU", "1", "0.2", 0.0)
CLAIMS = (
    FIRST,
    replace(FIRST, exchange=b"x" * 16),
    replace(FIRST, key=b"y" * 32),
    replace(FIRST, exchange=b"z" * 16, factory=b"g" * 32),
    *(replace(FIRST, exchange=following(grant), key=b"n" * 32) for grant in GRANTS),
)
CLAIM = st.sampled_from(CLAIMS)
DECISIONS: tuple[Callable[[Registration], Ruling], ...] = (
    lambda registration: a.approve(registration, grant=GRANTS[2]),
    lambda registration: a.approve(registration, grant=GRANTS[2]),
    a.refuse,
    a.reopen,
    a.keep,
    lambda registration: a.take_rival(registration, grant=GRANTS[1]),
)


class Registrations(RuleBasedStateMachine):
    """One device's registration, with the accounts and certificates that its effects make."""

    def __init__(self) -> None:
        super().__init__()
        self.registration: Registration | None = None
        self.granted = b""  # as the device remembers it
        self.now = 0.0
        self.serial = 0
        self.active: bytes | None = None
        self.suspended = False
        self.revoked: set[int] = set()

    def take(self, ruling: Ruling) -> None:
        self.registration = ruling.registration
        if self.registration is not None:
            self.granted = self.registration.grant or self.granted
        for effect in ruling.effects:
            if isinstance(effect, Activate):
                self.active, self.suspended = effect.digest, False
            elif isinstance(effect, Suspend | Resume):
                self.suspended = isinstance(effect, Suspend)
            elif isinstance(effect, Revoke):
                assert effect.serial not in self.revoked
                self.revoked.add(effect.serial)

    def issue(self, key: bytes) -> Issued:
        self.serial += 1
        return Issued(self.serial, key)

    @rule(claim=CLAIM, expired=st.booleans())
    def register(self, claim: Claim, expired: bool) -> None:
        known, policy = self.registration, RegistrationPolicy()
        ruling = a.request(known, "D1", claim, None, policy, grant=GRANTS[0], expired=expired)
        self.take(ruling)
        if ruling.verdict is Verdict.APPROVED:
            assert ruling.registration is not None
            assert ruling.registration.grant  # there is something to answer

    @rule(claim=CLAIM)
    def fetch(self, claim: Claim) -> None:
        ruling = a.fetch(
            self.registration,
            exchange=claim.exchange,
            factory=claim.factory,
            grant=self.granted,
            now=self.now,
        )
        self.take(ruling)
        if ruling.verdict is Verdict.MAKE and self.registration is not None:
            issued = self.issue(self.registration.claim.key)
            self.take(
                a.offered(
                    self.registration, Offer(bytes([issued.serial % 256]), self.now + 10, issued)
                )
            )

    @rule(claim=CLAIM)
    def acknowledge(self, claim: Claim) -> None:
        offer = self.registration.offer if self.registration else None
        self.take(
            a.acknowledge(
                self.registration,
                exchange=claim.exchange,
                factory=claim.factory,
                grant=self.granted,
                digest=offer.digest if offer else b"",
                now=self.now,
            )
        )

    @rule(back=st.booleans(), key=st.sampled_from([b"1", b"2"]))
    def renew(self, back: bool, key: bytes) -> None:
        known = self.registration
        shown = (known.previous if back else known.certificate) if known else None
        ruling = a.renew(known, shown=shown.serial if shown else 0, key=key, now=0)
        self.take(ruling)
        if ruling.verdict is Verdict.MAKE and self.registration is not None:
            self.take(a.renewed(self.registration, self.issue(key)))

    @precondition(lambda self: self.registration is not None)
    @rule(decide=st.sampled_from(DECISIONS))
    def decide(self, decide: Callable[[Registration], Ruling]) -> None:
        assert self.registration is not None
        with contextlib.suppress(ConflictError):  # where the standing does not allow it
            self.take(decide(self.registration))

    @precondition(lambda self: self.registration is not None and self.serial > 3)
    @rule()
    def retire(self) -> None:
        assert self.registration is not None
        if self.registration.standing is not Standing.RETIRED:
            self.take(a.retire(self.registration))

    @rule()
    def wait(self) -> None:
        self.now += 11

    @invariant()
    def the_accounts_are_those_of_the_registration(self) -> None:
        known = self.registration
        usable = None if self.suspended else self.active
        if known is None or known.standing is Standing.BLOCKED:
            assert usable is None
        else:
            assert usable == known.live

    @invariant()
    def a_grant_is_kept_while_it_is_under_way_and_no_longer(self) -> None:
        known = self.registration
        if known is None:
            return
        under_way = (known.before or known.standing) in {Standing.APPROVED, Standing.OFFERED}
        assert bool(known.grant) is under_way
        if known.grant:
            assert known.follows == trace(following(known.grant))

    @invariant()
    def no_certificate_in_use_is_revoked_and_none_is_left_over(self) -> None:
        known = self.registration
        offer = known.offer.certificate if known and known.offer else None
        held = (known.certificate, known.previous, offer) if known else ()
        in_use = [one.serial for one in held if one is not None]
        assert len(set(in_use)) == len(in_use)
        assert {*in_use, *self.revoked} == set(range(1, self.serial + 1))
        assert not self.revoked & set(in_use)

    @invariant()
    def who_is_out_has_nothing(self) -> None:
        known = self.registration
        if known and known.standing in {Standing.REFUSED, Standing.RETIRED, Standing.PENDING}:
            assert (known.live, known.certificate, known.previous, known.offer) == (None,) * 4


Registrations.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestRegistrations = Registrations.TestCase
