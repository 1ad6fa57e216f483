"""All that a server has a DCU fetch and install, in one hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from openami.dcu.updates.components import Components
from openami.dcu.updates.firmware import Firmware
from openami.dcu.updates.programs import Programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openami.dcu.ports import Packages, Slots
    from openami.dcu.updates.works import Bench
    from openami.omadm.messages.model import Alert


class Updates:
    """FUMO and SCOMO of one DCU.

    Args:
        bench: what they are done with.
        slots: where the DCU's software is; None: it cannot be exchanged here.
        restart: ends this process in good order, to be started again.
    """

    def __init__(self, bench: Bench, slots: Slots | None, restart: Callable[[], None]) -> None:
        self._firmware = Firmware(bench, slots, restart)
        programs = Programs(bench.folder / "data", bench.disk, bench.chance)
        self._components = Components(bench, programs)
        self._bench = bench

    @property
    def packages(self) -> Packages:
        """The packages that the device trusts."""
        return self._bench.packages

    def attach(self) -> None:
        """Take up what was under way, and answer for the objects' nodes from now on."""
        tree = self._bench.tree
        self._firmware.book.recall()
        self._components.book.recall()
        tree.on_exec("./FUMO", self._firmware.book.execute)
        tree.watch("./FUMO", self._firmware.book)
        tree.on_exec("./SCOMO", self._components.book.execute)
        tree.watch("./SCOMO", self._components.book)

    def told(self, alerts: Sequence[Alert]) -> None:
        """Forget the ends that a session has told; on the tree's thread."""
        self._firmware.book.ledger.told(alerts)
        self._components.book.ledger.told(alerts)

    async def run(self) -> None:
        """Carry out what is ordered, until the DCU ends."""
        works = (self._firmware.run(), self._components.run())
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def void(self, below: int | None = None) -> None:
        """Give up all that is under way, and forget what was fetched, but for what is being tried.

        Args:
            below: only what a campaign of an epoch before this one has ordered; None: all.

        Raises:
            StoreError: that could not be noted.
        """
        await self._firmware.void(below)
        if below is None:  # no campaign has components fetched
            await self._components.void()
