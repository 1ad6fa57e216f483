"""A way between two processes that can be cut, that loses octets, and that leads elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter


class Relay:
    """A TCP relay on a port that stays, as a context manager.

    Attributes:
        target: where it leads to, which may change; None while nobody is there.
        up: whether connections are let through.
        swallowed: octets lost so far.
    """

    def __init__(self) -> None:
        self.target: tuple[str, int] | None = None
        self.up = True
        self.swallowed = 0
        self._hunger = {"down": 0, "up": 0}
        self._writers: set[StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        """Break every connection without a farewell."""
        for writer in self._writers:
            writer.transport.abort()

    def down(self) -> None:
        """Break every connection and refuse new ones until ``heal``."""
        self.up = False
        self.cut()

    def heal(self) -> None:
        """Let everything through."""
        self.up = True
        self._hunger = dict.fromkeys(self._hunger, 0)

    def swallow(self, octets: int, way: str) -> None:
        """Lose the next octets of one way: ``down`` to the target or ``up`` from it."""
        self._hunger[way] += octets

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.ensure_future(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: StreamReader, writer: StreamWriter) -> None:
        writers = [writer]
        self._writers.add(writer)
        try:
            if not self.up or self.target is None:
                return
            with suppress(OSError):
                there, onward = await asyncio.open_connection(*self.target)
                writers.append(onward)
                self._writers.add(onward)
                if self.up:
                    await asyncio.gather(
                        self._pump(reader, onward, "down"), self._pump(there, writer, "up")
                    )
        finally:
            for one in writers:
                self._writers.discard(one)
                one.transport.abort()
                with suppress(OSError):
                    await one.wait_closed()

    async def _pump(self, reader: StreamReader, writer: StreamWriter, way: str) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                lost = min(len(data), self._hunger[way])
                self._hunger[way] -= lost
                self.swallowed += lost
                writer.write(data[lost:])
                await writer.drain()
        writer.close()
