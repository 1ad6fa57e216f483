"""Devices that a head-end manages, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openami.store.relational.engine import Transactions
from openami.store.relational.management_models import AccountRow

if TYPE_CHECKING:
    from openami.store.relational import RelationalStore


def add_account(store: RelationalStore, uid: str, digest: str, **changes: Any) -> None:
    """Add the account of a device, as its registration does."""
    fields: dict[str, Any] = {
        "suspended": False,
        "created": 1.0,
        "client_nonce": b"",
        "server_nonce": b"",
        "wake_failures": 0,
        "wake_session": 0,
        **changes,
    }
    with Transactions(store._engine).writing() as session:
        session.add(AccountRow(uid=uid, digest=digest, **fields))
