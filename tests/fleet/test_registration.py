"""Decisions on registrations, each by itself; whole registrations are in tests/ssmp."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openami.core.errors import ConflictError
from openami.crypto.succession import following, trace
from openami.fleet import admission as a
from openami.fleet.devices import Device, DeviceKind, LifecycleState
from openami.fleet.expected import Approval, ExpectedDevice
from openami.fleet.moves import granted, refusal, suspects
from openami.fleet.registration import (
    ASKS_S,
    MAX_PAST,
    TRANSITIONS,
    Act,
    Activate,
    Alarm,
    Claim,
    Issued,
    Offer,
    Reason,
    Registration,
    RegistrationPolicy,
    RegistrationRecord,
    Resume,
    Revoke,
    Ruling,
    Standing,
    Suspend,
    Verdict,
)

E, F, K, G, D = (bytes([n]) * 16 for n in range(1, 6))
CLAIM = Claim(E, F, K, "Maker", "OA-DCU", "1", "0.2", 1000.0)
OTHER = replace(CLAIM, exchange=b"other exchange..")
NOW = 1_800_000_000.0
HOLD = RegistrationPolicy()
STRICT = RegistrationPolicy(hold_unexpected=False)
OFFER = Offer(D, 2000.0, Issued(7, K))
NEW = granted(Registration("D1", Standing.APPROVED, CLAIM), G)
LIVE = replace(NEW, standing=Standing.LIVE, grant=b"", live=D, certificate=Issued(7, K))
OFFERED = replace(NEW, standing=Standing.OFFERED, offer=OFFER)


def ask(
    registration: Registration | None,
    claim: Claim = CLAIM,
    expected: ExpectedDevice | None = None,
    policy: RegistrationPolicy = HOLD,
    *,
    expired: bool = False,
) -> Ruling:
    return a.request(registration, "D1", claim, expected, policy, grant=G, expired=expired)


def test_a_registration_does_not_show_its_grant() -> None:
    assert repr(G)[2:-1] not in repr(Ruling(Verdict.APPROVED, replace(NEW, grant=G)))


def step(ruling: Ruling) -> Registration:
    assert ruling.registration is not None
    return ruling.registration


def approve(registration: Registration) -> Ruling:
    return a.approve(registration, grant=G)


def outcome(ruling: Ruling) -> tuple[Verdict, Reason | None, Standing | None]:
    standing = None if ruling.registration is None else ruling.registration.standing
    return ruling.verdict, ruling.reason, standing


@pytest.mark.parametrize(
    ("expected", "policy", "wanted"),
    [
        (None, HOLD, (Verdict.PENDING, None, Standing.PENDING)),
        (None, STRICT, (Verdict.REFUSED, Reason.NOT_EXPECTED, Standing.REFUSED)),
        (ExpectedDevice("D1"), STRICT, (Verdict.APPROVED, None, Standing.APPROVED)),
        (
            ExpectedDevice("D1", approval=Approval.MANUAL),
            HOLD,
            (Verdict.PENDING, None, Standing.PENDING),
        ),
        (
            ExpectedDevice("D1", "Maker", "OA-DCU", F),
            HOLD,
            (Verdict.APPROVED, None, Standing.APPROVED),
        ),
        (
            ExpectedDevice("D1", "Another"),
            HOLD,
            (Verdict.REFUSED, Reason.MISMATCH, Standing.REFUSED),
        ),
        (
            ExpectedDevice("D1", model="X"),
            HOLD,
            (Verdict.REFUSED, Reason.MISMATCH, Standing.REFUSED),
        ),
        (
            ExpectedDevice("D1", fingerprint=K),
            HOLD,
            (Verdict.REFUSED, Reason.MISMATCH, Standing.REFUSED),
        ),
    ],
)
def test_the_list_and_the_policy_decide_first(
    expected: ExpectedDevice | None, policy: RegistrationPolicy, wanted: tuple
) -> None:
    assert outcome(ask(None, expected=expected, policy=policy)) == wanted


def test_a_mismatch_alarms_once_and_a_mended_list_lets_in() -> None:
    wrong = ExpectedDevice("D1", "Another")
    first = ask(None, expected=wrong)
    assert [type(effect) for effect in first.effects] == [Alarm]
    second = ask(first.registration, expected=wrong)
    assert second.effects == ()
    assert second.registration == first.registration
    third = ask(second.registration, expected=ExpectedDevice("D1", "Maker"))
    assert outcome(third) == (Verdict.APPROVED, None, Standing.APPROVED)
    assert third.registration is not None
    assert third.registration.reason is None


def test_a_list_does_not_let_in_whom_a_person_refused() -> None:
    refused = a.refuse(NEW).registration
    again = ask(refused, expected=ExpectedDevice("D1"))
    assert outcome(again) == (Verdict.REFUSED, Reason.OPERATOR, Standing.REFUSED)


@pytest.mark.parametrize("standing", list(Standing))
@pytest.mark.parametrize("change", [{"exchange": b"x"}, {"factory": b"x"}, {"key": b"x"}])
def test_any_other_claim_blocks(standing: Standing, change: dict[str, bytes]) -> None:
    before = replace(NEW, standing=standing)
    ruling = ask(before, replace(CLAIM, **change))  # type: ignore[arg-type]  # octets, all of them
    if standing is Standing.RETIRED:
        assert ruling == refusal(before, Reason.RETIRED)
    elif standing is Standing.BLOCKED:
        assert ruling == refusal(before, Reason.TWICE)
    else:
        assert suspects(ruling)
        assert outcome(ruling) == (Verdict.REFUSED, Reason.TWICE, Standing.BLOCKED)
        assert [type(effect) for effect in ruling.effects] == [Suspend, Alarm]
        assert ruling.registration is not None
        kept = a.keep(ruling.registration)
        assert kept.registration is not None
        assert replace(kept.registration, past=()) == before
        assert kept.effects == (Resume(),)


def test_both_of_two_stay_out_until_a_person_decides() -> None:
    blocked = ask(LIVE, OTHER).registration
    for ruling in (
        ask(blocked),
        ask(blocked, OTHER),
        ask(blocked, replace(CLAIM, exchange=b"third")),
    ):
        assert outcome(ruling) == (Verdict.REFUSED, Reason.TWICE, Standing.BLOCKED)
        assert ruling.effects == ()
        assert not suspects(ruling)
    assert not suspects(refusal(None, Reason.UNKNOWN))
    assert not suspects(a.retire(LIVE))
    assert blocked is not None
    assert a.renew(blocked, shown=7, key=K, now=NOW).reason is Reason.TWICE
    assert a.fetch(blocked, exchange=E, factory=F, grant=G, now=0).reason is Reason.TWICE
    refused = a.refuse(blocked)
    assert refused.effects == (Suspend(), Revoke(7, "privilegeWithdrawn"))
    assert refused.registration is not None
    assert refused.registration.past == (trace(OTHER.exchange),)
    assert ask(refused.registration, OTHER).reason is Reason.STALE


def test_exchanges_that_are_over_are_stale_and_bounded() -> None:
    registration = LIVE
    for number in range(MAX_PAST + 4):
        newest = replace(CLAIM, exchange=bytes([number]) * 8)
        blocked = ask(registration, newest).registration
        assert blocked is not None
        kept = a.keep(blocked).registration
        assert kept is not None
        registration = kept
    assert len(registration.past) == MAX_PAST
    assert ask(registration, newest) == refusal(registration, Reason.STALE)


def test_a_rival_with_the_same_exchange_can_be_taken() -> None:
    rival = replace(CLAIM, key=b"another")
    blocked = ask(LIVE, rival).registration
    assert blocked is not None
    taken = a.take_rival(blocked, grant=D).registration
    assert taken is not None
    assert (taken.claim, taken.grant, taken.live) == (rival, D, None)
    assert outcome(ask(taken, rival)) == (Verdict.APPROVED, None, Standing.APPROVED)
    assert ask(taken).reason is Reason.TWICE
    assert a.fetch(taken, exchange=E, factory=F, grant=D, now=0).verdict is Verdict.MAKE


@pytest.mark.parametrize(
    ("registration", "change", "reason"),
    [
        (None, {}, Reason.UNKNOWN),
        (Registration("D1", Standing.PENDING, CLAIM), {}, Reason.UNKNOWN),
        (replace(NEW, standing=Standing.REFUSED), {}, Reason.OPERATOR),
        (replace(NEW, standing=Standing.RETIRED), {}, Reason.RETIRED),
        (replace(NEW, standing=Standing.RETIRED), {"exchange": K}, Reason.RETIRED),
        (NEW, {"exchange": K}, Reason.STALE),
        (NEW, {"factory": K}, Reason.STALE),
        (NEW, {"grant": K}, Reason.UNKNOWN),
    ],
)
def test_nothing_is_given_to_another(
    registration: Registration | None, change: dict[str, bytes], reason: Reason
) -> None:
    said = {"exchange": E, "factory": F, "grant": G} | change
    assert a.fetch(registration, now=0, **said) == refusal(registration, reason)
    assert a.acknowledge(registration, now=0, digest=D, **said) == refusal(registration, reason)


def test_an_offer_is_made_once_until_its_time_is_over() -> None:
    said = {"exchange": E, "factory": F, "grant": G}
    assert a.fetch(NEW, now=0, **said).verdict is Verdict.MAKE
    made = a.offered(NEW, OFFER)
    assert made.effects == ()
    assert made.registration == OFFERED
    assert a.fetch(OFFERED, now=OFFER.until, **said).verdict is Verdict.AGAIN
    assert a.fetch(OFFERED, now=OFFER.until + 1, **said).verdict is Verdict.MAKE
    anew = a.offered(OFFERED, replace(OFFER, certificate=Issued(8, K)))
    assert anew.effects == (Revoke(7, "superseded"),)
    with pytest.raises(ConflictError):
        a.offered(LIVE, OFFER)


def test_accounts_are_live_once() -> None:
    said = {"exchange": E, "factory": F, "grant": G}
    assert a.acknowledge(NEW, now=0, digest=D, **said).reason is Reason.UNKNOWN
    assert a.acknowledge(OFFERED, now=0, digest=K, **said).reason is Reason.EXPIRED
    assert a.acknowledge(OFFERED, now=OFFER.until + 1, digest=D, **said).reason is Reason.EXPIRED
    first = a.acknowledge(OFFERED, now=OFFER.until, digest=D, **said)
    assert first == Ruling(Verdict.CONFIRMED, LIVE, (Activate(D),))
    assert a.acknowledge(LIVE, now=9e9, digest=D, **said) == Ruling(Verdict.CONFIRMED, LIVE)
    assert a.acknowledge(LIVE, now=0, digest=K, **said).reason is Reason.SPENT
    assert a.acknowledge(replace(LIVE, live=None), now=0, digest=D, **said).reason is Reason.SPENT
    assert a.fetch(LIVE, now=0, **said).reason is Reason.SPENT


def test_renewal() -> None:
    assert a.renew(None, shown=7, key=K, now=NOW).reason is Reason.UNKNOWN
    assert a.renew(LIVE, shown=6, key=K, now=NOW).reason is Reason.CERTIFICATE
    assert a.renew(NEW, shown=7, key=K, now=NOW).reason is Reason.CERTIFICATE
    assert a.renew(LIVE, shown=7, key=K, now=NOW) == Ruling(Verdict.AGAIN, LIVE)
    assert a.renew(LIVE, shown=7, key=G, now=NOW) == Ruling(Verdict.MAKE, LIVE)
    second = a.renewed(LIVE, Issued(8, G)).registration
    assert second is not None
    assert a.renew(second, shown=7, key=G, now=NOW) == Ruling(Verdict.AGAIN, second)
    assert a.renew(second, shown=6, key=G, now=NOW).reason is Reason.CERTIFICATE
    third = a.renew(second, shown=8, key=D, now=NOW)
    assert third.effects == (Revoke(7, "superseded"),)
    assert third.registration is not None
    assert a.renew(third.registration, shown=7, key=D, now=NOW).reason is Reason.CERTIFICATE


def test_a_device_renews_once_an_hour_or_near_the_end_of_its_certificate() -> None:
    """However often it asks; and the same request is answered the same, however soon."""
    year = 365 * 86_400.0
    first = a.renewed(LIVE, Issued(8, G, NOW, NOW + year)).registration
    assert first is not None
    soon = NOW + a.RENEWAL_S - 1
    again = a.renew(first, shown=7, key=G, now=soon)
    assert again == Ruling(Verdict.AGAIN, first)
    refused = a.renew(first, shown=8, key=D, now=soon)
    assert (refused.verdict, refused.reason) == (Verdict.REFUSED, Reason.SOON)
    assert refused.effects == (Revoke(7, "superseded"),)  # it has shown the new one all the same
    shown = refused.registration
    assert shown == replace(first, previous=None)
    assert a.renew(shown, shown=8, key=G, now=soon) == Ruling(Verdict.AGAIN, shown)
    assert a.renew(shown, shown=8, key=D, now=soon + 1) == Ruling(Verdict.MAKE, shown)


@pytest.mark.parametrize(
    ("after", "lasts", "wait"),
    [
        (0.0, 86_400.0, 3600.0),
        (3599.0, 86_400.0, 1.0),
        (3600.0, 86_400.0, 0.0),
        (0.0, 600.0, 300.0),  # one that an authority's end has cut short
        (300.0, 600.0, 0.0),
        (-86_400.0, 86_400.0, 0.0),  # our clock was set back
    ],
)
def test_when_a_certificate_may_be_renewed(after: float, lasts: float, wait: float) -> None:
    assert a.renewable_in(Issued(8, G, NOW, NOW + lasts), NOW + after) == wait
    assert a.renewable_in(Issued(8, G), NOW) == 0


def test_opening_a_live_device() -> None:
    opened = a.reopen(LIVE).registration
    wrong = ask(opened, OTHER, ExpectedDevice("D1", "Another"))
    assert outcome(wrong) == (Verdict.REFUSED, Reason.MISMATCH, Standing.LIVE)
    assert [type(effect) for effect in wrong.effects] == [Alarm]
    again = ask(wrong.registration, OTHER, ExpectedDevice("D1", "Another"))
    assert again == Ruling(Verdict.REFUSED, wrong.registration, (), Reason.MISMATCH)
    assert wrong.registration is not None
    assert a.reopen(wrong.registration).registration == opened
    moved = ask(wrong.registration, OTHER)
    assert moved.registration is not None
    assert moved.registration.reason is None
    assert (moved.registration.live, moved.registration.open) == (D, False)
    assert ask(moved.registration).reason is Reason.STALE


def test_a_live_device_that_asks_as_before_may_come_in_again() -> None:
    """It has lost what it got since. Once it is opened, or its certificate has run out."""
    assert ask(LIVE) == refusal(LIVE, Reason.SPENT)
    for ruling in (ask(a.reopen(LIVE).registration), ask(LIVE, expired=True)):
        assert outcome(ruling) == (Verdict.APPROVED, None, Standing.APPROVED)
        again = ruling.registration
        assert again is not None
        assert (again.grant, again.past, again.live, again.open) == (G, (), D, False)
        assert outcome(ask(again)) == (Verdict.APPROVED, None, Standing.APPROVED)


def test_of_a_grant_that_is_live_only_what_tells_who_has_it_is_kept() -> None:
    held = ask(None)
    assert held.registration is not None
    assert (held.registration.grant, held.registration.follows) == (b"", b"")
    approved = a.approve(held.registration, grant=G).registration
    assert approved == replace(NEW, past=())
    live = a.acknowledge(OFFERED, exchange=E, factory=F, grant=G, digest=D, now=0).registration
    assert live is not None
    assert (live.grant, live.follows) == (b"", trace(following(G)))
    follows = replace(CLAIM, exchange=following(G), key=b"new")
    assert ask(live, follows).reason is Reason.SPENT
    anew = a.request(live, "D1", follows, None, HOLD, grant=K, expired=True).registration
    assert anew is not None
    assert (anew.grant, anew.follows) == (K, trace(following(K)))
    assert anew.past == (trace(E), trace(following(G)))
    blocked = ask(live, OTHER).registration
    assert blocked is not None
    refused = a.refuse(blocked).registration
    assert refused is not None
    assert refused.grant == b""
    assert a.approve(refused, grant=K).registration == replace(
        refused, standing=Standing.APPROVED, grant=K, follows=trace(following(K)), reason=None
    )


def test_one_that_was_live_and_is_refused_makes_nobody_suspect_and_two_of_it_do() -> None:
    refused = a.refuse(step(ask(LIVE, OTHER))).registration
    assert refused is not None
    follows = replace(CLAIM, exchange=following(G), key=b"new")
    for _ in range(2):
        ruling = ask(refused, follows)
        assert ruling == refusal(
            replace(
                refused, claim=follows, past=(trace(OTHER.exchange), trace(E), refused.follows)
            ),
            Reason.OPERATOR,
        )
    seen = step(ruling)
    assert ask(seen, follows) == refusal(seen, Reason.OPERATOR)
    assert suspects(ask(seen, replace(follows, key=b"another")))
    approved = step(a.approve(seen, grant=K))
    assert outcome(ask(approved, follows)) == (Verdict.APPROVED, None, Standing.APPROVED)


def test_who_asks_anew_is_seen_to_for_an_hour() -> None:
    silent = RegistrationRecord(LIVE, None, None, None)
    assert (silent.suspended, silent.asks_anew(NOW)) == (False, False)
    device = Device(DeviceKind.DCU, "D1", LifecycleState.SUSPENDED)
    asking = RegistrationRecord(LIVE, device, None, NOW - ASKS_S)
    assert (asking.suspended, asking.asks_anew(NOW), asking.asks_anew(NOW + 1)) == (
        True, True, False,
    )  # fmt: skip


def test_retirement_is_for_good() -> None:
    registration = replace(OFFERED, certificate=Issued(5, K), previous=Issued(4, K))
    retired = a.retire(registration)
    assert retired.effects == (Suspend(), *(Revoke(n, "cessationOfOperation") for n in (5, 4, 7)))
    assert retired.registration is not None
    assert a.renew(retired.registration, shown=5, key=K, now=NOW).reason is Reason.RETIRED
    for decide in (approve, a.refuse, a.reopen, a.keep, a.retire):
        with pytest.raises(ConflictError) as caught:
            decide(retired.registration)
        assert caught.value.code == "registration.transition"
    with pytest.raises(ConflictError):
        a.take_rival(retired.registration, grant=G)


def test_a_table_without_holes() -> None:
    assert set(TRANSITIONS.values()) == set(Standing) - {Standing.PENDING}
    for standing in Standing:
        assert ((standing, Act.RETIRE) in TRANSITIONS) is (standing is not Standing.RETIRED)
    assert not [act for standing, act in TRANSITIONS if standing is Standing.RETIRED]
