"""A campaign's life, as a pure state machine.

    draft ──Plan──► planned ──Approve──► approved ──Start──► running ──Finish──► finished
      ▲                │                    │                ▲  │
      └────Revise──────┴────────────────────┘          Resume│  │Pause, Fail
                                                             │  ▼
                                                            paused
    Stop, Withdraw (of the release): from everywhere before the end ──► stopped
    Emergency: from approved, running and paused ──► emergency-stopped

An operator's command carries its number: one more than the commands that were taken before it.
What comes again, or was meant for what is not so any more, has another number and changes nothing.
Stop, Withdraw and Emergency count whatever their number: they are final, and twice is as once.
Approval is by another operator than any who wrote or planned what is approved.

A running campaign is moved by what was counted (``groups``). The error threshold is checked first:
a group that meets both pauses the campaign. Who resumes after that accepts the failures so far.

Every job that is handed to a DCU carries the campaign's epoch, and every answer to a DCU's poll the
fleet's: a job of an epoch before that is void. So an emergency stop reaches every DCU with its next
poll, whatever the head-end believes that the DCU is doing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError
from openami.fleet.campaigns.groups import ERRORS_REACHED, GroupCount, GroupRun, advance, excused
from openami.fleet.campaigns.groups import GroupState as G
from openami.fleet.devices import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.fleet.campaigns.model import Campaign

MAX_REASON: Final = 500
"""Characters of a reason: some lines on a page, and one row of the audit log."""
ENGINE: Final = "campaign engine"
"""Who it was, if no person did it."""


class CampaignState(StrEnum):
    """How far a campaign is."""

    DRAFT = "draft"
    PLANNED = "planned"
    APPROVED = "approved"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    EMERGENCY = "emergency-stopped"


class Act(StrEnum):
    """What moves a campaign."""

    REVISE = "revise"
    PLAN = "plan"
    APPROVE = "approve"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    WITHDRAW = "withdraw"
    EMERGENCY = "emergency"
    FAIL = "fail"
    FINISH = "finish"


_S, _A = CampaignState, Act
OVER: Final = frozenset({_S.FINISHED, _S.STOPPED, _S.EMERGENCY})
_BEFORE: Final = (_S.DRAFT, _S.PLANNED, _S.APPROVED)
_AT_WORK: Final = (_S.RUNNING, _S.PAUSED)

# What is not here changes nothing.
TRANSITIONS: Final[Mapping[tuple[CampaignState, Act], CampaignState]] = MappingProxyType(
    {
        **{(state, _A.REVISE): _S.DRAFT for state in _BEFORE},
        (_S.DRAFT, _A.PLAN): _S.PLANNED,
        (_S.PLANNED, _A.APPROVE): _S.APPROVED,
        (_S.APPROVED, _A.START): _S.RUNNING,
        (_S.RUNNING, _A.PAUSE): _S.PAUSED,
        (_S.PAUSED, _A.RESUME): _S.RUNNING,
        **{(state, _A.STOP): _S.STOPPED for state in (*_BEFORE, *_AT_WORK)},
        **{(state, _A.WITHDRAW): _S.STOPPED for state in (*_BEFORE, *_AT_WORK)},
        **{(state, _A.EMERGENCY): _S.EMERGENCY for state in (_S.APPROVED, *_AT_WORK)},
        (_S.RUNNING, _A.FAIL): _S.PAUSED,
        (_S.RUNNING, _A.FINISH): _S.FINISHED,
    }
)
COMMANDS: Final = (_A.PLAN, _A.APPROVE, _A.START, _A.PAUSE, _A.RESUME, _A.STOP)
"""What an operator does with one campaign, in the order of its life."""
UNNUMBERED: Final = frozenset({_A.STOP, _A.WITHDRAW, _A.EMERGENCY})
_OWN: Final = frozenset({_A.FAIL, _A.FINISH})  # nobody commands these

BY_HAND: Final = "campaign.paused"
STOPPED: Final = "campaign.stopped"
WITHDRAWN: Final = "campaign.release-withdrawn"
EMERGENCY: Final = "campaign.emergency"
_CAUSES: Final[Mapping[Act, str]] = MappingProxyType(
    {
        _A.PAUSE: BY_HAND,
        _A.STOP: STOPPED,
        _A.WITHDRAW: WITHDRAWN,
        _A.EMERGENCY: EMERGENCY,
    }
)


@dataclass(frozen=True, slots=True)
class Run:
    """A campaign, and how far it is.

    Attributes:
        authors: who wrote or planned it as it is.
        approver: who approved it as it is.
        commands: how many were taken; that it paused or ended by itself counts as one, so that
            nothing that was said before holds after it.
        epoch: of the jobs that it hands out.
        cause: the code of why it is paused or was ended.
    """

    campaign: Campaign
    groups: tuple[GroupRun, ...]
    authors: tuple[str, ...]
    state: CampaignState = CampaignState.DRAFT
    since: float = 0.0
    approver: str | None = None
    commands: int = 0
    epoch: int = 0
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator wants of a campaign.

    Attributes:
        number: one more than ``Run.commands`` as the operator saw it.
        campaign: with ``REVISE``, what it becomes.
        epoch: with ``START`` and ``EMERGENCY``, the fleet's.
        counts: with ``RESUME``, what was counted of each group.
    """

    act: Act
    who: str
    now: float
    number: int
    why: str = ""
    campaign: Campaign | None = None
    epoch: int = 0
    counts: tuple[GroupCount, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of the groups at ``now``, in their order; comes as often as it likes."""

    now: float
    counts: tuple[GroupCount, ...]


Event = Command | Counted


@dataclass(frozen=True, slots=True)
class DownloadGroup:
    """The DCUs of a group may be given downloads."""

    group: int


@dataclass(frozen=True, slots=True)
class ActivateGroup:
    """The DCUs of a group may activate what is verified."""

    group: int


@dataclass(frozen=True, slots=True)
class Recall:
    """No job of the campaign holds any more."""


@dataclass(frozen=True, slots=True)
class Record:
    """A line for the audit log."""

    entry: AuditEntry


Effect = DownloadGroup | ActivateGroup | Recall | Record


def drafted(campaign: Campaign, *, who: str, now: float) -> Run:
    """Return a campaign that was just written."""
    return Run(campaign, _fresh(campaign), (who,), since=now)


def next_state(run: Run, event: Event) -> tuple[Run, tuple[Effect, ...]]:
    """Return the campaign after ``event``, and what is to be done about it.

    What is repeated, late or not possible returns the very same run and no effects. An effect may
    be carried out twice and harms nothing.

    Raises:
        ConflictError: ``campaign.four-eyes``, who approves has written or planned it;
            ``campaign.malformed``, a command without what it needs or with too long a reason.
    """
    return _count(run, event) if isinstance(event, Counted) else _command(run, event)


def void(job_epoch: int, fleet_epoch: int) -> bool:
    """Return whether a job is of before an emergency stop: the DCU drops it."""
    return job_epoch < fleet_epoch


def _command(run: Run, command: Command) -> tuple[Run, tuple[Effect, ...]]:
    act = command.act
    to = TRANSITIONS.get((run.state, act))
    if to is None or act in _OWN:
        return run, ()
    if act not in UNNUMBERED and command.number != run.commands + 1:
        return run, ()
    _check(run, command)
    changed = _CHANGES[act](run, command) if act in _CHANGES else run
    moved = replace(
        changed,
        state=to,
        since=command.now,
        commands=run.commands + 1,
        cause=_CAUSES.get(act),
    )
    ended: tuple[Effect, ...] = (Recall(),) if to in OVER else ()
    record = _record(run, command.who, command.now, f"state {run.state} to {to}", command.why)
    return moved, (*ended, record)


def _check(run: Run, command: Command) -> None:
    folded = {author.casefold() for author in run.authors}
    if command.act is Act.APPROVE and command.who.casefold() in folded:
        raise ConflictError(
            f"{command.who} wrote or planned this campaign: another operator approves it",
            code="campaign.four-eyes",
        )
    revised = command.campaign is not None and command.campaign.id == run.campaign.id
    incomplete = (command.act is Act.REVISE and not revised) or (
        command.act is Act.RESUME and len(command.counts) != len(run.groups)
    )
    if incomplete or len(command.why) > MAX_REASON or not command.who:
        raise ConflictError(f"{command.act}: something is missing", code="campaign.malformed")


def _revised(run: Run, command: Command) -> Run:
    campaign = command.campaign or run.campaign
    authors = _with(run.authors, command.who)
    return replace(run, campaign=campaign, groups=_fresh(campaign), authors=authors, approver=None)


def _resumed(run: Run, command: Command) -> Run:
    pairs = zip(run.groups, command.counts, strict=True)
    return replace(run, groups=tuple(excused(*pair, command.now) for pair in pairs))


# What a command changes beside the state.
_CHANGES: Final[Mapping[Act, Callable[[Run, Command], Run]]] = MappingProxyType(
    {
        _A.REVISE: _revised,
        _A.PLAN: lambda run, command: replace(run, authors=_with(run.authors, command.who)),
        _A.APPROVE: lambda run, command: replace(run, approver=command.who),
        _A.START: lambda run, command: replace(run, epoch=command.epoch),
        _A.EMERGENCY: lambda run, command: replace(run, epoch=max(run.epoch, command.epoch)),
        _A.RESUME: _resumed,
    }
)


def _count(run: Run, event: Counted) -> tuple[Run, tuple[Effect, ...]]:
    if run.state is not CampaignState.RUNNING:
        return run, ()
    groups, moves = advance(run.campaign, run.groups, event.counts, now=event.now)
    effects: list[Effect] = []
    for number, was, now in moves:
        name = run.campaign.groups[number].name
        if now.state is G.DOWNLOADING:
            effects.append(DownloadGroup(number))
        elif now.state is G.ACTIVATING:
            effects.append(ActivateGroup(number))
        what = f"group {name}: {was} to {now.state}"
        effects.append(_record(run, ENGINE, event.now, what, now.cause or ""))
    moved = replace(run, groups=groups) if moves else run
    ended, why = _end(moved, event)
    if ended is None:
        return moved, tuple(effects)
    to = TRANSITIONS[run.state, ended]
    moved = replace(moved, state=to, since=event.now, cause=why, commands=run.commands + 1)
    if to in OVER:
        effects.append(Recall())
    effects.append(_record(run, ENGINE, event.now, f"state {run.state} to {to}", why))
    return moved, tuple(effects)


def _end(run: Run, event: Counted) -> tuple[Act | None, str]:
    failed = next((group for group in run.groups if group.state is G.FAILED), None)
    if failed is not None:
        return Act.FAIL, failed.cause or ERRORS_REACHED
    if run.campaign.until is not None and event.now >= run.campaign.until:
        return Act.FINISH, "campaign.overdue"
    succeeded = all(group.state is G.SUCCEEDED for group in run.groups)
    settled = all(count.settled >= count.total for count in event.counts)
    # With a time for its end, a dynamic campaign waits for late devices until then.
    waits = run.campaign.dynamic and run.campaign.until is not None
    return (Act.FINISH, "campaign.done") if succeeded and settled and not waits else (None, "")


def _fresh(campaign: Campaign) -> tuple[GroupRun, ...]:
    return tuple(GroupRun() for _ in campaign.groups)


def _with(authors: tuple[str, ...], who: str) -> tuple[str, ...]:
    return authors if who in authors else (*authors, who)


def _record(run: Run, who: str, now: float, what: str, why: str) -> Record:
    subject = f"campaign-{run.campaign.id}"
    return Record(AuditEntry(who, now, f"campaign.{what}", subject, why))
