"""C12.22 meters at a head-end: registered, read, asked, kept."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.c1222_town import TownMeter
from tests.support.headend import PERIOD, START, login, operator_client, running_headend

from openami.c1222.titles import ApTitle
from openami.core.clock import ManualClock
from openami.core.errors import ConflictError, TransportError
from openami.core.obis import Obis
from openami.fleet.devices import Contact, LifecycleState, MeterProtocol
from openami.fleet.jobs import Target
from openami.fleet.ports import ReadingFilter
from openami.headend.c1222 import collector
from openami.metrology.energy import Channel
from openami.metrology.events import Event
from openami.relay.run import RelayRunner, RelaySettings
from openami.transport.c1222 import EndpointConfig, NodeUrl
from openami.transport.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from openami.headend.server import Running

DAY = 86_400
PROFILE = "1.0.99.1.0.255"
IMPORT = "1.0.1.29.0.255"
FRAUD = "0.0.99.98.1.255"
SETTINGS: dict[str, Any] = {
    "c1222_listen": "127.0.0.1:0",
    "c1222_spread_s": 0.0,
    "c1222_settle_s": 0.0,
    "c1222_history_days": 2.0,
    "c1222_timeout_s": 1.0,
    "c1222_backoff_s": 1.0,
}


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that happens by itself."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


def device(running: Running, meter: TownMeter) -> Any:
    return running.services.registry.meter(meter.serial)


def stored(running: Running, meter: TownMeter, profile: str = PROFILE) -> list[dict[str, Any]]:
    which = ReadingFilter(meter.serial, profile=profile)
    table, _ = running.services.readings.page(which)
    return table.to_pylist()  # type: ignore[no-any-return]


def metered(meter: TownMeter) -> int:
    return meter.meter.engine.register(Channel.IMPORT)


async def read_up_to(running: Running, meter: TownMeter, end: float) -> None:
    def there() -> bool:
        times = running.services.readings._readings.cursors([meter.serial])
        return times.get(meter.serial, {}).get(PROFILE, 0) >= end

    await until(there, f"the interval that ends at {end}")


async def seen_by_people(client: httpx.AsyncClient, meter: TownMeter) -> None:
    node = (await client.get(f"/api/v1/meters/{meter.serial}/node")).json()
    assert node["ap_title"] == meter.title
    assert node["address"].startswith("127.0.0.1:")
    assert (node["via"], node["expires_at"] > node["registered_at"]) == (None, True)
    found = (await client.get(f"/api/v1/devices/meter-{meter.serial}")).json()
    assert (found["protocol"], found["dcu"]) == ("C12.22", None)
    page = (await client.get(f"/meters/{meter.serial}")).text
    assert "ApTitle" in page
    assert meter.title in page
    assert ">C12.22<" in (await client.get("/meters")).text
    answer = await client.get("/api/v1/meters/M404/node")
    assert answer.status_code == 404


async def switched(client: httpx.AsyncClient, meter: TownMeter) -> None:
    path = f"/api/v1/meters/{meter.serial}/supply"
    for connected in (False, True):
        answer = await client.post(path, json={"connected": connected, "why": "a test"})
        assert answer.json() == {"connected": connected, "said": "done", "order": None}
        assert meter.meter.engine.state.connected is connected
    assert (await client.post(path, json={"connected": True, "why": ""})).status_code == 422
    found = (await client.get(f"/api/v1/devices/meter-{meter.serial}/audit")).json()["items"]
    said = [each["what"] for each in found if each["what"].startswith("meter.supply")]
    assert said[-2:] == ["meter.supply off: done", "meter.supply off asked for"]
    answer = await client.post("/api/v1/meters/M404/supply", json={"connected": True, "why": "x"})
    assert answer.status_code == 404


def take(running: Running, *meters: TownMeter) -> None:
    for meter in meters:
        running.services.shipments.take(meter.shipment(), who="test")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
async def test_a_meter_registers_and_its_readings_are_its_own(
    tmp_path: Path, clock: ManualClock, udp: bool
) -> None:
    meter = TownMeter(8437, clock, watts=1234)
    async with running_headend(tmp_path, clock=clock, **SETTINGS) as running:
        take(running, meter)
        assert running.c1222 is not None
        clock.advance(DAY + 100)
        meter.meter.refresh()
        async with meter.online(running.c1222, udp=udp):
            end = clock.now() // PERIOD * PERIOD
            await read_up_to(running, meter, end)
            await until(lambda: device(running, meter).contact is Contact.OK, "it was read")
            for _ in range(5):
                clock.advance(PERIOD)
                meter.meter.refresh()
            await read_up_to(running, meter, clock.now() // PERIOD * PERIOD)
        rows = [row for row in stored(running, meter) if row["channel"] == IMPORT]
        assert len(rows) == len({row["time"] for row in rows}) == 96 + 5
        assert {row["unit"] for row in rows} == {30}
        whole = (clock.now() - START) // PERIOD * PERIOD
        assert sum(row["value"] for row in rows) == round(1234 * whole / 3600)
        seen = device(running, meter)
        assert seen.protocol is MeterProtocol.C1222
        assert seen.state is LifecycleState.IN_SERVICE
        assert seen.dcu is None
        assert seen.last_read is not None
        assert seen.clock_offset is not None  # the clock was moved while it was looked at
        registers = {row["channel"]: row for row in stored(running, meter, "instant")}
        assert registers["1.0.1.8.0.255"]["unit"] == 30
        logs = running.services.readings.events(meter=meter.serial, limit=1000).items
        assert {event.log for event in logs} <= {f"0.0.99.98.{n}.255" for n in range(9)}


async def test_an_operator_reads_a_meter_now(tmp_path: Path, clock: ManualClock) -> None:
    meter = TownMeter(8438, clock, watts=2000)
    async with running_headend(tmp_path, clock=clock, **SETTINGS) as running:
        take(running, meter)
        assert running.c1222 is not None
        clock.advance(3600)
        meter.meter.refresh()
        async with meter.online(running.c1222), operator_client(running) as client:
            await login(client)
            await until(lambda: device(running, meter).contact is Contact.OK, "it was read")
            wanted = [
                {"class_id": 3, "obis": "1.0.1.8.0.255", "attribute": 2},
                {"class_id": 3, "obis": "1.0.1.7.0.255", "attribute": 2},
                {"class_id": 3, "obis": "1.0.32.7.0.255", "attribute": 2},
                {"class_id": 8, "obis": "0.0.1.0.0.255", "attribute": 2},
                {"class_id": 1, "obis": "0.0.96.1.0.255", "attribute": 2},
                {"class_id": 3, "obis": "1.0.99.7.0.255", "attribute": 2},
            ]
            path = f"/api/v1/meters/{meter.serial}/reads"
            answer = await client.post(path, json={"attributes": wanted})
            assert answer.status_code == 202, answer.text
            job = answer.json()
            async with asyncio.timeout(30):
                while job["state"] not in {"done", "failed", "expired"}:
                    await asyncio.sleep(0.02)
                    job = (await client.get(f"/api/v1/jobs/{job['id']}")).json()
            assert job["state"] == "done", job
            results = {each["obis"]: each for each in job["results"]}
            assert results["1.0.1.8.0.255"]["value"] == metered(meter) == 2000
            assert results["1.0.1.7.0.255"]["value"] == 2000
            assert results["1.0.32.7.0.255"]["unit"] == 35
            assert results["0.0.1.0.0.255"]["value"].startswith("2026-05-28T21:30")
            assert results["0.0.96.1.0.255"]["value"] == meter.serial
            assert results["1.0.99.7.0.255"]["error"] == "c1222.not-here"
            await seen_by_people(client, meter)
            await switched(client, meter)


async def test_a_restart_loses_no_registration(tmp_path: Path, clock: ManualClock) -> None:
    """The meter believes that it is registered, and it is: it is read where it listens."""
    meter = TownMeter(8439, clock)
    async with AsyncExitStack() as stack:
        async with running_headend(tmp_path, clock=clock, **SETTINGS) as running:
            take(running, meter)
            assert running.c1222 is not None
            station, _ = await stack.enter_async_context(meter.online(running.c1222))
            await until(lambda: station.joined, "it is registered")
        clock.advance(PERIOD * 3)
        meter.meter.refresh()
        again = {**SETTINGS, "c1222_listen": "127.0.0.1:0"}
        async with running_headend(tmp_path, clock=clock, **again) as running:
            found = running.services.nodes.seen(meter.serial)
            assert found is not None
            assert found.standing is not None
            await read_up_to(running, meter, clock.now() // PERIOD * PERIOD)
            await until(lambda: device(running, meter).contact is Contact.OK, "it was read")
            assert found.address == device(running, meter).address
            rows = [row for row in stored(running, meter) if row["channel"] == IMPORT]
        assert len(rows) == len({row["time"] for row in rows}) == 3


async def test_a_meter_behind_a_relay_registers_and_is_read_through_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    meter = TownMeter(8446, clock)
    async with running_headend(tmp_path, clock=clock, **SETTINGS) as running:
        take(running, meter)
        parent = NodeUrl.parse(f"c1222+tcp://{running.c1222}?node=.123.4")
        sockets = EndpointConfig(listen=(("127.0.0.1", 0),))
        title = ApTitle.parse(".123.2")
        relay = RelaySettings(title, sockets, parent=parent, registers=False)
        async with RelayRunner(relay) as between:
            where = str(between.listening[0])
            async with meter.online(where, listen=False) as (station, _):
                await until(lambda: station.joined, "it is registered")
                for _ in range(3):
                    clock.advance(PERIOD)
                    meter.meter.refresh()
                await read_up_to(running, meter, clock.now() // PERIOD * PERIOD)
        assert device(running, meter).address == ""  # there is no way to it but the relay's
        rows = [row for row in stored(running, meter) if row["channel"] == IMPORT]
        assert len(rows) == len({row["time"] for row in rows}) == 3


async def test_what_happens_in_a_meter_is_told_at_once_and_stored_once(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "TOLD_S", 0.1)
    meter = TownMeter(8440, clock)
    slow = {**SETTINGS, "c1222_read_every_s": 86_400.0}
    async with running_headend(tmp_path, clock=clock, **slow) as running:
        take(running, meter)
        assert running.c1222 is not None
        async with meter.online(running.c1222) as (station, endpoint):
            await until(lambda: device(running, meter).contact is Contact.OK, "it was read")
            for event in (Event.TERMINAL_COVER_OPENED, Event.MAGNET_DETECTED) * 2:
                meter.meter.engine.record(event)
            station.look(now=SystemClock().now())
            endpoint.wake()

            def fraud() -> list[int]:
                found = running.services.readings.events(meter=meter.serial, log=FRAUD).items
                return sorted(each.code for each in found)

            await until(lambda: len(fraud()) == 4, "all of them are stored")
            clock.advance(60)
            meter.meter.engine.record(Event.TERMINAL_COVER_CLOSED)
            station.look(now=SystemClock().now())
            endpoint.wake()
            await until(lambda: len(fraud()) > 4, "the next one is stored")
            assert fraud() == [40, 40, 41, 42, 42]


async def test_a_clock_that_is_off_is_set(tmp_path: Path, clock: ManualClock) -> None:
    clock.advance(400)
    meter = TownMeter(8441, clock)
    async with running_headend(tmp_path, clock=clock, **SETTINGS) as running:
        take(running, meter)
        assert running.c1222 is not None
        meter.meter.engine.set_clock(clock.now() + 45)
        async with meter.online(running.c1222):

            def offset() -> float:
                return abs(meter.meter.engine.seconds - clock.now())

            assert offset() > 40
            await until(lambda: offset() < 2, "its clock was set")
            await until(lambda: device(running, meter).contact is Contact.OK, "it was read")


async def test_who_has_the_wrong_key_and_whom_nobody_knows_are_told_of(
    tmp_path: Path, clock: ManualClock
) -> None:
    forger, stranger = TownMeter(8442, clock), TownMeter(8443, clock)
    async with running_headend(tmp_path, clock=clock, **SETTINGS) as running:
        take(running, forger)
        assert running.c1222 is not None
        alarms = running.services.alarms
        async with (
            forger.with_key(bytes(16)).online(running.c1222),
            stranger.online(running.c1222),
        ):

            def codes() -> set[tuple[str, str]]:
                return {(each.subject, each.code) for each in alarms.list().items}

            wanted = {(f"meter-{forger.serial}", "c1222.tag"), ("c1222", "c1222.unknown")}
            await until(lambda: wanted <= codes(), "people are told")
        assert device(running, forger).contact is Contact.UNKNOWN
        assert b"c1222_refused_total" in running.services.metrics.exposition()


async def test_a_suspended_meter_is_neither_let_in_nor_read(
    tmp_path: Path, clock: ManualClock
) -> None:
    meter = TownMeter(8444, clock)
    async with running_headend(tmp_path, clock=clock, **SETTINGS) as running:
        take(running, meter)
        registry, name = running.services.registry, f"meter-{meter.serial}"
        for state in (LifecycleState.REGISTERED, LifecycleState.SUSPENDED):
            registry.move(name, state, who="test", why="a test")
        assert running.c1222 is not None
        async with meter.online(running.c1222) as (station, _):
            alarms = running.services.alarms
            await until(lambda: alarms.list(subject=name).items, "people are told")
            assert alarms.list(subject=name).items[0].code == "c1222.denied"
            assert not station.joined
        assert running.services.metrics.exposition().count(b'outcome="denied"')


async def test_a_meter_that_is_away_is_a_fault_and_comes_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    meter = TownMeter(8445, clock)
    quick = {**SETTINGS, "c1222_timeout_s": 0.1}
    async with running_headend(tmp_path, clock=clock, **quick) as running:
        take(running, meter)
        assert running.c1222 is not None
        async with meter.online(running.c1222) as (station, _):
            await until(lambda: device(running, meter).contact is Contact.OK, "it was read")
            station.leave = lambda *, now: None  # type: ignore[method-assign]  # its power fails
        clock.advance(PERIOD)
        await until(lambda: device(running, meter).fault is not None, "nobody answers")
        assert device(running, meter).fault.code == "c1222.unanswered"
        clock.advance(PERIOD)
        meter.meter.refresh()
        async with meter.online(running.c1222):
            await read_up_to(running, meter, clock.now() // PERIOD * PERIOD)
            await until(lambda: device(running, meter).fault is None, "all is well")


async def test_a_port_that_is_taken_is_told(tmp_path: Path, clock: ManualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TransportError) as caught:
            async with running_headend(tmp_path, clock=clock, c1222_listen=f"127.0.0.1:{port}"):
                pytest.fail("it runs")
    assert caught.value.code == "transport.in-use"


async def test_without_the_setting_nobody_listens_and_nobody_reads(
    tmp_path: Path, clock: ManualClock
) -> None:
    meter = TownMeter(8447, clock)
    async with running_headend(tmp_path, clock=clock) as running:
        take(running, meter)
        assert running.c1222 is None
        wanted = [Target(3, Obis.parse("1.0.1.8.0.255"), 2)]
        with pytest.raises(ConflictError) as caught:
            await running.services.jobs.read(meter.serial, wanted, who="test")
        assert caught.value.code == "job.no-dcu"
