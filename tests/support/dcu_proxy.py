"""A modem whose connection can be cut."""

from __future__ import annotations

import asyncio
import contextlib


class Proxy:
    """Forwards a TCP connection to ``port``; ``limit`` octets from there and it is cut, once."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: list[asyncio.StreamWriter] = []
        self._muted: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.limit: int | None = None
        self.refusing = False
        self.cuts = 0
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()

    def cut(self) -> None:
        """Cut every connection."""
        self.cuts += bool(self._writers)
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def mute(self) -> None:
        """Let the present connections carry nothing any more, and look alive."""
        self._muted.update(self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        up, down = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, down]
        await asyncio.gather(self._pipe(reader, down, counted=False), self._pipe(up, writer))

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = True
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if counted and self.limit is not None:
                    data = data[: self.limit]
                    self.limit -= len(data)
                if writer not in self._muted:
                    writer.write(data)
                if counted and self.limit == 0:
                    await writer.drain()
                    self.limit = None
                    self.cut()
                    return
            writer.close()
