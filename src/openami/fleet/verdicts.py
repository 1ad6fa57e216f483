"""What became of changes that a device was told to make together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openami.fleet.desired import Refusal, StepKind
from openami.fleet.known import NO_ANSWER, SPARED, succeeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.fleet.desired import Step

# No answer, a timeout, a full device, a store that failed: the value itself was not looked at.
_UNHEARD: Final = frozenset({NO_ANSWER, 408, 420, 510})
_NOT_FOUND: Final = 404
_EXISTS: Final = 418
_ROLLBACK_FAILED: Final = 516


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of steps that were taken together; what is in neither list is still to be done.

    Attributes:
        done: now so.
        refused: not to be sent again, with the status of each.
        together: it was refused as a whole, and not each by itself.
        mistaken: the tree is not as it was thought to be: it is to be looked at first.
        unsure: nothing more can be told in this session.
    """

    done: tuple[Step, ...] = ()
    refused: tuple[Refusal, ...] = ()
    together: bool = False
    mistaken: bool = False
    unsure: bool = False


def judge(
    steps: Sequence[Step], status: int, parts: Mapping[str, int], *, looked: bool = False
) -> Verdict:
    """Return what became of steps that were taken together.

    Values that are refused by themselves are left out, and the others tried without them; values
    that are refused only together are all refused.

    Args:
        steps: at least one.
        status: of the whole; ``NO_ANSWER``.
        parts: the status of each, by address, as far as told.
        looked: the tree was looked at just before, so nobody is mistaken about it.
    """
    if succeeded(status):
        return Verdict(done=tuple(steps))
    told = {step.uri: parts.get(step.uri, status if len(steps) == 1 else 0) for step in steps}
    if _ROLLBACK_FAILED in {status, *told.values()}:
        refused = tuple(Refusal(step, told[step.uri] or status) for step in steps)
        return Verdict(refused=refused, together=True, unsure=True)
    wrong = {
        uri: found
        for uri, found in told.items()
        if found and found not in SPARED and not succeeded(found)
    }
    if not _UNHEARD.isdisjoint({status, *wrong.values()}):
        return Verdict(unsure=True)
    if not looked and any(mistaken(step.kind, told[step.uri]) for step in steps):
        return Verdict(mistaken=True)
    if not wrong:
        return Verdict(refused=tuple(Refusal(step, status) for step in steps), together=True)
    return Verdict(
        refused=tuple(Refusal(step, wrong[step.uri]) for step in steps if step.uri in wrong)
    )


def mistaken(kind: StepKind, status: int) -> bool:
    """Say whether a status means that the tree is another than it was thought to be."""
    return status == (_EXISTS if kind is StepKind.ADD else _NOT_FOUND)
