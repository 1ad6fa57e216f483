"""A campaign at work: its state machine, its counts and its queues, wired.

It has no clock and no store: who has both tells it what happened, stores what has changed, and
carries the orders. After a restart it is made anew of what was stored, and goes on: an order that
was given and not stored is given again, with the same number of the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.fleet.campaigns import groups as g
from openami.fleet.campaigns.allowance import Allowance
from openami.fleet.campaigns.dispatch import Place, Position, Queue
from openami.fleet.campaigns.machine import (
    OVER,
    ActivateGroup,
    CampaignState,
    Command,
    Counted,
    DownloadGroup,
    Recall,
    next_state,
    void,
)
from openami.fleet.campaigns.model import NOT_FETCHED, SWITCHING, Budget, StepKind
from openami.fleet.campaigns.model import DeviceState as D
from openami.fleet.campaigns.pace import Pace
from openami.fleet.campaigns.plan import NOWHERE, extended
from openami.fleet.campaigns.progress import Progress
from openami.fleet.campaigns.windows import stretches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from openami.fleet.campaigns.machine import Effect, Run
    from openami.fleet.campaigns.model import Step
    from openami.fleet.campaigns.plan import Plan
    from openami.fleet.campaigns.progress import Report, SiteProgress
    from openami.fleet.campaigns.sites import Sites

_CLOSED: Final = (0.0, 0.0)
# By step: in which states a group's DCUs are given it, which devices wait for it, and with which a
# DCU is not done with it.
_GIVEN_IN: Final = MappingProxyType({StepKind.DOWNLOAD: g.BEGUN, StepKind.ACTIVATE: g.ACTIVE})
_WAITS_FOR: Final = MappingProxyType(
    {StepKind.DOWNLOAD: NOT_FETCHED, StepKind.ACTIVATE: (D.VERIFIED,)}
)
_AT_WORK_IN: Final = MappingProxyType(
    {StepKind.DOWNLOAD: NOT_FETCHED, StepKind.ACTIVATE: SWITCHING}
)


class Directive(StrEnum):
    """What a DCU does with an order that it has."""

    GO = "go"
    HOLD = "hold"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Order:
    """What a DCU is given to do.

    Attributes:
        dcu: the registry's number of it.
        attempt: of this step; an order that comes twice has the same.
        epoch: older than the fleet's: void.
        rate: octets a second that it may take; 0: it takes none.
        begin: not before this.
        end: nothing is begun from then on: the window closes.
        until: when it is given up if nothing is heard.
    """

    campaign: str
    release: str
    row: int
    dcu: int
    step: StepKind
    attempt: int
    epoch: int
    rate: int
    begin: float
    end: float
    until: float


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be handed out, and what has come of looking."""

    orders: tuple[Order, ...] = ()
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a group will have downloaded and be settled, by the rates that were measured."""

    downloaded: float | None
    settled: float | None


class Engine:
    """One campaign that has been approved; one that is revised gets a plan and an engine anew.

    Args:
        run: how far it is.
        sites: its DCUs.
        plan: their groups and order.
        tz: the campaign's time zone.
        allowance: what downloads take of the network; shared with other campaigns.
    """

    def __init__(
        self, run: Run, sites: Sites, plan: Plan, *, tz: tzinfo, allowance: Allowance
    ) -> None:
        campaign = run.campaign
        self.run, self.sites, self.plan = run, sites, plan
        self.progress = Progress(plan, sites.devices, groups=len(campaign.groups))
        self._tz = tz
        self._queues: Mapping[StepKind, Queue] = {
            StepKind.DOWNLOAD: Queue(
                sites,
                plan,
                allowance,
                budget=campaign.budget,
                retry=campaign.retry,
                jitter_s=campaign.jitter_s,
                carries=True,
            ),
            StepKind.ACTIVATE: Queue(
                sites,
                plan,
                Allowance(),
                budget=Budget(jobs=campaign.activations),
                retry=campaign.retry,
                jitter_s=campaign.jitter_s,
                carries=False,
            ),
        }
        self._stretches = dict.fromkeys(StepKind, _CLOSED)
        self._paces = {
            StepKind.DOWNLOAD: Pace(campaign.download.windows, tz),
            StepKind.ACTIVATE: Pace(campaign.activation.windows, tz),
        }

    def restore(
        self,
        progress: Iterable[SiteProgress] = (),
        positions: Mapping[StepKind, Iterable[Position]] | None = None,
    ) -> None:
        """Take back what was stored; what is not in it has not happened.

        Of a campaign that is over nothing is under way any more, whatever was stored.
        """
        for kept in progress:
            self.progress.restore(kept)
        if self.run.state in OVER:
            return
        for step, several in (positions or {}).items():
            for position in several:
                self._queues[step].restore(position)
        for number, group in enumerate(self.run.groups):
            for step, begun in _GIVEN_IN.items():
                if (group.was or group.state) in begun:
                    self._open_group(number, step)

    # What happens

    def command(self, command: Command) -> tuple[Effect, ...]:
        """Do what an operator wants; see ``machine.next_state``."""
        counted = replace(command, counts=self.progress.group_counts())
        self.run, effects = next_state(self.run, counted)
        return self._carried(effects)

    def tick(self, now: float) -> tuple[Effect, ...]:
        """Move groups and campaign on as far as what was counted allows."""
        for queue in self._queues.values():
            queue.pass_time(now)  # in a pause, too: what nobody works at is given back
        counts = self.progress.group_counts()
        self.run, effects = next_state(self.run, Counted(now, counts))
        if self.run.state is CampaignState.RUNNING:
            self._paces[StepKind.DOWNLOAD].note(now, sum(c.ready + c.errors for c in counts))
            self._paces[StepKind.ACTIVATE].note(now, sum(c.settled for c in counts))
        return self._carried(effects)

    def report(self, row: int, report: Report, *, now: float) -> bool:
        """Take note of what a DCU says; False if it is late or known, and nothing has changed.

        Raises:
            RemoteProtocolError: it says what can not be (``campaign.report.count``).
        """
        if not self.progress.take(row, report, now=now):
            return False
        for queue in self._queues.values():
            queue.heard(row, now)
        failed = report.failed
        if failed is not None:
            self._queues[failed.step].fail(row, failed.attempt, failed.code, now)
        self._follow(row)
        return True

    def work(self, now: float, *, most: int) -> Work:
        """Return what DCUs may be given now: after a look at the thresholds, within the budgets."""
        effects = self.tick(now)
        if self.run.state is not CampaignState.RUNNING:
            return Work((), effects)
        orders: list[Order] = []
        for kind, step in self._steps():
            if self._open(kind, step, now):
                orders += self._orders(kind, now, most - len(orders))
        return Work(tuple(orders), effects)

    def join(self, row: int, devices: int) -> bool:
        """Take in devices that have come to a DCU; False if the campaign takes none."""
        if not self.run.campaign.dynamic or self.run.state in OVER:
            return False
        if self.plan.group[row] == NOWHERE:
            return False
        self.progress.join(row, devices)
        self._follow(row)
        return True

    def recount(self, row: int, devices: int) -> None:
        """Let a DCU that has said nothing yet have so many devices, now that they are named."""
        more = devices - self.progress.devices(row)
        self.progress.join(row, max(0, more))
        for _ in range(-more):
            self.progress.leave(row, D.WAITING)
        self._follow(row)

    def leave(self, row: int, state: D, code: str | None = None) -> bool:
        """Let go of a device that has left a DCU; False if none is in that state."""
        if not self.progress.leave(row, state, code):
            return False
        self._follow(row)
        return True

    def extend(self, more: Sites) -> bool:
        """Take in DCUs that were not there; False if the campaign takes none."""
        if not self.run.campaign.dynamic or self.run.state in OVER:
            return False
        first = len(self.sites)
        self.sites = self.sites.extended(more)
        self.plan = extended(self.plan, self.run.campaign, self.sites)
        self.progress.extend(self.plan, more.devices)
        for queue in self._queues.values():
            queue.extend(self.sites, self.plan)
        for row in range(first, len(self.sites)):
            self._follow(row)
        return True

    # What is asked

    def directive(self, order_epoch: int, *, fleet_epoch: int) -> Directive:
        """Return what a DCU does with an order of this campaign."""
        if void(order_epoch, max(self.run.epoch, fleet_epoch)) or self.run.state in OVER:
            return Directive.VOID
        return Directive.GO if self.run.state is CampaignState.RUNNING else Directive.HOLD

    def stretch(self, kind: StepKind, now: float) -> tuple[float, float]:
        """Return when the window of a step opens that is open or next, and when it closes."""
        step = dict(self._steps())[kind]
        self._open(kind, step, now)
        return self._stretches[kind]

    def position(self, row: int, step: StepKind) -> Position:
        """Return where a DCU is with a step: what a store keeps once it has been given one."""
        return self._queues[step].saved(row)

    def segment_full(self, row: int, step: StepKind) -> bool:
        """Return whether a DCU waits for room in its segment of the network."""
        return self._queues[step].is_full(row)

    def next_timer(self) -> float | None:
        """Return when a rest or a lease may be over; None: nobody rests, nothing is given."""
        timers = (queue.next_timer() for queue in self._queues.values())
        return min((timer for timer in timers if timer is not None), default=None)

    def estimate(self, group: int, now: float) -> Estimate:
        """Return when a group will be through, if it goes on as it went."""
        count = self.progress.group_counts()[group]
        downloads, activations = self._paces.values()
        return Estimate(
            downloads.ends(now, count.total - count.ready - count.errors),
            activations.ends(now, count.total - count.settled),
        )

    def _carried(self, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
        for effect in effects:
            match effect:
                case DownloadGroup(group):
                    self._open_group(group, StepKind.DOWNLOAD)
                case ActivateGroup(group):
                    self._open_group(group, StepKind.ACTIVATE)
                case Recall():
                    for queue in self._queues.values():
                        queue.recall()
                case _:
                    pass
        return effects

    def _open_group(self, group: int, step: StepKind) -> None:
        rows = self.progress.having(self.plan.rows(group), _WAITS_FOR[step])
        self._queues[step].open(rows, again=True)

    def _follow(self, row: int) -> None:
        """Let a DCU's places in the queues follow from what is counted of its devices."""
        group = int(self.plan.group[row])
        if group == NOWHERE or self.run.state in OVER:
            return
        run = self.run.groups[group]
        for step, queue in self._queues.items():
            if not self.progress.in_any(row, _AT_WORK_IN[step]):
                queue.settle(row)
            elif queue.place(row) is Place.SPENT:
                code = queue.code(row) or "campaign.gave-up"
                self.progress.give_up(row, _AT_WORK_IN[step], code)
            elif (run.was or run.state) in _GIVEN_IN[step] and self.progress.in_any(
                row, _WAITS_FOR[step]
            ):
                queue.open((row,), again=True)

    def _steps(self) -> tuple[tuple[StepKind, Step], ...]:
        campaign = self.run.campaign
        return (StepKind.ACTIVATE, campaign.activation), (StepKind.DOWNLOAD, campaign.download)

    def _open(self, kind: StepKind, step: Step, now: float) -> bool:
        """Return whether a step may be begun now, and keep the window that is open or next."""
        begin, end = self._stretches[kind]
        if not begin <= now < end:
            start = max(now, step.not_before)
            begin, end = next(stretches(step.windows, start, self._tz))
            self._stretches[kind] = begin, end
        return begin <= now < end

    def _orders(self, kind: StepKind, now: float, most: int) -> Iterable[Order]:
        campaign, end = self.run.campaign, self._stretches[kind][1]
        for grant in self._queues[kind].give(now, most=most):
            if kind is StepKind.DOWNLOAD:
                self.progress.offer(grant.row)
            yield Order(
                campaign.id,
                campaign.release,
                grant.row,
                int(self.sites.dcu[grant.row]),
                kind,
                grant.attempt,
                self.run.epoch,
                grant.rate,
                min(grant.begin, (now + end) / 2),  # the jitter does not lead out of the window
                end,
                grant.until,
            )
