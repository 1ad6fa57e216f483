"""A campaign under random events, each of them twice and late ones again: what must hold, holds."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.fleet.campaigns.builders import campaign, engine, said, sites, step

from openami.fleet.campaigns.allowance import Allowance
from openami.fleet.campaigns.dispatch import Place
from openami.fleet.campaigns.engine import Directive, Engine, Order
from openami.fleet.campaigns.groups import BEGUN, GroupCount, GroupState
from openami.fleet.campaigns.machine import OVER, Act, CampaignState, Command
from openami.fleet.campaigns.model import (
    ERRORS,
    STATES,
    Budget,
    DeviceState,
    Group,
    Rest,
    Retry,
    Share,
    StepKind,
    Thresholds,
)
from openami.fleet.campaigns.progress import Report, StepFailed

D = DeviceState
ROWS = 12
RATE, JOBS, SEGMENT_RATE, SEGMENT_JOBS = 2600, 4, 1500, 2
RATES = [400 if row % 3 else 1000 for row in range(ROWS)]
BUDGET = Budget(RATE, JOBS, SEGMENT_RATE, SEGMENT_JOBS)
ACTIVATIONS = 2
LIMITS = Thresholds(success=7_000, error=1_000, least=3)
GENTLE = (Act.PLAN, Act.APPROVE, Act.START, Act.PAUSE, Act.RESUME)
WHAT = campaign(
    groups=(
        Group("canary", Share(2_000), LIMITS, soak_s=30, canary=True),
        Group("half", Share(4_000), LIMITS),
        Group("rest", Rest(), LIMITS),
    ),
    budget=BUDGET,
    activations=ACTIVATIONS,
    retry=Retry(attempts=2, first_s=5, most_s=20, lease_s=100, longest_s=300),
    jitter_s=5.0,
    dynamic=True,
    ahead=True,
)
ROW = st.integers(0, ROWS - 1)
# Where devices go from where they are; most go well.
NEXT = {
    D.OFFERED: D.DOWNLOADED,
    D.DOWNLOADED: D.VERIFIED,
    D.VERIFIED: D.ACTIVATED,
    D.ACTIVATED: D.CONFIRMED,
}


class Campaigns(RuleBasedStateMachine):
    """One campaign over twelve DCUs that do what they are told, badly, late or never."""

    def __init__(self) -> None:
        super().__init__()
        self.allowance = Allowance()
        self.engine = engine(WHAT, sites(ROWS, rate=RATES), allowance=self.allowance, started=False)
        self.now = 0.0
        self.fleet_epoch = 0
        self.orders: dict[tuple[StepKind, int, int], Order] = {}
        self.reports: list[tuple[int, Report]] = []
        self.numbers = [0] * ROWS
        self.commands: list[Command] = []
        self.ended: CampaignState | None = None

    # What operators and time do

    def command(self, act: Act, **changes: Any) -> None:
        command = step(self.engine.run, act, now=self.now, **changes)
        self.commands.append(command)
        self.engine.command(command)
        run = self.engine.run
        assert self.engine.command(command) == ()
        assert self.engine.run is run

    @initialize(started=st.sampled_from([True, True, True, False]))
    def begin(self, started: bool) -> None:
        for act in (Act.PLAN, Act.APPROVE, Act.START) if started else ():
            self.command(act)

    @rule(act=st.sampled_from([*GENTLE * 3, Act.STOP, Act.EMERGENCY]))
    def operate(self, act: Act) -> None:
        if act is Act.EMERGENCY:
            self.fleet_epoch += 1
        self.command(act, epoch=self.fleet_epoch)
        for order in self.orders.values() if act is Act.EMERGENCY else ():
            directive = self.engine.directive(order.epoch, fleet_epoch=self.fleet_epoch)
            assert directive is Directive.VOID

    @precondition(lambda self: self.engine.run.state is CampaignState.PAUSED)
    @rule()
    def resume(self) -> None:
        self.command(Act.RESUME)

    @rule(which=st.integers(0, 50))
    def say_again(self, which: int) -> None:
        """An old command comes again, late."""
        if self.commands:
            command, run = self.commands[which % len(self.commands)], self.engine.run
            if command.act in GENTLE and run.state is not CampaignState.DRAFT:
                assert self.engine.command(command) == ()
                assert self.engine.run is run

    # What the head-end hands out

    @rule(seconds=st.sampled_from([1.0, 40.0, 120.0]), most=st.sampled_from([1, 20, 20]))
    def hand_out(self, seconds: float, most: int) -> None:
        self.now += seconds
        counts = self.engine.progress.group_counts()
        failing = [
            number
            for number, group in enumerate(self.engine.run.groups)
            if group.state in BEGUN and wrong(counts[number], group.excused)
        ]
        running = self.engine.run.state is CampaignState.RUNNING
        given = self.engine.work(self.now, most=most).orders
        assert len(given) <= most
        for order in given:
            key = order.step, order.row, order.attempt
            assert key not in self.orders  # by one attempt, once
            self.orders[key] = order
            group = self.engine.run.groups[int(self.engine.plan.group[order.row])]
            assert group.state in BEGUN
        if failing and running:
            assert given == ()
            assert self.engine.run.state is CampaignState.PAUSED
        if not running:
            assert given == ()
        self.budgets_hold()

    # What DCUs do

    def send(self, row: int, report: Report) -> None:
        self.reports.append((row, report))
        assert self.engine.report(row, report, now=self.now)
        saved = self.engine.progress.saved(row)
        assert not self.engine.report(row, report, now=self.now)
        assert self.engine.progress.saved(row) == saved

    @rule(rows=st.sets(ROW, min_size=4), bad=st.sampled_from([0, 0, 1, 4]), hurry=st.booleans())
    def progress(self, rows: set[int], bad: int, hurry: bool) -> None:
        """The devices of some DCUs go on, but a few of them fail."""
        for row in rows & {order.row for order in self.orders.values()}:
            moved: dict[DeviceState, int] = {}
            for state, count in self.engine.progress.counts(row).items():
                to = NEXT.get(state, state)
                to = NEXT.get(to, to) if hurry else to
                moved[to] = moved.get(to, 0) + count
            moved.pop(D.WAITING, None)
            codes = dict(self.engine.progress.codes(row))
            failed = min(bad, moved.get(D.VERIFIED, 0))
            if failed:
                moved[D.VERIFIED] -= failed
                moved[D.DISCARDED] = moved.get(D.DISCARDED, 0) + failed
                codes["firmware.hash"] = codes.get("firmware.hash", 0) + failed
            self.numbers[row] += 1
            self.send(row, said(self.numbers[row], moved, codes))

    @precondition(lambda self: self.engine.run.state is CampaignState.RUNNING)
    @rule()
    def a_good_day(self) -> None:
        """Everything goes on as far as it can in a while."""
        for _ in range(4):
            self.hand_out(40.0, 20)
            self.progress(set(range(ROWS)), 0, hurry=True)

    @rule(row=ROW)
    def fail(self, row: int) -> None:
        """A DCU's last download has failed."""
        attempts = [a for s, r, a in self.orders if r == row and s is StepKind.DOWNLOAD]
        if attempts:
            self.numbers[row] += 1
            failed = StepFailed(StepKind.DOWNLOAD, max(attempts), "transport.closed")
            counts: dict[DeviceState, int] = {
                s: n for s, n in self.engine.progress.counts(row).items() if s is not D.WAITING
            }
            codes = self.engine.progress.codes(row)
            self.send(row, Report(self.numbers[row], counts, codes, failed))

    @rule(which=st.integers(0, 50))
    def report_again(self, which: int) -> None:
        if self.reports:
            row, report = self.reports[which % len(self.reports)]
            saved = self.engine.progress.saved(row)
            assert not self.engine.report(row, report, now=self.now)
            assert self.engine.progress.saved(row) == saved

    @rule(row=ROW)
    def join(self, row: int) -> None:
        self.engine.join(row, 1)

    @rule(row=ROW, state=st.sampled_from(STATES))
    def leave(self, row: int, state: DeviceState) -> None:
        self.engine.leave(row, state, "firmware.hash")

    @rule()
    def restart(self) -> None:
        """The head-end is killed; what was stored comes back."""
        old = self.engine
        self.allowance = Allowance()
        self.engine = Engine(old.run, old.sites, old.plan, tz=UTC, allowance=self.allowance)
        self.engine.restore(
            [old.progress.saved(row) for row in range(ROWS)],
            {
                kind: [p for row in range(ROWS) if (p := old.position(row, kind)).attempt]
                for kind in StepKind
            },
        )
        assert self.engine.progress.group_counts() == old.progress.group_counts()

    # What always holds

    def under_way(self, kind: StepKind) -> list[int]:
        rows = range(ROWS)
        return [row for row in rows if self.engine.position(row, kind).place is Place.GIVEN]

    @invariant()
    def budgets_hold(self) -> None:
        downloads = self.under_way(StepKind.DOWNLOAD)
        rates = {row: self.engine.position(row, StepKind.DOWNLOAD).rate for row in downloads}
        assert len(downloads) <= JOBS
        assert sum(rates.values()) <= RATE
        for segment in (0, 1):
            inside = [row for row in downloads if row % 2 == segment]
            assert len(inside) <= SEGMENT_JOBS
            assert sum(rates[row] for row in inside) <= SEGMENT_RATE
        assert self.allowance.total.jobs == len(downloads)
        assert self.allowance.total.rate == sum(rates.values())
        assert {row + 100 for row in downloads} == set(self.allowance.links)
        assert len(self.under_way(StepKind.ACTIVATE)) <= ACTIVATIONS

    @invariant()
    def an_end_is_an_end(self) -> None:
        if self.ended is not None:
            assert self.engine.run.state is self.ended
        if self.engine.run.state in OVER:
            self.ended = self.engine.run.state
            assert not self.under_way(StepKind.DOWNLOAD)
            assert not self.under_way(StepKind.ACTIVATE)

    @invariant()
    def groups_begin_in_order(self) -> None:
        groups = self.engine.run.groups
        for one, other in pairwise(groups):
            if other.state not in {GroupState.WAITING, GroupState.FAILED}:
                assert one.state not in {GroupState.WAITING, GroupState.DOWNLOADING}

    @invariant()
    def every_device_is_counted_once(self) -> None:
        counts = self.engine.progress.group_counts()
        devices = sum(self.engine.progress.devices(row) for row in range(ROWS))
        assert sum(count.total for count in counts) == devices
        for group, count in enumerate(counts):
            states = self.engine.progress.group_states(group)
            assert count.errors == sum(states.get(state, 0) for state in ERRORS)
            assert count.errors == sum(self.engine.progress.group_codes(group).values())


def wrong(count: GroupCount, excused: int) -> bool:
    errors = max(0, count.errors - excused)
    return errors >= LIMITS.least and errors * 10_000 >= LIMITS.error * (
        count.total - min(excused, count.errors)
    )


TestCampaigns = Campaigns.TestCase
TestCampaigns.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
