"""Campaigns at the head-end: operators' commands, orders, reports, over real stores."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.campaigns import D, Office, campaign, offer, register

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.campaigns.groups import ERRORS_REACHED
from openami.fleet.campaigns.machine import EMERGENCY, WITHDRAWN, Act, CampaignState
from openami.fleet.campaigns.model import Budget, Retry, Step, StepKind
from openami.fleet.campaigns.progress import StepFailed
from openami.fleet.campaigns.windows import Window
from openami.fleet.devices import Contact, DeviceKind, LifecycleState, Sighting
from openami.fleet.ports import DeviceFilter
from openami.fleet.tasks import Ticket
from openami.headend.bus import Topic
from openami.headend.campaigns import devices
from openami.headend.campaigns.uplink import ATTEMPTS, Said, SaidMark
from openami.headend.errors import RequestError
from openami.headend.registry import Description
from openami.headend.reports import DcuFigures
from openami.headend.services import build

if TYPE_CHECKING:
    from pathlib import Path

    from openami.core.clock import ManualClock
    from openami.headend.services import Context, Services, Stores

DCUS = ("A", "B", "C")
S = CampaignState


@pytest.fixture
def office(services: Services, wall: ManualClock) -> Office:
    return Office(services, wall)


@pytest.fixture
def release(services: Services, stores: Stores, clock: ManualClock, tmp_path: Path) -> str:
    register(stores, dict.fromkeys(DCUS, 10), now=clock.now())
    return offer(services, tmp_path)


def state(office: Office, id_: str) -> CampaignState:
    found: CampaignState = office.campaigns.get(id_).run.state
    return found


def upgrade(office: Office, id_: str, dcu: str, devices: int = 10) -> None:
    """Let a DCU do all that it is told, until its meters run the new version."""
    assert set(office.ask(dcu).orders[0].steps) == {StepKind.DOWNLOAD}
    office.say(dcu, id_, {D.DOWNLOADED: devices})
    office.say(dcu, id_, {D.VERIFIED: devices})
    assert set(office.ask(dcu).orders[0].steps) == {StepKind.ACTIVATE}
    office.say(dcu, id_, {D.CONFIRMED: devices})


@pytest.mark.fums("UMS-1")
def test_a_campaign_goes_to_its_end_by_what_dcus_report(office: Office, release: str) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    order = office.ask(canary).orders[0]
    assert (order.campaign, order.release, order.directive) == (id_, release, "go")
    assert list(order.meters) == sorted(f"{canary}-{n}" for n in range(1, 11))
    assert order.steps[StepKind.DOWNLOAD].rate == 125_000
    upgrade(office, id_, canary)
    rest = office.working(DCUS)
    assert sorted([canary, *rest]) == list(DCUS)
    for dcu in rest:
        office.say(dcu, id_, {D.VERIFIED: 10})
    for dcu in rest:
        office.say(dcu, id_, {D.CONFIRMED: 10})
    view = office.campaigns.get(id_)
    assert (view.run.state, view.run.cause) == (S.FINISHED, "campaign.done")
    assert (view.dcus, view.total, view.states) == (3, 30, {D.CONFIRMED: 30})
    assert [group.total for group in view.groups] == [10, 20]
    assert office.working(DCUS) == []
    log = [entry.what for entry in office.services.registry.audit(subject=f"campaign-{id_}").items]
    assert log[-1] == "campaign.drafted"
    assert log[0] == "campaign.state running to finished"
    assert "campaign.group canary: waiting to downloading" in log


@pytest.mark.fums("SM-10")
def test_who_wrote_it_does_not_approve_it_and_a_number_counts_once(
    office: Office, release: str
) -> None:
    id_ = office.drafted(release).id
    with pytest.raises(ConflictError, match="draft") as caught:
        office.act(id_, Act.APPROVE, "bob")
    assert caught.value.code == "campaign.transition"
    planned = office.act(id_, Act.PLAN)
    assert [group.total for group in planned.groups] == [10, 20]
    with pytest.raises(ConflictError) as caught:
        office.act(id_, Act.APPROVE, "ANN")
    assert caught.value.code == "campaign.four-eyes"
    office.campaigns.command(id_, Act.APPROVE, who="bob", number=2)
    office.campaigns.command(id_, Act.START, who="bob", number=3)
    with pytest.raises(ConflictError) as caught:
        office.campaigns.command(id_, Act.PAUSE, who="ann", number=3)
    assert caught.value.code == "campaign.number"
    assert state(office, id_) is S.RUNNING


def test_a_campaign_that_is_revised_is_planned_and_approved_anew(
    office: Office, release: str
) -> None:
    id_ = office.drafted(release).id
    office.act(id_, Act.PLAN)
    office.act(id_, Act.APPROVE, "bob")
    changed = campaign(release, name="Summer")
    view = office.campaigns.revise(id_, changed, who="bob", number=3)
    assert (view.run.state, view.campaign.name, view.total) == (S.DRAFT, "Summer", 0)
    assert view.run.approver is None
    office.act(id_, Act.PLAN)
    with pytest.raises(ConflictError):
        office.act(id_, Act.APPROVE, "bob")
    assert office.act(id_, Act.APPROVE, "cyd").total == 30
    with pytest.raises(ConflictError):
        office.campaigns.revise(id_, changed, who="bob", number=3)


def test_what_can_not_be_a_campaign_is_refused(office: Office, release: str) -> None:
    with pytest.raises(NotFoundError):
        office.drafted("meter-image/meter/9.9.9")
    with pytest.raises(NotFoundError):
        office.drafted("nonsense")
    with pytest.raises(ConflictError) as caught:
        office.drafted(release, kind=DeviceKind.DCU)
    assert caught.value.code == "campaign.kind"
    with pytest.raises(RequestError):
        office.drafted(release, zone="Mars/Olympus")
    with pytest.raises(NotFoundError):
        office.campaigns.get("none")
    with pytest.raises(NotFoundError):
        office.campaigns.command("none", Act.STOP, who="ann")


def test_a_campaign_for_nothing_is_not_planned(
    office: Office, release: str, stores: Stores, clock: ManualClock
) -> None:
    register(stores, dict.fromkeys(DCUS, 10), now=clock.now(), firmware="1.4.0")
    id_ = office.drafted(release).id
    with pytest.raises(ConflictError) as caught:
        office.act(id_, Act.PLAN)
    assert caught.value.code == "campaign.no-devices"
    found = office.campaigns.dry_run(campaign(release))
    assert [(one.code, one.devices) for one in found.excluded] == [("firmware.fit.same", 30)]


def test_a_dry_run_says_how_many_and_why_not(
    office: Office, release: str, stores: Stores, services: Services, clock: ManualClock
) -> None:
    register(stores, {"D": 4, "E": 2}, now=clock.now(), firmware="1.0.0")
    services.registry.move("dcu-E", LifecycleState.SUSPENDED, who="ann", why="stolen")
    register(stores, {"F": 5}, now=clock.now() - 30 * 86_400)
    found = office.campaigns.dry_run(campaign(release))
    assert (found.dcus, found.devices) == (3, 30)
    why = {one.code: one.devices for one in found.excluded}
    assert why == {
        "firmware.fit.prerequisite": 4, "campaign.shut-out": 2, "campaign.not-reporting": 5,
    }  # fmt: skip
    assert found.ends > office.wall.now()
    planned = office.drafted(release)
    office.act(planned.id, Act.PLAN)
    order = office.services.upgrades.fleet.store.sites(1)
    assert found.order == tuple(site for site, _ in order)
    assert [one.group for one in found.order] == [0, 1, 1]
    (last,) = office.campaigns.dry_run(campaign(release), after=2, limit=5).order
    assert last == found.order[2]


def test_a_canary_that_fails_pauses_the_campaign(office: Office, release: str) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    before = office.ask(canary).revision
    office.say(canary, id_, {D.VERIFIED: 9, D.FAILED: 1}, codes={"upgrade.verification": 1})
    view = office.campaigns.get(id_)
    assert (view.run.state, view.run.cause) == (S.PAUSED, ERRORS_REACHED)
    assert view.groups[0].codes == {"upgrade.verification": 1}
    told = office.ask(canary)
    assert told.orders[0].directive == "hold"
    assert told.revision != before
    office.round(10_000.0)
    assert office.working(DCUS) == [canary]
    office.act(id_, Act.RESUME)
    office.round()
    told = office.ask(canary)
    assert (told.orders[0].directive, set(told.orders[0].steps)) == ("go", {StepKind.ACTIVATE})


def test_a_campaign_that_is_stopped_has_no_orders_and_is_stopped_once(
    office: Office, release: str
) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    office.campaigns.command(id_, Act.STOP, who="ann")
    office.campaigns.command(id_, Act.STOP, who="ann")
    told = office.ask(canary)
    assert (told.orders, told.epoch) == ((), 0)
    # what was switching is followed to its end
    office.say(canary, id_, {D.CONFIRMED: 10})
    assert office.campaigns.get(id_).states[D.CONFIRMED] == 10
    assert state(office, id_) is S.STOPPED


def test_an_emergency_stops_all_and_raises_the_epoch_for_good(
    office: Office, release: str, context: Context, stores: Stores, wall: ManualClock
) -> None:
    first = office.started(release)
    second = office.started(release)
    draft = office.drafted(release).id
    idle = office.ask("C").revision
    assert office.campaigns.emergency(who="ann", why="smoke") == 2
    assert office.campaigns.epoch() == 1
    assert {state(office, first), state(office, second)} == {S.EMERGENCY}
    assert office.campaigns.get(first).run.cause == EMERGENCY
    assert state(office, draft) is S.DRAFT
    told = office.ask("C")
    assert (told.epoch, told.orders) == (1, ())
    assert told.revision != idle
    again = Office(build(context, stores), wall)
    assert again.ask("C").epoch == 1
    assert again.ask("C").revision == told.revision
    third = again.started(release)
    assert again.ask(again.working(DCUS)[0]).orders[0].epoch == 1
    assert state(again, third) is S.RUNNING
    with pytest.raises(RequestError):
        office.campaigns.emergency(who="ann", why="")


def test_a_release_that_is_withdrawn_stops_its_campaigns(
    office: Office, release: str, services: Services
) -> None:
    running, draft = office.started(release), office.drafted(release).id
    number = office.campaigns.get(running).number
    services.firmware.shelf.withdraw(number, who="ann", why="bad")
    assert office.campaigns.get(running).run.cause == WITHDRAWN
    assert state(office, draft) is S.STOPPED
    assert office.working(DCUS) == []
    again = office.drafted(release).id
    office.act(again, Act.PLAN)
    office.act(again, Act.APPROVE, "bob")
    with pytest.raises(ConflictError) as caught:
        office.act(again, Act.START)
    assert caught.value.code == "campaign.release"


def test_a_withdrawal_that_was_cut_off_stops_them_at_the_next_start(
    office: Office, release: str, context: Context, stores: Stores, wall: ManualClock
) -> None:
    id_ = office.started(release)
    services = build(context, stores)
    services.firmware.shelf._watchers.clear()  # the head-end dies between the two
    services.firmware.shelf.withdraw(office.campaigns.get(id_).number, who="ann", why="bad")
    again = Office(build(context, stores), wall)
    assert again.working(DCUS) == []
    assert again.campaigns.get(id_).run.cause == WITHDRAWN


def test_late_and_repeated_reports_change_nothing(office: Office, release: str) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    assert office.ask(canary, Said(id_, 5, {D.VERIFIED: 4}, {})).taken == {id_: 5}
    assert office.ask(canary, Said(id_, 5, {D.VERIFIED: 7}, {})).taken == {id_: 5}
    assert office.ask(canary, Said(id_, 4, {D.FAILED: 7}, {"upgrade": 7})).taken == {id_: 5}
    assert office.campaigns.get(id_).groups[0].states == {D.VERIFIED: 4, D.WAITING: 6}


def test_a_report_of_a_stranger_is_passed_over_and_counted(
    office: Office, release: str, services: Services, stores: Stores, clock: ManualClock
) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    register(stores, {"X": 1}, now=clock.now())
    assert office.ask("X", Said(id_, 1, {D.FAILED: 1}, {"upgrade": 1})).taken == {id_: 1}
    assert office.ask("X", Said("no-such", 7, {}, {})).taken == {"no-such": 7}
    # too many devices, no words for a failure, and one that was given nothing
    other = next(dcu for dcu in DCUS if dcu != canary)
    assert office.ask(canary, Said(id_, 1, {D.VERIFIED: 11}, {})).taken == {}
    assert office.ask(canary, Said(id_, 1, {D.FAILED: 1}, {})).taken == {}
    assert office.ask(other, Said(id_, 1, {D.CONFIRMED: 1}, {})).taken == {}
    assert office.campaigns.get(id_).states == {D.OFFERED: 10, D.WAITING: 20}
    told = services.metrics.exposition().decode()
    assert 'openami_campaign_reports_total{outcome="stranger"} 2.0' in told
    assert 'openami_campaign_reports_total{outcome="refused"} 3.0' in told
    assert 'openami_campaigns{state="running"} 1.0' in told


@pytest.mark.fums("UMS-3")
def test_marks_of_own_meters_make_timelines_and_of_others_are_passed_over(
    office: Office, release: str, services: Services
) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    other = next(dcu for dcu in DCUS if dcu != canary)
    mine, foreign = f"{canary}-1", f"{other}-1"
    marks = [
        SaidMark(mine, D.DOWNLOADED, 10.0, 1),
        SaidMark(mine, D.FAILED, 30.0, 1, "upgrade.verification", "no\nsignature" + 999 * "!"),
        SaidMark(mine, D.FAILED, 31.0, 1),  # says not why
        SaidMark(mine, D.VERIFIED, 31.0, 1, "upgrade"),  # says why not
        SaidMark(mine, D.OFFERED, 31.0, ATTEMPTS + 1),
        SaidMark(foreign, D.FAILED, 30.0, 1, "upgrade"),
    ]
    counts = {D.DOWNLOADED: 9, D.FAILED: 1}
    codes = {"upgrade.verification": 1}
    office.say(canary, id_, counts, codes=codes, marks=marks)
    office.say(canary, id_, counts, codes=codes, marks=marks)  # and again
    found = office.campaigns.timeline(id_, mine)
    assert [(mark.state, mark.at) for mark in found.marks] == [
        (D.DOWNLOADED, 10.0), (D.FAILED, 30.0),
    ]  # fmt: skip
    assert (found.device.state, found.device.code) == (D.FAILED, "upgrade.verification")
    assert found.device.why.cause == "the meter refused the image at its verification"
    reason = found.marks[-1].reason
    assert (reason[:13], len(reason)) == ("no signature!", 200)
    assert office.campaigns.timeline(id_, foreign).marks == ()
    text = services.metrics.exposition().decode()
    assert "openami_campaign_marks_refused_total 6.0" in text
    (one,) = office.campaigns.of_device(mine)
    assert (one.campaign, one.name, str(one.package)) == (id_, "Spring", release)
    assert office.campaigns.of_device("nobody") == []


def test_devices_are_listed_with_why(office: Office, release: str) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    mark = SaidMark(f"{canary}-3", D.VERIFIED, 10.0, 1)
    office.say(canary, id_, {D.OFFERED: 9, D.VERIFIED: 1}, marks=[mark])
    found, after = [], None
    while True:
        page = office.campaigns.devices(id_, after=after, limit=7)
        found += page.items
        if (after := page.next) is None:
            break
    assert len(found) == len({one.serial for one in found}) == 30
    waiting = next(one for one in found if one.dcu != canary)
    assert (waiting.group, waiting.why.code) == ("others", "campaign.group-waiting")
    under_way = next(one for one in found if one.dcu == canary)
    assert (under_way.state, under_way.why.code) == (D.OFFERED, "campaign.under-way")
    (verified,) = office.campaigns.devices(id_, state=D.VERIFIED).items
    assert (verified.serial, verified.since) == (f"{canary}-3", 10.0)
    assert len(office.campaigns.devices(id_, group="others").items) == 20
    assert len(office.campaigns.devices(id_, dcu=canary).items) == 10
    assert office.campaigns.devices(id_, dcu="nowhere").items == ()
    draft = office.drafted(release).id
    assert office.campaigns.devices(draft).items == ()
    office.act(draft, Act.PLAN)
    assert office.campaigns.devices(draft).items[0].why.code == "campaign.planned"


def test_who_is_left_out_is_told_why(
    office: Office, release: str, stores: Stores, clock: ManualClock
) -> None:
    register(stores, {"D": 1}, now=clock.now(), firmware="1.0.0")
    id_ = office.started(release)
    found = office.campaigns.timeline(id_, "D-1")
    assert (found.device.group, found.device.why.code) == (None, "firmware.fit.prerequisite")
    with pytest.raises(NotFoundError):
        office.campaigns.timeline(id_, "nobody")


def test_windows_and_budgets_say_why_nothing_happens(
    office: Office, release: str, wall: ManualClock
) -> None:
    minute = int(wall.now() // 60 % 1440)
    later = Window((minute + 60) % 1440, (minute + 120) % 1440)
    closed = office.started(release, download=Step(windows=(later,)))
    assert office.working(DCUS) == []
    codes = {one.why.code for one in office.campaigns.devices(closed).items}
    assert codes == {"campaign.window", "campaign.group-waiting"}
    office.campaigns.command(closed, Act.STOP, who="ann")
    tight = office.started(release, groups=(campaign(release).groups[1],), budget=Budget(jobs=1))
    (busy,) = office.working(DCUS)
    codes = {one.why.code for one in office.campaigns.devices(tight).items if one.dcu != busy}
    assert codes == {"campaign.budget.head-end"}


def test_a_dcu_that_fails_rests_and_is_given_up(office: Office, release: str) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    for attempt in (1, 2):
        step = office.ask(canary).orders[0].steps[StepKind.DOWNLOAD]
        assert step.attempt == attempt
        failed = StepFailed(StepKind.DOWNLOAD, attempt, "transport.tls")
        office.say(canary, id_, {D.OFFERED: 10}, failed=failed)
        found = office.campaigns.devices(id_, dcu=canary).items[0]
        if attempt == 1:
            assert found.why.code == "campaign.retry"
            assert office.ask(canary).orders[0].steps == {}
        else:
            assert (found.state, found.code) == (D.FAILED, "transport.tls")
        office.round(30.0)
    view = office.campaigns.get(id_)
    assert (view.run.state, view.groups[0].codes) == (S.PAUSED, {"transport.tls": 10})


def test_a_silent_dcu_is_tried_again_and_an_order_moves_its_end(
    office: Office, release: str
) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    first = office.ask(canary).orders[0].steps[StepKind.DOWNLOAD]
    assert (first.begin, first.until) == (office.wall.now(), office.wall.now() + 1_000.0)
    assert first.end == first.begin + 5_000.0
    office.round(900.0)
    office.say(canary, id_, {D.OFFERED: 10})
    second = office.ask(canary).orders[0].steps[StepKind.DOWNLOAD]
    assert (second.attempt, second.until) == (1, first.until + 900.0)
    office.round(1_001.0)
    assert office.ask(canary).orders[0].steps == {}
    assert office.campaigns.devices(id_, dcu=canary).items[0].why.code == "campaign.silent"
    office.round(100.0)
    assert office.ask(canary).orders[0].steps[StepKind.DOWNLOAD].attempt == 2


def test_meters_are_named_as_they_are_when_the_first_order_is_given(
    office: Office, release: str, stores: Stores, clock: ManualClock
) -> None:
    id_ = office.drafted(release).id
    office.act(id_, Act.PLAN)
    office.act(id_, Act.APPROVE, "bob")
    register(stores, dict.fromkeys(DCUS, 3), now=clock.now(), firmware="1.4.0")
    register(stores, {"A": 12}, now=clock.now())
    office.act(id_, Act.START)
    office.round()
    (canary,) = office.working(DCUS)
    named = office.ask(canary).orders[0].meters
    assert len(named) == (12 if canary == "A" else 7)
    assert office.campaigns.get(id_).groups[0].total == len(named)


def test_a_dynamic_campaign_takes_in_who_comes_late(
    office: Office, release: str, services: Services
) -> None:
    id_ = office.started(release, dynamic=True, until=office.wall.now() + 1e6)
    (canary,) = office.working(DCUS)
    before = office.ask(canary).revision

    def reported(dcu: str, *serials: str, firmware: str = "meter-1.3.0") -> None:
        meters = [
            Sighting(DeviceKind.METER, one, model="M", firmware=firmware, contact=Contact.OK)
            for one in serials
        ]
        services.reports.take(dcu, DcuFigures(services.clock.now()), meters)

    reported(canary, f"{canary}-1", "late-1", "late-2")
    reported(canary, "other", firmware="meter-1.4.0")
    told = office.ask(canary)
    assert {"late-1", "late-2"} < set(told.orders[0].meters)
    assert len(told.orders[0].meters) == 12
    assert told.revision != before
    assert office.campaigns.get(id_).groups[0].total == 12
    reported("N", "n-1", "n-2")  # a DCU that is new
    assert office.campaigns.get(id_).total == 34
    assert office.campaigns.get(id_).groups[1].dcus == 3
    # a meter that is upgraded stays in
    reported(canary, f"{canary}-1", firmware="meter-1.4.0")
    assert f"{canary}-1" in office.ask(canary).orders[0].meters
    # one that is assigned to another DCU goes, and is taken in there
    services.registry.assign("late-1", "N", who="ann", why="moved")
    assert "late-1" not in office.ask(canary).orders[0].meters
    assert office.campaigns.get(id_).groups[0].total == 11
    # and one that is retired goes for good
    services.registry.move("meter-late-2", LifecycleState.RETIRED, who="ann", why="scrapped")
    assert office.campaigns.get(id_).groups[0].total == 10


async def test_what_has_changed_is_told_on_the_bus(office: Office, release: str) -> None:
    with office.services.bus.subscribe(lambda _: True, topics={Topic.CAMPAIGN}) as news:
        id_ = office.started(release)
        event = await news.next(5.0)
        assert event is not None
        assert (event.topic, event.subject) == (Topic.CAMPAIGN, id_)
        office.round()
        assert await news.next(0.0) is None


def test_the_health_tells_of_campaigns(office: Office, release: str) -> None:
    office.started(release)
    office.drafted(release)
    checks = office.services.health.look().checks
    assert checks["campaigns"].detail == "1 draft, 1 running"


def test_a_dynamic_campaign_may_begin_with_nothing(
    office: Office, release: str, services: Services
) -> None:
    which = DeviceFilter(region="new")
    id_ = office.started(release, dynamic=True, until=office.wall.now() + 1e6, which=which)
    assert office.campaigns.get(id_).total == 0
    meter = Sighting(DeviceKind.METER, "N-1", model="M", firmware="meter-1.3.0")
    services.reports.take("N", DcuFigures(services.clock.now()), [meter])
    assert office.campaigns.get(id_).total == 0  # of another region
    services.registry.describe("meter-N-1", Description(region="new"), who="ann")
    services.reports.take("N", DcuFigures(services.clock.now()), [meter])
    assert office.campaigns.get(id_).total == 1
    again = office.campaigns.devices(id_).items
    assert [one.serial for one in again] == ["N-1"]


def test_only_operators_commands_are_commanded(office: Office, release: str) -> None:
    id_ = office.started(release)
    for act in (Act.FINISH, Act.WITHDRAW, Act.EMERGENCY, Act.REVISE):
        with pytest.raises(ConflictError) as caught:
            office.act(id_, act)
        assert caught.value.code == "campaign.malformed"


def test_a_withdrawal_that_could_not_be_told_stops_them_all_the_same(
    office: Office, release: str, services: Services
) -> None:
    id_ = office.started(release)
    services.firmware.shelf._watchers.clear()
    services.firmware.shelf.withdraw(office.campaigns.get(id_).number, who="ann", why="bad")
    office.round(30.0)
    assert state(office, id_) is S.RUNNING
    office.round(30.0)
    assert office.campaigns.get(id_).run.cause == WITHDRAWN


def test_what_happened_is_told_when_it_is_over(
    office: Office, release: str, context: Context, stores: Stores, wall: ManualClock
) -> None:
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    done = SaidMark(f"{canary}-1", D.CONFIRMED, 9.0, 1)
    office.say(canary, id_, {D.CONFIRMED: 1, D.OFFERED: 9}, marks=[done])
    office.campaigns.command(id_, Act.STOP, who="ann")
    again = Office(build(context, stores), wall)
    (one,) = again.campaigns.of_device(f"{canary}-1")
    assert (one.device.group, one.device.why.code) == ("canary", "campaign.confirmed")
    (other,) = again.campaigns.of_device(f"{canary}-2")
    assert (other.device.state, other.device.why.code) == (D.WAITING, "campaign.stopped")
    assert again.campaigns.of_device(next(dcu for dcu in DCUS if dcu != canary) + "-1") == []
    found = again.campaigns.devices(id_, dcu=canary).items
    assert [one.state for one in found].count(D.CONFIRMED) == 1


def test_operators_are_called_to_a_campaign_that_has_paused_by_itself(
    office: Office, release: str, services: Services, context: Context, stores: Stores
) -> None:
    def alarms() -> list[tuple[str, str]]:
        found = services.alarms.list(only_open=True).items
        return [(alarm.code, alarm.subject) for alarm in found]

    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    office.act(id_, Act.PAUSE)
    office.round()
    assert alarms() == []  # somebody is at it
    office.act(id_, Act.RESUME)
    office.round()
    office.say(canary, id_, {D.FAILED: 10}, codes={"upgrade.verification": 10})
    assert state(office, id_) is S.PAUSED
    assert alarms() == [("campaign.halted", f"campaign:{id_}")]
    office.round()
    again = Office(build(context, stores), office.wall)
    again.round()
    assert len(alarms()) == 1
    again.act(id_, Act.STOP)
    again.round()
    assert alarms() == []


def test_only_dcus_whose_orders_may_change_are_woken(office: Office, release: str) -> None:
    """Of a country, nobody can be woken each time that a group moves."""
    told: list[frozenset[str] | None] = []
    office.services.upgrades.fleet.on_change(told.append)
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    assert set(told) == {frozenset(), frozenset({canary})}
    told.clear()
    office.say(canary, id_, {D.VERIFIED: 10})  # the group moves on, and the DCU is to activate
    assert set(told) == {frozenset({canary})}
    told.clear()
    office.act(id_, Act.PAUSE)
    office.act(id_, Act.RESUME)
    assert told == [frozenset({canary})] * 2
    told.clear()
    office.campaigns.emergency(who="ann", why="now")
    assert told == [None]


def test_what_ended_long_ago_is_made_anew_for_nobody(
    office: Office, release: str, context: Context, stores: Stores, wall: ManualClock
) -> None:
    """It takes a country's rows: late reports are worth it, strangers and old ones are not."""
    id_ = office.started(release)
    (canary,) = office.working(DCUS)
    office.act(id_, Act.STOP)
    register(stores, {"Z": 1}, now=wall.now())
    for days, found in ((6, True), (2, False)):
        wall.advance(days * 86_400.0)
        fleet = build(context, stores).upgrades.fleet
        assert fleet.at_work(id_, dcu="Z") is None
        assert (fleet.at_work(id_, dcu=canary) is not None) is found


def test_what_was_not_done_in_one_window_goes_on_in_the_next(
    office: Office, release: str, wall: ManualClock
) -> None:
    day, hour = 86_400.0, 3_600.0
    night = (wall.now() // day + 1) * day + hour
    wall.set(night)
    retry = Retry(lease_s=3 * day, longest_s=3 * day)
    step = Step(windows=(Window(60, 120),))  # from one to two o'clock
    office.started(release, download=step, retry=retry)
    (canary,) = office.working(DCUS)
    ends = []
    for hours in (0.5, 12, 12):
        wall.advance(hours * hour)
        (order,) = office.ask(canary).orders
        ends.append(order.steps[StepKind.DOWNLOAD].end)
    assert ends == [night + hour, night + hour, night + day + hour]


def test_nobody_waits_for_a_plan(
    office: Office, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A country's registry takes a minute: an emergency stop does not wait for that."""
    store, id_ = office.services.upgrades.fleet.store, office.drafted(release).id
    census, waiting = store.census, list[bool]()

    def look(*args: Any, **named: Any) -> Any:
        dcu = threading.Thread(target=lambda: office.ask("A"), daemon=True)
        dcu.start()
        dcu.join(60)
        waiting.append(dcu.is_alive())
        return census(*args, **named)

    other = office.drafted(release).id
    monkeypatch.setattr(store, "census", look)
    assert office.act(id_, Act.PLAN).run.state is S.PLANNED
    assert waiting == [False]

    def revise(*args: Any, **named: Any) -> Any:
        office.campaigns.revise(other, campaign(release, name="Summer"), who="bob", number=1)
        return census(*args, **named)

    monkeypatch.setattr(store, "census", revise)
    with pytest.raises(ConflictError) as caught:
        office.act(other, Act.PLAN)
    assert caught.value.code == "campaign.number"
    assert state(office, other) is S.DRAFT


def test_a_draft_that_comes_again_leaves_what_is_at_work(office: Office, release: str) -> None:
    ticket = Ticket("k", "digest")
    id_ = office.campaigns.draft(campaign(release), who="ann", ticket=ticket).id
    for act, who in ((Act.PLAN, "ann"), (Act.APPROVE, "bob"), (Act.START, "ann")):
        office.act(id_, act, who)
    live = office.services.upgrades.fleet.live
    before = live[id_]
    again = office.campaigns.draft(campaign(release), who="ann", ticket=ticket)
    assert (again.id, again.run.state) == (id_, S.RUNNING)
    assert live[id_] is before


def test_a_page_of_devices_reads_those_of_some_dcus_at_most(
    office: Office, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "SCAN", 2)
    id_ = office.started(release)
    first = office.campaigns.devices(id_)
    assert [view.dcu for view in first.items] == ["A"] * 10 + ["B"] * 10
    rest, after = list[str](), first.next
    while after is not None:
        page = office.campaigns.devices(id_, after=after)
        rest, after = [*rest, *(view.dcu for view in page.items)], page.next
    assert rest == ["C"] * 10
    (canary,) = office.working(DCUS)

    def found(**which: Any) -> set[str]:
        return {view.dcu for view in office.campaigns.devices(id_, **which).items}

    assert found(group="canary") == found(state=D.OFFERED) == {canary}
    assert found(group="others", state=D.WAITING) == set(DCUS) - {canary}
    assert found(group="others", state=D.OFFERED) == found(group="none") == found(dcu="Z") == set()
    assert found(dcu=canary, group="others") == set()
