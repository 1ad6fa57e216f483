"""Collection as the tree says: an inner ``Dcu`` that is begun anew whenever it says otherwise.

What is under way is ended in good order first: the visit in hand is finished, and what was read
stays in the spool.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import structlog

from openami.core.errors import OpenAmiError
from openami.dcu.agent import Dcu
from openami.omadm.codes import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.core.clock import Clock
    from openami.dcu.flow import Stop
    from openami.dcu.settings import DcuSettings
    from openami.omadm.tree.tree import Execution
    from openami.transport.http import HttpClient

OPERATIONS: Final[Mapping[str, Callable[[Dcu], None]]] = {
    "Collect": Dcu.collect,
    "Discover": Dcu.discover,
    "Report": Dcu.tell,
}
"""What a server may have done, by the names of their nodes in the AMI object."""

RETRY_S: Final = 3600.0
"""Before settings that cannot be are looked at again, unless they change."""

AGAIN_S: Final = 60.0
"""Before the spool is opened again where it could not be: no room, or no right to."""

log = structlog.get_logger("dcu")


class Collecting:
    """Keeps collection going.

    Args:
        settings: returns how to collect now; ``ValueError``: this DCU cannot collect so.
        clock: the DCU's.
        connect: makes a client of the head-end at an address.
        facts: returns what else the head-end is told of the DCU.
        stop: ends it.

    Attributes:
        agent: what collects at the moment.
    """

    def __init__(
        self,
        settings: Callable[[], DcuSettings],
        clock: Clock,
        *,
        connect: Callable[[str], HttpClient],
        facts: Callable[[], Mapping[str, Any]],
        stop: Stop,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._connect = connect
        self._facts = facts
        self._stop = stop
        self._changed = asyncio.Event()
        self._pending: set[str] = set()
        self.agent: Dcu | None = None

    def look(self) -> None:
        """Take that the settings may be others."""
        self._changed.set()

    def execute(self, execution: Execution) -> int:
        """Begin an operation, at once or when collection has begun again; return its status."""
        name = execution.path[-1]
        if self.agent is None:
            self._pending.add(name)
        else:
            OPERATIONS[name](self.agent)
        log.info("operation", name=name)
        return Status.ACCEPTED_FOR_PROCESSING

    async def run(self) -> None:
        """Collect until the DCU ends."""
        while not self._stop:
            self._changed.clear()
            try:
                settings = self._settings()
            except ValueError as error:  # what another version of this software had accepted
                log.warning("cannot collect so", error=str(error))
                await self._stop.sleep(RETRY_S, self._changed)
                continue
            await self._collect(settings)

    async def _collect(self, settings: DcuSettings) -> None:
        """Collect until the settings are others; what the DCU lacks for it may come."""
        async with AsyncExitStack() as stack:
            try:
                agent = await stack.enter_async_context(
                    Dcu(settings, self._clock, connect=self._connect, facts=self._facts())
                )
            except OpenAmiError as error:
                log.error("cannot collect", code=error.code, error=error.message)  # noqa: TRY400 -- not a bug of ours
                await self._stop.sleep(AGAIN_S, self._changed)
                return
            log.info("collects", headend=str(settings.headend))
            self.agent = agent
            try:
                await self._work(agent)
            finally:
                self.agent = None

    async def _work(self, agent: Dcu) -> None:
        """Return when the agent has ended: the settings are others, or the DCU ends."""
        while self._pending:
            OPERATIONS[self._pending.pop()](agent)
        running = asyncio.ensure_future(agent.run())
        try:
            while not running.done() and not self._stop and self._holds(agent.settings):
                self._changed.clear()
                await self._wait(running)
            agent.stop()
            await running
        finally:
            running.cancel()

    def _holds(self, settings: DcuSettings) -> bool:
        try:
            return self._settings() == settings
        except ValueError:
            return False

    async def _wait(self, running: asyncio.Future[None]) -> None:
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._changed.wait()),
            asyncio.ensure_future(self._stop.wait()),
        ]
        try:
            await asyncio.wait([running, *waits], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
