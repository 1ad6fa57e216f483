"""Passwords and secrets as they are kept: what is in the database opens nothing."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# NIST SP 800-63B 5.1.1.2: at least 8 characters, and no composition rules.
MIN_PASSWORD: Final = 8
# Hashing takes time in proportion; nobody types this much.
MAX_PASSWORD: Final = 1024
# 256 bits: a secret that cannot be guessed needs no slow hash.
_SECRET_OCTETS: Final = 32
_HASHER: Final = PasswordHasher()


class Passwords:
    """Hashes passwords with argon2, and checks them.

    Args:
        hasher: argon2's recommended settings if not given.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or _HASHER
        self._nobody = _of_nobody(self._hasher)

    def hash(self, password: str) -> str:
        """Return what is kept of a password; ValueError if it is too short or too long."""
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise ValueError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
        return self._hasher.hash(password)

    def right(self, kept: str | None, password: str) -> bool:
        """Return whether a password is right; where nothing is kept, wrong in the same time."""
        try:
            matches = len(password) <= MAX_PASSWORD and self._hasher.verify(
                kept or self._nobody, password
            )
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
        return matches and kept is not None

    def renewed(self, kept: str, password: str) -> str:
        """Return what is to be kept of a right password: hashed anew if settings have changed."""
        return self._hasher.hash(password) if self._hasher.check_needs_rehash(kept) else kept


@cache
def _of_nobody(hasher: PasswordHasher) -> str:
    """Return what a wrong name is checked against, to take as long as a wrong password."""
    return hasher.hash(secrets.token_hex(16))


def can_be_kept(name: str) -> bool:
    """Whether somebody may have a name, so that it may be looked for.

    None has a zero octet or half a character in it, which PostgreSQL takes for an error.
    """
    return name.isprintable()


def new_secret() -> str:
    """Return a secret for a session or a token."""
    return secrets.token_urlsafe(_SECRET_OCTETS)


def digest(secret: str) -> str:
    """Return what is kept of a secret that cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()
