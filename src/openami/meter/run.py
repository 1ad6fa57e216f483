"""Runs one meter on its links until it is told to stop."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from openami.core.errors import ConfigError, StoreError, TransportError
from openami.dlms.hdlc import HdlcParameters, HdlcServerLink
from openami.dlms.server import ServerEvent
from openami.dlms.wrapper import WrapperParameters, WrapperServerLink
from openami.meter.apart import Apart
from openami.meter.c1222.optical import OpticalPort
from openami.meter.c1222.service import C1222Service, C1222Settings, serving
from openami.meter.device import Meter
from openami.meter.factory import meter_board, new_board
from openami.meter.home.port import HomePort
from openami.meter.line import ApartLine, ApartSpec
from openami.meter.live import LiveFeed
from openami.meter.memory import WatchedMemory
from openami.meter.server import MeterServer
from openami.meter.sources import SourceSpec
from openami.metrology.memory import VolatileMemory
from openami.store.nvm import SqliteMemory
from openami.transport.c1222.optical import serve_optical
from openami.transport.clock import SystemClock, monotonic, speed_of
from openami.transport.driver import Driver
from openami.transport.serial import open_pty, open_serial
from openami.transport.serving import serve_until_stopped
from openami.transport.tcp import listen_tcp
from openami.transport.udp import listen_udp

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.meter.board import Board
    from openami.meter.maker import Maker
    from openami.meter.settings import MeterConfig
    from openami.metrology.memory import MeterMemory
    from openami.metrology.sources import Source
    from openami.transport.channel import Channel
    from openami.transport.server import Server

PORT: Final = 4059
"""The wrapper's port, TCP and UDP (IANA dlms-cosem)."""

MEMORY_FILE: Final = "meter.db"
TICK_S: Final = 1.0
"""Real seconds between two looks at the source: what a meter's display changes in."""

log = structlog.get_logger()

FIRST_REPORT_S: Final = 5.0
"""Real seconds for which a meter waits for its measuring part before it serves without."""

Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a meter runs with.

    Args:
        config: who it is and how it is set up.
        source: what it measures, or where its measuring part is.
        state: the folder of its memory; without one it forgets all when it stops.
        wrapper: where it listens for the TCP and UDP wrapper; port 0 for any free one.
        hdlc: where it listens for HDLC over TCP.
        serial: serial devices on which it speaks HDLC.
        pty: whether it makes a pseudo terminal to speak HDLC on.
        home: where it listens for displays.
        c1222: how it speaks C12.22, if it does.
        baud: of the serial devices.
        clock: the world's.
        maker: who makes the meter, if it is new; by default one whose key is kept in its folder.
    """

    config: MeterConfig
    source: SourceSpec | ApartSpec
    state: Path | None = None
    wrapper: tuple[Endpoint, ...] = ()
    hdlc: tuple[Endpoint, ...] = ()
    serial: tuple[str, ...] = ()
    pty: bool = False
    home: Endpoint | None = None
    c1222: C1222Settings | None = None
    baud: int = 9600
    clock: Clock = field(default_factory=SystemClock)
    maker: Maker | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a meter can be reached, with the ports that it was given."""

    wrapper: tuple[Endpoint, ...] = ()
    hdlc: tuple[Endpoint, ...] = ()
    serial: tuple[str, ...] = ()
    c1222: tuple[Endpoint, ...] = ()
    c1218: tuple[str, ...] = ()
    home: Endpoint | None = None


class MeterRunner:
    """A meter on its links; as a context manager.

    Args:
        settings: what it runs with.

    Raises:
        ConfigError: it has no link.
    """

    def __init__(self, settings: RunSettings) -> None:
        links = (settings.wrapper, settings.hdlc, settings.serial, settings.pty, settings.c1222)
        if not any(links) and settings.home is None:
            hint = "wrapper, HDLC, serial, pty, home or C12.22"
            raise ConfigError("a meter wants a link", hint=hint)
        self._settings = settings
        self._stack = AsyncExitStack()
        self._failed = asyncio.Event()
        self._failure: BaseException | None = None
        self._c1222: C1222Service | None = None
        self._line: ApartLine | None = None
        self.listening = Listening()
        self.meter: Meter

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            memory = self._open_memory(stack)
            settings = self._settings
            source = await self._open_source(stack)
            self.meter = Meter(
                settings.config,
                memory=memory,
                source=source,
                clock=settings.clock.now,
                board=self._open_board(stack),
            )
            stack.callback(self._last_commit)
            self.meter.refresh()
            self.listening = await self._listen(stack)
            self._watch(stack, self._tick())
            self._stack = stack.pop_all()
        log.info("meter serves", serial=self.meter.serial, listening=self.listening)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        log.info("meter stopped", serial=self.meter.serial)

    async def failed(self) -> None:
        """Return never, unless one of the meter's tasks fails: then raise what it raised."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    async def _open_source(self, stack: AsyncExitStack) -> Source | Apart:
        """Return what the meter measures; a measuring part apart has told something by then."""
        wanted = self._settings.source
        if isinstance(wanted, SourceSpec):
            if wanted.live is not None:
                feed = LiveFeed(wanted.command, wanted.live, self._settings.clock)
                await stack.enter_async_context(feed)
            return wanted.source
        apart = Apart(accept=wanted.accept)
        self._line = await stack.enter_async_context(ApartLine(wanted.line, apart))
        await self._line.first(FIRST_REPORT_S)
        return apart

    def _open_memory(self, stack: AsyncExitStack) -> MeterMemory:
        if self._settings.state is None:
            return VolatileMemory()
        memory = SqliteMemory(self._settings.state / MEMORY_FILE)
        stack.callback(memory.close)
        return WatchedMemory(memory)

    def _open_board(self, stack: AsyncExitStack) -> Board:
        state, maker = self._settings.state, self._settings.maker
        if state is None:
            return new_board(maker)
        flash = stack.enter_context(ExitStack())
        return meter_board(state, maker, flash)

    def _last_commit(self) -> None:
        with suppress(StoreError):  # the memory has told
            self.meter.stop(self._settings.clock.now())

    async def _tick(self) -> None:
        pause = min(TICK_S, self._settings.config.persist_s / speed_of(self._settings.clock))
        while True:
            await asyncio.sleep(max(pause, 0.01))
            with suppress(StoreError):  # the memory has told; the meter measures on
                self.meter.refresh()
            if self._line is not None:
                self._line.send()
            if self._c1222 is not None:
                self._c1222.look()

    def _watch(self, stack: AsyncExitStack, work: Coroutine[Any, Any, object]) -> None:
        """Do ``work`` as long as the meter runs; its failure, or its end, is the meter's."""

        def done(task: asyncio.Task[object]) -> None:
            if not task.cancelled():
                self._failure = task.exception() or TransportError("a line is gone")
                self._failed.set()

        task = asyncio.create_task(work)
        task.add_done_callback(done)
        stack.callback(task.cancel)

    # Links.

    async def _listen(self, stack: AsyncExitStack) -> Listening:
        settings = self._settings
        wrapper, hdlc = [], []
        most = self.meter.model.tcp.connections
        for host, port in settings.wrapper:
            stream = await listen_tcp(host, port, self._wrapper, max_connections=most)
            await self._keep(stack, stream)
            await self._keep(stack, await listen_udp(host, stream.port, self._datagrams))
            wrapper.append((host, stream.port))
        for host, port in settings.hdlc:
            server = await listen_tcp(host, port, self._hdlc_alone, max_connections=most)
            await self._keep(stack, server)
            hdlc.append((host, server.port))
        lines = list(settings.serial)
        channels = [open_serial(device, baud=settings.baud) for device in lines]
        if settings.pty:
            channel, path = open_pty()
            channels.append(channel)
            lines.append(path)
        for channel in channels:
            self._serve_line(stack, channel)
        node = await self._node(stack)
        ports = () if settings.c1222 is None else settings.c1222.lines
        home = None
        if settings.home is not None:
            displays = HomePort(self.meter)
            await self._keep(stack, await displays.listen(*settings.home))
            self._watch(stack, displays.run())
            home = displays.listening
        return Listening(tuple(wrapper), tuple(hdlc), tuple(lines), node, ports, home)

    async def _node(self, stack: AsyncExitStack) -> tuple[Endpoint, ...]:
        """Speak C12.22, if that is wanted; return where."""
        settings = self._settings.c1222
        if settings is None:
            return ()
        service = await stack.enter_async_context(serving(self.meter, settings))
        self._watch(stack, _failed(service))
        self._c1222 = service
        for device in settings.lines:
            channel = open_serial(device, baud=self._settings.baud)
            stack.callback(channel.close)
            port = OpticalPort(service.station, number=settings.number)
            self._watch(stack, serve_optical(channel, port, clock=settings.clock))
        return tuple((str(each.host), each.port or 0) for each in service.endpoint.listening)

    async def _keep(self, stack: AsyncExitStack, server: Server) -> None:
        await stack.enter_async_context(server)
        self._watch(stack, _raise(server))

    def _serve_line(self, stack: AsyncExitStack, channel: Channel) -> None:
        stack.callback(channel.close)
        self._watch(stack, self._hdlc(channel))

    async def _wrapper(self, channel: Channel, *, datagrams: bool = False) -> None:
        now = monotonic()
        idle = float(self.meter.model.tcp.inactivity_timeout)
        parameters = WrapperParameters(datagrams=datagrams, inactivity_timeout=idle)
        await self._serve(channel, WrapperServerLink(parameters=parameters, opened_at=now), now)

    async def _datagrams(self, channel: Channel) -> None:
        await self._wrapper(channel, datagrams=True)

    async def _hdlc(self, channel: Channel) -> None:
        await self._serve(channel, hdlc_link(self.meter, alone=True))

    async def _hdlc_alone(self, channel: Channel) -> None:
        await self._serve(channel, hdlc_link(self.meter, alone=True), monotonic())

    async def _serve(
        self,
        channel: Channel,
        link: HdlcServerLink | WrapperServerLink,
        opened_at: float | None = None,
    ) -> None:
        server = MeterServer(
            self.meter, link, random_octets=secrets.token_bytes, opened_at=opened_at
        )
        log.debug("link opened", channel=channel.name)
        driver = Driver[ServerEvent](
            server, channel, on_event=_log_event, finished=lambda: server.finished
        )
        with self.meter.management.watched(driver.pump):
            await driver.run()
        log.debug("link closed", channel=channel.name)


async def _raise(server: Server) -> None:
    """Raise what a handler of ``server`` raised, when it does."""
    raise await server.failed()


async def _failed(service: C1222Service) -> None:
    """Raise what a station raised, when it does."""
    raise await service.endpoint.failed()


def hdlc_link(meter: Meter, *, alone: bool = False) -> HdlcServerLink:
    """Return a station on an HDLC line, set up as the meter's HDLC setup object says.

    Args:
        meter: the meter.
        alone: the only one on its line.
    """
    hdlc = meter.model.hdlc
    parameters = HdlcParameters(
        max_info_tx=hdlc.max_info_transmit,
        max_info_rx=hdlc.max_info_receive,
        window_tx=hdlc.window_transmit,
        window_rx=hdlc.window_receive,
        inactivity_timeout=float(hdlc.inactivity_timeout),
        inter_frame=max(hdlc.inter_octet_timeout / 1000, 0.5),
    )
    return HdlcServerLink(meter.station, (1,), parameters, alone=alone)


def _log_event(event: ServerEvent) -> None:
    log.debug("client", what=type(event).__name__, detail=event)


async def run_meter(
    settings: RunSettings, *, ready: Callable[[MeterRunner], None] | None = None
) -> None:
    """Run a meter until SIGTERM or SIGINT; then commit and return.

    Args:
        settings: what it runs with.
        ready: called once it can be reached.

    Raises:
        ConfigError: the settings do not fit together.
        TransportError: a link cannot be opened.
        StoreError: its memory cannot be read.
        SecurityError: no firmware in its flash verifies and starts.
    """
    await serve_until_stopped(MeterRunner(settings), ready)
