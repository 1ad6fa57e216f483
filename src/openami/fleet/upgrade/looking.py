"""What a meter's answer about itself means for its upgrade."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from openami.fleet.upgrade.answers import Status
from openami.fleet.upgrade.bitmap import MAX_BLOCKS, first_gap, present
from openami.fleet.upgrade.state import MAX_TEXT, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.fleet.upgrade.answers import Looked
    from openami.fleet.upgrade.policy import MeterPolicy
    from openami.fleet.upgrade.state import Order, Upgrade

MAX_BLOCK: Final = 0xFFFF
"""Octets of a block: one APDU carries it, with its length in two octets."""
FAILED_UPGRADE: Final = "Failed Upgrade Process"
_CODE: Final = re.compile(r"firmware\.[a-z][a-z.-]{0,40}", re.ASCII)
"""What our meters say of an image that they do not take; others' words are only told."""


def looked(order: Order, state: Upgrade, look: Looked, now: float, policy: MeterPolicy) -> Upgrade:
    """Return the state after a meter told everything it knows."""
    state = replace(
        state, looked_at=now, enabled=look.enabled, version=state.version or look.version[:MAX_TEXT]
    )
    if look.version == order.version:
        return _runs_it(state, look, now, policy)
    if state.stage.switching:
        return _runs_another(state, look, now, policy)
    if not 0 < look.block_size <= MAX_BLOCK or order.blocks(look.block_size) > MAX_BLOCKS:
        why = f"blocks of {look.block_size} octets"
        return state.at(Stage.FAILED, now, code="upgrade.block-size", reason=why)
    state = _note(order, state, look)
    return _BY_STATUS.get(look.status, _blank)(order, state, look, now, policy)


def _names(order: Order, look: Looked) -> bool:
    """Tell whether the meter says that it holds this image (attribute 7)."""
    return any(
        info.identification == order.identifier and info.size == order.size for info in look.infos
    )


def _note(order: Order, state: Upgrade, look: Looked) -> Upgrade:
    """Compare the meter's two counts; where they differ, the bitmap is right and it is noted."""
    blocks = order.blocks(look.block_size)
    changed = state.block_size not in {0, look.block_size}
    state = replace(state, block_size=look.block_size)
    if changed and state.stage.holds:  # blocks of another size: what it has is another image's
        state = replace(state, stage=Stage.OFFERED)
    if look.bits is None or look.first_gap is None or not state.stage.holds:
        return state
    if first_gap(present(look.bits, blocks)) == look.first_gap:
        return state
    return replace(state, code="upgrade.first-gap", reason="its first gap is not its bitmap's")


# The version runs.


def _runs_it(state: Upgrade, look: Looked, now: float, policy: MeterPolicy) -> Upgrade:
    if look.status == Status.ACTIVATED:
        return state.at(Stage.ON_TRIAL, now).at(Stage.CONFIRMED, now)
    if not state.stage.switching and look.status != Status.ACTIVATING:
        return state.at(Stage.CONFIRMED, now, code="upgrade.had-it")
    if state.stage is not Stage.ON_TRIAL:
        return policy.wait(state.at(Stage.ON_TRIAL, now), now)
    kept = now - state.since
    if look.status != Status.ACTIVATING and kept >= policy.trial_s:
        return state.at(Stage.CONFIRMED, now)
    if kept >= policy.activation_s + policy.trial_s:
        why = "it runs the new version and does not confirm it"
        return state.at(Stage.FAILED, now, code="upgrade.trial", reason=why)
    return policy.wait(state, now)


def _runs_another(state: Upgrade, look: Looked, now: float, policy: MeterPolicy) -> Upgrade:
    """It was, or may have been, told to activate; and runs what it ran before."""
    reason = FAILED_UPGRADE + (f": {look.reason}" if look.reason else "")
    if state.stage is Stage.ON_TRIAL or look.status == Status.ACTIVATION_FAILED:
        return state.at(Stage.REVERTED, now, code="upgrade.reverted", reason=reason)
    if look.status == Status.VERIFICATION_FAILED:
        return _discarded(state, look, now)
    unheard = look.status == Status.VERIFIED and state.stage is Stage.ACTIVATING
    if unheard and state.activations < policy.activations:
        return state.at(Stage.VERIFIED, now)
    if now - state.since < policy.activation_s:
        return policy.wait(state, now)
    if look.status == Status.VERIFIED:
        why = "nothing came of the activation"
        return state.at(Stage.FAILED, now, code="upgrade.activation", reason=why)
    return state.at(Stage.REVERTED, now, code="upgrade.reverted", reason=reason)


# It runs another version, and has not been told to activate.


def _begin(state: Upgrade, now: float, policy: MeterPolicy) -> Upgrade:
    if state.initiations >= policy.initiations:
        return state.at(Stage.FAILED, now, code="upgrade.forgets", reason="it lost what it had")
    return replace(state, failures=0).at(Stage.ASKED, now)


def _over(_: Order, state: Upgrade, __: Looked, now: float, policy: MeterPolicy) -> Upgrade:
    return _begin(state, now, policy)


def _blank(order: Order, state: Upgrade, look: Looked, now: float, policy: MeterPolicy) -> Upgrade:
    """Not initiated: never, or a reboot has reset the status; the bitmap decides, but once.

    Some go on where they were; one that does not come on by it is told to begin anew.
    """
    kept = state.stage.holds and present(look.bits, order.blocks(look.block_size)).any()
    if kept and state.refusals == 0:
        return replace(_fill(order, state, look, now), refusals=1)
    return _begin(state, now, policy)


def _initiated(
    order: Order, state: Upgrade, look: Looked, now: float, policy: MeterPolicy
) -> Upgrade:
    if state.stage is Stage.VERIFYING:
        over = verification_over(state, now, policy)
        if over is not None:
            return over
    if state.stage.holds or _names(order, look):
        return _fill(order, state, look, now)
    return _begin(state, now, policy)


def _fill(order: Order, state: Upgrade, look: Looked, now: float) -> Upgrade:
    there = present(look.bits, order.blocks(look.block_size))
    if there.all():
        return state if state.stage is Stage.COMPLETE else _again(state, Stage.COMPLETE, now)
    return state if state.stage is Stage.PREPARED else _again(state, Stage.TRANSFERRING, now)


def _again(state: Upgrade, stage: Stage, now: float) -> Upgrade:
    """Return to a stage, with what was refused after it still counted."""
    return replace(state.at(stage, now), refusals=state.refusals)


def _verifies(
    order: Order, state: Upgrade, look: Looked, now: float, policy: MeterPolicy
) -> Upgrade:
    if not (state.stage.holds or _names(order, look)):
        return replace(policy.wait(state, now), looked_at=None)  # another's image
    state = state.at(Stage.VERIFYING, now)
    return verification_over(state, now, policy) or policy.wait(state, now)


def _verified(
    order: Order, state: Upgrade, look: Looked, now: float, policy: MeterPolicy
) -> Upgrade:
    if _names(order, look) or (state.stage.holds and not look.infos):
        return state.at(Stage.VERIFIED, now)
    return _begin(state, now, policy)


def _verification_failed(
    _: Order, state: Upgrade, look: Looked, now: float, policy: MeterPolicy
) -> Upgrade:
    if state.stage in {Stage.COMPLETE, Stage.VERIFYING, Stage.VERIFIED}:
        return _discarded(state, look, now)
    return _begin(state, now, policy)


def _discarded(state: Upgrade, look: Looked, now: float) -> Upgrade:
    """Return the end of an image that a meter refused: by the meter's own code, if it has one."""
    code = look.reason if _CODE.fullmatch(look.reason) else "upgrade.verification"
    reason = FAILED_UPGRADE + (f": {look.reason}" if look.reason else "")
    return state.at(Stage.DISCARDED, now, code=code, reason=reason)


def _activates(
    order: Order, state: Upgrade, look: Looked, now: float, policy: MeterPolicy
) -> Upgrade:
    if _names(order, look):  # somebody else has told it to
        return policy.wait(state.at(Stage.ACTIVATED, now), now)
    return replace(policy.wait(state, now), looked_at=None)


_BY_STATUS: Final[Mapping[int, Callable[[Order, Upgrade, Looked, float, MeterPolicy], Upgrade]]] = {
    Status.NOT_INITIATED: _blank,
    Status.INITIATED: _initiated,
    Status.VERIFYING: _verifies,
    Status.VERIFIED: _verified,
    Status.VERIFICATION_FAILED: _verification_failed,
    Status.ACTIVATING: _activates,
    Status.ACTIVATED: _over,
    Status.ACTIVATION_FAILED: _over,
}


def verification_over(state: Upgrade, now: float, policy: MeterPolicy) -> Upgrade | None:
    """Return the end of a verification that has taken too long."""
    began = state.marks.get(Stage.VERIFYING, now)
    if now - began < policy.verify_s:
        return None
    return state.at(Stage.DISCARDED, now, code="upgrade.verify-timeout", reason=FAILED_UPGRADE)
