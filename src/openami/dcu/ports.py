"""What a managed DCU needs of the one that keeps its keys, and of the one that registers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openami.dcu.flow import Stop
    from openami.ssmp.bootstrap import BootstrapBlock
    from openami.ssmp.messages import DeviceInfo
    from openami.transport.http import HttpClient


class Identity(Protocol):
    """Who this device is; the security module."""

    @property
    def uid(self) -> str: ...

    @property
    def info(self) -> DeviceInfo: ...

    def operational_client(self, url: str) -> HttpClient:
        """Return a client of a server that proves this device by its operational certificate."""


class Registration(Protocol):
    """How this device comes to its accounts and its certificate."""

    @property
    def block(self) -> BootstrapBlock | None:
        """The accounts of a registration that is live, until ``forget``."""

    async def register(self, stop: Stop) -> None:
        """Return when the device is registered, or shall end."""

    async def forget(self) -> None:
        """Forget the block: its accounts are where they belong."""

    async def renew(self, stop: Stop, taken: Callable[[], Awaitable[None]]) -> None:
        """Keep certificate and accounts good until the device shall end.

        ``taken`` is called when there is a ``block``.
        """

    def doubt(self) -> None:
        """Take that a server does not let this device in."""

    def trust(self) -> None:
        """Take that the server has let this device in."""
