"""A street: many meters on one multi-drop HDLC line, with one modem for the concentrator."""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from openami.core.errors import ConfigError, StoreError
from openami.meter.device import Meter
from openami.meter.factory import StreetBoards
from openami.meter.identity import (
    SHIPMENT_FILE,
    BroadcastKeys,
    generate_identity,
    load_street,
    save_shipment,
)
from openami.meter.live import LiveFeed
from openami.meter.memory import WatchedMemory
from openami.meter.run import Endpoint, Listening, hdlc_link
from openami.meter.server import MeterServer
from openami.meter.settings import check_grid
from openami.metrology.config import EUROPE
from openami.metrology.events import Alarm
from openami.metrology.memory import VolatileMemory
from openami.store.nvm import SqliteMemory
from openami.transport.clock import SystemClock, monotonic, speed_of
from openami.transport.driver import Driver
from openami.transport.medium import LineProfile, Medium
from openami.transport.multidrop import MultiDropLine, Station
from openami.transport.serial import open_pty, open_serial
from openami.transport.serving import serve_until_stopped
from openami.transport.switchboard import Switchboard
from openami.transport.tcp import TcpServer, listen_tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.dlms.wrapper import WrapperServerLink
    from openami.meter.identity import MeterIdentity
    from openami.meter.maker import Maker
    from openami.meter.settings import MeterConfig
    from openami.meter.sources import SourceSpec
    from openami.metrology.config import Grid
    from openami.metrology.memory import MeterMemory
    from openami.transport.channel import Channel
    from openami.transport.server import Handler

MEMORY_FILE: Final = "street.db"

TICK_S: Final = 1.0
"""Real seconds between two rounds over all meters: what a display changes in."""

FASTEST_TICK_S: Final = 0.1
"""The same with a fast clock: keeping 200 meters takes about 10 ms."""

CONNECTIONS: Final = 64
"""TCP clients of one port at once: a concentrator, its predecessor that died, and auditors."""

_SLICE: Final = 20
"""Meters measured at a stretch: frames and answers pass in between."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StreetMeter:
    """One meter of a street: how it is set up, and what it measures."""

    config: MeterConfig
    source: SourceSpec


@dataclass(frozen=True, slots=True)
class StreetSettings:
    """What a street runs with: exactly one of ``modem``, ``serial`` and ``pty``.

    Args:
        meters: who lives there; no two have the same address.
        state: the folder of their common memory; without one they forget all when they stop.
        modem: where the line's modem listens for the concentrator, HDLC over TCP; port 0 for any.
        serial: the serial device that is the line.
        pty: whether to make a pseudo terminal that is the line.
        baud: of the serial device.
        maintenance: where each meter can be reached directly: wrapper over TCP, the destination
            wPort is the station's address.
        line: what the line is like.
        seed: of the line's misfortunes.
        clock: the world's.
        maker: who makes its meters, if they are new; by default one whose key is kept in its
            folder.
    """

    meters: tuple[StreetMeter, ...]
    state: Path | None = None
    modem: Endpoint | None = None
    serial: str | None = None
    pty: bool = False
    baud: int = 9600
    maintenance: Endpoint | None = None
    line: LineProfile = field(default_factory=LineProfile)
    seed: int = 0
    clock: Clock = field(default_factory=SystemClock)
    maker: Maker | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if [bool(self.modem), bool(self.serial), self.pty].count(True) != 1:
            raise ConfigError(
                "a street wants one modem", hint="modem, serial or pty", code="config.street"
            )


class StreetRunner:
    """A street; as a context manager.

    Every meter is kept in memory at the latest when its own ``persist_s`` has passed; with a fast
    clock, when a tenth of a second of real time has.

    Args:
        settings: what it runs with.

    Attributes:
        meters: by station address, once it runs.
        line: the line, with its counters, once it runs.
        listening: where it can be reached: modem or line under ``hdlc`` or ``serial``, the
            maintenance port under ``wrapper``.
    """

    def __init__(self, settings: StreetSettings) -> None:
        self._settings = settings
        persist = min((one.config.persist_s for one in settings.meters), default=TICK_S)
        self._pause = min(TICK_S, max(FASTEST_TICK_S, persist / speed_of(settings.clock)))
        self._stack = AsyncExitStack()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._memory: MeterMemory = VolatileMemory()
        self.meters: dict[int, Meter] = {}
        self.listening = Listening()
        self.line = MultiDropLine(Medium(settings.line, random.Random(settings.seed)))  # noqa: S311 - a modelled line, not a secret

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._open_memory(stack)
            self._build(self._open_boards(stack))
            stack.callback(self._tick_all)
            self._tick_all()
            await self._feed(stack)
            self.listening = await self._listen(stack)
            self._start(stack, self._tick())
            self._stack = stack.pop_all()
        log.info("street serves", meters=len(self.meters), listening=self.listening)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        if self._failed.done():
            self._failed.exception()  # whoever waited for it has it
        self._failed.cancel()
        log.info("street stopped", meters=len(self.meters))

    async def failed(self) -> None:
        """Return never, unless one of the street's tasks fails: then raise what it raised."""
        await asyncio.shield(self._failed)

    # Meters.

    def _open_memory(self, stack: AsyncExitStack) -> None:
        if self._settings.state is not None:
            memory = SqliteMemory(self._settings.state / MEMORY_FILE)
            stack.callback(memory.close)
            self._memory = WatchedMemory(memory)

    def _open_boards(self, stack: AsyncExitStack) -> StreetBoards:
        flash = stack.enter_context(ExitStack())
        return StreetBoards(self._settings.state, self._settings.maker, flash)

    def _build(self, boards: StreetBoards) -> None:
        clock = self._settings.clock
        shortest = self._pause * speed_of(clock)
        for one in self._settings.meters:
            config = replace(one.config, persist_s=max(one.config.persist_s, shortest))
            meter = Meter(
                config,
                memory=self._memory,
                source=one.source.source,
                clock=clock.now,
                board=boards.of(config.identity.serial),
            )
            link = hdlc_link(meter)
            self.line.add(Station(link, self._server(meter, link), _log_event))
            self.meters[meter.station] = meter

    def _server(self, meter: Meter, link: Any) -> MeterServer:
        return MeterServer(meter, link, random_octets=secrets.token_bytes)

    async def _feed(self, stack: AsyncExitStack) -> None:
        clock = self._settings.clock
        for one in self._settings.meters:
            if one.source.live is not None:
                feed = LiveFeed(one.source.command, one.source.live, clock)
                await stack.enter_async_context(feed)

    # Time.

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            now = self._settings.clock.now()
            for number, meter in enumerate(self.meters.values()):
                if number % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)
                meter.measure(now)
                meter.management.step()
            self._commit([meter for meter in self.meters.values() if meter.due])

    def _tick_all(self) -> None:
        now = self._settings.clock.now()
        for meter in self.meters.values():
            meter.measure(now)
        self._commit(list(self.meters.values()))

    def _commit(self, meters: Sequence[Meter]) -> None:
        """Keep meters in one transaction; with a full disk it is tried again at the next round."""
        if not meters:
            return
        try:
            self._memory.commit([meter.change() for meter in meters])
        except StoreError:  # the memory has told
            for meter in meters:
                meter.engine.state.alarms |= Alarm.MEMORY_ERROR
            return
        for meter in meters:
            meter.committed()

    # Links.

    async def _listen(self, stack: AsyncExitStack) -> Listening:
        settings = self._settings
        stack.callback(self.line.close)
        hdlc, wrapper, serial = [], [], []
        if settings.modem is not None:
            hdlc.append(await self._listen_tcp(stack, settings.modem, self.line.serve))
        if settings.serial is not None:
            self._serve_line(stack, open_serial(settings.serial, baud=settings.baud))
            serial.append(settings.serial)
        if settings.pty:
            channel, path = open_pty()
            self._serve_line(stack, channel)
            serial.append(path)
        if settings.maintenance is not None:
            wrapper.append(await self._listen_tcp(stack, settings.maintenance, self._maintain))
        return Listening(tuple(wrapper), tuple(hdlc), tuple(serial))

    async def _listen_tcp(
        self, stack: AsyncExitStack, where: Endpoint, handler: Handler
    ) -> Endpoint:
        listener = await listen_tcp(*where, handler, max_connections=CONNECTIONS)
        server: TcpServer = await stack.enter_async_context(listener)
        self._start(stack, _raise(server))
        return where[0], server.port

    def _serve_line(self, stack: AsyncExitStack, channel: Channel) -> None:
        stack.callback(channel.close)
        self._start(stack, self.line.serve(channel))

    async def _maintain(self, channel: Channel) -> None:
        board = Switchboard(self._open_meter, now=monotonic())
        driver = Driver[tuple[int, Any]](
            board,
            channel,
            on_event=lambda event: _log_event(event[1], station=event[0]),
            finished=lambda: board.finished,
        )
        await driver.run()

    def _open_meter(self, station: int, link: WrapperServerLink) -> MeterServer | None:
        meter = self.meters.get(station)
        return None if meter is None else self._server(meter, link)

    # Tasks.

    def _start(self, stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._done)
        stack.push_async_callback(_cancel, task)

    def _done(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not self._failed.done():
            self._failed.set_exception(failure)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _raise(server: TcpServer) -> None:
    """Raise what a connection's handler raises."""
    raise await server.failed()


def _log_event(event: Any, **context: Any) -> None:
    log.debug("client", what=type(event).__name__, detail=event, **context)


def prepare_identities(
    state: Path,
    count: int,
    *,
    now: float,
    first: int = 1,
    phases: Callable[[int], int] = lambda _: 1,
    octets: Callable[[int], bytes] = secrets.token_bytes,
    grid: Grid | None = None,
) -> tuple[MeterIdentity, ...]:
    """Return the meters of a street's folder, made the first time and the same ever after.

    They share the keys of broadcasts. Their shipment file, which a head-end imports, lies in the
    folder: ``shipment.json``.

    Args:
        state: the folder.
        count: how many; a folder that has another number is not changed.
        now: the date of the shipment, UTC seconds.
        first: the maker's running number of the first meter.
        phases: 1 or 3 for each running number.
        octets: where keys come from.
        grid: what the mains are that new meters are made for, 230 V and 50 Hz if not given; others
            keep theirs, and no other may be given.

    Raises:
        ConfigError: the folder holds another street, or one on another grid, or cannot be read or
            written.
    """
    path = state / SHIPMENT_FILE
    if path.exists():
        identities = load_street(path)
        if len(identities) != count:
            raise ConfigError(
                f"{path} holds {len(identities)} meters, not {count}",
                hint="give their number, or another folder",
                code="config.street",
            )
        for identity in identities:
            check_grid(identity.grid, grid)
        return identities
    numbers = range(first, first + count)
    line = BroadcastKeys.generate(octets)
    made = tuple(
        generate_identity(
            number, octets, phases=phases(number), broadcast=line, grid=grid or EUROPE
        )
        for number in numbers
    )
    save_shipment(path, made, now)
    return load_street(path)


async def run_street(
    settings: StreetSettings, *, ready: Callable[[StreetRunner], None] | None = None
) -> None:
    """Run a street until SIGTERM or SIGINT; then commit and return.

    Args:
        settings: what it runs with.
        ready: called once it can be reached.

    Raises:
        ConfigError: the settings do not fit together.
        TransportError: a link cannot be opened.
        StoreError: the memory cannot be read.
    """
    await serve_until_stopped(StreetRunner(settings), ready)
