"""Carries out what a ledger has under way, and gives it up when everything is to stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import StoreError, TransportError
from openami.dcu.threads import on_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from openami.core.clock import Clock
    from openami.dcu.flow import Stop
    from openami.dcu.ports import Packages
    from openami.dcu.threads import WorkThread
    from openami.dcu.updates.ledger import Ledger, Order
    from openami.omadm.messages.model import Alert
    from openami.omadm.tree.tree import ManagementTree
    from openami.store.device_memory import DeviceMemory

AGAIN_S: Final = 60.0
"""Before a step is tried again that the disk did not let be noted."""
UNKNOWN: Final = "dcu.step a step that this version of the software does not know"
"""Why an order is over that a newer version has begun; then the one before was brought back."""
_REST_S: Final = 3600.0

log = structlog.get_logger("dcu.updates")


@dataclass(frozen=True, slots=True)
class Bench:
    """What updates are done with.

    Attributes:
        tree: the DCU's.
        memory: where what is under way outlives a restart.
        folder: of what is fetched.
        packages: those that are trusted.
        origin: returns the head-end's, as in ``https://headend:8443``.
        model: of the device, as releases name it.
        hardware: its version.
        clock: the DCU's.
        tell: lets the server hear of an alert soon.
        stop: the wish that the DCU ends.
        thread: of all that changes the tree.
        disk: where slow files are waited for.
        chance: returns a number from 0 to 1.
        trust: believes servers of other authorities, in PEM, beside the factory's
            (``Identity.trust``).
        prove: holds a session; tells whether it went well.
    """

    tree: ManagementTree
    memory: DeviceMemory
    folder: Path
    packages: Packages
    origin: Callable[[], str]
    model: str
    hardware: str
    clock: Clock
    tell: Callable[[Alert], None]
    stop: Stop
    thread: WorkThread
    disk: WorkThread
    chance: Callable[[], float]
    trust: Callable[[str], Awaitable[None]]
    prove: Callable[[], Awaitable[bool]]


class Works:
    """Does the steps of one operation after another.

    Args:
        ledger: says what is under way.
        stop: the wish that the DCU ends.
        do: does the next step of an order, and notes the one after that, or the end.
        idle: is done whenever nothing is under way any more.
    """

    def __init__(
        self,
        ledger: Ledger,
        stop: Stop,
        do: Callable[[Order], Awaitable[None]],
        idle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._ledger = ledger
        self._stop = stop
        self._do = do
        self._idle = idle
        self._ordered = asyncio.Event()
        self._turn = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None
        self._soon: Callable[[], None] = self._ordered.set

    def wake(self) -> None:
        """Take, in any thread, that something may be under way."""
        self._soon()

    async def run(self) -> None:
        """Carry out what is under way, until the DCU ends."""
        self._soon = on_loop(self._ordered.set)
        try:
            while not self._stop:
                await self._once()
        finally:
            await self._cut()

    async def give_up(self, conclude: Callable[[], Awaitable[None]]) -> None:
        """Cut short what is under way; nothing else is begun before ``conclude`` is over."""
        async with self._turn:
            await self._cut()
            await conclude()

    async def _once(self) -> None:
        """Carry out what is under way, or wait until something is."""
        self._ordered.clear()
        async with self._turn:  # nothing is begun while all is given up
            if self._ledger.order is not None:
                self._work = asyncio.ensure_future(self._carry_out())
        if self._work is None:
            await self._rest()
            return
        await asyncio.wait((self._work,))
        work, self._work = self._work, None
        if not work.cancelled():
            work.result()

    async def _rest(self) -> None:
        try:
            if self._idle is not None:
                await self._idle()
        except StoreError as error:
            log.warning("not in order", code=error.code, error=error.message)
        await self._stop.sleep(_REST_S, self._ordered)

    async def _carry_out(self) -> None:
        """Do the steps of what is under way, as far as they go now."""
        while (order := self._ledger.order) is not None and not self._stop:
            try:
                await self._do(order)
            except (StoreError, TransportError) as error:  # the disk, or the security module
                log.warning("an update waits", code=error.code, error=error.message)
                await self._stop.sleep(AGAIN_S)

    async def _cut(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait((self._work,))
