"""The home port: the wrapper over TCP for displays alone, with a push each second."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import StoreError
from openami.dlms.cosem import ClientKind
from openami.dlms.data import RawData
from openami.dlms.wrapper import WrapperParameters, WrapperServerLink
from openami.meter.server import MeterServer
from openami.transport.clock import monotonic
from openami.transport.driver import Driver
from openami.transport.tcp import TcpChannel, listen_tcp

if TYPE_CHECKING:
    from openami.dlms.data import Encodable
    from openami.dlms.server import ServerEvent
    from openami.meter.device import Meter
    from openami.transport.channel import Channel
    from openami.transport.server import Server

PUSH_S: Final = 1.0
"""Real seconds from push to push."""

CONNECTIONS: Final = 8
"""Each of four displays twice: a new connection while the old one is not known to be dead. The
oldest of those on which no display has associated makes room for another: who has no keys cannot
keep displays out by sitting there."""

LEAVING: Final = 8
"""Connections that are being closed, besides."""

UNSENT_OCTETS: Final = 4096
"""Of the system's buffer: some twenty pushes; who reads slower than that gets fewer of them."""

GONE_S: Final = 60.0
"""Seconds without an acknowledgement after which a display is gone, as one without power."""

KINDS: Final = frozenset({ClientKind.PUBLIC, ClientKind.HOME})
"""Who may associate: displays, and who wants to be paired."""

log = structlog.get_logger()


class HomeServer(MeterServer):
    """A meter on one connection of its home port; kept for displays, not for who has no keys."""

    @property
    def known(self) -> bool:
        return any(self._server.kind(peer) is ClientKind.HOME for peer in self._server.associated)

    def push(self, body: Encodable, *, now: float) -> None:
        """Send a notification to each display that is associated; who is forgotten is put out."""
        if self._deaf():
            return
        for peer in self._server.associated:
            if self._server.kind(peer) is ClientKind.HOME:
                self._server.notify(peer, body, now=now)
        self._given_up |= not self.known
        self._settle(now)


class HomePort:
    """Serves the connections of displays.

    Args:
        meter: the meter.

    Attributes:
        listening: where, once it does.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._open: dict[HomeServer, Driver[ServerEvent]] = {}
        self.listening: tuple[str, int] | None = None
        self._slow: set[HomeServer] = set()

    async def listen(self, host: str, port: int) -> Server:
        """Listen for displays.

        Raises:
            TransportError: see ``listen_tcp``.
        """
        server = await listen_tcp(host, port, self.serve, max_connections=CONNECTIONS + LEAVING)
        self.listening = host, server.port
        return server

    async def serve(self, channel: Channel) -> None:
        """Serve one connection until it ends."""
        if not self._makes_room():
            return
        if isinstance(channel, TcpChannel):
            channel.hold_little(UNSENT_OCTETS)
            channel.give_up_after(GONE_S)
        now = monotonic()
        # A display that only listens is not idle, and one that is gone is noticed by the pushes.
        link = WrapperServerLink(parameters=WrapperParameters(inactivity_timeout=0))
        server = HomeServer(
            self._meter, link, random_octets=secrets.token_bytes, opened_at=now, kinds=KINDS
        )
        driver: Driver[ServerEvent] = Driver(
            server, channel, on_event=_log_event, finished=lambda: server.finished
        )
        self._open[server] = driver
        try:
            with self._meter.management.watched(driver.pump):
                await driver.run()
        finally:
            del self._open[server]
            self._slow.discard(server)

    def _makes_room(self) -> bool:
        """Tell whether there is room for another connection; a stranger's may end for that."""
        staying = [each for each in self._open.items() if not each[1].channel.closed]
        if len(staying) < CONNECTIONS:
            return True
        strangers = [driver for server, driver in staying if not server.known]
        if strangers:
            strangers[0].channel.close()
        return bool(strangers)

    async def run(self) -> None:
        """Push for ever, each second."""
        due = monotonic()
        while True:
            due = max(due + PUSH_S, monotonic())
            await asyncio.sleep(due - monotonic())
            with suppress(StoreError):  # told already, and it is restarted
                self.push()

    def push(self) -> None:
        """Push what flows now to each display that has read what was pushed before.

        A memory that is full stops nothing here: what flows is measured, and what is pushed has
        counters that were reserved before.

        Raises:
            StoreError: the meter's application failed.
        """
        listening = [(server, driver) for server, driver in self._open.items() if server.known]
        if not listening:
            return
        with suppress(StoreError):  # the memory has told
            self._meter.refresh()
        with self._meter.guarded():
            body = RawData(self._meter.model.homes.live().data().encode())
        for server, driver in listening:
            if driver.channel.full:
                self._leave_out(server, driver.channel.name)
            elif not driver.channel.closed:
                self._slow.discard(server)
                server.push(body, now=monotonic())
                driver.pump()

    def _leave_out(self, server: HomeServer, peer: str) -> None:
        """Leave out a push for a display that has not read those before; said once until it has."""
        if server not in self._slow:
            self._slow.add(server)
            log.info("a display reads slowly: it gets fewer pushes", peer=peer)


def _log_event(event: ServerEvent) -> None:
    log.debug("display", what=type(event).__name__, detail=event)
