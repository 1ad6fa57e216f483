"""Meters of a real line take an image: one by one, and all at once with blocks that get lost."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.metering import columns
from tests.support.upgrade_line import START, Bench, Image, identities, street_of
from tests.support.upgrades import image

from openami.core.identifiers import SystemTitle
from openami.core.obis import Obis
from openami.dlms.references import AttributeRef
from openami.fleet.upgrade import (
    Accepted,
    Ask,
    Bits,
    Blocks,
    Initiate,
    Look,
    Looked,
    Order,
    Send,
    Stage,
)
from openami.metrology.energy import Channel
from openami.metrology.events import Ring
from openami.transport.medium import LineProfile

if TYPE_CHECKING:
    from pathlib import Path

    from openami.dcu.roster import Station
    from openami.meter.device import Meter

NEW: Final = "openami-2.0.0"
ENERGY: Final = AttributeRef(3, Obis.parse("1.0.1.8.0.255"), 2)
PERIOD: Final = 900


def order_of(octets: bytes, version: str = NEW) -> Order:
    until = time.time() + 600
    return Order("campaign-1", b"openami 2.0.0", len(octets), version, until, activate_at=0.0)


async def register(bench: Bench, station: Station) -> int:
    """Read a meter's energy as metering does."""
    found = bench.credentials[station.meter.serial]
    title = SystemTitle.parse(station.meter.system_title or "")
    session = bench.modem.management(station.meter.address, found, station.counters, title)
    async with session:
        return (await session.get(ENERGY)).integer()


def no_gap(meter: Meter, seconds: int) -> None:
    """Every interval that has passed is in the profile, and they add up to what was counted."""
    meter.refresh()
    rows = columns(meter.engine, Ring.LOAD_PROFILE)
    times = [row.time for row in rows]
    assert len(times) == seconds // PERIOD
    assert {later - earlier for earlier, later in itertools.pairwise(times)} <= {PERIOD}
    assert [row.values[0] for row in rows] == [PERIOD] * len(rows)
    assert meter.captured(Channel.IMPORT) == seconds // PERIOD * PERIOD


async def test_one_meter_is_upgraded_by_itself(tmp_path: Path) -> None:
    octets = image(trial_s=0, padding=20_000)
    async with street_of(tmp_path, identities(1)) as (street, bench):
        bench.deafen(*bench.stations)
        segment = await bench.upgrade(order_of(octets), Image(octets), seconds=60.0)
        (upgrade,) = segment.upgrades.values()
        assert upgrade.stage is Stage.CONFIRMED, upgrade
        assert bench.count(Send) > 0
        assert bench.count(Blocks) == 0
        (meter,) = street.meters.values()
        no_gap(meter, round(bench.clock.now() - START))


async def test_two_meters_hear_it_on_a_serial_line(tmp_path: Path) -> None:
    octets = image(trial_s=0)
    async with street_of(tmp_path, identities(2), pty=True) as (street, bench):
        assert bench.modem.octet_rate == 11_520
        segment = await bench.upgrade(order_of(octets), Image(octets), seconds=60.0)
        assert {u.stage for u in segment.upgrades.values()} == {Stage.CONFIRMED}, segment.upgrades
        assert bench.count(Blocks) > 0
        for meter in street.meters.values():
            no_gap(meter, round(bench.clock.now() - START))


async def test_a_slow_line_is_not_flooded(tmp_path: Path) -> None:
    octets = image(padding=8000)
    order = order_of(octets)
    line = LineProfile(bit_rate=80_000, half_duplex=True)
    many = Blocks(1024, tuple(range(order.blocks(1024))))
    async with street_of(tmp_path, identities(2), line=line, response_timeout_s=1.0, retries=0) as (
        _,
        bench,
    ):
        bench.line.tune(bench.stations.values())
        begin = Initiate(order.identifier, order.size)
        for station in bench.stations.values():
            assert isinstance(await bench.line.do(station, Look(), order), Looked)
            assert await bench.line.do(station, begin, order) == Accepted()
        for _ in range(2):  # what was said in less time than it takes would delay the answer
            await bench.line.broadcast(order, many, Image(octets))
            for station in bench.stations.values():
                assert isinstance(await bench.line.bits(station, order), Bits)


@pytest.mark.fums("DES-2", "MET-1")
async def test_ten_meters_hear_it_and_a_tenth_gets_lost(tmp_path: Path) -> None:
    octets = image(trial_s=0, padding=40_000)
    order = order_of(octets)
    line = LineProfile(loss=0.1)
    async with street_of(tmp_path, identities(10), line=line) as (street, bench):
        segment = await bench.upgrade(order, Image(octets), seconds=60.0)
        stages = {upgrade.stage for upgrade in segment.upgrades.values()}
        assert stages == {Stage.CONFIRMED}, segment.upgrades
        said = sum(len(work.numbers) for work in bench.done if isinstance(work, Blocks))
        alone = sum(len(work.numbers) for work in bench.done if isinstance(work, Send))
        assert said >= order.blocks(1024)
        assert said + alone < 5 * order.blocks(1024)  # and not ten times as one by one
        assert bench.count(Ask) < 60
        for station in bench.stations.values():
            seconds = round(bench.clock.now() - START)
            assert await register(bench, station) == seconds
        for meter in street.meters.values():
            no_gap(meter, seconds)
            assert meter.engine.state.alarms == 0
