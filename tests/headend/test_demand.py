"""Demand response in the head-end: what time does, whom it wakes, what it alarms, what it costs."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.demand import PROGRAM, event, moved_out, street

from openami.core.errors import ConflictError, NotFoundError
from openami.dlms.cosem.said import Comparison
from openami.fleet.demand.machine import EventState
from openami.fleet.demand.model import EventKind, Notice, Target, TargetKind
from openami.fleet.demand.standing import Answer, What
from openami.fleet.demand.supply import Wanted
from openami.fleet.demand.told import AHEAD_S
from openami.fleet.desired import Group
from openami.fleet.devices import Device, DeviceKind, LifecycleState
from openami.fleet.ports import DeviceFilter, Page
from openami.headend.demand.displays import NOT_FORGOTTEN, PATIENCE_S
from openami.headend.demand.facade import build_demand
from openami.headend.demand.rounds import (
    GRACE_S,
    LOOKED_AT,
    REFRESH_EVERY,
    SLOW_EVERY,
    UNDELIVERED,
)
from openami.headend.demand.unreached import Why
from openami.headend.demand.uplink import Asked, Said, Told
from openami.headend.demand.views import Phase
from openami.headend.errors import RequestError

if TYPE_CHECKING:
    from openami.core.clock import ManualClock
    from openami.fleet.demand.model import Event, Targets
    from openami.fleet.demand.records import Reach
    from openami.headend.demand.facade import Demand
    from openami.headend.services import Context, Services, Stores


@pytest.fixture
def demand(services: Services, stores: Stores) -> Demand:
    """Return demand response with a program, and two DCUs of three and two meters."""
    street(stores.devices, "D1", 3, region="Seoul")
    street(stores.devices, "D2", 2, region="Busan")
    services.demand.events.add_program(PROGRAM, who="ann")
    return services.demand


def published(demand: Demand, one: Event, who: str = "ann") -> None:
    demand.events.draft(one, who=who)
    demand.events.publish(one.id, who=who)


def soon(clock: ManualClock, id_: str = "e1", *, ahead: int = 600, **more: Any) -> Event:
    return event(id_, start=int(clock.now()) + ahead, **more)


async def exchange(demand: Demand, dcu: str, *said: Said) -> Told:
    return await demand.uplink.exchange(Asked(dcu, said))


async def test_time_begins_and_completes_an_event(demand: Demand, clock: ManualClock) -> None:
    published(demand, soon(clock))
    before = demand.uplink.revision("D1")
    await demand.rounds.round()
    assert demand.events.get("e1").record.state is EventState.SCHEDULED
    clock.advance(600)
    await demand.rounds.round()
    assert demand.events.get("e1").record.state is EventState.ACTIVE
    assert demand.uplink.revision("D1") == before  # who has it knows when it begins
    clock.advance(3600)
    await demand.rounds.round()
    record = demand.events.get("e1").record
    assert (record.state, record.ended) == (EventState.COMPLETED, clock.now())
    assert demand.uplink.revision("D1") == 0
    assert await demand.rounds.forget() == 0


async def test_an_emergency_that_is_not_everywhere_alarms_until_it_is(
    services: Services, demand: Demand, clock: ManualClock
) -> None:
    only = (Target(TargetKind.REGION, frozenset({"Seoul"})),)
    published(demand, soon(clock, ahead=0, kind=EventKind.EMERGENCY, targets=only))
    clock.advance(GRACE_S)

    async def rounds() -> list[tuple[str, str]]:
        for _ in range(SLOW_EVERY):
            await demand.rounds.round()
        found = services.alarms.list(subject="event:e1", only_open=True).items
        return [(alarm.code, alarm.message) for alarm in found]

    said = Said(1, "D1-1", "e1", What.REFUSED, clock.now(), "dlms.denied", "no")
    await exchange(demand, "D1", said)
    words = "event e1: 3 of 3 meters do not have it, 1 of them refused it"
    assert await rounds() == [(UNDELIVERED, words)]
    both = [Said(n, f"D1-{n}", "e1", What.DELIVERED, clock.now()) for n in (1, 2, 3)]
    await exchange(demand, "D1", *both)
    assert await rounds() == []


async def test_an_emergency_that_is_cancelled_takes_its_alarm_along(
    services: Services, demand: Demand, clock: ManualClock
) -> None:
    for id_ in ("e1", "e2"):
        published(demand, soon(clock, id_, ahead=0, kind=EventKind.EMERGENCY))
    services.alarms.about("meter-D1-1", NOT_FORGOTTEN, "of another kind")
    clock.advance(GRACE_S)
    for _ in range(SLOW_EVERY):
        await demand.rounds.round()
    demand.events.cancel("e1", who="ann", why="it is over")
    for _ in range(REFRESH_EVERY - SLOW_EVERY):
        await demand.rounds.round()
    found = {one.subject for one in services.alarms.list(only_open=True).items}
    assert found == {"event:e2", "meter-D1-1"}


async def test_dcus_that_did_not_ask_are_notified_before_it_begins(
    demand: Demand, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(demand.rounds._store, "wake", lambda dcus, now: woken.extend(sorted(dcus)))
    published(demand, soon(clock, ahead=7200))
    await exchange(demand, "D1")
    await demand.rounds.round()
    assert woken == []
    clock.advance(7200 - 600)
    for _ in range(2):
        await demand.rounds.round()
    assert woken == ["D2"]


async def test_a_country_is_had_look_again_in_parts(
    demand: Demand, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, looked = demand.rounds, list[int]()
    monkeypatch.setattr(rounds, "_look", lambda dcus: looked.append(len(dcus)))
    monkeypatch.setattr(rounds, "_waiting", lambda: [f"D{n}" for n in range(2 * LOOKED_AT + 5)])
    demand.book.changed(None)
    for _ in range(4):
        await rounds.round()
    assert looked == [LOOKED_AT, LOOKED_AT, 5]
    demand.book.changed(frozenset({"D1", "D2"}))
    assert looked[3:] == [2]  # few are not kept waiting
    demand.book.changed(frozenset(f"D{n}" for n in range(LOOKED_AT + 1)))
    await rounds.round()
    await rounds.round()
    assert looked[4:] == [LOOKED_AT, 1]


async def test_a_revision_concerns_those_whom_it_concerns(
    demand: Demand, clock: ManualClock
) -> None:
    seoul = (Target(TargetKind.REGION, frozenset({"Seoul"})),)
    published(demand, soon(clock, targets=seoul))
    assert demand.uplink.revision("D1") != 0
    assert demand.uplink.revision("D2") == 0
    told = await exchange(demand, "D1")
    assert told.revision == demand.uplink.revision("D1")
    revised = soon(clock, targets=(Target(TargetKind.REGION, frozenset({"Busan"})),))
    demand.events.revise(revised, who="ann", why="wrong place")
    assert demand.uplink.revision("D1") == 0
    assert demand.uplink.revision("D2") not in {0, told.revision}
    (meter, _) = (await exchange(demand, "D2")).meters
    assert meter.events[0].event.version == 2


def test_who_looked_at_an_older_version_revises_nothing(demand: Demand, clock: ManualClock) -> None:
    published(demand, soon(clock))
    assert demand.events.revise(soon(clock, priority=3), who="ann", version=1).record.event.version
    with pytest.raises(ConflictError) as caught:
        demand.events.revise(soon(clock, priority=9), who="bob", version=1)
    assert caught.value.code == "demand.moved"
    record = demand.events.get("e1").record
    assert (record.event.priority, record.event.version) == (3, 2)
    demand.events.revise(soon(clock, priority=9), who="bob")
    assert demand.events.get("e1").record.event.version == 3


def test_of_two_who_revise_at_once_one_is_first(
    stores: Stores, demand: Demand, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of one version would be one to the meters: whoever has the first never gets the second."""
    published(demand, soon(clock))
    reach = stores.demand.reach

    def overtaken(targets: Targets) -> Reach:
        monkeypatch.undo()
        demand.events.revise(soon(clock, priority=3), who="ann")
        return reach(targets)

    monkeypatch.setattr(stores.demand, "reach", overtaken)
    with pytest.raises(ConflictError) as caught:
        demand.events.revise(soon(clock, priority=9), who="bob")
    assert caught.value.code == "demand.moved"
    record = demand.events.get("e1").record
    assert (record.event.priority, record.event.version) == (3, 2)
    assert demand.book.events()["e1"] == record


async def test_a_meter_that_moves_takes_its_events_along(
    services: Services, demand: Demand, clock: ManualClock
) -> None:
    one = (Target(TargetKind.METER, frozenset({"D1-1"})),)
    published(demand, soon(clock, targets=one))
    assert [meter.serial for meter in (await exchange(demand, "D1")).meters] == ["D1-1"]
    services.registry.assign("D1-1", "D2", who="ann", why="rewired")
    assert demand.uplink.revision("D1") == 0
    assert [meter.serial for meter in (await exchange(demand, "D2")).meters] == ["D1-1"]


async def test_groups_are_looked_at_again(
    stores: Stores, demand: Demand, clock: ManualClock
) -> None:
    group = Group("north", DeviceFilter(kind=DeviceKind.DCU, region="Seoul"))
    stores.trees.put_group(group, who="ann", now=1.0)
    published(demand, soon(clock, targets=(Target(TargetKind.GROUP, frozenset({"north"})),)))
    assert demand.uplink.revision("D2") == 0
    stores.devices.describe("dcu-D2", who="ann", when=2.0, region="Seoul")
    demand.book.refresh()
    assert demand.uplink.revision("D2") != 0
    assert len(demand.for_meter("D2-1")) == 1


async def test_all_of_it_is_there_after_a_restart(
    context: Context, stores: Stores, services: Services, demand: Demand, clock: ManualClock
) -> None:
    published(demand, soon(clock))
    now = int(clock.now())
    demand.events.send(Notice("n1", "bill", now, now + 60, {"en": "Ready"}), who="ann")
    order = demand.orders.make("D1-1", Wanted.CONNECTED, who="ann", why="moved in")
    before = demand.uplink.revision("D1")
    again = build_demand(
        context, stores, services.registry, services.ownership, services.jobs,
        alarms=services.alarms,
    )  # fmt: skip
    again.open(clock.now())
    assert again.uplink.revision("D1") == before
    assert again.book.waiting("D1-1") == order
    clock.advance(61)
    await again.rounds.round()
    assert again.notices_for("D1-1") == []
    assert again.uplink.revision("D1") != before


async def test_a_household_answers_in_the_portal(demand: Demand, clock: ManualClock) -> None:
    published(demand, soon(clock, random_s=60))
    forced = replace(soon(clock, "e2", kind=EventKind.EMERGENCY), optional=False)
    published(demand, forced)
    demand.events.draft(soon(clock, "e3"), who="ann")
    before = demand.uplink.revision("D1")
    news = demand.book.changes()
    seen = demand.answer("D1-1", "e1", Answer.ACKNOWLEDGED, who="customer:kim")
    assert seen.standing.acknowledged == clock.now()
    assert demand.book.changes() == news  # no DCU is woken for that
    found = demand.answer("D1-1", "e1", Answer.OPTED_OUT, who="customer:kim")
    assert (found.phase, found.standing.answer) == (Phase.UPCOMING, Answer.OPTED_OUT)
    assert found.standing.who == "customer:kim"
    assert demand.uplink.revision("D1") != before
    told = {one.serial: one for one in (await exchange(demand, "D1")).meters}
    assert {one.event.id: one.opted_out for one in told["D1-1"].events} == {
        "e1": True, "e2": False,
    }  # fmt: skip
    for id_, code in (("e2", "demand.not-optional"), ("e3", "demand.not-yours")):
        with pytest.raises(ConflictError) as caught:
            demand.answer("D1-1", id_, Answer.OPTED_OUT, who="kim")
        assert caught.value.code == code
    demand.events.cancel("e1", who="ann", why="rain")
    with pytest.raises(ConflictError) as caught:
        demand.answer("D1-1", "e1", Answer.ACCEPTED, who="kim")
    assert caught.value.code == "demand.over"
    with pytest.raises(NotFoundError):
        demand.answer("D1-1", "e9", Answer.ACCEPTED, who="kim")
    phases = {one.event.id: one.phase for one in demand.for_meter("D1-1")}
    assert phases == {"e1": Phase.CANCELLED, "e2": Phase.UPCOMING}


async def test_who_opted_out_takes_part_again_where_an_event_is_made_binding(
    demand: Demand, clock: ManualClock
) -> None:
    published(demand, soon(clock))
    demand.answer("D1-1", "e1", Answer.OPTED_OUT, who="customer:kim")
    demand.events.revise(soon(clock, optional=False), who="ann", why="the plant is out")
    told = {one.serial: one for one in (await exchange(demand, "D1")).meters}
    assert [one.opted_out for one in told["D1-1"].events] == [False]


def test_an_order_takes_a_dcu_a_reason_and_a_time(demand: Demand, clock: ManualClock) -> None:
    orders = demand.orders
    with pytest.raises(RequestError):
        orders.make("D1-1", Wanted.CONNECTED, who="ann", why=" ")
    with pytest.raises(RequestError):
        orders.make("D1-1", Wanted.CONNECTED, who="ann", why="x", within=8 * 86_400)
    order = orders.make("D1-1", Wanted.CONNECTED, who="ann", why="x", within=60)
    orders.reported("D1-1", "D1", "other", code="connected", reason="")
    assert demand.book.waiting("D1-1") == order
    clock.advance(60)
    orders.pass_time()
    orders.reported("D1-1", "D1", order.id, code="connected", reason="")  # too late
    assert [one.state.value for one in orders.of_meter("D1-1")] == ["expired"]


async def test_a_clock_that_is_ahead_lets_later_answers_count(
    demand: Demand, clock: ManualClock
) -> None:
    published(demand, soon(clock))
    await exchange(demand, "D1", Said(1, "D1-1", "e1", What.OPTED_OUT, clock.now() + 1e9))
    clock.advance(1)
    found = demand.answer("D1-1", "e1", Answer.ACCEPTED, who="kim")
    assert found.standing.answer is Answer.ACCEPTED


async def test_displays_that_a_meter_does_not_forget_are_an_alarm_until_they_are(
    services: Services, stores: Stores, demand: Demand, clock: ManualClock
) -> None:
    moved_out(stores.customers, clock.now(), "D1-1", "D1-2")
    demand.displays.pass_time()
    told = {one.serial: one.forget for one in (await exchange(demand, "D1")).meters}
    order = (told["D1-1"] or {})["order"]
    refused = Said(1, "D1-1", order, What.DISPLAYS, clock.now(), "dlms.denied", "locked\n")
    await exchange(demand, "D1", refused, replace(refused, number=2, meter="D1-2"))
    (alarm,) = services.alarms.list(only_open=True).items
    assert (alarm.subject, alarm.code) == ("meter-D1-1", NOT_FORGOTTEN)
    assert alarm.message.endswith("the meter refuses it, locked (dlms.denied)")
    (waits,) = demand.displays.waiting(meter="D1-1").items
    assert (waits.id, waits.code, waits.refused) == (order, "dlms.denied", clock.now())
    again = {one.serial: one.forget for one in (await exchange(demand, "D1")).meters}
    assert again == told, "what was refused is ordered on"
    done = Said(3, "D1-1", order, What.DISPLAYS, clock.now(), "no-displays")
    await exchange(demand, "D1", done)
    assert services.alarms.list(only_open=True).items == ()
    assert demand.displays.waiting(meter="D1-1").items == ()
    assert [one.serial for one in (await exchange(demand, "D1")).meters] == ["D1-2"]


async def test_an_order_that_nobody_can_carry_is_an_alarm_after_a_day_and_a_person_ends_it(
    services: Services, stores: Stores, demand: Demand, clock: ManualClock
) -> None:
    device = Device(DeviceKind.METER, "M1")  # behind no DCU
    stores.devices.add(device, who="test", when=1.0)
    moved_out(stores.customers, clock.now(), "M1", "D1-1")

    async def alarms() -> dict[str, str]:
        for _ in range(REFRESH_EVERY):
            await demand.rounds.round()
        found = services.alarms.list(only_open=True).items
        return {one.subject: one.message.partition(": ")[2] for one in found}

    assert await alarms() == {}
    clock.advance(PATIENCE_S)
    assert await alarms() == {
        "meter-M1": "no DCU looks after the meter",
        "meter-D1-1": "nothing was heard of it through D1",
    }
    order = demand.displays.waiting().items[0]
    assert order.meter == "M1"
    with pytest.raises(RequestError):
        demand.displays.done("M1", who="ann", why=" ")
    with pytest.raises(NotFoundError):
        demand.displays.done("D1-2", who="ann", why="by hand")
    assert demand.displays.done("M1", who="ann", why="by hand, at the door") == order
    assert (await alarms()).keys() == {"meter-D1-1"}
    said = [(entry.who, entry.why) for entry in stores.audit.list(subject="meter-M1").items]
    assert ("ann", "by hand, at the door") in said


async def test_a_meter_that_is_retired_takes_its_alarm_along(
    services: Services, stores: Stores, demand: Demand, clock: ManualClock
) -> None:
    moved_out(stores.customers, clock.now(), "D1-1")
    clock.advance(PATIENCE_S)
    demand.displays.alarm()
    assert [one.code for one in services.alarms.list(only_open=True).items] == [NOT_FORGOTTEN]
    services.registry.move("meter-D1-1", LifecycleState.RETIRED, who="ann", why="scrapped")
    demand.displays.alarm()
    assert services.alarms.list(only_open=True).items == ()


async def test_an_order_that_is_done_while_it_is_looked_at_leaves_no_alarm(
    services: Services,
    stores: Stores,
    demand: Demand,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved_out(stores.customers, clock.now(), "D1-1")
    clock.advance(PATIENCE_S)
    orders = stores.demand.display_orders
    ends: list[threading.Thread] = []

    def looked(*what: Any, **how: Any) -> Any:
        monkeypatch.undo()
        (order,) = found = orders(*what, **how).items
        done = partial(demand.displays.reported, "D1-1", "D1", order.id, code=None)
        ends.append(threading.Thread(target=done))
        ends[0].start()
        ends[0].join(0.2)  # it has to wait
        return Page(found)

    monkeypatch.setattr(stores.demand, "display_orders", looked)
    demand.displays.alarm()
    ends[0].join(30)
    assert demand.displays.waiting().items == ()
    assert services.alarms.list(only_open=True).items == ()


async def test_a_meter_that_gets_a_dcu_is_told_to_forget_what_was_ordered_before(
    services: Services, stores: Stores, demand: Demand, clock: ManualClock
) -> None:
    stores.devices.add(Device(DeviceKind.METER, "M1"), who="test", when=1.0)
    moved_out(stores.customers, clock.now(), "M1")
    demand.displays.pass_time()
    assert demand.uplink.revision("D2") == 0
    services.registry.assign("M1", "D2", who="ann", why="wired")
    assert demand.uplink.revision("D2") != 0
    (meter,) = (await exchange(demand, "D2")).meters
    assert (meter.serial, meter.forget) == (
        "M1", {"order": demand.displays.waiting().items[0].id},
    )  # fmt: skip


async def test_a_comparison_that_changes_is_news_to_the_dcus_of_its_meters(
    services: Services, demand: Demand
) -> None:
    figures = {"D1-1": Comparison(0, 60, 12, 84_000, 51_000, 90_000)}

    class Neighbours:
        def of(self, serial: str) -> Comparison | None:
            return figures.get(serial)

    demand.book.similar = Neighbours()
    compared = services.similar.on_change
    assert compared is not None
    compared(None)
    first, other = demand.uplink.revision("D1"), demand.uplink.revision("D2")
    assert (first == 0, other) == (False, 0)
    assert (await exchange(demand, "D1")).revision == first
    figures["D1-1"] = replace(figures["D1-1"], own_wh=None)  # somebody has moved in
    assert demand.uplink.revision("D1") == first, "remembered until somebody says so"
    compared(frozenset({"D1-1", "D9-9"}))
    assert demand.uplink.revision("D1") not in {0, first}
    figures["D2-1"] = figures["D1-1"]
    compared(frozenset({"D1-1"}))
    assert demand.uplink.revision("D2") == 0, "nobody said so of this one"


async def test_the_end_of_an_order_is_told_once(
    services: Services, demand: Demand, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, told = demand.orders, list[Any]()
    order = orders.make("D1-1", Wanted.CONNECTED, who="ann", why="x", within=60)
    monkeypatch.setattr(services.bus, "publish", lambda news: told.append(news.data["state"]))
    late = demand.book.orders_over(clock.now() + 60)
    assert late == [order]
    orders.reported("D1-1", "D1", order.id, code="connected", reason="")
    monkeypatch.setattr(demand.book, "orders_over", lambda now: late)  # looked at before that
    clock.advance(60)
    orders.pass_time()
    assert told == ["done"]
    assert [one.state.value for one in orders.of_meter("D1-1")] == ["done"]


async def test_an_event_far_ahead_is_on_its_way_to_nobody_yet(
    demand: Demand, clock: ManualClock
) -> None:
    published(demand, soon(clock, ahead=AHEAD_S))
    assert (await exchange(demand, "D1")).meters == ()
    assert {one.why for one in demand.events.unreached("e1").items} == {Why.EARLY}
    clock.advance(1)
    await exchange(demand, "D1")
    found = {one.meter: one.why for one in demand.events.unreached("e1").items}
    assert (found["D1-1"], found["D2-1"]) == (Why.NOT_TOLD, Why.NOT_ASKED)
