"""Who is asked stays associated; what a meter, the line or the DCU does wrong is told as it is."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.upgrade_line import TITLE, Image, identities, settings_of, street_of
from tests.support.upgrades import image

from openami.core.errors import LocalProtocolError
from openami.dcu.headend import BroadcastCredentials
from openami.dcu.known import FARTHEST
from openami.dcu.modem import LineLostError, Modem
from openami.dlms.cosem import ImageStatus
from openami.fleet.upgrade import (
    Accepted,
    Activate,
    Bits,
    Blocks,
    Busy,
    Initiate,
    Look,
    Looked,
    Order,
    Poll,
    Polled,
    Refused,
    Send,
    Silent,
    Transfer,
    Verify,
)
from openami.meter.identity import BroadcastKeys
from openami.store.spool import Spool
from openami.transport.medium import LineProfile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.upgrade_line import Bench

    from openami.dcu.roster import Station
    from openami.meter.street import StreetRunner

OCTETS: Final = image(padding=4000)
ORDER: Final = Order("o", b"new", len(OCTETS), "openami-2.0.0", time.time() + 600)
BEGIN: Final = Initiate(b"new", len(OCTETS))
BLOCKS: Final = ORDER.blocks(1024)
IMAGE: Final = Image(OCTETS)


def first(bench: Bench) -> Station:
    return next(iter(bench.stations.values()))


async def blocks_of(street: StreetRunner) -> list[list[int]]:
    """Return which blocks each meter has, once it has heard what is on its way."""
    await asyncio.sleep(0.05)
    stores = [meter.model.images.store for meter in street.meters.values()]
    return [[n for n in range(BLOCKS) if store.has(n)] for store in stores]


async def test_all_steps_in_one_association(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1)) as (_, bench):
        line, station = bench.line, first(bench)
        looked = await line.do(station, Look(), ORDER)
        assert isinstance(looked, Looked)
        assert (looked.version[:8], looked.block_size, looked.status) == ("openami-", 1024, 0)
        assert (looked.tested, looked.reason, looked.enabled) == (False, "", True)
        assert await line.do(station, BEGIN, ORDER) == Accepted()
        every = Send(station.meter.serial, 1024, tuple(range(BLOCKS)))
        taken = await line.send(station, ORDER, every, IMAGE)
        assert (taken.numbers, taken.end) == (every.numbers, None)
        bits = await line.bits(station, ORDER)
        assert isinstance(bits, Bits)
        assert bits.count == BLOCKS
        assert await line.do(station, Verify(), ORDER) == Busy()
        while await line.do(station, Poll(), ORDER) != Polled(ImageStatus.VERIFICATION_SUCCESSFUL):
            await asyncio.sleep(0.05)
        looked = await line.do(station, Look(), ORDER)
        assert isinstance(looked, Looked)
        assert [(info.size, info.identification) for info in looked.infos] == [
            (len(OCTETS), b"new")
        ]
        assert bench.modem.figures.sessions == 1
        assert await line.do(station, Activate(), ORDER) == Busy()
        tested: set[bool | None] = set()
        while True not in tested:
            await asyncio.sleep(0.1)
            looked = await line.do(station, Look(), ORDER)
            if isinstance(looked, Looked) and looked.version == ORDER.version:
                assert looked.status == ImageStatus.ACTIVATION_INITIATED
                tested.add(looked.tested)
        await line.release(station)
        await line.release(station)


async def test_what_a_meter_refuses_is_told_and_blocks_before_it_count(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1)) as (_, bench):
        line, station = bench.line, first(bench)
        refused = await line.do(station, Verify(), ORDER)
        assert isinstance(refused, Refused)
        assert "other-reason" in refused.why
        await line.do(station, BEGIN, ORDER)
        wide = replace(ORDER, size=ORDER.size + 4096)
        turn = Send(station.meter.serial, 1024, (0, BLOCKS + 1, 1))
        taken = await line.send(station, wide, turn, Image(OCTETS + bytes(4096)))
        assert taken.numbers == (0,)
        assert isinstance(taken.end, Refused)
        assert bench.modem.figures.sessions == 1


async def test_metering_in_between_without_a_word(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1)) as (_, bench):
        line, station = bench.line, first(bench)
        found = bench.credentials[station.meter.serial]
        for _ in range(2):
            assert isinstance(await line.do(station, Look(), ORDER), Looked)
            async with bench.modem.public(station.meter.address):
                pass
            async with bench.modem.management(
                station.meter.address, found, station.counters, identities(1)[0].system_title
            ):
                pass
        assert isinstance(await line.do(station, Look(), ORDER), Looked)


async def test_whoever_has_forgotten_us_is_not_told_to_activate_twice(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1)) as (_, bench):
        line, station = bench.line, first(bench)
        await line.do(station, BEGIN, ORDER)
        every = Send(station.meter.serial, 1024, tuple(range(BLOCKS)))
        await line.send(station, ORDER, every, IMAGE)
        await line.do(station, Verify(), ORDER)
        while await line.do(station, Poll(), ORDER) != Polled(ImageStatus.VERIFICATION_SUCCESSFUL):
            await asyncio.sleep(0.05)
        async with bench.modem.public(station.meter.address):
            pass
        async with bench.modem.management(
            station.meter.address,
            bench.credentials[station.meter.serial],
            station.counters,
            identities(1)[0].system_title,
        ):
            pass
        assert await line.do(station, Activate(), ORDER) != Busy()  # nobody knows what it heard
        assert await line.do(station, Poll(), ORDER) == Polled(ImageStatus.VERIFICATION_SUCCESSFUL)
        assert await line.do(station, Activate(), ORDER) == Busy()


async def test_a_meter_that_has_restarted_lets_us_in_again(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1)) as (street, bench):
        line, station = bench.line, first(bench)
        await line.do(station, Look(), ORDER)
        (meter,) = street.meters.values()
        meter.management.failed(RuntimeError("the application fails"))
        assert isinstance(await away(bench, station), Silent)
        answer = await line.do(station, Look(), ORDER)
        while not isinstance(answer, Looked):
            answer = await line.do(station, Look(), ORDER)


async def away(bench: Bench, station: Station) -> object:
    """Ask until nobody answers any more."""
    while isinstance(answer := await bench.line.do(station, Poll(), ORDER), Polled):
        await asyncio.sleep(0.01)
    return answer


async def test_nobody_there_no_keys_and_wrong_keys(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(2)) as (_, bench):
        here, other = bench.stations.values()
        here.meter = here.meter.model_copy(update={"address": 99})
        assert await bench.line.do(here, Look(), ORDER) == Silent()
        here.meter = here.meter.model_copy(update={"address": other.meter.address})
        refused = await bench.line.do(here, Look(), ORDER)
        assert isinstance(refused, Refused)
        assert f"{other.meter.serial} answers in its place" in refused.why
        wrong = replace(bench.credentials[other.meter.serial], guek=b"w" * 16)
        right = bench.credentials.pop(other.meter.serial)
        assert await bench.line.do(other, Look(), ORDER) == Busy()
        bench.credentials[other.meter.serial] = wrong
        denied = await bench.line.bits(other, ORDER)
        assert isinstance(denied, Refused)
        assert "w" * 16 not in denied.why
        bench.credentials[other.meter.serial] = right
        assert isinstance(await bench.line.do(other, Look(), ORDER), Looked)


async def test_a_dcu_that_has_lost_its_counters_asks_for_them(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1)) as (_, bench):
        station = first(bench)
        station.counters.resume(5000)
        await bench.line.do(station, Look(), ORDER)
        await bench.line.release()
        station.counters = type(station.counters)(bench.spool, "nobody")
        assert station.counters.next == 0
        assert isinstance(await bench.line.do(station, Look(), ORDER), Looked)
        assert station.counters.next > 5000


async def test_a_call_that_is_cancelled_leaves_the_line_usable(tmp_path: Path) -> None:
    slow = LineProfile(propagation_s=0.05)
    async with street_of(tmp_path, identities(2), line=slow, response_timeout_s=1.0) as (_, bench):
        here, other = bench.stations.values()
        assert isinstance(await bench.line.do(here, Look(), ORDER), Looked)
        for station in (here, other):
            call = asyncio.ensure_future(bench.line.do(station, Look(), ORDER))
            await asyncio.sleep(0.05)  # its answer takes twice as long
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert isinstance(await bench.line.do(here, Look(), ORDER), Looked)
            assert isinstance(await bench.line.do(other, Look(), ORDER), Looked)


async def test_a_farewell_that_is_cancelled_leaves_the_line_usable(tmp_path: Path) -> None:
    slow = LineProfile(propagation_s=0.05)
    async with street_of(tmp_path, identities(2), line=slow, response_timeout_s=1.0) as (_, bench):
        here, other = bench.stations.values()
        for station in (here, other):
            assert isinstance(await bench.line.do(station, Look(), ORDER), Looked)
        call = asyncio.ensure_future(bench.line.release(here))
        await asyncio.sleep(0.05)  # its answer takes twice as long
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for station in (here, other):
            assert isinstance(await bench.line.do(station, Look(), ORDER), Looked)


async def test_a_line_that_is_gone_is_raised(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1)) as (street, bench):
        station = first(bench)
        await bench.line.do(station, Look(), ORDER)
        await bench.line.do(station, BEGIN, ORDER)
        bench.line.tune(bench.stations.values())
        street.line.close()
        for _ in range(2):
            with pytest.raises(LineLostError):
                await bench.line.do(station, Look(), ORDER)
        with pytest.raises(LineLostError):
            await bench.line.broadcast(ORDER, Blocks(1024, (0,)), IMAGE)
        await bench.line.release()
        await bench.modem.open()
        assert isinstance(await bench.line.do(station, Look(), ORDER), Looked)


@pytest.mark.parametrize("octets", [2, 4])
async def test_what_is_said_to_all_is_heard_by_those_with_the_key(
    tmp_path: Path, octets: int
) -> None:
    strangers = identities(4, BroadcastKeys(b"X" * 16, b"Y" * 16))
    who = [*identities(3), strangers[3]]
    async with street_of(tmp_path, who, address_octets=octets) as (street, bench):
        assert bench.line.tune(bench.stations.values()) == {strangers[3].serial}
        for station in bench.stations.values():
            await bench.line.do(station, BEGIN, ORDER)
        await bench.line.broadcast(ORDER, Blocks(1024, (0, BLOCKS - 1)), IMAGE)
        assert await blocks_of(street) == [[0, BLOCKS - 1]] * 3 + [[]]
        assert {meter.engine.state.alarms for meter in street.meters.values()} == {0}


async def test_counters_of_broadcasts_only_rise(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(2)) as (street, bench):
        for station in bench.stations.values():
            await bench.line.do(station, BEGIN, ORDER)
        meters = street.meters.values()

        def heard() -> set[int]:
            return {m.model.broadcast.counters.last for m in meters if m.model.broadcast}

        bench.line.tune(bench.stations.values())
        await bench.line.broadcast(ORDER, Blocks(1024, (0, 1)), IMAGE)
        assert await blocks_of(street) == [[0, 1]] * 2
        (last,) = heard()
        assert last == int(bench.clock.now()) + 1
        bench.line = bench.again()  # the DCU restarts
        bench.line.tune(bench.stations.values())
        await bench.line.broadcast(ORDER, Blocks(1024, (2,)), IMAGE)
        assert await blocks_of(street) == [[0, 1, 2]] * 2
        (last,) = heard()
        for meter in meters:  # another DCU was on this line
            assert meter.model.broadcast is not None
            meter.model.broadcast.counters.accept(last + 100_000)
        bench.line = bench.again()
        bench.line.tune(bench.stations.values())
        await bench.line.do(first(bench), Look(), ORDER)
        await bench.line.broadcast(ORDER, Blocks(1024, (3,)), IMAGE)
        assert (await blocks_of(street))[0] == [0, 1, 2, 3]


async def test_a_broadcast_that_is_given_up_leaves_no_counters_to_the_next(tmp_path: Path) -> None:
    go, entered = threading.Event(), threading.Event()

    class SlowSpool(Spool):
        def get(self, key: str) -> bytes | None:
            found = super().get(key)
            if not entered.is_set():
                entered.set()
                assert go.wait(30)
            return found

    async with street_of(tmp_path, identities(1)) as (street, bench):
        await bench.line.do(first(bench), BEGIN, ORDER)
        with closing(SlowSpool(tmp_path / "slow")) as bench.spool:
            bench.line = bench.again()
            bench.line.tune(bench.stations.values())
            call = asyncio.ensure_future(bench.line.broadcast(ORDER, Blocks(1024, (0,)), IMAGE))
            assert await asyncio.to_thread(entered.wait, 30)
            call.cancel()
            await asyncio.wait([call])
            call = asyncio.ensure_future(bench.line.broadcast(ORDER, Blocks(1024, (1,)), IMAGE))
            await asyncio.wait([call], timeout=0.2)
            go.set()
            await call
            await bench.line.broadcast(ORDER, Blocks(1024, (2,)), IMAGE)
            assert await blocks_of(street) == [[1, 2]]


async def test_a_meter_that_claims_the_last_counter_is_not_believed(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(2)) as (street, bench):
        mad, sane = street.meters.values()
        assert mad.model.broadcast is not None
        mad.model.broadcast.counters.accept(FARTHEST)
        bench.line.tune(bench.stations.values())
        for station in bench.stations.values():
            await bench.line.do(station, Look(), ORDER)
            await bench.line.do(station, BEGIN, ORDER)
        await bench.line.broadcast(ORDER, Blocks(1024, (0,)), IMAGE)
        assert await blocks_of(street) == [[], [0]]
        assert sane.model.broadcast is not None
        assert sane.model.broadcast.counters.last < FARTHEST


async def test_broadcasts_take_the_time_that_the_line_needs(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1), line_rate=1) as (street, bench):
        await bench.line.do(first(bench), BEGIN, ORDER)
        bench.line.tune(bench.stations.values())
        call = asyncio.ensure_future(bench.line.broadcast(ORDER, Blocks(1024, (0, 1)), IMAGE))
        while await blocks_of(street) != [[0]]:
            pass
        assert await blocks_of(street) == [[0]]
        assert not call.done()
        call.cancel()


def test_the_rate_of_a_serial_line_is_known(tmp_path: Path) -> None:
    url = "hdlc+serial:/dev/ttyUSB0?baud=9600"
    assert Modem(settings_of(tmp_path, url), TITLE).octet_rate == 960
    assert Modem(settings_of(tmp_path, url, line_rate=500), TITLE).octet_rate == 500
    assert Modem(settings_of(tmp_path, "hdlc+tcp://127.0.0.1:1"), TITLE).octet_rate == 0


async def test_what_no_meter_can_be_told(tmp_path: Path) -> None:
    async with street_of(tmp_path, identities(1)) as (_, bench):
        bench.deafen(*bench.stations)
        assert bench.line.tune(bench.stations.values()) == set(bench.stations)
        assert bench.line.costs(1024).broadcast == float("inf")
        with pytest.raises(LocalProtocolError):
            await bench.line.broadcast(ORDER, Blocks(1024, (0,)), IMAGE)
        with pytest.raises(LocalProtocolError):
            await bench.line.do(first(bench), Transfer(), ORDER)


def test_keys_are_not_shown() -> None:
    keys = BroadcastCredentials(102, b"secret-secret-se", b"another-another-")
    assert "secret" not in repr(keys)
    assert "L" * 8 not in repr(identities(1)[0].keys)
