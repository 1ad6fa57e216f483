from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.transport.machines import LineMachine

from openami.core.errors import TransportError, TransportTimeoutError
from openami.transport.channel import RECEIVE_LIMIT, Channel
from openami.transport.driver import EVENT_LIMIT, Driver
from openami.transport.tcp import TcpChannel, listen_tcp, open_tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def serve_lines(channel: Channel) -> None:
    await Driver(LineMachine(answers=True), channel, on_event=lambda _: None).run()


@asynccontextmanager
async def line_server() -> AsyncIterator[TcpChannel]:
    async with await listen_tcp("127.0.0.1", 0, serve_lines) as server:
        channel = await open_tcp(server.host, server.port)
        yield channel
        channel.close()


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[Channel, Channel]]:
    """Two ends of one connection."""
    accepted: asyncio.Queue[Channel] = asyncio.Queue()

    async def handler(channel: Channel) -> None:
        accepted.put_nowait(channel)
        await channel.wait_closed()

    async with await listen_tcp("127.0.0.1", 0, handler) as server:
        ours = await open_tcp(server.host, server.port)
        yield ours, await accepted.get()
        ours.close()


async def test_question_and_answer() -> None:
    machine = LineMachine()
    async with line_server() as channel, Driver(machine, channel) as driver:
        for line in ("one", "two"):
            machine.say(line)
            driver.pump()
            assert await driver.next_event(60) == line.upper()


async def test_events_iterate_until_the_peer_closes() -> None:
    async with pipe() as (ours, theirs), Driver(LineMachine(), ours) as driver:
        theirs.write(b"a\nb\nc")
        theirs.write(b"c\n")
        theirs.close()
        assert [event async for event in driver] == ["a", "b", "cc", "end"]
        with pytest.raises(TransportError) as caught:
            await driver.next_event()
        assert caught.value.code == "transport.closed"


async def test_one_channel_has_one_machine_after_another_and_stale_octets_vanish() -> None:
    async with pipe() as (ours, theirs):
        first = LineMachine()
        async with Driver(first, ours) as driver:
            theirs.write(b"mine\n")
            assert await driver.next_event(60) == "mine"
        theirs.write(b"late\n")
        while ours.received_octets < len(b"mine\nlate\n"):
            await asyncio.sleep(0)
        async with Driver(LineMachine(), ours) as driver:
            theirs.write(b"yours\n")
            assert await driver.next_event(60) == "yours"
        assert not ours.closed
        assert first.next_event() is None


async def test_drivers_have_a_channel_in_turns_and_timers_wait() -> None:
    async with pipe() as (ours, theirs):
        machine = LineMachine(period=0.001)
        first, second = Driver(machine, ours), Driver(LineMachine(), ours)
        first.start()
        theirs.write(b"one\n")
        assert await first.next_event(60) == "one"
        first.pause()
        ticks = machine.next_timer()
        second.start()
        theirs.write(b"two\n")
        assert await second.next_event(60) == "two"
        await asyncio.sleep(0.005)
        assert machine.next_timer() == ticks
        second.pause()
        first.start()
        assert await first.next_event(60) == "tick"
        second.stop()
        theirs.write(b"three\n")
        while (event := await first.next_event(60)) == "tick":
            pass
        assert event == "three"
        first.stop()


async def test_a_channel_that_closed_meanwhile_is_told_of() -> None:
    async with pipe() as (ours, theirs):
        driver = Driver(LineMachine(), ours)
        driver.start()
        driver.pause()
        theirs.close()
        await ours.wait_closed()
        driver.start()
        assert await driver.next_event(60) == "end"


async def test_two_drivers_at_once_are_a_bug() -> None:
    async with line_server() as channel, Driver(LineMachine(), channel):
        with pytest.raises(RuntimeError, match="receiver already"):
            Driver(LineMachine(), channel).start()


async def test_timers_fire() -> None:
    async with pipe() as (ours, theirs), Driver(LineMachine(period=0.001), ours) as driver:
        theirs.write(b"x\n")
        assert [await driver.next_event(60) for _ in range(4)] == ["x", "tick", "tick", "tick"]


async def test_nothing_in_time() -> None:
    async with pipe() as (ours, _), Driver(LineMachine(), ours) as driver:
        with pytest.raises(TransportTimeoutError):
            await driver.next_event(0.001)


async def test_cancelled_reader_loses_no_event() -> None:
    async with pipe() as (ours, theirs), Driver(LineMachine(), ours) as driver:
        waiting = asyncio.ensure_future(driver.next_event())
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        theirs.write(b"kept\n")
        assert await driver.next_event(60) == "kept"


async def test_a_bug_in_the_machine_closes_the_channel_and_is_raised() -> None:
    async with pipe() as (ours, theirs):
        driver = Driver(LineMachine(), ours)
        theirs.write(b"boom\n")
        with pytest.raises(ZeroDivisionError):
            await driver.run()
        assert ours.closed
        with pytest.raises(ZeroDivisionError):
            await driver.next_event()


async def test_a_bug_in_a_handler_reaches_whoever_holds_the_server() -> None:
    async def handler(channel: Channel) -> None:
        await Driver(LineMachine(), channel).run()

    server = await listen_tcp("127.0.0.1", 0, handler)
    channel = await open_tcp(server.host, server.port)
    channel.write(b"boom\n")
    assert isinstance(await asyncio.wait_for(server.failed(), 5), ZeroDivisionError)
    assert await channel.read() == b""
    with pytest.raises(ZeroDivisionError):
        await server.close()


async def test_callbacks_may_command_the_machine() -> None:
    async with pipe() as (ours, theirs):
        machine = LineMachine()

        def answer(line: str) -> None:
            machine.say(f"heard {line}")
            driver.pump()

        driver = Driver(machine, ours, on_event=answer)
        task = asyncio.ensure_future(driver.run())
        theirs.write(b"x\n")
        assert await theirs.read() == b"heard x\n"
        driver.stop()
        await task
        assert not ours.closed


async def test_a_server_may_be_cancelled() -> None:
    async with pipe() as (ours, _):
        driver = Driver(LineMachine(), ours)
        task = asyncio.ensure_future(driver.run())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with Driver(LineMachine(), ours):
            assert not ours.closed


async def test_starting_on_a_closed_channel_tells_the_machine() -> None:
    async with pipe() as (ours, _):
        ours.close()
        machine = LineMachine()
        machine.say("nobody hears")
        await Driver(machine, ours).run()
        assert machine.ended


async def test_unread_events_hold_the_peer_up() -> None:
    lines = 200_000
    async with pipe() as (ours, theirs), Driver(LineMachine(), ours) as driver:
        theirs.write(b"0123456789\n" * lines)
        while len(driver._events) <= EVENT_LIMIT:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert ours.received_octets < lines * 11
        for _ in range(lines):
            assert await driver.next_event(60) == "0123456789"


async def test_unread_octets_hold_the_peer_up() -> None:
    size = 16 * 1024 * 1024
    async with pipe() as (ours, theirs):
        theirs.write(bytes(size))
        while ours.received_octets <= RECEIVE_LIMIT:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert ours.received_octets < size
        got = 0
        while got < size:
            got += len(await ours.read())
        await theirs.drain()
        assert theirs.sent_octets == size


async def test_a_peer_that_takes_no_answers_asks_no_more() -> None:
    """Its questions stay unread: what waits for it here is bounded."""
    async with line_server() as channel:
        channel.hold("test")
        question = b"x" * 1023 + b"\n"
        for _ in range(64 * 1024):
            channel.write(question)
        for _ in range(200):
            await asyncio.sleep(0)
        assert channel._transport is not None
        assert channel._transport.get_write_buffer_size() > 0
        channel.release("test")
        got = 0
        while got < 64 * 1024 * 1024:
            got += len(await channel.read())
