"""Demand response, on every backend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.demand import PROGRAM, START, event, street

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.customers import Customer
from openami.fleet.demand.machine import LIVE, EventState
from openami.fleet.demand.model import Notice, Target, TargetKind
from openami.fleet.demand.records import DisplayOrder, MeterNews
from openami.fleet.demand.standing import Answer, Counts, News, Standing, What
from openami.fleet.demand.supply import OrderState, SupplyOrder, Wanted
from openami.fleet.desired import Group
from openami.fleet.devices import AuditEntry, Device, DeviceKind, LifecycleState, MeterProtocol
from openami.fleet.ports import DeviceFilter

if TYPE_CHECKING:
    from openami.fleet.demand.records import EventRecord, MeterStanding
    from openami.store.relational import RelationalStore

ENTRY = AuditEntry("ann", 1.0, "demand", "event:e1")
ORDER = SupplyOrder("o1", "M1", Wanted.CONNECTED, "ann", "moved in", 5.0, 100.0)


def drafted(store: RelationalStore, id_: str = "e1") -> EventRecord:
    if not store.demand.programs().items:
        store.demand.add_program(PROGRAM, ENTRY)
    return store.demand.add(event(id_), who="ann", created=3.0, entry=ENTRY)


def test_programs_come_back_by_name(store: RelationalStore) -> None:
    more = replace(
        PROGRAM,
        id="p0",
        name="autumn",
        binding=True,
        targets=(Target(TargetKind.REGION, frozenset({"Seoul"})),),
    )
    for program in (PROGRAM, more):
        store.demand.add_program(program, ENTRY)
    first = store.demand.programs(limit=1)
    assert first.items == (more,)
    assert store.demand.programs(after=first.next).items == (PROGRAM,)
    assert store.demand.program("p0") == more
    with pytest.raises(ConflictError, match="already"):
        store.demand.add_program(replace(PROGRAM, id="p9"), ENTRY)
    with pytest.raises(NotFoundError):
        store.demand.program("p9")
    assert len(store.audit.list().items) == 2


def test_an_event_moves_from_the_state_that_it_was_in(store: RelationalStore) -> None:
    made = drafted(store)
    assert (made.state, made.event, made.meters) == (EventState.DRAFT, event(), 0)
    live = replace(made, state=EventState.SCHEDULED, published=4.0, meters=7)
    store.demand.move(live, made, [ENTRY])
    assert store.demand.get("e1") == live
    assert store.demand.in_states(LIVE) == [live]
    with pytest.raises(ConflictError, match="first"):
        store.demand.move(live, made, [ENTRY])
    revised = replace(live, event=replace(live.event, version=2, priority=3))
    store.demand.move(revised, live, [ENTRY])
    for other in (replace(live, event=replace(live.event, version=2)), live):  # read before that
        with pytest.raises(ConflictError, match="first"):
            store.demand.move(other, live, [ENTRY])
    assert store.demand.get("e1") == revised
    live = revised
    second = drafted(store, "e2")
    assert store.demand.list(state=EventState.DRAFT).items == (second,)
    page = store.demand.list(limit=1)
    assert page.items == (second,)
    assert store.demand.list(after=page.next, program="p1").items == (live,)
    assert set(store.demand.named(["e1", "e7"])) == {"e1"}
    with pytest.raises(NotFoundError):
        store.demand.get("e7")


def test_targets_are_found_in_the_registry(store: RelationalStore) -> None:
    street(store.devices, "D1", 3, region="Seoul")
    street(store.devices, "D2", 2, region="Busan", own="Seoul")
    street(store.devices, "D3", 1)
    store.devices.move("meter-D1-3", LifecycleState.RETIRED, who="ann", when=2.0, why="old")
    group = Group("south", DeviceFilter(kind=DeviceKind.DCU, region="Busan"))
    store.trees.put_group(group, who="ann", now=1.0)
    reach = store.demand.reach

    def of(kind: TargetKind, *names: str) -> Target:
        return Target(kind, frozenset(names))

    assert reach(()).meters == 5
    assert reach(()).dcus is None
    seoul = reach((of(TargetKind.REGION, "Seoul"),))
    assert (seoul.meters, seoul.dcus) == (4, frozenset({"D1", "D2"}))
    south = reach((of(TargetKind.GROUP, "south"), of(TargetKind.METER, "D3-1", "D9-9")))
    assert (south.meters, south.dcus) == (3, frozenset({"D2", "D3"}))
    assert reach((of(TargetKind.GROUP, "north"),)).meters == 0
    assert store.demand.of_group("south") == {"D2"}
    assert store.demand.of_group("north") == frozenset()
    assert sorted(store.demand.behind("D1")) == [("D1-1", "Seoul"), ("D1-2", "Seoul")]
    assert sorted(store.demand.behind("D2")) == [("D2-1", "Seoul"), ("D2-2", "Seoul")]
    assert store.demand.dcus() == {"D1", "D2", "D3"}
    assert store.demand.wake(["D1"], 5.0) == 0  # it has no account


def test_a_meter_with_a_region_of_its_own_is_not_in_that_of_its_dcu(
    store: RelationalStore,
) -> None:
    street(store.devices, "D1", 2, region="Seoul", own="Busan")
    street(store.devices, "D2", 1, region="Seoul")
    for region, meters, dcus in (("Seoul", 1, {"D2"}), ("Busan", 2, {"D1"})):
        reach = store.demand.reach((Target(TargetKind.REGION, frozenset({region})),))
        assert (reach.meters, reach.dcus) == (meters, frozenset(dcus))
    assert dict(store.demand.behind("D1")) == {"D1-1": "Busan", "D1-2": "Busan"}


def test_news_of_a_meter_are_kept_once(store: RelationalStore) -> None:
    key, other = drafted(store).key, drafted(store, "e2").key
    news = [
        MeterNews(key, "M1", News(What.DELIVERED, 10.0)),
        MeterNews(key, "M2", News(What.REFUSED, 11.0, "response.none", "no such object")),
        MeterNews(key, "M1", News(What.OPTED_OUT, 12.0)),
        MeterNews(other, "M1", News(What.LIMITED, 13.0)),
    ]
    assert len(store.demand.take(news)) == 3
    assert store.demand.take(news) == []
    assert store.demand.take([MeterNews(key, "M1", News(What.ACCEPTED, 14.0, who="kim"))])
    first = Standing(
        delivered=10.0, acknowledged=12.0, answer=Answer.ACCEPTED, answered=14.0, who="kim"
    )
    refused = Standing(refused=11.0, code="response.none", reason="no such object")
    found = store.demand.standings([key], ["M1", "M2", "M3"])
    assert found == {(key, "M1"): first, (key, "M2"): refused}
    assert store.demand.opted_out([key, other], ["M1", "M2"]) == set()
    store.demand.take([MeterNews(other, "M2", News(What.OPTED_OUT, 14.0))])
    assert store.demand.opted_out([key, other], ["M1", "M2"]) == {(other, "M2")}
    page = store.demand.page(key, limit=1)
    assert [one.meter for one in page.items] == ["M1"]
    assert [one.standing for one in store.demand.page(key, after=page.next).items] == [refused]
    assert store.demand.counts(key) == Counts(delivered=1, acknowledged=1, accepted=1, refused=1)
    assert [(r.event.id, s) for r, s in store.demand.history("M1")] == [
        ("e2", Standing(limited=13.0)), ("e1", first),
    ]  # fmt: skip


def test_how_old_events_stood_is_forgotten_in_parts(store: RelationalStore) -> None:
    old, new = drafted(store), drafted(store, "e2")
    store.demand.take([MeterNews(old.key, f"M{n}", News(What.DELIVERED, 1.0)) for n in range(3)])
    store.demand.take([MeterNews(new.key, "M1", News(What.DELIVERED, 1.0))])
    over = replace(old, state=EventState.CANCELLED, ended=50.0)
    store.demand.move(over, old, [])
    assert store.demand.forget(before=50.0, limit=2) == 0
    assert [store.demand.forget(before=51.0, limit=2) for _ in range(3)] == [2, 1, 0]
    assert store.demand.counts(new.key).delivered == 1


def test_notices_are_shown_until_they_are_over_or_taken_back(store: RelationalStore) -> None:
    targets = (Target(TargetKind.METER, frozenset({"M1"})),)
    one = Notice("n1", "outage", START, START + 60, {"en": "No water, sorry: power"}, targets)
    two = replace(one, id="n2", kind="message", until=START + 600, targets=())
    for notice in (one, two):
        assert store.demand.add_notice(notice, ENTRY).notice == notice
    assert [each.notice for each in store.demand.shown(START + 59)] == [one, two]
    assert [each.notice for each in store.demand.shown(START + 60)] == [two]
    page = store.demand.notices(limit=1)
    assert [each.notice for each in page.items] == [two]
    assert [each.notice for each in store.demand.notices(after=page.next).items] == [one]
    assert store.demand.withdraw("n2", ENTRY).withdrawn
    assert store.demand.shown(START) == [store.demand.notices(after=page.next).items[0]]
    with pytest.raises(ConflictError, match="before"):
        store.demand.withdraw("n2", ENTRY)
    with pytest.raises(NotFoundError):
        store.demand.withdraw("n3", ENTRY)


def test_an_order_waits_once_and_ends_once(store: RelationalStore) -> None:
    store.demand.add_order(ORDER, ENTRY)
    with pytest.raises(ConflictError, match="waits already"):
        store.demand.add_order(replace(ORDER, id="o2"), ENTRY)
    assert store.demand.waiting_orders() == [ORDER] == store.demand.orders("M1")
    done = ORDER.reported("connected", "", 9.0)
    assert store.demand.end_orders([(done, ENTRY)]) == [done]
    assert store.demand.end_orders([(ORDER.expired(200.0), ENTRY)]) == []
    assert store.demand.order("o1") == done
    assert done.state is OrderState.DONE
    store.demand.add_order(replace(ORDER, id="o2"), ENTRY)
    assert [one.id for one in store.demand.orders("M1")] == ["o2", "o1"]
    assert len(store.audit.list().items) == 3
    with pytest.raises(NotFoundError):
        store.demand.order("o3")


def test_who_was_asked_is_listed_also_where_nothing_was_said(store: RelationalStore) -> None:
    street(store.devices, "D1", 3, region="Seoul")
    street(store.devices, "D2", 1, region="Busan")
    store.demand.add_program(PROGRAM, ENTRY)
    asked = event(targets=(Target(TargetKind.REGION, frozenset({"Seoul"})),))
    made = store.demand.add(asked, who="ann", created=3.0, entry=ENTRY)
    said = [MeterNews(made.key, meter, News(What.DELIVERED, 5.0)) for meter in ("D1-2", "D2-1")]
    store.demand.take(said)
    found: list[MeterStanding] = []
    after = None
    while True:
        page = store.demand.asked(made, after=after, limit=2)
        found += page.items
        if (after := page.next) is None:
            break
    assert [(one.meter, one.standing.reached) for one in found] == [
        ("D1-1", False), ("D1-2", True), ("D1-3", False), ("D2-1", True),
    ]  # fmt: skip


def test_displays_are_to_be_forgotten_from_the_end_of_a_tenancy_until_it_is_done(
    store: RelationalStore,
) -> None:
    street(store.devices, "D1", 2)
    for serial, protocol in (("M1", MeterProtocol.DLMS), ("C1", MeterProtocol.C1222)):
        device = Device(DeviceKind.METER, serial, protocol=protocol)  # behind no DCU
        store.devices.add(device, who="test", when=1.0)
    store.customers.add(Customer("kim@example.org", "kr-residential-low"), who="ann")
    for meter in ("D1-1", "D1-2", "M1", "C1"):
        for start, end in ((0.0, 3600.0), (3600.0, 7200.0)):
            theirs = store.customers.assign(
                "kim@example.org", meter, starts=start, who="ann", when=1.0
            )
            assert store.demand.to_forget(start) == store.demand.to_forget(end - 1)
            store.customers.end(theirs.id, ends=end, who="ann", when=1.0)
    assert store.demand.to_forget(3599.0) == {}
    first, last = store.demand.to_forget(3600.0), store.demand.to_forget(7200.0)
    assert first.keys() == last.keys() == {"D1-1", "D1-2", "M1"}, "C12.22 pairs no displays"
    assert first["D1-1"] != last["D1-1"]
    assert not store.demand.forgotten("D1-2", first["D1-1"], ENTRY)
    assert store.demand.forgotten("D1-1", first["D1-1"], ENTRY)
    assert store.demand.to_forget(7200.0) == last
    assert store.demand.forgotten("D1-2", last["D1-2"], ENTRY)
    assert not store.demand.forgotten("D1-2", last["D1-2"], ENTRY)
    assert store.demand.to_forget(1e9) == {"D1-1": last["D1-1"], "M1": last["M1"]}


def test_orders_that_are_not_done_say_why_page_by_page(store: RelationalStore) -> None:
    street(store.devices, "D1", 3)
    store.devices.add(Device(DeviceKind.METER, "M1"), who="test", when=1.0)
    store.customers.add(Customer("kim@example.org", "kr-residential-low"), who="ann")
    for meter, end in (("D1-2", 50.0), ("M1", 40.0), ("D1-1", 50.0), ("D1-3", 90.0)):
        theirs = store.customers.assign("kim@example.org", meter, starts=0.0, who="ann", when=1.0)
        store.customers.end(theirs.id, ends=end, who="ann", when=1.0)
    found: list[DisplayOrder] = []
    after = None
    while True:
        page = store.demand.display_orders(89.0, after=after, limit=1)
        found += page.items
        if (after := page.next) is None:
            break
    assert [(one.meter, one.due, one.dcu) for one in found] == [
        ("M1", 40.0, None), ("D1-2", 50.0, "D1"), ("D1-1", 50.0, "D1"),
    ]  # fmt: skip
    order = found[1]
    assert not store.demand.not_forgotten("D1-1", order.id, 60.0, "dlms.denied", "no")
    assert store.demand.not_forgotten("D1-2", order.id, 60.0, "dlms.denied", "no")
    assert store.demand.display_orders(89.0, meter="D1-2").items == (
        replace(order, refused=60.0, code="dlms.denied", reason="no"),
    )
    assert store.demand.display_orders(49.0, meter="D1-2").items == ()
    store.devices.move("meter-M1", LifecycleState.RETIRED, who="ann", when=2.0, why="scrapped")
    assert store.demand.display_orders(49.0).items == ()
