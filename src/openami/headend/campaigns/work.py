"""One campaign at work: its engine, what its DCUs were told, and what has yet to be kept of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from openami.core.errors import RemoteProtocolError
from openami.fleet.campaigns.dispatch import Place
from openami.fleet.campaigns.engine import Directive, Engine
from openami.fleet.campaigns.machine import OVER, CampaignState, Record
from openami.fleet.campaigns.model import ERRORS, STATES, DeviceState, StepKind
from openami.fleet.campaigns.plan import NOWHERE
from openami.fleet.campaigns.records import (
    CampaignRecord,
    Changes,
    Given,
    GroupSum,
    PlannedSite,
    SiteState,
    columns_of,
    plan_of,
)
from openami.fleet.devices import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from openami.firmware.manifest import Manifest
    from openami.fleet.campaigns.allowance import Allowance
    from openami.fleet.campaigns.engine import Order
    from openami.fleet.campaigns.machine import Command, Effect, Run
    from openami.fleet.campaigns.progress import Report
    from openami.fleet.campaigns.records import TaskRecord
    from openami.fleet.campaigns.timeline import Mark
    from openami.fleet.devices import AuditEntry

UNSETTLED: Final = tuple(state for state in STATES if state not in {*ERRORS, DeviceState.CONFIRMED})
"""Something may still happen to a device."""


@dataclass(slots=True)
class _Pending:
    """What has changed since it was last kept."""

    run: bool = False
    orders: bool = False
    recall: bool = False
    rows: set[int] = field(default_factory=set)
    more: list[PlannedSite] = field(default_factory=list)
    named: dict[int, Sequence[str]] = field(default_factory=dict)
    marks: list[tuple[str, Mark]] = field(default_factory=list)
    tasks: list[TaskRecord] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    entries: list[AuditEntry] = field(default_factory=list)


class AtWork:
    """One campaign that was approved, made of what was stored.

    What changes is in memory until ``changes`` are kept; who can not keep them drops all of it and
    makes it anew of what was stored.

    Attributes:
        rows: of DCUs, by serial number.
        named: which devices the orders of a row name, as a number; none: they are not named yet.
        given: what was told of a step, by row and step; see ``step`` for what of it still holds.
        tasks: the open job of a step, by row and step, of a campaign for DCUs.
        jobless: steps of such a campaign that may have no job.
    """

    def __init__(
        self,
        record: CampaignRecord,
        manifest: Manifest,
        sites: Sequence[tuple[PlannedSite, SiteState | None]],
        *,
        tz: tzinfo,
        allowance: Allowance,
    ) -> None:
        self.manifest = manifest
        self.key, self.id = record.key, record.run.campaign.id
        self.planned = [site for site, _ in sites]
        self.rows = {site.dcu: site.row for site in self.planned}
        states = [state for _, state in sites if state is not None]
        self.named = {one.progress.row: one.named for one in states if one.named}
        self.given = {
            (one.progress.row, step): given for one in states for step, given in one.given.items()
        }
        self.tasks: dict[tuple[int, StepKind], TaskRecord] = {}
        self._by_jobs = record.run.campaign.kind is DeviceKind.DCU
        self.jobless = set(self.given) if self._by_jobs else set()
        self._serials: list[str] = []
        self._record = record
        self._pending = _Pending()
        groups = len(record.run.groups)
        where, plan = columns_of(self.planned), plan_of(self.planned, groups)
        self.engine = Engine(record.run, where, plan, tz=tz, allowance=allowance)
        self.engine.restore(
            [one.progress for one in states],
            {step: [one.positions[step] for one in states] for step in StepKind},
        )

    # What is asked

    @property
    def record(self) -> CampaignRecord:
        """The campaign as it is now."""
        return replace(self._record, run=self.engine.run, sums=self._sums())

    @property
    def serials(self) -> Sequence[str]:
        """The serial numbers of its DCUs, in order."""
        if len(self._serials) != len(self.rows):
            self._serials = sorted(self.rows)
        return self._serials

    @property
    def over(self) -> bool:
        """Whether nothing is handed out any more, for good."""
        return self.engine.run.state in OVER

    def listed(self, row: int, *, epoch: int) -> Directive | None:
        """Return what a DCU does with its order of this campaign; None: it has none."""
        if row not in self.named or not self.engine.progress.in_any(row, UNSETTLED):
            return None
        directive = self.engine.directive(self.engine.run.epoch, fleet_epoch=epoch)
        return None if directive is Directive.VOID else directive

    def step(self, row: int, kind: StepKind) -> Given | None:
        """Return what a DCU was told of a step that it is at work on."""
        given = self.given.get((row, kind))
        position = self.engine.position(row, kind)
        valid = position.place is Place.GIVEN and given and given.attempt == position.attempt
        return given if valid else None

    def ends(self, row: int, kind: StepKind, now: float) -> float:
        """Return from when on a DCU may not begin a step that it is at work on.

        What was not done in one window is gone on with in the next.
        """
        given, position = self.step(row, kind), self.engine.position(row, kind)
        opens, closes = self.engine.stretch(kind, now)
        end = given.end if given is not None and now < opens else closes
        return min(end, position.ends)

    def may(self, row: int, kind: StepKind, now: float) -> bool:
        """Return whether a DCU may begin, now, a step that it is at work on."""
        given = self.step(row, kind)
        running = self.engine.run.state is CampaignState.RUNNING
        return running and given is not None and given.begin <= now < self.ends(row, kind, now)

    def shape(self, row: int, *, epoch: int) -> tuple[object, ...] | None:
        """Return what changes whenever the order of a DCU does; None: it has none."""
        directive = self.listed(row, epoch=epoch)
        if directive is None:
            return None
        steps = (self.step(row, kind) for kind in StepKind)
        told = tuple(None if one is None else (one.attempt, one.begin) for one in steps)
        return (self.id, self.engine.run.epoch, directive.value, self.named[row], *told)

    def group_of(self, row: int) -> int | None:
        """Return the number of a DCU's group; None: it is in none."""
        group = int(self.engine.plan.group[row])
        return None if group == NOWHERE else group

    # What happens

    def command(self, command: Command) -> bool:
        """Do what an operator wants; False if that changes nothing."""
        before = self.engine.run
        self._took(self.engine.command(command))
        self._ran(before)
        return self.engine.run is not before

    def work(self, now: float, *, most: int) -> Sequence[Order]:
        """Move on, and return what DCUs are given now."""
        before = self.engine.run
        found = self.engine.work(now, most=most)
        self._took(found.effects)
        self._ran(before)
        for order in found.orders:
            self.given[order.row, order.step] = Given(
                order.attempt, order.rate, order.begin, order.end
            )
            self._pending.rows.add(order.row)
        if self._by_jobs:
            self.jobless.update((order.row, order.step) for order in found.orders)
        return found.orders

    def report(self, row: int, report: Report, *, now: float) -> bool:
        """Take what a DCU says; False if it was known.

        Raises:
            RemoteProtocolError: it can not be.
        """
        if row not in self.named:
            raise RemoteProtocolError("it was given no order", code="campaign.report.order")
        if not self.engine.report(row, report, now=now):
            return False
        self._pending.rows.add(row)
        return True

    def mark(self, marks: Iterable[tuple[str, Mark]]) -> None:
        """Take marks of its devices."""
        self._pending.marks += marks

    def name(self, row: int, serials: Sequence[str], *, recount: bool) -> None:
        """Let the orders of a DCU name some devices; ``recount``: for the first time."""
        self.named[row] = zlib.crc32("\n".join(serials).encode()) or 1
        self._pending.named[row] = serials
        self._pending.rows.add(row)
        if recount:
            self.engine.recount(row, len(serials))

    def join(self, row: int, devices: int) -> None:
        """Take in devices that have come to a DCU."""
        self.engine.join(row, devices)
        self._pending.rows.add(row)

    def leave(self, row: int, state: DeviceState, code: str | None) -> None:
        """Let go of a device that has left a DCU."""
        self.engine.leave(row, state, code)
        self._pending.rows.add(row)

    def extend(self, site: PlannedSite) -> bool:
        """Take in a DCU that was not there; its group is found here. False: none takes it."""
        if not self.engine.extend(columns_of([site])):
            return False
        group = int(self.engine.plan.group[site.row])
        site = replace(site, group=group)
        self.planned.append(site)
        self.rows[site.dcu] = site.row
        self._pending.more.append(site)
        return group != NOWHERE

    def open_task(self, task: TaskRecord) -> TaskRecord:
        """Take note of a job that carries a part of an order."""
        self.tasks[task.row, task.step] = task
        self.jobless.discard((task.row, task.step))
        self._pending.tasks.append(task)
        return task

    def close_task(self, task: TaskRecord) -> None:
        """Take note that nothing more is expected of a job."""
        if self.tasks.get((task.row, task.step)) == task:
            del self.tasks[task.row, task.step]
            self.jobless.add((task.row, task.step))
        self._pending.closed.append(task.job)

    # What is kept

    @property
    def dirty(self) -> bool:
        """Whether anything has changed since ``kept``."""
        return self._pending != _Pending()

    def changes(self) -> Changes | None:
        """Return what has changed since ``kept``; None: nothing."""
        found = self._pending
        if not self.dirty:
            return None
        return Changes(
            self.record,
            sites=[self._state(row) for row in sorted(found.rows)],
            more=found.more,
            named=found.named,
            marks=found.marks,
            tasks=found.tasks,
            closed=found.closed,
            recall=found.recall,
            entries=found.entries,
        )

    def kept(self) -> frozenset[str]:
        """Take note that the changes are kept; return the DCUs whose orders they may touch."""
        found, self._pending = self._pending, _Pending()
        return frozenset(
            self.planned[row].dcu for row in (self.named if found.orders else found.rows)
        )

    def _ran(self, before: Run) -> None:
        """Take note of what has become of the campaign: that a group moves changes no order."""
        run, pending = self.engine.run, self._pending
        pending.run |= run is not before
        pending.orders |= (run.state, run.epoch) != (before.state, before.epoch)
        pending.recall |= run.state not in {before.state, CampaignState.RUNNING}

    def _took(self, effects: Iterable[Effect]) -> None:
        self._pending.entries += [one.entry for one in effects if isinstance(one, Record)]

    def _state(self, row: int) -> SiteState:
        for kind in StepKind:
            if self.step(row, kind) is None:
                self.given.pop((row, kind), None)
        return SiteState(
            self.engine.progress.saved(row),
            {kind: self.engine.position(row, kind) for kind in StepKind},
            {kind: self.given[row, kind] for kind in StepKind if (row, kind) in self.given},
            self.named.get(row, 0),
        )

    def _sums(self) -> tuple[GroupSum, ...]:
        progress, plan = self.engine.progress, self.engine.plan
        return tuple(
            GroupSum(
                len(plan.rows(group)),
                tuple(progress.group_states(group).get(state, 0) for state in STATES),
                progress.group_codes(group),
            )
            for group in range(len(self.engine.run.groups))
        )
