"""A street of real meters, read through its modem as a concentrator would, and directly."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.small_disk import small_disk

from openami.core.clock import Clock, ManualClock, ScaledClock
from openami.core.errors import ConfigError, TransportError, TransportTimeoutError
from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms.apdu.acse import Mechanism
from openami.dlms.client import ClientConfig, SecurityLevel
from openami.dlms.hdlc import HdlcParameters
from openami.dlms.references import AttributeRef
from openami.dlms.security import Keys
from openami.meter.identity import seeded
from openami.meter.settings import MeterConfig
from openami.meter.sources import parse_source
from openami.meter.street import (
    CONNECTIONS,
    StreetMeter,
    StreetRunner,
    StreetSettings,
    prepare_identities,
    run_street,
)
from openami.metrology.energy import Channel
from openami.metrology.events import Alarm
from openami.transport.clock import monotonic
from openami.transport.connect import client_link, open_channel
from openami.transport.medium import LineProfile
from openami.transport.session import DlmsSession, open_session
from openami.transport.tcp import open_tcp
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from openami.meter.device import Meter
    from openami.metrology.memory import MeterCommit

START = 1_774_742_400.0  # 2026-03-29T00:00:00Z
SERIAL = AttributeRef(1, Obis.parse("0.0.96.1.0.255"), 2)
ENERGY = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
PROFILE = AttributeRef(7, Obis.parse("1.0.99.1.0.255"), 2)
HERE = ("127.0.0.1", 0)
TITLE = SystemTitle.of("CLI", 1)


def settings(folder: Path, count: int = 3, **changes: Any) -> StreetSettings:
    identities = prepare_identities(
        folder, count, now=START, phases=lambda n: 3 if n == 2 else 1, octets=seeded("street")
    )
    meters = tuple(
        StreetMeter(MeterConfig(identity, started=START), parse_source(f"constant:{number}000"))
        for number, identity in enumerate(identities, 1)
    )
    given = {"state": folder, "modem": HERE, "clock": ManualClock(START), **changes}
    return StreetSettings(meters, **given)


def reader(meter: Meter) -> ClientConfig:
    return ClientConfig(Mechanism.LLS, secret=meter.config.identity.keys.lls)


def imported(meter: Meter) -> int:
    """Return the register of active energy, in Wh."""
    return meter.engine.state.energy.whole(Channel.IMPORT)


def due(meter: Meter) -> bool:
    """Return whether something is not kept that should be."""
    return meter.due


def modem_url(street: StreetRunner, station: int, client: int = 2) -> MeterUrl:
    port = street.listening.hdlc[0][1]
    text = f"hdlc+tcp://127.0.0.1:{port}?server=1:{station}&address_size=4&client={client}"
    return MeterUrl.parse(text)


def direct_url(street: StreetRunner, station: int, client: int = 2) -> MeterUrl:
    port = street.listening.wrapper[0][1]
    return MeterUrl.parse(f"dlms+tcp://127.0.0.1:{port}?server={station}&client={client}")


async def test_one_meter_after_another_through_the_modem(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with StreetRunner(settings(tmp_path, clock=clock)) as street:
        clock.advance(3600)
        channel = await open_channel(modem_url(street, 0x11))
        for number, (station, meter) in enumerate(street.meters.items(), 1):
            link = client_link(modem_url(street, station))
            async with DlmsSession(channel, link, reader(meter)) as session:
                assert (await session.get(SERIAL)).native() == meter.serial.encode()
                assert (await session.get(ENERGY)).native() == number * 1000
                rows = (await session.get(PROFILE)).native()
                assert [row[2] for row in rows] == [number * 250] * 4
        channel.close()
        assert street.line.medium.counters.transmissions > 30
        assert street.line.errors == 0


async def test_each_meter_directly(tmp_path: Path) -> None:
    async with StreetRunner(settings(tmp_path, maintenance=HERE)) as street:
        for station, meter in street.meters.items():
            keys = meter.config.identity.keys
            config = ClientConfig(
                Mechanism.HLS_GMAC,
                keys=Keys(guek=keys.guek, gak=keys.gak),
                title=TITLE,
                security=SecurityLevel.BOTH,
                invocation_counter=1,
            )
            async with open_session(direct_url(street, station, 1), config) as session:
                assert (await session.get(SERIAL)).native() == meter.serial.encode()
        wrong = replace(reader(meter), timeout=0.1)
        with pytest.raises(TransportTimeoutError):
            async with open_session(direct_url(street, 999), wrong):
                raise AssertionError
        channel = await open_tcp(*street.listening.wrapper[0])
        channel.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await channel.read() == b""


async def test_a_street_has_room_for_so_many_connections(tmp_path: Path) -> None:
    async with StreetRunner(settings(tmp_path, maintenance=HERE)) as street:
        host, port = street.listening.wrapper[0]
        channels = [await open_tcp(host, port) for _ in range(CONNECTIONS + 1)]
        assert await channels[-1].read() == b""
        assert not any(channel.closed for channel in channels[:-1])
        for channel in channels:
            channel.close()


async def test_a_street_forgets_nothing_when_it_stops(tmp_path: Path) -> None:
    clock = ManualClock(START)
    shipped = (tmp_path / "shipment.json", tmp_path / "street.db")
    for hours in (1, 2, 3):
        async with StreetRunner(settings(tmp_path, clock=clock)) as street:
            clock.advance(3600)
        kept = [imported(meter) for meter in street.meters.values()]
        assert kept == [1000 * hours, 2000 * hours, 3000 * hours]
    assert all(path.stat().st_size for path in shipped)


async def test_a_street_without_a_folder(tmp_path: Path) -> None:
    async with StreetRunner(settings(tmp_path, state=None, pty=True, modem=None)) as street:
        path = street.listening.serial[0]
        url = MeterUrl.parse(f"hdlc+serial:{path}?server=1:18&address_size=4&client=2")
        async with open_session(url, reader(street.meters[18])) as session:
            assert (await session.get(SERIAL)).native() == street.meters[18].serial.encode()
        line = replace(settings(tmp_path), modem=None, serial=path)
        with pytest.raises(ConfigError):
            replace(line, pty=True)
    assert not (tmp_path / "street.db").exists()


async def test_a_line_of_both_ends(tmp_path: Path) -> None:
    """A serial device may be the street's line: here the other end of a pty."""
    from openami.transport.serial import open_pty

    ours, path = open_pty()
    async with StreetRunner(settings(tmp_path, modem=None, serial=path)) as street:
        link = client_link(MeterUrl.parse("hdlc+tcp://x?server=1:17&address_size=4&client=2"))
        async with DlmsSession(ours, link, reader(street.meters[17])) as session:
            assert (await session.get(SERIAL)).native() == street.meters[17].serial.encode()
    ours.close()


async def test_a_bad_line_and_a_fast_clock(tmp_path: Path) -> None:
    clock = ScaledClock(monotonic, start=START, factor=7200.0)
    bad = LineProfile(bit_rate=9600, loss=0.05, corruption=0.05, time_factor=200, half_duplex=True)
    async with StreetRunner(settings(tmp_path, clock=clock, line=bad)) as street:
        patient = HdlcParameters(response_timeout=0.2, retries=20, inter_frame=0.05)
        for station, meter in street.meters.items():
            url = modem_url(street, station)
            async with open_session(url, reader(meter), hdlc=patient) as session:
                rows = (await session.get(PROFILE)).native()
                energy = (await session.get(ENERGY)).native()
                assert sum(row[2] for row in rows) <= energy
        while not all(imported(meter) for meter in street.meters.values()):
            await asyncio.sleep(0.05)


async def test_what_is_due_is_kept_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, kept = ManualClock(START), list[int]()
    async with StreetRunner(settings(tmp_path, state=None, clock=clock)) as street:
        commit = street._memory.commit

        def counted(commits: Sequence[MeterCommit]) -> None:
            kept.append(len(commits))
            commit(commits)

        monkeypatch.setattr(street._memory, "commit", counted)
        clock.advance(900)
        while not kept:
            await asyncio.sleep(0.01)
        assert kept == [len(street.meters)]
        assert not any(map(due, street.meters.values()))


async def test_a_full_disk_stops_no_meter(tmp_path: Path) -> None:
    clock = ManualClock(START)
    run = settings(tmp_path / "a", count=1, clock=clock)
    with small_disk("limit", tmp_path / "b", 100_000) as disk:
        async with StreetRunner(replace(run, state=disk.path)) as street:
            meter = street.meters[17]
            while not due(meter):
                clock.advance(86_400 * 30)
                street._tick_all()
            assert meter.engine.state.alarms & Alarm.MEMORY_ERROR
            disk.grow()
            street._tick_all()
            assert not due(meter)
    async with StreetRunner(replace(run, state=disk.path)) as street:
        again = imported(street.meters[17])
        assert again == imported(meter)


async def test_a_task_that_fails_is_told(tmp_path: Path) -> None:
    class Broken:
        def now(self) -> float:
            if asyncio.current_task() is not main:
                raise ZeroDivisionError
            return START

    main = asyncio.current_task()
    clock: Clock = Broken()
    async with StreetRunner(settings(tmp_path, clock=clock)) as street:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(street.failed(), 10)


def test_identities_are_made_once(tmp_path: Path) -> None:
    made = prepare_identities(tmp_path, 5, now=START)
    assert prepare_identities(tmp_path, 5, now=START + 9) == made
    assert len({identity.address for identity in made}) == 5
    with pytest.raises(ConfigError):
        prepare_identities(tmp_path, 6, now=START)


async def test_two_meters_with_one_address_cannot_be(tmp_path: Path) -> None:
    run = settings(tmp_path)
    with pytest.raises(ConfigError):
        async with StreetRunner(replace(run, meters=run.meters * 2)):
            raise AssertionError


async def test_a_port_in_use(tmp_path: Path) -> None:
    async with StreetRunner(settings(tmp_path / "a")) as street:
        taken = street.listening.hdlc[0]
        with pytest.raises(TransportError):
            async with StreetRunner(settings(tmp_path / "b", modem=taken)):
                raise AssertionError


async def test_a_signal_stops_the_street_in_good_order(tmp_path: Path) -> None:
    seen: list[int] = []

    def ready(street: StreetRunner) -> None:
        seen.extend(street.meters)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    await run_street(settings(tmp_path), ready=ready)
    assert seen == [17, 18, 19]
    assert signal.getsignal(signal.SIGTERM) == before
