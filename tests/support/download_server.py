"""An HTTPS server of one descriptor and one object, that misbehaves as it is told to."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.omadm.download.descriptor import MEDIA_TYPE, Descriptor
from openami.transport.tls import server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.transport.certificates import Pem

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    line: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def first(self) -> int:
        """The octet that it begins with."""
        found = _RANGE.fullmatch(self.headers.get("range", ""))
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Fault:
    """What one answer does wrong.

    Attributes:
        status: answer so, without a body.
        headers: sent besides, or instead; an empty text leaves one out.
        ignore_range: 200 for whatever range.
        most: octets of the body before the connection is cut.
        hold: after those it is held open instead, for ever.
        tail: sent behind the body, again and again.
        chunked: the length is not stated.
        trickle: the body comes some octets at a time, with pauses.
        crawl: the head comes one octet at a time and has no end.
        before: called before the answer is made.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    ignore_range: bool = False
    most: int | None = None
    hold: bool = False
    tail: bytes = b""
    chunked: bool = False
    trickle: bool = False
    crawl: bool = False
    before: Callable[[], None] = lambda: None


class DownloadServer:
    """Serves ``/dd`` and ``/object``, and takes ``/told``.

    ``faults`` are of the answers for the object, one after another; then all goes well.
    ``dd_faults`` and ``told_faults`` are of the others.
    """

    def __init__(self, content: bytes, faults: list[Fault] | None = None) -> None:
        self.content = content
        self.etag: str | None = '"v1"'
        self.faults = deque(faults or [])
        self.dd_faults: deque[Fault] = deque()
        self.told_faults: deque[Fault] = deque()
        self.asked: list[Asked] = []
        self.told: list[bytes] = []
        self.sent = 0
        self.held = asyncio.Event()
        self.port = 0
        self.listening: asyncio.Server | None = None
        self.descriptor: Callable[[Descriptor], Descriptor] = lambda one: one
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/dd"

    @property
    def origin(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def objects(self) -> list[Asked]:
        return [one for one in self.asked if one.line.startswith("GET /object")]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await self._serve(await _request(reader), writer)
        except (_CutError, asyncio.CancelledError):
            pass  # cancelled at the end of a test, by nobody else
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def stop(self) -> None:
        """Listen no more, and hang up."""
        if self.listening is not None:
            self.listening.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        if asked.line.startswith("POST"):
            self.told.append(asked.body)
            fault = self.told_faults.popleft() if self.told_faults else Fault()
            await self._answer(writer, fault, fault.status or 200, {}, b"")
        elif asked.line.startswith("GET /dd"):
            fault = self.dd_faults.popleft() if self.dd_faults else Fault()
            await self._answer(writer, fault, 200, {"content-type": MEDIA_TYPE}, self._described())
        else:
            fault = self.faults.popleft() if self.faults else Fault()
            fault.before()
            await self._object(asked, writer, fault)

    def _described(self) -> bytes:
        base = f"https://{self.origin}"
        whole = Descriptor(
            f"{base}/object?id=1",
            len(self.content),
            ("application/zip",),
            install_notify_uri=f"{base}/told",
        )
        return self.descriptor(whole).encode()

    async def _object(self, asked: Asked, writer: asyncio.StreamWriter, fault: Fault) -> None:
        headers = {} if self.etag is None else {"etag": self.etag}
        first = 0 if fault.ignore_range else asked.first
        if not first or asked.headers.get("if-range") != self.etag:
            await self._answer(writer, fault, 200, headers, self.content)
            return
        last, total = len(self.content) - 1, len(self.content)
        if first > last:
            await self._answer(writer, fault, 416, {"content-range": f"bytes */{total}"}, b"")
            return
        headers["content-range"] = f"bytes {first}-{last}/{total}"
        await self._answer(writer, fault, 206, headers, self.content[first:])

    async def _answer(
        self,
        writer: asyncio.StreamWriter,
        fault: Fault,
        status: int,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        if fault.crawl:
            await self._crawl(writer)
        if fault.status is not None:
            status, body = fault.status, b""
        chunked = fault.chunked or bool(fault.tail)
        how = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(body))}
        shown = {name: text for name, text in {**headers, **how, **fault.headers}.items() if text}
        head = "".join(f"{name}: {text}\r\n" for name, text in shown.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode())
        body = body[: fault.most]
        size = 10 if fault.trickle else 16_384
        for place in range(0, len(body), size):
            await self._write(writer, body[place : place + size], chunked)
            if fault.trickle:
                await asyncio.sleep(0.01)
        while fault.tail:
            await self._write(writer, fault.tail, chunked)
        if fault.hold:
            self.held.set()
            await asyncio.Event().wait()
        if fault.most is not None or "content-length" in fault.headers:
            await writer.drain()
            writer.close()  # what was sent arrives, unlike after an abort
            await writer.wait_closed()
            raise _CutError
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _write(self, writer: asyncio.StreamWriter, piece: bytes, chunked: bool) -> None:
        self.sent += len(piece)
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        await writer.drain()

    async def _crawl(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nx: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)


class _CutError(Exception):
    """The connection is over, in the middle of something."""


@asynccontextmanager
async def downloads(
    content: bytes, pem: Pem, clients: Path, faults: list[Fault] | None = None
) -> AsyncIterator[DownloadServer]:
    """Run a server that asks for the device's certificate."""
    server = DownloadServer(content, faults)
    tls = server_context(pem.certificate, pem.key, client_authority=clients)
    server.listening = await asyncio.start_server(server.take, "127.0.0.1", 0, ssl=tls)
    server.port = server.listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await server.stop()


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.split("\r\n")
    pairs = (one.split(": ", 1) for one in rest if one)
    headers = {name.lower(): text for name, text in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(line, headers, body)
