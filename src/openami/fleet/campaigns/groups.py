"""The groups of a running campaign: how far each is, and what moves it on.

    waiting ──Begin──► downloading ──Loaded──► downloaded ──Activate──► activating
       │                                                                    │Confirmed
       └──Empty──► succeeded ◄──Soaked── soaking ◄──────────────────────────┘

    from every state behind waiting: Fail ──► failed ──Excuse──► where it was

A group begins when the one before it has succeeded, or, if the campaign lets downloads go ahead,
when that one has downloaded. Thresholds hold for a group that has succeeded, too: devices that come
late, or that were left over, may still fail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openami.fleet.campaigns.model import Campaign, Group

ERRORS_REACHED: Final = "campaign.errors"
OUT_OF_REACH: Final = "campaign.success-unreachable"


class GroupState(StrEnum):
    """How far a group is."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    ACTIVATING = "activating"
    SOAKING = "soaking"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class GroupStep(StrEnum):
    """What moves a group."""

    EMPTY = "empty"
    BEGIN = "begin"
    LOADED = "loaded"
    ACTIVATE = "activate"
    CONFIRMED = "confirmed"
    SOAKED = "soaked"
    FAIL = "fail"


_S, _T = GroupState, GroupStep
BEGUN: Final = frozenset({_S.DOWNLOADING, _S.DOWNLOADED, _S.ACTIVATING, _S.SOAKING, _S.SUCCEEDED})
"""Downloads are given out."""
ACTIVE: Final = frozenset({_S.ACTIVATING, _S.SOAKING, _S.SUCCEEDED})
"""Activations are given out."""
_LOADED: Final = ACTIVE | {_S.DOWNLOADED}

TRANSITIONS: Final[Mapping[tuple[GroupState, GroupStep], GroupState]] = MappingProxyType(
    {
        (_S.WAITING, _T.EMPTY): _S.SUCCEEDED,
        (_S.WAITING, _T.BEGIN): _S.DOWNLOADING,
        (_S.DOWNLOADING, _T.LOADED): _S.DOWNLOADED,
        (_S.DOWNLOADED, _T.ACTIVATE): _S.ACTIVATING,
        (_S.ACTIVATING, _T.CONFIRMED): _S.SOAKING,
        (_S.SOAKING, _T.SOAKED): _S.SUCCEEDED,
        **{(state, _T.FAIL): _S.FAILED for state in BEGUN},
    }
)


@dataclass(frozen=True, slots=True)
class GroupCount:
    """What is counted of a group's devices.

    Attributes:
        total: all of them.
        ready: on which the new image is verified, or further.
        confirmed: which run it for good.
        errors: which ended badly.
    """

    total: int = 0
    ready: int = 0
    confirmed: int = 0
    errors: int = 0

    @property
    def settled(self) -> int:
        """Devices to which nothing happens any more."""
        return self.confirmed + self.errors


@dataclass(frozen=True, slots=True)
class GroupRun:
    """How far a group is.

    Attributes:
        since: when it came there.
        excused: failures that an operator has accepted.
        was: if it has failed, where.
        cause: if it has failed, the code of why.
    """

    state: GroupState = GroupState.WAITING
    since: float = 0.0
    excused: int = 0
    was: GroupState | None = None
    cause: str | None = None


Move = tuple[int, GroupState, GroupRun]


@dataclass(frozen=True, slots=True)
class _View:
    """A group with everything that its conditions look at; what is excused is left out."""

    campaign: Campaign
    group: Group
    run: GroupRun
    count: GroupCount
    before: GroupState | None
    now: float

    @property
    def total(self) -> int:
        return self.count.total - min(self.run.excused, self.count.errors)

    @property
    def errors(self) -> int:
        return max(0, self.count.errors - self.run.excused)

    @property
    def needed(self) -> int:
        return self.group.thresholds.needed(self.total)

    @property
    def turn(self) -> bool:
        return self.before in {None, _S.SUCCEEDED}

    def may_begin(self) -> bool:
        return self.turn or (self.campaign.ahead and self.before in _LOADED)


# In this order, for each state: the first condition that holds moves the group.
CONDITIONS: Final[Mapping[GroupState, tuple[tuple[GroupStep, Callable[[_View], bool]], ...]]] = (
    MappingProxyType(
        {
            _S.WAITING: (
                (_T.EMPTY, lambda v: v.turn and not v.count.total),
                (_T.BEGIN, lambda v: v.may_begin() and v.count.total > 0),
            ),
            _S.DOWNLOADING: ((_T.LOADED, lambda v: v.count.ready >= v.needed),),
            _S.DOWNLOADED: (
                (_T.ACTIVATE, lambda v: v.turn and v.now >= v.campaign.activation.not_before),
            ),
            _S.ACTIVATING: ((_T.CONFIRMED, lambda v: v.count.confirmed >= v.needed),),
            _S.SOAKING: ((_T.SOAKED, lambda v: v.now >= v.run.since + v.group.soak_s),),
            _S.SUCCEEDED: (),
            _S.FAILED: (),
        }
    )
)


def advance(
    campaign: Campaign, runs: Sequence[GroupRun], counts: Sequence[GroupCount], *, now: float
) -> tuple[tuple[GroupRun, ...], tuple[Move, ...]]:
    """Move groups on as far as what was counted allows.

    If a group has too many failures, that is all that happens.

    Returns:
        The groups, and what moved, in order: the group's number, from where, and how it is then.
    """
    groups, moves = list(runs), list[Move]()

    def move(number: int, to: GroupRun) -> None:
        moves.append((number, groups[number].state, to))
        groups[number] = to

    for number, run in enumerate(runs):
        cause = _wrong(_view(campaign, groups, counts, number, now))
        if cause is not None:
            state = TRANSITIONS[run.state, _T.FAIL]
            move(number, replace(run, state=state, since=now, was=run.state, cause=cause))
    number = len(groups) if moves else 0
    while number < len(groups):
        step = _step(_view(campaign, groups, counts, number, now))
        if step is None:
            number += 1
        else:
            state = TRANSITIONS[groups[number].state, step]
            move(number, replace(groups[number], state=state, since=now))
    return tuple(groups), tuple(moves)


def excused(run: GroupRun, count: GroupCount, now: float) -> GroupRun:
    """Return the group as it is when an operator resumes: failures so far no longer count."""
    if run.state is not GroupState.FAILED or run.was is None:
        return run
    return GroupRun(run.was, now, count.errors)


def _view(
    campaign: Campaign,
    runs: Sequence[GroupRun],
    counts: Sequence[GroupCount],
    number: int,
    now: float,
) -> _View:
    before = runs[number - 1].state if number else None
    return _View(campaign, campaign.groups[number], runs[number], counts[number], before, now)


def _wrong(view: _View) -> str | None:
    if view.run.state not in BEGUN:
        return None
    if view.errors and view.group.thresholds.too_many(view.errors, view.total):
        return ERRORS_REACHED
    return OUT_OF_REACH if view.total - view.errors < view.needed else None


def _step(view: _View) -> GroupStep | None:
    rows = CONDITIONS[view.run.state]
    return next((step for step, holds in rows if holds(view)), None)
