"""What DCUs and head-end say of demand response, over real mutual TLS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.support.demand import PROGRAM, START, event, street

from openami.core.clock import isoformat
from openami.dcu.demand.orders import Instructions, meter_orders
from openami.dlms.cosem.said import Comparison
from openami.fleet.demand.model import EventKind, Notice, Target, TargetKind
from openami.fleet.demand.supply import OrderState, Wanted
from openami.headend.customers import Details

if TYPE_CHECKING:
    import httpx

    from openami.core.clock import ManualClock
    from openami.headend.server import Running

DEMAND = "/device/v1/demand"


@pytest.fixture
def meters(running: Running, dcu: httpx.AsyncClient) -> list[str]:
    """Return the meters of D1, which has a certificate already."""
    del dcu
    devices: Any = running.services.registry._devices
    return street(devices, "D1", 3, region="Seoul")


def start(running: Running) -> int:
    return int(running.services.clock.now()) + 600


def publish(running: Running, id_: str = "e1", **changes: Any) -> None:
    events = running.services.demand.events
    if not events.programs().items:
        events.add_program(PROGRAM, who="ann")
    events.draft(event(id_, start=start(running), **changes), who="ann")
    events.publish(id_, who="ann")


async def told(dcu: httpx.AsyncClient, *reports: dict[str, Any]) -> Any:
    answer = await dcu.post(DEMAND, json={"revision": None, "reports": list(reports)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(running: Running, number: int, what: str, **more: Any) -> dict[str, Any]:
    at = isoformat(running.services.clock.now())
    return {"number": number, "meter": "D1-1", "event": "e1", "what": what, "at": at, **more}


async def test_an_event_reaches_the_dcu_that_waits(
    running: Running, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    nothing = await told(dcu)
    assert nothing == {"revision": 0, "taken": 0, "meters": {}}
    poll = asyncio.create_task(
        dcu.get("/device/v1/work", params={"wait": "20", "demand": str(nothing["revision"])})
    )
    await asyncio.to_thread(publish, running)
    revision = (await poll).json()["demand"]
    answer = await told(dcu)
    assert answer["revision"] == revision != 0
    assert sorted(answer["meters"]) == meters
    begin = start(running)
    assert answer["meters"]["D1-1"] == {
        "events": [{
            "id": "e1", "version": 1, "program": "summer", "kind": "shed", "priority": 100,
            "optional": True, "currency": "KRW", "opted_out": False,
            "texts": {"en": "Please use less", "ko": "사용을 줄여 주세요"},
            "intervals": [
                {"id": id_, "start": isoformat(begin + 1800 * id_), "duration_s": 1800,
                 "payloads": [{"type": "SIMPLE", "value": "2"}]}
                for id_ in (0, 1)
            ],
        }],
        "notices": [], "comparison": None, "supply": None, "forget": None,
    }  # fmt: skip
    # who knows the revision waits; who knows another is answered at once
    work = await dcu.get("/device/v1/work", params={"wait": "20", "demand": "1"})
    assert work.json()["demand"] == revision
    bad = await dcu.get("/device/v1/work", params={"demand": "x"})
    assert bad.json()["error"]["code"] == "request.demand"


async def test_what_a_dcu_reports_is_kept_and_a_repeat_changes_nothing(
    running: Running, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    await asyncio.to_thread(publish, running)
    reports = [
        said(running, 4, "delivered"),
        said(running, 5, "opted-out"),
        said(running, 6, "delivered", meter="D9-9"),
        said(running, 7, "delivered", event="e9"),
        said(running, 8, "refused", meter="D1-2", code="response.none", reason="no\nsuch", more=1),
    ]
    before = await told(dcu)
    answer = await told(dcu, *reports)
    assert answer["taken"] == 8
    assert answer["revision"] != before["revision"]
    assert answer["meters"]["D1-1"]["events"][0]["opted_out"]
    assert (await told(dcu, *reports))["revision"] == answer["revision"]
    events = running.services.demand.events
    found = {one.meter: one.standing for one in events.standings("e1").items}
    assert found["D1-1"].opted_out
    assert (found["D1-2"].code, found["D1-2"].reason) == ("response.none", "no such")
    assert set(found) == {"D1-1", "D1-2"}
    counts = events.get("e1").counts
    assert (counts.meters, counts.delivered, counts.opted_out, counts.refused) == (3, 1, 1, 1)


async def test_an_event_that_is_cancelled_is_in_the_answer_no_more(
    running: Running, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    one = (Target(TargetKind.METER, frozenset({"D1-2"})),)
    await asyncio.to_thread(publish, running, kind=EventKind.EMERGENCY, targets=one)
    answer = await told(dcu)
    assert list(answer["meters"]) == ["D1-2"]
    poll = asyncio.create_task(
        dcu.get("/device/v1/work", params={"wait": "20", "demand": str(answer["revision"])})
    )
    events = running.services.demand.events
    await asyncio.to_thread(events.cancel, "e1", who="ann", why="false alarm")
    assert (await poll).json()["demand"] == 0
    assert (await told(dcu))["meters"] == {}


async def test_an_order_to_a_supply_goes_down_and_ends_once(
    running: Running, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    orders, audit = running.services.demand.orders, running.services.registry.audit
    order = orders.make("D1-1", Wanted.DISCONNECTED, who="ann", why="moved out")
    supply = (await told(dcu))["meters"]["D1-1"]["supply"]
    assert supply == {
        "order": order.id, "wanted": "disconnected", "until": isoformat(order.until),
    }  # fmt: skip
    found = said(running, 1, "supply", event=order.id, code="disconnected")
    for _ in range(2):
        assert (await told(dcu, found))["meters"] == {}
    assert orders.get(order.id).state is OrderState.DONE
    entries = [entry.what for entry in audit(subject="meter-D1-1").items]
    assert [what for what in entries if "supply" in what] == [
        "meter.supply off: done, disconnected", "meter.supply off asked for",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        {"number": 0}, {"what": "eaten"}, {"at": "2026-01-01T00:00:00"}, {"meter": ""},
        {"code": "x" * 65}, {"event": "e" * 37},
    ],
)  # fmt: skip
async def test_a_report_out_of_bounds_is_refused(
    running: Running, dcu: httpx.AsyncClient, bad: dict[str, Any]
) -> None:
    body = {"revision": 0, "reports": [{**said(running, 1, "delivered"), **bad}]}
    answer = await dcu.post(DEMAND, json=body)
    assert answer.status_code == 422
    many = {"reports": [said(running, 1, "delivered")] * 1001}
    assert (await dcu.post(DEMAND, json=many)).status_code == 422


class Neighbours:
    """Compares every home with the same others."""

    def of(self, serial: str) -> Comparison | None:
        return None if serial == "D1-3" else Comparison(START, START + 60, 12, 84_000, 51_000, None)


async def test_our_dcu_understands_all_that_it_is_told(
    running: Running, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    demand, now = running.services.demand, int(running.services.clock.now())
    await asyncio.to_thread(publish, running, kind=EventKind.EMERGENCY, random_s=60)
    before = (await told(dcu))["revision"]
    demand.book.similar = Neighbours()
    demand.events.send(Notice("n1", "bill", now, now + 60, {"ko": "고지서"}), who="ann")
    order = demand.orders.make("D1-1", Wanted.READY, who="ann", why="moved in")
    found = Instructions.model_validate(await told(dcu))
    assert found.revision != before
    first, last = (meter_orders(found.meters[serial]) for serial in ("D1-1", "D1-3"))
    assert first.bad == last.bad == ()
    assert (first.events[0].id, first.events[0].kind.value) == ("e1", "emergency")
    assert first.events[0].start == demand.for_meter("D1-1")[0].event.start
    assert [notice.id for notice in first.notices] == ["n1"]
    assert first.comparison == Comparison(START, START + 60, 12, 84_000, 51_000, None)
    assert (last.comparison, last.supply) == (None, None)
    assert first.supply is not None
    assert (first.supply.order, first.supply.wanted.value) == (order.id, "ready")


async def test_displays_are_forgotten_when_a_household_moves_out_though_another_moved_in(
    running: Running, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    services, meter = running.services, meters[0]
    customers, clock = services.customers, cast("ManualClock", services.clock)
    hour = int(clock.now()) // 3600 * 3600.0

    async def passed() -> dict[str, Any]:
        await services.demand.rounds.round()
        return {serial: one["forget"] for serial, one in (await told(dcu))["meters"].items()}

    for login in ("kim@example.org", "lee@example.org"):
        customers.add(login, Details(), who="ann")
    customers.assign("kim@example.org", meter, who="ann", starts=hour - 7200)
    assert await passed() == {}
    before = services.demand.uplink.revision("D1")
    customers.end("kim@example.org", meter, who="ann")
    customers.assign("lee@example.org", meter, who="ann", starts=hour)
    customers.end("lee@example.org", meter, who="ann", ends=hour + 7200)
    order = (await passed())[meter]["order"]
    assert services.demand.uplink.revision("D1") != before
    strange = said(running, 1, "displays", meter=meters[1], event=order, code="forgotten")
    assert (await told(dcu, strange))["meters"][meter]["forget"] == {"order": order}
    done = said(running, 2, "displays", meter=meter, event=order, code="forgotten")
    for _ in range(2):
        assert (await told(dcu, done))["meters"] == {}
    assert await passed() == {}
    entries = services.registry.audit(subject=f"meter-{meter}").items
    found = [(one.who, one.what) for one in entries if "displays" in one.what]
    assert found == [("dcu-D1", "meter.displays after a move-out: forgotten")]
    clock.advance(7201)
    assert list(await passed()) == [meter]
