"""EAX' of ANSI C12.22: AES-128 in counter mode, with a tag of 4 octets (Annex, "EAX prime").

It differs from EAX in what it doubles: the constants D and Q are made little-endian, octet 0
least significant. A tag of 32 bits is guessed once in four billion attempts, so that who opens
messages counts the failures.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, ECB

from openami.core.errors import SecurityError
from openami.crypto.compare import equal

KEY_SIZE: Final = 16
TAG_SIZE: Final = 4
_BLOCK: Final = 16
_REDUCTION: Final = 0x87
_MASK: Final = (1 << 128) - 1
_FEW_BLOCKS: Final = 4
"""Of so many at most, one by one is faster than to set up a chain or a counter: most messages."""
# Bits that begin as zeros, so that additions to the counter need not carry beyond them.
_COUNTER_MASK: Final = _MASK ^ (0x80 << 24 | 0x80 << 8)


def _double(block: bytes) -> bytes:
    value = int.from_bytes(block, "little") << 1
    if value > _MASK:
        value = (value & _MASK) ^ _REDUCTION
    return value.to_bytes(_BLOCK, "little")


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


class EaxPrime:
    """One key, ready to use; it may be kept as long as the key.

    A cleartext must be used for one message only: C12.22 has the time and the invocation id in it.

    Raises:
        SecurityError: the key has not 16 octets (``security.key``).
    """

    __slots__ = ("_blocks", "_chains", "_cipher", "_d", "_q")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise SecurityError("a key of 16 octets wanted", code="security.key")
        self._cipher = AES(key)
        # Single blocks: to derive D and Q, and chains and counters that are built of them. It keeps
        # nothing from one to the next.
        self._blocks = Cipher(self._cipher, ECB()).encryptor()  # noqa: S305 - as said
        self._d = _double(self._blocks.update(bytes(_BLOCK)))
        self._q = _double(self._d)
        self._chains = {each: Cipher(self._cipher, CBC(each)) for each in (self._d, self._q)}

    def seal(self, cleartext: bytes, plaintext: bytes) -> bytes:
        """Return the ciphertext and its tag over ciphertext and ``cleartext``.

        Raises:
            SecurityError: the cleartext has one block or less (``security.nonce``).
        """
        nonce = self._nonce(cleartext)
        ciphertext = self._crypt(nonce, plaintext)
        return ciphertext + self._sealed_tag(nonce, ciphertext)

    def open(self, cleartext: bytes, sealed: bytes) -> bytes:
        """Return the plaintext of what ``seal`` returned.

        Raises:
            SecurityError: the tag is not right (``security.tag``), or the cleartext has one block
                or less (``security.nonce``).
        """
        ciphertext, tag = _split(sealed)
        nonce = self._nonce(cleartext)
        _check(self._sealed_tag(nonce, ciphertext), tag)
        return self._crypt(nonce, ciphertext)

    def sign(self, cleartext: bytes, plaintext: bytes) -> bytes:
        """Return the plaintext as it is and the tag over ``cleartext`` and it.

        Raises:
            SecurityError: as ``seal``.
        """
        _check_size(cleartext)
        return plaintext + self._mac(self._d, cleartext + plaintext)[-TAG_SIZE:]

    def verify(self, cleartext: bytes, signed: bytes) -> bytes:
        """Return the plaintext of what ``sign`` returned.

        Raises:
            SecurityError: as ``open``.
        """
        plaintext, tag = _split(signed)
        _check(self.sign(cleartext, plaintext)[-TAG_SIZE:], tag)
        return plaintext

    def _nonce(self, cleartext: bytes) -> bytes:
        _check_size(cleartext)
        return self._mac(self._d, cleartext)

    def _sealed_tag(self, nonce: bytes, ciphertext: bytes) -> bytes:
        # Without a plaintext the nonce alone is the tag.
        whole = _xor(nonce, self._mac(self._q, ciphertext)) if ciphertext else nonce
        return whole[-TAG_SIZE:]

    def _mac(self, start: bytes, message: bytes) -> bytes:
        """Return CMAC' of ``message``: a chain that begins with ``start``, not with zeros."""
        whole = max(len(message) - 1, 0) // _BLOCK * _BLOCK
        last = message[whole:]
        if len(last) == _BLOCK:
            last = _xor(last, self._d)
        else:
            last = _xor((last + b"\x80").ljust(_BLOCK, b"\x00"), self._q)
        if whole < _FEW_BLOCKS * _BLOCK:
            for at in range(0, whole, _BLOCK):
                start = self._blocks.update(_xor(start, message[at : at + _BLOCK]))
            return self._blocks.update(_xor(start, last))
        return self._chains[start].encryptor().update(message[:whole] + last)[-_BLOCK:]

    def _crypt(self, nonce: bytes, text: bytes) -> bytes:
        counter = int.from_bytes(nonce, "big") & _COUNTER_MASK
        if len(text) > _FEW_BLOCKS * _BLOCK:
            mode = CTR(counter.to_bytes(_BLOCK, "big"))
            return Cipher(self._cipher, mode).encryptor().update(text)
        size = len(text)
        counters = [
            (counter + number).to_bytes(_BLOCK, "big") for number in range(-(-size // _BLOCK))
        ]
        return _xor(text, self._blocks.update(b"".join(counters))[:size])


def _check_size(cleartext: bytes) -> None:
    # Minematsu, Lucks, Morita, Iwata: "Attacks and Security Proofs of EAX-Prime" (eprint
    # 2012/018): tags can be forged where cleartext and plaintext have one block each. Two blocks
    # of cleartext take the attack its ground, and every message of C12.22 has them.
    if len(cleartext) <= _BLOCK:
        raise SecurityError("more than one block of cleartext wanted", code="security.nonce")


def _split(sealed: bytes) -> tuple[bytes, bytes]:
    if len(sealed) < TAG_SIZE:
        raise SecurityError("no authentication tag", code="security.tag")
    return sealed[:-TAG_SIZE], sealed[-TAG_SIZE:]


def _check(wanted: bytes, found: bytes) -> None:
    if not equal(wanted, found):
        raise SecurityError("the authentication tag is not right", code="security.tag")
