"""Programs that tell a meter, line by line, what flows through it now."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import TYPE_CHECKING, Final, Self

import structlog

from openami.core.errors import ConfigError
from openami.meter.sources import parse_sample
from openami.metrology.clock import micros

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.core.clock import Clock
    from openami.metrology.sources import LiveSource

LINE_OCTETS: Final = 1024  # of a line with two numbers: a program that sends more is none of ours
STOP_S: Final = 2.0

log = structlog.get_logger()


class LiveFeed:
    """Runs a program and gives what it prints to a source; as a context manager.

    Each line is ``W`` or ``W var``, and holds from the moment it was read. Lines that are not are
    logged and left out. When the program ends, its last line holds on.

    Args:
        command: the program and its arguments; its standard error is the meter's.
        source: what the samples are pushed into.
        clock: the world's.
    """

    def __init__(self, command: Sequence[str], source: LiveSource, clock: Clock) -> None:
        self._command = tuple(command)
        self._source = source
        self._clock = clock
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=DEVNULL, stdout=PIPE, limit=LINE_OCTETS
            )
        except OSError as error:
            raise ConfigError(f"{self._command[0]} cannot be run: {error.strerror}") from error
        self._task = asyncio.create_task(self._read(self._process))
        return self

    async def __aexit__(self, *_: object) -> None:
        process, task = self._process, self._task
        if process is None or task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def ended(self) -> None:
        """Return when the program has ended and all its lines are taken."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than LINE_OCTETS; what was read of it is dropped
                log.warning("source line too long", octets=LINE_OCTETS)
                continue
            if not line:
                break
            self._take(line.decode("ascii", "replace").strip())
        log.info("source ended", status=await process.wait())

    def _take(self, line: str) -> None:
        if not line or line.startswith("#"):
            return
        try:
            self._source.push(micros(self._clock.now()), parse_sample(line))
        except ConfigError as error:
            log.warning("source line refused", reason=error.message)
