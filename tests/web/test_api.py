"""The REST API: fleet, readings, on-demand reads, service."""

import asyncio
import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.support.headend import (
    CHANNEL,
    LOAD_PROFILE,
    PERIOD,
    START,
    day,
    dcu_client,
    meter_status,
    operator_client,
    report,
    running_headend,
    shipment,
    shipped,
    some_events,
    upload,
)

from openami.core.clock import isoformat
from openami.headend.server import Running
from openami.mdm.readings import CONTENT_TYPE


def code(answer: httpx.Response) -> str:
    found: str = answer.json()["error"]["code"]
    return found


async def test_the_overview_counts_what_is_there(
    dcu: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await upload(dcu, "b1", day(["M1", "M2"]))
    await upload(dcu, "e1", some_events("M1"), "events")
    await dcu.post("/device/v1/report", json=report(meter_status("M1"), meter_status("M2")))
    found = (await viewer.get("/api/v1/overview")).json()
    assert found["meters"]["total"] == 2
    assert found["meters"]["by_state"] == {"registered": 2}
    assert found["meters"]["by_contact"]["ok"] == 2
    assert found["dcus"]["total"] == 1
    # The clock stands at the end of the uploaded day, 10 minutes after a whole hour.
    assert found["read_rate_hour"] == {"stored": 8, "expected": 8, "share": 1.0}
    assert found["read_rate_day"]["expected"] == 192
    assert found["read_rate_day"]["stored"] >= 188
    assert found["store"]["readings"] == 192
    assert found["store"]["batches"] == 1
    assert found["store"]["newest"] == isoformat(START + 96 * PERIOD)
    assert found["events_day"] == 3
    store = (await viewer.get("/api/v1/store")).json()
    assert (store["readings"], store["duplicates"]) == (192, 0)


async def test_devices_come_in_pages_by_filters(
    running: Running, dcu: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await dcu.post(
        "/device/v1/report", json=report(*(meter_status(f"M{n}") for n in range(10, 35)))
    )
    seen: list[str] = []
    params: dict[str, Any] = {"kind": "meter", "limit": 10}
    while True:
        page = (await viewer.get("/api/v1/devices", params=params)).json()
        seen += [item["serial"] for item in page["items"]]
        if page["next"] is None:
            break
        params["after"] = page["next"]
    assert seen == [f"M{n}" for n in range(10, 35)]
    found = (await viewer.get("/api/v1/devices", params={"search": "M2", "kind": "meter"})).json()
    assert [item["serial"] for item in found["items"]] == [f"M{n}" for n in range(20, 30)]
    dcus = (await viewer.get("/api/v1/devices", params={"kind": "dcu"})).json()["items"]
    assert [(d["id"], d["state"]) for d in dcus] == [("dcu-D1", "in service")]
    bad = await viewer.get("/api/v1/devices", params={"after": "!"})
    assert (bad.status_code, code(bad)) == (400, "store.cursor")
    odd = await viewer.get("/api/v1/devices", params={"kind": "toaster", "limit": 5000})
    assert (odd.status_code, code(odd)) == (422, "request.invalid")


async def test_a_device_and_its_lifecycle(
    running: Running, dcu: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    await dcu.post("/device/v1/report", json=report(meter_status("M1")))
    device = (await operator.get("/api/v1/devices/meter-M1")).json()
    assert (device["state"], device["contact"], device["dcu"]) == ("registered", "ok", "D1")
    assert device["next_states"] == ["commissioned", "retired", "suspended"]
    url = "/api/v1/devices/meter-M1/state"
    moved = await operator.post(url, json={"to": "commissioned", "why": "checked  on site"})
    assert moved.json()["state"] == "commissioned"
    wrong = await operator.post(url, json={"to": "manufactured", "why": "x"})
    assert (wrong.status_code, code(wrong)) == (409, "device.transition")
    assert wrong.json()["error"]["hint"]
    blank = await operator.post(url, json={"to": "retired", "why": "   "})
    assert (blank.status_code, code(blank)) == (400, "request.why")
    place = {"latitude": 48.2, "longitude": 16.37}
    change = {"label": "Kitchen", "location": place}
    described = (await operator.patch("/api/v1/devices/meter-M1", json=change)).json()
    assert (described["label"], described["location"]) == ("Kitchen", place)
    audit = (await operator.get("/api/v1/devices/meter-M1/audit")).json()["items"]
    assert {(e["who"], e["why"]) for e in audit} >= {("operator-1", "checked on site")}
    missing = await operator.get("/api/v1/devices/meter-M9")
    assert (missing.status_code, code(missing)) == (404, "store.not-found")


async def test_the_page_of_a_dcu(dcu: httpx.AsyncClient, viewer: httpx.AsyncClient) -> None:
    before = (await viewer.get("/api/v1/dcus/D1")).json()
    assert (before["meters"], before["figures"]) == (0, None)
    bad = meter_status("M2", state="unreachable", last_read=None)
    await dcu.post("/device/v1/report", json=report(meter_status("M1"), bad))
    found = (await viewer.get("/api/v1/dcus/D1")).json()
    assert found["meters"] == 2
    assert found["meters_by_contact"]["unreachable"] == 1
    assert found["figures"]["spool_batches"] == 2
    assert found["read_last_day"] == 1
    assert (await viewer.get("/api/v1/dcus/D9")).status_code == 404


async def test_a_dcu_is_enrolled_and_connects(
    running: Running, admin: httpx.AsyncClient, tmp_path: Path
) -> None:
    from tests.support.headend import client_with

    answer = await admin.post("/api/v1/dcus", json={"dcu": "D7", "why": "new street"})
    assert answer.status_code == 201
    issued = answer.json()
    assert issued["authority"].encode() == running.home.authority.read_bytes()
    async with client_with(
        running, tmp_path, issued["certificate"].encode(), issued["key"].encode()
    ) as dcu:
        assert (await dcu.get("/device/v1/work")).json()["jobs"] == []
    device = (await admin.get(answer.headers["Location"])).json()
    assert device["state"] == "commissioned"
    bad = await admin.post("/api/v1/dcus", json={"dcu": "../x"})
    assert (bad.status_code, code(bad)) == (400, "config.dcu")
    await admin.post("/api/v1/devices/dcu-D7/state", json={"to": "retired", "why": "gone"})
    gone = await admin.post("/api/v1/dcus", json={"dcu": "D7"})
    assert (gone.status_code, code(gone)) == (409, "device.shut-out")


async def test_a_shipment_fills_registry_and_vault(admin: httpx.AsyncClient) -> None:
    text = shipment(shipped(1), shipped(2))
    first = await admin.post("/api/v1/shipments", content=text)
    assert first.json() == {"added": 2, "known": 0}
    again = await admin.post("/api/v1/shipments", content=text)
    assert again.json() == {"added": 0, "known": 2}
    other = shipment(shipped(1, keys={"guek": bytes(16), "gak": bytes(16)}))
    wrong = await admin.post("/api/v1/shipments", content=other)
    assert (wrong.status_code, code(wrong)) == (409, "device.keys")
    bad = await admin.post("/api/v1/shipments", content=b'{"format": "other"}')
    assert (bad.status_code, code(bad)) == (422, "request.shipment")
    device = (await admin.get("/api/v1/devices/meter-M1")).json()
    assert (device["state"], device["system_title"]) == ("manufactured", "4F414D0000000001")
    key = shipped(1).keys["guek"].hex()
    for answer in (first, again, wrong):
        assert key not in answer.text.lower()


READINGS = "/api/v1/meters/M1/readings"


async def test_readings_in_every_form_are_the_same(
    dcu: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await upload(dcu, "b1", day(["M1"], intervals=5))
    rows = (await viewer.get(READINGS)).json()["items"]
    assert len(rows) == 5
    assert rows[0] == {
        "meter": "M1",
        "channel": CHANNEL,
        "profile": LOAD_PROFILE,
        "time": isoformat(START + PERIOD),
        "value": 100,
        "scaler": 0,
        "unit": 30,
        "symbol": "Wh",
        "status": 0,
        "version": rows[0]["version"],
    }
    by_accept = await viewer.get(READINGS, headers={"Accept": "text/html, text/csv;q=0.9"})
    by_format = await viewer.get(READINGS, params={"format": "csv"})
    assert by_accept.content == by_format.content
    assert by_format.headers["Content-Type"].startswith("text/csv")
    assert by_format.headers["Content-Disposition"] == 'attachment; filename="M1.csv"'
    lines = list(csv.DictReader(io.StringIO(by_format.text)))
    assert [(line["channel"], int(line["value"])) for line in lines] == [(CHANNEL, 100)] * 5
    arrow = await viewer.get(READINGS, headers={"Accept": CONTENT_TYPE})
    with pa.ipc.open_stream(arrow.content) as stream:
        table = stream.read_all()
    assert table["value"].to_pylist() == [row["value"] for row in rows]
    assert [isoformat(t.timestamp()) for t in table["time"].to_pylist()] == [
        row["time"] for row in rows
    ]


@pytest.mark.parametrize("form", ["json", "csv", "arrow"])
async def test_readings_come_in_pages(
    dcu: httpx.AsyncClient, viewer: httpx.AsyncClient, form: str
) -> None:
    await upload(dcu, "b1", day(["M1"]))
    url: str | None = f"{READINGS}?limit=40&format={form}"
    sizes = []
    while url:
        answer = await viewer.get(url)
        assert answer.status_code == 200
        sizes.append(_rows(answer, form))
        url = answer.links["next"]["url"] if "next" in answer.links else None
        assert ("OpenAMI-Next" in answer.headers) == (url is not None)
    assert sizes == [40, 40, 16]


def _rows(answer: httpx.Response, form: str) -> int:
    if form == "json":
        return len(answer.json()["items"])
    if form == "csv":
        return len(answer.text.splitlines()) - 1
    with pa.ipc.open_stream(answer.content) as stream:
        return int(stream.read_all().num_rows)


async def test_readings_by_time_channel_and_version(
    dcu: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await upload(dcu, "b1", day(["M1"], intervals=8))
    await upload(dcu, "b2", day(["M1"], intervals=2, value=7))

    async def values(**params: Any) -> list[int]:
        answer = await viewer.get(READINGS, params=params)
        assert answer.status_code == 200, answer.text
        return [row["value"] for row in answer.json()["items"]]

    assert await values() == [7, 7, *[100] * 6]
    assert sorted(await values(version="all")) == [7, 7, *[100] * 8]
    start, end = isoformat(START + PERIOD), isoformat(START + 3 * PERIOD)
    assert await values(start=start, end=end) == [7, 100]
    assert await values(start=start.replace("Z", "+00:00"), end=end) == [7, 100]
    assert await values(channel=[CHANNEL, "1.0.2.29.0.255"]) == [7, 7, *[100] * 6]
    assert await values(channel="1.0.2.29.0.255") == []
    assert await values(profile="1.0.99.2.0.255") == []
    for params, expected in (
        ({"start": "yesterday"}, "request.time"),
        ({"start": end, "end": start}, "request.range"),
    ):
        answer = await viewer.get(READINGS, params=params)
        assert (answer.status_code, code(answer)) == (400, expected)
    unknown = await viewer.get("/api/v1/meters/M9/readings")
    assert (unknown.status_code, code(unknown)) == (404, "store.not-found")


async def test_registers_events_and_gaps(dcu: httpx.AsyncClient, viewer: httpx.AsyncClient) -> None:
    await upload(dcu, "b1", day(["M1"], intervals=4))
    await upload(dcu, "b2", day(["M1"], intervals=4, start=START + 6 * PERIOD))
    await upload(dcu, "e1", some_events("M1"), "events")
    latest = (await viewer.get("/api/v1/meters/M1/registers")).json()["items"]
    assert [row["time"] for row in latest] == [isoformat(START + 10 * PERIOD)]
    events = (await viewer.get("/api/v1/events", params={"meter": "M1", "limit": 2})).json()
    assert [event["code"] for event in events["items"]] == [3, 2]
    rest = await viewer.get("/api/v1/events", params={"meter": "M1", "after": events["next"]})
    assert [event["code"] for event in rest.json()["items"]] == [1]
    params = {"meter": "M1", "start": isoformat(START), "end": isoformat(START + 10 * PERIOD)}
    gaps = (await viewer.get("/api/v1/gaps", params=params)).json()["items"]
    assert gaps == [
        {
            "meter": "M1",
            "channel": CHANNEL,
            "first": isoformat(START + 5 * PERIOD),
            "last": isoformat(START + 6 * PERIOD),
        }
    ]
    endless = await viewer.get("/api/v1/gaps", params={"meter": "M1"})
    assert (endless.status_code, code(endless)) == (400, "request.range")


WISH = {"attributes": [{"class_id": 3, "obis": "1-0:1.8.0*255", "attribute": 2}]}
RESULT = {"class_id": 3, "obis": "1.0.1.8.0.255", "attribute": 2}


async def test_an_on_demand_read_from_wish_to_result(
    dcu: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    await dcu.post("/device/v1/report", json=report(meter_status("M1")))
    waiting = asyncio.create_task(dcu.get("/device/v1/work", params={"wait": "20"}))
    asked = await operator.post("/api/v1/meters/M1/reads", json=WISH)
    assert asked.status_code == 202
    where = asked.headers["Location"]
    assert asked.json()["state"] in {"queued", "offered"}
    [job] = (await waiting).json()["jobs"]
    assert (job["kind"], job["meter"], job["attributes"]) == ("read", "M1", [RESULT])
    assert (await operator.get(where)).json()["state"] == "offered"
    url = f"/device/v1/jobs/{job['id']}"
    running = {"state": "running", "progress": 0.5}
    assert (await dcu.post(url, json=running)).json() == {"state": "running"}
    assert (await operator.get(where)).json()["progress"] == 0.5
    done = {"state": "done", "results": [{**RESULT, "value": 12345, "scaler": 0, "unit": 30}]}
    for _ in range(2):
        assert (await dcu.post(url, json=done)).json() == {"state": "done"}
    found = (await operator.get(where)).json()
    assert (found["state"], found["progress"], found["error"]) == ("done", 1.0, None)
    assert found["results"] == [
        {**RESULT, "value": 12345, "scaler": 0, "unit": 30, "symbol": "Wh", "error": None}
    ]
    listed = (await operator.get("/api/v1/jobs", params={"meter": "M1"})).json()["items"]
    assert [item["id"] for item in listed] == [job["id"]]
    assert (await dcu.get("/device/v1/work")).json()["jobs"] == []


async def test_a_job_that_fails_says_why(
    dcu: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    await dcu.post("/device/v1/report", json=report(meter_status("M1")))
    where = (await operator.post("/api/v1/meters/M1/reads", json=WISH)).headers["Location"]
    [job] = (await dcu.get("/device/v1/work")).json()["jobs"]
    failed = {"state": "failed", "error": {"code": "link.timeout", "message": "no answer"}}
    await dcu.post(f"/device/v1/jobs/{job['id']}", json=failed)
    found = (await operator.get(where)).json()
    assert (found["state"], found["error"]["code"]) == ("failed", "link.timeout")


async def test_a_dcu_sees_no_others_jobs(
    running: Running, dcu: httpx.AsyncClient, operator: httpx.AsyncClient, tmp_path: Path
) -> None:
    await dcu.post("/device/v1/report", json=report(meter_status("M1")))
    job = (await operator.post("/api/v1/meters/M1/reads", json=WISH)).json()
    async with dcu_client(running, tmp_path, "D2") as other:
        assert (await other.get("/device/v1/work")).json()["jobs"] == []
        done = {"state": "done", "results": []}
        stolen = await other.post(f"/device/v1/jobs/{job['id']}", json=done)
        assert (stolen.status_code, code(stolen)) == (404, "job.unknown")
        none = await other.post("/device/v1/jobs/none", json=done)
        assert none.status_code == 404
    bad = await dcu.post(f"/device/v1/jobs/{job['id']}", json={"state": "dancing"})
    assert (bad.status_code, code(bad)) == (422, "request.invalid")


async def test_a_value_that_json_has_not_is_refused(
    dcu: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    await dcu.post("/device/v1/report", json=report(meter_status("M1")))
    job = (await operator.post("/api/v1/meters/M1/reads", json=WISH)).json()
    done = {"state": "done", "results": [{**RESULT, "value": [1.5, math.nan]}]}
    headers = {"Content-Type": "application/json"}
    url, body = f"/device/v1/jobs/{job['id']}", json.dumps(done)
    refused = await dcu.post(url, content=body, headers=headers)
    assert (refused.status_code, code(refused)) == (422, "request.invalid")
    taken = await dcu.post(url, content=body.replace("NaN", "null"), headers=headers)
    assert taken.json() == {"state": "done"}


async def test_what_nobody_can_read_is_not_asked_for(
    running: Running, operator: httpx.AsyncClient, dcu: httpx.AsyncClient
) -> None:
    running.services.shipments.take(shipment(shipped(1)), who="test")
    orphan = await operator.post("/api/v1/meters/M1/reads", json=WISH)
    assert (orphan.status_code, code(orphan)) == (409, "job.no-dcu")
    unknown = await operator.post("/api/v1/meters/M9/reads", json=WISH)
    assert unknown.status_code == 404
    empty = await operator.post("/api/v1/meters/M1/reads", json={"attributes": []})
    assert code(empty) == "request.invalid"
    await dcu.post("/device/v1/report", json=report(meter_status("M2")))
    odd = {"attributes": [{"class_id": 3, "obis": "energy"}]}
    wrong = await operator.post("/api/v1/meters/M2/reads", json=odd)
    assert (wrong.status_code, code(wrong)) == (400, "request.obis")


async def test_polls_of_one_dcu_are_bounded(dcu: httpx.AsyncClient) -> None:
    polls = [
        asyncio.create_task(dcu.get("/device/v1/work", params={"wait": "1"})) for _ in range(6)
    ]
    statuses = sorted([(await poll).status_code for poll in polls])
    assert statuses == [200] * 4 + [503] * 2
    for wait in ("-1", "nan", "1e3", "soon"):
        bad = await dcu.get("/device/v1/work", params={"wait": wait})
        assert (bad.status_code, code(bad)) == (400, "request.wait")


async def test_health_tells_strangers_little(
    running: Running, browser: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await asyncio.to_thread(running.services.health.look)
    stranger = await browser.get("/health")
    assert (stranger.status_code, stranger.json()) == (200, {"status": "ok", "checks": None})
    checks = (await viewer.get("/health")).json()["checks"]
    assert set(checks) >= {"database", "lake", "disk"}
    assert all(check["ok"] for check in checks.values())
    running.services.health.note("compaction", ok=False, detail="no room")
    await asyncio.to_thread(running.services.health.look)
    failing = await browser.get("/health")
    assert (failing.status_code, failing.json()["status"]) == (503, "failing")


async def test_metrics_count_what_happened(
    dcu: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await upload(dcu, "b1", day(["M1"]))
    await upload(dcu, "b1", day(["M1"]))
    await upload(dcu, "b2", b"junk")
    answer = await viewer.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in (
        'openami_batches_total{kind="readings",status="stored"} 1.0',
        'openami_batches_total{kind="readings",status="repeated"} 1.0',
        'openami_rows_stored_total{kind="readings"} 96.0',
        'openami_refusals_total{code="upload.stream"} 1.0',
        'openami_devices{kind="meter",state="registered"} 1.0',
        "openami_uploads_waiting 0.0",
    ):
        assert line in answer.text, line


async def test_metrics_can_be_open_to_all(tmp_path: Path) -> None:
    async with (
        running_headend(tmp_path, open_metrics=True) as running,
        operator_client(running) as stranger,
    ):
        assert (await stranger.get("/metrics")).status_code == 200
