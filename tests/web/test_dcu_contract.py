"""The DCU's own client and the head-end's device listener mean the same."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.headend import (
    LOAD_PROFILE,
    PERIOD,
    START,
    day,
    meter_status,
    report,
    shipment,
    shipped,
    some_events,
)

from openami.core.obis import Obis
from openami.dcu.headend import (
    BatchKind,
    BroadcastCredentials,
    HeadEnd,
    HeadEndAwayError,
    HeadEndRefusalError,
)
from openami.fleet.jobs import JobState, Target
from openami.headend.server import Running
from openami.mdm.readings import to_ipc
from openami.transport.http import HttpClient
from openami.transport.tls import client_context


@pytest.fixture
async def headend(running: Running, tmp_path: Path) -> AsyncIterator[HeadEnd]:
    issued = running.services.registry.enroll_dcu("D1", who="test")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(issued.key + issued.certificate)
    tls = client_context(running.home.authority, certificate=chain, key=chain)
    async with HttpClient(running.device_url, tls=tls) as client:
        yield HeadEnd(client)


async def test_everything_a_dcu_asks_for(running: Running, headend: HeadEnd) -> None:
    running.services.shipments.take(shipment(shipped(1)), who="test")
    told = await headend.report(report(meter_status("M1", state="discovered")))
    assert told == int(running.services.clock.now())
    keys = await headend.credentials(shipped(1).system_title)
    assert keys is not None
    assert (keys.guek, keys.gak) == (shipped(1).keys["guek"], shipped(1).keys["gak"])
    assert keys.broadcast is None
    assert await headend.credentials(shipped(2).system_title) is None
    line = {"gbek": b"L" * 16, "gbak": b"A" * 16}
    hearing = replace(shipped(3), keys={**shipped(3).keys, **line})
    running.services.shipments.take(shipment(hearing), who="test")
    keys = await headend.credentials(hearing.system_title)
    assert keys is not None
    assert keys.broadcast == BroadcastCredentials(102, *line.values())
    assert "4c4c" not in repr(keys)
    body = to_ipc(day(["M1"], intervals=4))
    stored = await headend.upload("b1", BatchKind.READINGS, body)
    assert (stored.repeated, stored.rows) == (False, 4)
    assert (await headend.upload("b1", BatchKind.READINGS, body)).repeated
    await headend.upload("e1", BatchKind.EVENTS, to_ipc(some_events("M1")))
    assert await headend.cursors() == {"M1": {LOAD_PROFILE: START + 4 * PERIOD}}


async def test_a_job_goes_there_and_back(running: Running, headend: HeadEnd) -> None:
    await headend.report(report(meter_status("M1")))
    waiting = asyncio.create_task(headend.work(20))
    target = Target(3, Obis.parse("1.0.1.8.0.255"), 2)
    job = await running.services.jobs.read("M1", [target], who="test")
    [work] = (await waiting).jobs
    assert (work.id, work.meter, work.attributes[0].obis) == (job.id, "M1", "1.0.1.8.0.255")
    result = {**work.attributes[0].model_dump(), "value": 7, "scaler": 0, "unit": 30}
    await headend.tell_job(work.id, {"state": "done", "progress": 1.0, "results": [result]})
    done = await running.services.jobs.get(job.id)
    assert (done.state, done.results[0].value) == (JobState.DONE, 7)


async def test_a_poll_that_is_given_up_takes_no_job_with_it(
    running: Running, headend: HeadEnd
) -> None:
    await headend.report(report(meter_status("M1")))
    given_up = asyncio.create_task(headend.work(20))
    while not running.services.jobs._waiting:
        await asyncio.sleep(0)
    given_up.cancel()
    while running.services.jobs._waiting:
        await asyncio.sleep(0)
    target = Target(3, Obis.parse("1.0.1.8.0.255"), 2)
    job = await running.services.jobs.read("M1", [target], who="test")
    [work] = (await headend.work(20)).jobs
    assert work.id == job.id


async def test_refusals_and_absences(running: Running, headend: HeadEnd) -> None:
    with pytest.raises(HeadEndRefusalError) as refused:
        await headend.upload("b1", BatchKind.READINGS, b"junk")
    assert (refused.value.status, refused.value.code) == (400, "upload.stream")
    running.services.ingest._batches = running.services.settings.queue_batches
    with pytest.raises(HeadEndAwayError) as away:
        await headend.upload("b1", BatchKind.READINGS, to_ipc(day(["M1"])))
    assert away.value.retry_after == running.services.settings.retry_after_s
