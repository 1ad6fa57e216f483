"""Displays that reach their meters through the DCU, over the real line of a street."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.dcu_chain import HOUR, PERIOD, START, Chain, chain, identity
from tests.support.dcu_managed import come_with, make
from tests.support.dcu_street import modem_of, street
from tests.support.headend import running_headend

from openami.core.clock import ManualClock
from openami.core.errors import OpenAmiError, SecurityError
from openami.core.obis import Obis
from openami.dcu.gateway.allowance import Limits
from openami.dcu.gateway.gateway import OF_ADDRESS, REQUEST_OCTETS, Gateway
from openami.dlms.apdu.acse import Aarq
from openami.dlms.apdu.exception import ExceptionResponse, ServiceError, StateError
from openami.dlms.apdu.initiate import InitiateRequest
from openami.dlms.client import ClientConfig
from openami.dlms.conformance import Conformance
from openami.dlms.gateway import Prefixed
from openami.dlms.references import AttributeRef
from openami.dlms.wrapper import Packet
from openami.transport.home import HomeLink, HomeTarget, Paired, pair
from openami.transport.home.way import GatewayWay
from openami.transport.medium import LineProfile
from openami.transport.session import DlmsSession
from openami.transport.tcp import open_tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.dcu_headend import Certificates
    from tests.support.dcu_managed import Live as LiveDcu

    from openami.dcu.agent import Dcu
    from openami.dlms.home import Live
    from openami.transport.tcp import TcpServer

NAME = AttributeRef(1, Obis.parse("0.0.42.0.0.255"), 2)
NOT_POSSIBLE = ExceptionResponse(
    StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE
).encode()
TOO_LONG = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.PDU_TOO_LONG).encode()
PEER = Path(__file__).parent.parent / "interop" / "gurux_peer.py"
SEEDS = [hashlib.sha256(str(number).encode()).digest()[0] for number in (0, 1)]
LOSSY = LineProfile(loss=0.03, corruption=0.02, duplication=0.04, bit_rate=400_000)


@asynccontextmanager
async def gated(
    folder: Path,
    certificates: Certificates,
    *,
    limits: Limits | None = None,
    numbers: tuple[int, ...] = (0, 1),
    medium: LineProfile | None = None,
) -> AsyncIterator[tuple[Chain, TcpServer]]:
    """Run a chain whose DCU lets displays in, and has read its meters once."""
    gateway = Gateway(limits, slow_s=0.0)
    medium = medium or LineProfile()
    options = {"response_timeout_s": 0.2, "retries": 6}
    async with (
        chain(
            folder, certificates, numbers=numbers, medium=medium, options=options, gateway=gateway
        ) as made,
        await gateway.listen("127.0.0.1", 0) as door,
    ):
        await made.start_dcu()
        await made.until(lambda: made.complete(*numbers))
        yield made, door


async def name_of(door: TcpServer | int, serial: str, client: int = 16) -> bytes:
    """Read a meter's logical device name as the public client does."""
    port = door if isinstance(door, int) else door.port
    line = await GatewayWay("127.0.0.1", port, serial).open(client)
    try:
        async with DlmsSession(line.channel, line.link, ClientConfig(timeout=20)) as session:
            return (await session.get(NAME)).octets()
    finally:
        line.channel.close()


async def asked(door: TcpServer, octets: bytes) -> bytes:
    """Send a request, and return the answer."""
    channel = await open_tcp("127.0.0.1", door.port)
    channel.write(octets)
    got = b""
    async with asyncio.timeout(30):
        while len(got) < 8 or len(got) < 8 + int.from_bytes(got[6:8], "big"):
            piece = await channel.read()
            assert piece
            got += piece
    channel.close()
    return got


def request(
    serial: str, apdu: bytes = b"\x60\x00", *, client: int = 0x30, network: int = 0
) -> bytes:
    prefixed = Prefixed(False, serial.encode(), apdu, network)
    return Packet(client, 1, prefixed.encode()).encode()


def refusal(
    serial: str, answer: bytes = NOT_POSSIBLE, *, client: int = 0x30, network: int = 0
) -> bytes:
    prefixed = Prefixed(True, serial.encode(), answer, network)
    return Packet(1, client, prefixed.encode()).encode()


async def test_a_display_reads_its_meter_beside_collection_on_a_bad_line(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with gated(tmp_path, certificates, medium=LOSSY) as (made, door):
        serials = [identity(number).serial for number in (0, 1)]
        for _ in range(3):
            made.advance(HOUR)
            names = await asyncio.gather(*(name_of(door, serial) for serial in serials))
            assert names == [identity(n).logical_device_name for n in (0, 1)]
        await made.until(lambda: made.caught_up() and made.complete(0, 1))


def target(door: TcpServer, number: int) -> HomeTarget:
    return HomeTarget("127.0.0.1", door.port, identity(number).serial)


async def paired(made: Chain, door: TcpServer, number: int, name: str = "Wall") -> Paired:
    code = identity(number).home or ""
    return await pair(
        target(door, number), code, name=name, random_octets=os.urandom, clock=made.clock
    )


async def looked(made: Chain, door: TcpServer, number: int, keys: Paired, count: int) -> list[Live]:
    """Read what flows a few times, as a display behind a DCU does."""
    found: list[Live] = []
    async with HomeLink(
        target(door, number), keys, clock=made.clock, keep_counter=lambda _: None
    ) as link:
        async for live in link.lives(0.05):
            found.append(live)
            if len(found) == count:
                return found
    return found


async def test_displays_are_paired_and_look_through_the_gateway_at_once(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with gated(tmp_path, certificates, medium=LOSSY) as (made, door):
        mine, theirs = await asyncio.gather(paired(made, door, 0), paired(made, door, 1))
        second = await paired(made, door, 0, "Telephone")
        assert {mine.client, second.client} == {0x30, 0x31}
        made.advance(HOUR)
        all_seen = await asyncio.gather(
            looked(made, door, 0, mine, 4),
            looked(made, door, 0, second, 4),
            looked(made, door, 1, theirs, 4),
        )
        for seen, number in zip(all_seen, (0, 0, 1), strict=True):
            assert {live.active // 1000 for live in seen} == {500 + SEEDS[number]}
        await made.until(lambda: made.caught_up() and made.complete(0, 1))


async def test_a_display_reads_its_profile_and_another_meter_does_not_know_it(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with gated(tmp_path, certificates) as (made, door):
        keys = await paired(made, door, 0)
        async with HomeLink(
            target(door, 0), keys, clock=made.clock, keep_counter=lambda _: None
        ) as link:
            now = int(made.clock.now())
            energy = await link.energy(now - int(4 * HOUR), now)
            assert len(energy) >= 15
            assert link.period == PERIOD
        other = replace(keys, serial=identity(1).serial)
        for forged in (other, replace(other, meter_title=identity(1).system_title)):
            with pytest.raises(SecurityError):
                await looked(made, door, 1, forged, 1)


@pytest.mark.peer
async def test_a_client_of_another_maker_comes_in(
    tmp_path: Path, certificates: Certificates
) -> None:
    """gurux-dlms has the gateway protocol, for what is not ciphered: it ciphers the prefix, too."""
    async with gated(tmp_path, certificates, numbers=(0,)) as (_, door):
        plan = {
            "link": "wrapper",
            "host": "127.0.0.1",
            "port": door.port,
            "gateway": identity(0).serial,
            "client": 16,
            "server": 1,
            "authentication": "none",
            "security": "none",
            "steps": [["read", 1, str(NAME.obis), 2]],
        }
        peer = await asyncio.create_subprocess_exec(
            sys.executable, str(PEER), stdin=PIPE, stdout=PIPE
        )
        out, _ = await peer.communicate(json.dumps(plan).encode())
        assert json.loads(out)["results"] == [identity(0).logical_device_name.hex()]


async def test_what_cannot_be_carried_is_answered(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with gated(tmp_path, certificates, numbers=(0,)) as (_, door):
        serial = identity(0).serial
        assert await asked(door, request("NOBODY")) == refusal("NOBODY")
        assert await asked(door, request(serial, client=1)) == refusal(serial, client=1)
        aside = Packet(0x30, 2, Prefixed(False, serial.encode(), b"\x60\x00").encode())
        answer = Packet(2, 0x30, Prefixed(True, serial.encode(), NOT_POSSIBLE).encode())
        assert await asked(door, aside.encode()) == answer.encode()
        assert await asked(door, request(serial, network=7)) == refusal(serial, network=7)
        long = request(serial, b"\x60" * (REQUEST_OCTETS + 1))
        assert await asked(door, long) == refusal(serial, TOO_LONG)
        assert await name_of(door, serial) == identity(0).logical_device_name


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        Packet(0x30, 1, b"\x60\x00").encode(),
        Packet(0x30, 1, Prefixed(True, b"1", b"\x60").encode()).encode(),
        Packet(0x30, 1, b"\xe6\x00\xff1").encode(),
        Packet(0x30, 1, b"\xe6" * 5000).encode(),
        request("NOBODY") * 3,
    ],
)
async def test_who_breaks_the_protocol_is_hung_up_on(octets: bytes) -> None:
    gateway = Gateway(slow_s=0.0)
    async with await gateway.listen("127.0.0.1", 0) as door:
        channel = await open_tcp("127.0.0.1", door.port)
        channel.write(octets)
        assert await channel.read() == b""


async def test_nonsense_is_survived() -> None:
    gateway, chance = Gateway(slow_s=0.0), random.Random(7)
    gateway.known = lambda _: chance.random() < 0.1
    async with await gateway.listen("127.0.0.1", 0) as door:
        for _ in range(150):
            octets = bytearray(request("OAM00000001", chance.randbytes(chance.randrange(1, 40))))
            for _ in range(chance.randrange(3)):
                octets[chance.randrange(len(octets))] = chance.randrange(256)
            channel = await open_tcp("127.0.0.1", door.port)
            channel.write(bytes(octets[: chance.randrange(1, len(octets) + 1)]))
            channel.close()
        async with asyncio.timeout(60):
            while door.connections > OF_ADDRESS:
                await asyncio.sleep(0.01)
    assert not gateway._hosts


async def test_an_address_has_so_many_connections() -> None:
    async with await Gateway(slow_s=0.0).listen("127.0.0.1", 0) as door:
        channels = [await open_tcp("127.0.0.1", door.port) for _ in range(OF_ADDRESS)]
        over = await open_tcp("127.0.0.1", door.port)
        await over.wait_closed()
        assert not any(channel.closed for channel in channels)
        for channel in channels:
            channel.close()


async def test_what_waits_of_who_has_lost_its_place_is_not_carried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openami.dcu.gateway.gateway.HELD_S", 0.0)
    gateway, serial = Gateway(Limits(requests=2), slow_s=0.0), identity(0).serial
    gateway.known = lambda _: True
    async with await gateway.listen("127.0.0.1", 0) as door:
        first, second = [await open_tcp("127.0.0.1", door.port) for _ in range(2)]
        first.write(request(serial))
        async with asyncio.timeout(60):
            while not gateway.waiting:
                await asyncio.sleep(0.01)
        second.write(request(serial))
        assert await second.read() == refusal(serial)  # but has the place
        line: Any = object()  # on which nothing goes
        await gateway.use(line, lambda _: line)
        assert await first.read() == refusal(serial)
        await first.wait_closed()
        second.close()


async def test_a_meter_gives_its_displays_so_much_an_hour(
    tmp_path: Path, certificates: Certificates
) -> None:
    limits = Limits(requests=6)  # three of them for who has no keys
    async with gated(tmp_path, certificates, limits=limits) as (_, door):
        first, second = (identity(number).serial for number in (0, 1))
        await name_of(door, first)
        with pytest.raises(OpenAmiError):
            await name_of(door, first)
        assert await asked(door, request(first)) == refusal(first)
        assert await name_of(door, second) == identity(1).logical_device_name


async def test_a_place_at_a_meter_is_one_connections(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with gated(tmp_path, certificates, numbers=(0,)) as (_, door):
        serial = identity(0).serial
        line = await GatewayWay("127.0.0.1", door.port, serial).open(16)
        async with DlmsSession(line.channel, line.link, ClientConfig()) as session:
            other = await asked(door, request(serial, client=16))
            assert other == refusal(serial, client=16)
            assert (await session.get(NAME)).octets() == identity(0).logical_device_name
        line.channel.close()
        await line.channel.wait_closed()
        async with asyncio.timeout(60):
            while door.connections:
                await asyncio.sleep(0.01)
        assert await name_of(door, serial) == identity(0).logical_device_name


async def test_who_has_no_keys_does_not_keep_a_display_out_of_its_place(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gated(tmp_path, certificates, numbers=(0,)) as (made, door):
        serial, keys = identity(0).serial, await paired(made, door, 0)
        proposal = InitiateRequest(Conformance.GET, 1024).encode()
        aarq = Aarq(user_information=proposal).encode()  # which the meter answers, and refuses
        nonsense = request(serial, aarq, client=keys.client)
        stranger = await open_tcp("127.0.0.1", door.port)
        stranger.write(nonsense)
        assert await stranger.read()
        came = monotonic()
        with pytest.raises(OpenAmiError):
            await looked(made, door, 0, keys, 1)
        monkeypatch.setattr("openami.dcu.gateway.gateway.HELD_S", 3.0)
        await asyncio.sleep(max(0.0, came + 2.7 - monotonic()))
        stranger.write(nonsense)  # who asks again has its place no longer for that
        assert await stranger.read()
        await asyncio.sleep(max(0.0, came + 3.1 - monotonic()))
        assert await looked(made, door, 0, keys, 1)
        monkeypatch.setattr("openami.dcu.gateway.gateway.HELD_S", 60.0)
        link = HomeLink(
            target(door, 0), keys.at(256), clock=made.clock, keep_counter=lambda _: None
        )
        async with link:  # and now that it is in, it stays
            stranger.write(nonsense)
            assert await stranger.read() == refusal(serial, client=keys.client)
            assert await link.said()
        stranger.close()


async def test_a_meter_that_is_silent_is_told_of_and_left_alone(
    tmp_path: Path, certificates: Certificates
) -> None:
    async with gated(tmp_path, certificates, numbers=(0,)) as (made, door):
        serial = identity(0).serial
        assert made.street is not None
        await made.stop_street()
        await made.start_street(0, n0=40)  # nobody is at its address any more, nor is it searched
        channel = await open_tcp("127.0.0.1", door.port)
        channel.write(request(serial))
        async with asyncio.timeout(30):
            got = b""
            while piece := await channel.read():
                got += piece
        assert got == refusal(serial)  # and hung up: there is no association any more


async def test_the_door_of_a_managed_dcu_stays_open_while_its_settings_change(
    tmp_path: Path,
) -> None:
    who, clock = identity(0), ManualClock(START)
    async with running_headend(tmp_path) as running, street(tmp_path, who, clock) as row:
        made = make(running, tmp_path, "D1")
        options = {"home": "127.0.0.1:0", "modem": modem_of(row)}
        async with made.running(clock, **options) as live:
            come_with(live.dcu.tree, {"./AMI/Segment/Addresses": "16"})
            await live.until(lambda: live.dcu.home_port is not None)
            port = live.dcu.home_port or 0
            agents = []
            for addresses in ("16", "16-17"):
                come_with(live.dcu.tree, {"./AMI/Segment/Addresses": addresses})
                live.dcu.collecting.look()
                await live.until(lambda: agent_of(live, addresses, who.serial) is not None)  # noqa: B023 - it is over before the next
                agents.append(agent_of(live, addresses, who.serial))
                assert await name_of(port, who.serial) == who.logical_device_name
            assert agents[0] is not agents[1]


def agent_of(live: LiveDcu, addresses: str, serial: str) -> Dcu | None:
    """Return what collects, once it does so at these addresses and knows a meter."""
    agent = live.dcu.collecting.agent
    if agent is None or agent.settings.addresses != addresses:
        return None
    return agent if agent.roster.get(serial) is not None else None
