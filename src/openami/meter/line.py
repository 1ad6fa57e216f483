"""The line between a measuring part and management, and management's end of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import structlog

from openami.core.errors import ConfigError, TransportError
from openami.transport.serial import open_serial
from openami.transport.tcp import open_tcp

if TYPE_CHECKING:
    from openami.meter.apart import Apart
    from openami.transport.channel import Channel

BAUD: Final = 115_200
AGAIN_S: Final = 1.0
"""Real seconds between two attempts to open a line: what a measuring part tells once."""

SETTLE_S: Final = 0.2
"""Real seconds after the first octets: of reports that waited in a buffer the newest counts."""

_HINT: Final = "serial:DEVICE, serial:DEVICE,BAUD or tcp:HOST:PORT"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LineSpec:
    """A line.

    Args:
        kind: ``pty``, ``serial`` or ``tcp``.
        where: device or host.
        number: baud or port.
    """

    kind: str
    where: str = ""
    number: int = 0

    @classmethod
    def parse(cls, text: str, *, pty: bool = False) -> Self:
        """Return the line of a text; ``pty``: it may be a new pseudo terminal.

        Raises:
            ConfigError: it names none.
        """
        kind, _, rest = text.partition(":")
        if pty and text == "pty":
            return cls("pty")
        where, _, number = rest.rpartition(":") if kind == "tcp" else rest.partition(",")
        number = number or (str(BAUD) if kind == "serial" else "")
        good = kind in {"serial", "tcp"} and where and number.isdecimal() and len(number) < 8
        if not good or (kind == "tcp" and int(number) > 0xFFFF):
            hint = f"pty, {_HINT}" if pty else _HINT
            raise ConfigError(f"{text!r} is not a line", hint=hint, code="config.line")
        return cls(kind, where.removeprefix("[").removesuffix("]"), int(number))

    def __str__(self) -> str:
        return ":".join(filter(None, (self.kind, self.where, str(self.number or ""))))


@dataclass(frozen=True, slots=True)
class ApartSpec:
    """A measuring part that is apart.

    Args:
        line: where it is found.
        accept: its number, if it may take the place of another.
    """

    line: LineSpec
    accept: int | None = None


class ApartLine:
    """Keeps a line to a measuring part open; as a context manager.

    Args:
        spec: the line, ``serial`` or ``tcp``.
        apart: what takes its octets.
    """

    def __init__(self, spec: LineSpec, apart: Apart) -> None:
        self._spec = spec
        self._apart = apart
        self._came = asyncio.Event()
        self._channel: Channel | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def first(self, timeout_s: float) -> None:
        """Return when a report has come, or after so many seconds without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._came.wait()
        await asyncio.sleep(SETTLE_S)

    def send(self) -> None:
        """Tell the measuring part what it has to know, if the line is open and has room."""
        channel = self._channel
        if channel is not None and not channel.closed and not channel.full:
            with suppress(TransportError):  # it has just closed: it is opened again
                channel.write(self._apart.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Take octets from the channel."""
        self._apart.receive_data(data)
        if self._apart.told:
            self._came.set()

    def channel_closed(self, error: TransportError | None) -> None:
        """Take note that the line is gone."""
        reason = "closed" if error is None else error.message
        log.warning("measuring part's line is gone", line=str(self._spec), reason=reason)

    async def _follow(self) -> None:
        told = False
        while True:
            try:
                channel = await self._open()
            except TransportError as error:
                if not told:
                    log.warning(
                        "measuring part is not there", line=str(self._spec), reason=error.message
                    )
                told = True
            else:
                told = False
                await self._serve(channel)
            await asyncio.sleep(AGAIN_S)

    async def _serve(self, channel: Channel) -> None:
        self._channel = channel
        try:
            channel.attach(self)
            await channel.wait_closed()
        finally:
            channel.detach(self)
            channel.close()
            self._channel = None

    async def _open(self) -> Channel:
        if self._spec.kind == "serial":
            return open_serial(self._spec.where, baud=self._spec.number)
        return await open_tcp(self._spec.where, self._spec.number)
