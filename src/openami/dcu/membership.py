"""A DCU and the server that manages it: its account there, and what either knows of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from openami import __version__
from openami.core.errors import StoreError
from openami.dcu.device import account_of, holds, server_of, take_bootstrap
from openami.dcu.operations import alert
from openami.omadm.session.events import End

if TYPE_CHECKING:
    from collections.abc import Callable

    from openami.core.clock import Clock
    from openami.dcu.device import ServerAccount
    from openami.dcu.flow import Stop
    from openami.dcu.management import Held
    from openami.dcu.ports import Registration
    from openami.dcu.threads import WorkThread
    from openami.omadm.auth import AuthPolicy
    from openami.omadm.messages.model import Alert
    from openami.omadm.tree.tree import ManagementTree
    from openami.ssmp.bootstrap import BootstrapBlock
    from openami.store.device_memory import DeviceMemory

TREE_CHANGED: Final = "urn:openami:alert:tree-changed"
"""Type of the generic alert: the device itself has changed what its tree says."""
_SOFTWARE: Final = "software"
_MANAGED: Final = "managed"

log = structlog.get_logger("dcu")


class Membership:
    """The account of one DCU, from its registration to its tree.

    Args:
        tree: the DCU's.
        memory: where what the server knows outlives a restart.
        registration: with the security server.
        clock: the DCU's.
        thread: of all that changes the tree.
        allowed: the weakest proofs that an account may have.
        taken: called whenever another account is in the tree.
    """

    def __init__(
        self,
        tree: ManagementTree,
        memory: DeviceMemory,
        registration: Registration,
        *,
        clock: Clock,
        thread: WorkThread,
        allowed: AuthPolicy,
        taken: Callable[[], None],
    ) -> None:
        self._tree = tree
        self._memory = memory
        self._registration = registration
        self._clock = clock
        self._thread = thread
        self._allowed = allowed
        self._taken = taken

    def origin(self) -> str:
        """Return the server's, as in ``https://headend:8443``; empty: there is no account."""
        server = account_of(self._tree.root)
        return "" if server is None else server.origin

    def server(self) -> ServerAccount | None:
        """Return the server; None: there is no account."""
        return server_of(self._tree.root, self._memory, self._allowed)

    def news(self) -> Alert | None:
        """Return what says that this is another software than the server knows, if it is."""
        known = self._memory.fact(_SOFTWARE)
        other = known and known != __version__
        return alert(TREE_CHANGED, "./DevDetail", __version__) if other else None

    async def register(self, stop: Stop) -> bool:
        """Come to an account; tell whether its server has yet to say how the DCU is to work."""
        await self._registration.register(stop)
        await self.take()
        if account_of(self._tree.root) is None and not stop:
            log.warning("the tree has no account any more", code="config.account")
            self._registration.doubt()
        return not self._memory.fact(_MANAGED)

    async def take(self) -> None:
        """Put the account that the registration has, if it has one, in the tree."""
        block = self._registration.block
        if block is None:
            return
        if await self._thread.do(self._bootstrap, block):
            log.info("account taken", server=block.server_id, url=block.server_url)
            self._taken()
        await self._registration.forget()

    def _bootstrap(self, block: BootstrapBlock) -> bool:
        """Put an account in the tree; False: it is there."""
        if holds(self._tree, block):
            return False
        self._memory.put_fact(_MANAGED, "")
        take_bootstrap(self._tree, block, now=self._clock.now())
        return True

    async def heard(self, held: Held) -> None:
        """Take how a session with the server went."""
        if held.end is End.REFUSED:
            self._registration.doubt()
        if held.end is not End.DONE:
            return
        self._registration.trust()
        try:
            await self._thread.do(self._note, held)
        except StoreError as error:
            log.warning("not noted", code=error.code, error=error.message)

    def _note(self, held: Held) -> None:
        if not self._memory.fact(_MANAGED):
            self._memory.put_fact(_MANAGED, "yes")
            log.info("first session", commands=held.performed)
        if self._memory.fact(_SOFTWARE) != __version__:
            self._memory.put_fact(_SOFTWARE, __version__)
