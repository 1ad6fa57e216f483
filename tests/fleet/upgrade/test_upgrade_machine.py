"""One meter's way: what each answer means at each stage, and what is done next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.upgrade_meters import NEW, OLD, ORDER, serial_of

from openami.core.errors import LocalProtocolError
from openami.fleet.upgrade import (
    FINAL,
    Accepted,
    Activate,
    Answer,
    Bits,
    Busy,
    Expired,
    Filled,
    Info,
    Initiate,
    Look,
    Looked,
    MeterPolicy,
    Poll,
    Polled,
    Refused,
    Rest,
    Silent,
    Stage,
    Status,
    Step,
    Transfer,
    Upgrade,
    Verify,
    advance,
    begun,
    next_step,
)

POLICY = MeterPolicy()
NOW = 1000.0
OURS = (Info(ORDER.size, ORDER.identifier),)
OTHERS = (Info(ORDER.size, b"another"), Info(1, ORDER.identifier))
NONE, HALF, ALL = (Bits(octet * 7, 50) for octet in (b"\0", b"\xf0", b"\xff"))


def at(stage: Stage, **changes: object) -> Upgrade:
    state = Upgrade.offer(serial_of(1), ORDER, 0.0)
    if stage is not Stage.OFFERED:
        state = replace(state.at(stage, NOW), version=OLD, block_size=100, looked_at=NOW)
    return replace(state, **changes)  # type: ignore[arg-type]


def look(
    status: int,
    bits: Bits | None = NONE,
    *,
    version: str = OLD,
    infos: tuple[Info, ...] = (),
    size: int = 100,
) -> Looked:
    return Looked(version, size, status, bits, infos=infos)


def after(state: Upgrade, answer: Answer, now: float = NOW) -> Upgrade:
    return advance(ORDER, state, answer, now, POLICY)


S, T = Status, Stage
LOOKS = [
    # Not begun yet: only what the meter names as ours is taken over.
    (T.OFFERED, look(S.NOT_INITIATED), T.ASKED),
    (T.OFFERED, look(S.NOT_INITIATED, HALF), T.ASKED),
    (T.OFFERED, look(S.INITIATED, HALF), T.ASKED),
    (T.OFFERED, look(S.INITIATED, HALF, infos=OTHERS), T.ASKED),
    (T.OFFERED, look(S.INITIATED, HALF, infos=OURS), T.TRANSFERRING),
    (T.OFFERED, look(S.INITIATED, ALL, infos=OURS), T.COMPLETE),
    (T.OFFERED, look(S.VERIFYING, ALL, infos=OTHERS), T.OFFERED),
    (T.OFFERED, look(S.VERIFYING, ALL, infos=OURS), T.VERIFYING),
    (T.OFFERED, look(S.VERIFIED, ALL), T.ASKED),
    (T.OFFERED, look(S.VERIFIED, ALL, infos=OTHERS), T.ASKED),
    (T.OFFERED, look(S.VERIFIED, ALL, infos=OURS), T.VERIFIED),
    (T.OFFERED, look(S.VERIFICATION_FAILED, ALL, infos=OURS), T.ASKED),
    (T.OFFERED, look(S.ACTIVATING, ALL, infos=OTHERS), T.OFFERED),
    (T.OFFERED, look(S.ACTIVATING, ALL, infos=OURS), T.ACTIVATED),
    (T.OFFERED, look(S.ACTIVATED, ALL), T.ASKED),
    (T.OFFERED, look(S.ACTIVATION_FAILED, ALL), T.ASKED),
    (T.OFFERED, look(99, NONE), T.ASKED),
    (T.OFFERED, look(S.ACTIVATED, ALL, version=NEW), T.CONFIRMED),
    (T.OFFERED, look(S.NOT_INITIATED, version=NEW), T.CONFIRMED),
    (T.OFFERED, look(S.ACTIVATING, version=NEW), T.ON_TRIAL),
    (T.OFFERED, look(S.NOT_INITIATED, size=0), T.FAILED),
    (T.OFFERED, look(S.NOT_INITIATED, size=1 << 16), T.FAILED),
    # Begun: its status may be lost, its blocks are counted by its bitmap.
    (T.PREPARING, look(S.INITIATED), T.ASKED),
    (T.PREPARED, look(S.INITIATED), T.PREPARED),
    (T.TRANSFERRING, look(S.INITIATED, HALF), T.TRANSFERRING),
    (T.TRANSFERRING, look(S.INITIATED, None), T.TRANSFERRING),
    (T.TRANSFERRING, look(S.INITIATED, ALL), T.COMPLETE),
    (T.TRANSFERRING, look(S.INITIATED, HALF, size=64), T.ASKED),
    (T.TRANSFERRING, look(S.NOT_INITIATED, HALF), T.TRANSFERRING),
    (T.TRANSFERRING, look(S.NOT_INITIATED, NONE), T.ASKED),
    (T.TRANSFERRING, look(S.VERIFIED, ALL, infos=OTHERS), T.ASKED),
    (T.TRANSFERRING, look(S.VERIFICATION_FAILED, HALF), T.ASKED),
    (T.COMPLETE, look(S.INITIATED, HALF), T.TRANSFERRING),
    (T.COMPLETE, look(S.VERIFICATION_FAILED, ALL), T.DISCARDED),
    # Verifying.
    (T.VERIFYING, look(S.VERIFYING, ALL), T.VERIFYING),
    (T.VERIFYING, look(S.INITIATED, ALL), T.COMPLETE),
    (T.VERIFYING, look(S.VERIFIED, ALL), T.VERIFIED),
    (T.VERIFYING, look(S.VERIFICATION_FAILED, ALL), T.DISCARDED),
    (T.VERIFIED, look(S.INITIATED, ALL), T.COMPLETE),
    (T.VERIFIED, look(S.VERIFIED, ALL, infos=OTHERS), T.ASKED),
    # Activating: told, or perhaps not.
    (T.ACTIVATING, look(S.VERIFIED, ALL, infos=OURS), T.VERIFIED),
    (T.ACTIVATING, look(S.ACTIVATING, ALL), T.ACTIVATING),
    (T.ACTIVATING, look(S.ACTIVATING, version=NEW), T.ON_TRIAL),
    (T.ACTIVATED, look(S.VERIFIED, ALL, infos=OURS), T.ACTIVATED),
    (T.ACTIVATED, look(S.NOT_INITIATED), T.ACTIVATED),
    (T.ACTIVATED, look(S.ACTIVATION_FAILED), T.REVERTED),
    (T.ACTIVATED, look(S.VERIFICATION_FAILED), T.DISCARDED),
    (T.ACTIVATED, look(S.ACTIVATED, version=NEW), T.CONFIRMED),
    (T.ON_TRIAL, look(S.ACTIVATING), T.REVERTED),
    (T.ON_TRIAL, look(S.NOT_INITIATED, version=NEW), T.ON_TRIAL),
    (T.ON_TRIAL, look(S.ACTIVATING, version=NEW), T.ON_TRIAL),
]


@pytest.mark.parametrize(("stage", "answer", "then"), LOOKS)
def test_what_a_meter_says_of_itself_decides(stage: Stage, answer: Looked, then: Stage) -> None:
    assert after(at(stage), answer).stage is then


LATE = [
    (T.VERIFYING, look(S.VERIFYING, ALL), 4600.0, T.DISCARDED, "upgrade.verify-timeout"),
    (T.VERIFYING, look(S.INITIATED, ALL), 4600.0, T.DISCARDED, "upgrade.verify-timeout"),
    (T.ACTIVATED, look(S.NOT_INITIATED), 2800.0, T.REVERTED, "upgrade.reverted"),
    (T.ACTIVATED, look(S.VERIFIED), 2800.0, T.FAILED, "upgrade.activation"),
    (T.ON_TRIAL, look(S.NOT_INITIATED, version=NEW), 1600.0, T.CONFIRMED, ""),
    (T.ON_TRIAL, look(S.ACTIVATING, version=NEW), 3400.0, T.FAILED, "upgrade.trial"),
]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("firmware.signature", "firmware.signature"),
        ("firmware.transfer.torn", "firmware.transfer.torn"),
        ("bad luck", "upgrade.verification"),
        ("firmware.<b>", "upgrade.verification"),
        ("firmware." + "x" * 50, "upgrade.verification"),
        ("", "upgrade.verification"),
    ],
)
@pytest.mark.parametrize("stage", [T.VERIFYING, T.ACTIVATING])
def test_a_meter_that_refuses_an_image_says_why(stage: Stage, said: str, code: str) -> None:
    answer = replace(look(S.VERIFICATION_FAILED, ALL), reason=said)
    state = after(at(stage), answer)
    assert (state.stage, state.code) == (T.DISCARDED, code)
    assert state.reason == "Failed Upgrade Process" + (f": {said}" if said else "")


@pytest.mark.parametrize(("stage", "answer", "now", "then", "code"), LATE)
def test_nothing_is_waited_for_without_end(
    stage: Stage, answer: Looked, now: float, then: Stage, code: str
) -> None:
    assert after(at(stage), answer, now - 1).stage is not then
    ended = after(at(stage), answer, now)
    assert (ended.stage, ended.code) == (then, code)


def test_a_meter_that_forgets_again_and_again_is_given_up() -> None:
    state = after(at(T.TRANSFERRING, initiations=3), look(S.NOT_INITIATED))
    assert (state.stage, state.code) == (T.FAILED, "upgrade.forgets")


def test_a_lost_status_is_overlooked_once() -> None:
    once = after(at(T.TRANSFERRING), look(S.NOT_INITIATED, HALF))
    assert after(once, look(S.NOT_INITIATED, HALF)).stage is T.ASKED


def test_an_activation_of_which_nothing_came_is_not_repeated_for_ever() -> None:
    state = at(T.ACTIVATING, activations=POLICY.activations)
    assert after(state, look(S.VERIFIED, ALL, infos=OURS)).stage is T.ACTIVATING


STEPS: list[tuple[Upgrade, Step | None]] = [
    (at(T.OFFERED), Look()),
    (at(T.ASKED), Initiate(ORDER.identifier, ORDER.size)),
    (at(T.ASKED, enabled=False), Initiate(ORDER.identifier, ORDER.size, enable=True)),
    (at(T.PREPARED), Transfer()),
    (at(T.TRANSFERRING), Transfer()),
    (at(T.TRANSFERRING, looked_at=None), Look()),
    (at(T.COMPLETE), Verify()),
    (at(T.COMPLETE, free_at=NOW + 1), Rest(NOW + 1)),
    (at(T.VERIFYING), Poll()),
    (at(T.VERIFIED), Activate()),
    (at(T.VERIFIED, looked_at=NOW - POLICY.stale_s - 1), Look()),
    (at(T.VERIFIED, looked_at=NOW + 1), Look()),
    (at(T.ACTIVATED), Look()),
    *((at(stage), None) for stage in FINAL),
]


@pytest.mark.parametrize(("state", "step"), STEPS)
def test_next_step(state: Upgrade, step: Step | None) -> None:
    assert next_step(ORDER, state, NOW, POLICY) == step


@pytest.mark.parametrize("when", [None, NOW + 5])
def test_a_verified_meter_rests_until_its_time(when: float | None) -> None:
    order = replace(ORDER, activate_at=when)
    assert next_step(order, at(T.VERIFIED), NOW, POLICY) == Rest(when)


ANSWERS = [
    (T.PREPARING, Accepted(), T.PREPARED),
    (T.PREPARING, Busy(), T.PREPARING),
    (T.PREPARED, Filled(), T.COMPLETE),
    (T.VERIFYING, Accepted(), T.VERIFYING),
    (T.VERIFYING, Busy(), T.VERIFYING),
    (T.VERIFYING, Polled(S.VERIFYING), T.VERIFYING),
    (T.ACTIVATING, Accepted(), T.ACTIVATED),
    (T.ACTIVATING, Busy(), T.ACTIVATED),
    (T.OFFERED, Polled(S.VERIFIED), T.OFFERED),
    (T.VERIFIED, Filled(), T.VERIFIED),
    (T.TRANSFERRING, Expired(), T.FAILED),
    (T.ACTIVATED, Expired(), T.ACTIVATED),
    (T.CONFIRMED, Refused("late"), T.CONFIRMED),
]


@pytest.mark.parametrize(("stage", "answer", "then"), ANSWERS)
def test_answers(stage: Stage, answer: Answer, then: Stage) -> None:
    assert after(at(stage), answer).stage is then


@pytest.mark.parametrize("answer", [Polled(S.VERIFIED), Polled(S.VERIFICATION_FAILED), Accepted()])
def test_a_verification_that_is_over_is_looked_at_whole(answer: Answer) -> None:
    state = after(at(T.VERIFYING), answer)
    assert next_step(ORDER, state, NOW, POLICY) == Look()


def test_silence_rests_longer_each_time() -> None:
    state, rests = at(T.VERIFIED), []
    for _ in range(8):
        state = after(state, Silent())
        rests.append(state.free_at - NOW)
    assert rests == [30, 60, 120, 240, 480, 900, 900, 900]


@pytest.mark.parametrize(
    ("stage", "then", "code"),
    [
        (T.PREPARING, T.FAILED, "upgrade.initiate"),
        (T.TRANSFERRING, T.FAILED, "upgrade.blocks"),
        (T.VERIFYING, T.DISCARDED, "upgrade.verification"),
        (T.ACTIVATING, T.FAILED, "upgrade.activation"),
        (T.OFFERED, T.FAILED, "upgrade.refused"),
    ],
)
def test_what_is_refused_three_times_is_given_up(stage: Stage, then: Stage, code: str) -> None:
    state = after(after(at(stage), Refused("no")), Refused("no"))
    assert state.stage is stage
    ended = after(state, Refused("no"))
    assert (ended.stage, ended.code, ended.reason) == (then, code, "no")


@pytest.mark.parametrize("step", [Initiate(b"x", 1), Verify(), Activate()])
def test_a_step_is_begun_in_its_stage_only(step: Step) -> None:
    with pytest.raises(LocalProtocolError):
        begun(at(T.TRANSFERRING), step, NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"poll_s": 0.0},
        {"poll_most_s": 1.0},
        {"silence_most_s": 1.0},
        {"trial_s": -1.0},
        {"refusals": 0},
    ],
)
def test_a_policy_makes_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"rest|once"):
        MeterPolicy(**wrong)  # type: ignore[arg-type]
