from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from openami.core.errors import TransportError, TransportTimeoutError
from openami.transport.failures import transport_error
from openami.transport.tcp import TcpChannel, endpoint, listen_tcp, open_tcp

if TYPE_CHECKING:
    from openami.transport.channel import Channel


async def echo(channel: Channel) -> None:
    while data := await channel.read():
        channel.write(data)


async def test_echo_and_close_in_good_order() -> None:
    async with await listen_tcp("127.0.0.1", 0, echo) as server:
        channel = await open_tcp("127.0.0.1", server.port)
        assert channel.name == f"tcp 127.0.0.1:{server.port}"
        sock = channel._transport.get_extra_info("socket")  # type: ignore[union-attr] # connected
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        channel.write(b"hello")
        assert await channel.read() == b"hello"
        assert server.connections == 1
        channel.close()
        channel.close()
        assert channel.closed
        assert await channel.read() == b""
        with pytest.raises(TransportError) as caught:
            channel.write(b"more")
        assert caught.value.code == "transport.closed"
        assert (channel.sent_octets, channel.received_octets) == (5, 5)
        assert repr(channel) == f"<TcpChannel tcp 127.0.0.1:{server.port} closed>"


async def test_closing_the_server_closes_its_connections() -> None:
    server = await listen_tcp("127.0.0.1", 0, echo)
    channel = await open_tcp("127.0.0.1", server.port)
    channel.write(b"x")
    await channel.read()
    await server.close()
    assert await channel.read() == b""
    with pytest.raises(TransportError) as caught:
        await open_tcp("127.0.0.1", server.port)
    assert caught.value.code == "transport.refused"
    assert caught.value.hint is not None


async def test_connections_are_bounded() -> None:
    async with await listen_tcp("127.0.0.1", 0, echo, max_connections=1) as server:
        first = await open_tcp("127.0.0.1", server.port)
        first.write(b"x")
        await first.read()
        second = await open_tcp("127.0.0.1", server.port)
        try:
            assert await second.read() == b""
        except TransportError as exc:
            assert exc.code == "transport.closed"  # noqa: PT017 - a reset is as good
        assert server.refused == 1
        assert server.connections == 1


async def test_port_in_use() -> None:
    async with await listen_tcp("127.0.0.1", 0, echo) as server:
        with pytest.raises(TransportError) as caught:
            await listen_tcp("127.0.0.1", server.port, echo)
        assert caught.value.code == "transport.in-use"


async def test_unknown_host() -> None:
    with pytest.raises(TransportError) as caught:
        await open_tcp("host.invalid", 4059)
    assert caught.value.code == "transport.unknown-host"


async def test_connecting_times_out() -> None:
    """A listener whose queue is full answers no SYN."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        tries = [open_tcp("127.0.0.1", port, timeout_s=0.3) for _ in range(8)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert any(isinstance(result, TransportTimeoutError) for result in results)
        for channel in results:
            if isinstance(channel, TcpChannel):
                channel.abort()


async def test_reset_is_an_error_after_what_came_before() -> None:
    async def reset(channel: Channel) -> None:
        channel.write(b"last words")
        await channel.read()
        transport = channel._transport  # type: ignore[attr-defined] # a TcpChannel
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        transport.abort()

    async with await listen_tcp("127.0.0.1", 0, reset) as server:
        channel = await open_tcp("127.0.0.1", server.port)
        assert await channel.read() == b"last words"
        channel.write(b"go")
        with pytest.raises(TransportError) as caught:
            await channel.read()
        assert caught.value.code == "transport.closed"
        await channel.wait_closed()
        with pytest.raises(TransportError):
            channel.write(b"x")


def test_endpoints() -> None:
    assert endpoint(("127.0.0.1", 1)) == "127.0.0.1:1"
    assert endpoint(("::1", 1, 0, 0)) == "[::1]:1"
    assert endpoint(None) == "?"


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (TimeoutError(), "transport.timeout"),
        (OSError(113, "No route to host"), "transport.unreachable"),
        (OSError(13, "Permission denied"), "transport.denied"),
        (OSError(2, "No such file or directory"), "transport.missing"),
        (OSError(9999, "strange"), "transport"),
        (ConnectionResetError(), "transport.closed"),
        (ValueError("x"), "transport"),
        (TransportError("x", code="transport.mine"), "transport.mine"),
    ],
)
def test_errors_of_the_system_have_codes(exc: BaseException, code: str) -> None:
    error = transport_error(exc, "trying")
    assert error.code == code
    assert error.message
