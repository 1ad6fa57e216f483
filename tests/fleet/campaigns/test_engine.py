"""A campaign at work: groups, windows, retries, late devices, stops and restarts."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from tests.fleet.campaigns.builders import CANARY, OTHERS, engine, said, sites, step

from openami.core.errors import RemoteProtocolError
from openami.fleet.campaigns.allowance import Allowance
from openami.fleet.campaigns.dispatch import Place
from openami.fleet.campaigns.engine import Directive, Engine, Estimate, Order
from openami.fleet.campaigns.groups import GroupState
from openami.fleet.campaigns.machine import Act, CampaignState, DownloadGroup, Recall
from openami.fleet.campaigns.model import (
    Areas,
    Budget,
    DeviceState,
    Group,
    Step,
    StepKind,
    Thresholds,
)
from openami.fleet.campaigns.pace import Pace
from openami.fleet.campaigns.progress import Report, StepFailed
from openami.fleet.campaigns.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

D, S = DeviceState, CampaignState
ALL = (Group("all"),)
HOUR = 3600.0


def orders(made: Engine, now: float = 0.0, most: int = 1000) -> tuple[Order, ...]:
    return made.work(now, most=most).orders


def all_in(
    made: Engine, rows: Iterable[int], state: DeviceState, *, number: int, now: float = 0.0
) -> None:
    """Let all devices of DCUs be in one state."""
    for row in rows:
        assert made.report(row, said(number, {state: made.progress.devices(row)}), now=now)


def rows_of(given: tuple[Order, ...]) -> list[int]:
    return [order.row for order in given]


@pytest.mark.fums("UMS-1")
def test_a_campaign_from_canary_to_end() -> None:
    made = engine()
    canary = orders(made)
    assert [order.step for order in canary] == [StepKind.DOWNLOAD] * 2
    assert canary[0].release == "meter/1.2.0"
    assert canary[0].dcu == canary[0].row + 100
    assert made.progress.counts(canary[0].row) == {D.OFFERED: 10}
    assert orders(made) == ()
    all_in(made, rows_of(canary), D.VERIFIED, number=1)
    switch = orders(made)
    assert [order.step for order in switch] == [StepKind.ACTIVATE] * 2
    assert {order.rate for order in switch} == {0}
    all_in(made, rows_of(canary), D.CONFIRMED, number=2)
    rest = orders(made)
    assert len(rest) == 18
    assert not set(rows_of(rest)) & set(rows_of(canary))
    all_in(made, rows_of(rest), D.CONFIRMED, number=1)
    work = made.work(1.0, most=5)
    assert work.orders == ()
    assert Recall() in work.effects
    assert (made.run.state, made.run.cause) == (S.FINISHED, "campaign.done")
    assert made.next_timer() is None


@pytest.mark.parametrize("state", [S.DRAFT, S.PAUSED, S.STOPPED])
def test_nothing_is_given_but_by_a_running_campaign(state: CampaignState) -> None:
    made = engine(started=state is not S.DRAFT)
    acts = {S.PAUSED: (Act.PAUSE,), S.STOPPED: (Act.STOP,)}
    for act in acts.get(state, ()):
        made.command(step(made.run, act))
    assert orders(made) == ()
    assert made.run.state is state


def test_too_many_failures_pause_before_anything_more_is_given() -> None:
    made = engine(groups=(Group("all", thresholds=Thresholds(success=5000, error=1000)),))
    first = orders(made, most=4)
    codes = {"firmware.hash": 10}
    for order in first[:2]:
        made.report(order.row, said(1, {D.DISCARDED: 10}, codes), now=1.0)
    assert orders(made, 2.0) == ()
    assert (made.run.state, made.run.cause) == (S.PAUSED, "campaign.errors")
    assert made.progress.group_codes(0) == {"firmware.hash": 20}
    assert made.directive(0, fleet_epoch=0) is Directive.HOLD
    made.command(step(made.run, Act.RESUME))
    assert len(orders(made, 3.0)) == 16
    assert made.directive(0, fleet_epoch=0) is Directive.GO


@pytest.mark.fums("DES-3")
def test_an_emergency_stop_voids_every_order() -> None:
    allowance = Allowance()
    made = engine(allowance=allowance)
    given = orders(made)
    stop = step(made.run, Act.EMERGENCY, epoch=1, number=0)
    assert Recall() in made.command(stop)
    assert made.command(stop) == ()
    assert {made.directive(order.epoch, fleet_epoch=1) for order in given} == {Directive.VOID}
    assert allowance.total.jobs == 0
    assert orders(made, 1e6) == ()
    assert made.report(given[0].row, said(1, {D.VERIFIED: 10}), now=2.0)  # it is still counted
    assert orders(made, 1e6) == ()
    # A campaign that was started before, and that the stop did not reach, gives void orders.
    other = engine()
    assert other.directive(orders(other)[0].epoch, fleet_epoch=1) is Directive.VOID


@pytest.mark.fums("SM-9", "UMS-1")
def test_steps_have_windows_and_times_of_their_own() -> None:
    made = engine(
        groups=ALL,
        download=Step(windows=(Window(60, 120),)),
        activation=Step(not_before=30 * HOUR, windows=(Window(180, 240),)),
        jitter_s=600.0,
    )
    assert orders(made, 0.0) == ()
    given = orders(made, HOUR, most=5)
    assert {order.end for order in given} == {2 * HOUR}
    assert all(HOUR <= order.begin < HOUR + 600 for order in given)
    given += orders(made, 2 * HOUR - 10, most=5)
    assert max(order.begin for order in given) < 2 * HOUR
    given += orders(made, 25 * HOUR)
    all_in(made, range(20), D.VERIFIED, number=1, now=25.5 * HOUR)
    states = []
    for now in (27.5, 30.0):
        assert orders(made, now * HOUR) == ()
        states.append(made.run.groups[0].state)
    assert states == [GroupState.DOWNLOADED, GroupState.ACTIVATING]
    assert {order.step for order in orders(made, 51 * HOUR)} == {StepKind.ACTIVATE}


def test_no_more_activate_at_once_than_may() -> None:
    made = engine(groups=ALL, activations=3)
    orders(made)
    all_in(made, range(20), D.VERIFIED, number=1)
    assert len(orders(made)) == 3
    first = next(row for row in range(20) if made.position(row, StepKind.ACTIVATE).attempt)
    all_in(made, [first], D.ACTIVATED, number=2)
    assert orders(made) == ()
    all_in(made, [first], D.CONFIRMED, number=3)
    assert len(orders(made)) == 1


def test_meters_that_verify_later_are_activated_later() -> None:
    made = small(1)
    orders(made)
    made.report(0, said(1, {D.TRANSFERRED: 1, D.VERIFIED: 9}), now=1.0)
    assert made.run.groups[0].state is GroupState.DOWNLOADING
    made.report(0, said(2, {D.VERIFIED: 10}), now=1.0)
    (order,) = orders(made, 1.0)
    made.report(0, said(3, {D.CONFIRMED: 9, D.TRANSFERRED: 1}), now=2.0)
    assert made.position(0, StepKind.ACTIVATE).place is Place.DONE
    assert orders(made, 2.0) == ()
    made.report(0, said(4, {D.CONFIRMED: 9, D.VERIFIED: 1}), now=3.0)
    (again,) = orders(made, 3.0)
    assert (order.attempt, again.attempt) == (1, 2)


def small(count: int, **changes: Any) -> Engine:
    return engine(None, sites(count), groups=ALL, **changes)


def test_what_fails_too_often_is_given_up() -> None:
    made = small(2)
    now = 0.0
    for attempt in (1, 2):
        (order,) = (order for order in orders(made, now) if order.row == 0)
        assert order.attempt == attempt
        failed = StepFailed(StepKind.DOWNLOAD, attempt, "transport.tls")
        assert made.report(0, Report(attempt, {}, {}, failed), now=now)
        assert not made.report(0, Report(attempt, {}, {}, failed), now=now)
        now += 100.0
    assert made.progress.codes(0) == {"transport.tls": 10}
    assert orders(made, now) == ()
    assert made.run.cause == "campaign.errors"
    # Had it only been slow: what it says counts.
    assert made.report(0, Report(3, {}, {}, None), now=now)
    assert made.progress.codes(0) == {"transport.tls": 10}
    assert made.report(0, said(4, {D.DOWNLOADED: 10}), now=now)
    assert made.progress.codes(0) == {}
    assert made.position(0, StepKind.DOWNLOAD).place is Place.DONE


def test_an_activation_that_fails_is_given_up_too() -> None:
    made = small(1)
    orders(made)
    all_in(made, [0], D.VERIFIED, number=1)
    for attempt in (1, 2):
        orders(made, attempt * 100.0)
        failed = StepFailed(StepKind.ACTIVATE, attempt, "dcu.line")
        made.report(0, Report(attempt + 1, {D.VERIFIED: 10}, {}, failed), now=attempt * 100.0)
    assert made.progress.counts(0) == {D.FAILED: 10}
    assert made.progress.codes(0) == {"dcu.line": 10}


def test_who_is_silent_is_offered_again() -> None:
    made = small(1)
    (order,) = orders(made)
    assert made.next_timer() == order.until == 1000.0
    assert orders(made, 1000.0) == ()
    due = made.next_timer()
    assert due is not None
    (again,) = orders(made, due)
    assert again.attempt == 2


def test_a_silent_dcu_holds_no_budget_in_a_pause() -> None:
    allowance = Allowance()
    made = engine(None, sites(1), groups=ALL, allowance=allowance)
    (order,) = orders(made)
    made.command(step(made.run, Act.PAUSE))
    made.tick(order.until - 1)
    assert allowance.total.jobs == 1
    made.tick(order.until)
    assert allowance.total.jobs == 0


def test_a_dcu_that_was_replaced_gets_it_again() -> None:
    made = small(1)
    orders(made)
    all_in(made, [0], D.DOWNLOADED, number=1)
    made.report(0, said(2, {}), now=1.0)
    (again,) = orders(made, 1.0)
    assert (again.step, again.attempt) == (StepKind.DOWNLOAD, 2)


def test_late_devices_are_taken_in() -> None:
    north = Group("north", Areas(frozenset({"north"})))
    where = sites(4, devices=[10, 10, 0, 10])
    made = engine(None, where, groups=(north, OTHERS), dynamic=True)
    assert rows_of(orders(made)) == [0]
    assert made.join(2, 3)
    assert rows_of(orders(made)) == [2]
    all_in(made, [0, 2], D.CONFIRMED, number=1)
    assert set(rows_of(orders(made))) == {1, 3}
    assert made.extend(sites(2, dcu=[1, 2]))
    assert set(rows_of(orders(made))) == {4, 5}
    assert made.join(0, 1)
    assert rows_of(orders(made)) == [0]
    assert made.leave(0, D.WAITING)  # it has been offered meanwhile
    assert not made.leave(0, D.FAILED, "firmware.hash")
    assert made.position(0, StepKind.DOWNLOAD).place is Place.DONE
    assert made.progress.group_counts()[0].total == 23
    made.command(step(made.run, Act.STOP))
    assert not made.join(0, 1)
    assert not made.extend(sites(1, dcu=[9]))


def test_a_campaign_that_is_not_dynamic_takes_nobody_in() -> None:
    made = engine()
    assert not made.join(0, 1)
    assert not made.extend(sites(1, dcu=[1]))
    assert len(made.sites) == 20
    closed = engine(groups=(Group("south", Areas(frozenset({"south"}))),), dynamic=True)
    assert not closed.join(0, 1)
    assert closed.report(0, said(1, {D.CONFIRMED: 10}), now=0.0)
    assert closed.progress.group_counts()[0].confirmed == 0


def again(made: Engine, allowance: Allowance | None = None) -> Engine:
    """Return an engine of what a store would have kept of another."""
    other = Engine(made.run, made.sites, made.plan, tz=UTC, allowance=allowance or Allowance())
    rows = range(len(made.sites))
    positions = {step: [made.position(row, step) for row in rows] for step in StepKind}
    attempted = {step: [p for p in several if p.attempt] for step, several in positions.items()}
    other.restore([made.progress.saved(row) for row in rows], attempted)
    return other


def test_after_a_restart_nothing_is_given_twice() -> None:
    made = engine(groups=ALL, budget=Budget(jobs=6))
    first = orders(made)
    all_in(made, rows_of(first)[:3], D.VERIFIED, number=1)
    made.work(1.0, most=1)
    allowance = Allowance()
    other = again(made, allowance)
    under_way = {
        row for row in range(20) if made.position(row, StepKind.DOWNLOAD).place is Place.GIVEN
    }
    assert allowance.total.jobs == len(under_way)
    mine, theirs = orders(made, 2.0), orders(other, 2.0)
    assert mine == theirs
    assert not under_way & set(rows_of(theirs))
    assert again(other).progress.group_counts() == made.progress.group_counts()


def test_a_restart_keeps_a_group_that_failed_where_it_was() -> None:
    made = engine(groups=ALL)
    first = orders(made, most=5)
    for order in first[:2]:
        made.report(order.row, said(1, {D.FAILED: 10}, {"firmware.hash": 10}), now=1.0)
    made.tick(1.0)
    other = again(made)
    assert other.run.state is S.PAUSED
    for one in (made, other):
        one.command(step(one.run, Act.RESUME))
    assert orders(other, 2.0) == orders(made, 2.0)
    fresh = Engine(made.run, made.sites, made.plan, tz=UTC, allowance=Allowance())
    fresh.restore()
    assert len(orders(fresh, 2.0)) == 20


def test_of_a_campaign_that_is_over_nothing_is_reserved_after_a_restart() -> None:
    made = engine(groups=ALL)
    orders(made)
    positions = {StepKind.DOWNLOAD: [made.position(row, StepKind.DOWNLOAD) for row in range(20)]}
    made.command(step(made.run, Act.STOP))
    allowance = Allowance()
    other = Engine(made.run, made.sites, made.plan, tz=UTC, allowance=allowance)
    other.restore(positions=positions)  # the end was stored, and then the power went
    assert allowance.total.jobs == 0
    assert orders(other, 1e6) == ()


def test_an_engine_of_a_draft_gives_nothing_after_a_restart() -> None:
    made = engine(started=False)
    assert orders(again(made)) == ()


def test_estimates_are_from_measured_rates() -> None:
    made = engine(None, sites(20), groups=(Group("all", soak_s=1e9),))
    orders(made)
    assert made.estimate(0, 0.0) == Estimate(None, None)
    for row in range(10):
        all_in(made, [row], D.CONFIRMED, number=1, now=row * 60.0)
        made.tick((row + 1) * 60.0)
    found = made.estimate(0, 600.0)
    assert found.downloaded == pytest.approx(1200.0)
    assert found.settled == pytest.approx(1200.0)
    all_in(made, range(10, 20), D.CONFIRMED, number=1)
    assert made.estimate(0, 700.0) == Estimate(700.0, 700.0)


def test_a_pace_is_of_open_time() -> None:
    pace = Pace((Window(0, 60),), UTC)
    assert pace.rate() is None
    pace.note(0.0, 0)
    pace.note(1.0, 5)  # too soon to be of use
    assert pace.rate() is None
    pace.note(2 * HOUR, 100)
    assert pace.rate() == pytest.approx(100 / HOUR)
    assert pace.ends(2 * HOUR, 150) == 49.5 * HOUR - HOUR
    pace.note(3 * HOUR, 100)
    pace.note(25 * HOUR, 100)
    assert pace.rate() == pytest.approx(50 / HOUR)
    stuck = Pace((), UTC)
    stuck.note(0.0, 5)
    stuck.note(100.0, 5)
    assert stuck.ends(100.0, 1) is None


def test_a_broken_report_moves_nothing() -> None:
    made = small(1)
    orders(made)
    before = made.progress.saved(0)
    with pytest.raises(RemoteProtocolError):
        made.report(0, said(1, {D.VERIFIED: 11}), now=1.0)
    assert made.progress.saved(0) == before


def test_a_full_segment_is_told() -> None:
    made = engine(groups=ALL, budget=Budget(segment_jobs=1))
    given = orders(made)
    assert len(given) == 2
    waiting = next(row for row in range(20) if row not in rows_of(given))
    assert made.segment_full(waiting, StepKind.DOWNLOAD)


def test_the_canary_is_small_and_first() -> None:
    made = engine(groups=(CANARY, OTHERS))
    effects = made.tick(0.0)
    assert DownloadGroup(0) in effects
    assert DownloadGroup(1) not in effects
