"""Sessions that are held to show that something is well."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from openami.omadm.session.events import End

if TYPE_CHECKING:
    from openami.dcu.management import Held, Manager

PROOF_S: Final = 120.0
"""How long a session may take that is to show that the DCU is not cut off: some resent messages."""


class Proof:
    """Whether the server can be reached as things are now.

    Args:
        manager: holds sessions, and has ``heard`` called with each.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._wanted: asyncio.Future[bool] | None = None
        self._too_old = False

    async def hold(self) -> bool:
        """Hold a session from its beginning; tell whether it went well."""
        self._too_old = self._manager.holding  # one that goes on began before
        self._wanted = asyncio.get_running_loop().create_future()
        self._manager.nudge()
        try:
            async with asyncio.timeout(PROOF_S):
                return await self._wanted
        except TimeoutError:
            return False

    def heard(self, held: Held) -> None:
        """Take how a session went."""
        if self._wanted is not None and not self._wanted.done() and not self._too_old:
            self._wanted.set_result(held.end is End.DONE)
        self._too_old = False
