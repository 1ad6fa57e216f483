"""Which proofs accounts accept: SHA-256, unless an administrator says otherwise of a device.

A device of another maker may know MD5 only, or nothing but its password. What its account accepts
is said for the device and not for one set of passwords: it stays so when the device registers anew.
It holds from the device's next session and notification on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openami.core.errors import NotFoundError, StoreError
from openami.fleet.devices import AuditEntry, DeviceKind, device_id
from openami.headend.errors import RequestError
from openami.headend.registry import WHY
from openami.omadm.auth import AuthPolicy

if TYPE_CHECKING:
    from collections.abc import Collection

    from openami.core.clock import Clock
    from openami.fleet.accounts import AccountRecord, AccountStore


def policy_of(record: AccountRecord) -> AuthPolicy:
    """Return what an account accepts.

    Raises:
        StoreError: ``dm.proofs``, what is kept names a proof that nobody here knows.
    """
    if not record.allows:
        return AuthPolicy()
    try:
        return AuthPolicy.of(record.allows.split())
    except ValueError as error:
        raise StoreError(
            f"nobody knows what the account of {record.uid} accepts", code="dm.proofs"
        ) from error


@dataclass(frozen=True, slots=True)
class AccountView:
    """A device's account, for people.

    Attributes:
        policy: the proofs that it accepts.
    """

    record: AccountRecord
    policy: AuthPolicy

    @property
    def notified(self) -> bool:
        """Whether a notification can be made: its digest takes a hash, which basic has not."""
        return bool(self.policy.hashes())


class Proofs:
    """What accounts accept. Calls block."""

    def __init__(self, store: AccountStore, *, wall: Clock) -> None:
        self._store = store
        self._wall = wall

    def view(self, uid: str) -> AccountView:
        """Return a device's account.

        Raises:
            NotFoundError: ``dm.no-account``.
            StoreError: ``dm.proofs``.
        """
        record = self._store.accounts([uid]).get(uid)
        if record is None:
            raise NotFoundError(f"{uid} has no account", code="dm.no-account")
        return AccountView(record, policy_of(record))

    def allow(self, uid: str, labels: Collection[str], *, who: str, why: str = "") -> AccountView:
        """Let a device's account accept these proofs and no others.

        Raises:
            NotFoundError: ``dm.no-account``.
            RequestError: ``request.proofs``, none is named, or what is none.
        """
        try:
            policy = AuthPolicy.of(labels)
        except ValueError as error:
            raise RequestError(str(error), code="request.proofs") from error
        told = " ".join(policy.labels)
        subject, words = device_id(DeviceKind.DCU, uid), " ".join(why.split())[:WHY]
        said = AuditEntry(who, self._wall.now(), f"account.accepts {told}", subject, words)
        self._store.allow(uid, "" if policy == AuthPolicy() else told, said=said)
        return self.view(uid)
