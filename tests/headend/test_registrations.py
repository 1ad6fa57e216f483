"""What people decide on registrations, and what is left of what was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openami.fleet import registration as r
from openami.headend.security.offers import ACCOUNT, OFFER

if TYPE_CHECKING:
    from openami.headend.services import Services, Stores

CLAIM = r.Claim(b"e" * 16, b"f" * 32, b"k" * 32, "Maker", "OA-DCU", "1", "0.2", 5.0, b"public")
PENDING = r.Registration("D1", r.Standing.PENDING, CLAIM)


def test_of_a_device_that_is_kept_out_no_password_is_left(
    services: Services, stores: Stores
) -> None:
    stores.registrations.put(PENDING, replacing=None, effects=(), who="dcu D1", when=5.0)
    for uid in ("D1", "D2"):
        stores.vault.put(OFFER, uid, "aa", b"a message")
        stores.vault.put(ACCOUNT, uid, "bb", b"an account")
    services.registrations.refuse("D1", who="anna", why="not ours")
    assert (stores.vault.find(OFFER, "D1"), stores.vault.find(ACCOUNT, "D1")) == ({}, {})
    assert stores.vault.find(OFFER, "D2") == {"aa": b"a message"}
