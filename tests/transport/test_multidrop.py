from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import ConfigError
from openami.dlms.hdlc import (
    Control,
    Frame,
    FrameKind,
    HdlcAddress,
    HdlcClientLink,
    HdlcParameters,
    HdlcServerLink,
)
from openami.dlms.link import (
    ApduReceived,
    LinkUp,
    PeerApduReceived,
    PeerDisconnected,
    ServerLinkEvent,
)
from openami.transport.clock import monotonic
from openami.transport.driver import Driver
from openami.transport.medium import LineProfile, Medium
from openami.transport.multidrop import MultiDropLine, Station
from openami.transport.tcp import listen_tcp, open_tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openami.transport.channel import Channel

STATIONS = range(16, 216)


class Street:
    """Stations that answer with their number and the question, on a line."""

    def __init__(self, parameters: HdlcParameters | None = None, **profile: float) -> None:
        medium = Medium(LineProfile(**profile), random.Random(1))  # type: ignore[arg-type] # shorthand
        self.line = MultiDropLine(medium)
        self.heard: list[tuple[int, ServerLinkEvent]] = []
        for number in STATIONS:
            self.line.add(self._station(number, parameters))

    def _station(self, number: int, parameters: HdlcParameters | None) -> Station:
        link = HdlcServerLink(number, parameters=parameters)

        def on_event(event: ServerLinkEvent) -> None:
            self.heard.append((number, event))
            if isinstance(event, PeerApduReceived) and not event.broadcast:
                if event.apdu == b"boom":
                    raise ZeroDivisionError
                link.send(event.peer, b"%d:" % number + event.apdu, now=monotonic())

        return Station(link, on_event=on_event)


@asynccontextmanager
async def modem(street: Street) -> AsyncIterator[Channel]:
    async with await listen_tcp("127.0.0.1", 0, street.line.serve) as server:
        channel = await open_tcp("127.0.0.1", server.port)
        yield channel
        channel.close()
    street.line.close()


async def ask(channel: Channel, station: int, question: bytes = b"?" * 300) -> bytes:
    parameters = HdlcParameters(response_timeout=0.3, retries=20)
    link = HdlcClientLink(16, HdlcAddress(1, station, 4), parameters)
    async with Driver(link, channel) as driver:
        link.connect(now=driver.now())
        driver.pump()
        assert isinstance(await driver.next_event(60), LinkUp)
        link.send(question, now=driver.now())
        driver.pump()
        answer = await driver.next_event(60)
        assert isinstance(answer, ApduReceived)
        link.disconnect(now=driver.now())
        driver.pump()
        await driver.next_event(60)
    return answer.apdu


async def test_one_meter_after_another_through_one_modem() -> None:
    street = Street()
    async with modem(street) as channel:
        for number in STATIONS:
            assert await ask(channel, number) == b"%d:" % number + b"?" * 300
    assert street.line.errors == 0


async def test_a_bad_line_is_slow_but_right() -> None:
    street = Street(bit_rate=2e6, propagation_s=0.001, loss=0.05, duplication=0.05, corruption=0.05)
    async with modem(street) as channel:
        for number in (16, 17, 18):
            assert await ask(channel, number) == b"%d:" % number + b"?" * 300
    assert street.line.medium.counters.transmissions > 12


async def test_broadcasts_reach_all_and_nobody_answers() -> None:
    street = Street()
    everybody = HdlcAddress(0x3FFF, 0x3FFF, 4)
    frame = Frame(everybody, HdlcAddress(1), Control.of(FrameKind.UI), b"\xe6\xe6\x00to all")
    async with modem(street) as channel:
        channel.write(frame.encode())
        assert await ask(channel, 16)
    heard = [number for number, event in street.heard if getattr(event, "broadcast", False)]
    assert heard == list(STATIONS)


async def test_nobody_answers_for_a_station_that_is_not_there() -> None:
    street = Street()
    snrm = Control.of(FrameKind.SNRM)
    async with modem(street) as channel:
        for address in (HdlcAddress(1, 999, 4), HdlcAddress(1), HdlcAddress(1, 5, 2)):
            channel.write(Frame(address, HdlcAddress(16), snrm).encode())
        channel.write(b"rubbish\x7e\xa0")
        assert await ask(channel, 20)
    assert {number for number, _ in street.heard} == {20}


async def test_a_new_modem_takes_the_line_over() -> None:
    street = Street()
    async with await listen_tcp("127.0.0.1", 0, street.line.serve) as server:
        old = await open_tcp("127.0.0.1", server.port)
        assert await ask(old, 16)
        new = await open_tcp("127.0.0.1", server.port)
        assert await ask(new, 17)
        assert await old.read() == b""
        assert await ask(new, 18)
        new.close()
    street.line.close()


async def test_links_time_out() -> None:
    street = Street(HdlcParameters(inactivity_timeout=0.02))
    async with modem(street) as channel:
        address = HdlcAddress(1, 33, 4)
        channel.write(Frame(address, HdlcAddress(16), Control.of(FrameKind.SNRM)).encode())
        while not any(isinstance(event, PeerDisconnected) for _, event in street.heard):
            await asyncio.sleep(0.001)
    assert [number for number, _ in street.heard] == [33, 33]


async def test_octets_take_their_time() -> None:
    street = Street(bit_rate=100_000)
    async with modem(street) as channel:
        began = monotonic()
        await ask(channel, 16)
        sent = street.line.medium.counters.octets
        assert monotonic() - began >= 0.9 * sent * 10 / 100_000


async def test_a_bug_in_a_station_is_raised() -> None:
    street = Street()
    server = await listen_tcp("127.0.0.1", 0, street.line.serve)
    channel = await open_tcp("127.0.0.1", server.port)
    with pytest.raises(AssertionError, match="LinkDown"):
        await ask(channel, 16, b"boom")
    with pytest.raises(ZeroDivisionError):
        await server.close()


def test_addresses_are_not_shared() -> None:
    line = MultiDropLine(Medium(LineProfile(), random.Random(1)), [Station(HdlcServerLink(17))])
    with pytest.raises(ConfigError):
        line.add(Station(HdlcServerLink(17)))
