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
from openami.dcu.rounds import Ended, Ending
from openami.dcu.threads import on_loop
from openami.omadm.codes import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openami.core.clock import Clock
    from openami.dcu.flow import Stop
    from openami.dcu.gateway.gateway import Gateway
    from openami.dcu.operations import Operations
    from openami.dcu.settings import DcuSettings
    from openami.dcu.upgrade.upgrader import Upgrading
    from openami.omadm.tree.tree import Execution
    from openami.transport.http import HttpClient

OPERATIONS: Final[Mapping[str, Callable[[Dcu], Ended]]] = {
    "Collect": Dcu.collect,
    "Discover": Dcu.discover,
    "Report": Dcu.tell,
}
"""What a server may have done, by the names of their nodes in the AMI object."""

RETRY_S: Final = 3600.0
"""Before settings that cannot be are looked at again, unless they change."""

OPERATION_MOST_S: Final = 6 * 3600.0
"""An operation that is not over by then is concluded: a line of 500 meters takes one hour or two,
and whoever asked has long looked elsewhere."""

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
        operations: remembers what a server has had done.
        up: is called whenever collection has begun.
        upgrading: what upgrading the meters needs; None: they are not upgraded.
        gateway: lets displays reach their meters; None: none do.

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
        operations: Operations,
        up: Callable[[], None] = lambda: None,
        upgrading: Upgrading | None = None,
        gateway: Gateway | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._connect = connect
        self._facts = facts
        self._stop = stop
        self._changed = asyncio.Event()
        self._operations = operations
        self._tell_up = up
        self._upgrading = upgrading
        self._gateway = gateway
        self._up = asyncio.Event()
        self._works: dict[tuple[str, str | None], asyncio.Task[None]] = {}
        self._begin_soon = on_loop(self._begin)
        self._closed = False
        self.agent: Dcu | None = None

    def look(self) -> None:
        """Take that the settings may be others."""
        self._changed.set()

    def woken(self) -> None:
        """Take that the server has woken the DCU: what holds at its meters may be news."""
        if self.agent is not None:
            self.agent.desk.woken()

    def execute(self, execution: Execution) -> int:
        """Begin an operation, at once or when collection has begun again; return its status.

        With a correlator, the server is told how it ended. This is for the thread of the
        operations to call.

        Raises:
            StoreError: it cannot be kept.
        """
        name, correlator = execution.path[-1], execution.correlator
        if correlator is not None:
            if self._operations.under_way(name, correlator):  # asked for again
                return Status.ACCEPTED_FOR_PROCESSING
            status = self._operations.accept(name, correlator)
            if status != Status.ACCEPTED_FOR_PROCESSING:
                return status
        self._begin_soon(name, correlator)
        return Status.ACCEPTED_FOR_PROCESSING

    def _begin(self, name: str, correlator: str | None) -> None:
        """Begin an operation; without a correlator, in place of the one that is under way."""
        if self._closed:  # it is concluded when the DCU is started again
            return
        key = name, correlator
        known = self._works.get(key)
        if known is not None and correlator is None:
            known.cancel()
        work = self._works[key] = asyncio.ensure_future(self._see_through(name, correlator))
        work.add_done_callback(lambda done: self._forget(key, done))
        log.info("operation", name=name)

    def _forget(self, key: tuple[str, str | None], work: asyncio.Task[None]) -> None:
        if self._works.get(key) is work:
            del self._works[key]

    async def _see_through(self, name: str, correlator: str | None) -> None:
        """Have an operation done; conclude it when it is over."""
        try:
            async with asyncio.timeout(OPERATION_MOST_S):
                end = await self._done(OPERATIONS[name])
        except TimeoutError:
            end = Ending(Status.REQUEST_TIMEOUT, "it was not over in time")
        if correlator is not None:
            await self._operations.conclude(name, correlator, end)

    async def _done(self, begin: Callable[[Dcu], Ended]) -> Ending:
        """Return how it ended; whenever collection begins anew, so does it."""
        while True:
            await self._up.wait()
            end = None if self.agent is None else await begin(self.agent)
            if end is not None:
                return end

    async def close(self) -> None:
        """Leave operations as they are: they are concluded when the DCU is started again."""
        self._closed = True
        works = list(self._works.values())
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works)

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
                    Dcu(
                        settings,
                        self._clock,
                        connect=self._connect,
                        facts=self._facts(),
                        upgrading=self._upgrading,
                        gateway=self._gateway,
                    )
                )
            except OpenAmiError as error:
                log.error("cannot collect", code=error.code, error=error.message)  # noqa: TRY400 -- not a bug of ours
                await self._stop.sleep(AGAIN_S, self._changed)
                return
            log.info("collects", headend=str(settings.headend))
            self.agent = agent
            self._up.set()
            self._tell_up()
            try:
                await self._work(agent)
            finally:
                self.agent = None
                self._up.clear()
                agent.give_up()

    async def _work(self, agent: Dcu) -> None:
        """Return when the agent has ended: the settings are others, or the DCU ends."""
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
