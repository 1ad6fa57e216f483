"""One request, one status."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import RemoteProtocolError, TransportError, TransportTimeoutError
from openami.transport.post import post_once

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def answering(answer: bytes | None, seen: list[bytes]) -> AsyncIterator[str]:
    """Give the address of a server that answers everything with the same; None: with nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        seen.append(await reader.readexactly(4))
        if answer is None:
            await reader.read()  # until the other side gives up
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"http://{host}:{port}"


async def test_a_status_comes_back() -> None:
    seen: list[bytes] = []
    async with answering(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", seen) as url:
        assert await post_once(f"{url}/wake?a=b", b"body", "text/plain", within=10) == 202
    head, body = seen
    assert head.startswith(b"POST /wake?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n" in head
    assert body == b"body"


@pytest.mark.parametrize("status", [b"HTTP/1.0 404\r\n", b"HTTP/1.1 404 Not Found\n"])
async def test_a_status_line_may_be_short(status: bytes) -> None:
    async with answering(status, []) as url:
        assert await post_once(url, b"body", "text/plain", within=10) == 404


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 20", b"HTTP/1.1 200 " + b"x" * 2000 + b"\r\n"],
)
async def test_what_is_not_http(answer: bytes) -> None:
    async with answering(answer, []) as url:
        with pytest.raises(RemoteProtocolError):
            await post_once(url, b"body", "text/plain", within=10)


async def test_nobody_there_and_nobody_who_answers() -> None:
    async with answering(None, []) as url:
        with pytest.raises(TransportTimeoutError):
            await post_once(url, b"body", "text/plain", within=0.05)
    with pytest.raises(TransportError) as raised:
        await post_once(url, b"body", "text/plain", within=10)
    assert raised.value.code == "transport.refused"


@pytest.mark.parametrize("rest", [b"HTTP/1.1 204 \r\n\r\n", b"", None])
async def test_an_answer_in_pieces_and_a_line_that_breaks(rest: bytes | None) -> None:
    """All of it, a part of it, or a connection that is reset."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(20)
        for octet in rest or b"":
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0)
        if rest is None:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        asked = post_once(f"http://{host}:{port}/", b"body", "text/plain", within=10)
        if rest:
            assert await asked == 204
        elif rest is None:
            with pytest.raises(TransportError) as raised:
                await asked
            assert raised.value.code == "transport.closed"
        else:
            with pytest.raises(RemoteProtocolError):
                await asked


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://host/",
        "http://host:port/",
        "http:///path",
        "http://127.0.0.1:9/a b",
        "http://127.0.0.1:9/\r\nX: y",
        "http://127.0.0.1:9/\u20ac",
        "http://a\0b/",
        "http://a..b/",
        f"http://{'a' * 64}.example/",
    ],
)
async def test_what_is_no_url(url: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        await post_once(url, b"body", "text/plain", within=10)
    assert raised.value.code == "http.url"
