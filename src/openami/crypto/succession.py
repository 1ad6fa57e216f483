"""How a device that registers anew shows that it is the one that was registered before."""

from __future__ import annotations

import hashlib
from typing import Final

EXCHANGE: Final = 16
"""Octets that name a registration (SSMP 1)."""

_LABEL: Final = b"openami SSMP anew"


def following(grant: bytes) -> bytes:
    """Return the exchange that comes after a registration.

    Only the registered device was given the grant: it is sent once, and shown nowhere. A factory
    identity alone therefore does not make this exchange.
    """
    return hashlib.sha256(_LABEL + grant).digest()[:EXCHANGE]


def trace(exchange: bytes) -> bytes:
    """Return what an exchange is known by again, and cannot be made from (SHA-256)."""
    return hashlib.sha256(exchange).digest()
