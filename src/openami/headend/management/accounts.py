"""The accounts of managed devices: rows of the database, passwords of the vault.

Nonces change with every message and are durable before the answer goes out. All that sessions
write at one moment is one transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from openami.core.errors import NotFoundError, SecurityError, StoreError
from openami.headend.groups import Grouped, apart
from openami.headend.management.proofs import policy_of
from openami.omadm.auth import Credentials
from openami.omadm.session.account import Account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.fleet.accounts import AccountRecord, AccountStore, LoggedSession, NonceUpdate
    from openami.fleet.ports import Vault

log = structlog.get_logger(__name__)

WRITE_WINDOW_S: Final = 0.01
"""How long the first who has something to write waits for others: a hundredth of a second is
nothing to a device on its line, and a transaction of many costs each of them half."""
READ_WINDOW_S: Final = 0.005
"""The same to who has something to read."""
SECRETS: Final = "dm-account"
"""The kind of the vault's secrets; their owner is the device, their name the account's digest."""


@dataclass(frozen=True, slots=True)
class ManagedAccount:
    """An account as a session needs it.

    Attributes:
        server_url: where the device was told that the server is.
    """

    record: AccountRecord
    account: Account
    server_url: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What a message of a session changes: an account's nonces; at its end, the log."""

    nonces: NonceUpdate | None = None
    session: LoggedSession | None = None


class Accounts:
    """Reads and writes accounts, for all sessions of a moment together."""

    def __init__(self, store: AccountStore, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._reads: Grouped[str, ManagedAccount] = Grouped(
            self._read_all, "dm accounts", window_s=READ_WINDOW_S
        )
        self._writes: Grouped[Kept, bool] = Grouped(
            partial(apart, self._write_all), "dm commit", window_s=WRITE_WINDOW_S
        )

    async def stop(self) -> None:
        """Finish what was begun."""
        await self._reads.stop()
        await self._writes.stop()

    async def read(self, uid: str) -> ManagedAccount:
        """Return a device's account.

        Raises:
            SecurityError: ``dm.unknown``, it has none; ``dm.suspended``.
            StoreError: it can not be read; ``dm.secrets``, its passwords are gone.
        """
        return await self._reads.do(uid)

    async def keep(self, kept: Kept) -> bool:
        """Return when it is durable, and whether the account still stands.

        Raises:
            StoreError: it was not kept.
        """
        return await self._writes.do(kept)

    def open(self, record: AccountRecord) -> ManagedAccount:
        """Return an account with its passwords. Blocks.

        Raises:
            StoreError: ``dm.secrets``, they are gone; ``dm.proofs``.
        """
        try:
            sealed = self._vault.get(SECRETS, record.uid, record.digest)
        except NotFoundError as error:
            raise StoreError(
                f"the passwords of {record.uid}'s account are not in the vault",
                code="dm.secrets",
                hint="let the device register again",
            ) from error
        told = json.loads(sealed)
        account = Account(
            told["server_id"],
            Credentials(told["server_id"], told["server_password"]),
            Credentials(told["client_id"], told["client_password"]),
            policy_of(record),
            client_nonce=record.client_nonce,
            server_nonce=record.server_nonce,
        )
        return ManagedAccount(record, account, told["server_url"])

    def _read_all(self, uids: Sequence[str]) -> Sequence[ManagedAccount | Exception]:
        records = self._store.accounts(uids)
        return [self._read(uid, records.get(uid)) for uid in uids]

    def _read(self, uid: str, record: AccountRecord | None) -> ManagedAccount | Exception:
        if record is None:
            return SecurityError(f"{uid} has no account here", code="dm.unknown")
        if record.suspended:
            return SecurityError(f"the account of {uid} is suspended", code="dm.suspended")
        try:
            return self.open(record)
        except (StoreError, SecurityError) as error:
            log.warning("an account can not be used", dcu=uid, code=error.code)
            return error

    def _write_all(self, items: Sequence[Kept]) -> Sequence[bool]:
        nonces = [item.nonces for item in items if item.nonces is not None]
        sessions = [item.session for item in items if item.session is not None]
        gone = self._store.commit(nonces, sessions)
        return [item.nonces is None or item.nonces.uid not in gone for item in items]
