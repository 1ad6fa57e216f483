"""A strong key out of a short code: SPAKE2 over Ed25519, each side proving that it has the code.

Who listens learns nothing, and who takes part learns from one attempt whether one code is right,
and no more: guessing is slow because attempts are counted. The key is new each time, and what was
recorded stays secret also from who learns the code later.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import NotOnCurve

from openami.core.errors import SecurityError
from openami.crypto.compare import equal
from openami.crypto.gcm import NONCE_SIZE, Gcm

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE_SIZE: Final = 33
"""Octets of a message: a side and a point of the curve."""

PROOF_SIZE: Final = 32
_KEY_SIZE: Final = 32
_NAME: Final = b"openami home pairing 1"
_NONCE: Final = bytes(NONCE_SIZE)  # the key seals one text and is never used again


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides hold if they had the same code, and nobody changed what they said.

    Args:
        first: the proof of who began.
        second: the proof of who answered.
    """

    first: bytes = field(repr=False)
    second: bytes = field(repr=False)
    _key: bytes = field(repr=False)

    def check_first(self, proof: bytes) -> None:
        """Check the proof of who began.

        Raises:
            SecurityError: it is not right (``security.pairing``).
        """
        _check(self.first, proof)

    def check_second(self, proof: bytes) -> None:
        """Check the proof of who answered; raises as ``check_first``."""
        _check(self.second, proof)

    def seal(self, text: bytes) -> bytes:
        """Return ``text`` for the other side; once for each agreement, by who answered."""
        return Gcm(self._key).seal(_NONCE, text, _NAME)

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            SecurityError: it was changed (``security.tag``).
        """
        return Gcm(self._key).open(_NONCE, sealed, _NAME)


class Pairing:
    """One attempt of one side.

    Args:
        code: the short code.
        first: the name of who begins.
        second: the name of who answers.
        begins: whether this is the side that begins.
        octets: returns octets from a cryptographic source.

    Attributes:
        message: for the other side.
    """

    def __init__(
        self,
        code: bytes,
        first: bytes,
        second: bytes,
        *,
        begins: bool,
        octets: Callable[[int], bytes],
    ) -> None:
        side = SPAKE2_A if begins else SPAKE2_B
        self._machine = side(code, idA=first, idB=second, entropy_f=octets)
        self._names = first, second
        self._begins = begins
        self.message: bytes = self._machine.start()

    def agree(self, message: bytes, context: bytes = b"") -> Agreed:
        """Take the other side's message, once.

        Args:
            message: of the other side.
            context: what was said besides: the proofs are right only if both say the same.

        Raises:
            SecurityError: it is no message, or our own (``security.pairing``).
        """
        if len(message) != MESSAGE_SIZE:
            raise SecurityError("no message of a pairing", code="security.pairing")
        try:
            key: bytes = self._machine.finish(message)
        except (SPAKEError, NotOnCurve, ValueError):
            raise SecurityError("no message of a pairing", code="security.pairing") from None
        messages = (self.message, message) if self._begins else (message, self.message)
        said = b"".join(
            len(part).to_bytes(2, "big") + part
            for part in (_NAME, *self._names, *messages, context)
        )
        derived = HKDF(SHA256(), 3 * _KEY_SIZE, salt=None, info=_NAME).derive(key)
        first, second, sealing = (
            derived[at : at + _KEY_SIZE] for at in range(0, len(derived), _KEY_SIZE)
        )
        return Agreed(_proof(first, said), _proof(second, said), sealing)


def _proof(key: bytes, said: bytes) -> bytes:
    return hmac.digest(key, said, hashlib.sha256)


def _check(wanted: bytes, found: bytes) -> None:
    if not equal(wanted, found):
        raise SecurityError("the other side has another code", code="security.pairing")
