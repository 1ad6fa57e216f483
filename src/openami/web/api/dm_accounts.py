"""The accounts of devices: which proofs they accept."""

from typing import Annotated

from fastapi import APIRouter, Path

from openami.web.api import API
from openami.web.api.dependencies import Admin, Head, Viewer, errors
from openami.web.api.models.dm_accounts import AccountModel, AccountRequest

router = APIRouter(prefix=f"{API}/dm", tags=["device management"])

Uid = Annotated[str, Path(max_length=32, examples=["OAMDCU0001"])]


@router.get("/devices/{uid}/account", responses=errors(404))
def account(head: Head, caller: Viewer, uid: Uid) -> AccountModel:
    """Return a device's account."""
    del caller
    return AccountModel.of(head.management.proofs.view(uid))


@router.put("/devices/{uid}/account", responses=errors(400, 404))
def allow(head: Head, caller: Admin, uid: Uid, wish: AccountRequest) -> AccountModel:
    """Let a device's account accept these proofs and no others, from its next session on.

    For a device of another maker that knows less than SHA-256. It stays so when the device
    registers anew.
    """
    view = head.management.proofs.allow(uid, wish.accepts, who=caller.name, why=wish.why)
    return AccountModel.of(view)
