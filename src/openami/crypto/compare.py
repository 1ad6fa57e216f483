"""Comparison of secrets."""

from __future__ import annotations

import hmac


def equal(one: bytes, other: bytes) -> bool:
    """Tell whether both are the same, in a time that doesn't tell where they differ."""
    return hmac.compare_digest(one, other)
