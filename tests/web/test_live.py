"""Live events reach a browser as they happen."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.support.headend import CHANNEL, day, login, meter_status, report, some_events, upload

from openami.headend.bus import LiveEvent, Topic
from openami.headend.errors import BusyError
from openami.headend.server import Running
from openami.web.api import live

Events = asyncio.Queue[tuple[str, dict[str, Any]]]


@asynccontextmanager
async def listening(client: httpx.AsyncClient, **params: Any) -> AsyncIterator[Events]:
    """Queue the events of a stream that has begun."""
    events: Events = asyncio.Queue()
    async with client.stream("GET", "/api/v1/live", params=params) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        task = asyncio.create_task(_collect(lines, events))
        yield events
        task.cancel()


async def _collect(lines: AsyncIterator[str], events: Events) -> None:
    name = ""
    async for line in lines:
        kind, _, text = line.partition(": ")
        if kind == "event":
            name = text
        elif kind == "data":
            events.put_nowait((name, json.loads(text)))


async def test_readings_and_events_are_news(
    dcu: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    async with listening(viewer, meter="M1") as events:
        await upload(dcu, "b1", day(["M1", "M2"]))
        name, data = await events.get()
        assert (name, data["subject"], data["dcu"]) == ("readings", "M1", "D1")
        [value] = data["values"]
        assert (value["channel"], value["value"], value["symbol"]) == (CHANNEL, 100, "Wh")
        assert value["time"] == data["last"]
        await upload(dcu, "e1", some_events("M1", 2), "events")
        found = [await events.get() for _ in range(2)]
        assert [(name, data["code"]) for name, data in found] == [("events", 1), ("events", 2)]
        await dcu.post("/device/v1/report", json=report(meter_status("M1"), meter_status("M3")))
        name, data = await events.get()
        assert (name, data["subject"], data["meters"]) == ("report", "D1", 2)
        assert events.empty()


async def test_a_repeat_is_no_news(dcu: httpx.AsyncClient, viewer: httpx.AsyncClient) -> None:
    await upload(dcu, "b1", day(["M1"]))
    async with listening(viewer, topic=["readings", "events"]) as events:
        await upload(dcu, "b1", day(["M1"]))
        await upload(dcu, "e1", some_events("M2", 1), "events")
        assert (await events.get())[0] == "events"


async def test_a_job_is_followed(
    dcu: httpx.AsyncClient, operator: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await dcu.post("/device/v1/report", json=report(meter_status("M1")))
    wish = {"attributes": [{"class_id": 3, "obis": "1.0.1.8.0.255"}]}
    async with listening(viewer, topic="job", dcu="D1") as events:
        job = (await operator.post("/api/v1/meters/M1/reads", json=wish)).json()["id"]
        await dcu.get("/device/v1/work")
        for state in ("running", "done"):
            await dcu.post(f"/device/v1/jobs/{job}", json={"state": state, "progress": 0.25})
        states = [(await events.get())[1] for _ in range(4)]
    assert [(s["state"], s["progress"]) for s in states] == [
        ("queued", 0.0),
        ("offered", 0.0),
        ("running", 0.25),
        ("done", 1.0),
    ]
    assert {(s["subject"], s["meter"]) for s in states} == {(job, "M1")}


def test_filters() -> None:
    def event(topic: Topic, subject: str, **fields: Any) -> LiveEvent:
        return LiveEvent(topic, subject, 0.0, **fields)

    batch = event(Topic.BATCH, "D1", dcu="D1")
    readings = event(Topic.READINGS, "M1", dcu="D1")
    job = event(Topic.JOB, "j1", dcu="D1", data={"meter": "M1"})
    told = event(Topic.REPORT, "D1", dcu="D1", meters=frozenset({"M1", "M2"}))
    every = (batch, readings, job, told)

    def chosen(**which: Any) -> list[LiveEvent]:
        names = ("meter", "dcu", "job")
        wanted = live._wanted(*(which.get(name) for name in names))
        return [one for one in every if wanted(one)]

    assert chosen() == list(every)
    assert chosen(meter="M1") == [readings, job, told]
    assert chosen(meter="M2") == [told]
    assert chosen(dcu="D2") == []
    assert chosen(job="j1") == [job]


async def test_a_slow_reader_is_told_what_it_missed(
    running: Running, viewer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe = running.services.bus.subscribe
    monkeypatch.setattr(
        running.services.bus,
        "subscribe",
        lambda wanted, topics: subscribe(wanted, topics=topics, queue=2),
    )
    async with listening(viewer) as events:
        for number in range(5):  # without a pause: the stream has no turn between them
            running.services.bus.publish(LiveEvent(Topic.DEVICE, f"M{number}", 0.0))
        found = [await events.get() for _ in range(3)]
    assert sorted(name for name, _ in found) == ["device", "device", "dropped"]
    assert next(data for name, data in found if name == "dropped") == {"events": 3}


async def test_a_log_out_ends_the_stream(
    browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.02)
    await login(browser)
    async with browser.stream("GET", "/api/v1/live") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        assert "" in {await anext(lines), await anext(lines)}
        await browser.post("/api/v1/logout")
        rest = [line async for line in lines]
    assert all(line in {"", ": "} for line in rest)


async def test_one_operator_leaves_streams_to_others(
    viewer: httpx.AsyncClient, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAMS", 2)
    async with listening(viewer), listening(viewer):
        refused = await viewer.get("/api/v1/live")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy.live")
        async with listening(admin):
            pass


def test_a_stream_that_ended_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STREAMS", 1)
    streams = live.Streams()
    for _ in range(3):
        streams.enter("admin")
        with pytest.raises(BusyError):
            streams.enter("admin")
        streams.leave("admin")


async def test_a_stopping_head_end_ends_the_stream(
    running: Running, viewer: httpx.AsyncClient
) -> None:
    async with viewer.stream("GET", "/api/v1/live") as answer:
        running.services.bus.close()
        assert [line async for line in answer.aiter_lines()] == ["retry: 2000", ""]
    refused = await viewer.get("/api/v1/live")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy.stopping")
    assert "Retry-After" in refused.headers


async def test_a_stream_needs_a_log_in(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/api/v1/live")).status_code == 401
