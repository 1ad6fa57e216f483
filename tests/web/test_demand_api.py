"""Demand response by the REST API: OpenADR 3's shapes, who may do what, what it brought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.support.demand import street
from tests.support.headend import LOAD_PROFILE, upload

from openami.core.clock import isoformat
from openami.fleet.devices import Device, DeviceKind
from openami.mdm.readings import ChannelValues, profile_table

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
    assert (report["objectType"], first["resourceName"]) == ("REPORT", "D1-1")
    assert {"type": "BASELINE", "values": [0.4]} in first["intervals"][0]["payloads"]
    assert {"type": "USAGE", "values": [0.24]} in first["intervals"][0]["payloads"]
    standing = (await operator.get(f"{API}/events/{event['id']}/meters")).json()["items"]
    assert [one["meter"] for one in standing] == meters


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
