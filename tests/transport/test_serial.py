from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.transport.machines import LineMachine

from openami.core.errors import ConfigError, TransportError
from openami.transport.driver import Driver
from openami.transport.serial import FdChannel, open_pty, open_serial

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_serial_device_and_the_pty_behind_it() -> None:
    ours, path = open_pty()
    theirs = open_serial(path, baud=19200, parity="E", data_bits=7, stop_bits=2)
    assert (ours.name, theirs.name) == (f"pty {path}", f"serial {path}")
    theirs.write(bytes(range(128)))
    assert await ours.read() == bytes(range(128))
    ours.write(b"\r\n\x11\x13\x03\x04")
    assert await theirs.read() == b"\r\n\x11\x13\x03\x04"
    theirs.close()
    ours.close()
    assert await ours.read() == b""


async def test_a_pty_outlives_its_peers() -> None:
    ours, path = open_pty()
    for text in (b"first", b"second"):
        theirs = open_serial(path)
        theirs.write(text)
        assert await ours.read() == text
        theirs.close()
    assert not ours.closed
    ours.close()


async def test_large_writes_arrive_whole_and_closing_sends_what_is_left() -> None:
    ours, path = open_pty()
    theirs = open_serial(path, baud=115200)
    size = 1_000_000
    theirs.write(bytes(size // 2))
    theirs.write(bytes(size // 2))
    theirs.close()
    got = 0
    while got < size:
        got += len(await ours.read())
    assert got == size
    ours.close()


async def test_room_comes_back() -> None:
    ours, path = open_pty()
    theirs = open_serial(path)
    theirs.write(bytes(1_000_000))
    assert not theirs._writable.is_set()
    got = 0
    while got < 1_000_000:
        got += len(await ours.read())
    await theirs.drain()
    theirs.close()
    ours.close()


async def test_unread_octets_hold_the_line_up() -> None:
    ours, path = open_pty()
    theirs = open_serial(path)
    ours.hold("test")
    async with Driver(LineMachine(), theirs) as driver:
        theirs.write(b"question\n")
        ours.release("test")
        assert await ours.read() == b"question\n"
        ours.write(b"answer\n")
        assert await driver.next_event(60) == "answer"
    theirs.close()
    ours.close()


async def test_the_other_side_of_a_pty_goes() -> None:
    ours, theirs = os.openpty()
    channel = FdChannel(ours, "pty", on_close=lambda: os.close(ours))
    os.close(theirs)
    with pytest.raises(TransportError) as caught:
        await channel.read()
    assert caught.value.code == "transport.closed"
    assert channel.closed


async def test_writing_to_a_line_that_has_gone() -> None:
    reading, writing = os.pipe()
    channel = FdChannel(writing, "pipe", on_close=lambda: os.close(writing))
    channel.hold("test")
    os.close(reading)
    channel.write(b"x")
    assert channel.error is not None
    assert channel.error.code == "transport.closed"


async def test_the_line_ends() -> None:
    reading, writing = os.pipe()
    channel = FdChannel(reading, "pipe", on_close=lambda: os.close(reading))
    os.write(writing, b"end")
    os.close(writing)
    assert await channel.read() == b"end"
    assert await channel.read() == b""
    assert channel.error is None


async def test_one_process_has_a_device(tmp_path: Path) -> None:
    ours, path = open_pty()
    theirs = open_serial(path)
    with pytest.raises(TransportError) as caught:
        open_serial(path)
    assert caught.value.code == "transport.in-use"
    theirs.close()
    ours.close()
    with pytest.raises(TransportError) as caught:
        open_serial(str(tmp_path / "ttyUSB0"))
    assert caught.value.code == "transport.missing"


async def test_a_setting_that_does_not_exist() -> None:
    ours, path = open_pty()
    with pytest.raises(ConfigError):
        open_serial(path, parity="Z")
    ours.close()
