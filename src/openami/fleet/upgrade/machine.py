"""One meter's way to an image, as pure functions: what to do next, and what came of it.

The way of a step: ``next_step`` says what to do, ``begun`` is kept on disk, the step is done,
``advance`` is kept on disk. Whoever was killed in between begins with ``Look``, since a state that
was read from disk has not looked yet; so the plan asks the meter and assumes nothing:

- A meter is told to begin only if it holds another image, or none; the only image that can be
  lost by it is another one, or one of which no block was sent since the meter was told.
- It is told to activate only while it says itself that an image of this name and size is verified.
- It has the image when it answers with the version. Its status may have been lost by a reboot: it
  then counts as confirmed once it has kept the version for ``trial_s``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.core.backoff import backoff
from openami.core.errors import LocalProtocolError
from openami.fleet.upgrade.answers import (
    Accepted,
    Activate,
    Busy,
    Expired,
    Fed,
    Filled,
    Initiate,
    Look,
    Looked,
    Poll,
    Polled,
    Refused,
    Rest,
    Silent,
    Status,
    Stuck,
    Transfer,
    Verify,
)
from openami.fleet.upgrade.looking import looked, verification_over
from openami.fleet.upgrade.state import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.fleet.upgrade.answers import Answer, Step
    from openami.fleet.upgrade.policy import MeterPolicy
    from openami.fleet.upgrade.state import Order, Upgrade

    Handler = Callable[[Upgrade, Answer, float, MeterPolicy], Upgrade]


# What to do.


def next_step(order: Order, state: Upgrade, now: float, policy: MeterPolicy) -> Step | None:
    """Return what to do with a meter now; None: nothing, ever again."""
    if state.stage.final:
        return None
    if state.free_at > now:
        return Rest(state.free_at)
    if state.looked_at is None:
        return Look()
    step = _STEPS.get(state.stage)
    return Look() if step is None else step(order, state, now, policy)


def _initiate(order: Order, state: Upgrade, _: float, __: MeterPolicy) -> Step:
    return Initiate(order.identifier, order.size, enable=not state.enabled)


def _activate(order: Order, state: Upgrade, now: float, policy: MeterPolicy) -> Step:
    if order.activate_at is None or order.activate_at > now:
        return Rest(order.activate_at)
    fresh = state.looked_at is not None and 0 <= now - state.looked_at <= policy.stale_s
    return Activate() if fresh else Look()


_STEPS: Final[Mapping[Stage, Callable[[Order, Upgrade, float, MeterPolicy], Step]]] = {
    Stage.ASKED: _initiate,
    Stage.PREPARED: lambda *_: Transfer(),
    Stage.TRANSFERRING: lambda *_: Transfer(),
    Stage.COMPLETE: lambda *_: Verify(),
    Stage.VERIFYING: lambda *_: Poll(),
    Stage.VERIFIED: _activate,
}


def begun(state: Upgrade, step: Step, now: float) -> Upgrade:
    """Return the state to keep before a step is taken.

    Raises:
        LocalProtocolError: it is not the state's step.
    """
    match step, state.stage:
        case Initiate(), Stage.ASKED:
            return state.at(Stage.PREPARING, now)
        case Verify(), Stage.COMPLETE:
            return state.at(Stage.VERIFYING, now)
        case Activate(), Stage.VERIFIED:
            return replace(state.at(Stage.ACTIVATING, now), activations=state.activations + 1)
        case ((Initiate() | Verify() | Activate()), _):
            raise LocalProtocolError(f"{type(step).__name__} is no step of {state.stage}")
    return state


# What came of it.


def advance(
    order: Order, state: Upgrade, answer: Answer, now: float, policy: MeterPolicy
) -> Upgrade:
    """Return the state after an answer; one that comes too late or again changes nothing."""
    if state.stage.final:
        return state
    if isinstance(answer, Looked):
        return looked(order, state, answer, now, policy)
    handler = _SPECIAL.get((state.stage, type(answer))) or _ANSWERS.get(type(answer))
    return state if handler is None else handler(state, answer, now, policy)


def _to(stage: Stage) -> Handler:
    return lambda state, _, now, __: replace(state.at(stage, now), refusals=0)


def _prepared(state: Upgrade, _: Answer, now: float, __: MeterPolicy) -> Upgrade:
    begins = state.initiations + 1
    return replace(state.at(Stage.PREPARED, now), refusals=0, initiations=begins)


def _activated(state: Upgrade, _: Answer, now: float, policy: MeterPolicy) -> Upgrade:
    return policy.wait(state.at(Stage.ACTIVATED, now), now)


def _ask(state: Upgrade, *_: object) -> Upgrade:
    return replace(state, looked_at=None)


def _verify_busy(state: Upgrade, _: Answer, now: float, policy: MeterPolicy) -> Upgrade:
    """It is being verified, as Blue Book 4.4.6 allows: attribute 6 tells when it is over."""
    return verification_over(state, now, policy) or policy.wait(state, now)


def _polled(state: Upgrade, answer: Answer, now: float, policy: MeterPolicy) -> Upgrade:
    if isinstance(answer, Polled) and answer.status in {Status.VERIFYING, Status.INITIATED}:
        return _verify_busy(state, answer, now, policy)
    return replace(state, looked_at=None)


def _busy(state: Upgrade, _: Answer, now: float, policy: MeterPolicy) -> Upgrade:
    return replace(policy.wait(state, now), looked_at=None)


def _silent(state: Upgrade, _: Answer, now: float, policy: MeterPolicy) -> Upgrade:
    failures = state.failures + 1
    rest = backoff(failures, first=policy.silence_first_s, most=policy.silence_most_s)
    return replace(state, failures=failures, free_at=now + rest, looked_at=None)


def _refused(state: Upgrade, answer: Answer, now: float, policy: MeterPolicy) -> Upgrade:
    why = answer.why if isinstance(answer, Refused) else "takes blocks and does not show them"
    refusals = state.refusals + 1
    if refusals >= policy.refusals:
        stage, code = _GIVEN_UP.get(state.stage, (Stage.FAILED, "upgrade.refused"))
        return state.at(stage, now, code=code, reason=why)
    return replace(_busy(state, answer, now, policy), refusals=refusals)


_GIVEN_UP: Final[Mapping[Stage, tuple[Stage, str]]] = {
    Stage.PREPARING: (Stage.FAILED, "upgrade.initiate"),
    Stage.PREPARED: (Stage.FAILED, "upgrade.blocks"),
    Stage.TRANSFERRING: (Stage.FAILED, "upgrade.blocks"),
    Stage.VERIFYING: (Stage.DISCARDED, "upgrade.verification"),
    Stage.ACTIVATING: (Stage.FAILED, "upgrade.activation"),
}


def _expired(state: Upgrade, _: Answer, now: float, policy: MeterPolicy) -> Upgrade:
    """What has begun to activate is followed to its own end."""
    if not state.stage.switching:
        return state.at(Stage.FAILED, now, code="upgrade.expired")
    if now - state.since < policy.activation_s + policy.trial_s:
        return state
    why = "it has not said what came of the activation"
    return state.at(Stage.FAILED, now, code="upgrade.activation", reason=why)


_SPECIAL: Final[Mapping[tuple[Stage, type[Answer]], Handler]] = {
    (Stage.PREPARING, Accepted): _prepared,
    (Stage.PREPARED, Filled): _to(Stage.COMPLETE),
    (Stage.TRANSFERRING, Filled): _to(Stage.COMPLETE),
    (Stage.PREPARED, Fed): lambda state, _, now, __: state.at(Stage.TRANSFERRING, now),
    (Stage.VERIFYING, Accepted): _ask,
    (Stage.VERIFYING, Busy): _verify_busy,
    (Stage.VERIFYING, Polled): _polled,
    (Stage.ACTIVATING, Accepted): _activated,
    (Stage.ACTIVATING, Busy): _activated,
}
_ANSWERS: Final[Mapping[type[Answer], Handler]] = {
    Busy: _busy,
    Silent: _silent,
    Refused: _refused,
    Stuck: _refused,
    Expired: _expired,
}
