"""How a device that registers anew shows that it is the one that was registered before."""

from __future__ import annotations

import hashlib
from typing import Final

EXCHANGE: Final = 16
"""Octets that name a registration (SSMP 1)."""

_LABEL: Final = b"openami SSMP anew"


def following(grant: bytes) -> bytes:
    """Return the exchange that comes after a registration.

    Only the registered device and its server know the grant: it is sent once, and shown nowhere.
    A factory identity alone therefore does not make this exchange.
    """
    return hashlib.sha256(_LABEL + grant).digest()[:EXCHANGE]
