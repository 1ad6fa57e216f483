"""Meters' credentials: fetched from the head-end, sealed in the DCU's own vault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import NotFoundError, SecurityError, StoreError
from openami.core.identifiers import SystemTitle
from openami.dcu.headend import (
    BroadcastCredentials,
    Credentials,
    HeadEndAwayError,
    HeadEndRefusalError,
)

if TYPE_CHECKING:
    from openami.dcu.headend import HeadEnd
    from openami.fleet.ports import Vault

KIND: Final = "meter"  # of the vault's owners
MECHANISM: Final = "hls5-gmac"

log = structlog.get_logger("dcu.keys")


class Keyring:
    """Knows what opens the meters.

    Args:
        vault: where credentials rest.
        headend: where they come from.
    """

    def __init__(self, vault: Vault, headend: HeadEnd) -> None:
        self._vault = vault
        self._headend = headend
        self._ready: dict[str, Credentials] = {}

    def load(self, title: str) -> None:
        """Unseal the credentials of the meter with this system title, if there are any; blocks."""
        if title not in self._ready:
            found = self._unseal(title)
            if found is not None:
                self._ready[title] = found

    def get(self, title: str | None) -> Credentials | None:
        """Return what opens the meter with this system title, as far as it was loaded."""
        return self._ready.get(title) if title else None

    async def fetch(self, title: str) -> bool:
        """Ask the head-end; return whether there are credentials now that were not before."""
        try:
            found = await self._headend.credentials(SystemTitle.parse(title))
        except (HeadEndAwayError, HeadEndRefusalError) as error:
            log.info("no credentials", title=title, error=str(error))
            return False
        if found is None or found == self._ready.get(title):
            return False
        if found.mechanism != MECHANISM:
            log.warning("credentials of another mechanism", title=title, mechanism=found.mechanism)
            return False
        self._ready[title] = found
        try:
            await asyncio.to_thread(self._seal, title, found)
        except StoreError as error:  # they work until the next restart, which asks again
            log.warning("credentials were not sealed", title=title, error=str(error))
        return True

    def _seal(self, title: str, found: Credentials) -> None:
        self._vault.put(KIND, title, "client", str(found.client).encode())
        self._vault.put(KIND, title, "guek", found.guek)
        self._vault.put(KIND, title, "gak", found.gak)
        if found.broadcast is None:
            self._vault.delete(KIND, title, _BROADCAST)
        else:
            self._vault.put(KIND, title, _BROADCAST, _packed(found.broadcast))

    def _unseal(self, title: str) -> Credentials | None:
        try:
            client = int(self._vault.get(KIND, title, "client"))
            guek, gak = (self._vault.get(KIND, title, name) for name in ("guek", "gak"))
            broadcast = _unpacked(self._vault.find(KIND, title).get(_BROADCAST, b""))
        except NotFoundError:
            return None
        except (SecurityError, StoreError, ValueError) as error:
            log.warning("sealed credentials can not be used", title=title, error=str(error))
            return None
        return Credentials(client, MECHANISM, guek, gak, broadcast)


_BROADCAST: Final = "broadcast"
_KEY: Final = 16


def _packed(found: BroadcastCredentials) -> bytes:
    """Return the client's octet and both keys: one secret, so that they are of one time."""
    return bytes((found.client,)) + found.gbek + found.gak


def _unpacked(octets: bytes) -> BroadcastCredentials | None:
    if not octets:
        return None
    if len(octets) != 1 + 2 * _KEY:
        raise ValueError("a client and two keys wanted")
    return BroadcastCredentials(octets[0], octets[1 : 1 + _KEY], octets[1 + _KEY :])
