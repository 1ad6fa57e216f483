"""Drives a run of the conformance tester over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from openami.c1222.stream import MessageReader
from openami.core.errors import DecodeError, TransportError
from openami.transport.c1222.config import LARGEST_IPV4, LARGEST_IPV6
from openami.transport.dtls import OVERHEAD
from openami.transport.dtls_channel import open_dtls
from openami.transport.tcp import TcpChannel, open_tcp
from openami.transport.udp import open_udp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from openami.c1222.conformance import Exchange, Run
    from openami.core.clock import Clock
    from openami.transport.channel import Channel
    from openami.transport.dtls import DtlsContext

UDP_RETRIES: Final = 2
"""How often a message that was not answered is sent again, where datagrams get lost."""


def largest_datagram(host: str, *, dtls: bool = False) -> int:
    """Return the octets of the longest message in a datagram to a host (RFC 6142, 3.5)."""
    return (LARGEST_IPV6 if ":" in host else LARGEST_IPV4) - (OVERHEAD if dtls else 0)


class Line:
    """The line to a node that is tested.

    Args:
        host: where the node is.
        port: likewise.
        datagrams: over UDP, else over TCP.
        tls: inside TLS.
        dtls: inside DTLS; these are datagrams.
        tap: is given each message or segment that is sent (true) or heard.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        datagrams: bool = False,
        tls: ssl.SSLContext | None = None,
        dtls: DtlsContext | None = None,
        tap: Callable[[bytes, bool], None] | None = None,
    ) -> None:
        self.datagrams = datagrams or dtls is not None
        self._tls = tls
        self._dtls = dtls
        self._where = host, port
        self._tap = tap
        self._channel: Channel | None = None
        self._opened: list[Channel] = []
        self._reader = MessageReader()

    async def open(self) -> None:
        """Connect.

        Raises:
            TransportError: the node can not be reached.
        """
        self._channel = await self._connect()
        self._reader = MessageReader()

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()

    async def drive(
        self, run: Run, *, clock: Clock, progress: Callable[[Run], None] | None = None
    ) -> None:
        """Run all cases; ``progress`` is called after each exchange.

        Raises:
            TransportError: the node can not be reached, or does not answer at all
                (``c1222.unanswered``).
        """
        await self.open()
        try:
            while (exchange := run.next(now=clock.now())) is not None:
                await self._exchange(exchange, run, clock)
                if progress is not None:
                    progress(run)
        finally:
            self.close()
            await self._end()

    async def _end(self) -> None:
        """Wait for nobody who does not end TLS: a loop that stops would leave their sockets."""
        await asyncio.sleep(0)
        for channel in self._opened:
            if isinstance(channel, TcpChannel):
                channel.abort()
        self._opened.clear()
        await asyncio.sleep(0)

    async def _connect(self) -> Channel:
        channel = await self._dial()
        self._opened.append(channel)
        return channel

    def _dial(self) -> Awaitable[Channel]:
        if self._dtls is not None:
            return open_dtls(*self._where, self._dtls)
        return open_udp(*self._where) if self.datagrams else open_tcp(*self._where, tls=self._tls)

    async def _exchange(self, exchange: Exchange, run: Run, clock: Clock) -> None:
        seconds = run.target.timeout if exchange.seconds is None else exchange.seconds
        if not exchange.messages and not exchange.wanted:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # A node that hangs up, or that starts again, says nothing: what that means is
                # for the run to say.
                with suppress(TransportError):
                    if exchange.apart:
                        await self._apart(exchange.messages)
                        return
                    await self._send(exchange)
                    await self._listen(run, clock)

    async def _apart(self, messages: tuple[bytes, ...]) -> None:
        channel = await self._connect()
        try:
            for each in messages:
                channel.write(each)
            await channel.drain()
        finally:
            channel.close()

    async def _send(self, exchange: Exchange) -> None:
        if self._channel is None or self._channel.closed or exchange.anew:
            self.close()
            await self.open()
        assert self._channel is not None
        for each in exchange.messages:
            self._channel.write(each)
            if self._tap is not None:
                self._tap(each, True)

    async def _listen(self, run: Run, clock: Clock) -> None:
        """Give the run what comes, until it has heard enough or the node hangs up."""
        assert self._channel is not None
        while run.waiting:
            data = await self._channel.read()
            if not data:
                return
            for each in self._messages(data):
                if self._tap is not None:
                    self._tap(each, False)
                run.receive(each, now=clock.now())

    def _messages(self, data: bytes) -> list[bytes]:
        if self.datagrams:
            return [data]
        try:
            return self._reader.feed(data)
        except DecodeError:  # nothing on this connection can be read after that
            self.close()
            return [data]
