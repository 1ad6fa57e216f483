"""On-demand reads survive whatever happens to head-end and DCU."""

import asyncio

import pytest

from openami.core.clock import ManualClock
from openami.core.errors import ConflictError, NotFoundError, SecurityError
from openami.core.obis import Obis
from openami.fleet.devices import Device, DeviceKind, LifecycleState, Sighting
from openami.fleet.jobs import MAX_ATTRIBUTES, Finished, JobState, Started, Target, TargetResult
from openami.headend import jobs
from openami.headend.bus import QUEUE
from openami.headend.errors import RequestError
from openami.headend.jobs import LEASE_S
from openami.headend.registry import device_news
from openami.headend.services import Context, Services, Stores, build

GONE = LifecycleState.SUSPENDED
ENERGY = Target(3, Obis.parse("1.0.1.8.0.255"), 2)


@pytest.fixture
def meter(stores: Stores) -> str:
    stores.devices.sight(
        [
            Sighting(DeviceKind.DCU, "D1"),
            Sighting(DeviceKind.DCU, "D2"),
            Sighting(DeviceKind.METER, "M1", dcu="D1"),
        ],
        now=0.0,
    )
    return "M1"


async def test_a_waiting_dcu_is_woken(services: Services, meter: str) -> None:
    waiting = asyncio.create_task(services.jobs.work("D1", wait=60))
    await asyncio.sleep(0)
    job = await services.jobs.read(meter, [ENERGY, ENERGY], who="test")
    [offered] = await waiting
    assert (offered.id, offered.targets, offered.state) == (job.id, (ENERGY,), JobState.OFFERED)
    assert await services.jobs.work("D1", wait=0) == ()


@pytest.mark.parametrize("missed", [0, QUEUE])
async def test_who_is_suspended_while_it_waits_is_sent_away(
    services: Services, meter: str, missed: int
) -> None:
    services.jobs.start()
    waiting = asyncio.create_task(services.jobs.work("D1", wait=services.settings.long_poll_s))
    while "D1" not in services.jobs._waiting:
        await asyncio.sleep(0)
    services.registry.move("dcu-D1", LifecycleState.SUSPENDED, who="anna", why="stolen")
    for number in range(missed):  # others, before the loop comes to any of them
        services.bus.publish(device_news(Device(DeviceKind.DCU, f"X{number}", GONE), 0.0))
    async with asyncio.timeout(60):
        with pytest.raises(SecurityError) as caught:
            await waiting
    assert caught.value.code == "fleet.shut-out"
    job = await services.jobs.read(meter, [ENERGY], who="test")
    with pytest.raises(SecurityError):
        await services.jobs.work("D1", wait=0)
    assert (await services.jobs.get(job.id)).state is JobState.QUEUED
    services.bus.close()


async def test_only_its_own_dcu_is_offered_a_job(services: Services, meter: str) -> None:
    job = await services.jobs.read(meter, [ENERGY], who="test")
    assert await services.jobs.work("D2", wait=0) == ()
    with pytest.raises(NotFoundError):
        await services.jobs.report("D2", job.id, Finished(services.jobs.now()))


async def test_an_offer_that_came_to_nothing_is_made_again(
    services: Services, meter: str, wall: ManualClock
) -> None:
    await services.jobs.read(meter, [ENERGY], who="test")
    [first] = await services.jobs.work("D1", wait=0)
    wall.advance(LEASE_S + 1)
    waiting = asyncio.create_task(services.jobs.work("D1", wait=60))
    await services.jobs.pass_time()
    [second] = await waiting
    assert (second.id, second.offers) == (first.id, 2)


async def test_nobody_waits_for_ever(services: Services, meter: str, wall: ManualClock) -> None:
    job = await services.jobs.read(meter, [ENERGY], who="test")
    wall.advance(services.settings.job_expiry_s + 1)
    await services.jobs.pass_time()
    expired = await services.jobs.get(job.id)
    assert (expired.state, expired.error_code) == (JobState.EXPIRED, "job.expired")
    late = await services.jobs.report("D1", job.id, Finished(wall.now()))
    assert late.state is JobState.EXPIRED


async def test_a_restart_loses_no_job(
    services: Services, context: Context, stores: Stores, meter: str
) -> None:
    running = await services.jobs.read(meter, [ENERGY], who="test")
    await services.jobs.work("D1", wait=0)
    now = services.jobs.now()
    await services.jobs.report("D1", running.id, Started(now, now + LEASE_S, 0.5))
    queued = await services.jobs.read(meter, [ENERGY], who="test")
    again = build(context, stores).jobs
    [offered] = await again.work("D1", wait=0)
    assert offered.id == queued.id
    result = TargetResult(ENERGY, 42, 0, 30)
    done = await again.report("D1", running.id, Finished(now, (result,)))
    assert (done.state, done.results) == (JobState.DONE, (result,))
    listed = (await again.list(meter=meter)).items
    assert {job.id for job in listed} == {running.id, queued.id}


@pytest.mark.usefixtures("meter")
async def test_stopping_answers_who_waits(services: Services) -> None:
    waiting = asyncio.create_task(services.jobs.work("D1", wait=60))
    while not services.jobs._waiting:
        await asyncio.sleep(0)
    services.jobs.stop()
    assert await waiting == ()
    assert not services.jobs._waiting


async def test_what_can_not_be_read_is_refused(
    services: Services, stores: Stores, meter: str
) -> None:
    with pytest.raises(RequestError):
        await services.jobs.read(meter, [], who="test")
    many = [Target(n, ENERGY.obis, 2) for n in range(MAX_ATTRIBUTES + 1)]
    with pytest.raises(RequestError):
        await services.jobs.read(meter, many, who="test")
    stores.devices.sight([Sighting(DeviceKind.METER, "M2")], now=0.0)
    with pytest.raises(ConflictError) as caught:
        await services.jobs.read("M2", [ENERGY], who="test")
    assert caught.value.code == "job.no-dcu"
    services.registry.move("meter-M1", LifecycleState.RETIRED, who="test", why="broken")
    with pytest.raises(ConflictError) as caught:
        await services.jobs.read(meter, [ENERGY], who="test")
    assert caught.value.code == "job.retired"


async def test_jobs_that_ended_long_ago_are_forgotten(
    services: Services, meter: str, wall: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PURGE", 1)  # several rounds
    ended = [await services.jobs.read(meter, [ENERGY], who="test") for _ in range(3)]
    for job in ended:
        await services.jobs.report("D1", job.id, Finished(wall.now()))
    await services.jobs.forget()
    assert len((await services.jobs.list()).items) == 3
    wall.advance(services.settings.keep_jobs_days * 86_400 + 1)
    waiting = await services.jobs.read(meter, [ENERGY], who="test")
    await services.jobs.forget()
    assert [job.id for job in (await services.jobs.list()).items] == [waiting.id]
