"""What became of changes that a device was told to make together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.fleet.desired import Refusal
from openami.fleet.known import NO_ANSWER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.fleet.desired import Step

_SUCCESS: Final = range(200, 300)
# Not executed and rolled back: it was the others that failed (OMA DM RepPro 1.2, clause 6.6.3).
_SPARED: Final = frozenset({215, 216})
# A timeout, a full device, a store that failed: the value itself was not looked at.
_PASSING: Final = frozenset({408, 420, 510})
_ROLLBACK_FAILED: Final = 516


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of steps that were taken together.

    Attributes:
        done: now so.
        refused: not to be sent again, with the status of each.
        again: to be sent once more, now without those that are refused.
        unsure: the device has to be asked what it is like now.
    """

    done: tuple[Step, ...] = ()
    refused: tuple[Refusal, ...] = ()
    again: tuple[Step, ...] = ()
    unsure: bool = False


def judge(steps: Sequence[Step], status: int, parts: Mapping[str, int]) -> Verdict:
    """Return what became of steps that were taken together.

    Values that are refused by themselves are left out, and the others tried without them; values
    that are refused only together are all refused.

    Args:
        steps: at least one.
        status: of the whole; ``NO_ANSWER``.
        parts: the status of each, by address, as far as told.
    """
    if status == NO_ANSWER:
        return Verdict(unsure=True)
    if status in _SUCCESS:
        return Verdict(done=tuple(steps))
    told = {step.uri: parts[step.uri] for step in steps if step.uri in parts}
    if status == _ROLLBACK_FAILED or _ROLLBACK_FAILED in told.values():
        refused = tuple(Refusal(step, told.get(step.uri, status)) for step in steps)
        return Verdict(refused=refused, unsure=True)
    wrong = {uri for uri, found in told.items() if found not in _SUCCESS and found not in _SPARED}
    if status in _PASSING or any(told[uri] in _PASSING for uri in wrong):
        return Verdict(unsure=True)
    if not wrong or len(steps) == 1:
        return Verdict(refused=tuple(Refusal(step, status) for step in steps))
    return Verdict(
        refused=tuple(Refusal(step, told[step.uri]) for step in steps if step.uri in wrong),
        again=tuple(step for step in steps if step.uri not in wrong),
    )
