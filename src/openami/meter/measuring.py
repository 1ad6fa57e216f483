"""Runs a measuring part, in a process of its own, until it is told to stop.

Each second it measures what has flowed, keeps its registers, and only then tells them: what was
told is never lost, and a power cut costs the second that was not told yet.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import structlog

from openami.core.errors import ConfigError, StoreError, TransportError
from openami.meter.live import LiveFeed
from openami.metrology.part import MeasuringPart, PartRecord
from openami.store.measuring import PartMemory
from openami.transport.clock import SystemClock
from openami.transport.serial import open_pty, open_serial
from openami.transport.serving import serve_until_stopped
from openami.transport.tcp import listen_tcp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.meter.line import LineSpec
    from openami.meter.sources import SourceSpec
    from openami.metrology.adc.frontend import FrontEnd
    from openami.transport.channel import Channel

MEMORY_FILE: Final = "metrology.db"
TICK_S: Final = 1.0
"""Real seconds between two reports."""

CONNECTIONS: Final = 4
"""TCP connections at once: management, its predecessor that died, and somebody who looks."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MeasuringSettings:
    """What a measuring part runs with.

    Args:
        state: the folder of its memory.
        source: what flows.
        front: its input.
        line: where management finds it.
        phases: of a new one.
        clock: the world's.
    """

    state: Path
    source: SourceSpec
    front: FrontEnd
    line: LineSpec
    phases: int = 1
    clock: Clock = field(default_factory=SystemClock)


class MeasuringRunner:
    """A measuring part on its line; as a context manager.

    Attributes:
        part: what measures, once it runs.
        listening: where management finds it, once it runs.
        full: what was measured last could not be kept, and is not told.
    """

    def __init__(self, settings: MeasuringSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._channels: set[Channel] = set()
        self._task: asyncio.Task[None] | None = None
        self.full = False
        self.listening = ""
        self.part: MeasuringPart

    async def __aenter__(self) -> Self:
        settings = self._settings
        async with AsyncExitStack() as stack:
            self._memory = PartMemory(settings.state / MEMORY_FILE)
            stack.callback(self._memory.close)
            self.part = self._begin()
            stack.callback(self._step)
            live = settings.source
            if live.live is not None:
                await stack.enter_async_context(LiveFeed(live.command, live.live, settings.clock))
            self.listening = await self._open(stack)
            self._task = asyncio.create_task(self._tick())
            stack.push_async_callback(_cancel, self._task)
            self._stack = stack.pop_all()
        record = self.part.record
        log.info("measuring", part=record.part, life=record.life, line=self.listening)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        log.info("measuring part stopped", part=self.part.record.part)

    async def failed(self) -> None:
        """Return never, unless measuring fails: then raise why."""
        assert self._task is not None  # it runs
        await asyncio.shield(self._task)
        raise TransportError("the line is gone")

    def _begin(self) -> MeasuringPart:
        """Return the part, as of its last record; a new one is calibrated and kept."""
        settings, chance = self._settings, np.random.default_rng()
        found = self._memory.load()
        if found is None:
            record = PartRecord.new(settings.front, settings.phases, chance)
        elif found.front != settings.front.name:
            raise ConfigError(
                f"the measuring part was calibrated with the front end {found.front}",
                hint=f"--adc {found.front}, or another --state",
                code="config.front-end",
            )
        else:
            record = PartRecord.decode(found.record)
        now = settings.clock.now()
        part = MeasuringPart(settings.front, settings.source.source, chance, record, now=now)
        # A life that told something is never begun twice.
        self._keep(part)
        return part

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._step()

    def _step(self) -> None:
        """Measure, keep, tell. What cannot be kept is not told, and is told later."""
        self.part.advance(self._settings.clock.now())
        try:
            self._keep(self.part)
        except StoreError as error:
            if not self.full:
                log.warning("registers not kept, nothing is told", code=error.code)
            self.full = True
            return
        self.full = False
        report = self.part.report()
        for channel in tuple(self._channels):
            # What nobody takes must not wait: an old report would be taken for a new one.
            if not channel.pending:
                with suppress(TransportError):  # gone; its task ends
                    channel.write(report)

    def _keep(self, part: MeasuringPart) -> None:
        front = self._settings.front
        grid = f"{front.voltage:g}/{front.frequency}"
        self._memory.keep(front.name, part.record.encode(), grid)

    # The line.

    async def _open(self, stack: AsyncExitStack) -> str:
        line = self._settings.line
        if line.kind == "tcp":
            server = await listen_tcp(
                line.where, line.number, self._serve, max_connections=CONNECTIONS
            )
            await stack.enter_async_context(server)
            return f"tcp:{line.where}:{server.port}"
        if line.kind == "pty":
            channel, path = open_pty()
        else:
            channel, path = open_serial(line.where, baud=line.number), line.where
        task = asyncio.create_task(self._keep_open(channel))
        stack.push_async_callback(_cancel, task)
        return f"serial:{path}"

    async def _keep_open(self, channel: Channel) -> None:
        """Serve a serial line, also when its device has gone and is there again."""
        while True:
            try:
                await self._serve(channel)
            finally:
                channel.close()
            while channel.closed:
                await asyncio.sleep(TICK_S)
                with suppress(TransportError):
                    line = self._settings.line
                    channel = open_serial(line.where, baud=line.number)

    async def _serve(self, channel: Channel) -> None:
        self._channels.add(channel)
        channel.attach(self)
        try:
            await channel.wait_closed()
        finally:
            channel.detach(self)
            self._channels.discard(channel)

    def data_received(self, data: bytes) -> None:
        """Take octets of management."""
        self.part.receive_data(data)

    def channel_closed(self, error: TransportError | None) -> None:
        """Take note that a line is gone: measuring goes on."""
        log.info("management is gone", reason=None if error is None else error.message)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def run_measuring(
    settings: MeasuringSettings, *, ready: Callable[[MeasuringRunner], None] | None = None
) -> None:
    """Run a measuring part until SIGTERM or SIGINT; then keep and return.

    Args:
        settings: what it runs with.
        ready: called once management can find it.

    Raises:
        ConfigError: the settings do not fit its memory.
        DecodeError: its memory is damaged.
        TransportError: the line cannot be opened.
        StoreError: its memory cannot be used.
    """
    await serve_until_stopped(MeasuringRunner(settings), ready)
