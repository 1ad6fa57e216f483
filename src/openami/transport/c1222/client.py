"""Asks one node over the network."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from openami.c1222.client import (
    Answered,
    AnswerRefused,
    Client,
    ClientConfig,
    ClientEvent,
    Notified,
    Unanswered,
)
from openami.c1222.codes import Qualifier, ResponseControl
from openami.c1222.stream import MessageReader
from openami.core.errors import DecodeError, TransportError, TransportTimeoutError
from openami.transport.c1222.config import LARGEST_IPV4, LARGEST_IPV6
from openami.transport.c1222.url import Carrier, NodeUrl
from openami.transport.clock import SystemClock, speed_of
from openami.transport.dtls import OVERHEAD
from openami.transport.dtls_channel import open_dtls
from openami.transport.failures import closed_error
from openami.transport.tcp import CONNECT_TIMEOUT_S, open_tcp
from openami.transport.tls import client_context
from openami.transport.udp import open_udp

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from openami.c1222.security import Opened
    from openami.c1222.services import Request, Response
    from openami.core.clock import Clock
    from openami.transport.channel import Channel
    from openami.transport.dtls import DtlsContext

_MAX_NOTIFICATIONS: Final = 256
"""What nobody fetches is forgotten, the oldest first."""
_SHORTEST_S: Final = 0.001
_NONE: Final = Qualifier(0)


class AsyncClient:
    """Asks one node; made by ``open_client``.

    It outlives its connection: what was not answered when it broke is sent again over a new one,
    as often as the configuration says.

    Args:
        client: the machine.
        connect: opens a channel to the node.
        clock: tells UTC; when it runs faster, so do the timers.
    """

    def __init__(
        self, client: Client, connect: Callable[[], Awaitable[Channel]], *, clock: Clock
    ) -> None:
        self._client = client
        self._connect = connect
        self._clock = clock
        self._channel: Channel | None = None
        self._reader = MessageReader()
        self._waiting: dict[int, tuple[asyncio.Future[tuple[Response, ...]], bool]] = {}
        self._notified: asyncio.Queue[Opened] = asyncio.Queue(_MAX_NOTIFICATIONS)
        self._timer: asyncio.TimerHandle | None = None
        self._opening = asyncio.Lock()
        self._mending: asyncio.Task[None] | None = None
        self._lost: TransportError | None = None
        self._refused = ""
        self._closed = False

    async def ask(
        self,
        *requests: Request,
        respond: ResponseControl = ResponseControl.ALWAYS,
        qualifier: Qualifier = _NONE,
    ) -> tuple[Response, ...]:
        """Send requests in one message; return one response for each, in their order.

        Without an answer wanted there are none; where one is wanted only if something fails, there
        are none if nothing did.

        Raises:
            TransportTimeoutError: ``c1222.unanswered``: no answer came, however often it was sent.
            TransportError: the node can not be reached: ``transport.refused``, ….
            LocalProtocolError: see ``Client.ask``.
        """
        await self._open()
        number = self._client.ask(
            *requests, now=self._clock.now(), respond=respond, qualifier=qualifier
        )
        if respond is ResponseControl.NEVER:
            self._flush()
            return ()
        future: asyncio.Future[tuple[Response, ...]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future, respond is ResponseControl.ON_EXCEPTION
        self._flush()
        try:
            return await future
        finally:
            del self._waiting[number]

    async def notification(self) -> Opened:
        """Return the next message that the node sent unasked, waiting for one."""
        return await self._notified.get()

    async def open(self) -> None:
        """Connect, if there is no connection; see ``ask`` for what it raises."""
        await self._open()

    def close(self) -> None:
        """Close the connection, and fail what waits."""
        self._closed = True
        for task in (self._timer, self._mending):
            if task is not None:
                task.cancel()
        if self._channel is not None:
            self._channel.close()
        self._fail(TransportError("the client was closed", code="transport.closed"))

    # What the channel calls.

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream, or a datagram."""
        channel = self._channel
        assert channel is not None
        try:
            found = [data] if channel.datagrams else self._reader.feed(data)
        except DecodeError:
            self._refused = "protocol.decode"
            channel.close()
            return
        for message in found:
            self._client.receive(message, now=self._clock.now())
        self._settle()

    def channel_closed(self, error: TransportError | None) -> None:
        """Send again over another connection what waits."""
        assert self._channel is not None
        self._lost = error or closed_error(self._channel.name)
        if self._waiting and not self._closed:
            self._client.hurry(now=self._clock.now())
            self._settle()

    # The rest.

    async def _open(self) -> None:
        async with self._opening:
            if self._channel is None or self._channel.closed:
                self._reader = MessageReader()
                self._channel = await self._connect()
                self._lost = None
                self._channel.attach(self)

    def _settle(self) -> None:
        while (event := self._client.next_event()) is not None:
            self._tell(event)
        self._flush()

    def _tell(self, event: ClientEvent) -> None:
        if isinstance(event, AnswerRefused):
            self._refused = event.code
        elif isinstance(event, Notified):
            if self._notified.full():
                self._notified.get_nowait()
            self._notified.put_nowait(event.opened)
        else:
            self._end(event)

    def _end(self, event: Answered | Unanswered) -> None:
        future, content = self._waiting.get(event.invocation_id, (None, False))
        if future is None or future.done():
            return
        if isinstance(event, Answered):
            future.set_result(event.responses)
        elif content and self._lost is None:
            future.set_result(())
        elif self._lost is not None and not self._refused:
            future.set_exception(self._lost)
        else:
            future.set_exception(self._unanswered())
            self._doubt()

    def _doubt(self) -> None:
        """Have the next question go over a new connection: who is silent may have begun anew."""
        waits = any(not future.done() for future, _ in self._waiting.values())
        if self._channel is not None and not waits:
            self._channel.close()

    def _unanswered(self) -> TransportTimeoutError:
        hint = "wrong ApTitle, key, mode or password: a node does not answer strangers"
        if self._refused:
            hint = f"something came that is no answer: {self._refused}"
        return TransportTimeoutError("the node does not answer", hint=hint, code="c1222.unanswered")

    def _flush(self) -> None:
        if self._channel is None or self._channel.closed:
            waits = any(not future.done() for future, _ in self._waiting.values())
            if waits and self._mending is None and not self._closed:
                self._mending = asyncio.ensure_future(self._mend())
        else:
            for message in self._client.data_to_send():
                if not self._channel.closed:
                    self._channel.write(message)
        self._arm()

    async def _mend(self) -> None:
        try:
            await self._open()
        except TransportError as error:
            self._fail(error)
        finally:
            self._mending = None
        self._flush()

    def _fail(self, error: TransportError) -> None:
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(error)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._client.next_timer()
        if due is not None and not self._closed:
            wait = max((due - self._clock.now()) / speed_of(self._clock), _SHORTEST_S)
            self._timer = asyncio.get_running_loop().call_later(wait, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._client.handle_timer(now=self._clock.now())
        self._settle()


@asynccontextmanager
async def open_client(
    url: NodeUrl,
    config: ClientConfig,
    *,
    clock: Clock | None = None,
    tls: ssl.SSLContext | None = None,
    dtls: DtlsContext | None = None,
    connect_s: float = CONNECT_TIMEOUT_S,
) -> AsyncIterator[AsyncClient]:
    """Give a client that is connected.

    Args:
        url: where the node is; ``url.client_config`` makes a configuration.
        config: how it is asked.
        clock: tells UTC; None: the machine's.
        tls: with ``c1222+tls``; None: servers that this machine trusts.
        dtls: with ``c1222+dtls``; None: likewise.
        connect_s: how long opening a connection may take.

    Raises:
        TransportError: the node can not be reached: ``transport.refused``, ….
    """

    async def connect() -> Channel:
        if url.carrier is Carrier.UDP:
            return await open_udp(url.host, url.port)
        if url.carrier is Carrier.DTLS:
            return await open_dtls(url.host, url.port, dtls, timeout_s=connect_s)
        inside = (tls or client_context()) if url.carrier is Carrier.TLS else None
        return await open_tcp(url.host, url.port, timeout_s=connect_s, tls=inside)

    if config.largest is None and url.carrier in {Carrier.UDP, Carrier.DTLS}:
        config = replace(config, largest=_largest(url))
    client = Client(config, first_id=secrets.randbits(32))
    made = AsyncClient(client, connect, clock=clock or SystemClock())
    try:
        await made.open()
        yield made
    finally:
        made.close()


def _largest(url: NodeUrl) -> int:
    """Return the octets of the longest message that every path carries (RFC 6142)."""
    try:
        least = LARGEST_IPV6 if ip_address(url.host).version == 6 else LARGEST_IPV4
    except ValueError:  # a name may have either address
        least = LARGEST_IPV4
    return least - (OVERHEAD if url.carrier is Carrier.DTLS else 0)
