"""C12.18 on a real serial line: a pseudo terminal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.support.c1222_device import PASSWORD, TableDevice

from openami.c1222.codes import Standard
from openami.c1222.psem import LinkParameters, PsemServer
from openami.c1222.services import Done, Read, TableData, Write
from openami.core.errors import ConfigError, SecurityError, TransportTimeoutError
from openami.transport.c1222.optical import open_optical, optical_session, serve_optical
from openami.transport.c1222.url import NodeUrl
from openami.transport.clock import SystemClock
from openami.transport.serial import open_pty, open_serial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def line() -> AsyncIterator[tuple[NodeUrl, PsemServer, TableDevice]]:
    channel, path = open_pty()
    device = TableDevice()
    server = PsemServer(device)
    task = asyncio.ensure_future(serve_optical(channel, server, clock=SystemClock()))
    yield NodeUrl.parse(f"c1222+serial:{path}?baud=9600"), server, device
    channel.close()
    await task


async def test_a_device_on_a_line(line: tuple[NodeUrl, PsemServer, TableDevice]) -> None:
    url, server, device = line
    data = bytes(range(256)) * 20
    for _ in range(2):  # the second finds it as the first did
        async with open_optical(url, password=PASSWORD.strip()) as client:
            assert await client.ask(Write(5, data), Read(5)) == (Done(), TableData(data))
            assert await client.ask(Read(64)) == (TableData(bytes(3000)),)
        assert server.state.name == "BASE"
    assert device.tables[5] == data


async def test_a_wrong_password(line: tuple[NodeUrl, PsemServer, TableDevice]) -> None:
    url, server, _ = line
    with pytest.raises(SecurityError) as caught:
        async with open_optical(url, password=b"guess"):
            pass
    assert caught.value.code == "c1222.isc"
    assert server.state.name == "BASE"


async def test_one_of_several_devices_on_a_modem() -> None:
    channel, path = open_pty()
    device, parameters = TableDevice(), LinkParameters(identity=5)
    server = PsemServer(device, parameters=parameters, standard=Standard.C12_21)
    task = asyncio.ensure_future(serve_optical(channel, server, clock=SystemClock()))
    url = NodeUrl.parse(f"c1222+serial:{path}?identity=5")
    async with open_optical(url, password=PASSWORD.strip()) as client:
        assert await client.ask(Write(5, b"x"), Read(5)) == (Done(), TableData(b"x"))
    other = LinkParameters(reply_s=0.05, retries=0, identity=6)
    line = open_serial(path)
    with pytest.raises(TransportTimeoutError):
        async with optical_session(line, parameters=other):
            pass
    line.close()
    with pytest.raises(ConfigError):
        NodeUrl.parse("c1222+serial:/dev/ttyUSB0?identity=256")
    channel.close()
    await task


async def test_a_line_without_a_device() -> None:
    ours, path = open_pty()
    channel = open_serial(path)
    quick = LinkParameters(reply_s=0.02, retries=1)
    with pytest.raises(TransportTimeoutError) as caught:
        async with optical_session(channel, parameters=quick):
            pass
    assert caught.value.code == "c1222.unanswered"
    channel.close()
    ours.close()
