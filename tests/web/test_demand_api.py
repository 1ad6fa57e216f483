"""Demand response by the REST API: OpenADR 3's shapes, who may do what, what it brought."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.support.demand import event as an_event
from tests.support.demand import moved_out, street
from tests.support.headend import LOAD_PROFILE, upload

from openami.core.clock import isoformat
from openami.fleet.demand.machine import EventState
from openami.fleet.demand.records import EventRecord
from openami.fleet.demand.standing import Answer, Counts, Standing
from openami.fleet.devices import Device, DeviceKind, MeterProtocol
from openami.headend.demand.results import PIECE, MeterResult, Results
from openami.headend.demand.views import EventView
from openami.mdm.baseline import Saved
from openami.mdm.readings import ChannelValues, profile_table
from openami.web.api.dependencies import ticket_of
from openami.web.api.models.demand import EventSpec
from openami.web.api.models.demand_results import ReportModel

if TYPE_CHECKING:
    import httpx

    from openami.headend.server import Running

API = "/api/v1/demand"


@pytest.fixture
def meters(running: Running) -> list[str]:
    devices: Any = running.services.registry._devices
    return street(devices, "D1", 3, region="Seoul")


async def made(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await client.post(API + path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def program(client: httpx.AsyncClient, **more: Any) -> str:
    found = await made(client, "/programs", programName="summer", **more)
    id_: str = found["id"]
    return id_


def wish(running: Running, program: str, *, ahead: int = 600, **more: Any) -> dict[str, Any]:
    start = isoformat(running.services.clock.now() + ahead)
    payload = more.pop("payload", {"type": "SIMPLE", "values": [2]})
    return {
        "programID": program,
        "eventName": "hot afternoon",
        "intervalPeriod": {"start": start, "duration": "PT30M"},
        "intervals": [{"id": 0, "payloads": [payload]}, {"id": 1, "payloads": [payload]}],
        "texts": {"ko": "사용을 줄여 주세요", "en": "Please use less"},
        **more,
    }


async def test_programs_and_events_have_the_shapes_of_openadr(
    running: Running, operator: httpx.AsyncClient, viewer: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    id_ = await program(operator, bindingEvents=False, currency="KRW")
    found = (await viewer.get(f"{API}/programs/{id_}")).json()
    assert (found["objectType"], found["programName"]) == ("PROGRAM", "summer")
    assert {"payloadType": "PRICE", "units": "KWH", "currency": "KRW"} in found[
        "payloadDescriptors"
    ]
    assert [one["id"] for one in (await viewer.get(f"{API}/programs")).json()["items"]] == [id_]
    area = [{"type": "SERVICE_AREA", "values": ["Seoul"]}]
    event = await made(operator, "/events", **wish(running, id_, targets=area))
    assert event["objectType"] == "EVENT"
    assert (event["state"], event["kind"], event["counts"]["meters"]) == ("scheduled", "shed", 3)
    assert event["intervalPeriod"]["duration"] == "PT1H"
    assert [one["intervalPeriod"]["duration"] for one in event["intervals"]] == ["PT30M", "PT30M"]
    assert event["intervals"][1]["payloads"] == [{"type": "SIMPLE", "values": [2.0]}]
    assert event["targets"] == area
    listed = (await viewer.get(f"{API}/events", params={"programID": id_})).json()["items"]
    assert [one["id"] for one in listed] == [event["id"]]
    mine = (await viewer.get("/api/v1/meters/D1-1/demand")).json()["items"]
    assert [(one["id"], one["phase"]) for one in mine] == [(event["id"], "upcoming")]


async def test_a_draft_is_revised_published_and_cancelled(
    running: Running, operator: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    id_ = await program(operator)
    body = wish(running, id_)
    answer = await operator.post(f"{API}/events", params={"draft": "true"}, json=body)
    event = answer.json()
    assert (event["state"], event["version"]) == ("draft", 1)
    path = f"{API}/events/{event['id']}"
    revised = await operator.put(path, json={"event": {**body, "priority": 3}, "why": "hotter"})
    assert (revised.json()["priority"], revised.json()["version"]) == (3, 2)
    assert (await operator.post(f"{path}/publish", json={})).json()["state"] == "scheduled"
    again = await operator.put(path, json={"event": {**body, "eventName": "later"}})
    assert (again.json()["version"], again.json()["meters"]) == (3, 3)
    assert (await operator.post(f"{path}/publish", json={})).status_code == 409
    assert (await operator.post(f"{path}/cancel", json={})).json()["error"]["code"] == "request.why"
    gone = await operator.post(f"{path}/cancel", json={"why": "rain"})
    assert gone.json()["state"] == "cancelled"
    audit = running.services.registry.audit(subject=f"event:{event['id']}").items
    assert (audit[0].what, audit[0].why) == ("demand.event cancelled", "rain")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"targets": [{"type": "SERVICE_AREA", "values": ["Jeju"]}]}, "demand.nobody"),
        ({"ahead": -90_000}, "demand.past"),
        ({"payload": {"type": "SIMPLE", "values": [4]}}, "request.event"),
        ({"kind": "price"}, "request.event"),
        ({"optional": True, "bound": True}, "demand.program"),
    ],
)
async def test_an_event_that_can_not_be_meant_is_refused_and_leaves_none(
    running: Running,
    operator: httpx.AsyncClient,
    meters: list[str],
    change: dict[str, Any],
    code: str,
) -> None:
    del meters
    id_ = await program(operator, bindingEvents=change.pop("bound", False))
    answer = await operator.post(f"{API}/events", json=wish(running, id_, **change))
    assert answer.json()["error"]["code"] == code
    found = (await operator.get(f"{API}/events", params={"state": "scheduled"})).json()
    assert found["items"] == []


async def test_an_emergency_takes_an_administrator(
    running: Running, operator: httpx.AsyncClient, admin: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    id_ = await program(operator)
    limit = {"type": "IMPORT_CAPACITY_LIMIT", "values": [1.5]}
    body = wish(running, id_, kind="emergency", optional=False, payload=limit)
    refused = await operator.post(f"{API}/events", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "security.role")
    forced = wish(running, id_, optional=False, payload=limit)
    assert (await operator.post(f"{API}/events", json=forced)).status_code == 403
    soft = wish(running, id_, payload=limit)
    assert (await operator.post(f"{API}/events", json=soft)).status_code == 201
    event = await made(admin, "/events", **body)
    # to end one needs nobody above
    gone = await operator.post(f"{API}/events/{event['id']}/cancel", json={"why": "over"})
    assert gone.status_code == 200
    draft = (await operator.post(f"{API}/events", params={"draft": "1"}, json=body)).json()
    path = f"{API}/events/{draft['id']}"
    assert (await operator.post(f"{path}/publish", json={})).status_code == 403
    assert (await operator.put(path, json={"event": soft})).status_code == 403
    assert (await admin.post(f"{path}/publish", json={})).status_code == 200


async def test_a_viewer_makes_nothing(viewer: httpx.AsyncClient) -> None:
    for path in ("/programs", "/events", "/notices", "/events/e1/cancel"):
        assert (await viewer.post(API + path, json={})).status_code == 403


async def test_prices_are_those_of_a_tariff(
    running: Running, operator: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    period = {"start": "2026-07-15T00:00:00Z", "duration": "PT12H"}
    found = await operator.post(
        f"{API}/prices", json={"tariff": "kr-industrial-a2-high-a1", "intervalPeriod": period}
    )
    assert found.status_code == 200, found.text
    intervals = found.json()["intervals"]
    assert len(intervals) > 1
    id_ = await program(operator)
    event = wish(running, id_)
    event |= {"intervals": intervals, "intervalPeriod": period}
    running.services.clock.set(1_784_070_000.0)  # type: ignore[attr-defined]  # by hand in tests
    assert (await operator.post(f"{API}/events", json=event)).json()["kind"] == "price"


async def test_each_hour_has_the_price_of_its_tariff(operator: httpx.AsyncClient) -> None:
    """In Jeju it is 21 o'clock: peak until 22, off-peak to 8 across midnight, mid to 16."""
    period = {"start": "2026-07-14T21:00:00+09:00", "duration": "PT20H"}
    body: dict[str, Any] = {"tariff": "kr-residential-tou-jeju", "intervalPeriod": period}
    found = await operator.post(f"{API}/prices", json=body)
    assert found.json()["intervals"] == [
        {
            "id": number,
            "intervalPeriod": {
                "start": f"2026-07-{start}:00Z", "duration": length, "randomizeStart": None
            },
            "payloads": [{"type": "PRICE", "values": [price]}],
        }
        for number, (start, length, price) in enumerate(
            [
                ("14T12:00", "PT1H", 228.5556),
                ("14T13:00", "PT10H", 136.367),
                ("14T23:00", "PT8H", 188.209),
                ("15T07:00", "PT1H", 228.5556),
            ]
        )
    ]  # fmt: skip
    body |= {"tariff": "kr-residential-low", "kwh": 400}
    (one,) = (await operator.post(f"{API}/prices", json=body)).json()["intervals"]
    assert one["payloads"][0]["values"] == [257.6322]  # 214.6, 9 and 5 in step 2, times 1.127
    for length in ("PT0S", "PT59S", "P7DT1S"):
        body["intervalPeriod"] = {**period, "duration": length}
        refused = await operator.post(f"{API}/prices", json=body)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "request.event"


async def test_a_notice_is_shown_and_taken_back(
    running: Running, operator: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    only = [{"type": "RESOURCE_NAME", "values": ["D1-2"]}]
    one = await made(
        operator, "/notices", kind="outage", texts={"en": "Power is back at 5"},
        duration="PT2H", targets=only,
    )  # fmt: skip
    shown = running.services.demand.notices_for
    assert [notice.id for notice in shown("D1-2")] == [one["id"]]
    assert list(shown("D1-1")) == []
    path = f"{API}/notices/{one['id']}/withdraw"
    assert (await operator.post(path, json={"why": "earlier"})).json()["withdrawn"]
    assert list(shown("D1-2")) == []
    listed = (await operator.get(f"{API}/notices")).json()["items"]
    assert [(item["id"], item["withdrawn"]) for item in listed] == [(one["id"], True)]
    bad = await operator.post(f"{API}/notices", json={"texts": {"en": "x"}, "kind": "advert"})
    assert bad.json()["error"]["code"] == "request.notice"


async def test_results_are_against_the_days_before(
    running: Running, operator: httpx.AsyncClient, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    clock: Any = running.services.clock
    day, step = 86_400, 900
    begin = int(clock.now()) // day * day + 12 * 3600
    clock.set(begin - 600.0)
    id_ = await program(operator)
    body = wish(running, id_, ahead=600)
    silent = Device(DeviceKind.METER, "D1-4", dcu="D1", region="Seoul")
    running.services.registry._devices.add(silent, who="test", when=1.0)
    event = await made(operator, "/events", **body)
    early = await operator.get(f"{API}/events/{event['id']}/results")
    assert early.json()["error"]["code"] == "demand.not-begun"
    at = isoformat(clock.now())
    reports = [
        {"number": n, "meter": meter, "event": event["id"], "what": "delivered", "at": at}
        for n, meter in enumerate(meters, 1)
    ]
    reports.append({**reports[1], "number": 4, "what": "opted-out"})
    assert (await dcu.post("/device/v1/demand", json={"reports": reports})).status_code == 200
    ends = np.arange(begin - 30 * day, begin + 3600 + step, step, dtype=np.int64)
    for meter, less in (("D1-1", 60), ("D1-2", 100)):
        wh = np.full(len(ends), 100, np.int64)
        wh[(ends > begin) & (ends <= begin + 3600)] = less
        table = profile_table(
            meter, LOAD_PROFILE, time=ends, status=np.zeros(len(ends), np.uint8),
            channels=[ChannelValues("1.0.1.29.0.255", 0, 30, wh)],
        )  # fmt: skip
        assert (await upload(dcu, f"b-{meter}", table)).status_code == 200
    clock.set(begin + 3700.0)
    found = (await operator.get(f"{API}/events/{event['id']}/results")).json()
    assert found["method"].startswith("mean of the last 10 like days")
    by_meter = {item["meter"]: item for item in found["items"]}
    assert (by_meter["D1-1"]["baselineWh"], by_meter["D1-1"]["savedWh"]) == (400.0, 160.0)
    assert by_meter["D1-1"]["days"] >= 5
    assert by_meter["D1-2"]["savedWh"] == 0.0
    assert (by_meter["D1-3"]["baselineWh"], by_meter["D1-3"]["missing"]) == (None, 4)
    assert by_meter["D1-3"]["why"] == "nothing was measured"
    assert by_meter["D1-4"]["why"] == "not reached"
    assert (by_meter["D1-4"]["baselineWh"], by_meter["D1-4"]["missing"]) == (None, 4)
    page = await operator.get(f"{API}/events/{event['id']}/results", params={"limit": "1"})
    assert page.json()["next"] is not None
    report = (await operator.get(f"{API}/reports", params={"eventID": event["id"]})).json()
    first, last = report["resources"][0], report["resources"][-1]
    assert last["resourceName"] == "D1-4"
    assert "USAGE" not in str(last)
    assert [state_of(one) for one in report["resources"]] == [
        "RUNNING_NORMAL", "RUNNING_OPTED_OUT", "RUNNING_NORMAL", "ERROR",
    ]  # fmt: skip
    assert (report["objectType"], first["resourceName"]) == ("REPORT", "D1-1")
    assert {"type": "BASELINE", "values": [0.4]} in first["intervals"][0]["payloads"]
    assert {"type": "USAGE", "values": [0.24]} in first["intervals"][0]["payloads"]
    standing = (await operator.get(f"{API}/events/{event['id']}/meters")).json()["items"]
    assert [one["meter"] for one in standing] == meters


async def test_a_request_that_is_made_again_makes_one_event(
    running: Running, operator: httpx.AsyncClient, admin: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    desk, id_ = running.services.demand.events, await program(operator)
    body, key = wish(running, id_), {"Idempotency-Key": "k1"}

    async def ask(
        path: str, said: dict[str, Any], client: httpx.AsyncClient = operator
    ) -> tuple[int, Any]:
        answer = await client.post(API + path, json=said, headers=key)
        if answer.status_code == 201 and "Location" in answer.headers:
            assert answer.headers["Location"] == f"{API}/events/{answer.json()['id']}"
        return answer.status_code, answer.json()

    first, again = await ask("/events", body), await ask("/events", body)
    assert first == again
    assert first[0] == 201
    assert (await ask("/events", body, admin))[1]["id"] != first[1]["id"], "a key is a person's"
    for path, said in (("/events", {**body, "priority": 7}), ("/events?draft=true", body)):
        status, answer = await ask(path, said)
        assert (status, answer["error"]["code"]) == (422, "demand.key")
    await operator.post(f"{API}/events/{first[1]['id']}/cancel", json={"why": "rain"})
    assert (await ask("/events", body))[1]["state"] == "cancelled", "as it is by then"
    assert len(desk.list().items) == 2

    key["Idempotency-Key"] = "k2"
    nobody = wish(running, id_, targets=[{"type": "SERVICE_AREA", "values": ["Nowhere"]}])
    codes = [(await ask("/events", nobody))[1]["error"]["code"] for _ in range(2)]
    assert codes == ["demand.nobody", "demand.transition"]

    key["Idempotency-Key"] = "k3"  # the head-end was ended between drafting and publishing
    spec = EventSpec.model_validate(body)
    ticket = ticket_of("k3", spec, "event")
    desk.draft(spec.event("e3", desk.program(id_)), who=first[1]["draftedBy"], ticket=ticket)
    assert desk.list().items[0].state is EventState.DRAFT
    assert (await ask("/events", body))[1]["state"] == "scheduled"
    assert len(desk.list().items) == 4

    notice = {"texts": {"en": "Ready"}}
    assert (await ask("/notices", notice)) == (await ask("/notices", notice))
    status, answer = await ask("/notices", {"texts": {"en": "Other"}})
    assert (status, answer["error"]["code"]) == (422, "demand.key")
    assert len(desk.notices().items) == 1
    key["Idempotency-Key"] = "not one"
    for path, said in (("/events", body), ("/notices", notice)):
        status, answer = await ask(path, said)
        assert (status, answer["error"]["code"]) == (400, "request.key")


async def test_the_same_request_twice_at_once_makes_one_event_that_stays(
    running: Running, operator: httpx.AsyncClient, meters: list[str], monkeypatch: Any
) -> None:
    del meters
    desk, id_ = running.services.demand.events, await program(operator)
    publish = desk.publish

    def overtaken(event: str, **said: Any) -> EventView:
        monkeypatch.undo()
        publish(event, **said)  # by the request that was thought lost
        return publish(event, **said)

    monkeypatch.setattr(desk, "publish", overtaken)
    key = {"Idempotency-Key": "k1"}
    answer = await operator.post(f"{API}/events", json=wish(running, id_), headers=key)
    assert (answer.status_code, answer.json()["state"]) == (201, "scheduled")
    (event,) = desk.list().items
    assert event.state is EventState.SCHEDULED


async def test_a_draft_that_became_grave_is_not_sent_by_asking_again(
    running: Running, operator: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    desk, id_ = running.services.demand.events, await program(operator)
    limit = {"type": "IMPORT_CAPACITY_LIMIT", "values": [1.0]}
    body = wish(running, id_, payload=limit, optional=True)
    who = (await made(operator, "/events?draft=true", **body))["draftedBy"]
    spec = EventSpec.model_validate(body)  # the head-end was ended before it was published
    event = spec.event("e1", desk.program(id_))
    desk.draft(event, who=who, ticket=ticket_of("k1", spec, "event"))
    desk.revise(replace(event, optional=False), who="adam")
    key = {"Idempotency-Key": "k1"}
    answer = await operator.post(f"{API}/events", json=body, headers=key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "security.role")
    assert desk.get("e1").record.state is EventState.DRAFT


def state_of(resource: dict[str, Any]) -> str:
    """Return the OPERATING_STATE of a resource of a report."""
    payloads = resource["intervals"][0]["payloads"]
    (state,) = [one["values"][0] for one in payloads if one["type"] == "OPERATING_STATE"]
    return str(state)


@pytest.mark.parametrize(
    ("standing", "used", "missing", "word"),
    [
        (Standing(), 0.0, 4, "ERROR"),
        (Standing(refused=1.0), 90.0, 0, "ERROR"),
        (Standing(delivered=1.0), 90.0, 0, "RUNNING_NORMAL"),
        (Standing(delivered=1.0), 0.0, 0, "IDLE_NORMAL"),
        (Standing(delivered=1.0), 0.0, 1, "RUNNING_NORMAL"),
        (Standing(delivered=1.0, limited=2.0), 90.0, 0, "RUNNING_CURTAILED"),
        (Standing(delivered=1.0, limited=2.0), 0.0, 0, "IDLE_CURTAILED"),
        (Standing(delivered=1.0, limited=2.0, restored=3.0), 90.0, 0, "RUNNING_NORMAL"),
        (Standing(answer=Answer.OPTED_OUT), 90.0, 0, "RUNNING_OPTED_OUT"),
        (Standing(answer=Answer.OPTED_OUT, limited=2.0), 0.0, 0, "IDLE_OPTED_OUT"),
        (Standing(answer=Answer.ACCEPTED, delivered=1.0), 90.0, 0, "RUNNING_NORMAL"),
    ],
)
def test_what_a_meter_does_is_said_in_the_words_of_openadr(
    standing: Standing, used: float, missing: int, word: str
) -> None:
    one = MeterResult(Saved("M1", None, used, 0, missing), standing)
    view = EventView(EventRecord(1, an_event(), EventState.ACTIVE, 1.0, "ann"), "summer", Counts())
    report = ReportModel.of(view, Results(0, 3600, (one,), None), client="ann")
    assert state_of(report.resources[0]) == word


async def test_who_was_not_reached_is_listed_with_why(
    running: Running, operator: httpx.AsyncClient, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    devices: Any = running.services.registry._devices
    street(devices, "D2", 1, region="Seoul")
    for serial, protocol in (("C1", MeterProtocol.C1222), ("M1", MeterProtocol.DLMS)):
        own = Device(DeviceKind.METER, serial, region="Seoul", protocol=protocol)
        devices.add(own, who="test", when=1.0)
    id_ = await program(operator)
    kept = await made(operator, "/events?draft=true", **wish(running, id_))
    path = f"{API}/events/{kept['id']}"
    assert (await operator.get(f"{path}/unreached")).json() == {"items": [], "next": None}
    assert (await operator.post(f"{path}/publish", json={})).status_code == 200
    report = {"number": 1, "meter": meters[0], "event": kept["id"], "what": "delivered"}
    reports = [{**report, "at": isoformat(running.services.clock.now())}]
    assert (await dcu.post("/device/v1/demand", json={"reports": reports})).status_code == 200
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = (await operator.get(f"{path}/unreached", params={"limit": "2", **after})).json()
        found += page["items"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert [(one["meter"], one["dcu"], one["why"]) for one in found] == [
        ("C1", None, "head-end"), (meters[1], "D1", "not-told"), (meters[2], "D1", "not-told"),
        ("D2-1", "D2", "not-asked"), ("M1", None, "no-dcu"),
    ]  # fmt: skip
    assert (await operator.post(f"{path}/cancel", json={"why": "rain"})).status_code == 200
    over = (await operator.get(f"{path}/unreached")).json()["items"]
    assert {one["why"] for one in over} == {"head-end", "over", "no-dcu"}
    assert (await operator.get(f"{API}/events/e9/unreached")).status_code == 404


async def test_displays_that_are_not_forgotten_are_listed_until_somebody_saw_to_them(
    running: Running,
    operator: httpx.AsyncClient,
    viewer: httpx.AsyncClient,
    dcu: httpx.AsyncClient,
    meters: list[str],
) -> None:
    now = running.services.clock.now()
    moved_out(running.services.customers._customers, now, meters[0], meters[1])
    (first, second) = (await viewer.get(f"{API}/displays")).json()["items"]
    assert (first["meter"], first["dcu"], first["movedOut"]) == (meters[0], "D1", isoformat(now))
    assert first["why"] == "nothing was heard of it through D1"
    report = {"number": 1, "meter": meters[0], "event": first["id"], "what": "displays"}
    reports = [{**report, "at": isoformat(now), "code": "dlms.denied", "reason": "locked"}]
    assert (await dcu.post("/device/v1/demand", json={"reports": reports})).status_code == 200
    (first,) = (await viewer.get(f"{API}/displays", params={"meter": meters[0]})).json()["items"]
    assert (first["code"], first["refused"]) == ("dlms.denied", isoformat(now))
    assert first["why"] == "the meter refuses it, locked (dlms.denied)"
    path = f"/api/v1/meters/{meters[0]}/displays/done"
    assert (await viewer.post(path, json={"why": "x"})).status_code == 403
    assert (await operator.post(path, json={})).status_code == 400
    assert (await operator.post(path, json={"why": "at the door"})).json() == first
    assert (await operator.post(path, json={"why": "at the door"})).status_code == 404
    assert (await viewer.get(f"{API}/displays")).json()["items"] == [second]


async def test_the_lake_is_asked_for_the_meters_of_a_page_together(
    running: Running, operator: httpx.AsyncClient, dcu: httpx.AsyncClient, monkeypatch: Any
) -> None:
    """Each meter has its own readings and its own start, and there are few queries."""
    devices: Any = running.services.registry._devices
    clock: Any = running.services.clock
    meters = sorted(street(devices, "D1", 2 * PIECE + 1, region="Seoul"))
    day, step, measurement = 86_400, 900, running.services.demand.measurement
    begin = int(clock.now()) // day * day + 12 * 3600
    clock.set(begin - 600.0)
    desk, used, id_ = running.services.demand.events, dict[str, float](), await program(operator)
    event = next(  # one whose first meter is not the first to begin
        one
        for one in (an_event(f"e{n}", start=begin, random_s=3600, program=id_) for n in range(99))
        if one.for_meter(meters[0]).start > begin + 1800
    )
    desk.draft(event, who="ann")
    desk.publish(event.id, who="ann")
    at = isoformat(clock.now())
    reports = [
        {"number": n, "meter": meter, "event": event.id, "what": "delivered", "at": at}
        for n, meter in enumerate(meters, 1)
    ]
    assert (await dcu.post("/device/v1/demand", json={"reports": reports})).status_code == 200
    ends = np.arange(begin - 15 * day, begin + 2 * 3600 + step, step, dtype=np.int64)
    for number, meter in enumerate(meters):
        start = -(-event.for_meter(meter).start // step) * step
        # Whole intervals that lie in the event wherever it begins: an hour less what is cut off.
        during = (ends > start) & (ends <= start + 3 * step)
        wh = np.where(during, 50 + number, 100 + number)
        used[meter] = 3.0 * (50 + number)
        table = profile_table(
            meter, LOAD_PROFILE, time=ends, status=np.zeros(len(ends), np.uint8),
            channels=[ChannelValues("1.0.1.29.0.255", 0, 30, wh)],
        )  # fmt: skip
        assert (await upload(dcu, f"b-{meter}", table)).status_code == 200
    assert len({event.for_meter(meter).start // step for meter in meters}) > 2
    clock.set(begin + 2 * 3600.0 + 60)
    store, asked = measurement._readings, list[int]()

    class Counting:
        def of_meters(self, meters: Any, *channel: Any, **options: Any) -> Any:
            asked.append(len(meters))
            return store.of_meters(meters, *channel, **options)

    monkeypatch.setattr(measurement, "_readings", Counting())
    found = (await operator.get(f"{API}/events/{event.id}/results")).json()["items"]
    assert asked == [PIECE, PIECE, 1], "one query for so many meters"
    assert {one["meter"]: one["usedWh"] for one in found} == used
    baselines = {one["meter"]: one["baselineWh"] for one in found}
    assert baselines == {meter: 3.0 * (100 + n) for n, meter in enumerate(meters)}


async def test_a_day_with_another_event_is_not_like_any(
    running: Running, operator: httpx.AsyncClient, dcu: httpx.AsyncClient, meters: list[str]
) -> None:
    clock: Any = running.services.clock
    day, step = 86_400, 900
    # A Thursday and the Friday after it: both are working days.
    begin = (int(clock.now()) // (7 * day) + 5) * 7 * day + 12 * 3600
    id_ = await program(operator)
    events: list[dict[str, Any]] = []
    for at in (begin, begin + day):
        clock.set(at - 600.0)
        event = await made(operator, "/events", **wish(running, id_, ahead=600))
        report = {"meter": meters[0], "event": event["id"], "what": "delivered"}
        reports = [{"number": len(events) + 1, "at": isoformat(clock.now()), **report}]
        told = await dcu.post("/device/v1/demand", json={"reports": reports})
        assert told.status_code == 200
        events.append(event["id"])
    ends = np.arange(begin - 9 * day, begin + day + 3600 + step, step, dtype=np.int64)
    wh = np.full(len(ends), 100, np.int64)
    wh[(ends > begin) & (ends <= begin + 3600)] = 0
    table = profile_table(
        meters[0], LOAD_PROFILE, time=ends, status=np.zeros(len(ends), np.uint8),
        channels=[ChannelValues("1.0.1.29.0.255", 0, 30, wh)],
    )  # fmt: skip
    assert (await upload(dcu, "two", table)).status_code == 200
    clock.set(begin + day + 3700.0)
    first, second = [
        (await operator.get(f"{API}/events/{event}/results")).json()["items"][0] for event in events
    ]
    assert (first["savedWh"], second["savedWh"]) == (400.0, 0.0)
    assert (first["baselineWh"], second["baselineWh"]) == (400.0, 400.0)
    assert second["days"] == first["days"]


async def test_a_supply_behind_a_dcu_is_an_order(
    running: Running, operator: httpx.AsyncClient, viewer: httpx.AsyncClient, meters: list[str]
) -> None:
    del meters
    path = "/api/v1/meters/D1-1/supply"
    wish = {"connected": False, "why": "moved out"}
    assert (await viewer.post(path, json=wish)).status_code == 403
    done = (await operator.post(path, json=wish)).json()
    assert (done["order"]["state"], done["order"]["wanted"]) == ("waiting", "disconnected")
    again = await operator.post(path, json={"connected": True, "by_hand": True, "why": "x"})
    assert again.json()["error"]["code"] == "supply.waiting"
    clock: Any = running.services.clock
    clock.advance(3601)
    running.services.demand.orders.pass_time()
    (order,) = (await viewer.get(path)).json()
    assert order["state"] == "expired"
    assert (await operator.post("/api/v1/meters/M9/supply", json=wish)).status_code == 404
