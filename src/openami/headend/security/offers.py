"""What was made for devices and what became of it: passwords, sealed in the vault.

An offer is a whole Bootstrap message, kept so that it can be sent again as it is. An account is
what lives on of it once the device has acknowledged it. The SHA-256 of the message names both: the
registration, which the database keeps, says which of them counts, and all others are rubbish that
a crash or a second request has left.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from openami.core.errors import NotFoundError

if TYPE_CHECKING:
    from openami.fleet.ports import Vault
    from openami.ssmp.bootstrap import BootstrapBlock

OFFER: Final = "offer"  # kinds of the vault's secrets
ACCOUNT: Final = "dm-account"


class Offers:
    """Keeps offers and accounts."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def __repr__(self) -> str:
        return "Offers(...)"

    def find(self, uid: str, digest: bytes) -> bytes | None:
        """Return the message that was offered."""
        try:
            return self._vault.get(OFFER, uid, digest.hex())
        except NotFoundError:
            return None

    def keep(self, uid: str, digest: bytes, message: bytes) -> None:
        """Keep a message before anything says that it was offered."""
        self._vault.put(OFFER, uid, digest.hex(), message)

    def keep_account(self, uid: str, digest: bytes, block: BootstrapBlock) -> None:
        """Keep the account of a message before anything says that it is live."""
        kept = {
            "server_id": block.server_id,
            "server_password": block.server_password,
            "client_id": block.client_id,
            "client_password": block.client_password,
            "server_url": block.server_url,
        }
        self._vault.put(ACCOUNT, uid, digest.hex(), json.dumps(kept).encode())

    def forget_others(self, uid: str, *, offer: bytes | None, account: bytes | None) -> None:
        """Forget all of a device but one offer and one account, or none."""
        for kind, good in ((OFFER, offer), (ACCOUNT, account)):
            name = None if good is None else good.hex()
            for other in self._vault.find(kind, uid):
                if other != name:
                    self._vault.delete(kind, uid, other)
