from __future__ import annotations

import asyncio

import pytest

from openami.core.errors import TransportError
from openami.transport.channel import RECEIVE_LIMIT, Channel
from openami.transport.udp import listen_udp, open_udp


async def echo(channel: Channel) -> None:
    while data := await channel.read():
        channel.write(data)


async def test_datagrams_keep_their_boundaries() -> None:
    async with await listen_udp("127.0.0.1", 0, echo) as server:
        channel = await open_udp("127.0.0.1", server.port)
        assert channel.datagrams
        for data in (b"one", b"two", b"three"):
            channel.write(data)
        assert [await channel.read() for _ in range(3)] == [b"one", b"two", b"three"]
        assert channel.name == f"udp 127.0.0.1:{server.port}"
        channel.close()


async def test_each_peer_has_its_own_channel() -> None:
    async with await listen_udp("127.0.0.1", 0, echo) as server:
        one, other = [await open_udp("127.0.0.1", server.port) for _ in range(2)]
        one.write(b"1")
        other.write(b"2")
        assert (await one.read(), await other.read()) == (b"1", b"2")
        assert server.connections == 2
        one.close()
        other.close()


async def test_peers_are_bounded() -> None:
    async with await listen_udp("127.0.0.1", 0, echo, max_peers=1) as server:
        one, other = [await open_udp("127.0.0.1", server.port) for _ in range(2)]
        one.write(b"1")
        await one.read()
        other.write(b"2")
        one.write(b"3")
        assert await one.read() == b"3"
        assert (server.connections, server.refused) == (1, 1)
        one.close()
        other.close()


async def test_silent_peers_are_forgotten() -> None:
    gone = asyncio.Event()

    async def handler(channel: Channel) -> None:
        assert await channel.read() == b"hello"
        assert await channel.read() == b""
        gone.set()

    async with await listen_udp("127.0.0.1", 0, handler, idle_s=0.02) as server:
        channel = await open_udp("127.0.0.1", server.port)
        channel.write(b"hello")
        await asyncio.wait_for(gone.wait(), 5)
        await asyncio.sleep(0)
        assert server.connections == 0
        channel.close()


async def test_a_handler_that_returns_lets_its_peer_come_again() -> None:
    async def once(channel: Channel) -> None:
        channel.write(b"heard " + await channel.read())

    async with await listen_udp("127.0.0.1", 0, once) as server:
        channel = await open_udp("127.0.0.1", server.port)
        for text in (b"a", b"b"):
            channel.write(text)
            assert await channel.read() == b"heard " + text
            while server.connections:
                await asyncio.sleep(0)
        channel.close()


async def test_a_peer_that_is_not_there() -> None:
    server = await listen_udp("127.0.0.1", 0, echo)
    await server.close()
    await asyncio.sleep(0)
    channel = await open_udp("127.0.0.1", server.port)
    channel.write(b"x")
    with pytest.raises(TransportError) as caught:
        await channel.read()
    assert caught.value.code == "transport.refused"


async def test_an_answer_to_a_peer_that_has_gone_harms_nobody() -> None:
    waiting: asyncio.Queue[Channel] = asyncio.Queue()

    async def handler(channel: Channel) -> None:
        waiting.put_nowait(channel)
        await channel.wait_closed()

    async with await listen_udp("127.0.0.1", 0, handler) as server:
        channel = await open_udp("127.0.0.1", server.port)
        channel.write(b"x")
        peer = await waiting.get()
        channel.close()
        await asyncio.sleep(0)
        peer.write(b"late")
        peer.write(b"later")
        other = await open_udp("127.0.0.1", server.port)
        other.write(b"y")
        assert await (await waiting.get()).read() == b"y"
        other.close()


async def test_datagrams_that_nobody_takes_are_lost() -> None:
    async with await listen_udp("127.0.0.1", 0, echo) as server:
        channel = await open_udp("127.0.0.1", server.port)
        size = 32 * 1024
        count = RECEIVE_LIMIT // size + 3
        for number in range(count):
            channel.write(bytes([number]) * size)
            while channel.received_octets + channel.lost * size < (number + 1) * size:
                await asyncio.sleep(0)
        assert channel.lost == 2
        assert await channel.read() == bytes(size)
        channel.discard()
        channel.write(b"again")
        assert await channel.read() == b"again"
        channel.close()


async def test_port_in_use_and_no_such_host() -> None:
    async with await listen_udp("127.0.0.1", 0, echo) as server:
        with pytest.raises(TransportError) as caught:
            await listen_udp("127.0.0.1", server.port, echo)
        assert caught.value.code == "transport.in-use"
    with pytest.raises(TransportError) as caught:
        await open_udp("host.invalid", 1)
    assert caught.value.code == "transport.unknown-host"
