"""Meters that run: on their links, fed by programs, killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.killed import run_and_kill
from tests.support.meter_bench import START
from tests.support.meter_flash import make_flash, move_flash
from tests.support.small_disk import small_disk

from openami.core.clock import ManualClock
from openami.core.errors import ConfigError, StoreError, TransportError
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig
from openami.dlms.references import AttributeRef
from openami.meter.identity import generate_identity, seeded
from openami.meter.live import LiveFeed
from openami.meter.run import MeterRunner, RunSettings, run_meter
from openami.meter.settings import MeterConfig
from openami.meter.sources import SourceSpec, parse_source
from openami.metrology.energy import Channel
from openami.metrology.sources import LiveSource, Sample
from openami.transport.serial import open_pty
from openami.transport.session import open_session
from openami.transport.tcp import open_tcp
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from pathlib import Path

ENERGY = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
IDENTITY = generate_identity(5, seeded("run"), address=17)
READER = ClientConfig(mechanism=Mechanism.LLS, secret=IDENTITY.keys.lls)
ANY = (("127.0.0.1", 0),)


def settings(clock: ManualClock | None = None, **changes: object) -> RunSettings:
    base = RunSettings(
        config=MeterConfig(IDENTITY),
        source=parse_source("constant:3600"),
        clock=clock or ManualClock(START),
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # any of its fields


async def energy(url: str) -> int:
    async with open_session(MeterUrl.parse(url), READER) as session:
        return (await session.get(ENERGY)).integer()


async def test_a_meter_serves_all_its_links() -> None:
    clock = ManualClock(START)
    async with MeterRunner(settings(clock, wrapper=ANY, hdlc=ANY, pty=True)) as runner:
        clock.advance(1000)
        (host, port), (_, hdlc) = runner.listening.wrapper[0], runner.listening.hdlc[0]
        assert await energy(f"dlms+tcp://{host}:{port}?client=2") == 1000
        assert await energy(f"dlms+udp://{host}:{port}?client=2") == 1000
        assert await energy(f"hdlc+tcp://{host}:{hdlc}?server=1:17&client=2") == 1000
        assert await energy(f"hdlc+tcp://{host}:{hdlc}?server=1&client=2") == 1000
        line = runner.listening.serial[0]
        assert await energy(f"hdlc+serial:{line}?server=1:17&client=2") == 1000


async def test_a_meter_has_room_for_as_many_as_it_says() -> None:
    async with MeterRunner(settings(wrapper=ANY, hdlc=ANY)) as runner:
        most = runner.meter.model.tcp.connections
        for host, port in (*runner.listening.wrapper, *runner.listening.hdlc):
            async with AsyncExitStack() as stack:
                channels = [await open_tcp(host, port) for _ in range(most + 1)]
                for channel in channels:
                    stack.callback(channel.close)
                assert await channels[-1].read() == b""
                assert not any(channel.closed for channel in channels[:-1])


async def test_a_meter_keeps_all_when_it_stops(tmp_path: Path) -> None:
    clock = ManualClock(START)
    for total in (1000, 2000):
        async with MeterRunner(settings(clock, state=tmp_path, hdlc=ANY)) as runner:
            clock.advance(1000)
        assert runner.meter.engine.register(Channel.IMPORT) == total


async def test_a_meter_stops_when_it_is_told(tmp_path: Path) -> None:
    clock = ManualClock(START)

    def told(runner: MeterRunner) -> None:
        clock.advance(500)
        os.kill(os.getpid(), signal.SIGTERM)

    await run_meter(settings(clock, state=tmp_path, wrapper=ANY), ready=told)
    async with MeterRunner(settings(clock, state=tmp_path, wrapper=ANY)) as runner:
        assert runner.meter.engine.register(Channel.IMPORT) == 500


async def test_a_line_that_is_gone_ends_the_meter() -> None:
    ours, path = open_pty()

    def unplug(_: MeterRunner) -> None:
        ours.close()

    with pytest.raises(TransportError):
        await run_meter(settings(serial=(path,)), ready=unplug)


async def test_a_meter_wants_a_link() -> None:
    with pytest.raises(ConfigError, match="link"):
        MeterRunner(settings())


async def test_an_address_in_use_is_told() -> None:
    async with MeterRunner(settings(hdlc=ANY)) as runner:
        with pytest.raises(TransportError):
            async with MeterRunner(settings(hdlc=runner.listening.hdlc)):
                raise AssertionError("the port is taken")


async def test_a_memory_that_is_full_stops_no_meter(tmp_path: Path) -> None:
    clock = ManualClock(START)
    make_flash(tmp_path / "a")
    with small_disk("limit", tmp_path / "b", 60_000) as disk:
        move_flash(tmp_path / "a", disk.path)
        async with MeterRunner(settings(clock, state=disk.path, hdlc=ANY)) as runner:
            clock.advance(86_400 * 50)
            with pytest.raises(StoreError):
                runner.meter.refresh()
            assert runner.meter.engine.register(Channel.IMPORT) == 50 * 86_400
        disk.grow()
    async with MeterRunner(settings(clock, state=disk.path, hdlc=ANY)) as runner:
        assert runner.meter.engine.register(Channel.IMPORT) == 0


# Programs as sources.


def feed(code: str) -> tuple[LiveSource, LiveFeed]:
    source = LiveSource()
    return source, LiveFeed((sys.executable, "-c", code), source, ManualClock(START))


async def test_a_program_tells_what_flows() -> None:
    source, live = feed("print('# load'); print('x'); print('y' * 5000); print('1200 -30')")
    async with live:
        await live.ended()
    assert source.at(int(START) * 1_000_000).sample == Sample(1_200_000, -30_000)


async def test_a_program_that_goes_on_is_stopped_with_the_meter(tmp_path: Path) -> None:
    script = tmp_path / "load.py"
    script.write_text("import time\nprint('4000', flush=True)\ntime.sleep(600)\n")
    clock = ManualClock(START)
    spec = parse_source(f"script:{script}")
    assert spec.live is not None
    async with MeterRunner(settings(clock, source=spec, hdlc=ANY)) as runner:
        while not spec.live.at(int(START) * 1_000_000).sample.active:
            await asyncio.sleep(0.01)
        clock.advance(900)
        runner.meter.refresh()
        assert runner.meter.engine.register(Channel.IMPORT) == 1000


async def test_a_program_that_will_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openami.meter.live.STOP_S", 0.05)
    code = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint(7, flush=True)\n"
    source, live = feed(code + "time.sleep(600)")
    async with live:
        while not source.at(int(START) * 1_000_000).sample.active:
            await asyncio.sleep(0.01)
    assert live._process is not None
    assert live._process.returncode == -9


async def test_a_program_that_is_not_there_is_told() -> None:
    spec = SourceSpec(LiveSource(), LiveSource(), ("/none/such",))
    with pytest.raises(ConfigError, match="cannot be run"):
        async with MeterRunner(settings(source=spec, hdlc=ANY)):
            raise AssertionError("there is no such program")


# Kill -9.


def test_a_killed_meter_loses_no_more_than_an_interval(tmp_path: Path) -> None:
    """Rows that a reader saw stay; the register loses at most ten seconds of the meter's time."""
    chance = random.Random(5)
    seen: dict[str, int] = {}
    energy = 0
    for day in (2, 3, 4):
        clock = f"2026-03-0{day}T00:00:00Z,3600"
        lines = run_and_kill(
            "tests.support.meter_child", str(tmp_path), clock, after_lines=6, chance=chance
        )
        first, *_, last = (json.loads(line) for line in lines)
        assert {time: first["rows"][time] for time in seen} == seen
        assert first["energy"] >= energy - 10
        assert sum(first["rows"].values()) <= first["energy"]
        seen, energy = last["rows"], last["energy"]
    assert len(seen) > 96
