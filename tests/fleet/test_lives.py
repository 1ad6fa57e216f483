"""What a registration's change means for the device."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from openami.core.errors import ConflictError
from openami.fleet.devices import TRANSITIONS, LifecycleState
from openami.fleet.lives import Life, cull, follow
from openami.fleet.registration import (
    Activate,
    Claim,
    Effect,
    Issued,
    Registration,
    Resume,
    Standing,
    Suspend,
)

L, S = LifecycleState, Standing
CLAIM = Claim(b"e" * 16, b"f" * 32, b"k" * 32, "Maker", "OA-DCU", "1", "0.2", 5.0)
LIVE = Registration("D1", S.LIVE, CLAIM, b"g" * 16, certificate=Issued(1, b"k" * 32))
NOTHING: tuple[Effect, ...] = ()


def at(standing: Standing) -> Registration:
    return Registration("D1", standing, CLAIM, b"g" * 16)


@pytest.mark.parametrize("state", [None, *(s for s in L if s not in {L.SUSPENDED, L.RETIRED})])
def test_live_accounts_bring_a_device_into_use(state: LifecycleState | None) -> None:
    life = follow(Life(state), at(S.OFFERED), LIVE, (Activate(b"d"),))
    assert life.state in {L.COMMISSIONED, L.IN_SERVICE}
    ways = (state, *life.steps) if state else life.steps
    for one, other in itertools.pairwise(ways):
        assert other in TRANSITIONS[one]


@pytest.mark.parametrize(
    ("state", "code"), [(L.SUSPENDED, "registration.changed"), (L.RETIRED, "device.transition")]
)
def test_accounts_do_not_become_live_of_who_is_shut_out(state: LifecycleState, code: str) -> None:
    with pytest.raises(ConflictError) as caught:
        follow(Life(state), at(S.OFFERED), LIVE, (Activate(b"d"),))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("before", "state", "after"),
    [
        (None, None, L.REGISTERED),
        (at(S.PENDING), L.MANUFACTURED, L.REGISTERED),
        (at(S.REFUSED), L.SUSPENDED, L.REGISTERED),
        (at(S.BLOCKED), L.SUSPENDED, L.REGISTERED),
        (at(S.PENDING), L.IN_SERVICE, L.IN_SERVICE),
        (at(S.PENDING), L.RETIRED, L.RETIRED),
        (at(S.APPROVED), L.SUSPENDED, L.SUSPENDED),
        (LIVE, L.SUSPENDED, L.SUSPENDED),
    ],
)
def test_who_is_let_in_is_registered(
    before: Registration | None, state: LifecycleState | None, after: LifecycleState
) -> None:
    assert follow(Life(state), before, at(S.APPROVED), NOTHING).state is after


@pytest.mark.parametrize("state", [L.REGISTERED, L.COMMISSIONED, L.IN_SERVICE])
@pytest.mark.parametrize("to", [None, L.IN_SERVICE])
def test_who_is_suspended_comes_back_to_where_it_was(
    state: LifecycleState, to: LifecycleState | None
) -> None:
    shut = follow(Life(state), LIVE, LIVE, (Suspend(),))
    assert (shut.state, shut.steps, shut.was) == (L.SUSPENDED, (L.SUSPENDED,), state)
    again = follow(replace(shut, steps=()), LIVE, LIVE, (Suspend(),))
    assert (again.state, again.steps, again.was, again.stays) == (L.SUSPENDED, (), state, False)
    back = follow(again, LIVE, LIVE, (Resume(to),))
    assert (back.state, back.was) == (to or state, None)


def test_who_was_suspended_before_it_was_blocked_stays_so() -> None:
    blocked = replace(LIVE, standing=S.BLOCKED)
    life = follow(Life(L.SUSPENDED, was=L.IN_SERVICE), LIVE, blocked, (Suspend(),))
    assert life.stays
    life = follow(life, blocked, LIVE, (Resume(),))
    assert life == Life(L.SUSPENDED, was=L.IN_SERVICE)
    assert follow(life, LIVE, LIVE, (Resume(),)).state is L.IN_SERVICE


@pytest.mark.parametrize("state", [None, L.MANUFACTURED])
def test_who_is_not_in_use_is_neither_suspended_nor_resumed(state: LifecycleState | None) -> None:
    refused = follow(Life(state), at(S.PENDING), at(S.REFUSED), (Suspend(),))
    assert refused == Life(state)
    assert follow(refused, at(S.BLOCKED), at(S.PENDING), (Resume(),)) == Life(state)


def test_who_was_suspended_in_a_way_not_remembered_is_commissioned() -> None:
    assert follow(Life(L.SUSPENDED), LIVE, LIVE, (Resume(),)).state is L.COMMISSIONED


@pytest.mark.parametrize("state", [None, *L])
def test_a_retired_registration_retires_the_device(state: LifecycleState | None) -> None:
    life = follow(Life(state), LIVE, at(S.RETIRED), (Suspend(),))
    assert life.state is (None if state is None else L.RETIRED)
    assert life.steps == (() if state in {None, L.RETIRED} else (L.RETIRED,))


@pytest.mark.parametrize(
    ("after", "effects", "reason"),
    [
        (LIVE, (Activate(b"d"),), "superseded"),
        (LIVE, (Suspend(),), None),
        (LIVE, NOTHING, None),
        (at(S.RETIRED), (Suspend(),), "cessationOfOperation"),
        (at(S.REFUSED), (Suspend(),), "privilegeWithdrawn"),
        (at(S.APPROVED), (Suspend(),), "keyCompromise"),
        (at(S.BLOCKED), (Suspend(),), None),
        (at(S.PENDING), NOTHING, None),
    ],
)
def test_what_else_is_revoked(
    after: Registration, effects: tuple[Effect, ...], reason: str | None
) -> None:
    assert cull(after, effects) == reason
