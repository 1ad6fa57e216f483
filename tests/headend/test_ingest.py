"""Uploads: room, memory, and the news they make."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.headend import CHANNEL, PERIOD, START, day, some_events

from openami.core.errors import DecodeError
from openami.fleet.ports import Batch, BatchStatus
from openami.headend import ingest
from openami.headend.bus import LiveEvent, Topic
from openami.headend.errors import BusyError, RequestError
from openami.headend.ingest import BatchKind, Upload, meters_of
from openami.headend.news import EVENTS_TOLD, batch_news
from openami.headend.services import Services
from openami.mdm.readings import from_ipc, to_ipc


def upload(body: bytes, name: str = "b1", kind: BatchKind = BatchKind.READINGS) -> Upload:
    return Upload("D1", name, kind, hashlib.sha256(body).digest(), body)


def test_room_is_given_back(services: Services) -> None:
    limit = services.settings.queue_octets
    with services.ingest.room(10):
        with pytest.raises(BusyError) as caught, services.ingest.room(limit):
            pass
        assert caught.value.code == "busy.queue"
    with services.ingest.room(limit):
        pass
    with services.ingest.room(2 * limit):  # alone, anything that passed the other limits goes
        pass
    with services.ingest.room(10):
        pass


async def test_an_upload_says_what_it_is_and_shows_no_body(services: Services) -> None:
    body = to_ipc(day(["M1"]))
    assert "body" not in repr(upload(body))
    result = await services.ingest.submit(upload(body))
    assert (result.status, result.rows) == (BatchStatus.STORED, 96)
    await services.ingest.stop()
    with pytest.raises(BusyError):
        await services.ingest.submit(upload(body, "b2"))


async def test_news_of_an_upload_are_made_only_for_who_listens_to_them(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(batch: Batch, *args: Any, **named: Any) -> Iterator[LiveEvent]:
        made.append(batch.id)
        return batch_news(batch, *args, **named)

    monkeypatch.setattr(ingest, "batch_news", counted)
    body = to_ipc(day(["M1"]))
    with services.bus.subscribe(lambda _: True, topics={Topic.DEVICE}):
        await services.ingest.submit(upload(body))
        assert made == []
        with services.bus.subscribe(lambda _: True, topics={Topic.BATCH}) as listening:
            await services.ingest.submit(upload(body, "b2"))
            news = await listening.next(10)
    assert (news and news.data["batch"], made) == ("b2", ["b2"])
    await services.ingest.stop()


async def test_too_many_rows(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    small = services.settings.model_copy(update={"batch_rows": 95})
    monkeypatch.setattr(services.ingest, "_settings", small)
    with pytest.raises(DecodeError) as caught:
        await services.ingest.submit(upload(to_ipc(day(["M1"]))))
    assert caught.value.code == "upload.too-large"
    wrong = Upload("D1", "b1", BatchKind.READINGS, bytes(32), b"")
    with pytest.raises(RequestError):
        await services.ingest.submit(wrong)
    await services.ingest.stop()


def test_an_empty_upload_makes_no_news_of_meters() -> None:
    table = from_ipc(to_ipc(day(["M1"]).slice(0, 0)))
    news = list(batch_news(Batch("D1", "b", b"", table), "readings", 0, now=1.0))
    assert [event.topic for event in news] == [Topic.BATCH]


def test_the_news_of_readings_is_the_newest_of_each_meter() -> None:
    table = from_ipc(to_ipc(day(["M1", "M2"], intervals=3)))
    assert meters_of(table) == {"M1", "M2"}
    batch, *rest = batch_news(Batch("D1", "b", b"", table), "readings", 6, now=1.0)
    assert (batch.subject, batch.data["rows"]) == ("D1", 6)
    assert {event.subject for event in rest} == {"M1", "M2"}
    for event in rest:
        [value] = event.data["values"]
        assert (value["channel"], value["value"]) == (CHANNEL, 100)
        assert START + 3 * PERIOD == 1_780_002_900
        assert value["time"] == event.data["last"] == "2026-05-28T21:15:00Z"


def test_the_news_of_events_is_bounded_and_in_order() -> None:
    table = from_ipc(to_ipc(some_events("M1", EVENTS_TOLD + 5)), schema=some_events("M1").schema)
    _, *rest = batch_news(Batch("D1", "b", b"", table), "events", 55, now=1.0)
    codes = [event.data["code"] for event in rest]
    assert codes == list(range(6, EVENTS_TOLD + 6))
