"""Our data links on real lines: TCP, UDP, and a pty as serial device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openami.core.errors import TransportError
from openami.dlms.hdlc import HdlcServerLink
from openami.dlms.link import (
    ApduReceived,
    LinkDown,
    LinkUp,
    PeerApduReceived,
    ServerLink,
    ServerLinkEvent,
)
from openami.dlms.wrapper import WrapperParameters, WrapperServerLink
from openami.transport.connect import client_link, open_channel
from openami.transport.driver import Driver
from openami.transport.serial import open_pty
from openami.transport.tcp import listen_tcp
from openami.transport.udp import listen_udp
from openami.transport.url import MeterUrl

if TYPE_CHECKING:
    from openami.transport.channel import Channel


async def answer(channel: Channel, link: ServerLink) -> None:
    """Answer each APDU with its octets reversed."""

    def on_event(event: ServerLinkEvent) -> None:
        if isinstance(event, PeerApduReceived):
            link.send(event.peer, event.apdu[::-1], now=driver.now())

    driver = Driver(
        link, channel, on_event=on_event, finished=lambda: getattr(link, "finished", False)
    )
    await driver.run()


async def ask(url: str) -> None:
    """Connect, ask twice, disconnect."""
    meter = MeterUrl.parse(url)
    link = client_link(meter)
    channel = await open_channel(meter)
    async with Driver(link, channel) as driver:
        link.connect(now=driver.now())
        driver.pump()
        assert isinstance(await driver.next_event(60), LinkUp)
        for apdu in (b"\xc0 first", b"\xc0" * 700):
            link.send(apdu, now=driver.now())
            driver.pump()
            assert await driver.next_event(60) == ApduReceived(apdu[::-1])
        link.disconnect(now=driver.now())
        driver.pump()
        assert isinstance(await driver.next_event(60), LinkDown)
    channel.close()


async def test_hdlc_over_tcp() -> None:
    async def handler(channel: Channel) -> None:
        await answer(channel, HdlcServerLink(17))

    async with await listen_tcp("127.0.0.1", 0, handler) as server:
        await ask(f"hdlc+tcp://127.0.0.1:{server.port}?server=1:17")
        await ask(f"hdlc+tcp://127.0.0.1:{server.port}?server=1:17&address_size=4")


async def test_wrapper_over_tcp() -> None:
    async def handler(channel: Channel) -> None:
        await answer(channel, WrapperServerLink())

    async with await listen_tcp("127.0.0.1", 0, handler) as server:
        await ask(f"dlms+tcp://127.0.0.1:{server.port}")


async def test_wrapper_over_udp() -> None:
    async def handler(channel: Channel) -> None:
        await answer(channel, WrapperServerLink(parameters=WrapperParameters(datagrams=True)))

    async with await listen_udp("127.0.0.1", 0, handler) as server:
        await ask(f"dlms+udp://127.0.0.1:{server.port}")


async def test_hdlc_on_a_serial_line() -> None:
    channel, path = open_pty()
    link: ServerLink = HdlcServerLink(17, alone=True)

    def on_event(event: ServerLinkEvent) -> None:
        if isinstance(event, PeerApduReceived):
            link.send(event.peer, event.apdu[::-1], now=driver.now())

    async with Driver(link, channel, on_event=on_event) as driver:
        for _ in range(2):
            await ask(f"hdlc+serial:{path}?server=1&baud=19200")
    channel.close()


async def test_a_connection_that_speaks_no_wrapper_is_closed() -> None:
    async def handler(channel: Channel) -> None:
        await answer(channel, WrapperServerLink())

    async with await listen_tcp("127.0.0.1", 0, handler) as server:
        channel = await open_channel(MeterUrl.parse(f"dlms+tcp://127.0.0.1:{server.port}"))
        channel.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await channel.read() == b""


async def test_no_meter_there() -> None:
    async def handler(channel: Channel) -> None:
        await answer(channel, WrapperServerLink())

    server = await listen_tcp("127.0.0.1", 0, handler)
    await server.close()
    with pytest.raises(TransportError) as caught:
        await ask(f"dlms+tcp://127.0.0.1:{server.port}")
    assert caught.value.code == "transport.refused"
