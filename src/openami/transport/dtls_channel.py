"""A flow of datagrams inside DTLS, as a channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from openami.transport.channel import Channel
from openami.transport.dtls import DtlsContext, DtlsSession
from openami.transport.failures import transport_error
from openami.transport.udp import open_udp

if TYPE_CHECKING:
    from openami.core.errors import TransportError

MTU: Final = 1200
"""Octets of a datagram that nearly every path carries whole; a handshake's are cut to fit."""
HANDSHAKE_S: Final = 15.0
"""Three flights, each repeated twice: OpenSSL waits 1, 2 and 4 seconds."""


class DtlsChannel(Channel):
    """A client's end; made by ``open_dtls``."""

    datagrams: ClassVar[bool] = True

    def __init__(self, below: Channel, session: DtlsSession) -> None:
        super().__init__(f"dtls {below.name.removeprefix('udp ')}")
        self._below = below
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._opened: asyncio.Future[None] = self._loop.create_future()
        below.attach(self)
        self._settle()

    async def opened(self) -> None:
        """Return when the handshake is over.

        Raises:
            TransportError: it failed.
        """
        await self._opened

    def data_received(self, data: bytes) -> None:
        """Take a datagram of the flow below."""
        found = self._session.receive(data)
        self._settle()
        for message in found:
            self._feed(message)

    def channel_closed(self, error: TransportError | None) -> None:
        """Take note that the flow below has gone."""
        self._over(error)

    def _send(self, data: bytes) -> None:
        self._session.send(data)
        self._settle()

    def _close(self) -> None:
        self._session.close()
        self._settle()

    def _settle(self) -> None:
        for datagram in self._session.datagrams():
            if not self._below.closed:
                self._below.write(datagram)
        if self._session.established and not self._opened.done():
            self._opened.set_result(None)
        if self._session.closed:
            self._over(self._session.error)
            return
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait = self._session.wait()
        if wait is not None:
            self._timer = self._loop.call_later(max(wait, 0.001), self._fire)

    def _fire(self) -> None:
        self._session.handle_timer()
        self._settle()

    def _over(self, error: TransportError | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._opened.done() and error is not None:
            self._opened.set_exception(error)
        self._below.detach(self)
        self._below.close()
        self._finish(error)


async def open_dtls(
    host: str, port: int, context: DtlsContext | None = None, *, timeout_s: float = HANDSHAKE_S
) -> DtlsChannel:
    """Make a flow of datagrams to one peer, inside DTLS.

    Args:
        host: whose certificate is wanted, too.
        port: of UDP.
        context: the client's; None: servers that this machine trusts.
        timeout_s: how long the handshake may take.

    Raises:
        TransportError: ``transport.tls``, ``transport.timeout``, ``transport.refused``, ….
    """
    session = DtlsSession.to(context or DtlsContext.client(), host, mtu=MTU)
    channel = DtlsChannel(await open_udp(host, port), session)
    try:
        async with asyncio.timeout(timeout_s):
            await channel.opened()
    except TimeoutError as error:
        channel.close()
        raise transport_error(error, f"the handshake with {host}:{port}") from error
    except BaseException:
        channel.close()
        raise
    return channel
